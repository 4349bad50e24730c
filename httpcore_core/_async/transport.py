"""The base class of transports: the primitive method, and conveniences for people on top of it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from .._exceptions import LocalProtocolError
from .._models import URL, ByteStream, Extensions, Headers, Response
from .._protocol.build import Content, HeaderTypes, URLTypes, build_request
from .._protocol.exchange import Exchange
from .._trace import get_async_tracer


class AsyncTransport:
    """Anything that sends requests: a pool, a connection, a mock, a wrapper around another one.

    Subclasses implement `handle_async_request`, and `aclose` if they hold anything.
    """

    __slots__ = ()

    async def handle_async_request(
        self, method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
    ) -> tuple[int, Headers, Any, Extensions]:
        """Send one request; return ``(status, headers, stream, extensions)``.

        All arguments are primitives; see `Request`. The response's stream is an iterable of bytes
        that must be read to its end or closed. Raises `TransportError`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define handle_async_request")

    async def aclose(self) -> None:
        """Release what the transport holds."""

    async def request(
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
        response = Response(*await self.handle_async_request(*request))
        body: bytes = await response.stream.aread()
        return response._replace(stream=ByteStream(body))

    def stream(
        self,
        method: str | bytes,
        url: URLTypes,
        *,
        headers: HeaderTypes = None,
        content: Content = None,
        extensions: Extensions | None = None,
    ) -> AsyncResponseContext:
        """Send a request; use as a context manager that gives the response, with its body still to
        be read from ``response.stream``, and closes it at the end."""
        return AsyncResponseContext(self, build_request(method, url, headers, content, extensions))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


def make_exchange(
    method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
) -> Exchange:
    """Check the arguments of `handle_async_request`, before any socket is touched."""
    arguments = (method, url, headers, stream, extensions)
    exchange = Exchange(arguments, get_async_tracer(extensions))
    if exchange.plan.body is None and not hasattr(stream, "__aiter__"):
        raise LocalProtocolError(
            f"the body has no __aiter__: {type(stream).__name__}", phase="request"
        )
    return exchange


class AsyncResponseContext:
    """What `AsyncTransport.stream` returns."""

    def __init__(self, transport: AsyncTransport, request: Any) -> None:
        self._transport = transport
        self._request = request
        self._response: Response | None = None

    async def __aenter__(self) -> Response:
        self._response = Response(*await self._transport.handle_async_request(*self._request))
        return self._response

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._response is not None:
            await self._response.stream.aclose()
