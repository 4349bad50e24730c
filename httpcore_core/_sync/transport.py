"""The base class of transports: the primitive method, and conveniences for people on top of it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from .._exceptions import LocalProtocolError
from .._models import URL, ByteStream, Extensions, Headers, Response
from .._protocol.build import Content, HeaderTypes, URLTypes, build_request
from .._protocol.exchange import Exchange
from .._trace import get_tracer


class Transport:
    """Anything that sends requests: a pool, a connection, a mock, a wrapper around another one.

    Subclasses implement `handle_request`, and `close` if they hold anything.
    """

    __slots__ = ()

    def handle_request(
        self, method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
    ) -> tuple[int, Headers, Any, Extensions]:
        """Send one request; return ``(status, headers, stream, extensions)``.

        All arguments are primitives; see `Request`. The response's stream is an iterable of bytes
        that must be read to its end or closed. Raises `TransportError`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define handle_request")

    def close(self) -> None:
        """Release what the transport holds."""

    def request(
        self,
        method: str | bytes,
        url: URLTypes,
        *,
        headers: HeaderTypes = None,
        content: Content = None,
        extensions: Extensions | None = None,
    ) -> Response:
        """Send a request and read the whole response: its body is in ``response.content``.

        `Host` and the framing header are added where missing. Raises `TransportError`.
        """
        request = build_request(method, url, headers, content, extensions)
        response = Response(*self.handle_request(*request))
        body: bytes = response.stream.read()
        return response._replace(stream=ByteStream(body))

    def stream(
        self,
        method: str | bytes,
        url: URLTypes,
        *,
        headers: HeaderTypes = None,
        content: Content = None,
        extensions: Extensions | None = None,
    ) -> ResponseContext:
        """Send a request; use as a context manager that gives the response, with its body still to
        be read from ``response.stream``, and closes it at the end."""
        return ResponseContext(self, build_request(method, url, headers, content, extensions))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


def make_exchange(
    method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
) -> Exchange:
    """Check the arguments of `handle_request`, before any socket is touched."""
    arguments = (method, url, headers, stream, extensions)
    exchange = Exchange(arguments, get_tracer(extensions))
    if exchange.plan.body is None and not hasattr(stream, "__iter__"):
        raise LocalProtocolError(
            f"the body has no __iter__: {type(stream).__name__}", phase="request"
        )
    return exchange


class ResponseContext:
    """What `Transport.stream` returns."""

    def __init__(self, transport: Transport, request: Any) -> None:
        self._transport = transport
        self._request = request
        self._response: Response | None = None

    def __enter__(self) -> Response:
        self._response = Response(*self._transport.handle_request(*self._request))
        return self._response

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._response is not None:
            self._response.stream.close()
