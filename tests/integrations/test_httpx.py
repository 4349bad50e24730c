"""`httpx.Client` and `httpx.AsyncClient`, as they are published, on the core."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import io
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import httpcore_core
import httpcore_core.httpx as bridge
from httpcore_core.testing import (
    CancelStep,
    Exchange,
    HTTPServer,
    Peer,
    ScriptedServer,
    cancel_at_every_step,
)
from tests.certificates import Certificates
from tests.http2_server import HTTP2Server
from tests.integrations import Caller, every_style, settled

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def redirect(exchange: Exchange) -> None:
    exchange.read()
    exchange.respond(status=int(exchange.argument), headers=[(b"Location", b"/echo")])


def cookies(exchange: Exchange) -> None:
    exchange.read()
    exchange.respond(headers=[(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2; Path=/")])


def digest(exchange: Exchange) -> None:
    head = exchange.read()
    if (head.header(b"authorization") or b"").startswith(b'Digest username="user"'):
        return exchange.respond(b"welcome")
    challenge = b'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
    return exchange.respond(b"who?", status=401, headers=[(b"WWW-Authenticate", challenge)])


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    routes = {"redirect": redirect, "cookies": cookies, "digest": digest}
    with HTTPServer(routes) as started:
        yield started


# Requests


@every_style
async def test_get(style: str, server: HTTPServer) -> None:
    async with Caller(style) as call:
        response = await call("GET", f"{server.url}/echo?q=%C3%BC", headers={"X-A": "b"})
    seen = response.json()
    assert (seen["method"], seen["target"], seen["length"]) == ("GET", "/echo?q=%C3%BC", 0)
    assert ["X-A", "b"] in seen["headers"]
    assert seen["headers"][0][0] == "Host"
    assert not {"content-length", "transfer-encoding"} & {n.lower() for n, _ in seen["headers"]}
    assert (response.status_code, response.http_version) == (200, "HTTP/1.1")
    assert (response.reason_phrase, response.is_closed) == ("OK", True)
    assert response.extensions["connection"]["request_number"] == 1
    assert response.elapsed.total_seconds() >= 0


@every_style
async def test_bodies_of_every_kind(style: str, server: HTTPServer) -> None:
    big = bytes(range(256)) * 4096
    files = {"file": ("name.bin", io.BytesIO(big))}
    async with Caller(style) as call:
        sent = [
            (await call("POST", f"{server.url}/echo", **body)).json()
            for body in ({"json": {"a": 1}}, {"data": {"a": "b"}}, {"content": big}, {})
        ]
        multipart = (await call("POST", f"{server.url}/echo", files=files)).json()
    assert [seen["length"] for seen in sent] == [7, 3, len(big), 0]
    assert sent[2]["sha256"] == hashlib.sha256(big).hexdigest()
    assert ["Content-Length", "0"] in sent[3]["headers"]
    assert multipart["length"] > len(big)
    assert {seen["connection"] for seen in (*sent, multipart)} == {0}


class Parts:
    """A body that can be iterated once. No generator: HTTPX leaves those half-way at times."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = iter(chunks)

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


def parts(style: str, *chunks: bytes) -> Any:
    return iter(chunks) if style == "sync" else Parts(*chunks)


@every_style
async def test_upload_and_download_in_parts(style: str, server: HTTPServer) -> None:
    async with Caller(style) as call:
        body = parts(style, b"a" * 70_000, b"", b"b")
        seen = (await call("POST", f"{server.url}/echo", content=body)).json()
        assert seen["sha256"] == hashlib.sha256(b"a" * 70_000 + b"b").hexdigest()
        assert ["Transfer-Encoding", "chunked"] in seen["headers"]
        response = await call.send("GET", f"{server.url}/chunked/200000")
        assert len(await call.read(response)) == 200_000
        assert response.extensions["trailers"] == [(b"X-Trailer", b"end")]
        assert (await call("GET", f"{server.url}/echo")).json()["connection"] == 0


@every_style
async def test_redirects_cookies_and_auth(style: str, server: HTTPServer) -> None:
    async with Caller(style, client_options={"follow_redirects": True}) as call:
        kept = await call("POST", f"{server.url}/redirect/307", content=b"again")
        changed = await call("POST", f"{server.url}/redirect/303", content=b"again")
        await call("GET", f"{server.url}/cookies")
        with_cookies = await call("GET", f"{server.url}/echo")
        basic = await call("GET", f"{server.url}/echo", auth=("user", "secret"))
        welcome = await call("GET", f"{server.url}/digest", auth=httpx.DigestAuth("user", "x"))
    assert (kept.json()["method"], kept.json()["length"]) == ("POST", 5)
    assert (changed.json()["method"], changed.json()["length"]) == ("GET", 0)
    assert [response.status_code for response in kept.history] == [307]
    assert ["Cookie", "a=1; b=2"] in with_cookies.json()["headers"]
    assert ["Authorization", "Basic dXNlcjpzZWNyZXQ="] in basic.json()["headers"]
    assert (welcome.text, [r.status_code for r in welcome.history]) == ("welcome", [401])
    assert len(server.connections) == 1


@every_style
async def test_extensions_of_the_core(style: str, server: HTTPServer) -> None:
    seen: list[str] = []
    hints: list[int] = []

    def trace(name: str, info: dict[str, Any]) -> None:
        seen.append(name)

    async def async_trace(name: str, info: dict[str, Any]) -> None:
        seen.append(name)

    extensions = {
        "trace": trace if style == "sync" else async_trace,
        "informational": lambda status, headers: hints.append(status),
        "target": b"/informational",
    }
    async with Caller(style) as call:
        response = await call.send("GET", f"{server.url}/", extensions=extensions)
        stream = response.extensions["network_stream"]
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        assert await call.read(response) == b"final"
    assert hints == [103]
    assert "connection.connect_tcp.complete" in seen
    assert seen[-1] == "http11.response_closed.complete"


@every_style
async def test_options_are_those_of_the_pool(style: str, socket_path: str) -> None:
    with HTTPServer(path=socket_path) as server:
        async with Caller(style, uds=socket_path, max_connections=3) as call:
            assert (await call("GET", "http://h/echo")).json()["connection"] == 0
            assert call.transport.pool.stats().idle == 1
        assert server.connections[0].requests[0].header(b"host") == b"h"


@every_style
async def test_the_proxy_is_the_transports(style: str) -> None:
    def script(peer: Peer) -> None:
        assert peer.read_request().target == b"http://example.org/a"
        peer.send(OK)

    with ScriptedServer(script) as proxy:
        async with Caller(style, proxy=f"http://user:pass@127.0.0.1:{proxy.port}") as call:
            assert (await call("GET", "http://example.org/a")).text == "ok"
        assert proxy.requests[0].header(b"proxy-authorization") == b"Basic dXNlcjpwYXNz"


@every_style
async def test_mounts(style: str, server: HTTPServer) -> None:
    kind = bridge.HTTPTransport if style == "sync" else bridge.AsyncHTTPTransport
    mounted: Any = kind()
    nowhere = httpx.MockTransport(lambda request: httpx.Response(404))
    client: Any = (httpx.Client if style == "sync" else httpx.AsyncClient)(
        transport=nowhere, mounts={"http://127.0.0.1": mounted}
    )
    assert (await settled(client.get(f"{server.url}/status/200"))).status_code == 200
    assert (await settled(client.get("http://127.0.0.2/"))).status_code == 404
    await settled(client.close() if style == "sync" else client.aclose())
    with pytest.raises(httpcore_core.PoolClosed):
        await settled(mounted.pool.request("GET", server.url))


# Connections


# HTTPX wraps every body in generators of its own and does not close them; trio says so.
half_way = pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")


@half_way
@every_style
async def test_early_close_gives_the_connection_back(
    style: str, server: HTTPServer, settled: Callable[[Any], None]
) -> None:
    async with Caller(style, max_connections=1) as call:
        for path in ("/bytes/5000000", "/bytes/10", "/drip/100000"):
            response = await call.send("GET", f"{server.url}{path}")
            assert await call.first(response)
            await call.close(response)
            settled(call.transport.pool)
        # A single connection is allowed, so that what is not given back is missed here.
        assert (await call("GET", f"{server.url}/bytes/3")).content == b"\0\1\2"


def answer_then_leave(peer: Peer) -> None:
    peer.read_request()
    peer.send(OK)
    peer.read_head()
    peer.close()


@every_style
async def test_p6_what_is_in_memory_is_sent_again(style: str) -> None:
    def script(peer: Peer) -> None:
        assert peer.read_request().body == b"whole"
        peer.send(OK)

    with ScriptedServer(answer_then_leave, script) as server:
        async with Caller(style) as call:
            await call("GET", server.url)
            assert (await call("PUT", server.url, content=b"whole")).text == "ok"


@every_style
async def test_p6_what_is_a_stream_is_not_sent_again(style: str) -> None:
    with ScriptedServer(answer_then_leave) as server:
        async with Caller(style) as call:
            await call("GET", server.url)
            with pytest.raises((httpx.RemoteProtocolError, httpx.NetworkError)):
                await call("PUT", server.url, content=parts(style, b"a", b"b"))
        assert len(server.connections) == 1


@pytest.mark.parametrize("flavour", ["asyncio"], indirect=True)
def test_two_hundred_requests_at_once(run: Callable[..., Any], server: HTTPServer) -> None:
    async def main() -> None:
        async with Caller("asyncio", max_connections=20) as call:

            async def one(number: int) -> bytes:
                content = b"%d" % number * number
                seen = (await call("POST", f"{server.url}/echo", content=content)).json()
                assert seen["sha256"] == hashlib.sha256(content).hexdigest()
                return content

            sent = await asyncio.gather(*map(one, range(200)))
            assert len(set(sent)) == 200
            assert call.transport.pool.stats().opened <= 20

    run(main)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_p1_cancelled_anywhere(library: Any, settled: Callable[[Any], None]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"

    async def scenario(step: CancelStep) -> None:
        backend = httpcore_core.AsyncMockBackend([head[:20], head[20:], b"ab", b"cd"])
        async with Caller(library, network_backend=backend) as call:

            async def exchange() -> bytes:
                body = parts(library, b"a", b"b")
                return (await call("POST", "http://h/", content=body)).content

            if await step.run(exchange):
                assert step.result == b"abcd"
            settled(call.transport.pool)
        assert backend.open_streams == 0

    assert cancel_at_every_step(scenario, library=library) > 5


# TLS and HTTP/2


@half_way
@every_style
async def test_http2_over_tls(style: str, certificates: Certificates) -> None:
    trusting = certificates.client_context()
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    with HTTP2Server(ssl_context=certificates.server_context(alpn=("h2",))) as server:
        async with Caller(style, verify=trusting, http2=True) as call:
            response = await call("POST", f"{server.url}/echo", content=b"a" * 100_000)
            assert response.json()["length"] == 100_000
            assert response.http_version == "HTTP/2"
            assert "reason_phrase" not in response.extensions
            assert response.extensions["stream_id"] == 1
            response = await call.send("GET", f"{server.url}/chunked/1000")
            assert len(await call.read(response)) == 1000
            assert response.extensions["trailers"] == [(b"x-trailer", b"end")]
            left = await call.send("GET", f"{server.url}/endless")
            assert await call.first(left)
            await call.close(left)
            assert (await call("GET", f"{server.url}/bytes/1")).content == b"\0"
        assert server.http2_connections == 1


@every_style
async def test_verification(style: str, certificates: Certificates) -> None:
    trusting = certificates.client_context()
    context = certificates.server_context(certificates.wrong_host)
    with HTTPServer(ssl_context=context) as server:
        async with Caller(style, verify=trusting) as call:
            with pytest.raises(httpx.ConnectError, match="not valid for"):
                await call("GET", server.url)
            found = await call(
                "GET", f"{server.url}/bytes/1", extensions={"sni_hostname": "elsewhere.test"}
            )
            assert found.content == b"\0"
        async with Caller(style) as call:  # the usual authorities do not know ours
            with pytest.raises(httpx.ConnectError) as caught:
                await call("GET", server.url)
    assert isinstance(caught.value.__cause__, httpcore_core.ConnectError)
    assert isinstance(caught.value.__cause__.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("kind", [bridge.HTTPTransport, bridge.AsyncHTTPTransport])
def test_verification_cannot_be_turned_off_by_the_way(kind: Any) -> None:
    with pytest.raises(ValueError, match="SSLContext"):
        kind(verify=False)


# Errors

ERRORS = [
    kind
    for name in httpcore_core.__all__
    if isinstance(kind := getattr(httpcore_core, name), type)
    and issubclass(kind, httpcore_core.TransportError)
]


class Failing(httpcore_core.SyncByteStream, httpcore_core.AsyncByteStream):
    """A pool, or the body of its response, that has nothing but an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def handle_request(self, *_: Any) -> Any:
        raise self.error

    async def handle_async_request(self, *_: Any) -> Any:
        raise self.error

    def __iter__(self) -> Any:
        return self

    __aiter__ = __iter__

    def __next__(self) -> bytes:
        raise self.error

    async def __anext__(self) -> bytes:
        raise self.error

    def close(self) -> None:
        raise self.error

    async def aclose(self) -> None:
        raise self.error


class OfABackend(httpcore_core.ReadError):
    """What a network backend of somebody's own may raise."""


class Answering:
    """A pool whose responses have this body."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def handle_request(self, *_: Any) -> Any:
        return 200, [], self.stream, {}

    async def handle_async_request(self, *_: Any) -> Any:
        return 200, [], self.stream, {}


@pytest.mark.parametrize("kind", [*ERRORS, OfABackend])
def test_every_error_has_its_equivalent(kind: type[httpcore_core.TransportError]) -> None:
    without_one = {"PoolClosed": httpx.TransportError, "OfABackend": httpx.ReadError}
    expected = without_one.get(kind.__name__) or getattr(httpx, kind.__name__)
    error = kind("what", origin="http://h:80", phase="connect")
    request = httpx.Request("GET", "http://h/")

    async def check() -> None:
        transport, twin = bridge.HTTPTransport(), bridge.AsyncHTTPTransport()
        pool: Any = Failing(error)
        transport.pool = twin.pool = pool
        caught = []
        for call in (transport.handle_request, twin.handle_async_request):
            with pytest.raises(httpx.TransportError) as info:
                await settled(call(request))
            caught.append(info.value)
        transport.pool = twin.pool = Answering(pool)
        sync_body: Any = transport.handle_request(request).stream
        body: Any = (await twin.handle_async_request(request)).stream
        sync_chunks, chunks = iter(sync_body), aiter(body)
        for step in (sync_chunks.__next__, sync_body.close, chunks.__anext__, body.aclose):
            with pytest.raises(httpx.TransportError) as info:
                await settled(step())
            caught.append(info.value)
        assert len(caught) == 6
        for found in caught:
            assert type(found) is expected
            assert (found.request, found.__cause__) == (request, error)
            assert str(found) == str(error) == "http://h:80: connect: what"

    with pytest.raises(StopIteration):
        check().send(None)


@every_style
async def test_timeouts(style: str, server: HTTPServer) -> None:
    limits = httpx.Timeout(5.0, read=0.05, pool=0.05)
    async with Caller(style, max_connections=1, client_options={"timeout": limits}) as call:
        with pytest.raises(httpx.ReadTimeout) as caught:
            await call("GET", f"{server.url}/hang")
        assert caught.value.request.url == f"{server.url}/hang"
        assert caught.value.__cause__.limit == 0.05  # type: ignore[union-attr]
        response = await call.send("GET", f"{server.url}/drip/100000")
        with pytest.raises(httpx.PoolTimeout):
            await call("GET", f"{server.url}/echo")
        await call.close(response)
        with pytest.raises(httpx.ReadTimeout, match="total"):
            await call("GET", f"{server.url}/drip/100000", extensions={"timeout": {"total": 0.1}})
        server.release()


@every_style
async def test_errors_of_the_network(
    style: str, settled: Callable[[Any], None], refusing_port: int
) -> None:
    def garbage(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"SSH-2.0-no\r\n\r\n")

    def cut(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.close()

    with ScriptedServer(garbage, cut, cut) as server:
        async with Caller(style) as call:
            with pytest.raises(httpx.ConnectError) as caught:
                await call("GET", f"http://127.0.0.1:{refusing_port}/")
            assert isinstance(caught.value.__cause__.__cause__, OSError)  # type: ignore[union-attr]
            with pytest.raises(httpx.RemoteProtocolError):
                await call("GET", server.url)
            with pytest.raises(httpx.RemoteProtocolError) as caught:
                await call("GET", server.url)
            assert caught.value.request.url == server.url
            response = await call.send("GET", server.url)
            with pytest.raises(httpx.RemoteProtocolError, match="6 bytes"):
                await call.read(response)
            settled(call.transport.pool)


@every_style
async def test_illegal_requests(style: str) -> None:
    url = "http://127.0.0.1:1/"
    async with Caller(style) as call:
        for method, headers in (("GÉT", {}), ("G T", {}), ("GET", {"A": "b\r\nC: d"})):
            with pytest.raises(httpx.LocalProtocolError):
                await call(method, url, headers=headers)
        with pytest.raises(httpx.UnsupportedProtocol):
            await call("GET", "ftp://127.0.0.1/")
        with pytest.raises(httpx.UnsupportedProtocol):
            await call("GET", "/no/host")
        request = httpx.Request("GET", url)
        del request.headers["Host"]
        with pytest.raises(httpx.LocalProtocolError, match="Host"):
            await settled(call.client.send(request))


@every_style
async def test_errors_of_the_callers_own_code_pass(style: str, server: HTTPServer) -> None:
    async def produce() -> AsyncIterator[bytes]:
        yield b"a"
        raise ZeroDivisionError

    def produce_at_once() -> Iterator[bytes]:
        yield b"a"
        raise ZeroDivisionError

    body = produce_at_once() if style == "sync" else produce()
    async with Caller(style) as call:
        request = call.client.build_request("POST", f"{server.url}/echo", content=body)
        with pytest.raises(ZeroDivisionError):
            await settled(call.client.send(request))
        with pytest.raises(httpx.StreamConsumed):
            await settled(call.client.send(request))
    assert server.requests == []


# The module


def test_missing_httpx_is_named_with_its_extra() -> None:
    code = "import sys; sys.modules['httpx'] = None\nimport httpcore_core.httpx"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.endswith(
        "ImportError: httpcore_core.httpx needs HTTPX: pip install 'httpcore-core[httpx]'\n"
    )


def test_it_uses_public_names_only() -> None:
    tree = ast.parse(Path(bridge.__file__).read_text(encoding="utf-8"))
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {n.name for node in froms if node.module == "httpcore_core" for n in node.names}
    assert names <= set(httpcore_core.__all__)
    assert {node.module for node in froms} == {
        "__future__",
        "collections.abc",
        "httpcore_core",
        "typing",
    }
