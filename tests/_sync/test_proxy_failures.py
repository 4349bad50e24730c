"""What goes wrong on the way through a proxy: bounded, named, and without a trace left behind.

After each failure the numbers are zero, the proxy sees the connection end, and the one place in the
pool is free for the next request (contracts X2, P16; faults F01 to F04, F10, F11, F14, E06, I9).
"""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    Origin,
    Proxy,
    ProxyAuth,
    ProxyError,
    ReadError,
    RemoteProtocolError,
    TimeoutException,
    TransportError,
)
from httpcore_core._concurrency import Event
from httpcore_core.testing.http_server import pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests._sync.http2 import SOON, get, until
from tests._sync.proxies import (
    LONG,
    OPENED,
    PASSWORD,
    SECRETS,
    SHORT,
    USER,
    ProxyServer,
    Socks5,
    Step,
    connect,
    ends,
    failure,
    sends,
)
from tests.certificates import Certificates
from tests.hostile.case import check_error

FORBIDDEN = b"HTTP/1.1 403 Not That\r\nX-Why: rules\r\nContent-Length: 6\r\n\r\nno way"


def after_head(*steps: Step) -> Step:
    def script(peer: Peer) -> None:
        peer.read_request()
        for step in steps:
            step(peer)

    return script


def drips_for_ever(peer: Peer) -> None:
    """The limit is one over everything, not one for each byte."""
    peer.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000, interval=0.02)


# CONNECT


@pytest.mark.parametrize(
    ("status", "framing"),
    [
        *((status, "length") for status in (300, 301, 400, 403, 407, 500, 502, 599)),
        *((status, framing) for status in (403, 407) for framing in ("chunked", "end", "cut")),
    ],
)
def test_x2_f01_f02_a_refusal_has_status_headers_and_body(
    status: int, framing: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    head = b"HTTP/1.1 %d Not That\r\nX-Why: rules\r\nLocation: http://other.test/\r\n" % status
    rest = {
        "length": b"Content-Length: 6\r\n\r\nno way",
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n6\r\nno way\r\n0\r\n\r\n",
        "end": b"\r\nno way",
        "cut": b"Content-Length: 60\r\n\r\nno way",
    }[framing]
    script = after_head(sends(head + rest, "fin" if framing in ("end", "cut") else ""))
    error = failure(script, "http", certificates, settled, caplog, LONG)
    assert isinstance(error, ProxyError)
    assert (error.status, error.body, error.phase) == (status, b"no way", "proxy")
    assert (b"X-Why", b"rules") in error.headers
    assert f"{status} Not That" in str(error)
    assert "localhost:443" in str(error)


@pytest.mark.parametrize("end", ["", "fin", "rst"])
def test_x2_a_refusal_that_does_not_end_is_a_refusal(
    end: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    refusal = FORBIDDEN.replace(b"6", b"60")
    script = after_head(lambda peer: peer.drip(refusal), lambda peer: ends(peer, end))
    limits = LONG if end else SHORT
    error = failure(script, "http", certificates, settled, caplog, limits)
    assert isinstance(error, ProxyError)
    assert error.status == 403 or (end == "rst" and error.status is None), "a reset loses data"
    assert b"no way".startswith(error.body)
    assert error.__cause__ is not None


def test_x2_of_a_long_refusal_the_beginning_is_kept(
    certificates: Certificates, settled: Any, caplog: Any
) -> None:
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 9000000\r\n\r\n" + pattern(9_000_000)
    error = failure(after_head(sends(refusal)), "http", certificates, settled, caplog, LONG)
    assert isinstance(error, ProxyError)
    assert error.status == 403
    assert error.body == pattern(64 * 1024)


BROKEN = {
    "garbage": sends(b"\x00\xff" * 100),
    "http-0.9": sends(b"<html>hello</html>\r\n", "fin"),
    "ssh": sends(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "socks": sends(b"\x05\x00"),
    "tls-alert": sends(b"\x15\x03\x01\x00\x02\x02\x46", "fin"),
    "a-flood": sends(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000),
    "a-long-line": sends(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000),
    "interim": sends(b"HTTP/1.1 103 Hints\r\n\r\n" * 100_000),
    "switching": sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "two-lengths": sends(b"HTTP/1.1 403 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    "status": sends(b"HTTP/1.1 20 OK\r\n\r\n"),
    "fin": sends(b"", "fin"),
    "rst": sends(b"", "rst"),
    "half-a-line-fin": sends(b"HTTP/1.1 20", "fin"),
    "half-a-head-fin": sends(b"HTTP/1.1 200 OK\r\nX: ", "fin"),
    "half-a-head-rst": sends(b"HTTP/1.1 200 OK\r\nX: ", "rst"),
    "interim-fin": sends(b"HTTP/1.1 103 Hints\r\n\r\n", "fin"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_x2_f04_what_is_no_answer_to_connect(
    broken: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    script = after_head(BROKEN[broken])
    error = failure(script, "http", certificates, settled, caplog, LONG)
    assert isinstance(error, ProxyError)
    assert (error.status, error.body) in [(None, b""), (403, b"")]
    assert isinstance(error.__cause__, TransportError)
    assert "the proxy" in str(error)


@pytest.mark.parametrize("early", ["close", "reset"])
def test_x2_a_proxy_that_leaves_before_it_is_asked(
    early: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    script = Peer.close if early == "close" else Peer.reset
    error = failure(script, "http", certificates, settled, caplog, LONG)
    assert isinstance(error, (ProxyError, ConnectError))


HANGS = {
    "before": lambda peer: peer.hang(),
    "after-the-request": after_head(sends(b"")),
    "in-the-line": after_head(sends(b"HTTP/1.1 2")),
    "in-the-head": after_head(sends(b"HTTP/1.1 200 OK\r\nX: y")),
    "after-an-interim": after_head(sends(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "dripping": after_head(drips_for_ever),
    "in-the-tunnel": after_head(sends(OPENED)),
}


@pytest.mark.parametrize("hang", HANGS)
@pytest.mark.parametrize("limit", ["connect", "total"])
def test_x2_d03_n2_the_time_of_connect_is_bounded(
    hang: str, limit: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    limits = {limit: 0.3, "pool": 1.0}
    error = failure(HANGS[hang], "http", certificates, settled, caplog, limits)
    assert isinstance(error, ConnectTimeout)
    assert error.limit == 0.3
    assert error.phase == ("tls" if hang == "in-the-tunnel" else "proxy")
    assert ("total deadline" in str(error)) == (limit == "total")


def test_n2_total_is_one_deadline_over_the_tunnel_and_the_response(
    certificates: Certificates, settled: Any
) -> None:
    def slow(peer: Peer) -> None:
        peer.read_request()
        peer.pause(0.2)
        peer.send(OPENED)
        peer.start_tls(certificates.server_context())
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        peer.drip(bytes(1000), interval=0.05)

    with ProxyServer(slow) as server:
        with ConnectionPool(
            proxy=server.address(), ssl_context=certificates.client_context()
        ) as pool:
            extensions = {"timeout": {"total": 0.6, "connect": SOON, "read": SOON}}
            with pytest.raises(TransportError, match="total deadline") as caught:
                pool.request("GET", "https://localhost/", extensions=extensions)
            assert caught.value.phase != "proxy"
            settled(pool)


# What happens in the open tunnel


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("what", ["fin", "rst", "plain", "alert"])
def test_p16_f03_a_failed_handshake_inside_a_tunnel_gives_its_slot_back(
    scheme: str, what: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    step = Socks5((USER, PASSWORD)) if "socks" in scheme else connect()

    def script(peer: Peer) -> None:
        step(peer)
        peer.receive()  # the ClientHello
        answers = {"plain": b"HTTP/1.1 400 Bad\r\n\r\n", "alert": b"\x15\x03\x03\x00\x02\x02\x28"}
        sends(answers.get(what, b""), "rst" if what == "rst" else "fin")(peer)

    error = failure(script, scheme, certificates, settled, caplog, LONG)
    assert isinstance(error, ConnectError)
    assert error.phase == "tls"
    assert error.__cause__ is not None or what == "fin"


@pytest.mark.parametrize("wrong", ["expired", "wrong_host", "self_signed"])
def test_p16_n5_a_wrong_certificate_inside_a_tunnel(
    wrong: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    def script(peer: Peer) -> None:
        connect()(peer)
        peer.start_tls(certificates.server_context(getattr(certificates, wrong)))

    error = failure(script, "http", certificates, settled, caplog, LONG)
    assert isinstance(error, ConnectError)
    assert "certificate" in str(error)
    assert "the proxy" not in str(error), "it is the origin's"


def test_p16_a_tunnel_that_breaks_under_a_request(
    certificates: Certificates, settled: Any
) -> None:
    def script(peer: Peer) -> None:
        connect()(peer)
        peer.start_tls(certificates.server_context())
        peer.read_request()
        peer.reset()

    with ProxyServer(
        connect(), failing=(script,), origin_context=certificates.server_context()
    ) as server:
        with ConnectionPool(
            proxy=server.address(), ssl_context=certificates.client_context(), max_connections=1
        ) as pool:
            with pytest.raises((ReadError, RemoteProtocolError)):
                get(pool, "https://localhost/bytes/5")
            settled(pool)
            assert get(pool, "https://localhost/bytes/5") == pattern(5)


# The way to the proxy


def test_g07_a_proxy_that_does_not_listen(refusing_port: int, settled: Any) -> None:
    place = f"127.0.0.1:{refusing_port}"
    for scheme in ("http", "https", "socks5", "socks5h"):
        for url in ("http://localhost/", "https://localhost/"):
            with ConnectionPool(proxy=f"{scheme}://u:pw-x@{place}") as pool:
                with pytest.raises(ConnectError, match=place) as caught:
                    pool.request("GET", url, extensions={"timeout": LONG})
                assert isinstance(caught.value.__cause__, OSError)
                check_error(caught.value, "pw-x")
                assert f"the proxy {scheme}://" in str(caught.value)
                settled(pool)


@pytest.mark.parametrize("origin", ["http", "https"])
@pytest.mark.parametrize("wrong", ["expired", "wrong_host", "self_signed", "plain", "fin"])
def test_f10_a_proxy_that_is_not_who_it_says_is_told_nothing(
    wrong: str, origin: str, certificates: Certificates, settled: Any
) -> None:
    def script(peer: Peer) -> None:
        if wrong in ("plain", "fin"):
            peer.receive()
            sends(FORBIDDEN if wrong == "plain" else b"", "fin")(peer)
            return
        peer.start_tls(certificates.server_context(getattr(certificates, wrong)))
        peer.received.clear()
        peer.wait_for_end()

    with ScriptedServer(script) as server:
        url = f"https://127.0.0.1:{server.port}"
        proxy = Proxy(url, auth=(USER, PASSWORD), ssl_context=certificates.client_context())
        with ConnectionPool(proxy=proxy, max_connections=1) as pool:
            for _ in range(2):
                with pytest.raises((ConnectError, ProxyError), match="proxy") as caught:
                    pool.request(
                        "GET", f"{origin}://localhost/", extensions={"timeout": LONG}
                    )
                check_error(caught.value, PASSWORD.decode())
                assert caught.value.__cause__ is not None or wrong == "fin"
                settled(pool)
            assert caught.value.phase == "tls"
        server.wait_until_done()
    for peer in server.connections:
        assert not any(word in peer.received for word in (b"CONNECT", b"GET", *SECRETS))


def test_x2_a_proxy_that_hangs_in_its_own_handshake(settled: Any) -> None:
    with ScriptedServer(lambda peer: peer.wait_for_end()) as server:
        with ConnectionPool(proxy=f"https://127.0.0.1:{server.port}") as pool:
            for url in ("http://localhost/", "https://localhost/"):
                with pytest.raises(ConnectTimeout, match="proxy") as caught:
                    pool.request("GET", url, extensions={"timeout": SHORT})
                assert caught.value.limit == 0.3
                settled(pool)
                until(lambda: not server.open_connections)


@pytest.mark.parametrize("url", ["http://a.test/bytes/5", "https://localhost/bytes/5"])
@pytest.mark.parametrize("limit", ["connect", "total"])
def test_n2_the_time_of_a_callable_for_headers_counts(
    url: str, limit: str, certificates: Certificates, settled: Any
) -> None:
    """It sees to its own end, as a body's iterator does, but what it took is gone."""

    def headers(origin: Origin) -> dict[str, str]:
        never.wait(0.2)
        return {}

    never = Event()
    steps = (connect(),) if url.startswith("https:") else ()
    if limit == "connect" and not steps:
        return  # a forwarded request has its headers before it has a connection
    with ProxyServer(*steps, origin_context=certificates.server_context() if steps else None) as s:
        with ConnectionPool(proxy=Proxy(s.address(), headers=headers)) as pool:
            with pytest.raises(TimeoutException) as caught:
                pool.request("GET", url, extensions={"timeout": {limit: 0.1}})
            assert caught.value.limit == 0.1
            settled(pool)


# A trace that fails


@pytest.mark.parametrize("scheme", ["http", "https", "socks5h"])
def test_i5_a_trace_that_raises_at_any_event_of_the_way_leaves_nothing(
    scheme: str, certificates: Certificates, settled: Any
) -> None:
    seen: list[str] = []
    last = 1000

    def trace(name: str, info: dict[str, Any]) -> None:
        if name.startswith(("connection.", "proxy.")):
            seen.append(name)
            if len(seen) != last:
                return
            raise ZeroDivisionError(name)

    context = certificates.server_context()
    with ProxyServer(
        Socks5() if scheme == "socks5h" else connect(),
        proxy_context=context if scheme == "https" else None,
        origin_context=context,
    ) as server:
        own = certificates.client_context() if scheme == "https" else None
        proxy = Proxy(server.address(scheme), ssl_context=own)

        def request() -> None:
            seen.clear()
            with ConnectionPool(
                proxy=proxy, ssl_context=certificates.client_context(), max_connections=1
            ) as pool:
                extensions = {"timeout": LONG, "trace": trace}
                try:
                    pool.request("GET", "https://localhost/bytes/5", extensions=extensions)
                finally:
                    settled(pool)
                    until(lambda: server.open_connections == pool.stats().idle)
                    assert get(pool, "https://localhost/bytes/5") == pattern(5)

        request()
        for number in range(1, len(seen) + 1):
            last = number
            with pytest.raises(ZeroDivisionError):
                request()


# An answer to challenges that is none


@pytest.mark.parametrize("url", ["http://a.test/bytes/5", "https://localhost/bytes/5"])
@pytest.mark.parametrize("value", [b"a\r\nX-Evil: b", b"a\x00b", "text", 5, ZeroDivisionError("")])
def test_i2_what_an_auth_must_not_yield(url: str, value: Any, settled: Any) -> None:
    """It is refused before it is sent, as one of our errors; one of its own is passed on."""

    class Auth(ProxyAuth):
        def flow(self, method: bytes, target: bytes) -> Any:
            if isinstance(value, Exception):
                raise value
            yield value

    with ProxyServer(connect()) as server:
        with ConnectionPool(proxy=Proxy(server.address(), auth=Auth())) as pool:
            with pytest.raises((LocalProtocolError, ZeroDivisionError)):
                get(pool, url)
            settled(pool)
    assert server.requests == []
