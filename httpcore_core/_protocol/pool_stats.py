"""The pool's numbers: running tallies, and the immutable snapshot that users read.

Rules of this file: counting only, no decisions. Every place in the pool (a slot) is in exactly one
of the four columns `connecting`, `active`, `idle` and `closing`, and at every moment

    live   == connecting + active + idle + closing        what the limits are compared with
    opened == active + idle + closing + sum(closed)       what has become of finished dials

holds for each origin and for the pool. A dial that was given up stays in `connecting` until its
socket is gone; having never been open, it is not counted under `closed`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import NamedTuple


class OriginStats(NamedTuple):
    """The numbers of one origin at one moment. `opened`, `reused` and `closed` only ever grow."""

    active: int
    idle: int
    connecting: int
    closing: int
    queued: int
    opened: int
    reused: int
    closed: Mapping[str, int]
    """By reason, as ``"expired"`` or ``"peer closed"``."""

    def text(self) -> str:
        return (
            f"{self.active} active, {self.idle} idle, {self.connecting} connecting, "
            f"{self.closing} closing, {self.queued} queued"
        )


class PoolStats(NamedTuple):
    """The numbers of the whole pool at one moment, and of each origin it remembers."""

    active: int
    idle: int
    connecting: int
    closing: int
    queued: int
    opened: int
    reused: int
    closed: Mapping[str, int]
    origins: Mapping[Hashable, OriginStats]


class Tally:
    """Running counts. `active` is what remains of `live`, so that handing an idle connection to
    a request, and taking it back, counts nothing but `reused`."""

    __slots__ = (
        "closed",
        "closing",
        "leaving",
        "live",
        "opened",
        "queued",
        "reused",
        "riding",
        "unopened",
    )

    def __init__(self) -> None:
        self.live = 0  # every slot that is not gone
        self.unopened = 0  # of these, dials not finished, given up or not
        self.leaving = 0  # CLOSING, or draining: will be gone without anybody's doing
        self.closing = 0  # of the leaving, those which had been opened
        self.queued = 0
        self.riding = 0  # waiters for what another's dial turns out to be; users see them queued
        self.opened = 0
        self.reused = 0
        self.closed: dict[str, int] = {}

    def slot_made(self) -> None:
        self.live += 1
        self.unopened += 1

    def slot_opened(self, leaving: bool) -> None:
        """A dial succeeded, though it may have been given up meanwhile."""
        self.unopened -= 1
        self.opened += 1
        self.closing += leaving

    def slot_drains(self, count: int = 1) -> None:
        """A slot takes no more requests, and leaves after those it has; or does so now."""
        self.leaving += count

    def slot_left(self, opened: bool) -> None:
        self.leaving += 1
        self.closing += opened

    def slot_gone(self, opened: bool, reason: str) -> None:
        """A slot in state CLOSING is no more."""
        self.live -= 1
        self.leaving -= 1
        if opened:
            self.closing -= 1
            self.closed[reason] = self.closed.get(reason, 0) + 1
        else:
            self.unopened -= 1

    def forget(self) -> None:
        """Every slot and waiter is dropped; the totals stay true."""
        lost = self.live - self.unopened
        if lost:
            self.closed["forgotten"] = self.closed.get("forgotten", 0) + lost
        self.live = self.unopened = self.leaving = self.closing = self.queued = self.riding = 0

    def snapshot(self, idle: int) -> OriginStats:
        return OriginStats(
            active=self.live - self.unopened - self.closing - idle,
            idle=idle,
            connecting=self.unopened,
            closing=self.closing,
            queued=self.queued + self.riding,
            opened=self.opened,
            reused=self.reused,
            closed=MappingProxyType(dict(self.closed)),
        )
