"""Servers that are restarted gracefully while requests keep coming: GOAWAY under load (T3).

Every request is idempotent. What the server promised to answer, or refused, must not fail."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import ConnectionPool, NetworkError, RemoteProtocolError
from tests.certificates import Certificates
from tests.interop.origins import origin_of
from tests.interop.servers.process import HTTP2_LAYERS

from .reloading import reload_under_load

pytestmark = pytest.mark.interop

TOLERATED = (NetworkError, RemoteProtocolError)


@pytest.mark.parametrize("layer", HTTP2_LAYERS)
@pytest.mark.parametrize("name", ["own_nginx", "own_haproxy", "own_apache"])
def test_t3_reloaded_under_load(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    name: str,
    layer: str,
    settled: Any,
) -> None:
    """A process that shuts down may close a connection that it has just accepted without a word,
    and a request on a fresh connection is not repeated (P5): once in a while 20 of them share one.
    Apache's also close in the middle of responses to streams below their GOAWAY.
    """
    server = request.getfixturevalue(name)
    origin = origin_of(certificates, server, layer)
    with ConnectionPool(**origin.options) as pool:
        answered, lost = reload_under_load(pool, origin.url, server.reload, 20, TOLERATED)
        settled(pool)
        assert answered > 50
        assert lost <= (answered if name == "own_apache" else 20)
        assert pool.stats().opened > 1
