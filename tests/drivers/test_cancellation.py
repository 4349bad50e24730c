"""P1: cancelled at every await point of a whole exchange, a request leaves nothing behind.

By enumeration: the scenario runs again and again and is cancelled one suspension later each time.
After each cancellation the numbers are zero, the next request works, and nothing is left open (the
descriptor and task guards of conftest). D21: the same in sync code with KeyboardInterrupt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from httpcore_core import (
    AsyncByteStream,
    AsyncConnectionPool,
    AsyncMockBackend,
    ConnectionPool,
    MockBackend,
    PoolTimeout,
    SyncBackend,
)
from httpcore_core.testing.cancel import (
    CancelStep,
    InterruptStep,
    cancel_at_every_step,
    interrupt_at_every_operation,
)
from httpcore_core.testing.http_server import HTTPServer
from tests.flavours import FLAVOURS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(100_000)


class Body(AsyncByteStream):
    """Suspends between its chunks, so that it can be cancelled there."""

    def __init__(self) -> None:
        self._left = 3

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        import sniffio

        if sniffio.current_async_library() == "trio":
            import trio

            await trio.lowlevel.checkpoint()
        else:
            import asyncio

            await asyncio.sleep(0)
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


async def upload(pool: AsyncConnectionPool, url: str) -> None:
    async with pool.stream("POST", url, content=Body()) as response:
        async for _ in response.stream:
            pass


async def abandon(pool: AsyncConnectionPool, url: str) -> None:
    """Closes the response in the middle, which may have to drain it."""
    async with pool.stream("GET", url):
        pass


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("work", [upload, abandon])
@pytest.mark.parametrize("tls", [False, True])
def test_p1_a_whole_exchange_over_sockets(
    flavour: str, work: Any, tls: bool, certificates: Any
) -> None:
    context = certificates.server_context() if tls else None
    with HTTPServer(ssl_context=context) as server:
        url = f"{server.url}/chunked/30000"

        async def scenario(step: CancelStep) -> None:
            pool = AsyncConnectionPool(
                ssl_context=certificates.client_context() if tls else None,
                max_connections=1,
                keepalive_expiry=None,
            )
            await step.run(work, pool, url)
            check_numbers(pool)
            limits = {"pool": 5.0, "read": 5.0}
            response = await pool.request("GET", url, extensions={"timeout": limits})
            assert len(response.content) == 30_000
            await pool.aclose()
            check_numbers(pool)

        assert every_step(flavour, scenario) >= (4 if work is upload else 1)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_while_another_request_waits_in_line(flavour: str) -> None:
    """The one that is cancelled may be the one which dials for both, or the one that waits."""

    async def scenario(step: CancelStep) -> None:
        from tests.concurrency import AsyncTaskGroup

        backend = AsyncMockBackend([OK] * 9)
        pool = AsyncConnectionPool(network_backend=backend, max_connections=1)
        async with AsyncTaskGroup() as group:
            other = group.start(pool.request, "GET", "http://example.com/")
            await step.run(pool.request, "GET", "http://example.com/")
            assert (await other.result()).content == b"ok"
        check_numbers(pool)
        assert backend.open_streams <= 1
        await pool.aclose()
        assert backend.open_streams == 0

    assert every_step(flavour, scenario) >= 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_the_dial_of_a_cancelled_request_goes_on_for_those_who_wait(flavour: str) -> None:
    connects = []

    async def scenario(step: CancelStep) -> None:
        from tests.concurrency import AsyncTaskGroup

        backend = AsyncMockBackend([OK] * 9)
        pool = AsyncConnectionPool(network_backend=backend, max_connections=1)

        async def first() -> None:
            async with AsyncTaskGroup() as group:
                others.extend(
                    group.start(pool.request, "GET", "http://example.com/") for _ in range(2)
                )

        others: list[Any] = []
        async with AsyncTaskGroup() as group:
            group.start(first)
            await step.run(pool.request, "GET", "http://example.com/")
        assert [(await job.result()).content for job in others] == [b"ok", b"ok"]
        connects.append(len(backend.connects))
        check_numbers(pool)
        await pool.aclose()

    assert every_step(flavour, scenario) >= 2
    assert max(connects) <= 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_d02_closing_is_cancelled(flavour: str) -> None:
    async def scenario(step: CancelStep) -> None:
        backend = AsyncMockBackend([LONG])
        pool = AsyncConnectionPool(network_backend=backend)
        response = await pool.handle_async_request(
            b"GET", (b"http", b"example.com", None, b"/"), [(b"Host", b"x")], None, {}
        )
        await step.run(response.stream.aclose)
        await step.run(pool.aclose)
        await pool.aclose()
        assert backend.open_streams == 0
        check_numbers(pool)

    every_step(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_a_graceful_close_is_cancelled(flavour: str) -> None:
    async def scenario(step: CancelStep) -> None:
        backend = AsyncMockBackend([LONG])
        pool = AsyncConnectionPool(network_backend=backend)
        response = await pool.handle_async_request(
            b"GET", (b"http", b"example.com", None, b"/"), [(b"Host", b"x")], None, {}
        )
        await step.run(pool.aclose, 0.01)
        assert backend.open_streams == 0
        check_numbers(pool)
        await response.stream.aclose()

    assert every_step(flavour, scenario) >= 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_async_trace_callbacks_are_await_points_too(flavour: str) -> None:
    async def trace(name: str, info: object) -> None:
        import sniffio

        if sniffio.current_async_library() == "trio":
            import trio

            await trio.lowlevel.checkpoint()
        else:
            import asyncio

            await asyncio.sleep(0)

    async def scenario(step: CancelStep) -> None:
        backend = AsyncMockBackend([OK] * 3)
        pool = AsyncConnectionPool(network_backend=backend, max_connections=1)
        await step.run(pool.request, "GET", "http://example.com/", extensions={"trace": trace})
        check_numbers(pool)
        try:
            limits = {"pool": 0.0}
            await pool.request("GET", "http://example.com/", extensions={"timeout": limits})
        except PoolTimeout as exc:
            raise AssertionError("the slot is lost") from exc
        await pool.aclose()
        assert backend.open_streams == 0

    assert every_step(flavour, scenario) >= 10


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_d21_sync_code_is_interrupted_at_every_operation(error: type[BaseException]) -> None:
    def scenario(step: InterruptStep) -> None:
        backend = MockBackend([OK] * 3)
        pool = ConnectionPool(network_backend=step.wrap(backend), max_connections=1)
        step.run(pool.request, "POST", "http://example.com/", content=iter([b"a", b"b"]))
        check_numbers(pool)
        if not step.interrupted:
            step.run(pool.close)
            pool.close()
            assert backend.open_streams == 0
            return
        limits = {"pool": 0.0}
        response = pool.request("GET", "http://example.com/", extensions={"timeout": limits})
        assert response.content == b"ok"
        pool.close()
        assert backend.open_streams == 0

    assert interrupt_at_every_operation(scenario, error=error) >= 6


def test_d21_the_same_over_sockets() -> None:
    with HTTPServer() as server:

        def scenario(step: InterruptStep) -> None:
            pool = ConnectionPool(network_backend=step.wrap(SyncBackend()), max_connections=1)
            step.run(pool.request, "GET", f"{server.url}/bytes/100000")
            check_numbers(pool)
            if not step.interrupted:
                step.run(pool.close)
                pool.close()
                return
            limits = {"pool": 0.0, "read": 5.0}
            url = f"{server.url}/bytes/5"
            assert pool.request("GET", url, extensions={"timeout": limits}).status == 200
            pool.close()

        assert interrupt_at_every_operation(scenario) >= 4
