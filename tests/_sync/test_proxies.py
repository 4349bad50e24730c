"""Every way through a proxy, and that nothing is lost or told on it (contracts X1, X3, N7)."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    HTTPConnection,
    ConnectError,
    LocalProtocolError,
    Origin,
    Proxy,
)
from httpcore_core.testing.http_server import HTTPServer, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.scripts import start_tls
from tests._sync.http2 import LIMITS, Chunks, get, h2_context, until
from tests._sync.proxies import (
    BASIC,
    GRANTED,
    OPENED,
    PASSWORD,
    USER,
    HTTP2ProxyServer,
    ProxyServer,
    Relay,
    Socks5,
    connect,
)
from tests.certificates import Certificates
from tests.concurrency import TaskGroup
from tests.http2_server import Link, serve

EXTENSIONS = {"timeout": LIMITS}


def pool_through(proxy: Any, certificates: Certificates, **options: Any) -> ConnectionPool:
    return ConnectionPool(proxy=proxy, ssl_context=certificates.client_context(), **options)


# Forwarding


def test_x1_forwarding_sends_the_absolute_form(settled: Any) -> None:
    with ProxyServer() as server:
        with ConnectionPool(proxy=server.address()) as pool:
            for url in ("http://origin.test/bytes/5?q=1", "http://other.test:8080/bytes/7"):
                response = pool.request("GET", url, extensions=EXTENSIONS)
                assert response.status == 200
            settled(pool)
    first, second = server.requests
    assert first.target == b"http://origin.test/bytes/5?q=1"
    assert first.header(b"host") == b"origin.test"
    assert second.target == b"http://other.test:8080/bytes/7"
    assert second.header(b"host") == b"other.test:8080"
    assert len(server.connections) == 1, "one connection to the proxy serves all origins"


def test_x1_forwarding_bodies_both_ways() -> None:
    body = pattern(1_000_000)
    with ProxyServer() as server:
        with ConnectionPool(proxy=server.address()) as pool:
            url = "http://origin.test/chunked/1000000"
            for content in (body, Chunks(body[:500_000], body[500_000:])):
                response = pool.request("POST", url, content=content, extensions=EXTENSIONS)
                assert response.content == body
    assert [request.body for request in server.requests] == [body, body]


def test_x1_forwarding_options_for_the_server_as_a_whole() -> None:
    """RFC 9112, section 3.2.4: the asterisk is an absolute form without a path."""
    with ProxyServer(routes={"": lambda exchange: (exchange.read(), exchange.respond())}) as server:
        with ConnectionPool(proxy=server.address()) as pool:
            url = (b"http", b"origin.test", 8001, b"*")
            pool.request("OPTIONS", url, extensions=EXTENSIONS)
    assert server.requests[0].raw.startswith(b"OPTIONS http://origin.test:8001 HTTP/1.1\r\n")


def test_x1_the_connection_of_a_forwarded_request_is_named_for_the_proxy() -> None:
    with ProxyServer() as server:
        with ConnectionPool(proxy=server.address()) as pool:
            response = pool.request("GET", "http://origin.test/bytes/1")
            assert response.extensions["connection"]["proxy"] == server.address()
            assert f":{server.port}" in repr(pool.connections[0])


# Tunnels


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
@pytest.mark.parametrize("auth", [False, True])
def test_x1_n7_an_https_origin(
    scheme: str, auth: bool, certificates: Certificates, settled: Any
) -> None:
    """A megabyte each way: through a tunnel, with TLS to the proxy also TLS in TLS (E12)."""
    body = pattern(1_000_000)
    pair = (USER, PASSWORD) if auth else None
    step = Socks5(pair) if "socks" in scheme else connect()
    proxy_context = certificates.server_context() if scheme == "https" else None
    with ProxyServer(
        step, proxy_context=proxy_context, origin_context=certificates.server_context()
    ) as server:
        own = {"ssl_context": certificates.client_context()} if scheme == "https" else {}
        proxy = Proxy(server.address(scheme), auth=pair, **own)
        with pool_through(proxy, certificates) as pool:
            url = "https://localhost/bytes/1000000"
            for number in (1, 2):
                response = pool.request("PUT", url, content=body, extensions=EXTENSIONS)
                assert response.content == body
                info = response.extensions["connection"]
                assert (info["proxy"], info["request_number"]) == (server.address(scheme), number)
                assert info["tls_version"] == "TLSv1.3"
            settled(pool)
            assert pool.stats().idle == 1
        server.wait_until_done()
    assert len(server.connections) == 1
    assert [request.body for request in server.requests if request.method == b"PUT"] == [body, body]
    if isinstance(step, Socks5):
        (asked,) = step.asked
        assert asked[2] == 443
        assert asked[:2] == (3, "localhost") if scheme == "socks5h" else asked[0] in (1, 4)
        assert step.users == ([pair] if pair else [])
    else:
        assert server.targets == [b"localhost:443"]
        assert server.requests[0].header(b"proxy-authorization") == (BASIC if auth else None)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_x1_socks_for_a_plain_origin(scheme: str) -> None:
    """SOCKS knows no forwarding: the origin sees a request as if it came without a proxy."""
    step = Socks5()
    with ProxyServer(step) as server:
        with ConnectionPool(proxy=server.address(scheme)) as pool:
            assert get(pool, "http://localhost:8001/bytes/5") == pattern(5)
    assert server.requests[0].target == b"/bytes/5"
    assert step.asked[0][2] == 8001


def test_f16_socks5h_looks_up_no_name() -> None:
    """The guard of conftest fails any look-up of a name that is not local."""
    step = Socks5()
    with ProxyServer(step) as server:
        with ConnectionPool(proxy=server.address("socks5h")) as pool:
            assert get(pool, "http://origin.test/bytes/5") == pattern(5)
    assert step.asked == [(3, "origin.test", 80)]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize(
    ("host", "asked"), [("127.0.0.1", (1, "127.0.0.1")), ("[::1]", (4, "::1"))]
)
def test_f16_addresses_are_sent_as_addresses(
    scheme: str, host: str, asked: tuple[int, str]
) -> None:
    step = Socks5()
    with ProxyServer(step) as server:
        with ConnectionPool(proxy=server.address(scheme)) as pool:
            assert get(pool, f"http://{host}:81/bytes/5") == pattern(5)
    assert step.asked == [(*asked, 81)]


@pytest.mark.parametrize(
    "bound",
    [
        b"\x01\x7f\x00\x00\x01",
        b"\x04" + bytes(15) + b"\x01",
        b"\x03\x09localhost",
        b"\x03\xff" + b"x" * 255,
        b"\x03\x00",
    ],
)
@pytest.mark.parametrize("drips", [False, True])
def test_f12_every_form_of_a_reply(bound: bytes, drips: bool) -> None:
    step = Socks5((USER, PASSWORD), reply=b"\x05\x00\x00" + bound + b"\x00\x50", drips=drips)
    with ProxyServer(step) as server:
        proxy = Proxy(server.address("socks5h"), auth=(USER, PASSWORD))
        with ConnectionPool(proxy=proxy) as pool:
            assert get(pool, "http://origin.test/bytes/5") == pattern(5)


def test_f08_credentials_in_the_url_are_decoded() -> None:
    step = Socks5((b"a:b", b"p@ss/\xc3\xa9"))
    with ProxyServer(step) as server:
        proxy = server.address("socks5h", "a%3Ab:p%40ss%2F%C3%A9")
        with ConnectionPool(proxy=proxy) as pool:
            assert get(pool, "http://origin.test/bytes/5") == pattern(5)
            assert "p@ss" not in repr(Proxy(proxy)) + str(Proxy(proxy)) + repr(pool)


def test_x1_connect_to_an_ipv6_address(certificates: Certificates) -> None:
    with ProxyServer(connect(), origin_context=certificates.server_context()) as server:
        with pool_through(server.address(), certificates) as pool:
            assert get(pool, "https://[::1]:8443/bytes/5") == pattern(5)
    assert server.targets == [b"[::1]:8443"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OPENED,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\nProxy-Agent: old\r\n\r\n",
        b"HTTP/1.1 299 \r\nConnection: close\r\n\r\n",
    ],
)
@pytest.mark.parametrize("drips", [False, True])
def test_f02_f06_whatever_is_2xx_opens_a_tunnel(
    answer: bytes, drips: bool, certificates: Certificates
) -> None:
    def step(peer: Peer) -> None:
        peer.read_request()
        (peer.drip if drips else peer.send)(answer)

    with ProxyServer(step, origin_context=certificates.server_context()) as server:
        with pool_through(server.address(), certificates) as pool:
            for _ in range(2):
                assert get(pool, "https://localhost/bytes/5") == pattern(5)
    assert len(server.connections) == 1


@pytest.mark.parametrize("step", [connect(), Socks5()])
def test_x1_a_real_tunnel_to_a_real_origin(step: Any, certificates: Certificates) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as origin:
        with Relay(step, origin.port) as relay:
            scheme = "socks5h" if isinstance(step, Socks5) else "http"
            with pool_through(relay.address(scheme), certificates) as pool:
                with TaskGroup() as group:
                    jobs = [
                        group.start(get, pool, f"https://localhost:{origin.port}/bytes/300000")
                        for _ in range(3)
                    ]
                    for job in jobs:
                        assert job.result() == pattern(300_000)
                assert pool.stats().idle == len(relay.connections)
            origin.wait_until_done()
            relay.wait_until_done()


# HTTPS proxies: each leg has a name and a context of its own


def test_x1_a_forwarding_https_proxy(certificates: Certificates) -> None:
    with ProxyServer(proxy_context=certificates.server_context()) as server:
        proxy = Proxy(server.address("https"), ssl_context=certificates.client_context())
        with ConnectionPool(proxy=proxy) as pool:
            for _ in range(2):
                assert get(pool, "http://origin.test/bytes/5") == pattern(5)
    assert len(server.connections) == 1
    assert server.requests[0].target == b"http://origin.test/bytes/5"


def test_n5_e04_sni_hostname_is_for_the_origin_and_not_for_the_proxy(
    certificates: Certificates,
) -> None:
    names: dict[str, list[str | None]] = {"proxy": [], "origin": []}

    def context(leg: str) -> ssl.SSLContext:
        made = certificates.server_context()
        made.sni_callback = lambda _, name, __: names[leg].append(name)
        return made

    with ProxyServer(
        connect(), proxy_context=context("proxy"), origin_context=context("origin")
    ) as server:
        url = f"https://localhost:{server.port}"
        proxy = Proxy(url, ssl_context=certificates.client_context())
        with pool_through(proxy, certificates) as pool:
            extensions = {**EXTENSIONS, "sni_hostname": "localhost"}
            for _ in range(2):
                pool.request("GET", "https://origin.test/bytes/1", extensions=extensions)
            extensions["sni_hostname"] = "other.test"
            with pytest.raises(ConnectError, match=r"other\.test|[Hh]ostname"):
                pool.request("GET", "https://origin.test/bytes/1", extensions=extensions)
    assert server.targets == [b"origin.test:443"] * 2
    assert names == {"proxy": ["localhost"] * 2, "origin": ["localhost", "other.test"]}


@pytest.mark.parametrize("trusted", ["proxy", "origin"])
def test_e12_e17_trust_in_one_leg_is_not_trust_in_the_other(
    trusted: str, certificates: Certificates, settled: Any
) -> None:
    context = certificates.server_context
    with ProxyServer(connect(), proxy_context=context(), origin_context=context()) as server:
        ours, unverified = certificates.client_context(), ssl.create_default_context()
        of = {"proxy": unverified, "origin": unverified, trusted: ours}
        proxy = Proxy(server.address("https"), ssl_context=of["proxy"])
        with ConnectionPool(proxy=proxy, ssl_context=of["origin"]) as pool:
            with pytest.raises(ConnectError, match="certificate"):
                get(pool, "https://localhost/bytes/1")
            settled(pool)
    assert server.targets == ([b"localhost:443"] if trusted == "proxy" else [])


def test_x1_a_client_certificate_for_the_proxy_only(certificates: Certificates) -> None:
    context = certificates.server_context(client_certificate_required=True)
    with ProxyServer(
        connect(), proxy_context=context, origin_context=certificates.server_context()
    ) as server:
        ours = certificates.client_context(client_certificate=True)
        proxy = Proxy(server.address("https"), ssl_context=ours)
        with pool_through(proxy, certificates) as pool:
            assert get(pool, "https://localhost/bytes/5") == pattern(5)


# HTTP/2


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("tls", [False, True])
def test_x1_http2_through_a_tunnel(
    scheme: str, tls: bool, certificates: Certificates, settled: Any
) -> None:
    """By ALPN, and by prior knowledge, for which an HTTP proxy opens a tunnel, too."""
    step = connect() if scheme == "http" else Socks5()
    context = certificates.server_context(alpn=["h2"]) if tls else None
    options: dict[str, Any] = {"ssl_context": h2_context(certificates)} if tls else {"http1": False}
    with HTTP2ProxyServer(step, ssl_context=context) as server:
        proxy = server.address(scheme)
        with ConnectionPool(proxy=proxy, http2=True, **options) as pool:
            url = "https://localhost" if tls else "http://localhost:8001"
            with TaskGroup() as group:
                jobs = [group.start(get, pool, f"{url}/bytes/70000") for _ in range(10)]
                for job in jobs:
                    assert job.result() == pattern(70_000)
            response = pool.request("GET", f"{url}/bytes/1")
            assert response.extensions["http_version"] == b"HTTP/2"
            assert response.extensions["connection"]["proxy"] == proxy
            settled(pool)
        server.wait_until_done()
    assert server.http2_connections == 1, "T8: one connection for all of them"


def test_x1_alpn_falls_back_to_http1_through_a_tunnel(certificates: Certificates) -> None:
    with ProxyServer(connect(), origin_context=certificates.server_context()) as server:
        context = h2_context(certificates)
        with ConnectionPool(
            proxy=server.address(), ssl_context=context, http2=True
        ) as pool:
            response = pool.request("GET", "https://localhost/bytes/5")
            assert response.extensions["http_version"] == b"HTTP/1.1"


def test_x1_plain_requests_of_an_http2_pool_are_forwarded() -> None:
    with ProxyServer() as server:
        with ConnectionPool(proxy=server.address(), http2=True) as pool:
            assert get(pool, "http://origin.test/bytes/5") == pattern(5)


# What comes behind the proxy's answer


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_x1_bytes_behind_the_answer_are_the_origins(scheme: str) -> None:
    """An HTTP/2 server may speak first: its SETTINGS can share a segment with the answer."""

    def script(link: Link) -> None:
        link._wire.send(OPENED if scheme == "http" else GRANTED)
        link.send(link.peer.settings(server.settings))
        serve(link)

    step = connect(b"") if scheme == "http" else Socks5(reply=b"")
    with HTTP2ProxyServer(step, script=script, greets=False) as server:
        with ConnectionPool(
            proxy=server.address(scheme), http1=False, http2=True
        ) as pool:
            assert get(pool, "http://localhost:8001/bytes/5") == pattern(5)
    assert [frame.type for frame in server.links[0].frames].count(4) == 2, "theirs, and an ACK"


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_e06_bytes_before_the_tls_handshake_end_it(
    scheme: str, certificates: Certificates, settled: Any
) -> None:
    """What was not encrypted is not mixed with what is."""
    answer = (OPENED if scheme == "http" else GRANTED) + b"220 hello\r\n"
    step = connect(answer) if scheme == "http" else Socks5(reply=answer)
    with ProxyServer(step, origin_context=certificates.server_context()) as server:
        with pool_through(server.address(scheme), certificates) as pool:
            with pytest.raises(ConnectError, match="handshake"):
                get(pool, "https://localhost/bytes/1")
            settled(pool)
            until(lambda: not server.open_connections)


# A single connection


def test_x1_one_connection_without_a_pool(certificates: Certificates) -> None:
    with ProxyServer(connect(), origin_context=certificates.server_context()) as server:
        context = certificates.client_context()
        origin = Origin(b"https", b"localhost", 443)
        with HTTPConnection(
            origin, proxy=server.address(), ssl_context=context
        ) as connection:
            for _ in range(2):
                url = (b"https", b"localhost", 443, b"/echo")
                response = connection.request("GET", url, extensions=EXTENSIONS)
                assert json.loads(response.content)["target"] == "/echo"
    assert len(server.connections) == 1


def test_f07_the_callers_own_proxy_authorization_enters_no_tunnel() -> None:
    with ProxyServer(Socks5()) as server:
        headers = {"Proxy-Authorization": BASIC.decode()}
        for scheme, url in (("http", "https://localhost/"), ("socks5h", "http://localhost/")):
            with ConnectionPool(proxy=server.address(scheme)) as pool:
                with pytest.raises(LocalProtocolError, match="Proxy-Authorization"):
                    pool.request("GET", url, headers=headers)
    assert server.connections == []


def test_x1_tls_in_tls_in_one_script(certificates: Certificates) -> None:
    """The origin ends a body with the connection: close_notify of the inner TLS is what counts."""
    context = certificates.server_context()
    with ProxyServer(start_tls(context), connect(), origin_context=context) as server:
        proxy = Proxy(server.address("https"), ssl_context=certificates.client_context())
        with pool_through(proxy, certificates) as pool:
            assert get(pool, "https://localhost/until-close/70000") == pattern(70_000)
            until(lambda: pool.stats().idle == 0)
