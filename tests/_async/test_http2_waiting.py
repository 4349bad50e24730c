"""Limits of time, PING, and the end of the pool: T10, N2, C39, C43, P10, P16, D03."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from httpcore_core import (
    AsyncConnectionPool,
    NetworkError,
    PoolClosed,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TimeoutException,
    TransportError,
    WriteTimeout,
)
from httpcore_core.testing.http_server import pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests._async.http2 import (
    GUARD,
    LIMITS,
    SOON,
    Endless,
    get,
    h2_context,
    outcome,
    post,
    prior,
    until,
)
from tests.concurrency import AsyncTaskGroup
from tests.http2_server import INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, HTTP2Server, Link
from tests.protocol.http2_peer import CANCEL, OK


def answer_all(link: Link) -> None:
    link.answer_all()


async def test_t10_a_peer_that_answers_pings_keeps_a_long_wait_alive() -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        link.wait_for(lambda: len(link.pings) >= 5)
        link.send(link.peer.headers(request.id, OK))
        link.wait_for(lambda: len(link.pings) >= 10)
        link.send(link.peer.data(request.id, b"at last", end=True))

    with HTTP2Server(script) as server:
        async with prior(http2_ping_interval=0.05, http2_ping_timeout=GUARD) as pool:
            assert await get(pool, server.url) == b"at last"


async def test_t10_c43_a_peer_that_does_not_answer_is_dead(settled: Any) -> None:
    def script(link: Link) -> None:
        link.pongs = False
        begun = link.next_request()
        link.send(link.peer.headers(begun.id, OK), link.peer.data(begun.id, b"abc"))
        link.wait_for_end()

    async def read(response: Any) -> Any:
        try:
            return await response.stream.aread()
        except TransportError as exc:
            return exc.with_traceback(None)

    with HTTP2Server(script, answer_all) as server:
        async with prior(
            http2_ping_interval=0.1, http2_ping_timeout=0.2, max_connections=1
        ) as pool:
            async with pool.stream("POST", server.url, content=b"x") as response:
                started = time.monotonic()
                async with AsyncTaskGroup() as group:
                    jobs = [group.start(outcome, pool, server.url) for _ in range(3)]
                    jobs.append(group.start(read, response))
                    for job in jobs:
                        error = await job.result()
                        assert isinstance(error, NetworkError), repr(error)
                assert 0.19 <= time.monotonic() - started < SOON
            settled(pool)
            assert pool.connections == []
            assert await get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 2


async def test_t10_a_peer_that_does_not_even_read_is_dead(settled: Any) -> None:
    def script(link: Link) -> None:
        link.next_request()
        link.reading = False
        link.wait_for(over)

    over = threading.Event()
    with HTTP2Server(script, answer_all, receive_buffer=20_000) as server:
        async with prior(
            http2_ping_interval=0.1, http2_ping_timeout=0.2, max_connections=1
        ) as pool:
            started = time.monotonic()
            error = await outcome(pool, server.url)
            assert isinstance(error, NetworkError), repr(error)
            assert time.monotonic() - started < SOON
            over.set()
            settled(pool)
            assert await get(pool, f"{server.url}/next") == b"/next"


async def test_t10_a_peer_that_takes_no_more_of_an_upload_is_dead(settled: Any) -> None:
    """Not even a PING gets through, and there is no limit but those of PING."""

    def script(link: Link) -> None:
        request = link.next_request()
        link.send(link.peer.window_update(0, 100_000_000))
        link.answer(request, b"warm")
        link.next_request()
        link.reading = False
        link.wait_for(over)

    over = threading.Event()
    settings = {INITIAL_WINDOW_SIZE: 100_000_000}
    with HTTP2Server(script, answer_all, settings=settings, receive_buffer=20_000) as server:
        async with prior(
            http2_ping_interval=0.3, http2_ping_timeout=0.7, max_connections=1
        ) as pool:
            assert await get(pool, server.url) == b"warm"
            with pytest.raises(NetworkError, match="neither took nor said|answer a PING"):
                await pool.request("POST", server.url, content=bytes(50_000_000))
            over.set()
            settled(pool)
            assert await get(pool, f"{server.url}/next") == b"/next"


async def test_t10_a_slow_upload_to_a_living_peer_is_no_death() -> None:
    """The window stays closed for longer than all of PING's limits."""

    def script(link: Link) -> None:
        link.answer(link.next_request(), b"warm")
        request = link.next_request()
        link.wait_for(lambda: len(link.pings) >= 8)
        link.send(link.peer.window_update(request.id, 1000))
        assert link.body(request.id) == pattern(1000)
        link.answer(request, b"done")

    with HTTP2Server(script, settings={INITIAL_WINDOW_SIZE: 0}) as server:
        async with prior(http2_ping_interval=0.05, http2_ping_timeout=GUARD) as pool:
            await get(pool, server.url)
            assert (await post(pool, server.url, pattern(1000))).content == b"done"


async def test_t10_the_connection_lives_on_after_a_long_wait() -> None:
    with HTTP2Server() as server:
        async with prior(http2_ping_interval=0.05, http2_ping_timeout=GUARD) as pool:
            for _ in range(2):
                assert await get(pool, f"{server.url}/slow/0.2") == b"slow"
        assert len(server.connections) == 1
        assert server.links[0].pings


async def test_t10_a_dead_idle_connection_costs_a_bounded_time(settled: Any) -> None:
    def script(link: Link) -> None:
        link.answer(link.next_request(), b"alive")
        link.pongs = False
        link.wait_for_end()

    with HTTP2Server(script, answer_all) as server:
        async with prior(
            http2_ping_interval=0.1, http2_ping_timeout=0.2, keepalive_expiry=None
        ) as pool:
            assert await get(pool, server.url) == b"alive"
            started = time.monotonic()
            result = await outcome(pool, f"{server.url}/next")
            assert result == b"/next" or isinstance(result, NetworkError)
            assert time.monotonic() - started < SOON
            settled(pool)
            assert await get(pool, f"{server.url}/next") == b"/next"


@pytest.mark.parametrize("name", ["read", "total"])
async def test_d03_no_answer_ends_one_stream_at_its_limit(name: str, settled: Any) -> None:
    with HTTP2Server() as server:
        async with prior(max_connections=1) as pool:
            async with AsyncTaskGroup() as group:
                other = group.start(get, pool, f"{server.url}/hang")
                await until(lambda: server.heads)
                started = time.monotonic()
                with pytest.raises(ReadTimeout) as caught:
                    limits = {"timeout": {name: 0.2}}
                    await pool.request("GET", f"{server.url}/hang", extensions=limits)
                assert caught.value.phase == "receive headers"
                assert caught.value.limit == 0.2
                assert 0.19 <= time.monotonic() - started < SOON
                await until(lambda: CANCEL in server.links[0].resets.values())
                server.release()
                assert await other.result() == b"released"
            settled(pool)
            assert await get(pool, f"{server.url}/bytes/5") == pattern(5)
        assert len(server.connections) == 1


async def test_n2_a_slow_drip_ends_at_the_total_deadline(settled: Any) -> None:
    with HTTP2Server() as server:
        async with prior(max_connections=1) as pool:
            started = time.monotonic()
            limits = {"timeout": {"total": 0.4, "read": 0.3}}
            with pytest.raises(ReadTimeout, match="total") as caught:
                await pool.request("GET", f"{server.url}/drip/1000", extensions=limits)
            assert caught.value.phase == "receive body"
            assert 0.39 <= time.monotonic() - started < SOON
            settled(pool)
            assert await get(pool, f"{server.url}/bytes/5") == pattern(5)
            await until(lambda: server.links[0].resets)


async def test_n2_others_on_the_connection_do_not_prolong_a_wait() -> None:
    """Bytes arrive all the time, but for another stream: the limit is the stream's own."""
    with HTTP2Server() as server:
        async with prior(max_connections=1, http2_stream_window=65535) as pool:
            async with AsyncTaskGroup() as group:
                busy = group.start(get, pool, f"{server.url}/drip/100")
                await until(lambda: server.heads)
                started = time.monotonic()
                with pytest.raises(ReadTimeout):
                    await get(pool, f"{server.url}/hang", read=0.2)
                assert time.monotonic() - started < SOON
                assert not busy.is_done()
                assert await busy.result() == pattern(100)


async def test_n2_an_upload_ends_at_the_total_deadline(settled: Any) -> None:
    with HTTP2Server() as server:
        async with prior() as pool:
            limits = {"timeout": {"total": 0.3}}
            with pytest.raises(WriteTimeout, match="total"):
                await pool.request(
                    "POST", f"{server.url}/echo", content=Endless(), extensions=limits
                )
            settled(pool)
            assert await get(pool, f"{server.url}/bytes/5") == pattern(5)


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 9])
async def test_c39_something_else_than_settings(says: bytes, settled: Any) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(says)
        peer.wait_for_end()

    with ScriptedServer(script) as server:
        async with prior(max_connections=1) as pool:
            for number in range(1, 3):
                started = time.monotonic()
                with pytest.raises(RemoteProtocolError):
                    await get(pool, server.url)
                assert time.monotonic() - started < SOON
                settled(pool)
                assert pool.connections == []
                assert len(server.connections) == number


async def test_c39_nothing_instead_of_settings(settled: Any) -> None:
    with ScriptedServer(lambda peer: peer.wait_for_end()) as server:
        async with prior(max_connections=1) as pool:
            for limits in ({"read": 0.2}, {"total": 0.2}):
                with pytest.raises(TimeoutException):
                    await pool.request("GET", server.url, extensions={"timeout": limits})
                settled(pool)


@pytest.mark.parametrize("end", ["FIN", "RST"])
async def test_p16_a_connection_that_ends_without_a_word(end: str, settled: Any) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        if end == "RST":
            peer.reset()
        else:
            peer.close()

    with ScriptedServer(script) as server:
        async with prior(max_connections=1) as pool:
            for _ in range(5):
                with pytest.raises((RemoteProtocolError, NetworkError)):
                    await get(pool, server.url, pool=1.0)
                settled(pool)
                assert pool.connections == []


async def test_p10_closing_fails_those_who_wait_and_those_at_work(certificates: Any) -> None:
    context = certificates.server_context(alpn=["h2"])
    with HTTP2Server(ssl_context=context, settings={MAX_CONCURRENT_STREAMS: 2}) as server:
        pool = AsyncConnectionPool(
            http2=True, ssl_context=h2_context(certificates), max_connections=1
        )
        async with AsyncTaskGroup() as group:
            jobs = [group.start(outcome, pool, f"{server.url}/hang") for _ in range(5)]
            await until(lambda: len(server.heads) == 2)
            await until(lambda: pool.stats().queued == 3)
            await pool.aclose()
            for job in jobs:
                error = await job.result()
                assert isinstance(error, PoolClosed), repr(error)
        with pytest.raises(PoolClosed):
            await get(pool, server.url)
        stats = pool.stats()
        assert (stats.active, stats.queued, stats.idle) == (0, 0, 0)
        await until(server.connections[0].has_left)


async def test_p10_a_graceful_close_lets_all_streams_finish() -> None:
    async def close(pool: AsyncConnectionPool) -> None:
        await pool.aclose(graceful=GUARD)

    with HTTP2Server() as server:
        pool = prior()
        async with AsyncTaskGroup() as group:
            jobs = [group.start(get, pool, f"{server.url}/hang") for _ in range(5)]
            await until(lambda: len(server.heads) == 5)
            closing = group.start(close, pool)
            await until(lambda: pool._policy.is_closed)
            with pytest.raises(PoolClosed):
                await get(pool, f"{server.url}/bytes/1")
            server.release()
            for job in jobs:
                assert await job.result() == b"released"
            await closing.result()
        assert pool.connections == []
        await until(server.connections[0].has_left)


async def test_p10_a_graceful_close_is_bounded() -> None:
    with HTTP2Server() as server:
        pool = prior()
        async with AsyncTaskGroup() as group:
            jobs = [group.start(outcome, pool, f"{server.url}/hang") for _ in range(3)]
            await until(lambda: len(server.heads) == 3)
            await pool.aclose(graceful=0.05)
            for job in jobs:
                assert isinstance(await job.result(), PoolClosed)


async def test_d17_closing_inside_a_response() -> None:
    with HTTP2Server() as server:
        pool = prior()
        async with pool.stream("GET", f"{server.url}/endless") as response:
            with pytest.raises((PoolClosed, ReadError)):
                async for _ in response.stream:
                    await pool.aclose()
        assert pool.stats().active == 0


async def test_p7_reap_closes_what_the_peer_has_left() -> None:
    def script(link: Link) -> None:
        link.answer(link.next_request(), b"ok")
        link.wait_for(idle)
        link.close()
        closed.set()

    idle, closed = threading.Event(), threading.Event()
    with HTTP2Server(script) as server:
        async with prior(keepalive_expiry=None) as pool:
            await pool.request("GET", server.url, extensions={"timeout": LIMITS})
            idle.set()
            await until(closed.is_set)
            await pool.reap()
            await until(lambda: pool.connections == [])
