"""The step-cancel harness finds every await point, and every one that is not handled."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
import trio

from httpcore_core._backends.mock import AsyncMockBackend, MockBackend
from httpcore_core._backends.mock_clock import checkpoint
from httpcore_core._concurrency import AsyncEvent
from httpcore_core.testing import (
    CancelStep,
    InterruptStep,
    cancel_at_every_step,
    interrupt_at_every_operation,
)

Library = Literal["asyncio", "trio"]
libraries = pytest.mark.parametrize("library", ["asyncio", "trio"])


@libraries
def test_every_await_point_is_cancelled_once(library: Library) -> None:
    reached: list[int] = []

    async def five_steps() -> str:
        for number in range(5):
            reached.append(number)
            await checkpoint()
        return "result"

    async def scenario(step: CancelStep) -> None:
        reached.clear()
        completed = await step.run(five_steps)
        assert completed is (not step.cancelled)
        assert len(reached) == min(step.number, 5)
        if completed:
            assert step.result == "result"

    assert cancel_at_every_step(scenario, library=library) == 5


@libraries
def test_a_leak_at_one_of_the_points_is_found(library: Library) -> None:
    async def scenario(step: CancelStep) -> None:
        backend = AsyncMockBackend([b"data"])

        async def leaks_when_cancelled_while_reading() -> None:
            stream = await backend.connect_tcp("a", 1)
            try:
                await stream.write(b"request")
            except BaseException:
                await stream.aclose()
                raise
            await stream.read(10)
            await stream.aclose()

        await step.run(leaks_when_cancelled_while_reading)
        assert backend.open_streams == 0

    with pytest.raises(AssertionError) as caught:
        cancel_at_every_step(scenario, library=library)
    assert caught.value.__notes__ == [f"cancelled at step 3 under {library}"]


@libraries
def test_errors_of_the_calls_own_come_through(library: Library) -> None:
    async def fails() -> None:
        await checkpoint()
        raise ZeroDivisionError

    async def scenario(step: CancelStep) -> None:
        await step.run(fails)

    with pytest.raises(ZeroDivisionError):
        cancel_at_every_step(scenario, library=library)


@libraries
def test_a_call_that_waits_for_ever_fails(library: Library) -> None:
    async def hangs() -> None:
        await AsyncMockBackend([]).sleep(1.0)
        await AsyncEvent().wait(None)

    async def scenario(step: CancelStep) -> None:
        step.number += 1000  # never reached
        await step.run(hangs)

    with pytest.raises((AssertionError, trio.TooSlowError)):
        cancel_at_every_step(scenario, library=library, limit=0.05)


def test_a_call_that_refuses_to_be_cancelled_fails() -> None:
    refuses = True

    async def hangs() -> None:
        while refuses:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def scenario(step: CancelStep) -> None:
        nonlocal refuses
        try:
            await step.run(hangs)
        finally:
            refuses = False  # lets the event loop end

    with pytest.raises(AssertionError, match="does not end when cancelled at step 1"):
        cancel_at_every_step(scenario, limit=0.05)


def test_swallowing_a_cancellation_is_a_fault_on_asyncio() -> None:
    async def swallows() -> None:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass

    async def scenario(step: CancelStep) -> None:
        await step.run(swallows)

    with pytest.raises(AssertionError, match="swallowed"):
        cancel_at_every_step(scenario)


def test_every_operation_is_interrupted_before_and_after() -> None:
    seen: list[tuple[int, int]] = []

    def scenario(step: InterruptStep) -> None:
        inner = MockBackend([b"data"])
        backend = step.wrap(inner)

        def exchange() -> bytes:
            stream = backend.connect_tcp("a", 1)
            try:
                stream.write(b"request")
                return stream.read(10)
            finally:
                stream.close()

        if step.run(exchange):
            assert step.result == b"data"
        else:
            assert isinstance(step.error, KeyboardInterrupt)
            seen.append((len(step.faults.operations), sum(len(s.writes) for s in inner.streams)))
        assert inner.open_streams == 0

    assert interrupt_at_every_operation(scenario) == 6
    assert seen == [(1, 0), (1, 0), (2, 0), (2, 1), (3, 1), (3, 1)]


def test_a_leak_when_interrupted_is_found() -> None:
    def scenario(step: InterruptStep) -> None:
        inner = MockBackend([b"data"])
        backend = step.wrap(inner)

        def exchange() -> None:
            stream = backend.connect_tcp("a", 1)
            stream.read(10)
            stream.close()

        step.run(exchange)
        assert inner.open_streams == 0

    with pytest.raises(AssertionError) as caught:
        interrupt_at_every_operation(scenario)
    assert caught.value.__notes__ == ["interrupted before operation 2"]
