"""The pool policy: who gets which connection, what is opened, what is closed, who waits.

Rules of this file: decisions only. No I/O, no clock (times come as arguments), no locks (callers
serialise the calls), no wake-ups (it says whom to wake). Every operation takes constant time,
however many connections are open or idle and however many requests wait.

Theory of operation
-------------------
A request is a `Waiter`, the place of a connection is a `Slot`. A slot is born CONNECTING, for one
waiter, who dials; it becomes ACTIVE when the dial succeeds, IDLE between requests, CLOSING when
its connection is to be closed, and CLOSED when the driver reports that the socket is gone. Only
then is its room given to somebody else: a server never sees more sockets than the limits allow.

After each call the driver takes two lists: `take_closing`, connections (or dials) to end and then
report with `closed`; and `take_wake`, waiters who now have a slot or an error. A waiter woken with
a CONNECTING slot must dial it. The driver sets `slot.dialing` when it has begun to; if the request
is then cancelled, the next waiter of that origin adopts the dial and waits for it. Whoever adopts
a dial that fails is given one of his own.

Within an origin it is first come, first served; before the others go the few who need a *fresh*
connection, because a stale one has cost them their turn. A freed connection goes to the next
waiter of its origin at once, without passing through the idle set. So a connection is idle only
while no request of its origin, or only such as cannot use it, waits.

Between origins the scarce thing is the pool's limit. Those who wait for it stand in a ring
(`pool_fairness.py`). For each connection they could open, one idle connection, the least recently
used of all, is closed, unless enough are closing already; and where none is idle, a freed one is
closed if nobody of its own origin waits for it, or when its origin has had more than its share.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from math import inf

from .._exceptions import ConnectError, PoolClosed
from .pool_fairness import MAX_OVERTAKES
from .pool_sharing import PoolSharing
from .pool_slots import (
    ACTIVE,
    CLOSED,
    CLOSING,
    CONNECTING,
    IDLE,
    OriginState,
    Slot,
    State,
    Waiter,
    first,
)
from .pool_state import MAX_REMEMBERED_ORIGINS
from .pool_stats import OriginStats, PoolStats

__all__ = [
    "ACTIVE",
    "CLOSED",
    "CLOSING",
    "CONNECTING",
    "IDLE",
    "MAX_OVERTAKES",
    "MAX_REMEMBERED_ORIGINS",
    "OriginStats",
    "PoolPolicy",
    "PoolStats",
    "Slot",
    "State",
    "Waiter",
]


class PoolPolicy(PoolSharing):
    """The decisions. Limits and reading are those of `PoolState`."""

    # What requests do

    def take_idle(self, key: Hashable, now: float) -> Slot | None:
        """A connection of that key which can be used at once: one that others share, or the idle
        one which was used last; None if there is none."""
        if now >= self._idle.due:
            self.expire(now)
        origin = self._origins.get(key)
        if origin is None:
            return None
        slot = self._take_shared(origin, now) if origin.shared else None
        if slot is None:
            while (slot := origin.newest) is not None:
                if slot.expires_at <= now:
                    self._leave(slot, "expired")
                elif now - slot.created_at >= self._max_age:
                    self._leave(slot, "aged")
                else:
                    self._idle.remove(slot)
                    slot.state = ACTIVE
                    if slot.shared:
                        slot.users = 1
                        self._note_room(slot)
                    break
            else:
                return None
        slot.requests += 1
        slot.reused = True
        origin.reused += 1
        self._total.reused += 1
        return slot

    def acquire(self, waiter: Waiter, now: float) -> None:
        """Give `waiter` an ACTIVE slot, or a CONNECTING one to dial, or put it in the queue.

        Raises PoolClosed.
        """
        if self._closed_error is not None:
            raise PoolClosed("the pool is closed")
        if now >= self._idle.due:
            self.expire(now)
        origin = self._origins.get(waiter.key)
        if origin is None:
            origin = self._origins[waiter.key] = OriginState(waiter.key)
        elif not waiter.fresh and (origin.idle or origin.shared):
            slot = self.take_idle(waiter.key, now)
            if slot is not None:
                slot.waiter = waiter
                waiter.slot = slot
                waiter.reused = True
                return
        if not (waiter.may_share and self._join(origin, waiter)):
            self._place(origin, waiter)

    def cancel(self, waiter: Waiter, now: float) -> None:
        """`waiter` gives up: in the queue, during its dial, or with a connection it has sent
        nothing on. (One that has been used is given to `release` or `discard`.)"""
        slot, waiter.slot = waiter.slot, None
        if slot is None:
            origin = self._origins.get(waiter.key)
            if origin is not None and origin.remove(waiter):
                self._queued(origin, -1)
                self._retire(origin)
        elif waiter.rides:
            self._get_off(waiter, slot)
        elif slot.shared or slot.waiter is waiter:
            if slot.state == CONNECTING:
                slot.waiter = None
                self._pass_on_dial(slot)
            else:
                self.return_unused(slot, now)

    def return_unused(self, slot: Slot, now: float) -> None:
        """Whoever was given the connection has not sent anything on it."""
        if slot.state != ACTIVE:
            return
        slot.waiter = None
        slot.requests -= 1
        if not (slot.shared and self._vacate(slot, now)):
            self._take_back(slot, now, self._idle.remaining(slot, now))

    def release(
        self,
        slot: Slot,
        now: float,
        *,
        reusable: bool,
        reason: str = "",
        keepalive_timeout: float | None = None,
    ) -> None:
        """The response is done. `keepalive_timeout` is the server's hint; it only shortens."""
        if slot.state != ACTIVE:
            return
        slot.waiter = None
        if not reusable:
            self.discard(slot, reason or "not reusable")
            return
        if slot.shared and self._vacate(slot, now):
            return
        idle = self._idle
        lifetime = idle.expiry if keepalive_timeout is None else idle.lifetime(keepalive_timeout)
        self._take_back(slot, now, lifetime)

    # What happens to connections

    def connected(self, slot: Slot, now: float, *, shared: bool = False) -> None:
        """The dial succeeded. If the slot was given up meanwhile it stays CLOSING (or CLOSED, after
        `reset`), and whoever calls must close the connection. One that can be `shared` takes one
        request until `set_limit` says otherwise."""
        if slot.opened or slot.state == CLOSED:
            return
        slot.opened = True
        slot.created_at = now
        slot.expires_at = now + self._expiry
        self._total.slot_opened(slot.state == CLOSING)
        slot.origin.slot_opened(slot.state == CLOSING)
        if slot.state == CLOSING:
            return
        slot.state = ACTIVE
        slot.adopted = False
        if self._max_age < inf:
            self._aging[slot] = None
            self._idle.due = min(self._idle.due, now + self._max_age)
        slot.requests = 1
        assert slot.waiter is not None  # or it would have been given up
        self.wake.append(slot.waiter)
        if shared or slot.waiter.may_share or slot in slot.origin.dialing:
            self._turned_out(slot, shared)

    def dial_failed(self, slot: Slot, error: BaseException) -> None:
        """The dial failed and left no socket behind."""
        if slot.state == CLOSED:
            return
        waiter = slot.waiter
        self._gone(slot, "error")
        if waiter is not None:
            if slot.adopted and self._closed_error is None:
                self._open(slot.origin, waiter)
            else:
                waiter.slot = None
                waiter.error = error
            self.wake.append(waiter)
        if slot.riders:
            if slot.origin.multiplexed is None:
                slot.origin.multiplexed = False  # each for himself
            self._scatter(slot)
        self._grant(slot.origin)

    def discard(self, slot: Slot, reason: str, error: BaseException | None = None) -> None:
        """Close a connection in whatever state it is. A request that waits for its dial gets
        `error`, or one of ours."""
        waiter = slot.waiter
        if slot.state == CONNECTING and waiter is not None:
            if error is None and self._closed_error is not None:
                error = self._closed_error()
            waiter.slot = None
            waiter.error = error or ConnectError(f"the connection was given up: {reason}")
            self.wake.append(waiter)
        self._leave(slot, reason)
        if slot.riders:
            self._scatter(slot)

    def refuse(self, slot: Slot, now: float) -> None:
        """Whoever was given the connection found that it cannot be used any more."""
        if slot.shared and slot.state == ACTIVE:  # others may still be served
            self.retire(slot, "stale")
            self._vacate(slot, now)
        else:
            self.discard(slot, "stale")

    def closed(self, slot: Slot) -> None:
        """The socket is gone: its room goes to the next waiter."""
        if slot.state != CLOSED:
            self._gone(slot, "error")
            self._grant(slot.origin)

    def expire(self, now: float) -> None:
        """Close the idle connections whose time is up."""
        for slot in self._idle.expired(now):
            self._leave(slot, "expired")
        while self._aging and now - (slot := first(self._aging)).created_at >= self._max_age:
            del self._aging[slot]  # if it is in use, `release` will see its age
            if slot.state == IDLE:
                self._leave(slot, "aged")
        self._idle.due = min(self._idle.next_expiry(), self._next_aging())

    # The whole pool

    @property
    def is_closed(self) -> bool:
        return self._closed_error is not None

    def close(self, error_factory: Callable[[], BaseException]) -> None:
        """Fail those who wait, close what is idle, and from now on whatever is released. Dials and
        requests in progress go on; to end them too, `discard` each of `slots()`."""
        self._closed_error = error_factory
        for origin in list(self._origins.values()):
            if origin.queued:
                while (waiter := origin.next_waiter()) is not None:
                    waiter.error = error_factory()
                    self.wake.append(waiter)
                self._queued(origin, -origin.queued)
                self._retire(origin)
        for slot in self._slots:
            self._fail_riders(slot, error_factory)
            if slot.shared and slot.state == ACTIVE:
                self.retire(slot, "pool closed")
        while self._idle.oldest is not None:
            self._leave(self._idle.oldest, "pool closed")

    # Decisions

    def _take_back(self, slot: Slot, now: float, lifetime: float) -> None:
        """An open connection is free: to the next waiter, to the idle set, or to be closed."""
        idle = self._idle
        if self._closed_error is not None:
            self._leave(slot, "pool closed")
        elif now - slot.created_at >= self._max_age:
            self._leave(slot, "aged")
        elif lifetime < 0.0:  # so says the server, or the time it lay unused
            self._leave(slot, "expired")
        elif self._total.queued and self._passed_on(slot, now, lifetime):
            return
        elif lifetime <= 0.0:
            self._leave(slot, "expired")
        elif self._idle_limit < 1:
            self._leave(slot, "keep-alive limit")
        else:
            if idle.count >= self._idle_limit and idle.oldest is not None:
                self._leave(idle.oldest, "keep-alive limit")
            idle.add(slot, now, lifetime)

    def _passed_on(self, slot: Slot, now: float, lifetime: float) -> bool:
        """Somebody waits: does he get this connection, or have it closed for its room?"""
        origin = slot.origin
        if self._wanted_elsewhere(origin):
            self._leave(slot, "evicted")
            return True
        if not origin.queue:
            return False
        waiter, _ = origin.queue.popitem(last=False)
        slot.expires_at = now + lifetime
        self._hand_out(slot, waiter)
        self._ring.served(origin, handed_over=True)
        self._queued(origin, -1)
        self.wake.append(waiter)
        if slot.shared:
            slot.users = 1
            self._fill(slot)
        return True

    def _pass_on_dial(self, slot: Slot) -> None:
        """The request that a dial was made for has gone."""
        origin = slot.origin
        heir = None
        if slot.riders:
            heir, _ = slot.riders.popitem(last=False)
            self._rides(heir, origin, False)
            self._free_seat(slot)
        elif self._ring.demand <= self._total.leaving or not self._ring.overtaken(origin):
            heir = origin.next_waiter()
            if heir is not None:
                heir.slot = slot
                self._ring.served(origin, handed_over=True)
                self._queued(origin, -1)
        if heir is None:
            self._leave(slot, "cancelled")
            return
        slot.waiter = heir
        slot.adopted = slot.dialing
        if not slot.dialing:
            self.wake.append(heir)  # to dial it himself

    def _wanted_elsewhere(self, origin: OriginState) -> bool:
        """Is a freed connection to be closed, for the sake of those who cannot use it?"""
        if origin.fresh:
            leaving = self._total.leaving if origin in self._ring else origin.leaving
            if leaving < len(origin.fresh):
                return True
        if self._ring.demand <= self._total.leaving:
            return False
        return not origin.queue or self._ring.overtaken(origin)

    def _make_room(self, origin: OriginState) -> None:
        """Close idle connections for those who wait; not more than they need."""
        self._make_own_room(origin)
        while self._ring.demand > self._total.leaving and (oldest := self._idle.oldest):
            self._leave(oldest, "evicted")

    def _make_own_room(self, origin: OriginState) -> None:
        """At its own limit, only an origin's own connections can make room for it."""
        while (oldest := origin.oldest) and not origin.demand:
            if origin.leaving >= len(origin.fresh):
                return
            self._leave(oldest, "evicted")

    def _grant(self, origin: OriginState) -> None:
        """Room has appeared, perhaps, and `origin` has lost a connection: serve the ring."""
        while self._ring and self._total.live < self._limit:
            front = self._ring.front()
            waiter = front.next_waiter()
            assert waiter is not None
            self._open(front, waiter)
            self._ring.served(front, handed_over=False)
            self._queued(front, -1)
            self.wake.append(waiter)
            self._make_own_room(front)
            assert waiter.slot is not None
            self._board(waiter.slot)
        self._make_room(origin)
