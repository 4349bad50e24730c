"""The exceptions: one root, so that one `except` catches whatever the transport can raise.

Rules of this file: values only, no imports from the package. An error knows *what* happened
(its class and message), *where* (`origin`), *when* (`phase`) and, for timeouts, *how long*
(`limit`). Whoever raises it fills in what it knows; the driver that passes it on adds the rest.
"""

from __future__ import annotations

__all__ = [
    "ConnectError",
    "ConnectTimeout",
    "HTTPError",
    "LocalProtocolError",
    "NetworkError",
    "PoolClosed",
    "PoolTimeout",
    "ProtocolError",
    "ProxyError",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "TimeoutException",
    "TransportError",
    "UnsupportedProtocol",
    "WriteError",
    "WriteTimeout",
]


class HTTPError(Exception):
    """The base of `TransportError`, and of what a client on top says about responses: one name for
    all that can go wrong with a request. Nothing here raises it itself."""


class TransportError(HTTPError):
    """The root of everything this package raises.

    `origin` is text such as ``"https://example.com:443"``; `phase` is one of ``"request"``,
    ``"pool"``, ``"connect"``, ``"proxy"``, ``"tls"``, ``"send"``, ``"receive headers"`` and
    ``"receive body"``; `limit` is in seconds. The low-level cause, where there is one, is in
    ``__cause__``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        origin: str | None = None,
        phase: str | None = None,
        limit: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.origin = origin
        self.phase = phase
        self.limit = limit

    def __str__(self) -> str:
        text = self.message or type(self).__name__
        if self.limit is not None:
            text = f"{text} (limit {self.limit:g} s)"
        return ": ".join(part for part in (self.origin, self.phase, text) if part)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def located(self, origin: str | None, phase: str | None) -> TransportError:
        """Fill in origin and phase where the raiser did not know them; returns the error itself."""
        if self.origin is None:
            self.origin = origin
        if self.phase is None:
            self.phase = phase
        return self


class TimeoutException(TransportError):
    """A time limit passed: one of the phases', or `total`, the deadline over all of them."""


class PoolTimeout(TimeoutException):
    """No connection became free in time. The text says how many are active, idle and queued."""


class ConnectTimeout(TimeoutException):
    """Resolving, connecting and the TLS handshake together took longer than `connect`."""


class ReadTimeout(TimeoutException):
    """The peer sent nothing for the length of `read`."""


class WriteTimeout(TimeoutException):
    """The peer accepted nothing for the length of `write`."""


class NetworkError(TransportError):
    """The network, or the peer's end of it, failed."""


class ConnectError(NetworkError):
    """No usable connection could be made: name, address, port, or TLS handshake."""


class ReadError(NetworkError):
    """The connection broke while reading.

    `tls_reason` is OpenSSL's where it was TLS that failed, as ``"tlsv13 alert certificate
    required"`` where the peer wants a client certificate.
    """

    tls_reason: str | None = None


class WriteError(NetworkError):
    """The connection broke while writing.

    `bytes_written` counts what had been handed to the network before, where that is known: a
    request of which nothing left may be sent again elsewhere.
    """

    bytes_written: int | None = None


class ProtocolError(TransportError):
    """HTTP was not spoken as it is written down."""


class LocalProtocolError(ProtocolError):
    """We were asked for something illegal. Nothing of it was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol, or left in the middle of it."""


class ProxyError(TransportError):
    """The proxy refused to reach the origin, or did not speak as a proxy should.

    `status`, `headers` and `body` are those of its answer to CONNECT, the body cut off after
    64 KiB; `socks_reply` is the code of a SOCKS proxy's answer (RFC 1928, section 6). They are
    None, or empty, where there was no such answer.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
        body: bytes = b"",
        socks_reply: int | None = None,
        origin: str | None = None,
        phase: str | None = None,
        limit: float | None = None,
    ) -> None:
        super().__init__(message, origin=origin, phase=phase, limit=limit)
        self.status = status
        self.headers = headers or []
        self.body = body
        self.socks_reply = socks_reply


class UnsupportedProtocol(TransportError):
    """The URL's scheme is not one that this transport speaks."""


class PoolClosed(TransportError):
    """The pool was closed, before or during the request."""


def may_go_on(error: BaseException) -> bool:
    """Whether `error`, raised by a write, is a time limit or a cancellation, after which a stream
    can tell what it has taken. After an interrupt, which comes anywhere, none can."""
    interrupts = (Exception, KeyboardInterrupt, SystemExit)
    return isinstance(error, WriteTimeout) or not isinstance(error, interrupts)
