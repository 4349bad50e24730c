"""Callbacks after a time, for trio.

One system task per trio run makes all calls and lives only while there is one to make: a task per
timer would cost more than most timers are worth, since nearly all of them are cancelled.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable

import trio

_LOGGER = logging.getLogger("httpcore_core.connection")


class Timer:
    """A call to come. To be cancelled in the thread of its trio run."""

    __slots__ = ("_callback", "_timers")

    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        self._timers = timers
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        if self._callback is not None:
            self._callback = None
            self._timers.one_less()

    def call(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            self._timers.one_less()
            call_safely(callback)


class Timers:
    """The timers of one trio run."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()  # timers of the same moment keep their order
        self._alive = 0
        self._is_running = False
        self._scope: trio.CancelScope | None = None  # while the task sleeps

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self, callback)
        heapq.heappush(self._heap, (when, next(self._numbers), timer))
        self._alive += 1
        if not self._is_running:
            self._is_running = True
            trio.lowlevel.spawn_system_task(self._run)
        elif self._scope is not None and when < self._scope.deadline:
            self._scope.deadline = when
        return timer

    def one_less(self) -> None:
        self._alive -= 1
        if not self._alive and self._scope is not None:
            self._scope.cancel()

    async def _run(self) -> None:
        while self._alive:
            with trio.CancelScope(deadline=self._heap[0][0]) as self._scope:
                await trio.sleep_forever()
            self._scope = None
            now = trio.current_time()
            while self._heap and self._heap[0][0] <= now:
                heapq.heappop(self._heap)[2].call()
        self._heap.clear()  # the cancelled ones
        self._is_running = False


_TIMERS: trio.lowlevel.RunVar[Timers] = trio.lowlevel.RunVar("httpcore_core timers")


def call_at(when: float, callback: Callable[[], None]) -> Timer:
    """Call `callback` at `when` on the clock of the running trio."""
    try:
        timers = _TIMERS.get()
    except LookupError:
        timers = Timers()
        _TIMERS.set(timers)
    return timers.call_at(when, callback)


def call_safely(callback: Callable[[], None]) -> None:
    """Call `callback` in a system task, where an exception would end the whole run."""
    try:
        callback()
    except Exception:
        _LOGGER.exception("a callback failed")
