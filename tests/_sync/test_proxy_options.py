"""Every option of a pool through a proxy, and the `proxy` extension (contracts X1, P2, N3, D25)."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    MockBackend,
    ConnectError,
    DigestProxyAuth,
    LocalProtocolError,
    PoolTimeout,
    Proxy,
    ProxyError,
    ReadTimeout,
    TransportError,
)
from httpcore_core.testing.http_server import HTTPServer, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests._sync.http2 import LIMITS, get, until
from tests._sync.proxies import (
    BASIC,
    GRANTED,
    PASSWORD,
    SECRETS,
    USER,
    ProxyServer,
    Socks5,
    connect,
)
from tests.certificates import Certificates
from tests.concurrency import TaskGroup

SCHEMES = ("http", "socks5h")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PLAIN, TLS = "http://localhost:8001/bytes/5", "https://localhost/bytes/5"


def tunnel_for(scheme: str) -> Any:
    return Socks5() if "socks" in scheme else connect()


# Retries


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("how", ["leaves", "refuses"])
def test_x1_g14_retries_with_back_off(
    scheme: str, how: str, certificates: Certificates
) -> None:
    """What a proxy cannot reach now it may reach later; each attempt is a connection of its own."""

    refuse = (
        connect(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        if scheme == "http"
        else Socks5(reply=b"\x05\x05" + GRANTED[2:])
    )
    pauses: list[float] = []
    events: list[str] = []

    def trace(name: str, info: dict[str, Any]) -> None:
        events.append(name)
        if name == "connection.retry.started":
            pauses.append(info["seconds"])

    script = refuse if how == "refuses" else Peer.reset
    with ProxyServer(
        tunnel_for(scheme), failing=(script,) * 2, origin_context=certificates.server_context()
    ) as server:
        with ConnectionPool(
            proxy=server.address(scheme), ssl_context=certificates.client_context(), retries=2
        ) as pool:
            response = pool.request("GET", TLS, extensions={"trace": trace})
            assert response.content == pattern(5)
    assert pauses == [0.0, 0.5]
    assert len(server.connections) == 3
    if how == "refuses":
        name = "connect" if scheme == "http" else "socks5_handshake"
        assert events.count(f"proxy.{name}.failed") == 2
        assert events.count(f"proxy.{name}.complete") == 1


def test_x1_g14_what_a_proxy_forbids_is_not_tried_again() -> None:
    with ProxyServer(connect(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")) as server:
        with ConnectionPool(proxy=server.address(), retries=3) as pool:
            with pytest.raises(ProxyError):
                get(pool, TLS)
    assert len(server.connections) == 1


def test_x1_g14_retries_of_a_forwarded_request_are_those_of_the_connection() -> None:
    backend = MockBackend([OK], connect=[ConnectError("down"), ConnectError("down"), None])
    with ConnectionPool(
        proxy="http://proxy.test", retries=2, network_backend=backend
    ) as pool:
        assert (pool.request("POST", "http://a.test/", content=b"x")).content == b"ok"
    assert [(call.host, call.port) for call in backend.connects] == [("proxy.test", 80)] * 3


# What is for the connection to the proxy


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("url", [PLAIN, TLS])
def test_n3_local_address_and_socket_options(
    scheme: str, url: str, certificates: Certificates
) -> None:
    steps = () if (scheme, url) == ("http", PLAIN) else (tunnel_for(scheme),)
    tls = certificates.server_context() if url == TLS else None
    with ProxyServer(*steps, origin_context=tls) as server:
        with ConnectionPool(
            proxy=server.address(scheme),
            ssl_context=certificates.client_context(),
            local_address="127.0.0.1",
            socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
        ) as pool:
            with pool.stream("GET", url) as response:
                sock = response.extensions["network_stream"].get_extra_info("socket")
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert server.connections[0].client_address[0] == "127.0.0.1"


def test_n3_a_local_address_that_is_not_ours(settled: Any) -> None:
    with ProxyServer() as server:
        with ConnectionPool(proxy=server.address(), local_address="192.0.2.1") as pool:
            with pytest.raises(ConnectError):
                get(pool, PLAIN)
            settled(pool)
    assert server.connections == []


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix domain sockets")
@pytest.mark.parametrize("scheme", ["http", "https", "socks5h"])
@pytest.mark.parametrize("url", [PLAIN, TLS])
def test_n3_uds_is_the_way_to_the_proxy(
    scheme: str, url: str, certificates: Certificates, socket_path: str
) -> None:
    steps = () if scheme != "socks5h" and url == PLAIN else (tunnel_for(scheme),)
    context, client = certificates.server_context(), certificates.client_context()
    with ProxyServer(
        *steps,
        path=socket_path,
        proxy_context=context if scheme == "https" else None,
        origin_context=context if url == TLS else None,
    ):
        own = client if scheme == "https" else None
        proxy = Proxy(f"{scheme}://localhost:9", ssl_context=own)
        with ConnectionPool(proxy=proxy, uds=socket_path, ssl_context=client) as pool:
            assert get(pool, url) == pattern(5)


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_x1_f16_a_resolver_is_asked_for_what_is_resolved_here(
    scheme: str, certificates: Certificates
) -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    step = tunnel_for(scheme)
    with ProxyServer(step, origin_context=certificates.server_context()) as server:
        proxy = f"{scheme}://proxy.test:{server.port}"
        with ConnectionPool(
            proxy=proxy, resolver=resolver, ssl_context=certificates.client_context()
        ) as pool:
            assert get(pool, TLS) == pattern(5)
    assert sorted(asked) == (["localhost", "proxy.test"] if scheme == "socks5" else ["proxy.test"])


@pytest.mark.parametrize("engine", ["h11", "httptools"])
def test_x1_either_engine_reads_what_the_proxy_says(
    engine: str, certificates: Certificates
) -> None:
    if engine == "httptools":
        pytest.importorskip("httptools")
    refusal = connect(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    with ProxyServer(
        connect(), failing=(refusal,), origin_context=certificates.server_context()
    ) as server:
        with ConnectionPool(
            proxy=server.address(),
            ssl_context=certificates.client_context(),
            http1_engine=engine,
        ) as pool:
            with pytest.raises(ProxyError) as caught:
                get(pool, TLS)
            assert (caught.value.status, caught.value.body) == (403, b"no")
            response = pool.request("GET", TLS)
            assert response.content == pattern(5)
            assert response.extensions["connection"]["http1_engine"] == engine


def test_x1_the_limits_of_a_head_hold_for_the_proxys_answer() -> None:
    big = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2000 + b"\r\n\r\n"
    with ProxyServer(connect(big)) as server:
        with ConnectionPool(proxy=server.address(), max_header_bytes=1000) as pool:
            with pytest.raises(ProxyError):
                get(pool, TLS)


# Timeouts


@pytest.mark.parametrize("scheme", SCHEMES)
def test_d03_read_and_pool_timeouts_in_a_tunnel(
    scheme: str, certificates: Certificates, settled: Any
) -> None:
    with ProxyServer(tunnel_for(scheme), origin_context=certificates.server_context()) as server:
        with ConnectionPool(
            proxy=server.address(scheme),
            ssl_context=certificates.client_context(),
            max_connections=1,
        ) as pool:
            with pool.stream("GET", TLS) as response:
                with pytest.raises(PoolTimeout, match="localhost"):
                    get(pool, TLS, pool=0.1)
                response.stream.read()
            with pytest.raises(ReadTimeout):
                get(pool, "https://localhost/hang", read=0.2)
            settled(pool)
            assert get(pool, TLS) == pattern(5)
        server.release()


# Limits and reuse


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("tls", [False, True])
def test_p2_the_proxy_never_sees_more_connections_than_the_limit(
    scheme: str, tls: bool, certificates: Certificates, settled: Any
) -> None:
    steps = () if scheme == "http" and not tls else (tunnel_for(scheme),)
    context = certificates.server_context() if tls else None
    with ProxyServer(*steps, origin_context=context) as server:
        with ConnectionPool(
            proxy=server.address(scheme),
            ssl_context=certificates.client_context(),
            max_connections=3,
        ) as pool:
            with TaskGroup() as group:
                for number in range(30):
                    path = "close" if number % 3 == 0 else "bytes/10"
                    name = "http://a.test" if not tls else f"https://localhost:{number % 4 + 1}"
                    group.start(get, pool, f"{name}/{path}")
            settled(pool)
        assert server.peak <= 3


def test_p2_the_limit_per_origin_is_that_of_those_behind_the_proxy(
    certificates: Certificates,
) -> None:
    with ProxyServer(connect(), origin_context=certificates.server_context()) as server:
        with ConnectionPool(
            proxy=server.address(),
            ssl_context=certificates.client_context(),
            max_connections_per_origin=1,
        ) as pool:
            with pool.stream("GET", TLS):
                with pytest.raises(PoolTimeout):
                    get(pool, TLS, pool=0.1)
                assert get(pool, "https://localhost:444/bytes/5") == pattern(5)


def test_p3_an_idle_tunnel_makes_room_for_one_to_another_origin(
    certificates: Certificates,
) -> None:
    with ProxyServer(connect(), origin_context=certificates.server_context()) as server:
        with ConnectionPool(
            proxy=server.address(), ssl_context=certificates.client_context(), max_connections=1
        ) as pool:
            for port in (1, 2, 1):
                get(pool, f"https://localhost:{port}/bytes/5", pool=1.0)
            assert pool.stats().closed == {"evicted": 2}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_p5_a_tunnel_that_was_closed_while_idle_is_not_used(scheme: str) -> None:
    def script(peer: Peer) -> None:
        Socks5()(peer) if "socks" in scheme else None
        peer.read_request()
        peer.send(OK)
        peer.half_close()

    with ScriptedServer(script) as server:
        proxy = f"{scheme}://127.0.0.1:{server.port}"
        with ConnectionPool(proxy=proxy) as pool:
            for _ in range(3):
                response = pool.request("POST", "http://a.test/", content=b"x")
                assert response.content == b"ok"
                until(lambda: pool.connections == [] or pool.connections[0].has_expired())
    assert len(server.connections) == 3


@pytest.mark.parametrize("tls", [False, True])
def test_p7_idle_connections_through_a_proxy_expire(
    tls: bool, certificates: Certificates
) -> None:
    steps = (connect(),) if tls else ()
    context = certificates.server_context() if tls else None
    with ProxyServer(*steps, origin_context=context) as server:
        with ConnectionPool(
            proxy=server.address(),
            ssl_context=certificates.client_context(),
            keepalive_expiry=0.05,
        ) as pool:
            get(pool, TLS if tls else PLAIN)
            until(lambda: not pool.connections or pool.connections[0].has_expired())
            pool.reap()
            until(lambda: not server.open_connections)
            assert pool.connections == []


def test_x1_max_keepalive_connections(certificates: Certificates) -> None:
    with ProxyServer(connect(), origin_context=certificates.server_context()) as server:
        with ConnectionPool(
            proxy=server.address(),
            ssl_context=certificates.client_context(),
            max_keepalive_connections=0,
        ) as pool:
            for _ in range(2):
                get(pool, TLS)
                assert pool.connections == []
    assert len(server.connections) == 2


# The `proxy` extension


def test_x1_the_extension_overrides_the_option() -> None:
    with ProxyServer() as one, ProxyServer() as two, HTTPServer() as direct:
        url = f"{direct.url}/bytes/5"
        with ConnectionPool(proxy=one.address()) as pool:
            for _ in range(2):
                for proxy in (None, two.address(), Proxy(two.address()), one.address()):
                    extensions = {"timeout": LIMITS, "proxy": proxy}
                    response = pool.request("GET", url, extensions=extensions)
                    expected = None if proxy is None else str(Proxy(str(proxy)))
                    assert response.extensions["connection"]["proxy"] == expected
                get(pool, url)
    assert [len(server.requests) for server in (direct, two, one)] == [2, 4, 4]
    assert [len(server.connections) for server in (direct, two, one)] == [1, 1, 1]


@pytest.mark.parametrize(
    "value", ["ftp://u:open-sesame@x", "http://u:open-sesame@", 5, b"http://x/open-sesame", "\xe9"]
)
def test_b_a_wrong_extension_is_refused_before_anything_is_opened(value: Any) -> None:
    backend = MockBackend([OK])
    with ConnectionPool(network_backend=backend) as pool:
        with pytest.raises(LocalProtocolError, match="proxy") as caught:
            pool.request("GET", "http://a.test/", extensions={"proxy": value})
        assert "open-sesame" not in f"{caught.value} {caught.value.__cause__}"
    assert backend.connects == []


DIGEST = DigestProxyAuth(USER, PASSWORD)


@pytest.mark.parametrize("url", [PLAIN, TLS])
@pytest.mark.parametrize("auth", [(USER, b"other"), (b"x", PASSWORD), DIGEST, None])
def test_d25_f09_connections_of_other_credentials_are_kept_apart(
    url: str, auth: Any, certificates: Certificates
) -> None:
    steps = (connect(),) if url == TLS else ()
    context = certificates.server_context() if url == TLS else None
    with ProxyServer(*steps, origin_context=context) as server:
        ours = Proxy(server.address(), auth=(USER, PASSWORD))
        same = Proxy(server.address(userinfo=f"{USER.decode()}:{PASSWORD.decode()}"))
        others = Proxy(server.address(), auth=auth)
        with ConnectionPool(ssl_context=certificates.client_context()) as pool:
            for proxy in (ours, others, same, others):
                extensions = {"timeout": LIMITS, "proxy": proxy}
                response = pool.request("GET", url, extensions=extensions)
                assert response.status == 200
    assert ours == same
    assert len(server.connections) == 2
    first, second = (peer.requests[0] for peer in server.connections)
    assert first.header(b"proxy-authorization") == BASIC
    assert second.header(b"proxy-authorization") != BASIC


# Trace


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_events_of_a_proxy(scheme: str, certificates: Certificates, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "httpcore_core")
    events: list[tuple[str, dict[str, Any]]] = []
    step = Socks5((USER, PASSWORD)) if "socks" in scheme else connect()
    with ProxyServer(step, origin_context=certificates.server_context()) as server:
        proxy = Proxy(server.address(scheme), auth=(USER, PASSWORD))
        with ConnectionPool(
            proxy=proxy, ssl_context=certificates.client_context()
        ) as pool:
            extensions = {"trace": lambda name, info: events.append((name, info))}
            pool.request("GET", TLS, extensions=extensions)
    name = "proxy.socks5_handshake" if "socks" in scheme else "proxy.connect"
    kept = ("connection.connect_tcp.", "proxy.", "connection.start_tls.")
    assert [event for event, _ in events if event.startswith(kept)] == [
        f"{event}.{state}"
        for event in ("connection.connect_tcp", name, "connection.start_tls")
        for state in ("started", "complete")
    ]
    started = dict(events)[f"{name}.started"]
    assert started["proxy"] == server.address(scheme)
    assert started["target"] == b"localhost:443"
    if scheme == "http":
        head = dict(events)[f"{name}.complete"]["return_value"]
        assert head[:3] == (b"HTTP/1.1", 200, b"Connection established")
    assert f"{name}.started" in caplog.text
    text = str([{**info, "request": None} for _, info in events]) + caplog.text
    assert not any(secret.decode() in text for secret in SECRETS)


def test_i9_the_log_of_a_forwarded_request_has_no_credentials(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "httpcore_core")
    with ProxyServer() as server:
        proxy = Proxy(server.address(), auth=(USER, PASSWORD))
        with ConnectionPool(proxy=proxy) as pool:
            get(pool, PLAIN)
            with pytest.raises(TransportError) as caught:
                get(pool, "http://a.test/hang", read=0.1)
        server.release()
    assert "http11.send_request_headers" in caplog.text
    assert not any(s.decode() in f"{caplog.text} {caught.value!r}" for s in SECRETS)
