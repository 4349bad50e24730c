"""Opening a tunnel through an HTTP proxy: RFC 9110, section 9.3.6.

Rules of this file: bytes in, bytes out; no I/O, no clock. The exchange itself is that of
`HTTP11Protocol`, which refuses whatever a server must not send.

Theory of operation. `begin` gives what to write first on a new connection to the proxy, `receive`
takes what comes back and gives what to write next. That goes on until `is_open`: what was received
behind the proxy's answer is in `leftover`, all further bytes are the origin's. Any other final
answer is a refusal, raised as `ProxyError` once its body is there, except a challenge (407) which
the proxy's `ProxyAuth` answers: on the same connection, or, if the proxy does not keep that open,
on another one (`needs_connection`), with `begin` once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httpcore_core._exceptions import (
    ConnectTimeout,
    ProxyError,
    ReadError,
    RemoteProtocolError,
    TimeoutException,
    TransportError,
)
from httpcore_core._models import ByteStream, Headers, Origin

from .engine import HeadParser
from .events import END, NEED_DATA, Event, ResponseHead
from .http11 import HTTP11Protocol
from .origin import authority
from .proxy_auth import AuthRounds
from .request import RequestPlan, plan_request

if TYPE_CHECKING:
    from httpcore_core._proxy import Proxy

MAX_REFUSAL = 64 * 1024
"""Bytes of a refusal's body that are kept, and for which the proxy is waited for."""


class Tunnel:
    """One tunnel on its way, over as many connections as the proxy's challenges take."""

    event = "proxy.connect"

    def __init__(
        self,
        proxy: Proxy,
        origin: Origin,
        fields: Headers,
        head_parser: HeadParser,
        max_header_bytes: int,
        max_header_count: int,
    ) -> None:
        """`fields` are the proxy's own headers, for this target. Raises `LocalProtocolError`."""
        self.target = authority(origin)
        self._proxy = proxy
        self._fields = fields
        self._limits = (head_parser, max_header_bytes, max_header_count)
        self._plan = self._plan_request(None)  # legal, or it would have been refused here
        assert not isinstance(proxy.auth, tuple)
        self._rounds = AuthRounds(proxy.auth, b"CONNECT", self.target)
        self._has_begun = False
        self.is_open = False
        self.needs_connection = True
        self.answer: ResponseHead | None = None  # the proxy's latest
        self.leftover = b""

    def begin(self) -> bytes:
        """The first bytes for a new connection."""
        parser, max_bytes, max_count = self._limits
        self._http = HTTP11Protocol(parser, max_head_bytes=max_bytes, max_header_count=max_count)
        if not self._has_begun:
            self._has_begun = True
            self._plan = self._plan_request(self._rounds.first())
        self.needs_connection = False
        return self._ask()

    def receive(self, data: bytes) -> bytes:
        """Take what the proxy sent, ``b""`` for its end; returns what to write next, if anything.

        Raises `ProxyError`.
        """
        try:
            event = self._http.receive(data)
            while event is not NEED_DATA:
                following = self._take(event)
                if following is not None:
                    return following
                event = self._http.next_event()
        except RemoteProtocolError as exc:
            # What ended early is no other than what was reset: it may be tried again.
            cause = exc if data else ReadError(exc.message)
            raise self.failed(cause) from cause
        return b""

    def _take(self, event: Event) -> bytes | None:
        """One event; returns what to write next, None to go on."""
        if isinstance(event, ResponseHead):
            self.answer = event
            if self._http.switched:
                self.is_open = True
                self.leftover = self._http.leftover()
                return b""
        elif event is END:
            return self._refused()
        elif isinstance(event, bytes):
            self._body += event
            if len(self._body) >= MAX_REFUSAL:
                return self._refused()
        return None

    def _refused(self) -> bytes:
        """Answer the proxy's challenge, or raise its refusal."""
        assert self.answer is not None
        credentials = None
        if self.answer.status == 407:
            credentials = self._rounds.answer(self.answer.headers)
        if credentials is None:
            raise self._refusal(self.answer)
        self._plan = self._plan_request(credentials)
        if not self._http.keep_alive:
            self.needs_connection = True
            return b""
        return self._ask()

    def _ask(self) -> bytes:
        self._body = bytearray()
        self.answer = None
        return self._http.start(self._plan)

    def _plan_request(self, credentials: bytes | None) -> RequestPlan:
        headers = [(b"Host", self.target), *self._fields]
        if credentials is not None:
            headers = [pair for pair in headers if pair[0].lower() != b"proxy-authorization"]
            headers.append((b"Proxy-Authorization", credentials))
        _, host, port = self._proxy.origin
        url = (b"http", host, port, self.target)
        return plan_request((b"CONNECT", url, headers, ByteStream(), {}))

    def failed(self, error: TransportError) -> TransportError:
        """What to raise where reading or writing met `error`: the refusal, if it had begun."""
        if self.answer is not None:
            return self._refusal(self.answer)
        return broken_off(self._proxy, error)

    def _refusal(self, answer: ResponseHead) -> ProxyError:
        reason = ascii(answer.reason[:200].decode("latin-1"))[1:-1]
        text = f"the proxy {self._proxy} refused to connect to {self.target.decode('ascii')}"
        return ProxyError(
            f"{text}: {answer.status} {reason}".rstrip(),
            status=answer.status,
            headers=answer.headers,
            body=bytes(self._body[:MAX_REFUSAL]),
        )


def broken_off(proxy: Proxy, error: TransportError) -> TransportError:
    """The error for a handshake that met `error` before the proxy had answered."""
    if isinstance(error, TimeoutException):
        return ConnectTimeout(f"the proxy {proxy} did not answer in time", limit=error.limit)
    return ProxyError(f"the proxy {proxy} failed: {error.message}")
