"""Each engine in turn, for the tests of HTTP/1.1 that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.protocol.wire import PARSERS, use_engine


@pytest.fixture(scope="module", params=PARSERS)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from use_engine(request.param)
