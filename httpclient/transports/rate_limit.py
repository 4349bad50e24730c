"""The rate limit: when a request may go, and in which order those that wait do.

Rules of this file: pure; the time is passed in, nothing waits. The driver holds a lock around each
call, and wakes the waiter that a call returns.

It is the generic cell rate algorithm (ITU-T I.371), a token bucket that needs one number. A request
is due every ``1 / rate`` seconds; `tat`, the theoretical arrival time, is when the next one is due
if none comes too early. One may come early by what ``burst - 1`` requests take, no more. So after a
rest a burst goes at once, and over any `t` seconds no more than ``burst + rate * t`` requests go.

Those that come earlier stand in line. Only the first in line looks at the clock; each wakes the
next when it leaves, whether it goes or gives up. So who gives up leaves no gap in the line, and
what a newcomer has to wait can be told when it comes: it can only become less.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from httpcore_core import PoolTimeout

from ._limits import limit_of, with_limits

SLACK = 1e-6
"""Seconds by which a request may be too early: clocks and sums of floats are not exact."""

FIRST_SWEEP = 64
"""How many origins are remembered before those that are idle are looked for and forgotten."""

_DEFAULT_PORTS = {b"http": 80, b"https": 443}

URL = tuple[bytes, bytes, int | None, bytes]


class Turn:
    """One request. `event` is what the driver wakes it with; None if it need not be woken."""

    __slots__ = ("event", "line")

    def __init__(self) -> None:
        self.line: Line | None = None
        self.event: Any = None


class Line:
    """The requests that one limit holds back, the longest waiting first."""

    __slots__ = ("tat", "waiting")

    def __init__(self, now: float) -> None:
        self.tat = now
        self.waiting: OrderedDict[Turn, None] = OrderedDict()

    @property
    def first(self) -> Turn | None:
        return next(iter(self.waiting), None)


class RateLimit:
    """`rate` requests per second for each key, `burst` of them at once."""

    def __init__(self, rate: float, burst: int) -> None:
        if isinstance(rate, bool) or not isinstance(rate, (int, float)):
            raise TypeError(f"rate must be a number per second, not {type(rate).__name__}")
        if not (0 < rate < math.inf and 1.0 / rate < math.inf):
            raise ValueError(f"rate must be finite and more than 0, not {rate!r}")
        if isinstance(burst, bool) or not isinstance(burst, int):
            raise TypeError(f"burst must be an int, not {type(burst).__name__}")
        if burst < 1:
            raise ValueError(f"burst must be at least 1, not {burst}")
        self._interval = 1.0 / rate
        self._tolerance = (burst - 1) * self._interval
        self._lines: dict[Hashable, Line] = {}
        self._sweep_at = FIRST_SWEEP

    @property
    def origins(self) -> int:
        """How many are remembered."""
        return len(self._lines)

    def wait_of_newcomer(self, key: Hashable, now: float) -> float:
        """The seconds that a request which comes now has to wait at most."""
        line = self._lines.get(key)
        if line is None:
            return 0.0
        due = max(line.tat, now) + len(line.waiting) * self._interval
        return _rounded(due - self._tolerance - now)

    def enter(self, turn: Turn, key: Hashable, now: float) -> bool:
        """Ask to go. True: at once, which is counted. False: `turn` is now the last in line."""
        line = self._lines.get(key)
        if line is None:
            line = self._new_line(key, now)
        turn.line = line
        if not line.waiting and self.try_to_go(turn, now) == 0.0:
            return True
        line.waiting[turn] = None
        return False

    def is_first(self, turn: Turn) -> bool:
        return turn.line is not None and turn.line.first is turn

    def try_to_go(self, turn: Turn, now: float) -> float:
        """For the first in line: 0 if it may go now, which is counted; or the seconds until then.
        It stays in line until it leaves."""
        line = turn.line
        assert line is not None
        delay = _rounded(line.tat - self._tolerance - now)
        if delay == 0.0:
            line.tat = max(line.tat, now) + self._interval
        return delay

    def leave(self, turn: Turn) -> Turn | None:
        """Out of the line, to go or to give up. Returns who is the first now, if that is news."""
        line, was_first = turn.line, self.is_first(turn)
        if line is None:
            return None
        line.waiting.pop(turn, None)
        return line.first if was_first else None

    def all_turns(self) -> list[Turn]:
        return [turn for line in list(self._lines.values()) for turn in list(line.waiting)]

    def _new_line(self, key: Hashable, now: float) -> Line:
        """Those that are idle are forgotten when as many as were kept last time have come since: so
        a request costs the same however many origins there are."""
        if len(self._lines) >= self._sweep_at:
            self._lines = {
                key: line for key, line in self._lines.items() if line.waiting or line.tat > now
            }
            self._sweep_at = max(2 * len(self._lines), FIRST_SWEEP)
        line = self._lines[key] = Line(now)
        return line


def _rounded(seconds: float) -> float:
    return seconds if seconds > SLACK else 0.0


def origin_key(url: URL) -> tuple[bytes, bytes, int | None]:
    """What counts as one origin: RFC 6454, section 4."""
    scheme, host, port, _ = url
    scheme = scheme.lower()
    return scheme, host.lower(), _DEFAULT_PORTS.get(scheme) if port is None else port


def too_late(url: URL, limit: float | None, wait: float | None = None) -> PoolTimeout:
    """The error for a turn that has not come within `limit` seconds, or would not: it comes after
    `wait` seconds."""
    scheme, host, port = origin_key(url)
    origin = b"%b://%b" % (scheme, host) + (b"" if port is None else b":%d" % port)
    problem = "has not come" if wait is None else f"comes in {wait:.3g} s"
    return PoolTimeout(
        f"by the rate limit this request's turn {problem}",
        origin=origin.decode("ascii", "backslashreplace"),
        phase="pool",
        limit=limit,
    )


def longest_wait(extensions: dict[str, Any], max_wait: float | None) -> float | None:
    """The seconds that a request may wait: its timeouts `pool` and `total`, and `max_wait`."""
    limits = (limit_of(extensions, "pool"), limit_of(extensions, "total"), max_wait)
    return min((limit for limit in limits if limit is not None), default=None)


def after_wait(extensions: dict[str, Any], waited: float) -> dict[str, Any]:
    """The extensions with so many seconds taken off the timeouts that count the wait."""
    limits = {name: limit_of(extensions, name) for name in ("pool", "total")}
    left = {name: limit - waited for name, limit in limits.items() if limit is not None}
    return with_limits(extensions, **left) if left else extensions
