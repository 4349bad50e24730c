"""The transport that keeps to a rate: order, waiting and closing, in threads and tasks."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

import httpclient
from httpclient.transports._async.rate_limit import AsyncRateLimitTransport
from httpcore_core import (
    AsyncMockBackend,
    AutoBackend,
    PoolClosed,
    PoolTimeout,
    ReadError,
)
from tests.client._async.scripted import AsyncScripted, answer, send
from tests.concurrency import AsyncTaskGroup

GUARD = 20.0  # seconds; far more than anything here takes


async def until(condition: Callable[[], object]) -> None:
    backend = AutoBackend()
    deadline = backend.now() + GUARD
    while not condition():
        assert backend.now() < deadline, "this never happened"
        await backend.sleep(0.001)


class AsyncHeldBackend(AsyncMockBackend):
    """Its time stands still until it is let go: whoever sleeps does so until then."""

    def __init__(self) -> None:
        super().__init__()
        self.is_held = True

    async def sleep(self, seconds: float) -> None:
        await until(lambda: not self.is_held)
        await super().sleep(seconds)


class AsyncClocked(AsyncScripted):
    """Answers everything, and keeps the virtual times at which it was asked."""

    def __init__(self, backend: AsyncMockBackend) -> None:
        super().__init__()
        self.backend = backend
        self.lock = threading.Lock()
        self.times: list[float] = []
        self.targets: list[bytes] = []
        self.timeouts: list[Any] = []

    async def handle_async_request(
        self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
    ) -> Any:
        with self.lock:
            self.times.append(round(self.backend.now(), 6))
            self.targets.append(url[3])
            self.timeouts.append(extensions.get("timeout"))
        return answer(200)


def limited(**options: Any) -> tuple[AsyncRateLimitTransport, AsyncClocked, AsyncHeldBackend]:
    backend = AsyncHeldBackend()
    inner = AsyncClocked(backend)
    options = {"rate": 1.0, "network_backend": backend} | options
    return AsyncRateLimitTransport(inner, **options), inner, backend


def waiting(transport: AsyncRateLimitTransport, number: int) -> Callable[[], bool]:
    return lambda: repr(transport) == f"<AsyncRateLimitTransport [{number} waiting]>"


async def line_up(group: Any, transport: Any, number: int, **extensions: Any) -> list[Any]:
    """Requests that wait, in a known order."""
    jobs = []
    for i in range(number):
        before = int(repr(transport).split("[")[1].split()[0])

        async def request(target: bytes = b"/%d" % i) -> Any:
            return await send(transport, target=target, **extensions)

        jobs.append(group.start(request))
        await until(waiting(transport, before + 1))
    return jobs


async def test_example() -> None:
    inner = AsyncScripted(answer(200, b"one"), answer(200, b"two"))
    transport = AsyncRateLimitTransport(inner, rate=1000)
    async with httpclient.AsyncClient(transport=transport) as client:
        texts = [(await client.get("https://example.org/")).text for _ in range(2)]
    assert texts == ["one", "two"]


async def test_requests_go_at_the_rate() -> None:
    transport, inner, backend = limited(rate=2.0)
    backend.is_held = False
    for _ in range(4):
        await send(transport)
    backend.clock.advance(10)
    for _ in range(2):
        await send(transport)
    assert inner.times == [0.0, 0.5, 1.0, 1.5, 11.5, 12.0]


async def test_a_burst_goes_at_once() -> None:
    transport, inner, backend = limited(burst=3)
    backend.is_held = False
    for _ in range(5):
        await send(transport)
    assert inner.times == [0.0, 0.0, 0.0, 1.0, 2.0]


async def test_first_come_first_served() -> None:
    transport, inner, backend = limited()
    await send(transport)
    async with AsyncTaskGroup() as group:
        await line_up(group, transport, 5)
        backend.is_held = False
    assert inner.targets == [b"/path", b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert inner.times == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert waiting(transport, 0)()


@pytest.mark.parametrize("per", ["origin", "all"])
async def test_origins_have_rates_of_their_own_or_one_together(per: Any) -> None:
    transport, inner, backend = limited(per=per)
    backend.is_held = False
    for host, port in ((b"a", None), (b"A", 80), (b"a", 81), (b"b", None)):
        await transport.handle_async_request(b"GET", (b"http", host, port, b"/"), [], None, {})
    assert inner.times == [0.0, 1.0, 1.0, 1.0] if per == "origin" else [0.0, 1.0, 2.0, 3.0]


async def test_wait_counts_against_pool_and_total() -> None:
    transport, inner, backend = limited()
    backend.is_held = False
    timeout = {"read": 9.0, "pool": 5.0, "total": 8.0}
    for _ in range(2):
        await send(transport, timeout=timeout)
    assert inner.timeouts == [timeout, {"read": 9.0, "pool": 4.0, "total": 7.0}]
    assert inner.timeouts[0] is timeout


@pytest.mark.parametrize(
    ("options", "timeout", "limit"),
    [
        ({}, {"pool": 0.5}, 0.5),
        ({}, {"pool": 0}, 0),
        ({}, {"total": 0.9, "pool": 3}, 0.9),
        ({"max_wait": 0.25}, {"pool": 3}, 0.25),
    ],
)
async def test_wait_in_vain_is_not_begun(options: Any, timeout: Any, limit: float) -> None:
    transport, inner, backend = limited(**options)
    await send(transport, timeout=timeout)
    with pytest.raises(PoolTimeout) as caught:
        await send(transport, timeout=timeout)
    assert (caught.value.limit, caught.value.phase) == (limit, "pool")
    assert caught.value.origin == "https://example.org:443"
    assert (backend.sleeps, inner.times, waiting(transport, 0)()) == ([], [0.0], True)
    backend.clock.advance(1.0)  # nothing of it counts
    await send(transport, timeout=timeout)


async def test_wait_in_vain_counts_those_in_line() -> None:
    transport, inner, backend = limited()
    await send(transport)
    async with AsyncTaskGroup() as group:
        await line_up(group, transport, 3)
        with pytest.raises(PoolTimeout):
            await send(transport, timeout={"pool": 3.5})
        job = group.start(lambda: send(transport, timeout={"pool": 4.0}))
        await until(waiting(transport, 4))
        backend.is_held = False
        assert (await job.result()).status == 200
    assert inner.times == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert inner.timeouts[-1] == {"pool": 0.0}


async def test_wait_ends_in_time_if_those_before_take_longer_than_they_should() -> None:
    transport, inner, backend = limited(rate=1000.0)
    await send(transport)
    async with AsyncTaskGroup() as group:
        await line_up(group, transport, 1)  # it sleeps, and the clock stands still
        with pytest.raises(PoolTimeout, match="has not come"):
            await send(transport, timeout={"pool": 0.05})
        backend.is_held = False
    assert (inner.targets, waiting(transport, 0)()) == ([b"/path", b"/0"], True)


async def test_closing_ends_the_wait() -> None:
    transport, inner, backend = limited()
    await send(transport)
    async with AsyncTaskGroup() as group:
        jobs = await line_up(group, transport, 3)
        await transport.aclose()
        for job in jobs[1:]:
            with pytest.raises(PoolClosed):
                await job.result()
        backend.is_held = False  # who is first looks once a second
        with pytest.raises(PoolClosed):
            await jobs[0].result()
    with pytest.raises(PoolClosed):
        await send(transport)
    assert (inner.closed, inner.times, waiting(transport, 0)()) == (1, [0.0], True)


async def test_long_wait_is_made_of_naps() -> None:
    transport, inner, backend = limited(rate=0.4)
    backend.is_held = False
    await send(transport)
    await send(transport)
    assert (backend.sleeps, inner.times) == ([1.0, 1.0, 0.5], [0.0, 2.5])


async def test_error_of_the_transport_counts_and_passes_on() -> None:
    backend = AsyncMockBackend()
    error = ReadError("gone")
    transport = AsyncRateLimitTransport(AsyncScripted(error, 200), rate=1, network_backend=backend)
    with pytest.raises(ReadError) as caught:
        await send(transport)
    assert caught.value is error
    await send(transport)
    assert backend.clock.now() == 1.0


async def test_sleep_that_fails_gives_the_turn_to_the_next() -> None:
    transport, inner, backend = limited()
    await send(transport)
    sleep, failures = backend.sleep, [KeyError("once")]

    async def failing_sleep(seconds: float) -> None:
        await until(lambda: not backend.is_held)
        if failures:
            raise failures.pop()
        await sleep(seconds)

    backend.sleep = failing_sleep  # type: ignore[method-assign]
    async with AsyncTaskGroup() as group:
        jobs = await line_up(group, transport, 2)
        backend.is_held = False
        with pytest.raises(KeyError):
            await jobs[0].result()
        await jobs[1].result()
    assert inner.times == [0.0, 1.0]


async def test_many_at_once_are_all_served_at_the_rate() -> None:
    transport, inner, backend = limited(rate=10.0, burst=5)
    backend.is_held = False
    async with AsyncTaskGroup() as group:
        for _ in range(40):
            group.start(lambda: send(transport))
    times = sorted(inner.times)
    assert len(times) == 40
    for first in range(40):
        for last in range(first, 40):
            assert last - first + 1 <= 5 + 10.0 * (times[last] - times[first]) + 1e-3
    assert waiting(transport, 0)()


async def test_it_works_in_real_time() -> None:
    transport = AsyncRateLimitTransport(AsyncScripted(*[200] * 20), rate=2000)
    async with AsyncTaskGroup() as group:
        for _ in range(20):
            group.start(lambda: send(transport))
    assert waiting(transport, 0)()


async def test_waiting_makes_no_cycles() -> None:
    transport, _, backend = limited()
    backend.is_held = False
    await send(transport)
    gc.collect()
    gc.disable()
    try:
        await send(transport)
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 0},
        {"rate": 1, "burst": 0},
        {"rate": 1, "per": "host"},
        {"rate": 1, "max_wait": -1},
        {"rate": 1, "max_wait": math.nan},
    ],
)
async def test_wrong_options(options: Any) -> None:
    with pytest.raises(ValueError):
        AsyncRateLimitTransport(AsyncScripted(), **options)
