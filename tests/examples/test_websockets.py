"""The WebSocket examples: over HTTP/1.1 and HTTP/2, with a real server that echoes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.utilities import generate_accept_token

from httpcore_core import AsyncConnectionPool, ConnectionPool
from httpcore_core.testing import Peer, ScriptedServer
from tests.concurrency import AsyncTaskGroup, TaskGroup
from tests.http2_server import ENABLE_CONNECT_PROTOCOL, HTTP2Server, Link
from tests.protocol.http2_peer import OK

from .conftest import EXAMPLES
from .websocket_server import WebSocketServer

LIMIT = 30.0
"""Seconds until something that must happen by itself is reported not to."""

TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


def address(server: WebSocketServer, tls: bool, path: str = "/echo") -> str:
    return f"{server.tls_url if tls else server.url}{path}"


def options(certificates: Any, tls: bool, *, http2: bool = False) -> dict[str, Any]:
    """Of a pool for that server; in the clear it has to know that the server speaks HTTP/2."""
    context = certificates.client_context() if tls else None
    if context is not None and http2:
        context.set_alpn_protocols(["h2", "http/1.1"])
    return {"ssl_context": context, "http2": http2, "http1": tls or not http2}


def assert_gone(pool: Any) -> None:
    """Nothing of the pool is left, and each connection it opened has been closed."""
    stats = pool.stats()
    live = (stats.active, stats.idle, stats.connecting, stats.closing, stats.queued)
    assert live == (0, 0, 0, 0, 0)
    assert sum(stats.closed.values()) == stats.opened == 1


# As scripts


@pytest.mark.parametrize("name", ["websocket_http11", "websocket_http2"])
def test_script_runs(name: str, websockets: WebSocketServer) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", f"{name}.py", f"{websockets.url}/echo"],
        capture_output=True,
        text=True,
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        timeout=LIMIT,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("0 active, 0 queued") == (2 if name == "websocket_http11" else 1)
    version = "1.1" if name == "websocket_http11" else "2"
    kinds = [(kind, spoken) for kind, spoken, _ in websockets.served]
    assert kinds.count(("websocket", version)) == 2


# HTTP/1.1


@TLS
def test_http11(tls: bool, websockets: Any, examples: Any, certificates: Any) -> None:
    with ConnectionPool(**options(certificates, tls)) as pool:
        examples.websocket_http11.talk(pool, address(websockets, tls))
        assert_gone(pool)
    assert [seen[:2] for seen in websockets.served] == [("websocket", "1.1")]


@TLS
async def test_async_http11(tls: bool, websockets: Any, examples: Any, certificates: Any) -> None:
    async with AsyncConnectionPool(**options(certificates, tls)) as pool:
        await examples.websocket_http11.async_talk(pool, address(websockets, tls))
        assert_gone(pool)
    assert [seen[:2] for seen in websockets.served] == [("websocket", "1.1")]


async def test_http11_is_refused(websockets: Any, examples: Any) -> None:
    async with AsyncConnectionPool() as pool:
        with pytest.raises(RuntimeError, match="403"):
            await examples.websocket_http11.async_talk(pool, address(websockets, False, "/refused"))
    assert_gone(pool)


class Echo:
    """A server's end of a WebSocket over HTTP/1.1, for a `ScriptedServer`: it pings with its first
    bytes, and in the middle of each binary message that it returns. `seen` is what it was told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, peer: Peer) -> None:
        frames = Connection(ConnectionType.SERVER)
        key = peer.read_head().header(b"sec-websocket-key")
        assert key is not None
        accept = b"Sec-WebSocket-Accept: " + generate_accept_token(key)
        head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"
        peer.send(b"%s%s\r\n\r\n%s" % (head, accept, frames.send(Ping(b"one"))))
        data = bytearray()
        while received := peer.receive():
            frames.receive_data(received)
            for event in frames.events():
                if isinstance(event, BytesMessage):
                    data += event.data
                    if not event.message_finished:
                        continue
                    event = BytesMessage(bytes(data))
                self.seen.append(event)
                peer.send(b"".join(map(frames.send, self.answers(event))))

    def answers(self, event: Any) -> list[Any]:
        if isinstance(event, BytesMessage):
            middle = len(event.data) // 2
            first = BytesMessage(event.data[:middle], message_finished=False)
            return [first, Ping(b"two"), BytesMessage(event.data[middle:])]
        if isinstance(event, Message):
            return [event]
        return [] if isinstance(event, Pong) else [event.response()]


class GoingAway(Echo):
    def answers(self, event: Any) -> list[Any]:
        return [CloseConnection(1001, "restart")] if isinstance(event, Message) else []


async def test_http11_pings_of_the_server_are_answered(examples: Any) -> None:
    """The first comes in one piece with the response's head."""
    echo, frames = Echo(), examples.websocket_frames
    with ScriptedServer(echo) as server:
        async with AsyncConnectionPool() as pool:
            await examples.websocket_http11.async_talk(pool, f"http://127.0.0.1:{server.port}/")
            assert_gone(pool)
        assert server.connections[0].done.wait(LIMIT)
    assert echo.seen == [
        TextMessage("Hello, wörld!"),
        Pong(b"one"),
        BytesMessage(frames.DATA),
        Pong(b"two"),
        Ping(b"still there?"),
        CloseConnection(1000, "bye"),
    ]


async def test_http11_a_server_that_closes_is_answered_before_the_end(examples: Any) -> None:
    echo = GoingAway()
    with ScriptedServer(echo) as server:
        async with AsyncConnectionPool() as pool:
            with pytest.raises(RuntimeError, match="1001.*, not TextMessage"):
                await examples.websocket_http11.async_talk(pool, f"http://127.0.0.1:{server.port}/")
        assert_gone(pool)
        assert server.connections[0].done.wait(LIMIT)
    assert echo.seen[-1] == CloseConnection(1001, "restart")
    assert server.connections[0].ended == "FIN"


# HTTP/2


@TLS
async def test_http2(
    tls: bool, websockets: Any, examples: Any, certificates: Any, settled: Any
) -> None:
    """The connection outlives the WebSockets: an ordinary request follows on the same one."""
    async with AsyncConnectionPool(**options(certificates, tls, http2=True)) as pool:
        ids = await examples.websocket_http2.talk(pool, address(websockets, tls))
        assert len(ids) == 4
        assert len(set(ids)) == 1
        settled(pool)
        assert pool.stats().idle == 1
    assert_gone(pool)
    kinds = [(kind, version) for kind, version, _ in websockets.served]
    assert kinds == [("websocket", "2"), ("websocket", "2"), ("http", "2"), ("http", "2")]
    assert len({port for _, _, port in websockets.served}) == 1


@TLS
async def test_http2_all_at_once(
    tls: bool, websockets: Any, examples: Any, certificates: Any, settled: Any
) -> None:
    example, url = examples.websocket_http2, address(websockets, tls)
    async with AsyncConnectionPool(**options(certificates, tls, http2=True)) as pool:
        async with example.connect(pool, url) as first, example.connect(pool, url) as second:
            async with AsyncTaskGroup() as group:
                group.start(example.async_converse, example.opened(first))
                group.start(example.async_converse, example.opened(second))
                requests = [group.start(pool.request, "GET", url) for _ in range(10)]
                responses = [first, second, *[await job.result() for job in requests]]
            assert [response.status for response in responses] == [200] * 12
            assert pool.stats().active == 1
        settled(pool)
    assert len({response.extensions["connection"]["id"] for response in responses}) == 1
    assert_gone(pool)


@TLS
def test_sync_http2_all_at_once(
    tls: bool, websockets: Any, examples: Any, certificates: Any, settled: Any
) -> None:
    """The same in threads, with the conversation of the sync example."""
    example, url = examples.websocket_http2, address(websockets, tls)
    with ConnectionPool(**options(certificates, tls, http2=True)) as pool:
        with example.connect(pool, url) as first, example.connect(pool, url) as second:
            with TaskGroup() as group:
                group.start(examples.websocket_http11.converse, example.opened(first))
                group.start(examples.websocket_http11.converse, example.opened(second))
                requests = [group.start(pool.request, "GET", url) for _ in range(10)]
                responses = [first, second, *[job.result() for job in requests]]
            assert [response.status for response in responses] == [200] * 12
            assert pool.stats().active == 1
        settled(pool)
        after = pool.request("GET", url)
    assert len({r.extensions["connection"]["id"] for r in (*responses, after)}) == 1
    assert_gone(pool)


async def test_http2_is_refused(websockets: Any, examples: Any, settled: Any) -> None:
    async with AsyncConnectionPool(http1=False, http2=True) as pool:
        with pytest.raises(RuntimeError, match="403"):
            async with examples.websocket_http2.connect(
                pool, address(websockets, False, "/refused")
            ) as response:
                examples.websocket_http2.opened(response)
        settled(pool)
        response = await pool.request("GET", address(websockets, False))
        assert response.content == b"echo"
    assert_gone(pool)


async def test_http2_a_server_that_closes_is_answered(examples: Any, settled: Any) -> None:
    """Its Close comes with END_STREAM: the stream is half-closed then (RFC 9113, section 5.1)."""
    heard: list[Any] = []

    def close(link: Link) -> None:
        request, frames = link.next_request(), Connection(ConnectionType.SERVER)
        link.send(link.peer.headers(request.id, OK))
        link.wait_for(lambda: link.peer.bodies[request.id])
        goodbye = frames.send(CloseConnection(1001, "restart"))
        link.send(link.peer.data(request.id, goodbye, end=True))
        link.wait_for(lambda: request.id in link.peer.ended or request.id in link.resets)
        frames.receive_data(bytes(link.peer.bodies[request.id]))
        heard.extend(frames.events())
        link.answer_all()

    example = examples.websocket_http2
    with HTTP2Server(close, settings={ENABLE_CONNECT_PROTOCOL: 1}) as server:
        async with AsyncConnectionPool(http1=False, http2=True) as pool:
            async with example.connect(pool, f"{server.url}/") as away:
                with pytest.raises(RuntimeError, match="1001.*, not TextMessage"):
                    await example.async_converse(example.opened(away))
            settled(pool)
            after = await pool.request("GET", f"{server.url}/")
            assert after.extensions["connection"]["id"] == away.extensions["connection"]["id"]
        assert_gone(pool)
    assert heard == [TextMessage("Hello, wörld!"), CloseConnection(1001, "restart")]
