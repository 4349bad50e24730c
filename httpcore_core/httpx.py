"""The core underneath a real `httpx.Client` or `httpx.AsyncClient`.

    httpx.Client(transport=httpcore_core.httpx.HTTPTransport(http2=True))

Rules of this file: it stands on top of the package and of HTTPX, and uses public names of both. It
translates: a request into the primitives, a response and every error back. It decides nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from httpcore_core import (
    AsyncConnectionPool,
    ByteStream,
    ConnectError,
    ConnectionPool,
    ConnectTimeout,
    LocalProtocolError,
    NetworkError,
    PoolTimeout,
    ProtocolError,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    Request,
    TimeoutException,
    TransportError,
    UnsupportedProtocol,
    WriteError,
    WriteTimeout,
)

try:
    import httpx
except ImportError as exc:
    raise ImportError(
        "httpcore_core.httpx needs HTTPX: pip install 'httpcore-core[httpx]'", name="httpx"
    ) from exc

if TYPE_CHECKING:
    import ssl

__all__ = ["AsyncHTTPTransport", "HTTPTransport"]

# An error that is not here is its nearest ancestor's equivalent: `PoolClosed` has none in HTTPX.
_EQUIVALENTS: dict[type, type[httpx.TransportError]] = {
    TransportError: httpx.TransportError,
    TimeoutException: httpx.TimeoutException,
    PoolTimeout: httpx.PoolTimeout,
    ConnectTimeout: httpx.ConnectTimeout,
    ReadTimeout: httpx.ReadTimeout,
    WriteTimeout: httpx.WriteTimeout,
    NetworkError: httpx.NetworkError,
    ConnectError: httpx.ConnectError,
    ReadError: httpx.ReadError,
    WriteError: httpx.WriteError,
    ProtocolError: httpx.ProtocolError,
    LocalProtocolError: httpx.LocalProtocolError,
    RemoteProtocolError: httpx.RemoteProtocolError,
    ProxyError: httpx.ProxyError,
    UnsupportedProtocol: httpx.UnsupportedProtocol,
}


class HTTPTransport(httpx.BaseTransport):
    """For `httpx.Client`, as its `transport` or one of its `mounts`.

    `verify` is True for the usual certificate authorities, or an `ssl.SSLContext`, which with
    `http2` has to offer that itself, as it is never changed. All other options are those of
    `ConnectionPool`. `pool` is the pool itself, with its `stats()`.

    Raises HTTPX's errors, each with the request and, as its cause, the core's own error.
    """

    def __init__(self, verify: ssl.SSLContext | bool = True, **options: Any) -> None:
        self.pool = ConnectionPool(ssl_context=_context(verify), **options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            status, headers, stream, extensions = self.pool.handle_request(*_primitives(request))
        except TransportError as exc:
            raise _equivalent(exc, request) from exc
        return _response(status, headers, _Body(stream, request), extensions)

    def close(self) -> None:
        self.pool.close()


class AsyncHTTPTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`, on asyncio and trio. Everything else is said at `HTTPTransport`."""

    def __init__(self, verify: ssl.SSLContext | bool = True, **options: Any) -> None:
        self.pool = AsyncConnectionPool(ssl_context=_context(verify), **options)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            status, headers, stream, extensions = await self.pool.handle_async_request(
                *_primitives(request)
            )
        except TransportError as exc:
            raise _equivalent(exc, request) from exc
        return _response(status, headers, _AsyncBody(stream, request), extensions)

    async def aclose(self) -> None:
        await self.pool.aclose()


class _Body(httpx.SyncByteStream):
    """The response's body. Closing it early gives the connection back."""

    def __init__(self, stream: Any, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        self._chunks = iter(self._stream)
        return self

    def __next__(self) -> bytes:
        try:
            chunk: bytes = next(self._chunks)
        except TransportError as exc:
            raise _equivalent(exc, self._request) from exc
        return chunk

    def close(self) -> None:
        try:
            self._stream.close()
        except TransportError as exc:
            raise _equivalent(exc, self._request) from exc


class _AsyncBody(httpx.AsyncByteStream):
    """The same for async code. No generator: nothing is left behind where a loop is broken out."""

    def __init__(self, stream: Any, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = self._stream.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await self._chunks.__anext__()
        except TransportError as exc:
            raise _equivalent(exc, self._request) from exc
        return chunk

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        except TransportError as exc:
            raise _equivalent(exc, self._request) from exc


def _context(verify: ssl.SSLContext | bool) -> ssl.SSLContext | None:
    """What the pool is to use; None lets it make the usual context when it first needs one."""
    if isinstance(verify, bool):
        if not verify:
            raise ValueError("verify must be True or an ssl.SSLContext")
        return None
    return verify


def _primitives(request: httpx.Request) -> Request:
    url = request.url
    stream: Any = request.stream
    if type(stream) is httpx.ByteStream:
        # It is in memory and known to the last byte, which the core is to know too: such a body
        # can be sent again. Of others, files among them, nobody can tell.
        stream = ByteStream(b"".join(stream))
    return Request(
        request.method.encode("ascii", "replace"),  # a "?" is refused, as what it stands for
        (url.raw_scheme, url.raw_host, url.port, url.raw_path),
        request.headers.raw,
        stream,
        request.extensions,
    )


def _response(
    status: int,
    headers: list[tuple[bytes, bytes]],
    stream: httpx.SyncByteStream | httpx.AsyncByteStream,
    extensions: dict[str, Any],
) -> httpx.Response:
    response = httpx.Response(status, headers=headers, stream=stream)
    response.extensions = extensions  # itself, not a copy: trailers are added after the body
    return response


def _equivalent(error: TransportError, request: httpx.Request) -> httpx.TransportError:
    kind = next(_EQUIVALENTS[base] for base in type(error).__mro__ if base in _EQUIVALENTS)
    return kind(str(error), request=request)
