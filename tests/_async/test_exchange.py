"""One request and its response over HTTP/1.1, against scripted servers (contracts H3 to H9)."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from httpcore_core import (
    AsyncByteStream,
    AsyncConnectionPool,
    AsyncHTTP11Connection,
    AsyncNetworkStream,
    ByteStream,
    LocalProtocolError,
    Origin,
    ReadError,
    RemoteProtocolError,
    TransportError,
    WriteError,
)
from httpcore_core._protocol.http11 import HTTP11Protocol
from httpcore_core.testing.http_server import HTTPServer, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Chunks(AsyncByteStream):
    """A one-shot body that says how far it was read and whether it was closed."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.taken = 0
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.chunks:
            raise StopAsyncIteration
        self.taken += 1
        return self.chunks.pop(0)

    async def aclose(self) -> None:
        self.closed = True


def answer(*responses: bytes) -> Any:
    """A script that answers one request after the other, then waits for the client to leave."""

    def script(peer: Peer) -> None:
        for response in responses:
            peer.read_request()
            peer.send(response)

    return script


async def test_a_request_and_its_response() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            response = await pool.request("GET", f"{server.url}/bytes/1000", headers={"X-A": "b"})
            assert response.status == 200
            assert response.content == pattern(1000)
            assert response.extensions["http_version"] == b"HTTP/1.1"
            assert response.extensions["reason_phrase"] == b"OK"
            info = response.extensions["connection"]
            assert info["request_number"] == 1
            assert not info["reused"]
            assert info["remote_address"] == ("127.0.0.1", server.port)
            assert info["alpn"] is None
            status, headers, stream, extensions = await pool.handle_async_request(
                b"GET",
                (b"http", b"127.0.0.1", server.port, b"/bytes/3"),
                [(b"Host", b"x"), (b"X-mIxed", b"kept")],
                ByteStream(b""),
                {},
            )
            assert (status, await stream.aread()) == (200, pattern(3))
            assert dict(headers)[b"Content-Length"] == b"3"
            assert extensions["connection"]["reused"]
        assert (b"X-mIxed", b"kept") in server.requests[1].headers
        assert len(server.connections) == 1


async def test_small_bodies_leave_with_the_head_in_one_write() -> None:
    from httpcore_core import AsyncMockBackend

    backend = AsyncMockBackend([OK])
    async with AsyncConnectionPool(network_backend=backend) as pool:
        await pool.request("POST", "http://example.com/", content=b"x" * 1000)
    assert len(backend.streams[0].writes) == 1


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
async def test_bodies_in_memory_and_from_iterators_arrive_whole(size: int) -> None:
    body = pattern(size)
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            url = f"{server.url}/echo"
            response = await pool.request("POST", url, content=body)
            assert response.status == 200
            chunks = Chunks(*[body[at : at + 50_000] for at in range(0, size, 50_000)])
            async with pool.stream("POST", url, content=chunks) as response:
                assert response.status == 200
        assert [request.body for request in server.requests] == [body, body]
        assert len(server.connections) == 1


async def test_h3_no_body_after_head_204_and_304() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            for method, path in [("HEAD", "bytes/9"), ("GET", "status/204"), ("GET", "status/304")]:
                response = await pool.request(method, f"{server.url}/{path}")
                assert response.content == b""
            assert len(server.connections) == 1


@pytest.mark.parametrize("extra", [OK, b"x", b"\r\n"])
async def test_h3_bytes_after_a_response_never_answer_the_next_request(extra: bytes) -> None:
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"
    with ScriptedServer(answer(evil + extra), answer(OK)) as server:
        async with AsyncConnectionPool() as pool:
            first = await pool.request("GET", server.url)
            second = await pool.request("GET", server.url)
            assert (first.content, second.content) == (b"no", b"ok")
    assert len(server.connections) == 2


async def test_h3_bytes_that_arrive_while_idle_close_the_connection() -> None:
    sent = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.hang(idle)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        sent.set()

    idle = threading.Event()
    with ScriptedServer(script, answer(OK)) as server:
        async with AsyncConnectionPool() as pool:
            await pool.request("GET", server.url)
            idle.set()
            assert sent.wait(10)
            response = await pool.request("GET", server.url)
            assert response.content == b"ok"
    assert len(server.connections) == 2


async def test_h4_informational_responses_go_to_the_callback() -> None:
    seen = []

    def informational(status: int, headers: list[tuple[bytes, bytes]]) -> None:
        seen.append((status, headers))

    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            response = await pool.request(
                "GET", f"{server.url}/informational", extensions={"informational": informational}
            )
            assert (response.status, response.content) == (200, b"final")
            assert (await pool.request("GET", f"{server.url}/informational")).status == 200
    assert seen == [(103, [(b"Link", b"</style.css>; rel=preload")])]
    assert len(server.connections) == 1


async def test_h4_an_upgrade_hands_over_the_stream_with_what_was_read() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nearly"
        )
        peer.expect(b"ping")
        peer.send(b"pong")
        peer.wait_for_end()

    headers = {"Connection": "upgrade", "Upgrade": "echo"}
    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            async with pool.stream("GET", server.url, headers=headers) as response:
                assert response.status == 101
                stream = response.extensions["network_stream"]
                assert await stream.read(2) == b"ea"
                assert await stream.read(100, timeout=5) == b"rly"
                await stream.write(b"ping")
                assert await stream.read(100, timeout=5) == b"pong"
                assert pool.stats().active == 1
            assert pool.connections == []
            assert pool.stats().closed == {"not reusable": 1}


async def test_h4_connect_hands_over_the_stream() -> None:
    def script(peer: Peer) -> None:
        request = peer.read_request()
        assert request.target == b"example.com:443"
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        peer.expect(b"hello")
        peer.send(b"world")

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            response = await pool.handle_async_request(
                b"CONNECT",
                (b"http", b"127.0.0.1", server.port, b"example.com:443"),
                [(b"Host", b"example.com:443")],
                ByteStream(b""),
                {},
            )
            stream = response.extensions["network_stream"]
            details = response.extensions["connection"]
            assert details["remote_address"] == ("127.0.0.1", server.port)
            assert details["local_address"][0] == "127.0.0.1"
            # It has no body, and to come to its end does not close the tunnel.
            assert [chunk async for chunk in response.stream] == []
            await stream.write(b"hello")
            assert await stream.read(100, timeout=5) == b"world"
            await stream.aclose()
            assert pool.connections == []
            await response.stream.aclose()


async def test_an_extended_connect_is_refused_and_costs_no_place(settled: Any) -> None:
    """It needs HTTP/2 (RFC 8441): that is known once the connection is there."""
    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            url = (b"http", b"127.0.0.1", server.port, b"/chat")
            headers, extensions = [(b"Host", b"example.com")], {"protocol": b"websocket"}
            for _ in range(2):
                with pytest.raises(LocalProtocolError, match="needs HTTP/2"):
                    await pool.handle_async_request(
                        b"CONNECT", url, headers, ByteStream(b""), extensions
                    )
                settled(pool)
            assert (await pool.request("GET", f"{server.url}/bytes/5")).status == 200


async def test_i2_an_interrupt_before_anything_is_sent_costs_no_place(
    monkeypatch: pytest.MonkeyPatch, settled: Any
) -> None:
    def interrupted(self: object, plan: object) -> bytes:
        raise KeyboardInterrupt

    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            with monkeypatch.context() as patch:
                patch.setattr(HTTP11Protocol, "start", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    await pool.request("GET", f"{server.url}/bytes/5")
            settled(pool)
            assert (await pool.request("GET", f"{server.url}/bytes/5")).status == 200


async def test_h5_the_body_waits_for_100_continue() -> None:
    order = []

    def script(peer: Peer) -> None:
        head = peer.read_head()
        order.append("head")
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.read_body(head._replace(headers=[h for h in head.headers if h[0] != b"Expect"]))
        peer.send(OK)

    seen: list[int] = []
    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            body = Chunks(b"abc")
            response = await pool.request(
                "POST",
                server.url,
                headers={"Expect": "100-continue", "Content-Length": "3"},
                content=body,
                extensions={
                    "expect_continue": 60,
                    "informational": lambda status, headers: seen.append(status),
                },
            )
            assert response.content == b"ok"
    assert seen == [100]
    assert server.requests[0].body == b"abc"


async def test_h5_a_final_answer_means_that_the_body_is_not_sent() -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        peer.wait_for_end()

    with ScriptedServer(script, answer(OK)) as server:
        async with AsyncConnectionPool() as pool:
            body = Chunks(b"abc")
            response = await pool.request(
                "POST",
                server.url,
                headers={"Expect": "100-continue", "Content-Length": "3"},
                content=body,
                extensions={"expect_continue": 60},
            )
            assert response.status == 417
            assert body.taken == 0
            await pool.request("GET", server.url)
        server.wait_until_done()
        assert not bytes(server.connections[0].received).endswith(b"abc")
    assert len(server.connections) == 2


async def test_h5_the_body_is_sent_anyway_after_a_while() -> None:
    def script(peer: Peer) -> None:
        head = peer.read_head()
        peer.read_body(head._replace(headers=[h for h in head.headers if h[0] != b"Expect"]))
        peer.send(OK)

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            response = await pool.request(
                "POST",
                server.url,
                headers={"Expect": "100-continue"},
                content=b"abc",
                extensions={"expect_continue": 0.05},
            )
            assert response.content == b"ok"
    assert server.requests[0].body == b"abc"


TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"


@pytest.mark.parametrize("end", ["stops reading", "resets", "closes"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_h6_an_early_answer_ends_the_upload(end: str, is_chunked: bool) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(TOO_LARGE)
        if end == "stops reading":
            peer.hang()
        elif end == "resets":
            peer.reset()
        else:
            peer.close()

    size = 30_000_000
    body = Chunks(*[bytes(1_000_000)] * 30)
    with ScriptedServer(script, answer(OK)) as server:
        async with AsyncConnectionPool() as pool:
            headers = {} if is_chunked else {"Content-Length": str(size)}
            timeout = {"read": 20.0, "write": 20.0}
            response = await pool.request(
                "POST", server.url, headers=headers, content=body, extensions={"timeout": timeout}
            )
            assert (response.status, response.content) == (413, b"big")
            assert body.taken < 30
            assert pool.connections == []
            assert (await pool.request("GET", server.url)).content == b"ok"


async def test_h6_a_generator_that_is_left_half_way_is_closed() -> None:
    closed = []

    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(1_000_000)
        finally:
            closed.append(True)

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(TOO_LARGE)
        peer.hang()

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            assert (await pool.request("POST", server.url, content=body())).status == 413
            assert closed == [True]


async def test_h6_an_early_answer_to_a_body_in_memory() -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(TOO_LARGE)
        peer.hang()

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            timeout = {"read": 20.0, "write": 20.0}
            response = await pool.request(
                "POST", server.url, content=bytes(30_000_000), extensions={"timeout": timeout}
            )
            assert (response.status, response.content) == (413, b"big")
            assert pool.connections == []


async def test_h6_informational_answers_do_not_end_the_upload() -> None:
    def script(peer: Peer) -> None:
        head = peer.read_head()
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        peer.read_body(head)
        peer.send(OK)

    seen = []
    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            response = await pool.request(
                "POST",
                server.url,
                content=pattern(20_000_000),
                extensions={"informational": lambda status, headers: seen.append(status)},
            )
            assert response.content == b"ok"
    assert seen == [102]
    assert server.requests[0].body == pattern(20_000_000)


async def test_h7_trailers_both_ways() -> None:
    def script(peer: Peer) -> None:
        head = peer.read_head()
        assert dict(head.headers)[b"Transfer-Encoding"] == b"chunked"
        peer.expect(b"3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"2\r\nok\r\n0\r\nX-Trailer: one\r\nx-two: 2\r\n\r\n")

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            response = await pool.request(
                "POST",
                server.url,
                content=Chunks(b"abc"),
                extensions={"trailers": [(b"X-Sum", b"42")]},
            )
            assert response.content == b"ok"
            assert response.extensions["trailers"] == [(b"X-Trailer", b"one"), (b"x-two", b"2")]
            assert len(pool.connections) == 1


@pytest.mark.parametrize("chunks", [[b"ab"], [b"ab", b"cdef"], []])
async def test_h8_a_body_of_the_wrong_length_is_refused(chunks: list[bytes]) -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            with pytest.raises(LocalProtocolError):
                await pool.request(
                    "POST",
                    f"{server.url}/echo",
                    headers={"Content-Length": "4"},
                    content=Chunks(*chunks),
                )
            assert pool.connections == []
            assert (await pool.request("GET", f"{server.url}/echo")).status == 200
        server.wait_until_done()
        sent = bytes(server.connections[0].received).partition(b"\r\n\r\n")[2]
        assert len(sent) < 4
        assert len(server.requests) == 1


@pytest.mark.parametrize("chunks", [[], [b""]])
async def test_h8_a_stream_that_is_said_to_be_empty(chunks: list[bytes], settled: Any) -> None:
    length = {"Content-Length": "0"}
    with HTTPServer() as server:
        url = f"{server.url}/echo"
        async with AsyncConnectionPool() as pool:
            content = Chunks(*chunks)
            response = await pool.request("POST", url, headers=length, content=content)
            assert b'"length": 0' in response.content
            with pytest.raises(LocalProtocolError, match="longer than its Content-Length"):
                await pool.request("POST", url, headers=length, content=Chunks(b"", b"x"))
            settled(pool)
            assert pool.connections == []
        server.wait_until_done()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nconnection: CLOSE\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: y, close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
async def test_h9_keep_alive_rules(head: bytes, kept: bool) -> None:
    with ScriptedServer(answer(head + b"Content-Length: 2\r\n\r\nok")) as server:
        async with AsyncConnectionPool() as pool:
            assert (await pool.request("GET", server.url)).content == b"ok"
            assert len(pool.connections) == int(kept)


async def test_h9_a_request_that_says_close_is_not_followed_by_another() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            await pool.request("GET", f"{server.url}/bytes/1", headers={"Connection": "close"})
            assert pool.connections == []


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
    ],
)
@pytest.mark.parametrize("is_dripped", [False, True])
async def test_h2_broken_responses_are_errors_and_close(
    response: bytes, is_dripped: bool, settled: Any
) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        if is_dripped:
            peer.drip(response)
        else:
            peer.send(response)
        peer.half_close()

    with ScriptedServer(script, answer(OK)) as server:
        async with AsyncConnectionPool(max_connections=1, keepalive_expiry=None) as pool:
            with pytest.raises(RemoteProtocolError) as caught:
                await pool.request("GET", server.url)
            assert str(caught.value).startswith(f"http://127.0.0.1:{server.port}: receive ")
            settled(pool)
            timeout = {"pool": 1.0, "read": 5.0}
            good = await pool.request("GET", server.url, extensions={"timeout": timeout})
            assert good.content == b"ok"
    assert len(server.connections) == 2


async def test_errors_of_the_callers_own_pass_through_and_free_the_slot(settled: Any) -> None:
    class Broken(Chunks):
        async def __anext__(self) -> bytes:
            if self.taken:
                raise ZeroDivisionError
            self.taken += 1
            return b"abc"

    def informational(status: int, headers: object) -> None:
        raise ZeroDivisionError

    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            with pytest.raises(ZeroDivisionError):
                await pool.request("POST", f"{server.url}/echo", content=Broken())
            settled(pool)
            with pytest.raises(ZeroDivisionError):
                await pool.request(
                    "GET",
                    f"{server.url}/informational",
                    extensions={"informational": informational},
                )
            settled(pool)
            assert (await pool.request("GET", f"{server.url}/echo")).status == 200


@pytest.mark.parametrize(
    ("arguments", "extensions"),
    [
        ({"method": b"G T"}, {}),
        ({"target": b"/a b"}, {}),
        ({"headers": [(b"Host", b"x"), (b"a b", b"c")]}, {}),
        ({"headers": [(b"Host", b"x"), (b"a", b"c\r\nd: e")]}, {}),
        ({"headers": [(b"Host", b"x"), (b"a", b"c\n")]}, {}),
        ({"headers": []}, {}),
        ({"headers": [(b"Host", b"x"), (b"Content-Length", b"+3")]}, {}),
        ({"host": b"exa\x00mple.com"}, {}),
        ({"host": b""}, {}),
        ({}, {"target": b"/\r\n"}),
        ({}, {"timeout": {"conect": 1}}),
        ({}, {"timeout": {"connect": -1}}),
        ({}, {"sni_hostname": 7}),
        ({}, {"trace": 7}),
        ({"stream": 7}, {}),
    ],
)
async def test_h1_illegal_requests_are_refused_before_any_socket_is_opened(
    arguments: dict[str, Any], extensions: dict[str, Any]
) -> None:
    from httpcore_core import AsyncMockBackend

    backend = AsyncMockBackend([OK])
    async with AsyncConnectionPool(network_backend=backend) as pool:
        with pytest.raises(LocalProtocolError):
            await pool.handle_async_request(
                arguments.get("method", b"GET"),
                (b"http", arguments.get("host", b"x"), None, arguments.get("target", b"/")),
                arguments.get("headers", [(b"Host", b"x")]),
                arguments.get("stream", ByteStream(b"")),
                extensions,
            )
    assert backend.connects == []


async def test_other_schemes_are_unsupported() -> None:
    from httpcore_core import UnsupportedProtocol

    async with AsyncConnectionPool() as pool:
        with pytest.raises(UnsupportedProtocol):
            await pool.request("GET", "ftp://example.com/")


async def test_a_body_cut_by_a_reset_is_an_error() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        peer.hang(begun)
        peer.reset()

    begun = threading.Event()
    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            with pytest.raises(TransportError):
                async with pool.stream("GET", server.url) as response:
                    async for _ in response.stream:
                        begun.set()
            assert pool.connections == []


async def test_a_body_may_be_read_in_pieces_or_at_once() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            for path in ("bytes/300000", "chunked/300000", "until-close/300000"):
                async with pool.stream("GET", f"{server.url}/{path}") as response:
                    pieces = [piece async for piece in response.stream]
                    assert all(pieces)
                    assert b"".join(pieces) == pattern(300_000)
                    assert [piece async for piece in response.stream] == []


class BrokenPipe(AsyncNetworkStream):
    """Whatever is written fails, but an answer had arrived before."""

    def __init__(self, *received: bytes) -> None:
        self.received = list(received)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        raise WriteError("the peer has gone")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.received.pop(0) if self.received else b""

    async def aclose(self) -> None:
        self.received.clear()


@pytest.mark.parametrize("cut", [1, 40, 1000])
async def test_h6_an_answer_to_a_head_that_could_not_be_sent(cut: int) -> None:
    """It is returned, and nothing of the body is asked for: not even where it came as a whole."""
    answer = b"HTTP/1.1 431 Too Large\r\nContent-Length: 5\r\n\r\nsorry"
    pieces = [answer[at : at + cut] for at in range(0, len(answer), cut)]
    body = Chunks(b"x", b"y")
    origin = Origin(b"http", b"www.example.com", 80)
    connection = AsyncHTTP11Connection(origin, BrokenPipe(*pieces))
    response = await connection.request("POST", "http://www.example.com/", content=body)
    assert (response.status, response.content) == (431, b"sorry")
    assert body.taken == 0
    assert connection.is_closed()


class RefusedInTLS(BrokenPipe):
    """TLS 1.3: the server's refusal comes after the handshake, with a reset right behind it."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        error = ReadError("TLS failed: tlsv13 alert certificate required")
        error.tls_reason = "tlsv13 alert certificate required"
        raise error


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_e14_what_tls_said_explains_more_than_the_write_that_failed(size: int) -> None:
    origin = Origin(b"https", b"www.example.com", 443)
    connection = AsyncHTTP11Connection(origin, RefusedInTLS())
    with pytest.raises(ReadError, match="certificate required"):
        await connection.request("PUT", "https://www.example.com/", content=bytes(size))
    assert connection.is_closed()


async def test_h7_trailers_of_a_body_that_was_iterated_first_and_then_read() -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"
    )
    with ScriptedServer(answer(chunked)) as server:
        async with (
            AsyncConnectionPool() as pool,
            pool.stream("GET", server.url) as response,
        ):
            assert await response.stream.__aiter__().__anext__() == b"hello"
            assert await response.stream.aread() == b""
            assert response.extensions["trailers"] == [(b"X", b"y")]
