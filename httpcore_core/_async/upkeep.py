"""What a pool does about connections that nobody uses: watch, close, pass on.

How a connection goes. The policy puts slots that are to be closed on a list (`take_closing`); they
are closed outside the lock and then reported as `closed`. Only then is their room free, so the
server never sees more connections than the limit. `settle` does this, and wakes those who were
given something; it is called after every change, and finishes what it took even where its caller
is cancelled.

How a connection comes back that nobody gave back. The finaliser of a dropped response may run at
any point of any thread, even one that holds the lock. So it puts the slot on a deque and tries the
lock without waiting: where it is taken, its holder looks at the deque in the `settle` to follow.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

from .._backends.base import AsyncNetworkBackend
from .._concurrency import (
    AsyncEvent,
    Lock,
    is_held_here,
    shielded_async,
    soon_async,
    spawn_async,
)
from .._protocol.pool import CLOSED, IDLE, PoolPolicy, Slot
from .connection import AsyncHTTPConnection
from .transport import AsyncTransport


class AsyncPoolUpkeep(AsyncTransport):
    """The part of a pool that looks after its connections; its state is the pool's."""

    _backend: AsyncNetworkBackend
    _policy: PoolPolicy
    _now: Callable[[], float]  # the clock of the present context
    _context: object  # which that is

    def __init__(self) -> None:
        self._lock = Lock()
        self._timer: Any = None
        self._timer_due = 0.0
        self._has_timers = True  # until the backend says otherwise
        self._dropped: collections.deque[Slot] = collections.deque()
        self._resting: collections.deque[Slot] = collections.deque()  # shared ones of these
        self._draining: dict[AsyncEvent, None] = {}  # of those who close gracefully

    def _rest(self, slot: Slot) -> None:
        """If the slot has become idle, see to it that it does not stay so for ever."""
        if slot.state != IDLE:
            return
        slot.connection.open_connection.end_use()
        if self._timer is not None and slot.expires_at < self._timer_due:
            self._timer.cancel()  # this one is to be closed before the others
            self._timer = None
        if self._timer is None and self._has_timers:
            self._arm()

    def _arm(self) -> None:
        """Wake up when the next idle connection expires; sync backends cannot."""
        with self._lock:
            due = self._policy.next_expiry()
        if due is not None:
            delay = max(due - self._now(), 0.0)
            self._timer = self._backend.call_later(delay, self._on_timer)
            self._timer_due = due
            self._has_timers = self._timer is not None

    def _on_timer(self) -> None:
        self._timer = None
        with self._lock:
            self._policy.expire(self._now())
        self._arm()
        spawn_async(self.settle)

    def on_peer_event(self, slot: Slot) -> None:
        """Something arrived on an idle connection: its end, or what nobody asked for."""
        if self._discard_idle(slot):
            spawn_async(self.settle)

    def _discard_idle(self, slot: Slot) -> bool:
        """The peer has closed a connection; nothing to do if it is in use after all."""
        with self._lock:
            is_idle = slot.state == IDLE
            if is_idle:
                self._policy.discard(slot, "peer closed")
            return is_idle

    # What shared connections say

    def on_limit(self, slot: Slot, protocol: Any) -> None:
        """The connection takes another number of requests at a time. It is asked for that here,
        because another thread may have come in between with an earlier one."""
        with self._lock:
            self._policy.set_limit(slot, protocol.stream_limit, self._now())
        self._settle_soon()

    def on_retired(self, slot: Slot, reason: str) -> None:
        """The connection takes no more requests; those it has go on."""
        with self._lock:
            self._policy.retire(slot, reason)
        self._settle_soon()

    def on_ended(self, slot: Slot, reason: str) -> None:
        """The connection has ended, for all requests it has."""
        with self._lock:
            self._policy.discard(slot, reason)
        self._settle_soon()

    def _settle_soon(self) -> None:
        self._wake()
        if self._policy.closing:
            spawn_async(self.settle)

    async def settle(self) -> None:
        """Wake those who got something, close what has to go; again, until there is no more."""
        while self._policy.closing or self._policy.wake or self._dropped:
            self._wake()
            with self._lock:
                closing = self._policy.take_closing()
            slow = [slot for slot in closing if not self._close_at_once(slot)]
            if slow:
                await shielded_async(self._settle_slowly, slow)
        self._end_drain()

    def _end_drain(self) -> None:
        """Wake those who close gracefully, if nothing is left for them to wait for."""
        if self._draining and not self._policy.is_busy:
            for event in list(self._draining):
                event.set_soon()

    async def _settle_slowly(self, slots: list[Slot]) -> None:
        for slot in slots:
            connection: AsyncHTTPConnection = slot.connection
            dial = connection.dial
            try:
                # The task of one that has been opened is not waited for: it may be waiting for us.
                if dial is not None and connection.open_connection is None:
                    dial.cancel()
                    await dial.wait()
                await connection.shut(slot.reason)
            finally:
                self._closed(slot)
        await self.settle()

    def _close_at_once(self, slot: Slot) -> bool:
        """Close without waiting, where that can be done."""
        connection: AsyncHTTPConnection | None = slot.connection
        if slot.state == CLOSED:
            return True
        if connection is not None and not connection.shut_at_once(slot.reason):
            return False
        self._closed(slot)
        return True

    def _closed(self, slot: Slot) -> None:
        """The slot's socket is gone: its room is free."""
        with self._lock:
            self._policy.closed(slot)
        if slot.connection is not None:
            slot.connection.detach()

    def _wake(self) -> None:
        if self._dropped:
            self._reclaim()
        with self._lock:
            waiters = self._policy.take_wake()
        for waiter in waiters:
            waiter.event.set()

    def on_dropped(self, slot: Slot) -> None:
        """Called by a finaliser, at any point of any thread: perhaps one that holds the lock."""
        self._dropped.append(slot)
        self._reclaim()

    def _reclaim(self) -> None:
        """Free the slots of dropped responses. Where the lock is taken, its holder does it: every
        change is followed by `settle`, which looks at `_dropped` after the lock is free."""
        while self._dropped and not is_held_here(self._lock):
            if not self._lock.acquire(blocking=False):
                return
            try:
                while self._dropped:
                    slot = self._dropped.popleft()
                    if slot.shared:  # only one of its streams was
                        self._policy.release(slot, self._now(), reusable=True)
                        self._resting.append(slot)
                        continue
                    self._policy.discard(slot, "dropped")
                    self._policy.closed(slot)
                    slot.connection.detach()
                events = [waiter.event for waiter in self._policy.take_wake()]
                if self._draining and not self._policy.is_busy:
                    events += self._draining
            finally:
                self._lock.release()
            for event in events:
                event.set_soon()
        if self._resting:
            soon_async(self._context, self._settle_dropped)

    async def _settle_dropped(self) -> None:
        """What a finaliser cannot do: watch what has become idle, close what has to go."""
        while self._resting:
            self._rest(self._resting.popleft())
        await self.settle()
