"""P1, T9, C41, D01, D02 over HTTP/2: cancelled anywhere, a request harms neither pool nor others.

By enumeration, as in `test_cancellation`; and where the place is known, in the middle of a write to
a peer that does not read.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from httpcore_core import (
    AsyncByteStream,
    AsyncConnectionPool,
    ConnectionPool,
)
from httpcore_core.testing.cancel import (
    CancelStep,
    cancel_at_every_step,
)
from httpcore_core.testing.http_server import pattern
from tests._async.http2 import (
    Endless,
    get,
    h2_context,
    prior,
    send,
    until,
    until_stuck,
)
from tests.concurrency import AsyncTaskGroup
from tests.flavours import FLAVOURS
from tests.http2_server import INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, HTTP2Server, Link
from tests.protocol.http2_peer import CANCEL, REFUSED_STREAM

HUGE = 2**31 - 1


async def checkpoint() -> None:
    import sniffio

    if sniffio.current_async_library() == "trio":
        import trio

        await trio.lowlevel.checkpoint()
    else:
        import asyncio

        await asyncio.sleep(0)


class Body(AsyncByteStream):
    """Suspends between its chunks, so that it can be cancelled there."""

    def __init__(self) -> None:
        self._left = 3

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await checkpoint()
        self._left -= 1
        if not self._left:
            raise StopAsyncIteration
        return bytes(40_000)


def every_step(flavour: str, scenario: Callable[[CancelStep], Coroutine[Any, Any, None]]) -> int:
    if flavour == "trio":
        return cancel_at_every_step(scenario, library="trio")
    if flavour == "uvloop":
        import uvloop

        return cancel_at_every_step(scenario, loop_factory=uvloop.new_event_loop)
    return cancel_at_every_step(scenario)


def check_numbers(pool: AsyncConnectionPool | ConnectionPool) -> None:
    stats = pool.stats()
    assert (stats.active, stats.connecting, stats.queued, stats.closing) == (0, 0, 0, 0), stats
    assert stats.opened == stats.idle + sum(stats.closed.values()), stats


def check_links(server: HTTP2Server) -> None:
    """Whatever the client wrote was whole frames; and no stream is left open."""
    server.wait_until_done()
    assert not any(link.torn for link in server.links)


async def upload(pool: AsyncConnectionPool, url: str) -> None:
    async with pool.stream("POST", f"{url}/chunked/30000", content=Body()) as response:
        async for _ in response.stream:
            await checkpoint()


async def download(pool: AsyncConnectionPool, url: str) -> None:
    await pool.request("GET", f"{url}/bytes/200000")


async def abandon(pool: AsyncConnectionPool, url: str) -> None:
    async with pool.stream("GET", f"{url}/endless"):
        pass


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("work", [upload, download, abandon])
@pytest.mark.parametrize("tls", [False, True])
def test_p1_a_whole_exchange(flavour: str, work: Any, tls: bool, certificates: Any) -> None:
    context = certificates.server_context(alpn=["h2"]) if tls else None
    with HTTP2Server(ssl_context=context) as server:

        async def scenario(step: CancelStep) -> None:
            options: dict[str, Any] = {"max_connections": 1, "keepalive_expiry": None}
            if tls:
                options |= {"ssl_context": h2_context(certificates), "http2": True}
                pool = AsyncConnectionPool(**options)
            else:
                pool = prior(**options)
            await step.run(work, pool, server.url)
            check_numbers(pool)
            assert await get(pool, f"{server.url}/bytes/30000", pool=5.0) == pattern(30_000)
            await pool.aclose()
            check_numbers(pool)

        assert every_step(flavour, scenario) >= 1
        check_links(server)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("work", [upload, download])
def test_p1_t9_c41_beside_others_on_the_same_connection(flavour: str, work: Any) -> None:
    """The others' exchanges, before and after, are right; and the connection is the same."""
    with HTTP2Server() as server:

        async def scenario(step: CancelStep) -> None:
            pool = prior(max_connections=1, keepalive_expiry=None)
            assert await get(pool, f"{server.url}/bytes/5") == pattern(5)
            async with AsyncTaskGroup() as group:
                others = [group.start(get, pool, f"{server.url}/bytes/70000") for _ in range(3)]
                await step.run(work, pool, server.url)
                others.append(group.start(get, pool, f"{server.url}/bytes/70000"))
                for job in others:
                    assert await job.result() == pattern(70_000)
            check_numbers(pool)
            assert pool.stats().opened == 1
            await pool.aclose()

        assert every_step(flavour, scenario) >= (2 if work is upload else 0)
        check_links(server)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_one_of_those_who_share_a_dial(flavour: str, certificates: Any) -> None:
    """Who dials for the others may be cancelled, and who waits for him."""
    context = certificates.server_context(alpn=["h2"])
    with HTTP2Server(ssl_context=context) as server:

        async def scenario(step: CancelStep) -> None:
            pool = AsyncConnectionPool(
                http2=True, ssl_context=h2_context(certificates), max_connections=1
            )
            others: list[Any] = []
            async with AsyncTaskGroup() as group:

                async def start_others() -> None:
                    others.extend(
                        group.start(get, pool, f"{server.url}/bytes/{n}") for n in range(3)
                    )

                group.start(start_others)
                await step.run(download, pool, server.url)
                await until(lambda: others)
                for number, job in enumerate(others):
                    assert await job.result() == pattern(number)
            check_numbers(pool)
            await pool.aclose()

        assert every_step(flavour, scenario) >= 1
        check_links(server)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_who_waits_for_a_stream(flavour: str) -> None:
    with HTTP2Server(settings={MAX_CONCURRENT_STREAMS: 1}) as server:

        async def scenario(step: CancelStep) -> None:
            pool = prior(max_connections=1)
            await get(pool, f"{server.url}/bytes/1")
            async with AsyncTaskGroup() as group:
                others = [group.start(get, pool, f"{server.url}/bytes/{n}") for n in range(3)]
                await step.run(download, pool, server.url)
                for number, job in enumerate(others):
                    assert await job.result() == pattern(number)
            check_numbers(pool)
            await pool.aclose()

        every_step(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_a_request_that_is_refused_and_sent_again(flavour: str) -> None:
    def refuse_every_second(link: Link) -> None:
        while True:
            request = link.next_request()
            if len(link.requests) % 2 and request.id not in link.resets:
                link.send(link.peer.reset(request.id, REFUSED_STREAM))
            elif request.id not in link.resets:
                link.answer(request, request.path)

    with HTTP2Server(refuse_every_second) as server:

        async def scenario(step: CancelStep) -> None:
            pool = prior(max_connections=1)
            await step.run(get, pool, f"{server.url}/one")
            check_numbers(pool)
            assert await get(pool, f"{server.url}/two") == b"/two"
            await pool.aclose()
            check_numbers(pool)

        assert every_step(flavour, scenario) >= 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_d02_closing_is_cancelled(flavour: str) -> None:
    with HTTP2Server() as server:

        async def scenario(step: CancelStep) -> None:
            pool = prior()
            response = await send(pool, server.port, b"/endless")
            other = await send(pool, server.port, b"/endless")
            await step.run(response.stream.aclose)
            await step.run(pool.aclose)
            await pool.aclose()
            await other.stream.aclose()
            check_numbers(pool)
            await until(server.connections[-1].has_left)

        every_step(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_a_graceful_close_is_cancelled(flavour: str) -> None:
    with HTTP2Server() as server:

        async def scenario(step: CancelStep) -> None:
            pool = prior()
            response = await send(pool, server.port, b"/endless")
            await step.run(pool.aclose, 0.01)
            check_numbers(pool)
            await response.stream.aclose()
            await until(server.connections[-1].has_left)

        assert every_step(flavour, scenario) >= 1


async def test_t9_cancelled_in_the_middle_of_a_write(settled: Any) -> None:
    """The peer has stopped reading, and every buffer on the way is full."""

    def script(link: Link) -> None:
        link.send(link.peer.window_update(0, HUGE - 65535))
        link.answer(link.next_request(), b"warm")
        other = link.next_request()
        stuck = link.next_request()
        link.reading = False
        while not cancelled.is_set():
            link.step()
        link.reading = True
        assert link.reset_of(stuck.id) == CANCEL
        link.answer(other, b"other")
        link.answer_all()

    cancelled = threading.Event()
    settings = {INITIAL_WINDOW_SIZE: HUGE}
    with HTTP2Server(script, settings=settings, receive_buffer=20_000) as server:
        async with prior(max_connections=1) as pool:
            await get(pool, server.url)
            async with AsyncTaskGroup() as group:
                other = group.start(get, pool, f"{server.url}/other")
                await until(lambda: len(server.heads) == 2)
                body = Endless()
                job = group.start(post_forever, pool, server.url, body)
                await until_stuck(body)
                job.cancel()
                await job.task.wait()
                late = group.start(get, pool, f"{server.url}/late")
                await checkpoint()
                cancelled.set()
                assert await other.result() == b"other"
                assert await late.result() == b"/late"
            settled(pool)
            assert await get(pool, f"{server.url}/next") == b"/next"
        check_links(server)
        assert len(server.connections) == 1


async def post_forever(pool: AsyncConnectionPool, url: str, body: Endless) -> None:
    await pool.request("POST", url, content=body)


async def test_t9_many_cancelled_while_nothing_can_be_written(settled: Any) -> None:
    """Nor does the reset of a stream, for which there is no room, hold up who is cancelled."""

    def script(link: Link) -> None:
        link.send(link.peer.window_update(0, HUGE - 65535))
        link.answer(link.next_request(), b"warm")
        link.reading = False
        while not cancelled.is_set():
            link.step()
        link.reading = True
        link.answer_all()

    cancelled = threading.Event()
    settings = {INITIAL_WINDOW_SIZE: HUGE}
    with HTTP2Server(script, settings=settings, receive_buffer=20_000) as server:
        async with prior(max_connections=1) as pool:
            await get(pool, server.url)
            async with AsyncTaskGroup() as group:
                bodies = [Endless() for _ in range(4)]
                jobs = [group.start(post_forever, pool, server.url, body) for body in bodies]
                await until(lambda: any(body.taken for body in bodies))
                await until_stuck(max(bodies, key=lambda body: body.taken))
                for job in jobs:
                    job.cancel()
                for job in jobs:
                    await job.task.wait()
                cancelled.set()
            settled(pool)
            assert await get(pool, f"{server.url}/next") == b"/next"
        check_links(server)


async def test_c19_random_cancellation_under_a_changing_limit(settled: Any) -> None:
    limits = [1, 5, 0, 100, 3]

    def script(link: Link) -> None:
        while True:
            for _ in range(4):
                link.step()
                while link.has_request():
                    request = link.next_request()
                    if request.id not in link.resets:
                        link.send(link.peer.response(request.id, request.path), flush=False)
            if link.is_acked:
                limit = limits[len(link.frames) % len(limits)]
                link.send(link.peer.settings({MAX_CONCURRENT_STREAMS: limit}), flush=False)

    with HTTP2Server(script) as server:
        async with prior(max_connections=2) as pool:
            async with AsyncTaskGroup() as group:
                jobs = [group.start(get, pool, f"{server.url}/{n}") for n in range(200)]
                for number, job in enumerate(jobs):
                    if number % 3 == 0:
                        await checkpoint()
                        job.cancel()
                for number, job in enumerate(jobs):
                    if number % 3:
                        assert await job.result() == b"/%d" % number
            settled(pool)
        assert server.peak <= 2
