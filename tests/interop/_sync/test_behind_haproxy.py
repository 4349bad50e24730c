"""Origins that misbehave, or are old, behind HAProxy (H3, H9, N6)."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import ConnectionPool, RemoteProtocolError
from httpcore_core._backends.sync import SyncBackend
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.certificates import Certificates
from tests.interop.servers.haproxy import HAProxy

from .asking import ask, get

pytestmark = pytest.mark.interop

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"

LAYERS = pytest.mark.parametrize("layer", ["tcp", "tls_tcp", "origin"])


@pytest.fixture
def pool_options(certificates: Certificates) -> dict[str, Any]:
    return {"ssl_context": certificates.client_context()}


@LAYERS
@pytest.mark.parametrize("first", [GOOD, CHUNKED, EMPTY], ids=["length", "chunked", "empty"])
def test_h3_two_responses_to_one_request(
    haproxy: HAProxy, layer: str, first: bytes, pool_options: dict[str, Any], settled: Any
) -> None:
    """HAProxy passes both on as they are, or, where it understands HTTP, only the first."""

    def poison(peer: Peer) -> None:
        peer.read_request()
        peer.send(first + EVIL)
        peer.read_request()
        peer.send(EVIL)

    with ScriptedServer(poison, path=haproxy.origin_path) as origin:
        with ConnectionPool(**pool_options) as pool:
            for _ in range(4):
                response = ask(pool, "GET", f"{haproxy.url(layer)}/")
                assert response.status in (200, 204)
                assert response.content in (b"good", b"")
            settled(pool)
        assert all(len(peer.requests) <= 1 for peer in origin.connections)


@pytest.mark.parametrize("layer", ["tcp", "tls_tcp"])
def test_h3_a_response_that_nobody_asked_for(
    haproxy: HAProxy, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    """It comes while the connection is idle, which is closed for it."""

    def poison(peer: Peer) -> None:
        peer.read_request()
        peer.send(GOOD)
        peer.hang()
        peer.send(EVIL)

    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.send(GOOD)

    with ScriptedServer(poison, answer, path=haproxy.origin_path) as origin:
        with ConnectionPool(keepalive_expiry=None, **pool_options) as pool:
            assert (get(pool, f"{haproxy.url(layer)}/")).content == b"good"
            (connection,) = pool.connections
            origin.release()
            for _ in range(500):
                pool.reap()
                if connection.is_closed():
                    break
                SyncBackend().sleep(0.01)
            assert (get(pool, f"{haproxy.url(layer)}/")).content == b"good"
            assert pool.stats().opened == 2
            settled(pool)


@pytest.mark.parametrize("layer", ["tcp", "tls_tcp"])
def test_n6_an_origin_that_leaves_in_the_middle(
    haproxy: HAProxy, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    def leave(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ngood")
        peer.close()

    with ScriptedServer(leave, path=haproxy.origin_path):
        with ConnectionPool(**pool_options) as pool:
            with pytest.raises(RemoteProtocolError):
                get(pool, f"{haproxy.url(layer)}/")
            settled(pool)


@LAYERS
def test_h9_an_origin_of_http_1_0(
    haproxy: HAProxy, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    """Its body ends with the connection."""
    body = b"old " * 20_000

    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n" + body)
        peer.close()

    with ScriptedServer(answer, path=haproxy.origin_path):
        with ConnectionPool(**pool_options) as pool:
            for _ in range(3):
                response = get(pool, f"{haproxy.url(layer)}/")
                assert response.content == body
                assert response.extensions["http_version"] == b"HTTP/1.0"
            settled(pool)
            assert layer == "origin" or pool.stats().idle == 0


@pytest.mark.parametrize("layer", ["tcp", "tls_tcp"])
def test_h9_an_origin_of_http_1_0_that_keeps_connections(
    haproxy: HAProxy, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    """Where it says so, and then only if the body has a length."""
    kept = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\ngood"
    ended = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nlast"

    def answer(peer: Peer) -> None:
        for response in (kept, kept, ended):
            peer.read_request()
            peer.send(response)
        peer.close()

    with ScriptedServer(answer, path=haproxy.origin_path):
        with ConnectionPool(**pool_options) as pool:
            for expected in 2 * (b"good", b"good", b"last"):
                response = get(pool, f"{haproxy.url(layer)}/")
                assert response.content == expected
            assert pool.stats().opened == 2
            settled(pool)


def test_haproxy_without_its_origin(haproxy: HAProxy, settled: Any) -> None:
    """Its own 503, and as bytes nothing at all."""
    with ConnectionPool() as pool:
        response = ask(pool, "GET", f"{haproxy.url('origin')}/")
        assert response.status == 503
        with pytest.raises(RemoteProtocolError, match="without sending a response"):
            get(pool, f"{haproxy.url('tcp')}/")
        settled(pool)
