"""Waiting in line: many who wait for the same thing, each with an event of his own.

`Line` is for threads, `AsyncLine` for asyncio and trio.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from ._concurrency import AsyncEvent, Event

if TYPE_CHECKING:
    import asyncio


class Line:
    """Those who wait for the same thing; threads need no timers for it."""

    __slots__ = ()

    def wait(self, event: Event, timeout: float | None) -> bool:
        return event.wait(timeout)


class AsyncLine:
    """Those who wait for the same thing, mostly each as long as the others: who comes later gives
    up later, and nearly all are served before. So one timer does for all of them in asyncio, where
    a timer costs as much as everything else about the wait. It is there while anybody waits."""

    __slots__ = ("_latest", "_loop", "_timer", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], float] = {}  # until when, in this order
        self._latest = 0.0  # of these
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # whose timer that is

    async def wait(self, event: AsyncEvent, timeout: float | None) -> bool:
        """Wait until the event is set; false if `timeout` seconds pass first."""
        future = event.future
        if timeout is None or not 0.0 < timeout < inf or future is None or event.is_set:
            return await event.wait(timeout)
        loop = future.get_loop()
        deadline = loop.time() + timeout
        waiting = self._waiting
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._ring, loop)
            self._loop = loop
        elif deadline < self._latest or loop is not self._loop:
            # Who overtakes others has a timer of his own; so has who follows those that a loop has
            # left behind when it was closed.
            return await event.wait(timeout)
        waiting[future] = self._latest = deadline
        try:
            await future
        finally:
            del waiting[future]
            if not waiting and self._timer is not None:
                self._timer.cancel()
                self._timer = None
        return event.is_set

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """The time of whoever was first when the timer was set is up."""
        now = loop.time()
        self._timer = None
        for future, deadline in self._waiting.items():
            if deadline > now:
                self._timer = loop.call_at(deadline, self._ring, loop)
                return
            if not future.done():
                future.set_result(None)
