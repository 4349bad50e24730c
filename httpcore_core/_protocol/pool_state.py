"""The pool's state: the slots, the origins, the numbers, and the steps that change them.

Rules of this file: bookkeeping and reading, no decisions (`pool.py` makes them). Each step leaves
all numbers and orderings consistent and takes constant time; only reading takes longer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from math import inf
from types import MappingProxyType

from .pool_fairness import Ring
from .pool_slots import (
    ACTIVE,
    CLOSED,
    CLOSING,
    CONNECTING,
    IDLE,
    IdleSet,
    OriginState,
    Slot,
    Waiter,
    first,
)
from .pool_stats import OriginStats, PoolStats, Tally

MAX_REMEMBERED_ORIGINS = 1000
"""Origins no longer in use whose numbers are kept for `stats`."""


class PoolState:
    def __init__(
        self,
        *,
        max_connections: int | None,
        max_connections_per_origin: int | None,
        max_keepalive_connections: int | None,
        keepalive_expiry: float | None,
        max_connection_age: float | None,
    ) -> None:
        """Limits of None do not limit. All times are in seconds, of one monotonic clock."""
        self.max_connections = max_connections
        self.max_connections_per_origin = max_connections_per_origin
        self._limit = inf if max_connections is None else max_connections
        self._origin_limit = (
            inf if max_connections_per_origin is None else max_connections_per_origin
        )
        self._idle_limit = inf if max_keepalive_connections is None else max_keepalive_connections
        self._expiry = inf if keepalive_expiry is None else keepalive_expiry
        self._max_age = inf if max_connection_age is None else max_connection_age
        self._total = Tally()
        self._origins: dict[Hashable, OriginState] = {}
        self._start_empty()

    def _start_empty(self) -> None:
        self.closing: list[Slot] = []
        self.wake: list[Waiter] = []
        self._slots: dict[Slot, None] = {}
        self._idle = IdleSet(self._expiry)
        self._with_room: dict[Slot, None] = {}  # shared ones
        self._aging: OrderedDict[Slot, None] = OrderedDict()  # oldest first; if age is limited
        self._unused: OrderedDict[Hashable, None] = OrderedDict()
        self._ring = Ring()

    def reset(self) -> list[Slot]:
        """Forget every slot and waiter, as after a fork; the totals are kept. Returns the slots,
        all CLOSED now: whatever is still said about them has no effect."""
        slots = self.slots()
        for slot in slots:
            if slot.state == IDLE:
                self._idle.remove(slot)
            slot.state = CLOSED
            slot.waiter = slot.riders = None
        self._start_empty()
        self._total.forget()
        for origin in list(self._origins.values()):
            origin.forget()
            self._retire(origin)
        return slots

    # Reading

    def take_closing(self) -> list[Slot]:
        """The slots whose connections are to be closed; each is listed once."""
        slots, self.closing = self.closing, []
        return slots

    def take_wake(self) -> list[Waiter]:
        """The waiters who have been given a slot or an error since they queued or dialled."""
        waiters, self.wake = self.wake, []
        return waiters

    def slots(self) -> list[Slot]:
        """In the order in which they were made."""
        return list(self._slots)

    def next_expiry(self) -> float | None:
        """When `expire` will next have something to do; None if nothing is idle that expires."""
        when = self._idle.next_expiry()
        if self._idle.count:
            when = min(when, self._next_aging())
        return None if when == inf else when

    def _next_aging(self) -> float:
        return first(self._aging).created_at + self._max_age if self._aging else inf

    def counts(self, key: Hashable) -> OriginStats:
        origin = self._origins.get(key)
        return Tally().snapshot(0) if origin is None else origin.snapshot(origin.idle)

    def stats(self) -> PoolStats:
        origins = {key: state.snapshot(state.idle) for key, state in self._origins.items()}
        total = self._total.snapshot(self._idle.count)
        return PoolStats(*total, origins=MappingProxyType(origins))

    @property
    def is_ready(self) -> bool:
        """Whether any connection can be used at once. To look at, even without a lock."""
        return bool(self._idle.count or self._with_room)

    def request_count(self) -> int:
        """Requests that have a connection, or one that is being made for them."""
        return sum(slot.users or 1 for slot in self._slots if slot.state in (CONNECTING, ACTIVE))

    @property
    def is_busy(self) -> bool:
        """Whether any connection is in use, or being made."""
        total = self._total
        return total.live - total.closing > self._idle.count

    def describe(self, key: Hashable) -> str:
        """Why a request for `key` has no connection: the text of a PoolTimeout."""
        pool = self._total.snapshot(self._idle.count)
        return (
            f"no connection became free; pool: {pool.text()} "
            f"(max_connections={self.max_connections}); this origin: {self.counts(key).text()} "
            f"(max_connections_per_origin={self.max_connections_per_origin})"
        )

    # Steps

    def _open(self, origin: OriginState, waiter: Waiter) -> None:
        """A new slot, which `waiter` is to dial."""
        self._unused.pop(origin.key, None)
        waiter.slot = slot = Slot(origin, waiter)
        self._slots[slot] = None
        self._total.slot_made()
        origin.slot_made()
        self._ring.update(origin, self._origin_limit)

    def _hand_out(self, slot: Slot, waiter: Waiter) -> None:
        """An open connection, which has been used before, to `waiter`."""
        slot.state = ACTIVE
        slot.waiter = waiter
        slot.requests += 1
        slot.reused = waiter.reused = True
        slot.origin.reused += 1
        self._total.reused += 1
        waiter.slot = slot

    def _leave(self, slot: Slot, reason: str) -> None:
        """To CLOSING, and to the driver; nothing if it is there already."""
        if slot.state == IDLE:
            self._idle.remove(slot)
        elif slot.state == CLOSING or slot.state == CLOSED:
            return
        slot.state = CLOSING
        slot.reason = reason
        slot.waiter = None
        slot.origin.dialing.pop(slot, None)
        if slot.shared:
            self._stop_sharing(slot)
        self._total.slot_left(slot.opened)
        slot.origin.slot_left(slot.opened)
        self.closing.append(slot)

    def _stop_sharing(self, slot: Slot) -> None:
        slot.origin.shared.pop(slot, None)
        self._with_room.pop(slot, None)
        if slot.draining:  # is counted anew as one that leaves
            slot.draining = False
            self._total.slot_drains(-1)
            slot.origin.slot_drains(-1)

    def _gone(self, slot: Slot, reason: str) -> None:
        """To CLOSED. If it was not CLOSING, the driver has closed it unasked."""
        if slot.state != CLOSING:
            self._leave(slot, reason)
            self.closing.pop()
        slot.state = CLOSED
        origin = slot.origin
        self._total.slot_gone(slot.opened, slot.reason)
        origin.slot_gone(slot.opened, slot.reason)
        del self._slots[slot]
        self._aging.pop(slot, None)
        self._ring.update(origin, self._origin_limit)
        self._retire(origin)

    def _queued(self, origin: OriginState, change: int) -> None:
        """Count `change` waiters more, or fewer."""
        origin.queued += change
        self._total.queued += change
        self._ring.update(origin, self._origin_limit)

    def _retire(self, origin: OriginState) -> None:
        """Remember an origin that is no longer in use, and forget the one longest unused."""
        if origin.live or origin.queued:
            return
        self._unused[origin.key] = None
        if len(self._unused) > MAX_REMEMBERED_ORIGINS:
            key, _ = self._unused.popitem(last=False)
            del self._origins[key]
