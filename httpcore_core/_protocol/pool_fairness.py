"""Whose turn it is, between origins that wait for the pool's limit.

Rules of this file: turns only. It opens and closes nothing.

Origins with waiters that could be served if only the pool had room stand in a ring, least
recently served first. An origin at its own limit is not in it: room in the pool is not what it
waits for, and it must not hold up the others. New room goes to the front.

Where every connection is busy, room comes only from connections that are closed instead of being
handed to the next waiter of their own origin. An origin that always has a waiter could hand its
connections over among its own for ever; so hand-overs are counted, and `overtaken` says when
the next one must not be. Each origin in the ring is served after a bounded number of them: at
most ``MAX_OVERTAKES`` for each turn that is taken before its own, and ``MAX_OVERTAKES`` for each
origin in the ring while the front has connections of its own to be served by. That patience is
there because several busy origins would otherwise do little but close each other's connections.
"""

from __future__ import annotations

from collections import OrderedDict

from .pool_slots import OriginState

MAX_OVERTAKES = 8
"""Hand-overs within an origin while another waits. A dial costs about as much as a handful of
small requests, so one in nine is what fairness may take; nobody is owed exact turns."""


class Ring:
    __slots__ = ("_handovers", "_origins", "_yielded", "demand")

    def __init__(self) -> None:
        self.demand = 0
        """How many connections those in the ring would open, if there were room."""
        self._origins: OrderedDict[OriginState, None] = OrderedDict()
        self._handovers = 0
        self._yielded = 0  # `_handovers` when a connection was last closed for the front

    def __bool__(self) -> bool:
        return bool(self._origins)

    def __contains__(self, origin: OriginState) -> bool:
        return origin in self._origins

    def front(self) -> OriginState:
        return next(iter(self._origins))

    def update(self, origin: OriginState, limit: float) -> None:
        """The queue of an origin, or the number of its connections, has changed."""
        room = limit - origin.live
        demand = origin.queued if origin.queued <= room else int(max(room, 0))
        change = demand - origin.demand
        if not change:
            return
        self.demand += change
        origin.demand += change
        if origin.demand == change:  # it had none
            self._origins[origin] = None
            origin.served = self._handovers
        elif not origin.demand:
            del self._origins[origin]

    def served(self, origin: OriginState, *, handed_over: bool) -> None:
        """A waiter of this origin was given new room, or what another request of it had."""
        self._handovers += handed_over
        origin.served = self._handovers
        if origin.demand:
            self._origins.move_to_end(origin)

    def overtaken(self, origin: OriginState) -> bool:
        """Has the front been overtaken too often for `origin` to hand over once more? Then the
        connection is to be closed, and the count begins anew."""
        front = self.front()
        if front is origin:
            return False
        patience = MAX_OVERTAKES * (len(self._origins) if front.live else 1)
        if (
            self._handovers - self._yielded < MAX_OVERTAKES
            or self._handovers - front.served < patience
        ):
            return False
        self._yielded = self._handovers
        return True
