"""The retry policy: whether a request is sent again, and after how long.

Rules of this file: pure; time and chance are passed in, nothing is sent or waited for.

RFC 9110, section 9.2.2: a client may repeat a request by itself if its method is idempotent, or if
it knows that the request was not applied. The first is a matter of the method, or of an
`Idempotency-Key` header, by which the server knows a repetition (the IETF's draft
draft-ietf-httpapi-idempotency-key-header). The second is known where no connection was made, and
where a write failed before its first byte. In both cases the body must be there to be sent again,
whole.

The pause doubles with every attempt and is then drawn at random between nothing and that ("full
jitter"), so that clients which failed together do not come back together. What the server asks for
in `Retry-After` (RFC 9110, section 10.2.3) goes before all that.
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from httpcore_core import (
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    NetworkError,
    PoolClosed,
    PoolTimeout,
    RemoteProtocolError,
    Response,
    TimeoutException,
    TransportError,
    UnsupportedProtocol,
    WriteError,
)

from ._limits import limit_of, with_limits

IDEMPOTENT_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE")
"""RFC 9110, section 9.2.2."""

RETRY_STATUSES = (429, 502, 503, 504)
"""Too Many Requests (RFC 6585); what a gateway says whose server is gone, busy or slow."""

RETRY_ERRORS: tuple[type[TransportError], ...] = (
    NetworkError,
    RemoteProtocolError,  # with this a server leaves in the middle, too
    TimeoutException,
)

NOTHING_WAS_SENT = (ConnectError, ConnectTimeout, PoolTimeout)
WILL_NOT_CHANGE = (LocalProtocolError, PoolClosed, UnsupportedProtocol)

_is_number = re.compile(rb"[0-9]+").fullmatch
_LONGEST_DATE = 64  # bytes; the longest of the three forms has 33 (RFC 9110, section 5.6.7)
_MOST_DIGITS = 12  # thirty thousand years


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """The options of `RetryTransport`, which describes them. Raises `TypeError` and
    `ValueError`."""

    attempts: int = 3
    backoff: float = 0.5
    max_backoff: float = 60.0
    jitter: bool = True
    statuses: Collection[int] = RETRY_STATUSES
    methods: Collection[str | bytes] = IDEMPOTENT_METHODS
    on_errors: Iterable[type[TransportError]] = RETRY_ERRORS
    respect_retry_after: bool = True
    max_retry_after: float = 60.0

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int):
            raise TypeError(f"attempts must be an int, not {type(self.attempts).__name__}")
        if self.attempts < 1:
            raise ValueError(f"attempts counts the first one, and cannot be {self.attempts}")
        for name in ("backoff", "max_backoff", "max_retry_after"):
            _check_seconds(name, getattr(self, name))
        statuses = tuple(self.statuses)  # once: it may be an iterator
        if isinstance(self.statuses, bytes) or not all(isinstance(one, int) for one in statuses):
            raise TypeError("statuses is a collection of numbers")
        if isinstance(self.methods, (str, bytes)):
            raise TypeError("methods is a collection of names, not one name")
        methods = (name.encode("ascii") if isinstance(name, str) else name for name in self.methods)
        on_errors = tuple(self.on_errors)
        if not all(isinstance(e, type) and issubclass(e, TransportError) for e in on_errors):
            raise TypeError("on_errors are classes of TransportError")
        object.__setattr__(self, "statuses", frozenset(statuses))
        object.__setattr__(self, "methods", frozenset(methods))
        object.__setattr__(self, "on_errors", on_errors)

    def changed(self, options: Any) -> RetryPolicy:
        """The policy with the options of one request: the `retry` extension, a dictionary."""
        if options is None:
            return self
        try:
            return dataclasses.replace(self, **options)
        except (TypeError, ValueError) as exc:
            problem = f"the 'retry' extension is wrong: {exc}"
            raise LocalProtocolError(problem, phase="request") from exc

    def is_repeatable(self, method: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the request may be applied twice."""
        if method in self.methods:
            return True
        return any(name.lower() == b"idempotency-key" and value.strip() for name, value in headers)

    def after_response(
        self,
        attempt: int,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        wall_clock: Callable[[], float],
        random: Callable[[], float],
    ) -> float | None:
        """How long to wait, in seconds, before attempt number ``attempt + 1`` at a request that may
        be applied twice; None if this response is the one to return."""
        if attempt >= self.attempts or status not in self.statuses:
            return None
        if self.respect_retry_after:
            seconds = retry_after(headers, wall_clock)
            if seconds is not None:
                return seconds if seconds <= self.max_retry_after else None
        return self.pause(attempt, random)

    def after_error(
        self, attempt: int, error: TransportError, repeatable: bool, random: Callable[[], float]
    ) -> float | None:
        """The same for an error; None if it is the one to raise. `repeatable`: the request may be
        applied twice."""
        if attempt >= self.attempts or isinstance(error, WILL_NOT_CHANGE):
            return None
        if not isinstance(error, tuple(self.on_errors)):
            return None
        return self.pause(attempt, random) if repeatable or nothing_was_sent(error) else None

    def pause(self, attempt: int, random: Callable[[], float]) -> float:
        """The back-off after attempt number `attempt`; `random` returns 0 <= x < 1."""
        doubled = self.backoff * 2.0 ** min(attempt - 1, 64)
        longest = min(doubled, self.max_backoff)
        return longest * random() if self.jitter else longest


class RetryCall:
    """One request on its way. `attempt` is the number of the present attempt.

    `now` is a monotonic clock, `wall_clock` the time of day, `random` returns 0 <= x < 1.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        method: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        extensions: dict[str, Any],
        now: Callable[[], float],
    ) -> None:
        self.attempt = 1
        self._policy = policy.changed(extensions.get("retry"))
        self._repeatable = self._policy.is_repeatable(method, headers)
        self._given = extensions
        self._now = now
        total = limit_of(extensions, "total")
        self._deadline = None if total is None else now() + total

    @property
    def extensions(self) -> dict[str, Any]:
        """Those for the present attempt, which has what is left of the time."""
        if self._deadline is None or self.attempt == 1:
            return self._given
        return with_limits(self._given, total=self._deadline - self._now())

    def after_response(
        self,
        response: Response,
        intact: bool,
        wall_clock: Callable[[], float],
        random: Callable[[], float],
    ) -> float | None:
        """How long to wait before another attempt, or None. `intact`: the body can be sent again,
        or has not been begun."""
        delay = None
        if intact and self._repeatable:
            status, headers = response.status, response.headers
            delay = self._policy.after_response(self.attempt, status, headers, wall_clock, random)
        if self._fits(delay):
            return delay
        response.extensions["attempts"] = self.attempt
        return None

    def after_error(
        self, error: TransportError, intact: bool, random: Callable[[], float]
    ) -> float | None:
        """The same after an error."""
        delay = None
        if intact:
            delay = self._policy.after_error(self.attempt, error, self._repeatable, random)
        if self._fits(delay):
            return delay
        if self.attempt > 1:
            error.add_note(f"this was attempt {self.attempt} of {self._policy.attempts}")
        return None

    def _fits(self, delay: float | None) -> bool:
        """Whether there is to be another attempt, and time for one after the pause."""
        if delay is None or self._deadline is None:
            return delay is not None
        return self._now() + delay < self._deadline


def nothing_was_sent(error: TransportError) -> bool:
    """Whether it is known that no byte of the request has left."""
    if isinstance(error, WriteError):
        return error.bytes_written == 0
    return isinstance(error, NOTHING_WAS_SENT)


def retry_after(
    headers: Iterable[tuple[bytes, bytes]], wall_clock: Callable[[], float]
) -> float | None:
    """The seconds that `Retry-After` asks to wait, 0 for a time that has passed; None where it is
    missing or is neither a number nor a date. Of several the longest counts."""
    found = [_seconds(value.strip(), wall_clock) for n, value in headers if n.lower() == _NAME]
    return max((seconds for seconds in found if seconds is not None), default=None)


_NAME = b"retry-after"


def _seconds(value: bytes, wall_clock: Callable[[], float]) -> float | None:
    if _is_number(value):
        digits = value.lstrip(b"0") or b"0"
        return float(digits) if len(digits) <= _MOST_DIGITS else math.inf
    if not value.isascii() or len(value) > _LONGEST_DATE:
        return None
    from email.utils import mktime_tz, parsedate_tz  # late: few responses have a date there

    try:
        date = parsedate_tz(value.decode("ascii"))
        return None if date is None else max(mktime_tz(date) - wall_clock(), 0.0)
    except (ValueError, OverflowError):  # a month 13, a year of nine digits
        return None


def _check_seconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number of seconds, not {value!r}")
