"""A transport that lets requests go no faster than at a given rate.

Rules of this file: no decision is made here, see `httpclient/transports/rate_limit.py`. The lock is
held for pure code only; it can be taken twice, because a finaliser may end a waiting request in the
middle of that.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Literal

from httpcore_core import NetworkBackend, SyncBackend, PoolClosed, Response

from .._configured import Configured
from .._events import Event
from ..base import BaseTransport
from ..rate_limit import RateLimit, Turn, after_wait, longest_wait, origin_key, too_late

NAP = 1.0
"""Seconds after which the first in line looks whether the transport has been closed."""


class RateLimitTransport(Configured, BaseTransport):
    """Sends requests through `transport`, at most `rate` per second, of which `burst` may follow
    each other at once:

        client = Client(transport=RateLimitTransport(HTTPTransport(), rate=10))

    `per` says whether each origin has a rate of its own, or all share one. Requests that come too
    early wait, and go in the order in which they came. The wait counts against the timeouts `pool`
    and `total`, and may not be longer than `max_wait` seconds: a request whose turn comes later
    than these allow is a `PoolTimeout` at once. A request that is cancelled while it waits does not
    count. What counts is the beginning of a request, not whether it succeeds.

    `network_backend` is whose `sleep` and `now` are used; without one the clock is
    `time.monotonic`, which is the same in every event loop.
    """

    def __init__(
        self,
        transport: BaseTransport,
        *,
        rate: float,
        burst: int = 1,
        per: Literal["origin", "all"] = "origin",
        max_wait: float | None = None,
        network_backend: NetworkBackend | None = None,
    ) -> None:
        if per not in ("origin", "all"):
            raise ValueError(f"per must be 'origin' or 'all', not {per!r}")
        if max_wait is not None and not 0 <= max_wait <= math.inf:
            raise ValueError(f"max_wait must be a number of seconds or None, not {max_wait!r}")
        self._transport = transport
        self._limit = RateLimit(rate, burst)
        self._per_origin = per == "origin"
        self._max_wait = max_wait
        self._backend = network_backend or SyncBackend()
        self._now = time.monotonic if network_backend is None else network_backend.now
        self._lock = threading.RLock()
        self._is_closed = False

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        """Wait for the request's turn and send it. Raises `TransportError`."""
        waited = self._wait_for_turn(url, extensions)
        if waited:
            extensions = after_wait(extensions, waited)
        return Response(
            *self._transport.handle_request(method, url, headers, stream, extensions)
        )

    def close(self) -> None:
        """Close the transport underneath. Requests that wait fail with `PoolClosed`."""
        with self._lock:
            self._is_closed = True
            for turn in self._limit.all_turns():
                if turn.event is not None:
                    turn.event.set()
        self._transport.close()

    def _wait_for_turn(
        self, url: tuple[bytes, bytes, int | None, bytes], extensions: dict[str, Any]
    ) -> float:
        """Returns the seconds that it took."""
        limit = longest_wait(extensions, self._max_wait)
        turn = Turn()
        try:
            with self._lock:
                self._must_be_open()
                key = origin_key(url) if self._per_origin else None
                started = self._now()
                wait = self._limit.wait_of_newcomer(key, started)
                if limit is not None and wait > limit:
                    raise too_late(url, limit, wait)
                if self._limit.enter(turn, key, started):
                    return 0.0
                event = Event()
                if not self._limit.is_first(turn):
                    turn.event = event
            if turn.event is not None and not turn.event.wait(limit):
                raise too_late(url, limit)  # those before it are slower than they have to be
            while delay := self._try_to_go(turn):
                self._backend.sleep(min(delay, NAP))
        finally:
            self._leave(turn)
        return self._now() - started

    def _try_to_go(self, turn: Turn) -> float:
        with self._lock:
            self._must_be_open()
            return self._limit.try_to_go(turn, self._now())

    def _leave(self, turn: Turn) -> None:
        """Out of the line; the next is woken, unless its event loop has ended."""
        with self._lock:
            first = self._limit.leave(turn)
            while first is not None and first.event is not None and not first.event.set():
                first = self._limit.leave(first)

    def _must_be_open(self) -> None:
        if self._is_closed:
            raise PoolClosed("the transport has been closed", phase="pool")

    def __repr__(self) -> str:
        with self._lock:
            return f"<{type(self).__name__} [{len(self._limit.all_turns())} waiting]>"
