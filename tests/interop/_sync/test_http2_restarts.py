"""Servers that are restarted gracefully while requests keep coming: GOAWAY under load (T3).

Every request is idempotent, and none may fail."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import ConnectionPool
from tests.certificates import Certificates
from tests.interop.origins import origin_of
from tests.interop.servers.process import HTTP2_LAYERS

from .reloading import reload_under_load

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("layer", HTTP2_LAYERS)
@pytest.mark.parametrize("name", ["own_nginx", "own_haproxy", "own_apache"])
def test_t3_reloaded_under_load(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    name: str,
    layer: str,
    settled: Any,
) -> None:
    server = request.getfixturevalue(name)
    origin = origin_of(certificates, server, layer)
    with ConnectionPool(**origin.options) as pool:
        answered = reload_under_load(pool, origin.url, server.reload, at_once=20)
        settled(pool)
        assert answered > 50
        assert pool.stats().opened > 1
