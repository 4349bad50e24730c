"""Single connections through a proxy, and which requests may share one (X1, F09, D25)."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    HTTPConnection,
    DigestProxyAuth,
    LocalProtocolError,
    Origin,
    Proxy,
)
from httpcore_core.testing.http_server import Exchange, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests._sync.http2 import LIMITS
from tests._sync.proxies import PASSWORD, USER, DigestGuard, ProxyServer, connect
from tests.certificates import Certificates

PLAIN = "http://a.test/bytes/5"
EXTENSIONS = {"timeout": LIMITS}


def digest(server: Any) -> Proxy:
    return Proxy(f"http://127.0.0.1:{server.port}", auth=DigestProxyAuth(USER, PASSWORD))


def test_x1_a_forwarded_challenge_is_answered_on_the_one_connection() -> None:
    """The first response is gone by then, and must not take the second's connection with it."""
    guard = DigestGuard()

    def script(peer: Peer) -> None:
        while not guard.admits(peer.read_request()):
            peer.send(guard.challenge())
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        peer.pause(0.02)
        peer.send(b"llo")

    with ScriptedServer(script) as server:
        origin = Origin(b"http", b"a.test", 80)
        with HTTPConnection(origin, proxy=digest(server)) as connection:
            response = connection.request("GET", PLAIN, extensions=EXTENSIONS)
            assert (response.status, response.content) == (200, b"hello")
            assert connection.is_idle()
    assert len(server.connections) == 1


def test_x1_a_challenge_behind_which_the_proxy_leaves_is_the_response() -> None:
    """There is no other connection on which it could be answered."""
    with ScriptedServer(
        lambda peer: (
            peer.read_request(),
            peer.send(DigestGuard().challenge(b"who?", b"Connection: close")),
            peer.half_close(),
        )
    ) as server:
        origin = Origin(b"http", b"a.test", 80)
        with HTTPConnection(origin, proxy=digest(server)) as connection:
            response = connection.request("GET", PLAIN, extensions=EXTENSIONS)
            assert (response.status, response.content) == (407, b"who?")
            assert connection.is_closed()


def test_x1_one_connection_forwards_or_is_a_tunnel(certificates: Certificates) -> None:
    with ProxyServer() as server:
        origin = Origin(b"http", b"a.test", 80)
        with HTTPConnection(origin, proxy=server.address()) as connection:
            for _ in range(2):
                response = connection.request("GET", PLAIN, extensions=EXTENSIONS)
                assert response.content == pattern(5)
            upgrade = {"Connection": "upgrade", "Upgrade": "other"}
            with pytest.raises(LocalProtocolError, match="not of the kind"):
                connection.request("GET", PLAIN, headers=upgrade)
            assert connection.is_idle()
    assert [request.target for request in server.requests] == [b"http://a.test/bytes/5"] * 2
    context = certificates.client_context()
    with ProxyServer(connect(), origin_context=certificates.server_context()) as server:
        origin = Origin(b"https", b"localhost", 443)
        with HTTPConnection(
            origin, proxy=server.address(), ssl_context=context
        ) as connection:
            for _ in range(2):
                response = connection.request("GET", "https://localhost/bytes/5")
                assert response.content == pattern(5)
    assert server.targets == [b"localhost:443"]


class FirstComer:
    """Answers with the credentials of a connection's first request, to which NTLM binds it."""

    def __init__(self) -> None:
        self.known: dict[int, bytes] = {}

    def __call__(self, exchange: Exchange) -> None:
        value = exchange.head.header(b"proxy-authorization") or b"nobody"
        exchange.respond(self.known.setdefault(exchange.peer.number, value))


def test_f09_who_brings_credentials_of_his_own_shares_no_connection() -> None:
    """Some schemes let in a connection and not a request."""
    with ProxyServer(routes={"": FirstComer()}) as server:
        with ConnectionPool(proxy=server.address()) as pool:
            for _ in range(2):
                for value in (b"nobody", b"NTLM one", b"NTLM two"):
                    headers = [] if value == b"nobody" else [("Proxy-Authorization", value)]
                    response = pool.request("GET", PLAIN, headers=headers)
                    assert response.content == value
            assert pool.stats().opened == 3
            assert "NTLM" not in str(pool.stats())
