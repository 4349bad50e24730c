"""The retry policy: how long to wait between dials, and whether a request may be sent again.

Rules of this file: pure functions; no clock, no sleeping, no I/O.

Three kinds of retry exist. *Connect* retries (the option `retries`) repeat a dial that failed,
before anything was sent, after a delay. A *refused* request is one of which the server has said
that it did not process it, as HTTP/2 can (RFC 9113, section 8.7): it may be repeated whatever its
method, anywhere, `MAX_ATTEMPTS` in all. A *stale* retry repeats a request whose reused connection
turned out to be dead: the server had closed it while it was idle, and no test of the socket can
exclude that. RFC 9110, section 9.2.2: a client may repeat a request automatically if its method is
idempotent, or if it knows that the request was not applied, and should not repeat a repetition
that failed. So it happens once, and on a fresh connection: after a server's restart every idle
connection is as stale as the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

from .._exceptions import (
    ConnectError,
    ConnectTimeout,
    NetworkError,
    ProxyError,
    ReadError,
    RemoteProtocolError,
    WriteError,
)

if TYPE_CHECKING:
    from .exchange import Exchange

FIRST_CONNECT_DELAY = 0.5
MAX_CONNECT_DELAY = 8.0
"""Seconds. Doubling reaches it before the sixth retry; a longer pause than that helps nobody."""


def backoff_delays(retries: int) -> Iterator[float]:
    """The pauses, in seconds, before each of so many connect retries.

    0, 0.5, 1, 2, 4, 8, 8, … The first follows at once: what it meets is mostly a listener that was
    just being replaced, or a connection lost in a burst.
    """
    delay = 0.0
    for _ in range(retries):
        yield delay
        delay = min(delay * 2, MAX_CONNECT_DELAY) or FIRST_CONNECT_DELAY


_UNREACHABLE = frozenset((502, 503, 504))
"""Answers to CONNECT by which a proxy says that it did not reach the origin."""

_UNREACHABLE_SOCKS = frozenset((1, 3, 4, 5, 6))
"""The same in SOCKS5: RFC 1928, section 6."""


def may_redial(error: BaseException) -> bool:
    """Whether a failed dial is one that `retries` repeat: nothing was connected to. What a proxy
    forbids, or a way of its that we do not understand, will not change."""
    if isinstance(error, ProxyError):
        return (
            error.status in _UNREACHABLE
            or error.socks_reply in _UNREACHABLE_SOCKS
            or isinstance(error.__cause__, NetworkError)
        )
    return isinstance(error, (ConnectError, ConnectTimeout))


MAX_ATTEMPTS = 3
"""For a request that is refused again and again."""

REFUSED_DELAYS = (0.05, 0.3)
"""Seconds before the second and the third, where a server has refused a stream on a connection that
it keeps: some count a stream that was reset for a moment longer than we do."""


class Verdict(Enum):
    """Whether to send a request again: true for the first two. The value says why."""

    RETRY = "the reused connection had been closed by the server"
    RETRY_REFUSED = "the server did not process the request"
    NOT_A_DISCONNECT = "the connection was not lost"
    FRESH_CONNECTION = "the connection was a fresh one"
    RESPONSE_STARTED = "part of the response had arrived"
    ALREADY_RETRIED = "the request had been sent twice"
    BODY_CONSUMED = "the body had been started and cannot be sent again"
    NOT_IDEMPOTENT = "the method is not idempotent, and part of the request was sent"

    def __bool__(self) -> bool:
        return self in (Verdict.RETRY, Verdict.RETRY_REFUSED)


def may_retry(error: BaseException, exchange: Exchange) -> Verdict:
    """Decide about a request that failed with `error`, by what its drivers have noted on it."""
    if not isinstance(error, (ReadError, WriteError, RemoteProtocolError)):
        return Verdict.NOT_A_DISCONNECT
    if exchange.answered:
        return Verdict.RESPONSE_STARTED
    if not (exchange.reused or exchange.refused):
        return Verdict.FRESH_CONNECTION
    if exchange.attempts >= MAX_ATTEMPTS or (exchange.retried and not exchange.refused):
        return Verdict.ALREADY_RETRIED
    if exchange.body_started and not exchange.plan.replayable:
        return Verdict.BODY_CONSUMED
    if exchange.refused:
        return Verdict.RETRY_REFUSED
    if exchange.wrote and not exchange.plan.idempotent:
        return Verdict.NOT_IDEMPOTENT
    return Verdict.RETRY


def refused_delay(exchange: Exchange) -> float:
    """The pause, in seconds, before a request is sent again that was refused."""
    return REFUSED_DELAYS[min(exchange.attempts, 2) - 1] if exchange.was_reset else 0.0
