"""One request on its way: what was asked, what was decided, and how far it has got.

An `Exchange` is made once per request, before any socket is touched: making it checks the request
(RFC 9110, 9112) and the `timeout` extension. The drivers hand it down in place of a dozen
arguments and note on it what they have done; whether a failure may be retried is decided from
these notes. Times are passed in: this file has no clock.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._exceptions import (
    ConnectTimeout,
    LocalProtocolError,
    PoolTimeout,
    ReadError,
    ReadTimeout,
    TimeoutException,
    TransportError,
    WriteTimeout,
)
from .._models import Extensions, Headers, Origin, Request
from .._options import DEFAULT_EXPECT_CONTINUE, NO_TIMEOUTS, parse_timeouts
from .request import Arguments, plan_request

if TYPE_CHECKING:
    from .._proxy import Proxy
    from .events import ResponseHead
    from .forwarding import Forwarding
    from .http11 import HTTP11Protocol

CLOCK_SLACK = 0.01
"""Seconds by which a timer may fire early: uvloop's clock, for one, counts in milliseconds."""


_TIMEOUTS: dict[str, type[TimeoutException]] = {
    "pool": PoolTimeout,
    "connect": ConnectTimeout,
    "proxy": ConnectTimeout,
    "tls": ConnectTimeout,
    "send": WriteTimeout,
    "receive headers": ReadTimeout,
    "receive body": ReadTimeout,
}


class Exchange:
    """A request with its plan, its limits and its progress. `trace` is a tracer or None.

    What holds for most requests is said once, in the class; an exchange notes what differs.
    """

    phase = "request"
    timeouts = NO_TIMEOUTS
    deadline: float | None = None  # set by `start_clock`
    sni_hostname: str | None = None
    chooses_proxy = False  # the `proxy` extension is there, be it None
    proxy: Proxy | None = None
    forwarding: Forwarding | None = None  # where the proxy is sent the request itself
    forwards = False
    informational: Callable[..., object] | None = None
    expect_continue = DEFAULT_EXPECT_CONTINUE
    http1_only = False
    protocol: HTTP11Protocol  # its state on an HTTP/1.1 connection, once it is sent over one
    head: ResponseHead | None = None  # what has arrived there
    wrote = False  # any byte of the request handed to the network
    body_started = False  # the body's iterator has been asked for something
    answered = False  # any byte of the response has arrived
    refused = False  # the server has certainly not processed the request
    was_reset = False  # and the connection is still good
    reused = False  # the connection had been in use, or idle, before
    retried = False  # after a connection that turned out dead
    retried_at = 0.0
    attempts = 1  # how often it has been sent, or is about to be
    queued = 0.0  # seconds spent waiting in line for a connection

    def __init__(self, arguments: Arguments, trace: Any) -> None:
        """`arguments` are those of `handle_request`, or a `Request`."""
        self._arguments = arguments
        self.trace = trace
        self.plan = plan = plan_request(arguments)
        self.origin = plan.origin
        self.key: object = plan.origin
        """What a connection must match to be used: the origin, the name TLS verifies, the proxy."""
        extensions = arguments[4]
        if extensions:
            limits = extensions.get("timeout")
            if limits is not None:
                self.timeouts = parse_timeouts(limits)
            if len(extensions) > 1 or limits is None:
                self._read_rarer(extensions)

    def _read_rarer(self, extensions: Extensions) -> None:
        """All extensions but `timeout`."""
        name = extensions.get("sni_hostname")
        if name is not None:
            self.sni_hostname = _sni_hostname(name)
            self.key = (self.origin, self.sni_hostname)
        if "proxy" in extensions:
            from .._proxy import proxy_extension  # late: few need it

            self.chooses_proxy = True
            self.proxy = proxy_extension(extensions["proxy"])
        self.informational = extensions.get("informational")
        self.expect_continue = _seconds(extensions.get("expect_continue"))
        _check_callable("informational", self.informational)
        _check_callable("trace", extensions.get("trace"))

    @property
    def request(self) -> Request:
        return Request(*self._arguments)

    @property
    def stream(self) -> Any:
        """The request's body, as it was given."""
        return self._arguments[3]

    def check_origin(self, origin: Origin) -> None:
        """Refuse to send the request over a connection to another origin."""
        if self.origin != origin:
            text = f"this connection is to {origin}"
            raise LocalProtocolError(text, origin=str(self.origin), phase="request")

    def send_through(self, proxy: Proxy, http1: bool) -> None:
        """Have `proxy` forward the request, or carry it through a tunnel, whichever it is for. With
        `http1` its origin may be spoken to in HTTP/1.1. Raises `LocalProtocolError`."""
        from .forwarding import check_tunnelled, forwarding_key, is_forwarded

        self.proxy = proxy
        self.forwards = is_forwarded(self.plan, proxy, http1)
        if self.forwards:
            self.key = forwarding_key(self.plan, proxy)
        else:
            check_tunnelled(self.plan)
            self.key = (self.key, proxy)

    @property
    def peer(self) -> Origin:
        """Whom the connection speaks HTTP with: the origin, or the proxy that forwards."""
        return self.proxy.origin if self.forwards and self.proxy is not None else self.origin

    def forward(self, fields: Headers) -> None:
        """Make the request one for the proxy; `fields` are the proxy's own headers."""
        from .forwarding import Forwarding

        assert self.proxy is not None
        self.forwarding = Forwarding(self.plan, self.proxy, fields)
        self.plan = self.forwarding.first()

    def answer_challenge(self, status: int, headers: Headers) -> bool:
        """Whether the response is a proxy's challenge that can be answered: the request is to be
        sent again, with credentials. If not, the response is the caller's."""
        if status != 407 or self.forwarding is None:
            return False
        if self.body_started and not self.plan.replayable:
            return False
        plan = self.forwarding.answer(headers)
        if plan is None:
            return False
        self.plan = plan
        self._begin_anew()
        return True

    def start_clock(self, clock: Callable[[], float]) -> None:
        """Fix the deadline, where there is a `total`. From here on the time counts."""
        if self.timeouts.total is not None:
            self.deadline = clock() + self.timeouts.total

    def budget(self, limit: float | None, now: float) -> float | None:
        """The time for the next step: the phase's own limit, or what `total` leaves of it.

        Raises the phase's `TimeoutException` once the deadline has passed: a step that need not
        wait would not notice.
        """
        if self.deadline is None:
            return limit
        left = self.deadline - now
        if left <= 0.0:
            raise _TIMEOUTS[self.phase]("the total deadline passed")
        return left if limit is None else min(limit, left)

    def expires_within(self, seconds: float, now: float) -> bool:
        """Whether the total deadline, if there is one, passes before so many seconds have."""
        return self.deadline is not None and now + seconds >= self.deadline

    def explain(self, exc: TransportError, limit: float | None, now: float) -> None:
        """Complete an error on its way out: origin, phase, and the limit that was meant."""
        exc.located(str(self.origin), self.phase)
        if isinstance(exc, TimeoutException):
            if self.deadline is not None and now >= self.deadline - CLOCK_SLACK:
                exc.message = "the total deadline passed"
                exc.limit = self.timeouts.total
            elif limit is not None:
                exc.limit = limit

    def cut_short(self) -> ReadError:
        """For whoever goes on with a body that was closed, or failed, before its end."""
        text = "the body was not read to its end: it was closed before, or reading it has failed"
        return ReadError(text, origin=str(self.origin), phase="receive body")

    def rewind(self, now: float) -> None:
        """Back to the start, for a retry on another connection."""
        if not self.refused:
            self.retried = True
            self.retried_at = now
        self.attempts += self.wrote
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.refused = self.reused = self.wrote = self.body_started = False
        self.head = None
        self.phase = "request"

    def insist_on_http1(self) -> None:
        """The server takes this request over HTTP/1.1 only: RFC 9113, section 7."""
        if not self.http1_only:
            self.http1_only = True
            self.key = (self.key, "http/1.1")


def _seconds(value: Any) -> float:
    if value is None:
        return DEFAULT_EXPECT_CONTINUE
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        text = f"the 'expect_continue' extension must be a number of seconds, not {value!r}"
        raise LocalProtocolError(text, phase="request")
    return float(min(value, sys.float_info.max))  # no clock can add a longer int


def _check_callable(name: str, value: Any) -> None:
    if value is not None and not callable(value):
        raise LocalProtocolError(f"the {name!r} extension must be callable", phase="request")


_is_host_name = re.compile(r"[!-~]{1,253}").fullmatch  # what TLS cannot send is refused there


def _sni_hostname(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str) and _is_host_name(value):
        return value
    raise LocalProtocolError("the 'sni_hostname' extension must be a host name", phase="request")
