"""The transport on urllib3: what reaches the wire, what comes back, what is closed or refused."""

from __future__ import annotations

import gzip
import http.client
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3
from urllib3 import exceptions as theirs

import httpclient
import httpcore_core
from httpclient.transports._urllib3_rules import innermost, meaning
from httpclient.transports.urllib3 import URLLib3Transport
from httpcore_core import ByteStream, Response, SyncByteStream
from httpcore_core.testing import HTTPServer, Peer, ScriptedServer
from tests.certificates import Certificates

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = (b"Host", b"h")


class Body(SyncByteStream):
    """Any iterable as a request body."""

    def __init__(self, chunks: Any) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)


def send(
    transport: URLLib3Transport,
    url: str,
    method: bytes = b"GET",
    headers: Any = (HOST,),
    stream: Any = None,
    **extensions: Any,
) -> Response:
    scheme, _, rest = url.partition("://")
    authority, _, target = rest.partition("/")
    host, _, port = authority.rpartition(":")
    parts = (scheme.encode(), host.encode(), int(port), f"/{target}".encode())
    return transport.handle_request(method, parts, list(headers), stream, extensions)


def echoing(peer: Peer) -> None:
    """Answers each request, with ``ok``."""
    while True:
        peer.read_request()
        peer.send(OK)


def saying(*answer: bytes) -> Any:
    """A script that answers so to one request, and ends the connection."""

    def script(peer: Peer) -> None:
        peer.read_request()
        for part in answer:
            peer.send(part)
        peer.half_close()

    return script


@pytest.fixture
def transport() -> Iterator[URLLib3Transport]:
    with URLLib3Transport() as made:
        yield made


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer() as started:
        yield started


# What is sent


def test_request_is_sent_as_it_is(transport: URLLib3Transport) -> None:
    headers = [(b"hOST", b"h:1"), (b"Cookie", b"a"), (b"X", b"\xff"), (b"cookie", b"b")]
    with ScriptedServer(echoing) as server:
        for target in (b"/a/../b//c?d=%2f", b"*"):
            url = (b"HTTP", b"127.0.0.1", server.port, b"/")
            extensions = {"target": target, "trace": print}
            response = transport.handle_request(b"OPTIONS", url, headers, None, extensions)
            assert response.stream.read() == b"ok"
            assert server.requests[-1].raw == (
                b"OPTIONS %b HTTP/1.1\r\nhOST: h:1\r\nCookie: a\r\nX: \xff\r\ncookie: b\r\n\r\n"
            ) % target.replace(b"%2f", b"%2F")
        assert response.status == 200
        assert response.extensions == {"http_version": b"HTTP/1.1", "reason_phrase": b"OK"}
        assert len(server.connections) == 1


CHUNKED = (b"transfer-Encoding", b"chunked")


LENGTH = (b"content-length", b"3")


@pytest.mark.parametrize(
    ("method", "given", "stream", "expected", "body"),
    [
        (b"GET", [], None, [], b""),
        (b"GET", [], ByteStream(), [], b""),
        (b"POST", [], ByteStream(), [b"Content-Length: 0"], b""),
        (b"POST", [], ByteStream(b"abc"), [b"Content-Length: 3"], b"abc"),
        (b"POST", [LENGTH], ByteStream(b"abc"), [b"content-length: 3"], b"abc"),
        (b"POST", [LENGTH], Body([b"a", b"", b"bc"]), [b"content-length: 3"], b"abc"),
        (b"POST", [], Body([b"ab", b"", b"c"]), [b"Transfer-Encoding: chunked"], b"abc"),
        (b"PUT", [CHUNKED], Body([b"ab", bytearray(b"c")]), [b"te: chunked"], b"abc"),
        (b"PUT", [CHUNKED], ByteStream(b"abc"), [b"te: chunked"], b"abc"),
        (b"PUT", [CHUNKED], ByteStream(), [b"te: chunked"], b""),
        (b"PUT", [CHUNKED], Body([]), [b"te: chunked"], b""),
    ],
)
def test_framing_is_there_once(
    transport: URLLib3Transport, method: bytes, given: Any, stream: Any, expected: Any, body: bytes
) -> None:
    with ScriptedServer(echoing) as server:
        send(transport, server.url, method, [HOST, *given], stream).stream.read()
        request = server.requests[0]
    lines = request.raw.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    expected = [line.replace(b"te:", b"transfer-Encoding:") for line in expected]
    assert sorted(lines) == sorted([b"Host: h", *expected])
    assert request.body == body


def test_bodies_stream_both_ways(transport: URLLib3Transport) -> None:
    """Nothing is sent, nor returned, later than it was there."""
    arrived, read = threading.Event(), threading.Event()

    def upload() -> Iterator[bytes]:
        yield b"first"
        assert arrived.wait(10)
        yield b"second"

    def script(peer: Peer) -> None:
        head = peer.read_head()
        peer.expect(b"5\r\nfirst\r\n")
        arrived.set()
        peer.expect(b"6\r\nsecond\r\n0\r\n\r\n")
        assert head.method == b"POST"
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nfir")
        peer.hang(read)
        peer.send(b"st\r\n6\r\nsecond\r\n0\r\nTrailer: x\r\n\r\n")

    with ScriptedServer(script) as server:
        response = send(transport, server.url, b"POST", stream=Body(upload()))
        body = iter(response.stream)
        assert next(body) == b"fir"
        read.set()
        assert b"".join(body) == b"stsecond"
        assert list(body) == []


def test_nothing_is_followed_decoded_or_reordered(transport: URLLib3Transport) -> None:
    packed = gzip.compress(b"text")
    head = (
        b"HTTP/1.0 302 Look There\r\nLocation: /elsewhere\r\nSet-Cookie: a=1\r\nX: \xe9 \r\n"
        b"set-cookie: b=2\r\nContent-Encoding: gzip\r\nRetry-After: 0\r\n\r\n"
    )
    with ScriptedServer(saying(head, packed)) as server:
        status, headers, stream, extensions = send(transport, server.url)
        assert (status, stream.read()) == (302, packed)
    assert extensions == {"http_version": b"HTTP/1.0", "reason_phrase": b"Look There"}
    cookies = [value for name, value in headers if name.lower() == b"set-cookie"]
    assert cookies == [b"a=1", b"b=2"]
    assert (b"X", b"\xe9") in headers


def test_under_the_client(server: HTTPServer) -> None:
    with httpclient.Client(transport=URLLib3Transport()) as client:
        seen = client.post(f"{server.url}/echo?q", json={"a": 1}).json()
        assert (seen["target"], seen["length"]) == ("/echo?q", 7)
        with client.stream("GET", f"{server.url}/chunked/100000") as response:
            assert len(response.read()) == 100_000
        with pytest.raises(httpclient.ReadTimeout) as caught:
            client.get(f"{server.url}/hang", timeout=0.05)
        assert caught.value.request.url == f"{server.url}/hang"
        client._transport.close()


def test_shared_by_threads(server: HTTPServer) -> None:
    with URLLib3Transport(maxsize=4, block=True) as transport:

        def one(size: int) -> int:
            return len(send(transport, f"{server.url}/bytes/{size}").stream.read())

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(one, range(40))) == list(range(40))
    assert len(server.connections) <= 4


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6(transport: URLLib3Transport) -> None:
    with ScriptedServer(echoing, host="::1") as server:
        for host in ("::1", "[::1]"):
            assert send(transport, f"http://{host}:{server.port}/").stream.read() == b"ok"


# Connections


def test_connection_is_used_again_once_it_was_read(
    transport: URLLib3Transport, server: HTTPServer
) -> None:
    send(transport, f"{server.url}/bytes/100").stream.read()
    send(transport, f"{server.url}/chunked/5000").stream.read()
    send(transport, f"{server.url}/status/204").stream.close()
    send(transport, f"{server.url}/bytes/10", b"HEAD").stream.close()
    response = send(transport, f"{server.url}/bytes/3")
    assert list(response.stream) == [b"\0\1\2"]
    response.stream.close()
    assert len(server.connections) == 1


def test_early_close_ends_the_connection(server: HTTPServer) -> None:
    with URLLib3Transport(block=True) as transport:  # one connection only: it must be given back
        for number, path in enumerate(("bytes/5000000", "drip/100000", "until-close/100000")):
            response = send(transport, f"{server.url}/{path}")
            assert next(iter(response.stream))
            response.stream.close()
            response.stream.close()
            assert list(response.stream) == []
            server.wait_until_done()
            assert len(server.connections) == number + 1
        with pytest.raises(httpcore_core.PoolTimeout) as caught:
            busy = send(transport, f"{server.url}/drip/100000")
            send(transport, server.url, timeout={"pool": 0.01})
        assert (caught.value.limit, caught.value.phase) == (0.01, "pool")
        busy.stream.close()
        assert send(transport, f"{server.url}/bytes/1").stream.read() == b"\0"


def test_interrupted_read_ends_the_connection(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    with URLLib3Transport(block=True) as transport:
        response = send(transport, f"{server.url}/drip/100000")
        with monkeypatch.context() as patch:
            patch.setattr(http.client.HTTPResponse, "read1", interrupted)
            with pytest.raises(KeyboardInterrupt):
                response.stream.read()
        server.wait_until_done()
        assert send(transport, f"{server.url}/bytes/1").stream.read() == b"\0"


def test_pool_manager_passed_in_is_not_closed(server: HTTPServer) -> None:
    with urllib3.PoolManager() as manager:
        with URLLib3Transport(manager) as transport:
            send(transport, f"{server.url}/bytes/1").stream.read()
        with pytest.raises(httpcore_core.PoolClosed):
            send(transport, f"{server.url}/bytes/1")
        assert manager.request("GET", f"{server.url}/bytes/1").data == b"\0"
        assert len(server.connections) == 1


def test_closing_spares_what_is_in_use(server: HTTPServer) -> None:
    transport = URLLib3Transport(maxsize=2)
    send(transport, f"{server.url}/bytes/1").stream.read()
    first = send(transport, f"{server.url}/bytes/100000")
    send(transport, f"{server.url}/bytes/1").stream.read()
    transport.close()
    transport.close()
    assert server.connections[1].done.wait(10)
    assert len(first.stream.read()) == 100_000
    server.wait_until_done()


def test_options() -> None:
    with pytest.raises(ValueError, match="SSLContext"):
        URLLib3Transport(verify=False)
    with pytest.raises(TypeError, match="options of its own"):
        URLLib3Transport(urllib3.PoolManager(), maxsize=3)
    with pytest.raises(TypeError, match="options of its own"):
        URLLib3Transport(urllib3.PoolManager(), verify=ssl.create_default_context())


def test_missing_urllib3_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3", None)
    with pytest.raises(ImportError, match=r"httpclient\[urllib3\]"):
        URLLib3Transport()


# TLS and proxies


def test_tls(certificates: Certificates) -> None:
    wrong = certificates.server_context(certificates.wrong_host)
    trusting = certificates.client_context()
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        for options in ({"verify": trusting}, {"ca_certs": certificates.ca_file}):
            with URLLib3Transport(**options) as transport:
                assert send(transport, f"{server.url}/bytes/1").stream.read() == b"\0"
    with HTTPServer(ssl_context=wrong) as server, URLLib3Transport(verify=trusting) as transport:
        with pytest.raises(httpcore_core.ConnectError, match="not valid for") as caught:
            send(transport, server.url)
        assert caught.value.phase == "tls"
        assert isinstance(caught.value.__cause__, theirs.SSLError)
        for name in ("elsewhere.test", b"elsewhere.test"):
            found = send(transport, f"{server.url}/bytes/1", sni_hostname=name)
            assert found.stream.read() == b"\0"
        assert trusting.check_hostname


def test_usual_authorities_do_not_know_ours(certificates: Certificates) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        with URLLib3Transport() as transport:
            for _ in range(2):
                with pytest.raises(httpcore_core.ConnectError, match="verify failed"):
                    send(transport, server.url)
            assert transport._context is not httpcore_core.default_ssl_context()


def test_client_certificate_that_is_missing(certificates: Certificates) -> None:
    context = certificates.server_context(client_certificate_required=True)
    with HTTPServer(ssl_context=context) as server:
        with URLLib3Transport(verify=certificates.client_context()) as transport:
            with pytest.raises(httpcore_core.ReadError) as caught:
                send(transport, server.url)
    assert caught.value.tls_reason == "tlsv13 alert certificate required"


def test_proxy_of_the_pool_manager(transport: URLLib3Transport) -> None:
    def refusing(peer: Peer) -> None:
        peer.expect(b"CONNECT example.org:443 HTTP/1.")
        peer.read_until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        peer.close()

    secret = {"Proxy-Authorization": "Basic x", "X": "proxy's"}
    with ScriptedServer(echoing, refusing) as server:
        with urllib3.ProxyManager(server.url, proxy_headers=secret) as manager:
            transport = URLLib3Transport(manager)
            headers = [(b"Host", b"h:81"), (b"x", b"origin's")]
            send(transport, "http://h:81/a?b", headers=headers).stream.read()
            assert server.requests[0].target == b"http://h:81/a?b"
            assert server.requests[0].headers == [
                (b"Host", b"h:81"),
                (b"Proxy-Authorization", b"Basic x"),
                (b"X", b"proxy's"),
            ]
            with pytest.raises(httpcore_core.ProxyError, match="403") as caught:
                send(transport, "https://example.org:443/")
            assert caught.value.phase == "proxy"
        with urllib3.ProxyManager("http://127.0.0.1:1") as manager:
            for url in ("http://h:80/", "https://h:443/"):
                with pytest.raises(httpcore_core.ConnectError, match="refused"):
                    send(URLLib3Transport(manager), url)


# Limits


def test_h17_limits_of_urllib3(server: HTTPServer) -> None:
    with URLLib3Transport() as transport:
        for limits in ({}, {"read": 10**400}, {"connect": float("inf"), "pool": None}):
            send(transport, f"{server.url}/bytes/1", timeout=limits).stream.read()
        with pytest.raises(httpcore_core.ReadTimeout) as caught:
            send(transport, f"{server.url}/hang", timeout={"read": 0, "total": 30})
        assert (caught.value.limit, caught.value.phase) == (0.001, "receive headers")
        assert isinstance(caught.value.__cause__, theirs.ReadTimeoutError)
        response = send(transport, f"{server.url}/slow/0", timeout={"read": 0.05})
        assert response.stream.read() == b"slow"


@pytest.mark.parametrize(
    "timeout", [5, {"read": -1}, {"read": True}, {"read": "1"}, {"x": 1}, {"read": float("nan")}]
)
def test_h17_illegal_limits(transport: URLLib3Transport, timeout: Any) -> None:
    with pytest.raises(httpcore_core.LocalProtocolError, match="'timeout' extension"):
        send(transport, "http://127.0.0.1:1/", timeout=timeout)


def test_connect_bounds_tls(certificates: Certificates) -> None:
    with ScriptedServer(lambda peer: peer.hang()) as server:
        with URLLib3Transport(verify=certificates.client_context()) as transport:
            url = f"https://127.0.0.1:{server.port}/"
            with pytest.raises(httpcore_core.ConnectTimeout) as caught:
                send(transport, url, timeout={"connect": 0.05, "read": 30})
    assert (caught.value.limit, caught.value.phase) == (0.05, "connect")


def test_read_bounds_each_read_of_the_body(transport: URLLib3Transport) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK[:-1])
        peer.hang()

    with ScriptedServer(script) as server:
        response = send(transport, server.url, timeout={"read": 0.05, "total": 30})
        with pytest.raises(httpcore_core.ReadTimeout) as caught:
            response.stream.read()
        assert (caught.value.limit, caught.value.phase) == (0.05, "receive body")
        server.release()


def test_connect_bounds_each_write(transport: URLLib3Transport) -> None:
    with ScriptedServer(lambda peer: peer.hang()) as server:
        body = ByteStream(bytes(50_000_000))
        with pytest.raises(httpcore_core.WriteTimeout) as caught:
            send(transport, server.url, b"POST", stream=body, timeout={"connect": 0.05})
    assert (caught.value.limit, caught.value.phase) == (0.05, "send")


@pytest.mark.parametrize("path", ["drip/100000", "until-close/30000000", "hang"])
def test_n2_total_ends_a_response(server: HTTPServer, path: str) -> None:
    with URLLib3Transport() as transport:
        with pytest.raises(httpcore_core.ReadTimeout, match="total deadline passed") as caught:
            limits = {"read": 30, "total": 0.1}
            response = send(transport, f"{server.url}/{path}", timeout=limits)
            for _ in response.stream:
                threading.Event().wait(0.001)  # a reader that takes its time
        server.release()
    assert caught.value.limit == 0.1


def test_n2_total_ends_an_upload(server: HTTPServer) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"a"

    with URLLib3Transport() as transport:
        with pytest.raises(httpcore_core.WriteTimeout, match="total deadline passed"):
            url = f"{server.url}/echo"
            send(transport, url, b"POST", stream=Body(endless()), timeout={"total": 0.05})


# Illegal requests: nothing of them is sent


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": b"G T"},
        {"method": "GET"},
        {"method": b"CONNECT"},
        {"headers": []},
        {"headers": [HOST, HOST]},
        {"headers": [HOST, (b"A", b"b\r\n c")]},
        {"headers": [HOST, (b"A", b" b")]},
        {"headers": [HOST, (b"A: b\r\nC", b"d")]},
        {"headers": [HOST, ("A", "b")]},
        {"headers": [HOST, (b"A",)]},
        {"headers": [HOST, (b"Content-Length", b"0"), CHUNKED]},
        {"headers": [HOST, (b"Content-Length", b"0"), (b"content-length", b"0")]},
        {"headers": [HOST, (b"Content-Length", b"+1")], "stream": ByteStream(b"a")},
        {"headers": [HOST, (b"Content-Length", b"2")], "stream": ByteStream(b"a")},
        {"headers": [HOST, (b"Content-Length", b"2")]},
        {"headers": [HOST, (b"Transfer-Encoding", b"gzip, chunked")]},
        {"stream": b"raw"},
        {"stream": ByteStream(5)},
        {"stream": object()},
        {"target": b"/a b"},
        {"target": b"/a\r\nHost: x"},
        {"target": "/\xe9"},
        {"target": b"/#a"},
        {"target": b"elsewhere:80"},
        {"target": b"*"},
        {"proxy": "http://127.0.0.1:1"},
        {"trailers": []},
        {"sni_hostname": b"\xff"},
    ],
)
def test_h1_illegal_requests(transport: URLLib3Transport, wrong: dict[str, Any]) -> None:
    with ScriptedServer() as server:
        with pytest.raises(httpcore_core.LocalProtocolError):
            send(transport, server.url, **wrong)
        assert server.connections == []


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ((b"gopher", b"h", 70, b"/"), httpcore_core.UnsupportedProtocol),
        ((b"http", b"h\r\n", 80, b"/"), httpcore_core.LocalProtocolError),
        ((b"http", b"", 80, b"/"), httpcore_core.LocalProtocolError),
        ((b"http", b"user@h", 80, b"/"), httpcore_core.LocalProtocolError),
        ((b"http", b"a..localhost", 80, b"/"), httpcore_core.LocalProtocolError),
        ((b"http", b"h", 0, b"/"), httpcore_core.LocalProtocolError),
        ((b"http", b"h", 65536, b"/"), httpcore_core.LocalProtocolError),
        ((b"http", b"h", "80", b"/"), httpcore_core.LocalProtocolError),
        ((b"http", b"h", 80), httpcore_core.LocalProtocolError),
        ("http://h/", httpcore_core.LocalProtocolError),
    ],
)
def test_h1_illegal_urls(transport: URLLib3Transport, url: Any, kind: Any) -> None:
    with pytest.raises(kind):
        transport.handle_request(b"GET", url, [HOST], None, {})


@pytest.mark.parametrize(
    "chunks", [[b"abc"], [b"abcd", b"e"], [b"abc", b"de"], ["abcd"], [b"a", None, b"bcd"]]
)
def test_h8_body_of_another_length(chunks: Any) -> None:
    """The server sees no whole request, and the connection does not serve the next one."""
    with ScriptedServer(echoing) as server, URLLib3Transport(block=True) as transport:
        headers = [HOST, (b"Content-Length", b"4")]
        with pytest.raises(httpcore_core.LocalProtocolError) as caught:
            send(transport, server.url, b"POST", headers, Body(chunks))
        assert (caught.value.origin, caught.value.phase) == (server.url, "send")
        assert send(transport, server.url).stream.read() == b"ok"
        assert len(server.connections) == 2
        assert [request.method for request in server.requests] == [b"GET"]


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(), TimeoutError(), ZeroDivisionError(), theirs.SSLError(), ValueError()],
)
def test_errors_of_the_callers_own_code_pass(error: Exception) -> None:
    def body() -> Iterator[bytes]:
        yield b"a"
        raise error

    with ScriptedServer(echoing) as server, URLLib3Transport(block=True) as transport:
        with pytest.raises(type(error)) as caught:
            send(transport, server.url, b"POST", stream=Body(body()))
        assert caught.value is error
        assert send(transport, server.url).stream.read() == b"ok"


def test_generator_that_is_left_half_way_is_closed(transport: URLLib3Transport) -> None:
    ended = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"a" * 65536
        finally:
            ended.append(True)

    def deaf(peer: Peer) -> None:
        peer.read_head()
        peer.reset()

    with ScriptedServer(deaf) as server:
        with pytest.raises((httpcore_core.NetworkError, httpcore_core.RemoteProtocolError)):
            send(transport, server.url, b"POST", stream=Body(endless()))
    assert ended == [True]


def test_h6_early_answer_to_an_upload(transport: URLLib3Transport, server: HTTPServer) -> None:
    response = send(transport, f"{server.url}/early", b"POST", stream=Body([b"a" * 100_000] * 10))
    assert (response.status, response.stream.read()) == (413, b"too large")


# Broken and hostile servers


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "phase"),
    [
        (b"", "receive headers"),
        (b"SSH-2.0-no\r\n\r\n", "receive headers"),
        (HEAD + b"A: b\r\n" * 1000 + b"\r\n", "receive headers"),
        (HEAD + b"A: " + b"b" * 100_000 + b"\r\n\r\n", "receive headers"),
        (HEAD + b"A: b\0c\r\nContent-Length: 2\r\n\r\nok", "receive headers"),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0", "receive headers"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 4\r\n\r\nok", "receive headers"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", "receive headers"),
        (HEAD + b"Content-Length: -2\r\n\r\nok", "receive headers"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "receive headers"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK, "receive headers"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "receive headers"),
        (OK[:-1], "receive body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "receive body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "receive body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\nab\r\n0\r\n\r\n", "receive body"),
    ],
)
def test_h2_broken_responses(answer: bytes, phase: str) -> None:
    """The connection is not used again, and its place in the pool is free."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(answer)
        if phase == "receive body" or not answer:
            peer.half_close()

    with ScriptedServer(script, echoing) as server:
        with URLLib3Transport(block=True) as transport:
            with pytest.raises(httpcore_core.RemoteProtocolError) as caught:
                send(transport, server.url, timeout={"read": 30}).stream.read()
            assert (caught.value.origin, caught.value.phase) == (server.url, phase)
            server.wait_until_done()
            assert send(transport, server.url).stream.read() == b"ok"


@pytest.mark.parametrize("line", [b"no colon", b"a b: c", b"\xff\xfe", b" folded: first"])
@pytest.mark.parametrize("framing", [b"Content-Length: 4", b"Transfer-Encoding: chunked"])
def test_h2_framing_behind_a_line_that_is_no_field(
    transport: URLLib3Transport, line: bytes, framing: bytes
) -> None:
    """The parser underneath ends the head there; what comes would pass for a whole body."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n" + framing + b"\r\n\r\n2\r\nab")
        peer.half_close()

    with ScriptedServer(script) as server:
        with pytest.raises(httpcore_core.RemoteProtocolError) as caught:
            send(transport, server.url, timeout={"read": 30}).stream.read()
        assert caught.value.origin == server.url
        server.wait_until_done()


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Type: multipart/x-mixed-replace\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64\r\n",
        b"Content-Type: message/rfc822\r\n",
    ],
)
def test_heads_that_would_be_wrong_in_a_mail(transport: URLLib3Transport, fields: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\nab")

    with ScriptedServer(script) as server:
        assert send(transport, server.url).stream.read() == b"ab"


def test_reset(transport: URLLib3Transport) -> None:
    begun = threading.Event()

    def at_once(peer: Peer) -> None:
        peer.read_request()
        peer.reset()

    def in_the_body(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK[:-1])
        peer.hang(begun)
        peer.reset()

    with ScriptedServer(at_once, in_the_body) as server:
        with pytest.raises(httpcore_core.ReadError) as caught:
            send(transport, server.url)
        assert caught.value.phase == "receive headers"
        assert isinstance(innermost(caught.value), ConnectionResetError)
        response = send(transport, server.url)
        body = iter(response.stream)
        assert next(body) == b"o"
        begun.set()
        with pytest.raises(httpcore_core.ReadError) as caught:
            next(body)
        assert caught.value.phase == "receive body"


def test_nobody_there(transport: URLLib3Transport, refusing_port: int) -> None:
    with pytest.raises(httpcore_core.ConnectError, match="refused") as caught:
        send(transport, f"http://127.0.0.1:{refusing_port}/secret")
    assert caught.value.origin == f"http://127.0.0.1:{refusing_port}"
    assert "secret" not in f"{caught.value}{caught.value!r}"
    assert isinstance(caught.value.__cause__, theirs.NewConnectionError)
    with pytest.raises(httpcore_core.ConnectError) as caught:
        send(transport, "http://nowhere.invalid:80/")
    assert isinstance(caught.value.__cause__, theirs.NameResolutionError)


# What errors mean

POOL: Any = urllib3.HTTPConnectionPool("h")
ANSWER: Any = urllib3.HTTPResponse(b"")
CONNECTION: Any = None
BROKEN = ConnectionResetError()
core = httpcore_core

MEANINGS: list[tuple[Exception, str, type[core.TransportError], str]] = [
    (theirs.EmptyPoolError(POOL, ""), "connect", core.PoolTimeout, "pool"),
    (theirs.ClosedPoolError(POOL, ""), "connect", core.PoolClosed, "pool"),
    (theirs.FullPoolError(POOL, ""), "connect", core.TransportError, "connect"),
    (theirs.NewConnectionError(CONNECTION, ""), "send", core.ConnectError, "connect"),
    (
        theirs.NameResolutionError("h", CONNECTION, socket.gaierror()),
        "send",
        core.ConnectError,
        "connect",
    ),
    (theirs.ConnectTimeoutError(), "send", core.ConnectTimeout, "connect"),
    (theirs.ReadTimeoutError(POOL, "", ""), "connect", core.ConnectTimeout, "connect"),
    (theirs.ReadTimeoutError(POOL, "", ""), "receive body", core.ReadTimeout, "receive body"),
    (theirs.TimeoutError(), "send", core.TimeoutException, "send"),
    (theirs.SSLError(), "connect", core.ConnectError, "tls"),
    (theirs.SSLError(), "receive body", core.ReadError, "receive body"),
    (theirs.ProxyError("", BROKEN), "connect", core.ProxyError, "proxy"),
    (
        theirs.ProxyError("", theirs.ConnectTimeoutError()),
        "connect",
        core.ConnectTimeout,
        "connect",
    ),
    (theirs.ProtocolError("", BROKEN), "connect", core.ConnectError, "tls"),
    (theirs.ProtocolError("", BROKEN), "send", core.WriteError, "send"),
    (theirs.ProtocolError("", BROKEN), "receive body", core.ReadError, "receive body"),
    (theirs.ProtocolError("", TimeoutError()), "send", core.WriteTimeout, "send"),
    (
        theirs.ProtocolError("", http.client.RemoteDisconnected()),
        "receive headers",
        core.RemoteProtocolError,
        "receive headers",
    ),
    (theirs.ProtocolError(), "receive body", core.RemoteProtocolError, "receive body"),
    (theirs.ResponseNotChunked(), "receive body", core.RemoteProtocolError, "receive body"),
    (theirs.IncompleteRead(1, 2), "receive body", core.RemoteProtocolError, "receive body"),
    (
        theirs.InvalidChunkLength(ANSWER, b"x"),
        "receive body",
        core.RemoteProtocolError,
        "receive body",
    ),
    (theirs.InvalidHeader(), "send", core.RemoteProtocolError, "receive headers"),
    (theirs.URLSchemeUnknown("x"), "connect", core.UnsupportedProtocol, "request"),
    (theirs.ProxySchemeUnknown("x"), "connect", core.UnsupportedProtocol, "request"),
    (theirs.LocationValueError(), "connect", core.LocalProtocolError, "request"),
    (theirs.LocationParseError("x"), "connect", core.LocalProtocolError, "request"),
    (ValueError(), "connect", core.LocalProtocolError, "request"),
    (theirs.MaxRetryError(POOL, "", theirs.SSLError()), "connect", core.ConnectError, "tls"),
    (theirs.MaxRetryError(POOL, ""), "connect", core.TransportError, "connect"),
]

# Of what is never asked of urllib3 here: retries, redirects, decoding, rewinding, single chunks.
ELSEWHERE = {
    theirs.BodyNotHttplibCompatible,
    theirs.DecodeError,
    theirs.HeaderParsingError,
    theirs.HostChangedError,
    theirs.ResponseError,
    theirs.TimeoutStateError,
    theirs.UnrewindableBodyError,
}
ABSTRACT = {theirs.HTTPError, theirs.PoolError, theirs.RequestError}


@pytest.mark.parametrize(("error", "phase", "kind", "expected"), MEANINGS)
def test_every_error_has_a_meaning(error: Any, phase: str, kind: type, expected: str) -> None:
    assert meaning(error, phase) == (kind, expected)


def test_no_error_of_urllib3_is_forgotten() -> None:
    kinds = {
        kind
        for kind in vars(theirs).values()
        if isinstance(kind, type) and issubclass(kind, theirs.HTTPError)
    }
    assert kinds == {type(row[0]) for row in MEANINGS} - {ValueError} | ELSEWHERE | ABSTRACT
    for kind in ELSEWHERE | ABSTRACT:
        error = kind.__new__(kind)
        assert meaning(error, "send") == (core.TransportError, "send")
