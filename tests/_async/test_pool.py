"""The pool over real sockets: limits, reuse, fairness, closing (contracts P2 to P16)."""

from __future__ import annotations

import gc
import random
import threading
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from httpcore_core import (
    AsyncByteStream,
    AsyncConnectionPool,
    AsyncMockBackend,
    ByteStream,
    ConnectError,
    PoolClosed,
    PoolTimeout,
    ReadError,
    RemoteProtocolError,
    TransportError,
)
from httpcore_core._async.http11 import AsyncHTTP11Connection
from httpcore_core._concurrency import AsyncEvent
from httpcore_core.testing.http_server import HTTPServer
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.concurrency import AsyncTaskGroup

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class OneShot(AsyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = iter(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


class Replayable(OneShot):
    replayable = True

    def __init__(self, *chunks: bytes) -> None:
        self._all = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return OneShot(*self._all)


async def get(pool: AsyncConnectionPool, url: str, /, **timeout: float) -> bytes:
    response = await pool.request("GET", url, extensions={"timeout": timeout})
    assert response.status == 200
    return response.content


async def test_connections_and_their_repr() -> None:
    with HTTPServer() as server:
        origin = f"http://127.0.0.1:{server.port}"
        async with AsyncConnectionPool() as pool:
            assert pool.connections == []
            async with pool.stream("GET", f"{server.url}/bytes/9") as response:
                (connection,) = pool.connections
                assert connection.info() == f"'{origin}', HTTP/1.1, ACTIVE, Request Count: 1"
                assert not connection.is_idle()
                assert not connection.is_available()
                assert repr(pool).endswith(
                    "[Requests: 1 active, 0 queued | Connections: 1 active, 0 idle]>"
                )
                await response.stream.aread()
            assert repr(connection).endswith(
                f"HTTPConnection ['{origin}', HTTP/1.1, IDLE, Request Count: 1]>"
            )
            assert connection.is_idle()
            assert connection.is_available()
            assert not connection.is_closed()
            assert not connection.has_expired()
            pool.connections.clear()
            assert pool.connections == [connection]
        assert pool.connections == []
        assert connection.is_closed()
        assert "CLOSED" in repr(connection)


async def test_p2_the_server_never_sees_more_connections_than_the_limit() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=3) as pool:
            async with AsyncTaskGroup() as group:
                for number in range(60):
                    path = "close" if number % 3 == 0 else "bytes/10"
                    group.start(get, pool, f"{server.url}/{path}")
            stats = pool.stats()
            assert stats.queued == stats.active == 0
        assert server.peak <= 3
        assert len(server.requests) == 60


async def test_p2_and_not_more_than_the_limit_of_one_origin() -> None:
    with HTTPServer() as one, HTTPServer() as two:
        async with AsyncConnectionPool(max_connections=5, max_connections_per_origin=2) as pool:
            async with AsyncTaskGroup() as group:
                for number in range(40):
                    server = one if number % 2 else two
                    group.start(get, pool, f"{server.url}/bytes/10")
        assert one.peak <= 2
        assert two.peak <= 2


async def test_p3_an_idle_connection_of_another_origin_makes_room() -> None:
    with HTTPServer() as one, HTTPServer() as two:
        async with AsyncConnectionPool(max_connections=1) as pool:
            for server in (one, two, one):
                await get(pool, f"{server.url}/bytes/1", pool=1.0)
            assert pool.stats().closed == {"evicted": 2}


async def test_p3_first_come_first_served_and_nobody_starves() -> None:
    done: list[str] = []

    async def one_request(pool: AsyncConnectionPool, url: str, name: str) -> None:
        await get(pool, url)
        done.append(name)

    with HTTPServer() as one, HTTPServer() as two:
        async with AsyncConnectionPool(max_connections=1) as pool:
            async with AsyncTaskGroup() as group:
                async with pool.stream("GET", f"{one.url}/bytes/1"):
                    for number in range(40):
                        group.start(one_request, pool, f"{one.url}/bytes/1", f"a{number}")
                        await until(lambda n=number: pool.stats().queued == n + 1)
                    group.start(one_request, pool, f"{two.url}/bytes/1", "b")
                    await until(lambda: pool.stats().queued == 41)
    assert sorted(name for name in done if name != "b") == sorted(f"a{n}" for n in range(40))
    assert done.index("b") < 25
    if isinstance(pool, AsyncConnectionPool) and "Async" in type(pool).__name__:
        assert [name for name in done if name != "b"] == [f"a{n}" for n in range(40)]


async def until(condition: Any) -> None:
    """Let the others run until `condition` holds; the test's time limit is the guard."""
    while not condition():
        await AsyncEvent().wait(0.001)


async def test_p5_a_connection_closed_while_idle_is_noticed_before_use() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.close()
        closed.set()

    closed = threading.Event()
    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            for _ in range(3):
                response = await pool.request("POST", server.url, content=b"x")
                assert response.content == b"ok"
                assert closed.wait(10)
                closed.clear()
    assert len(server.connections) == 3


def dies_at_second_request(end: str) -> Any:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.read_request()
        if end == "FIN":
            peer.close()
        elif end == "RST":
            peer.reset()
        else:
            peer.send(b"H")
            peer.close()

    return script


@pytest.mark.parametrize("end", ["FIN", "RST"])
@pytest.mark.parametrize("body", [b"", b"again", "replayable", "proved empty"])
async def test_p5_an_idempotent_request_is_sent_again_on_a_fresh_connection(
    end: str, body: Any
) -> None:
    def serve(peer: Peer) -> None:
        while peer.ended is None:
            peer.read_request()
            peer.send(OK)

    kinds: dict[Any, Any] = {
        "replayable": Replayable(b"ag", b"ain"),
        "proved empty": OneShot(),
    }
    content = kinds.get(body, body)
    headers = {"Content-Length": "0"} if body == "proved empty" else None
    with ScriptedServer(dies_at_second_request(end), serve) as server:
        async with AsyncConnectionPool() as pool:
            await get(pool, server.url)
            response = await pool.request("PUT", server.url, headers=headers, content=content)
            assert response.content == b"ok"
            assert not response.extensions["connection"]["reused"]
    expected = b"again" if body in (b"again", "replayable") else b""
    assert [request.body for request in server.requests[1:]] == [expected, expected]


@pytest.mark.parametrize(
    ("method", "content", "end"),
    [
        ("POST", b"x", "FIN"),
        ("POST", b"x", "RST"),
        ("PATCH", b"x", "FIN"),
        ("GET", None, "a byte"),
        ("PUT", "one shot", "FIN"),
    ],
)
async def test_p5_p6_other_requests_are_never_sent_twice(
    method: str, content: Any, end: str, settled: Any
) -> None:
    with ScriptedServer(dies_at_second_request(end)) as server:
        async with AsyncConnectionPool() as pool:
            await get(pool, server.url)
            with pytest.raises((RemoteProtocolError, ReadError)):
                body = OneShot(b"x", b"y") if content == "one shot" else content
                await pool.request(method, server.url, content=body)
            settled(pool)
            assert pool.connections == []
    assert len(server.connections) == 1


async def test_p5_a_failure_on_a_fresh_connection_is_final() -> None:
    with ScriptedServer([lambda peer: peer.read_request(), lambda peer: peer.close()]) as server:
        async with AsyncConnectionPool() as pool:
            with pytest.raises(RemoteProtocolError, match="without sending a response"):
                await pool.request("GET", server.url)
    assert len(server.connections) == 1


async def test_p5_many_stale_connections_cost_one_retry() -> None:
    barrier = threading.Barrier(4)

    def dies(peer: Peer) -> None:
        peer.read_request()
        barrier.wait(10)
        peer.send(OK)
        peer.read_request()
        peer.close()

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)

    with ScriptedServer(dies, dies, dies, dies, serve) as server:
        async with AsyncConnectionPool() as pool:
            async with AsyncTaskGroup() as group:
                for _ in range(4):
                    group.start(get, pool, server.url)
            assert pool.stats().idle == 4
            assert await get(pool, server.url) == b"ok"
    assert len(server.connections) == 5
    assert len(server.requests) == 4 + 1 + 1


async def test_p7_a_stale_connection_is_gone_before_the_next_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the request then finds another one that is good."""
    is_good = iter([False, True])
    begin_use = AsyncHTTP11Connection.begin_use
    monkeypatch.setattr(
        AsyncHTTP11Connection, "begin_use", lambda self: begin_use(self) and next(is_good)
    )
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            async with AsyncTaskGroup() as group:
                for _ in range(2):
                    group.start(get, pool, f"{server.url}/hang")
                await until(lambda: len(server.requests) == 2)
                server.release()
            assert pool.stats().idle == 2
            async with pool.stream("GET", f"{server.url}/bytes/1"):
                stats = pool.stats()
                assert (stats.active, stats.idle, stats.closing) == (1, 0, 0)
                assert stats.closed == {"stale": 1}
            assert next(is_good, None) is None


async def test_p8_the_servers_hint_shortens_the_expiry() -> None:
    hint = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok"
    backend = AsyncMockBackend([hint] * 9)
    async with AsyncConnectionPool(network_backend=backend, keepalive_expiry=60) as pool:
        for pause, connections in [(1.0, 1), (1.0, 1), (2.5, 2)]:
            await pool.request("GET", "http://example.com/")
            await backend.sleep(pause)
            await pool.request("GET", "http://example.com/")
            assert len(backend.connects) == connections


async def test_p8_old_connections_are_retired_after_their_response() -> None:
    backend = AsyncMockBackend([OK] * 9)
    async with AsyncConnectionPool(network_backend=backend, max_connection_age=10) as pool:
        await pool.request("GET", "http://example.com/")
        await backend.sleep(4)
        async with pool.stream("GET", "http://example.com/"):
            await backend.sleep(7)
        assert pool.connections == []
        assert pool.stats().closed == {"aged": 1}


async def test_p9_a_short_unread_body_keeps_the_connection() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            for path in ("bytes/60000", "chunked/60000", "bytes/0"):
                async with pool.stream("GET", f"{server.url}/{path}"):
                    pass
                assert pool.stats().idle == 1
            async with pool.stream("GET", f"{server.url}/bytes/300000"):
                pass
            assert pool.stats().idle == 0
            async with pool.stream("GET", f"{server.url}/hang-in-body"):
                pass
    assert len(server.connections) == 2


async def test_p9_a_short_body_that_does_not_come_is_not_waited_for() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        peer.wait_for_end()

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            async with pool.stream("GET", server.url):
                pass
            assert pool.connections == []


async def test_p10_closing_fails_those_who_wait_and_those_at_work() -> None:
    async def fails(pool: AsyncConnectionPool, url: str) -> None:
        with pytest.raises(PoolClosed):
            await pool.request("GET", url)

    with HTTPServer() as server:
        pool = AsyncConnectionPool(max_connections=1)
        async with AsyncTaskGroup() as group:
            group.start(fails, pool, f"{server.url}/hang")
            await until(lambda: server.requests)
            for _ in range(3):
                group.start(fails, pool, f"{server.url}/bytes/1")
            await until(lambda: pool.stats().queued == 3)
            await pool.aclose()
        with pytest.raises(PoolClosed, match=str(server.port)):
            await pool.request("GET", f"{server.url}/bytes/1")
        await pool.aclose()
        assert pool.stats().active == pool.stats().queued == pool.stats().idle == 0
        await until(server.connections[0].has_left)


async def test_p10_a_graceful_close_lets_them_finish() -> None:
    async def close(pool: AsyncConnectionPool) -> None:
        await pool.aclose(graceful=60.0)

    with HTTPServer() as server:
        pool = AsyncConnectionPool()
        async with AsyncTaskGroup() as group:
            job = group.start(get, pool, f"{server.url}/hang")
            await until(lambda: server.requests)
            closing = group.start(close, pool)
            await until(lambda: pool._policy.is_closed)
            with pytest.raises(PoolClosed):
                await get(pool, f"{server.url}/bytes/1")
            server.release()
            assert await job.result() == b"released"
            await closing.result()
        assert pool.connections == []


async def test_p10_a_graceful_close_is_bounded() -> None:
    async def fails(pool: AsyncConnectionPool, url: str) -> None:
        with pytest.raises(PoolClosed):
            await pool.request("GET", url)

    with HTTPServer() as server:
        pool = AsyncConnectionPool()
        async with AsyncTaskGroup() as group:
            group.start(fails, pool, f"{server.url}/hang")
            await until(lambda: server.requests)
            await pool.aclose(graceful=0.01)


async def test_p10_closing_inside_a_response() -> None:
    with HTTPServer() as server:
        pool = AsyncConnectionPool()
        async with pool.stream("GET", f"{server.url}/bytes/3000000") as response:
            with pytest.raises(PoolClosed):
                async for _ in response.stream:
                    await pool.aclose()
        assert pool.stats().active == 0


async def test_p13_a_dropped_response_is_reclaimed() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            for _ in range(3):
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    response = await pool.handle_async_request(
                        b"GET",
                        (b"http", b"127.0.0.1", server.port, b"/bytes/300000"),
                        [(b"Host", b"x")],
                        ByteStream(b""),
                        {},
                    )
                    del response
                    gc.collect()
                assert any(w.category is ResourceWarning for w in caught)
                assert pool.stats().active == 0
            assert len(await get(pool, f"{server.url}/bytes/10", pool=1.0)) == 10


async def test_p13_a_dropped_response_wakes_who_waits() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            response = await pool.handle_async_request(
                b"GET",
                (b"http", b"127.0.0.1", server.port, b"/bytes/300000"),
                [(b"Host", b"x")],
                ByteStream(b""),
                {},
            )
            async with AsyncTaskGroup() as group:
                job = group.start(get, pool, f"{server.url}/bytes/10")
                await until(lambda: pool.stats().queued == 1)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    del response
                    gc.collect()
                assert len(await job.result()) == 10


async def test_p14_p15_a_pool_timeout_tells_what_it_waited_for(settled: Any) -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            async with pool.stream("GET", f"{server.url}/bytes/1"):
                for limit in (0.0, 0.05):
                    with pytest.raises(PoolTimeout) as caught:
                        await get(pool, f"{server.url}/bytes/1", pool=limit)
                    text = str(caught.value)
                    assert text.startswith(f"http://127.0.0.1:{server.port}: pool: ")
                    for part in ("1 active", "0 idle", "1 queued", "max_connections=1"):
                        assert part in text
                    assert caught.value.limit == limit
                assert pool.stats().queued == 0
            settled(pool)
            await get(pool, f"{server.url}/bytes/1", pool=0.0)


async def test_p14_each_in_the_line_gives_up_at_its_own_limit(settled: Any) -> None:
    """Whatever the order of the limits, whoever is served before, whoever gives up."""

    async def fails(pool: Any, url: str, limit: float) -> float:
        with pytest.raises(PoolTimeout) as caught:
            await get(pool, url, pool=limit)
        assert caught.value.limit is not None
        return float(caught.value.limit)

    with HTTPServer() as server:
        url = f"{server.url}/bytes/1"
        async with AsyncConnectionPool(max_connections=1) as pool:
            async with AsyncTaskGroup() as group, pool.stream("GET", url):
                patient = group.start(get, pool, url)
                await until(lambda: pool.stats().queued == 1)
                limits = [0.1, 0.2, 0.05, 0.15, 0.2]
                jobs = [group.start(fails, pool, url, limit) for limit in limits]
                assert [await job.result() for job in jobs] == limits
                assert pool.stats().queued == 1
            assert len(await patient.result()) == 1
            settled(pool)


async def test_p14_stats_per_origin() -> None:
    with HTTPServer() as one, HTTPServer() as two:
        async with AsyncConnectionPool() as pool:
            await get(pool, f"{one.url}/bytes/1")
            await get(pool, f"{one.url}/bytes/1")
            await get(pool, f"{two.url}/close")
            stats = pool.stats()
            assert (stats.opened, stats.reused, stats.idle) == (2, 1, 1)
            assert stats.closed == {"not reusable": 1}
            by_port = {origin.port: numbers for origin, numbers in stats.origins.items()}
            assert (by_port[one.port].reused, by_port[one.port].idle) == (1, 1)
            assert by_port[two.port].closed == {"not reusable": 1}
            with pytest.raises(AttributeError):
                stats.opened = 7  # type: ignore[misc]


async def test_p16_a_failed_dial_gives_its_slot_back(settled: Any) -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            for _ in range(3):
                with pytest.raises(ConnectError, match="127.0.0.1"):
                    await get(pool, "http://127.0.0.1:9/")
                settled(pool)
            await get(pool, f"{server.url}/bytes/1", pool=1.0)


async def test_those_who_queue_behind_a_failed_dial_try_for_themselves() -> None:
    backend = AsyncMockBackend([OK] * 9, connect=[ConnectError("no"), None])

    async def one(pool: AsyncConnectionPool) -> str:
        try:
            return (await pool.request("GET", "http://example.com/")).content.decode()
        except ConnectError:
            return "failed"

    async with AsyncConnectionPool(network_backend=backend, max_connections=1) as pool:
        async with AsyncTaskGroup() as group:
            jobs = [group.start(one, pool) for _ in range(3)]
            results = [await job.result() for job in jobs]
        assert sorted(results) == ["failed", "ok", "ok"]


async def test_retries_repeat_connect_failures_with_growing_pauses() -> None:
    backend = AsyncMockBackend([OK], connect=[ConnectError("1"), ConnectError("2"), None])
    started = backend.now()
    async with AsyncConnectionPool(network_backend=backend, retries=2) as pool:
        assert (await pool.request("GET", "http://example.com/")).content == b"ok"
    assert backend.now() - started == pytest.approx(0.5)
    assert len(backend.connects) == 3
    failing = AsyncMockBackend([OK], connect=[ConnectError(str(n)) for n in range(3)])
    async with AsyncConnectionPool(network_backend=failing, retries=1) as pool:
        with pytest.raises(ConnectError, match="1"):
            await pool.request("GET", "http://example.com/")
    assert len(failing.connects) == 2


async def test_keep_alive_limits_and_expiry_on_a_virtual_clock() -> None:
    backend = AsyncMockBackend([OK] * 99)
    pool = AsyncConnectionPool(
        network_backend=backend, max_keepalive_connections=1, keepalive_expiry=5.0
    )
    async with pool:
        await pool.request("GET", "http://one.example/")
        await pool.request("GET", "http://two.example/")
        assert len(pool.connections) == 1
        assert pool.stats().closed == {"keep-alive limit": 1}
        await backend.sleep(4.9)
        await pool.reap()
        assert len(pool.connections) == 1
        await backend.sleep(0.2)
        await pool.reap()
        assert pool.connections == []
    assert backend.open_streams == 0


async def test_p7_reap_closes_what_the_peer_has_left() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.hang(idle)
        peer.close()
        closed.set()

    idle, closed = threading.Event(), threading.Event()
    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            await get(pool, server.url)
            assert pool.stats().idle == 1
            idle.set()
            assert closed.wait(10)
            await pool.reap()
            assert pool.connections == []


async def test_random_requests_all_end_and_leave_nothing(settled: Any) -> None:
    """P12 in small: every response is the right one, whatever the others do meanwhile."""
    rng = random.Random(4711)

    async def worker(pool: AsyncConnectionPool, url: str, numbers: list[int]) -> None:
        for number in numbers:
            try:
                if number % 7 == 0:
                    async with pool.stream("GET", f"{url}/bytes/200000"):
                        pass
                else:
                    assert len(await get(pool, f"{url}/bytes/{number}", pool=30.0)) == number
            except TransportError as exc:
                raise AssertionError(f"unexpected {exc!r}") from exc

    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=5) as pool:
            async with AsyncTaskGroup() as group:
                for _ in range(10):
                    numbers = [rng.randrange(1, 3000) for _ in range(20)]
                    group.start(worker, pool, server.url, numbers)
            settled(pool)
        assert server.peak <= 5
