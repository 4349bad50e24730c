"""Proxies in a row, and connections that become something else behind a proxy (X1, N7, H4).

The scripts have every step of a chain on the one connection that its first proxy sees.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    TunnelBackend,
    ConnectError,
    ConnectTimeout,
    Proxy,
    ProxyError,
)
from httpcore_core.testing.http_server import Exchange, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.scripts import start_tls
from tests._sync.http2 import LIMITS, SOON, get, h2_context, until
from tests._sync.proxies import (
    BASIC,
    GRANTED,
    OPENED,
    PASSWORD,
    SECRETS,
    USER,
    HTTP2ProxyServer,
    ProxyServer,
    Relay,
    Socks5,
    connect,
)
from tests.certificates import Certificates
from tests.hostile.case import check_error

KINDS = ("http", "https", "socks5h")
PLAIN, TLS = "http://origin.test/bytes/100000", "https://localhost/bytes/100000"


def proxy_of(kind: str, address: str, certificates: Certificates, **options: Any) -> Proxy:
    own = certificates.client_context() if kind == "https" else None
    return Proxy(f"{kind}://{address}", ssl_context=own, **options)


def steps_of(kind: str, certificates: Certificates, step: Any = None) -> list[Any]:
    """What a proxy of that kind does first; its own TLS included."""
    before = [start_tls(certificates.server_context())] if kind == "https" else []
    return [*before, step or (Socks5() if kind == "socks5h" else connect())]


# Chains


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("url", [PLAIN, TLS])
def test_n7_two_proxies_in_a_row(
    first: str, second: str, url: str, certificates: Certificates, settled: Any
) -> None:
    """Up to TLS in TLS in TLS. The second proxy is called by a name that only the first knows."""
    one = Socks5() if first == "socks5h" else connect()
    steps = steps_of(first, certificates, one)
    if second == "https":
        steps.append(start_tls(certificates.server_context()))
    forwards = url == PLAIN and second != "socks5h"
    if not forwards:
        steps.append(Socks5() if second == "socks5h" else connect())
    tls = certificates.server_context() if url == TLS else None
    with ProxyServer(*steps, origin_context=tls) as server:
        outer = proxy_of(first, f"127.0.0.1:{server.port}", certificates)
        inner = proxy_of(second, "localhost:3128", certificates, headers=None)
        with ConnectionPool(
            proxy=inner,
            network_backend=TunnelBackend(outer),
            ssl_context=certificates.client_context(),
            max_connections=1,
        ) as pool:
            for _ in range(2):
                assert get(pool, url) == pattern(100_000)
            response = pool.request("GET", url, extensions={"timeout": LIMITS})
            assert response.extensions["connection"]["proxy"] == f"{second}://localhost:3128"
            settled(pool)
        server.wait_until_done()
    assert len(server.connections) == 1
    if isinstance(one, Socks5):
        assert one.asked == [(3, "localhost", 3128)]
    else:
        assert server.targets[0] == b"localhost:3128"
    if forwards:
        assert server.requests[-1].target == PLAIN.encode()


def test_x1_three_proxies_in_a_row_that_are_real(certificates: Certificates) -> None:
    with ProxyServer(connect(), origin_context=certificates.server_context()) as third:
        with Relay(Socks5(), third.port) as second:
            with Relay(connect(), second.port) as first:
                backend = TunnelBackend(
                    second.address("socks5h"),
                    network_backend=TunnelBackend(first.address()),
                )
                with ConnectionPool(
                    proxy=third.address(),
                    network_backend=backend,
                    ssl_context=certificates.client_context(),
                ) as pool:
                    assert get(pool, TLS) == pattern(100_000)
                for server in (first, second, third):
                    server.wait_until_done()
    assert [len(server.connections) for server in (first, second, third)] == [1, 1, 1]


def test_x1_a_tunnel_backend_without_another_proxy(certificates: Certificates) -> None:
    """Plain origins are not forwarded then: all there is are tunnels."""
    with HTTP2ProxyServer(
        connect(), ssl_context=certificates.server_context(alpn=["h2"])
    ) as server:
        with ConnectionPool(
            network_backend=TunnelBackend(server.address()),
            ssl_context=h2_context(certificates),
            http2=True,
        ) as pool:
            response = pool.request("GET", TLS, extensions={"timeout": LIMITS})
            assert response.extensions["http_version"] == b"HTTP/2"
    with ProxyServer(connect()) as plain:
        backend = TunnelBackend(plain.address())
        assert "127.0.0.1" in repr(backend)
        with ConnectionPool(network_backend=backend) as pool:
            assert get(pool, PLAIN) == pattern(100_000)
    assert plain.targets == [b"origin.test:80"]
    assert plain.requests[-1].target == b"/bytes/100000"


def test_x3_f07_in_a_chain_each_proxy_sees_its_own_credentials() -> None:
    def second(peer: Peer) -> None:
        connect()(peer)

    with ProxyServer(connect(), second) as server:
        outer = Proxy(server.address(), (b"outer", b"first-secret"), {"X-First": "1"})
        inner = Proxy("http://second.test:3128", (USER, PASSWORD), {"X-Second": "2"})
        with ConnectionPool(
            proxy=inner, network_backend=TunnelBackend(outer), http1=True
        ) as pool:
            headers = {"Connection": "Upgrade", "Upgrade": "none"}
            response = pool.request(
                "GET", PLAIN, headers=headers, extensions={"timeout": LIMITS}
            )
            assert response.status == 200
    one, two, origin = server.requests
    assert (one.target, two.target) == (b"second.test:3128", b"origin.test:80")
    assert not any(word in one.raw for word in (*SECRETS, b"X-Second"))
    assert two.header(b"proxy-authorization") == BASIC
    assert b"X-First" not in two.raw
    assert b"roxy" not in origin.raw


def test_n3_options_of_a_chain_are_for_its_first_connection() -> None:
    with ProxyServer(connect()) as server:
        with ConnectionPool(
            proxy="http://second.test:3128",
            network_backend=TunnelBackend(server.address()),
            socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
            local_address="127.0.0.1",
        ) as pool:
            with pool.stream("GET", PLAIN) as response:
                sock = response.extensions["network_stream"].get_extra_info("socket")
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize("broken", ["refused", "hangs", "leaves"])
@pytest.mark.parametrize("place", [1, 2])
def test_x2_either_proxy_of_a_chain_may_fail(
    broken: str, place: int, certificates: Certificates, settled: Any
) -> None:
    def script(peer: Peer) -> None:
        for _ in range(place - 1):
            connect()(peer)
        peer.read_request()
        if broken == "refused":
            peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nwhy")
        elif broken == "leaves":
            peer.half_close()
        peer.wait_for_end()

    steps = (connect(), connect())
    with ProxyServer(
        *steps, failing=(script,), origin_context=certificates.server_context()
    ) as server:
        outer = Proxy(server.address(), auth=(b"outer", PASSWORD))
        with ConnectionPool(
            proxy=Proxy("http://second.test:3128", auth=(USER, PASSWORD)),
            network_backend=TunnelBackend(outer),
            ssl_context=certificates.client_context(),
            max_connections=1,
        ) as pool:
            limits = {"connect": 0.3 if broken == "hangs" else SOON, "pool": 1.0}
            with pytest.raises((ProxyError, ConnectTimeout)) as caught:
                pool.request("GET", TLS, extensions={"timeout": limits})
            check_error(caught.value, PASSWORD.decode())
            text = str(caught.value)
            assert str(server.port) in text if place == 1 else "second.test" in text
            assert isinstance(caught.value, ConnectTimeout) == (broken == "hangs")
            if isinstance(caught.value, ProxyError) and broken == "refused":
                assert (caught.value.status, caught.value.body) == (403, b"why")
            settled(pool)
            until(lambda: not server.open_connections)
            assert get(pool, TLS) == pattern(100_000)


def test_a_tunnel_reaches_no_unix_socket(settled: Any) -> None:
    backend = TunnelBackend("http://127.0.0.1:9")
    with ConnectionPool(network_backend=backend, uds="/tmp/none") as pool:
        with pytest.raises(ConnectError, match="unix"):
            get(pool, PLAIN)
        settled(pool)


# Connections that become something else


def switch(exchange: Exchange) -> None:
    """Accepts any upgrade, says a word at once and then echoes."""
    exchange.read()
    exchange.peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello"
    )
    while data := exchange.peer.receive():
        exchange.peer.send(data)
    exchange.keep_alive = False


def read_exactly(stream: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += stream.read(size - len(data), timeout=SOON)
    return data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tls", [False, True])
def test_h4_an_upgrade_goes_through_a_tunnel(
    kind: str, tls: bool, certificates: Certificates, settled: Any
) -> None:
    """Also to a plain origin, for which the proxy would forward anything else."""
    context = certificates.server_context() if tls else None
    with ProxyServer(
        *steps_of(kind, certificates), origin_context=context, routes={"chat": switch}
    ) as server:
        proxy = proxy_of(kind, f"127.0.0.1:{server.port}", certificates, auth=(USER, PASSWORD))
        with ConnectionPool(
            proxy=proxy, ssl_context=certificates.client_context(), max_connections=1
        ) as pool:
            url = "https://localhost/chat" if tls else "http://origin.test/chat"
            headers = {"Connection": "Upgrade", "Upgrade": "echo"}
            with pool.stream(
                "GET", url, headers=headers, extensions={"timeout": LIMITS}
            ) as response:
                assert response.status == 101
                stream = response.extensions["network_stream"]
                assert read_exactly(stream, 5) == b"hello"
                stream.write(b"x" * 50_000, timeout=SOON)
                assert read_exactly(stream, 50_000) == b"x" * 50_000
            settled(pool)
            assert pool.connections == []
        assert server.requests[-1].target == b"/chat"
        assert not any(secret in server.requests[-1].raw for secret in SECRETS)


@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_h4_a_connect_of_the_callers_goes_through_a_tunnel(kind: str, settled: Any) -> None:
    """To the proxy that its URL names, through the one of the pool."""

    def accept(exchange: Exchange) -> None:
        exchange.read()
        exchange.peer.send(OPENED + b"hello")
        exchange.peer.wait_for_end()
        exchange.keep_alive = False

    step = Socks5() if kind == "socks5h" else connect()
    with ProxyServer(step, routes={"": accept}) as server:
        with ConnectionPool(proxy=server.address(kind), max_connections=1) as pool:
            response = pool.handle_request(
                b"CONNECT",
                (b"http", b"second.test", 3128, b"origin.test:443"),
                [(b"Host", b"origin.test:443")],
                None,
                {"timeout": LIMITS},
            )
            assert response.status == 200
            assert read_exactly(response.extensions["network_stream"], 5) == b"hello"
            response.stream.close()
            settled(pool)
            assert pool.connections == []
    if kind == "http":
        assert server.targets == [b"second.test:3128", b"origin.test:443"]
    else:
        assert step.asked == [(3, "second.test", 3128)]
        assert server.targets == [b"origin.test:443"]


@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_h4_what_shares_a_segment_with_the_proxys_answer_comes_first(kind: str) -> None:
    """A server behind the tunnel that speaks first, to whom uses the backend alone."""
    step = connect(OPENED + b"220 hi") if kind == "http" else Socks5(reply=GRANTED + b"220 hi")

    def echo(peer: Peer) -> None:
        step(peer)
        while data := peer.receive():
            peer.send(data)

    with ProxyServer(failing=(echo,)) as server:
        backend = TunnelBackend(server.address(kind))
        stream = backend.connect_tcp("mail.test", 25, timeout=SOON)
        assert stream.get_extra_info("is_readable")
        assert stream.read(4, timeout=SOON) == b"220 "
        assert read_exactly(stream, 2) == b"hi"
        stream.write(b"quit", timeout=SOON)
        assert read_exactly(stream, 4) == b"quit"
        stream.close()
