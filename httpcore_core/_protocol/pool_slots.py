"""What the pool policy moves about: slots, waiters, the state kept per origin, the idle set.

Rules of this file: data and its orderings, no decisions about who gets what. Every operation is
O(1): the orderings are `OrderedDict`s, which can be entered at the end and left from anywhere.
(A plain dict keeps order too, but finding its first entry after many removals is a scan.) Idle
slots, which may be many for long, are linked with each other instead: that is as fast and takes 32
bytes for each, where two `OrderedDict`s take 180.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from itertools import takewhile
from math import inf
from typing import Any, Final, Literal, TypeAlias

from .pool_stats import Tally

State: TypeAlias = Literal["CONNECTING", "ACTIVE", "IDLE", "CLOSING", "CLOSED"]
CONNECTING: Final = "CONNECTING"
ACTIVE: Final = "ACTIVE"
IDLE: Final = "IDLE"
CLOSING: Final = "CLOSING"  # still counts against the limits: its socket may be open
CLOSED: Final = "CLOSED"  # gone

MAX_HINT = 3600
"""Seconds. What a server promises beyond an hour is taken as an hour."""


OVER: Final = -1.0
"""The lifetime of a connection that is not to be used again, be it at once."""


class Waiter:
    """One request's claim to a connection. Exactly one of these is true at any time: it is queued
    (`slot` and `error` are None), it has a `slot`, it has an `error`, or it was cancelled. One that
    `rides` has a slot which it cannot use yet."""

    __slots__ = ("error", "event", "fresh", "key", "may_share", "reused", "rides", "since", "slot")

    def __init__(
        self, key: Hashable, *, fresh: bool = False, since: float = inf, may_share: bool = False
    ) -> None:
        self.key = key
        self.fresh = fresh  # a connection that was opened before `since` will not do
        self.since = since
        self.may_share = may_share  # it may turn out that the origin speaks HTTP/2
        self.rides = False  # on a dial made for another request: see `pool_sharing`
        self.reused = False  # the connection had been in use, or idle, before
        self.slot: Slot | None = None
        self.error: BaseException | None = None
        self.event: Any = None  # the driver's

    def take_error(self) -> BaseException:
        """The error, to be raised: kept here it would be in a cycle with its own traceback."""
        error, self.error = self.error, None
        assert error is not None
        return error


class Slot:
    """One connection's place in the pool, from before the dial until the socket is gone."""

    __slots__ = (
        "adopted",
        "connection",
        "created_at",
        "dialing",
        "draining",
        "expires_at",
        "key",
        "lifetime",
        "limit",
        "newer",
        "newer_of_origin",
        "older",
        "older_of_origin",
        "opened",
        "origin",
        "pool",
        "reason",
        "requests",
        "reused",
        "riders",
        "shared",
        "state",
        "users",
        "waiter",
    )

    def __init__(self, origin: OriginState, waiter: Waiter) -> None:
        self.key = origin.key
        self.origin = origin
        self.state: State = CONNECTING
        self.connection: Any = None  # the driver's
        self.pool: Any = None  # the driver
        self.dialing = False  # the driver's: set when the dial has started
        self.waiter: Waiter | None = waiter  # who dials it, waits for it, or uses it
        self.adopted = False  # the waiter waits for a dial that somebody else began
        self.opened = False  # the dial has succeeded
        self.created_at = 0.0  # when it did
        self.expires_at = inf  # if idle: when it is to be closed
        self.lifetime = inf  # the duration by which the idle set orders it
        self.requests = 0
        self.reused = False  # the present user is not its first, or it has been idle before
        self.reason = ""  # why it is CLOSING
        # Its neighbours while it is IDLE: see `IdleSet`.
        self.newer: Slot | None = None
        self.older: Slot | None = None
        self.newer_of_origin: Slot | None = None
        self.older_of_origin: Slot | None = None
        # Of a connection that several requests may use at once:
        self.shared = False
        self.limit = 1  # requests at a time
        self.users = 0  # requests now; not counted where it is not shared
        self.riders: OrderedDict[Waiter, None] | None = None  # who wait for its dial, or its limit
        self.draining = False  # it takes no more of them, and is closed after the last


class OriginState(Tally):
    """Everything of one key: its numbers, its idle connections, its two queues."""

    __slots__ = (
        "demand",
        "dialing",
        "fresh",
        "idle",
        "key",
        "multiplexed",
        "newest",
        "oldest",
        "queue",
        "served",
        "shared",
        "stream_limit",
    )

    def __init__(self, key: Hashable) -> None:
        super().__init__()
        self.key = key
        # Its idle connections, see `IdleSet`: how many, the least and the most recently used.
        self.idle = 0
        self.oldest: Slot | None = None
        self.newest: Slot | None = None
        self.queue: OrderedDict[Waiter, None] = OrderedDict()
        self.fresh: OrderedDict[Waiter, None] = OrderedDict()  # waiters that need a new connection
        self.demand = 0  # connections its waiters would open if only the pool had room
        self.served = 0  # the policy's hand-over count when it was last served
        self.shared: OrderedDict[Slot, None] = OrderedDict()  # in use, with room for more requests
        self.dialing: OrderedDict[Slot, None] = OrderedDict()  # with room for more riders
        self.multiplexed: bool | None = None  # what the latest connection was; None: not known
        self.stream_limit: float = inf  # what the latest shared one allowed

    def remove(self, waiter: Waiter) -> bool:
        """Take a waiter out of its queue; false if it was not queued."""
        queue = self.fresh if waiter.fresh else self.queue
        if waiter not in queue:
            return False
        del queue[waiter]
        return True

    def forget(self) -> None:
        super().forget()
        self.idle = 0
        self.oldest = self.newest = None
        self.queue.clear()
        self.fresh.clear()
        self.shared.clear()
        self.dialing.clear()
        self.demand = self.served = 0

    def next_waiter(self) -> Waiter | None:
        """Take the waiter whose turn it is for a new connection out of the queue. Those who need
        a fresh one come first: they had their turn and lost it to a stale connection."""
        queue = self.fresh or self.queue
        return queue.popitem(last=False)[0] if queue else None


class IdleSet:
    """The idle connections of all origins: least recently used first, and by expiry.

    They stand in two doubly linked lists, that of all and that of their origin, whose ends are in
    the `OriginState`. Both are linked in so many words: attributes that are named by an argument
    would cost each request more than all the rest of the policy.

    As most connections may idle for the same time, the order of use is also their order of
    expiry: nothing expires before the oldest does, except those given a shorter
    time than `expiry`. These are, besides, in one ordering for each distinct duration. So the
    next to expire is the first of one of them, and nothing is ever sorted or scanned.
    """

    def __init__(self, expiry: float) -> None:
        self.expiry = expiry
        self.due = inf  # nothing expires before; what was to may be in use again
        self.count = 0
        self.oldest: Slot | None = None  # the least recently used
        self.newest: Slot | None = None
        self._shorter: dict[float, OrderedDict[Slot, None]] = {}

    def lifetime(self, hint: float | None) -> float:
        """How long a connection may idle whose server says `hint` seconds. Long hints are rounded
        down to minutes, so that a server cannot make us keep thousands of orderings."""
        if hint is None:
            return self.expiry
        if hint <= 0:
            return OVER
        if hint >= self.expiry:
            return self.expiry
        return hint if hint < 60 else min(hint - hint % 60, MAX_HINT)

    def remaining(self, slot: Slot, now: float) -> float:
        """What is left of the lifetime of a connection that was taken and not used; the server's
        clock did not stop. In quarters of a second, again to keep the durations few."""
        if slot.expires_at >= now + self.expiry:
            return self.expiry
        return (slot.expires_at - now) // 0.25 * 0.25 or OVER

    def add(self, slot: Slot, now: float, lifetime: float) -> None:
        slot.state = IDLE
        slot.expires_at = expires_at = now + lifetime
        if expires_at < self.due:
            self.due = expires_at
        slot.lifetime = lifetime
        slot.older = older = self.newest
        if older is None:
            self.oldest = slot
        else:
            older.newer = slot
        self.newest = slot
        self.count += 1
        origin = slot.origin
        slot.older_of_origin = older = origin.newest
        if older is None:
            origin.oldest = slot
        else:
            older.newer_of_origin = slot
        origin.newest = slot
        origin.idle += 1
        if lifetime != self.expiry:
            shorter = self._shorter.get(lifetime, OrderedDict())
            shorter[slot] = None
            self._shorter[lifetime] = shorter  # in this order: none of them is ever empty

    def remove(self, slot: Slot) -> None:
        older, newer = slot.older, slot.newer
        if older is None:
            self.oldest = newer
        else:
            older.newer = newer
        if newer is None:
            self.newest = older
        else:
            newer.older = older
        self.count -= 1
        origin = slot.origin
        older, newer = slot.older_of_origin, slot.newer_of_origin
        if older is None:
            origin.oldest = newer
        else:
            older.newer_of_origin = newer
        if newer is None:
            origin.newest = older
        else:
            newer.older_of_origin = older
        origin.idle -= 1
        # Its neighbours shall not live for as long as it does.
        slot.older = slot.newer = slot.older_of_origin = slot.newer_of_origin = None
        if slot.lifetime != self.expiry:
            shorter = self._shorter[slot.lifetime]
            del shorter[slot]
            if not shorter:
                del self._shorter[slot.lifetime]

    def expired(self, now: float) -> list[Slot]:
        """Those whose time is up."""
        slots: list[Slot] = []
        for ordering in self._shorter.values():
            slots += takewhile(lambda slot: slot.expires_at <= now, ordering)
        oldest = self.oldest
        while oldest is not None and oldest.expires_at <= now:
            if oldest.lifetime == self.expiry:
                slots.append(oldest)
            oldest = oldest.newer
        return slots

    def next_expiry(self) -> float:
        due = inf if self.oldest is None else self.oldest.expires_at
        return min([due, *(first(slots).expires_at for slots in self._shorter.values())])


def first(slots: OrderedDict[Slot, None]) -> Slot:
    return next(iter(slots))
