"""Many tasks wait in line, and one timer does for all of them: on a loop whose time is virtual."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from httpcore_core._concurrency import AsyncEvent
from httpcore_core._line import AsyncLine


class Selector(selectors.DefaultSelector):
    """Never sleeps: what it was to wait for has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.is_real = False  # somebody else is to be waited for

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or (self.is_real and timeout > 0.0):
            return super().select(10.0)
        self.now += max(timeout, 0.0)
        return super().select(0.0)


class Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now

    def timers(self) -> int:
        return sum(not timer.cancelled() for timer in self._scheduled)  # type: ignore[attr-defined]


class Case:
    """A line, and who gave up when."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.line = AsyncLine()
        self.events: dict[str, AsyncEvent] = {}
        self.outcomes: dict[str, tuple[bool, float]] = {}

    def wait(self, name: str, timeout: float | None) -> asyncio.Task[None]:
        async def run() -> None:
            event = self.events[name] = AsyncEvent()
            is_set = await self.line.wait(event, timeout)
            self.outcomes[name] = (is_set, round(self.loop.time() - 100.0, 3))

        return self.loop.create_task(run())

    def play(self, script: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await script()

        self.loop.run_until_complete(run())


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    errors: list[dict[str, Any]] = []
    case.loop.set_exception_handler(lambda _, context: errors.append(context))
    yield case
    assert not errors
    assert case.loop.timers() == 0, "a timer is left though nobody waits"
    case.loop.close()


def test_each_gives_up_at_his_own_time(case: Case) -> None:
    async def script() -> None:
        for timeout in (1.0, 1.5, 1.5, 4.0):
            case.wait(f"{timeout} {len(case.events)}", timeout)
            await asyncio.sleep(0)
        assert case.loop.timers() == 1
        await asyncio.sleep(10)

    case.play(script)
    assert case.outcomes == {
        "1.0 0": (False, 1.0),
        "1.5 1": (False, 1.5),
        "1.5 2": (False, 1.5),
        "4.0 3": (False, 4.0),
    }


def test_one_timer_does_for_a_thousand_who_are_served(case: Case) -> None:
    async def script() -> None:
        tasks = []
        for number in range(1000):
            tasks.append(case.wait(str(number), 5.0))
            await asyncio.sleep(0)
            assert case.loop.timers() == 1
        for event in case.events.values():
            event.set()
        await asyncio.gather(*tasks)
        assert case.loop.timers() == 0

    case.play(script)
    assert set(case.outcomes.values()) == {(True, 0.0)}


def test_the_first_is_served_and_the_second_gives_up_in_time(case: Case) -> None:
    async def script() -> None:
        case.wait("first", 1.0)
        await asyncio.sleep(0.5)
        case.wait("second", 1.0)
        await asyncio.sleep(0.25)
        case.events["first"].set()
        await asyncio.sleep(10)

    case.play(script)
    assert case.outcomes == {"first": (True, 0.75), "second": (False, 1.5)}


def test_who_comes_later_and_gives_up_earlier_does_so(case: Case) -> None:
    async def script() -> None:
        case.wait("patient", 3.0)
        case.wait("hasty", 1.0)
        case.wait("forever", None)
        case.wait("gone", 0.0)
        case.wait("endless", float("inf"))
        await asyncio.sleep(10)
        case.events["forever"].set()
        case.events["endless"].set()
        await asyncio.sleep(0)

    case.play(script)
    assert case.outcomes == {
        "gone": (False, 0.0),
        "hasty": (False, 1.0),
        "patient": (False, 3.0),
        "forever": (True, 10.0),
        "endless": (True, 10.0),
    }


def test_who_is_cancelled_leaves_the_line(case: Case) -> None:
    async def script() -> None:
        first = case.wait("first", 1.0)
        await asyncio.sleep(0.5)
        case.wait("second", 1.0)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(10)
        assert first.cancelled()

    case.play(script)
    assert case.outcomes == {"second": (False, 1.5)}


def test_who_joins_just_after_the_bell_has_a_timer(case: Case) -> None:
    """Those whose time is up are still in the line then: they have not run yet."""
    joined: list[Any] = []

    async def script() -> None:
        case.wait("first", 1.0)
        await asyncio.sleep(0)

        def join() -> None:
            wait = case.line.wait(AsyncEvent(), 1.0)
            joined.extend((wait, wait.send(None)))

        case.loop.call_at(101.0, join)
        await asyncio.sleep(3)
        wait, future = joined
        assert future.done()
        with pytest.raises(StopIteration) as stopped:
            wait.send(None)
        assert stopped.value.value is False

    case.play(script)
    assert case.outcomes == {"first": (False, 1.0)}


def test_served_at_the_last_moment_is_served(case: Case) -> None:
    async def script() -> None:
        case.loop.call_at(101.0, lambda: case.events["before the bell"].set())
        case.wait("before the bell", 1.0)
        await asyncio.sleep(2)
        case.wait("after it", 1.0)
        await asyncio.sleep(0)
        case.loop.call_at(103.0, lambda: case.events["after it"].set())
        await asyncio.sleep(2)

    case.play(script)
    assert case.outcomes == {"before the bell": (True, 1.0), "after it": (True, 3.0)}


def test_served_by_another_thread(case: Case) -> None:
    async def script() -> None:
        task = case.wait("first", 1.0)
        await asyncio.sleep(0)
        case.loop.selector.is_real = True
        thread = threading.Thread(target=case.events["first"].set)
        thread.start()
        await task
        case.loop.selector.is_real = False
        thread.join(10)

    case.play(script)
    assert case.outcomes == {"first": (True, 0.0)}


def test_those_whom_a_closed_loop_has_left_behind_hold_up_nobody() -> None:
    """A backend of somebody else's may not tell event loops apart."""
    first, second = Case(), Case()
    second.line = first.line

    async def leave_behind() -> None:
        wait = first.line.wait(AsyncEvent(), 1.0)
        left_behind.extend((wait, wait.send(None)))

    left_behind: list[Any] = []
    first.play(leave_behind)
    first.loop.close()

    async def script() -> None:
        second.wait("second", 2.0)
        await asyncio.sleep(10)

    second.play(script)
    assert second.outcomes == {"second": (False, 2.0)}
    assert second.loop.timers() == 0
    second.loop.close()
    left_behind[0].close()
