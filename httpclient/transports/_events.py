"""Waiting for another thread or task: the pair in which sync and async wrappers differ.

Rules of this file: one waiter, one wake-up, which may come from any thread. What an async event is
made of belongs to the event loop that it is made in; neither library is imported unless it runs.
"""

from __future__ import annotations

import threading
from typing import Any

from httpcore_core import AutoBackend

LONGEST = 1e9
"""Seconds, thirty years: more than that not every event loop can count."""


class Event:
    """A bare lock, because a finaliser may set it in the middle of the wait, where a
    `threading.Event` holds a lock of its own."""

    __slots__ = ("_is_set", "_lock")

    def __init__(self) -> None:
        self._is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> bool:
        """Wake the waiter, now or when it comes. False if there can be none any more."""
        if not self._is_set:
            self._is_set = True
            self._lock.release()
        return True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until set; false if so many seconds pass first."""
        if self._is_set:
            return True
        return self._lock.acquire(
            timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX)
        )


class AsyncEvent:
    """The same in asyncio and trio."""

    __slots__ = ("_context", "_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._context: Any = AutoBackend().context()
        self._event: Any
        if self._is_in_trio:
            import trio

            self._event = trio.Event()
        else:
            loop: Any = self._context
            self._event = loop.create_future()

    @property
    def _is_in_trio(self) -> bool:
        return hasattr(self._context, "run_sync_soon")  # trio's token; asyncio's is its loop

    def set(self) -> bool:
        self._is_set = True
        try:
            if self._is_in_trio:
                self._context.run_sync_soon(self._event.set)
            else:
                self._context.call_soon_threadsafe(self._resolve)
        except RuntimeError:  # the loop has ended, and the waiter with it (trio's error is one too)
            return False
        return True

    def _resolve(self) -> None:
        if not self._event.done():  # nor cancelled
            self._event.set_result(None)

    async def wait(self, seconds: float | None = None) -> bool:
        if self._is_set:
            return True
        limit = LONGEST if seconds is None else min(seconds, LONGEST)
        if self._is_in_trio:
            import trio

            with trio.move_on_after(limit):
                await self._event.wait()
            return self._is_set
        timer = None if seconds is None else self._context.call_later(limit, self._resolve)
        try:
            await self._event
        finally:
            if timer is not None:
                timer.cancel()
        return self._is_set
