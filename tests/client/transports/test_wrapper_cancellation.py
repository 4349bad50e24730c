"""P1 for the wrappers: cancelled at every await point, by enumeration, they leave nothing behind.

Async code only, as in sync code nobody can cancel. What has an interrupt there is in the twins of
the driver tests.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from httpclient.transports._async.record import AsyncPlaybackTransport, AsyncRecordTransport
from httpclient.transports._async.retry import AsyncRetryTransport
from httpclient.transports._events import AsyncEvent, Event
from httpclient.transports.record import RecordingError
from httpcore_core import (
    AsyncByteStream,
    AsyncConnectionPool,
    AsyncMockBackend,
    AutoBackend,
    PoolTimeout,
    ReadError,
    Response,
)
from httpcore_core import AsyncTransport as AsyncBaseTransport
from httpcore_core.testing.cancel import CancelStep, cancel_at_every_step
from tests.client._async.scripted import send
from tests.client._async.test_rate_limit_transport import limited, line_up, until, waiting
from tests.concurrency import AsyncTaskGroup
from tests.flavours import FLAVOURS

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def every_step(flavour: str, scenario: Callable[[CancelStep], Coroutine[Any, Any, None]]) -> int:
    if flavour == "trio":
        return cancel_at_every_step(scenario, library="trio")
    if flavour == "uvloop":
        import uvloop

        return cancel_at_every_step(scenario, loop_factory=uvloop.new_event_loop)
    return cancel_at_every_step(scenario)


class SlowBody(AsyncByteStream):
    """Suspends at each step; counts how often it is closed."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.ended = False
        self.closed = 0

    def __aiter__(self) -> SlowBody:
        return self

    async def __anext__(self) -> bytes:
        await AutoBackend().sleep(0)
        if not self.chunks:
            self.ended = True
            raise StopAsyncIteration
        return self.chunks.pop(0)

    async def aclose(self) -> None:
        self.closed += 1
        await AutoBackend().sleep(0)


class Slow(AsyncBaseTransport):
    """Suspends before each of its outcomes."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.bodies: list[SlowBody] = []

    async def handle_async_request(self, *request: Any) -> Response:
        await AutoBackend().sleep(0)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        self.bodies.append(SlowBody(b"a", b"b"))
        return Response(outcome, [], self.bodies[-1], {})


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_retry_closes_what_it_does_not_return(flavour: str) -> None:
    async def scenario(step: CancelStep) -> None:
        inner = Slow(503, ReadError("gone"), 503, 200)
        backend = AsyncMockBackend()
        transport = AsyncRetryTransport(inner, attempts=4, network_backend=backend)
        done = await step.run(send, transport)
        closed = [body.closed for body in inner.bodies]
        assert closed == ([1, 1, 0] if done else [1] * len(closed))
        if done:
            assert step.result.status == 200
            await step.result.stream.aclose()

    assert every_step(flavour, scenario) >= 7


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_retry_over_a_pool_gives_the_slot_back(flavour: str) -> None:
    async def scenario(step: CancelStep) -> None:
        backend = AsyncMockBackend.scripted([[BUSY, b""], [BUSY, OK], [OK], [OK]])
        pool = AsyncConnectionPool(network_backend=backend, max_connections=1)
        transport = AsyncRetryTransport(pool, attempts=4, network_backend=backend)
        done = await step.run(transport.request, "GET", "http://h/", extensions={"timeout": {}})
        stats = pool.stats()
        assert (stats.active, stats.connecting, stats.queued) == (0, 0, 0)
        if not done:
            backend.clock.advance(60)
            response = await transport.request("GET", "http://h/")
            assert response.content == b"ok"
        await transport.aclose()
        assert backend.open_streams == 0

    assert every_step(flavour, scenario) >= 7


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_turn_of_a_cancelled_request_is_the_next_ones(flavour: str) -> None:
    async def scenario(step: CancelStep) -> None:
        transport, inner, backend = limited()
        backend.is_held = False
        await send(transport)
        done = await step.run(send, transport, target=b"/cancelled")
        assert waiting(transport, 0)()
        gone = b"/cancelled" in inner.targets
        assert gone == done
        await send(transport, target=b"/next")
        assert inner.times[-1] == (2.0 if gone else 1.0)

    assert every_step(flavour, scenario) >= 1


@pytest.mark.parametrize("which", [0, 1, 2, 3])
async def test_p1_those_behind_a_cancelled_request_move_up(which: int) -> None:
    transport, inner, backend = limited()
    await send(transport)
    async with AsyncTaskGroup() as group:
        jobs = await line_up(group, transport, 4)
        jobs[which].cancel()
        await until(waiting(transport, 3))
        with pytest.raises(PoolTimeout):
            await send(transport, timeout={"pool": 3.5})
        backend.is_held = False
    left = [b"/%d" % number for number in range(4) if number != which]
    assert inner.targets == [b"/path", *left]
    assert inner.times == [0.0, 1.0, 2.0, 3.0]
    assert waiting(transport, 0)()


async def test_p1_all_of_a_line_are_cancelled() -> None:
    transport, inner, backend = limited()
    await send(transport)
    async with AsyncTaskGroup() as group:
        for job in await line_up(group, transport, 4):
            job.cancel()
    assert waiting(transport, 0)()
    backend.clock.advance(1.0)
    await send(transport, timeout={"pool": 0})
    assert inner.times == [0.0, 1.0]


# Threads and event loops


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_one_limit_for_two_event_loops(run: Callable[..., Any], flavour: str) -> None:
    transport, inner, backend = limited()
    backend.is_held = False
    for _ in range(3):
        run(send, transport)
    assert inner.times == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_line_of_several_threads_with_loops_of_their_own(
    run: Callable[..., Any], flavour: str
) -> None:
    """Whoever is first wakes the next in another loop."""
    transport, inner, backend = limited()
    run(send, transport)
    threads = []
    for number in range(4):
        threads.append(threading.Thread(target=run, args=(send, transport)))
        threads[-1].start()
        run(until, waiting(transport, number + 1))
    backend.is_held = False
    for thread in threads:
        thread.join()
    assert inner.times == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_event_loop_that_ended_in_the_middle_does_not_stop_the_line() -> None:
    """Its requests were not even cancelled: they are gone with it."""
    transport, inner, backend = limited()

    async def leave_two_waiting() -> list[Any]:
        await send(transport)
        tasks = []
        for number in range(2):
            tasks.append(asyncio.ensure_future(send(transport)))
            await until(waiting(transport, number + 1))
        return [task.get_coro() for task in tasks]

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # it says that tasks were pending
    dead = loop.run_until_complete(leave_two_waiting())
    loop.close()
    assert waiting(transport, 2)()

    async def another() -> None:
        async with AsyncTaskGroup() as group:
            await line_up(group, transport, 1)
            dead[0].close()  # as the garbage collector would; the second is woken, and is not there
            await until(waiting(transport, 1))
            backend.is_held = False

    asyncio.run(another())
    assert inner.times == [0.0, 1.0]
    dead[1].close()
    assert waiting(transport, 0)()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_event_is_set_from_anywhere_and_at_any_time(run: Callable[..., Any], flavour: str) -> None:
    async def main() -> AsyncEvent:
        before = AsyncEvent()
        assert before.set()
        assert before.set()
        assert await before.wait(0.0)
        for limit in (None, 1e300):
            event = AsyncEvent()
            thread = threading.Thread(target=event.set)
            thread.start()
            assert await event.wait(limit)
            thread.join()
        assert not await AsyncEvent().wait(0.001)
        return AsyncEvent()

    assert run(main).set() is False


def test_sync_event() -> None:
    for limit in (None, 1e300):
        event = Event()
        thread = threading.Thread(target=event.set)
        thread.start()
        assert event.wait(limit)
        thread.join()
        assert event.set()
        assert event.wait(0.0)
    assert not Event().wait(0.001)


# Recording


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_cancelled_request_is_not_recorded(flavour: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.json"

    async def scenario(step: CancelStep) -> None:
        inner = Slow(200)
        transport = AsyncRecordTransport(inner, path)
        done = await step.run(send, transport, body=SlowBody(b"x"))
        if done:
            assert await step.result.stream.aread() == b"ab"
        await transport.aclose()
        assert all(body.closed == 1 for body in inner.bodies)
        player = AsyncPlaybackTransport(path, match=("method", "url"), all_used=True)
        if done:
            response = await send(player)
            assert await response.stream.aread() == b"ab"
        await player.aclose()

    assert every_step(flavour, scenario) >= 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_body_that_was_cancelled_is_recorded_as_truncated(flavour: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.json"

    async def scenario(step: CancelStep) -> None:
        inner = Slow(200)
        async with AsyncRecordTransport(inner, path) as transport:
            response = await send(transport)
            await step.run(response.stream.aread)
            await response.stream.aclose()
        [body] = inner.bodies
        assert body.closed == 1
        recorded = (await send(AsyncPlaybackTransport(path))).stream
        if body.ended:
            assert await recorded.aread() == b"ab"
            return
        chunks = []
        with pytest.raises(RecordingError):
            async for chunk in recorded:
                chunks.append(chunk)
        assert b"".join([*chunks, *body.chunks]) == b"ab"

    assert every_step(flavour, scenario) >= 3
