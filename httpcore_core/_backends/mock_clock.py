"""The virtual clock of the mock backends, and how sync and async code wait on it.

Rules of this file: nothing really waits. Time passes only where it is told to and in waits, which
move the clock on at once, so a test of an hour's expiry takes no time and always ends the same.
An operation that may have to wait is a generator: it yields the virtual time to wait for.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

import sniffio

from .._concurrency import AsyncEvent

T = TypeVar("T")

FOREVER = float("inf")

# How many rounds of the event loop a sleeper lets pass before it moves the clock: whoever is about
# to sleep for a shorter time gets to say so first.
_QUIET_ROUNDS = 5


class Timer:
    """A callback of `VirtualClock.call_later`."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """Time that passes when it is told to. Share one between backends to put them in one world."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Timer]] = []
        self.sleepers: list[float] = []  # until when async code sleeps: the earliest goes first

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; timers that fall due run, in their order, each at its own time."""
        self.advance_to(self._now + seconds)

    def advance_to(self, when: float) -> None:
        while True:
            with self._lock:
                if not self._timers or self._timers[0][0] > when:
                    self._now = max(self._now, when)
                    return
                due, _, timer = heapq.heappop(self._timers)
                self._now = max(self._now, due)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        with self._lock:
            heapq.heappush(self._timers, (self._now + seconds, next(self._order), timer))
        return timer


class Waiting:
    """An async operation which waits, and what ends its wait early."""

    __slots__ = ("event", "woken")

    def __init__(self) -> None:
        self.event: AsyncEvent | None = None
        self.woken = False

    def wake(self) -> None:
        self.woken = True
        if self.event is not None:
            self.event.set()


def play(steps: Generator[float, None, T], clock: VirtualClock) -> T:
    while True:
        try:
            until = next(steps)
        except StopIteration as stop:
            value: T = stop.value
            return value
        if until == FOREVER:
            steps.close()
            raise RuntimeError("the mock peer hangs, and no timeout ends the wait for it")
        clock.advance_to(until)


async def checkpoint() -> None:
    if sniffio.current_async_library() == "trio":
        import trio

        await trio.lowlevel.checkpoint()
    else:
        import asyncio

        await asyncio.sleep(0)


def call_soon(callback: Callable[[], None]) -> None:
    if sniffio.current_async_library() == "trio":
        import trio

        trio.lowlevel.current_trio_token().run_sync_soon(callback)
    else:
        import asyncio

        asyncio.get_running_loop().call_soon(callback)


async def sleep_until(clock: VirtualClock, until: float, waiting: Waiting) -> None:
    """Return when the clock has got to `until`, which the earliest sleeper sees to, or when
    `waiting` is woken."""
    if until == FOREVER:
        waiting.event = AsyncEvent()
        await waiting.event.wait(None)
        return
    clock.sleepers.append(until)
    rounds = 0
    try:
        while clock.now() < until and not waiting.woken:
            await checkpoint()
            rounds = rounds + 1 if until == min(clock.sleepers) else 0
            if rounds == _QUIET_ROUNDS:
                clock.advance_to(until)
    finally:
        clock.sleepers.remove(until)


async def play_async(
    steps: Generator[float, None, T], clock: VirtualClock, waits: list[Waiting]
) -> T:
    try:
        await checkpoint()
        while True:
            try:
                until = next(steps)
            except StopIteration as stop:
                value: T = stop.value
                return value
            waiting = Waiting()
            waits.append(waiting)
            try:
                await sleep_until(clock, until, waiting)
            finally:
                waits.remove(waiting)
    finally:
        steps.close()
