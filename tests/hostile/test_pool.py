"""The pool and its connections under attack, written from the contracts alone.

Most use a backend that has the required methods only: no `abort`, no `watch`, and an `aclose` that
really suspends, so that every window which our own streams keep shut is open here.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import threading
import tracemalloc
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

import httpcore_core
from httpcore_core import (
    AsyncByteStream,
    AsyncConnectionPool,
    AsyncMockBackend,
    AsyncNetworkBackend,
    AsyncNetworkStream,
    ConnectError,
    ConnectionPool,
    HTTPConnection,
    MockBackend,
    Origin,
    PoolClosed,
    PoolTimeout,
    ReadError,
    TransportError,
)
from httpcore_core._backends.mock import Delay
from httpcore_core._concurrency import AsyncEvent
from httpcore_core.testing.cancel import CancelStep, cancel_at_every_step
from httpcore_core.testing.http_server import HTTPServer, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.concurrency import AsyncTaskGroup

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(1000)
URL = (b"http", b"example.com", None, b"/")
HOST = [(b"Host", b"example.com")]
FOREVER = Delay(float("inf"))


async def checkpoint() -> None:
    import sniffio

    if sniffio.current_async_library() == "trio":
        import trio

        await trio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


async def rounds(number: int = 20) -> None:
    for _ in range(number):
        await checkpoint()


async def until(condition: Callable[[], object]) -> None:
    for _ in range(5000):
        if condition():
            return
        await AsyncEvent().wait(0.001)
    raise AssertionError("never")


async def bounded(function: Callable[..., Any], *args: Any, seconds: float = 5.0) -> Any:
    """Fail where it hangs. (What hangs in a shield cannot be ended: conftest's limit does.)"""
    async with AsyncTaskGroup() as group:
        job = group.start(function, *args)
        for _ in range(int(seconds * 200)):
            if job.is_done():
                break
            await AsyncEvent().wait(0.005)
        if not job.is_done():
            job.cancel()
            raise AssertionError("hangs")
    return await job.result()


class BareStream(AsyncNetworkStream):
    """The required methods only."""

    def __init__(self, stream: Any, backend: BareBackend) -> None:
        self.stream = stream
        self.backend = backend

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = await self.stream.read(max_bytes, timeout)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self.stream.write(buffer, timeout)

    async def aclose(self) -> None:
        self.backend.closing += 1
        for _ in range(3):
            await checkpoint()
        gate = self.backend.gate
        if gate is not None:
            await gate.wait(None)
        await self.stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return None


class BareBackend(AsyncNetworkBackend):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.inner = AsyncMockBackend(*args, **kwargs)
        self.gate: AsyncEvent | None = None
        self.closing = 0

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        return BareStream(await self.inner.connect_tcp(host, port, *args, **kwargs), self)

    async def sleep(self, seconds: float) -> None:
        await self.inner.sleep(seconds)

    def now(self) -> float:
        return self.inner.now()


def check_numbers(pool: Any) -> None:
    stats = pool.stats()
    assert (stats.active, stats.connecting, stats.queued, stats.closing) == (0, 0, 0, 0), stats
    assert stats.opened == stats.idle + sum(stats.closed.values()), stats


def every_step(flavour: str, scenario: Callable[[CancelStep], Coroutine[Any, Any, None]]) -> int:
    if flavour == "trio":
        return cancel_at_every_step(scenario, library="trio")
    return cancel_at_every_step(scenario)


# --- Backends with the required methods only -------------------------------------------------


async def use_and_read(pool: AsyncConnectionPool) -> None:
    await pool.request("GET", "http://example.com/")


async def use_and_leave(pool: AsyncConnectionPool) -> None:
    async with pool.stream("GET", "http://example.com/"):
        pass


async def use_twice(pool: AsyncConnectionPool) -> None:
    await pool.request("GET", "http://example.com/", headers={"Connection": "close"})
    await pool.request("GET", "http://example.org/")


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
@pytest.mark.parametrize("work", [use_and_read, use_and_leave, use_twice])
@pytest.mark.parametrize("answer", [OK, LONG])
def test_p1_cancelled_at_every_step_without_abort(flavour: str, work: Any, answer: bytes) -> None:
    async def scenario(step: CancelStep) -> None:
        backend = BareBackend([answer] * 3)
        pool = AsyncConnectionPool(network_backend=backend, max_connections=1)
        try:
            await step.run(work, pool)
        except TransportError:
            pass  # LONG is cut short
        await rounds()
        check_numbers(pool)
        backend.inner._every.reads[:] = [OK] * 3  # type: ignore[index]
        limits = {"pool": 0.0}
        response = await pool.request("GET", "http://example.com/", extensions={"timeout": limits})
        assert response.status == 200
        await pool.aclose()
        assert backend.inner.open_streams == 0
        check_numbers(pool)

    every_step(flavour, scenario)


@pytest.mark.parametrize("first", range(1, 8))
def test_d02_cancelled_twice_without_abort(first: int) -> None:
    """The second cancellation meets the clean-up of the first one, at each of its steps."""

    async def main(second: int) -> None:
        backend = BareBackend([OK] * 5)
        pool = AsyncConnectionPool(network_backend=backend, max_connections=1)
        task = asyncio.ensure_future(use_and_leave(pool))
        await rounds(first)
        task.cancel()
        await rounds(second)
        task.cancel()
        await asyncio.wait([task])
        await rounds()
        check_numbers(pool)
        limits = {"pool": 0.0}
        await pool.request("GET", "http://example.com/", extensions={"timeout": limits})
        await pool.aclose()
        assert backend.inner.open_streams == 0

    for second in range(1, 10):
        asyncio.run(main(second))


async def test_p10_a_pool_closed_while_a_new_slot_waits_for_a_slow_close(settled: Any) -> None:
    """The request has a slot, but before it may dial it helps closing what has expired."""
    backend = BareBackend([OK] * 3)
    pool = AsyncConnectionPool(network_backend=backend, keepalive_expiry=1.0)
    await pool.request("GET", "http://example.com/")
    backend.inner.clock.advance(2.0)
    backend.gate = AsyncEvent()
    async with AsyncTaskGroup() as group:
        request = group.start(pool.request, "GET", "http://example.com/")
        await until(lambda: backend.closing)
        closer = group.start(pool.aclose)
        await rounds()
        backend.gate.set()
        await closer.result()
        with pytest.raises(PoolClosed):
            await request.result()
    settled(pool)
    assert backend.inner.open_streams == 0


async def test_p1_a_dial_is_not_made_twice_by_an_heir_who_was_closing(settled: Any) -> None:
    backend = BareBackend([OK] * 3, connect=[None, Delay(1000.0)])
    pool = AsyncConnectionPool(network_backend=backend, max_connections=2)
    await pool.request("GET", "http://one.example/")
    async with AsyncTaskGroup() as group:
        backend.inner.clock.sleepers.append(0.0)  # nobody else moves the clock
        dialler = group.start(pool.request, "GET", "http://two.example/")
        await until(lambda: pool.stats().connecting == 1)
        await rounds()
        backend.gate = AsyncEvent()
        heir = group.start(pool.request, "GET", "http://two.example/")
        await until(lambda: backend.closing)
        dialler.cancel()
        await rounds()
        backend.gate.set()
        await rounds()
        backend.inner.clock.sleepers.remove(0.0)
        assert (await heir.result()).content == b"ok"
    assert len(backend.inner.connects) == 2
    settled(pool)
    await pool.aclose()
    assert backend.inner.open_streams == 0


async def test_d02_a_cancelled_close_still_closes_what_is_active() -> None:
    backend = BareBackend([OK, FOREVER])
    pool = AsyncConnectionPool(network_backend=backend)
    await pool.request("GET", "http://one.example/")
    response = await pool.handle_async_request(b"GET", URL, HOST, None, {})
    backend.gate = AsyncEvent()
    async with AsyncTaskGroup() as group:
        closer = group.start(pool.aclose)
        await until(lambda: backend.closing)
        closer.cancel()
        await rounds()
        backend.gate.set()
    await rounds()
    assert backend.inner.open_streams == 0
    check_numbers(pool)
    await response.stream.aclose()


async def test_i1_closing_waits_for_no_dial_that_is_over() -> None:
    """A dial's task may still be closing others when its own connection is to be closed; two of
    them must not wait for each other."""
    backend = BareBackend([OK] * 9)
    pool = AsyncConnectionPool(network_backend=backend, max_connections=2, keepalive_expiry=1.0)

    async def work() -> None:
        for name in ("a", "b", "c", "d"):
            await pool.request("GET", f"http://{name}.example/", headers={"Connection": "close"})

    async def churn() -> None:
        async with AsyncTaskGroup() as group:
            for _ in range(6):
                group.start(work)

    await bounded(churn)
    await bounded(pool.aclose)
    check_numbers(pool)
    assert backend.inner.open_streams == 0


async def test_a_closed_connection_is_not_used_though_its_stream_cannot_tell() -> None:
    backend = BareBackend([OK] * 2)
    async with AsyncConnectionPool(network_backend=backend, max_connections=1) as pool:
        await pool.request("GET", "http://example.com/")
        await pool.connections[0].aclose()
        limits = {"pool": 1.0}
        for _ in range(2):
            await pool.request("GET", "http://example.com/", extensions={"timeout": limits})


# --- Closing ------------------------------------------------------------------------------------


async def test_p10_closing_at_once_while_another_task_closes_gracefully() -> None:
    backend = AsyncMockBackend([OK[:-1], FOREVER])
    pool = AsyncConnectionPool(network_backend=backend)
    response = await pool.handle_async_request(b"GET", URL, HOST, None, {})
    async with AsyncTaskGroup() as group:
        graceful = group.start(pool.aclose, 60.0)
        await rounds()
        assert not graceful.is_done()
        await bounded(pool.aclose)
        assert backend.open_streams == 0
        await bounded(graceful.result)
    await response.stream.aclose()


async def test_p10_two_graceful_closes_end_together() -> None:
    backend = AsyncMockBackend([OK])
    pool = AsyncConnectionPool(network_backend=backend)
    response = await pool.handle_async_request(b"GET", URL, HOST, None, {})
    async with AsyncTaskGroup() as group:
        closers = [group.start(pool.aclose, 60.0) for _ in range(2)]
        await rounds()
        assert await response.stream.aread() == b"ok"
        for closer in closers:
            await bounded(closer.result)
    check_numbers(pool)


def test_p10_two_graceful_closes_in_threads() -> None:
    backend = MockBackend([OK])
    pool = ConnectionPool(network_backend=backend)
    response = pool.handle_request(b"GET", URL, HOST, None, {})
    closers = [threading.Thread(target=pool.close, args=(60.0,), daemon=True) for _ in range(2)]
    for closer in closers:
        closer.start()
    while not pool._policy.is_closed:
        pass
    response.stream.read()
    for closer in closers:
        closer.join(5.0)
        assert not closer.is_alive()
    check_numbers(pool)


async def test_p10_a_graceful_close_waits_for_no_dial_that_failed() -> None:
    backend = AsyncMockBackend(connect=[[Delay(1.0), ConnectError("no")]])
    pool = AsyncConnectionPool(network_backend=backend)
    async with AsyncTaskGroup() as group:
        request = group.start(pool.request, "GET", "http://example.com/")
        backend.clock.sleepers.append(0.0)  # nobody moves the clock yet
        await until(lambda: backend.connects)
        closer = group.start(pool.aclose, 60.0)
        await rounds()
        backend.clock.sleepers.remove(0.0)
        await bounded(closer.result)
        with pytest.raises((ConnectError, PoolClosed)):
            await request.result()
    check_numbers(pool)


async def test_p10_a_graceful_close_waits_for_no_response_that_was_dropped() -> None:
    backend = AsyncMockBackend([OK])
    pool = AsyncConnectionPool(network_backend=backend)
    held = [await pool.handle_async_request(b"GET", URL, HOST, None, {})]
    async with AsyncTaskGroup() as group:
        closer = group.start(pool.aclose, 60.0)
        await rounds()
        with pytest.warns(ResourceWarning):
            held.clear()
        await bounded(closer.result)


async def test_p10_closing_ends_every_dial() -> None:
    backend = AsyncMockBackend(connect=[FOREVER] * 3)
    pool = AsyncConnectionPool(network_backend=backend)

    async def request(name: str) -> None:
        with pytest.raises(PoolClosed):
            await pool.request("GET", f"http://{name}.example/")

    async with AsyncTaskGroup() as group:
        for name in ("a", "b", "c"):
            group.start(request, name)
        await until(lambda: len(backend.connects) == 3)
        await bounded(pool.aclose)
        check_numbers(pool)  # and no task is left behind: see `flavours`


def test_p12_two_threads_use_a_new_pool_at_once() -> None:
    """Whoever finds that the pool has no context yet must not reset what another has begun."""

    class Backend(MockBackend):
        def context(self) -> object:
            barrier.wait(5.0)
            return None

    def request() -> None:
        try:
            contents.append(pool.request("GET", "http://example.com/").content)
        except BaseException as exc:
            contents.append(exc)

    contents: list[object] = []
    barrier = threading.Barrier(8)
    pool = ConnectionPool(network_backend=Backend([OK]))
    threads = [threading.Thread(target=request, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5.0)
    assert contents == [b"ok"] * 8
    stats = pool.stats()
    assert "forgotten" not in stats.closed
    barrier = threading.Barrier(1)
    pool.close()


async def test_p10_a_pool_closed_by_the_trace_of_a_request() -> None:
    """Between a request's having a connection and its using it."""

    async def trace(name: str, info: object) -> None:
        if name == "pool.acquire.complete":
            await pool.aclose()

    pool = AsyncConnectionPool(network_backend=AsyncMockBackend([OK]))
    with pytest.raises(PoolClosed):
        await pool.request("GET", "http://example.com/", extensions={"trace": trace})
    check_numbers(pool)


@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("reading", range(1, 12))
def test_p10_a_sync_pool_closed_at_every_reading_of_the_clock(reused: bool, reading: int) -> None:
    """The driver asks for the time between its steps, outside the lock: another thread may close
    the pool at each of these points."""

    class Backend(MockBackend):
        countdown = 0

        def now(self) -> float:
            if self.countdown:
                self.countdown -= 1
                if not self.countdown:
                    closers.append(threading.Thread(target=close))
                    closers[0].start()
                    closers[0].join(0.05)  # in vain if the lock is held: it closes a moment later
            return super().now()

    def close() -> None:
        try:
            pool.close()
        except BaseException as exc:
            errors.append(exc)

    def request() -> None:
        backend.countdown = reading
        try:
            pool.request("GET", "http://example.com/", extensions={"timeout": {"total": 9.0}})
        except PoolClosed:
            pass
        except BaseException as exc:
            errors.append(exc)

    errors: list[BaseException] = []
    closers: list[threading.Thread] = []
    backend = Backend([OK] * 2)
    pool = ConnectionPool(network_backend=backend)
    if reused:
        pool.request("GET", "http://example.com/")
    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(5.0)
    for closer in closers:
        closer.join(5.0)
    assert not any(each.is_alive() for each in (thread, *closers)), "hangs"
    assert not errors
    pool.close()
    assert backend.open_streams == 0
    check_numbers(pool)


# --- Idle connections -----------------------------------------------------------------------------


async def test_p7_p8_a_shorter_hint_wakes_the_timer_earlier() -> None:
    hint = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=2\r\n\r\n"
    backend = AsyncMockBackend.scripted([[OK, FOREVER], [hint, FOREVER]])
    async with AsyncConnectionPool(network_backend=backend, keepalive_expiry=60.0) as pool:
        await pool.request("GET", "http://one.example/")
        await pool.request("GET", "http://two.example/")
        backend.clock.advance(3.0)
        await rounds()
        assert pool.stats().closed == {"expired": 1}
        backend.clock.advance(60.0)
        await rounds()
        assert pool.stats().closed == {"expired": 2}


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_p7_a_connection_that_came_back_unused_expires_too(flavour: str) -> None:
    """Cancelled at any step: whatever has become idle does not stay so for ever."""

    async def scenario(step: CancelStep) -> None:
        backend = AsyncMockBackend([OK, FOREVER])
        pool = AsyncConnectionPool(network_backend=backend, keepalive_expiry=5.0)
        await step.run(pool.request, "GET", "http://example.com/")
        await rounds()
        backend.clock.advance(10.0)
        await rounds()
        check_numbers(pool)
        assert pool.connections == []
        assert backend.open_streams == 0
        await pool.aclose()

    every_step(flavour, scenario)


async def test_p7_a_connection_given_to_someone_who_left_expires_too() -> None:
    backend = AsyncMockBackend([OK, FOREVER])
    pool = AsyncConnectionPool(network_backend=backend, keepalive_expiry=5.0, max_connections=1)
    response = await pool.handle_async_request(b"GET", URL, HOST, None, {})
    async with AsyncTaskGroup() as group:
        waiting = group.start(pool.request, "GET", "http://example.com/")
        await until(lambda: pool.stats().queued == 1)
        await response.stream.aread()
        waiting.cancel()  # it has been given the connection and does not know yet
        await rounds()
    backend.clock.advance(10.0)
    await rounds()
    assert pool.connections == []
    await pool.aclose()


# --- Waiting --------------------------------------------------------------------------------------


async def test_p15_stale_connections_do_not_begin_the_wait_anew() -> None:
    backend = AsyncMockBackend.scripted([[OK] * 4] * 9)
    pool = AsyncConnectionPool(network_backend=backend, max_connections=1)
    done: list[str] = []

    async def waiting(name: str) -> None:
        limits = {"pool": 1.0}
        await pool.request("GET", "http://example.com/", extensions={"timeout": limits})
        done.append(name)

    first = await pool.handle_async_request(b"GET", URL, HOST, None, {})
    async with AsyncTaskGroup() as group:
        for name in ("a", "b", "c"):
            group.start(waiting, name)
            await until(lambda n=name: pool.stats().queued == "_abc".index(n))
        await first.stream.aread()
        backend.streams[0].arrive(b"")  # the server closes it before the next one looks
    assert done == ["a", "b", "c"]  # who met the stale connection has not lost his turn
    await pool.aclose()


async def test_p14_a_total_deadline_in_the_queue_says_all() -> None:
    backend = AsyncMockBackend([OK, FOREVER])
    pool = AsyncConnectionPool(network_backend=backend, max_connections=1)
    response = await pool.handle_async_request(b"GET", URL, HOST, None, {})
    for limits in ({"total": 0.0}, {"total": 0.0, "pool": 1.0}):
        with pytest.raises(PoolTimeout) as info:
            await pool.request("GET", "http://example.com/", extensions={"timeout": limits})
        error = info.value
        assert (error.origin, error.phase, error.limit) == ("http://example.com:80", "pool", 0.0)
        assert "1 active" in str(error)
        assert "total" in str(error)
    await response.stream.aclose()
    await pool.aclose()


# --- Finalisers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["stats", "connections", "repr"])
def test_p13_a_response_dropped_while_someone_looks_at_the_numbers(look: str) -> None:
    """A finaliser that finds the lock taken leaves the rest to its holder, be it a mere reader."""
    backend = MockBackend([OK])
    pool = ConnectionPool(network_backend=backend, max_connections=1)
    held = [pool.handle_request(b"GET", URL, HOST, None, {})]
    thread = threading.Thread(target=pool.request, args=("GET", "http://example.com/"), daemon=True)
    thread.start()
    while not pool.stats().queued:
        pass

    def dropping(method: Callable[[], Any]) -> Callable[[], Any]:
        def during() -> Any:
            held.clear()
            return method()

        return during

    policy: Any = pool._policy
    policy.stats = dropping(policy.stats)
    policy.slots = dropping(policy.slots)
    looks: dict[str, Callable[[], object]] = {
        "stats": pool.stats,
        "repr": pool.__repr__,
        "connections": lambda: pool.connections,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        looks[look]()
    thread.join(5.0)
    assert not thread.is_alive(), "the wake-up was lost"
    pool.close()


def test_p13_a_generator_that_is_collected_within_the_lock() -> None:
    """The collector may run anywhere. What it ends here is a generator with an open response."""

    def chunks() -> Iterator[bytes]:
        with pool.stream("GET", "http://example.com/") as response:
            yield from response.stream

    def drop_one() -> None:
        cycle: list[Any] = [chunks()]
        cycle.append(cycle)
        next(cycle[0])

    def collecting(*args: Any) -> None:
        gc.collect()
        acquire(*args)

    def work() -> None:
        drop_one()
        pool._policy.acquire = collecting  # type: ignore[method-assign]
        results.append(pool.request("GET", "http://example.com/").content)

    results: list[bytes] = []
    backend = MockBackend([OK[:-1], b"k"])
    pool = ConnectionPool(network_backend=backend)
    acquire = pool._policy.acquire
    gc.disable()
    try:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(5.0)
    finally:
        gc.enable()
    assert not thread.is_alive(), "deadlock"
    assert results == [b"ok"]
    check_numbers(pool)
    pool.close()


async def test_h4_an_upgraded_stream_lives_as_long_as_it_is_held(settled: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        peer.expect(b"ping")
        peer.send(b"pong")
        peer.wait_for_end()

    async def upgraded(pool: AsyncConnectionPool, server: ScriptedServer) -> AsyncNetworkStream:
        url = (b"http", b"127.0.0.1", server.port, b"/")
        headers = [(b"Host", b"x"), (b"Connection", b"upgrade"), (b"Upgrade", b"x")]
        response = await pool.handle_async_request(b"GET", url, headers, None, {})
        stream: AsyncNetworkStream = response[3]["network_stream"]
        return stream

    gc.disable()
    try:
        with ScriptedServer(script) as server:
            async with AsyncConnectionPool(max_connections=1) as pool:
                stream = await upgraded(pool, server)
                await stream.write(b"ping")
                assert await stream.read(10, 5.0) == b"pong"
                await stream.aclose()
                settled(pool)
                stream = await upgraded(pool, server)
                with pytest.warns(ResourceWarning):
                    del stream
                settled(pool)
    finally:
        gc.enable()


# --- Memory ---------------------------------------------------------------------------------------


def growth(work: Callable[[], object], times: int) -> int:
    """Bytes that `work` leaves behind per call, with the cycle collector off."""
    for _ in range(50):
        work()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        work()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(times):
            work()
        return (tracemalloc.get_traced_memory()[0] - before) // times
    finally:
        tracemalloc.stop()
        gc.enable()


def test_d22_nothing_is_left_of_requests_and_failures_without_a_collector() -> None:
    def succeed() -> None:
        pool.request("GET", "http://example.com/")

    def fail_to_connect() -> None:
        with pytest.raises(ConnectError):
            broken.request("GET", "http://example.com/")
        broken._backend.connects.clear()  # type: ignore[attr-defined]

    def time_out() -> None:
        with pytest.raises(PoolTimeout):
            full.request("GET", "http://example.com/", extensions={"timeout": {"pool": 0}})

    def fail_to_read() -> None:
        with pytest.raises(ReadError):
            cut.request("GET", "http://example.com/")

    class Endless(MockBackend):
        def _connect(self, attempt: Any) -> Any:
            stream = yield from super()._connect(attempt)
            self.connects.clear()
            self.streams.clear()
            stream.peer.on_received = None  # the mock's own cycle
            return stream

    pool = ConnectionPool(network_backend=Endless([OK[:-2] + b"ok"]))
    broken = ConnectionPool(network_backend=Endless.scripted([]))
    cut = ConnectionPool(network_backend=Endless([ReadError]))
    full = ConnectionPool(network_backend=Endless([OK]), max_connections=1)
    response = full.handle_request(b"GET", URL, HOST, None, {})
    grown = {
        work.__name__: growth(work, 300)
        for work in (succeed, fail_to_connect, time_out, fail_to_read)
    }
    assert all(size < 200 for size in grown.values()), grown
    response.stream.close()


async def test_d22_nothing_is_left_of_failures_in_async_code() -> None:
    class Endless(AsyncMockBackend):
        def _connect(self, attempt: Any) -> Any:
            stream = yield from super()._connect(attempt)
            self.connects.clear()
            self.streams.clear()
            stream.peer.on_received = None  # the mock's own cycle
            return stream

    async def many(pool: AsyncConnectionPool, times: int) -> None:
        for _ in range(times):
            with pytest.raises(TransportError):
                await pool.request("GET", "http://example.com/")
            pool._backend.connects.clear()  # type: ignore[attr-defined]

    grown = {}
    for name, backend in (
        ("connect", Endless.scripted([])),
        ("read", Endless([ReadError])),
    ):
        pool = AsyncConnectionPool(network_backend=backend)
        await many(pool, 50)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            await many(pool, 5)
            before = tracemalloc.get_traced_memory()[0]
            await many(pool, 300)
            grown[name] = (tracemalloc.get_traced_memory()[0] - before) // 300
        finally:
            tracemalloc.stop()
            gc.enable()
        await pool.aclose()
    assert all(size < 200 for size in grown.values()), grown


# --- Event loops and processes --------------------------------------------------------------------


def test_p11_closing_in_a_second_loop_what_dials_in_a_dead_one() -> None:
    pool = AsyncConnectionPool(network_backend=Looped(connect=[FOREVER]))

    async def begin() -> None:
        tasks.append(asyncio.ensure_future(pool.request("GET", "http://example.com/")))
        await rounds()

    async def close() -> None:
        await asyncio.wait_for(pool.aclose(), 5.0)

    tasks: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    asyncio.run(close())
    check_numbers(pool)
    for task in tasks:
        task._log_destroy_pending = False
    from httpcore_core import _concurrency

    for task in _concurrency._asyncio_tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    _concurrency._asyncio_tasks.clear()


class Looped(AsyncMockBackend):
    def context(self) -> object:
        return asyncio.get_running_loop()


def test_p11_two_running_trio_runs_cannot_share_a_pool() -> None:
    import trio

    from httpcore_core import LocalProtocolError

    def other() -> None:
        try:
            trio.run(pool.request, "GET", f"{server.url}/bytes/3")
        except BaseException as exc:
            errors.append(exc)

    async def main() -> None:
        async with pool.stream("GET", f"{server.url}/bytes/300000") as response:
            await trio.to_thread.run_sync(other)
            assert await response.stream.aread() == pattern(300_000)
        await pool.aclose()

    errors: list[BaseException] = []
    pool = AsyncConnectionPool()
    with HTTPServer() as server:
        trio.run(main)
    assert [type(error) for error in errors] == [LocalProtocolError]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_p11_a_connection_without_a_pool_survives_its_closing_in_a_child() -> None:
    from tests.drivers.test_lifecycle import in_child

    def close_in_child() -> bool:
        connection.close()
        return True

    with HTTPServer() as server:
        connection = HTTPConnection(Origin(b"http", b"127.0.0.1", server.port))
        connection.request("GET", f"{server.url}/bytes/3")
        assert in_child(close_in_child) == 0
        assert connection.request("GET", f"{server.url}/bytes/3").content == pattern(3)
        connection.close()


# --- What callers hand in -------------------------------------------------------------------------


def test_h19_a_callers_file_is_not_closed(tmp_path: Any) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"x\n" * 10)
    with path.open("rb") as file, ConnectionPool(network_backend=MockBackend([OK])) as pool:
        pool.request("PUT", "http://example.com/", content=file)
        assert not file.closed


async def test_p6_a_replayable_body_is_not_closed_between_its_two_copies() -> None:
    """It is its own iterator and has `aclose`, as `AsyncByteStream` allows."""

    class Body(AsyncByteStream):
        replayable = True
        closed = False

        def __aiter__(self) -> AsyncIterator[bytes]:
            assert not self.closed
            self.left = [b"abc", b"def"]
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

        async def aclose(self) -> None:
            self.closed = True

    backend = AsyncMockBackend.scripted([[OK, ReadError("reset")], [OK]])
    async with AsyncConnectionPool(network_backend=backend) as pool:
        await pool.request("GET", "http://example.com/")
        response = await pool.request("PUT", "http://example.com/", content=Body())
        assert response.status == 200
    assert b"abc" in backend.streams[1].written
    assert b"def" in backend.streams[1].written


def test_d09_a_resolver_that_raises_costs_no_slot() -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise ZeroDivisionError

    with ConnectionPool(resolver=resolver, max_connections=1) as pool:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                pool.request("GET", "http://x.invalid/", extensions={"timeout": {"pool": 0}})
            check_numbers(pool)


# --- Errors ---------------------------------------------------------------------------------------

ERRORS = [
    value
    for value in vars(httpcore_core).values()
    if isinstance(value, type) and issubclass(value, TransportError)
]


@pytest.mark.parametrize("kind", ERRORS)
def test_all_errors_pickle_and_copy(kind: type[TransportError]) -> None:
    error = kind("text", origin="https://example.com:443", phase="send", limit=1.5)
    if hasattr(error, "bytes_written"):
        error.bytes_written = 7
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error) == "https://example.com:443: send: text (limit 1.5 s)"
        assert vars(twin) == vars(error)
