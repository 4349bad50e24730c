"""Connections that several requests use at once, as HTTP/2 allows: who shares, who rides.

Rules of this file: those of `pool`, which has the theory of operation for what is not shared.

Sharing
-------
A *shared* slot is ACTIVE while it has `users`, and `limit` says how many it may have. As long as
there is room, it is in its origin's `shared`, and requests are given it in preference to idle
connections, so that load gathers on few. A limit that falls below the users only keeps out new
ones. A slot that *drains* (the server says GOAWAY, it is too old, its room is wanted elsewhere)
takes no new ones either, and is closed after its last.

Riding
------
Whether an origin speaks HTTP/2 is known once a connection is open, and how many requests it takes
only when its first SETTINGS have come. Until then requests for that origin *ride*: they wait for a
dial that was made for another one, where each would have dialled before. The first of them may send
at once; `set_limit` says for how many of the others there is room. Those left over, and all if the
connection turns out to be HTTP/1.1, are placed anew, which they do together, not one after the
other. What an origin turned out to be is remembered: one known not to be shared has no riders, and
of one that is shared, no more ride than its limit allowed last time. After a dial that failed the
riders of an origin about which nothing is known are not made to wait for each other again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf

from .pool_slots import ACTIVE, IDLE, OriginState, Slot, Waiter, first
from .pool_state import PoolState


class PoolSharing(PoolState):
    """The decisions about shared connections. `PoolPolicy` is the whole."""

    _closed_error: Callable[[], BaseException] | None = None

    # What connections say

    def set_limit(self, slot: Slot, limit: int, now: float) -> None:
        """The shared connection takes so many requests at a time, from now on; None are waiting
        any more for it to say so."""
        if slot.state not in (ACTIVE, IDLE) or slot.draining or not slot.shared:
            return
        origin = slot.origin
        slot.limit = limit
        origin.stream_limit = max(limit, 1)
        origin.dialing.pop(slot, None)
        if slot.state == ACTIVE:
            self._fill(slot)
            self._scatter(slot)
        elif not limit:  # nobody would learn that it takes some again
            self._leave(slot, "no streams")

    def retire(self, slot: Slot, reason: str) -> None:
        """The shared connection is to take no more requests; those it has may end."""
        if slot.state == IDLE:
            self._leave(slot, reason)
        elif slot.state == ACTIVE and not slot.draining:
            slot.draining = True
            slot.reason = reason
            self._set_room(slot, False)
            slot.origin.dialing.pop(slot, None)
            self._total.slot_drains()
            slot.origin.slot_drains()
            self._scatter(slot)

    # Steps

    def _take_shared(self, origin: OriginState, now: float) -> Slot | None:
        """Room on a connection of that origin that is in use."""
        while origin.shared:
            slot = first(origin.shared)
            if now - slot.created_at >= self._max_age:
                self.retire(slot, "aged")
            elif self._ring.demand > self._total.leaving and self._ring.overtaken(origin):
                self.retire(slot, "evicted")
            else:
                if self._ring.demand:
                    self._ring.served(origin, handed_over=True)
                slot.users += 1
                self._note_room(slot)
                return slot
        return None

    def _join(self, origin: OriginState, waiter: Waiter) -> bool:
        """Put `waiter` where another request's connection is being made; or, if he needs a fresh
        one, on one that has been made in the meantime. (Others have looked for that already.)"""
        if origin.shared and waiter.fresh:
            slot = next(reversed(origin.shared))
            if slot.created_at > waiter.since:
                self._seat(slot, waiter)
                return True
        if not origin.dialing:
            return False
        slot = first(origin.dialing)
        if slot.riders is None:
            slot.riders = OrderedDict()
        slot.riders[waiter] = None
        waiter.slot = slot
        self._rides(waiter, origin, True)
        self._note_seats(slot)
        return True

    def _note_seats(self, slot: Slot) -> None:
        """Remember whether one more may ride on the slot, whose limit is not known yet."""
        assert slot.riders is not None
        origin = slot.origin
        if origin.multiplexed is not False and len(slot.riders) + 1 < origin.stream_limit:
            origin.dialing[slot] = None
        else:
            origin.dialing.pop(slot, None)

    def _free_seat(self, slot: Slot) -> None:
        """One who rode on the slot does so no more: another one may, those who queue first."""
        self._note_seats(slot)
        self._board(slot)

    def _board(self, slot: Slot) -> None:
        """There are seats on the slot: those who queue take them."""
        origin = slot.origin
        while slot in origin.dialing and (waiter := origin.next_waiter()) is not None:
            self._queued(origin, -1)
            self._join(origin, waiter)
            self.wake.append(waiter)

    def _get_off(self, waiter: Waiter, slot: Slot) -> None:
        """A rider gives up."""
        self._rides(waiter, slot.origin, False)
        if slot.riders is not None:
            slot.riders.pop(waiter, None)
            self._free_seat(slot)

    def _rides(self, waiter: Waiter, origin: OriginState, rides: bool) -> None:
        if waiter.rides is not rides:
            waiter.rides = rides
            change = 1 if rides else -1
            origin.riding += change
            self._total.riding += change

    def _seat(self, slot: Slot, waiter: Waiter) -> None:
        """`waiter` is to use the shared connection, beside others."""
        slot.users += 1
        slot.requests += 1
        waiter.slot = slot
        self._rides(waiter, slot.origin, False)
        self._note_room(slot)

    def _fill(self, slot: Slot) -> None:
        """Give what room there is to those who ride, then to those who queue."""
        origin = slot.origin
        while slot.riders and slot.users < slot.limit:
            waiter, _ = slot.riders.popitem(last=False)
            self._seat(slot, waiter)
            self.wake.append(waiter)
        while origin.queue and slot.users < slot.limit and not slot.riders:
            waiter, _ = origin.queue.popitem(last=False)
            slot.users += 1
            self._hand_out(slot, waiter)
            self._ring.served(origin, handed_over=True)
            self._queued(origin, -1)
            self.wake.append(waiter)
        self._note_room(slot)

    def _note_room(self, slot: Slot) -> None:
        """Remember whether there is room for more."""
        has_room = slot.users < slot.limit and not slot.draining
        if has_room is not (slot in self._with_room):
            self._set_room(slot, has_room)

    def _set_room(self, slot: Slot, has_room: bool) -> None:
        for slots in (slot.origin.shared, self._with_room):
            if has_room:
                slots[slot] = None
            else:
                slots.pop(slot, None)

    def _vacate(self, slot: Slot, now: float) -> bool:
        """A request leaves a shared connection; false if it was the last, and nobody follows, so
        that the connection is free."""
        slot.users -= 1
        if slot.draining:
            if not slot.users:
                self._leave(slot, slot.reason)
        elif slot.riders:  # the answer was here before the pool was told of the SETTINGS
            self._fill(slot)
            self._free_seat(slot)
        elif not slot.users:
            self._set_room(slot, False)
            slot.origin.dialing.pop(slot, None)
            if slot.limit:
                return False
            self._leave(slot, "no streams")
        elif now - slot.created_at >= self._max_age:
            self.retire(slot, "aged")
        elif self._total.queued and self._wanted_elsewhere(slot.origin):
            self.retire(slot, "evicted")
        else:
            self._fill(slot)
        return True

    def _scatter(self, slot: Slot) -> None:
        """Place those anew who rode on the slot."""
        riders, slot.riders = slot.riders, None
        for waiter in riders or ():
            waiter.slot = None
            self._rides(waiter, slot.origin, False)
            if self._closed_error is not None:
                waiter.error = self._closed_error()
                self.wake.append(waiter)
                continue
            origin = slot.origin
            if not waiter.fresh and (room := self._take_shared(origin, -inf)) is not None:
                room.requests += 1
                waiter.slot = room
            elif self._join(origin, waiter):
                if waiter.rides:
                    continue  # he goes on waiting, for another one
            else:
                self._place(origin, waiter)
            self.wake.append(waiter)

    def _place(self, origin: OriginState, waiter: Waiter) -> None:
        """Open a connection for `waiter`, or put him in the queue."""
        if self._total.live < self._limit and origin.live < self._origin_limit:
            self._open(origin, waiter)
            return
        self._unused.pop(origin.key, None)
        (origin.fresh if waiter.fresh else origin.queue)[waiter] = None
        self._queued(origin, 1)
        if self._idle.count:
            self._make_room(origin)

    def _open(self, origin: OriginState, waiter: Waiter) -> None:
        super()._open(origin, waiter)
        slot = waiter.slot
        assert slot is not None
        if waiter.may_share and origin.multiplexed is not False and origin.stream_limit > 1:
            origin.dialing[slot] = None

    def _turned_out(self, slot: Slot, shared: bool) -> None:
        """The connection is open, and it is known whether it can be shared."""
        origin = slot.origin
        slot.shared = shared
        if shared:
            slot.users = 1
            origin.multiplexed = True
            self.wake += slot.riders or ()  # what they wait for is not the dial any more
            if self._closed_error is not None:
                self.retire(slot, "pool closed")
        else:
            origin.multiplexed = False
            origin.dialing.pop(slot, None)
            self._scatter(slot)

    def _fail_riders(self, slot: Slot, error: Callable[[], BaseException]) -> None:
        riders, slot.riders = slot.riders, None
        for waiter in riders or ():
            waiter.slot = None
            self._rides(waiter, slot.origin, False)
            waiter.error = error()
            self.wake.append(waiter)

    # `PoolPolicy` has these

    def _make_room(self, origin: OriginState) -> None:
        raise NotImplementedError

    def _wanted_elsewhere(self, origin: OriginState) -> bool:
        raise NotImplementedError
