"""The values that cross the API: requests, responses, byte streams, origins.

Rules of this file: plain values, no I/O. `Request` and `Response` are named tuples, so they *are*
the primitives of the transport API: `transport.handle_request(*request)` works and a response
unpacks into ``status, headers, stream, extensions``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "URL",
    "AsyncByteStream",
    "ByteStream",
    "Extensions",
    "Headers",
    "Origin",
    "Request",
    "Response",
    "SyncByteStream",
]

Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Name and value pairs. Order and case are kept on HTTP/1.1."""

URL: TypeAlias = tuple[bytes, bytes, int | None, bytes]
"""``(scheme, host, port or None, target)``, already parsed. IPv6 hosts may come with or without
brackets; the target is what goes on the request line, as ``b"/path?query"``."""

Extensions: TypeAlias = dict[str, Any]

DEFAULT_PORTS = {b"http": 80, b"https": 443}


class Origin(NamedTuple):
    """Scheme, host and port: what a connection is made to (RFC 6454, section 4)."""

    scheme: bytes
    host: bytes
    port: int

    def __str__(self) -> str:
        host = self.host.decode("ascii", "backslashreplace")
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"{self.scheme.decode('ascii', 'backslashreplace')}://{host}:{self.port}"


class Terms(NamedTuple):
    """What was agreed on when a connection was opened."""

    alpn: str | None = None
    tls_version: str | None = None
    proxy: str | None = None


NO_TERMS = Terms()


@lru_cache(maxsize=1024)
def agreed_terms(alpn: str | None, tls_version: str | None, proxy: str | None) -> Terms:
    """The terms as one object, whichever number of connections they hold for."""
    return Terms(alpn, tls_version, proxy)


class SyncByteStream:
    """A body: an iterable of `bytes`. Subclasses implement ``__iter__`` and, optionally, `close`.

    Set `replayable` to true if iterating a second time gives the same bytes from the start; only
    such a body is ever sent twice.
    """

    replayable: bool = False

    def __iter__(self) -> Iterator[bytes]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")

    def read(self) -> bytes:
        """Read to the end, close, and return the whole body."""
        try:
            return b"".join(self)
        finally:
            self.close()

    def close(self) -> None:
        """Release what the stream holds. Called exactly once by whoever consumes it."""


class AsyncByteStream:
    """A body: an async iterable of `bytes`. Subclasses implement ``__aiter__`` and, optionally,
    `aclose`. For `replayable` see `SyncByteStream`."""

    replayable: bool = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise NotImplementedError(f"{type(self).__name__} must define __aiter__")

    async def aread(self) -> bytes:
        """Read to the end, close, and return the whole body."""
        try:
            return b"".join([chunk async for chunk in self])
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Release what the stream holds. Called exactly once by whoever consumes it."""


class ByteStream(SyncByteStream, AsyncByteStream):
    """A body that is already in memory: sync, async, and replayable."""

    replayable = True

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        if self.content:
            yield self.content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _OneChunk(self.content)

    def read(self) -> bytes:
        return self.content

    async def aread(self) -> bytes:
        return self.content

    def __repr__(self) -> str:
        return f"<ByteStream [{len(self.content)} bytes]>"


class _OneChunk:
    """Async iterator over at most one chunk; a class, because an async generator left half-way
    needs the event loop's help to be finalised."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise StopAsyncIteration
        return content


class Request(NamedTuple):
    """The five arguments of `handle_request`, in their order."""

    method: bytes
    url: URL
    headers: Headers
    stream: Any  # SyncByteStream, AsyncByteStream, or any iterable of bytes of the right colour
    extensions: Extensions

    def __repr__(self) -> str:
        return f"<Request [{self.method!r}]>"


class Response(NamedTuple):
    """The four results of `handle_request`, in their order.

    `stream` must be closed, or read to its end. After `pool.request()` it is a `ByteStream` and
    `content` holds the body.
    """

    status: int
    headers: Headers
    stream: Any  # has __iter__, read, close; or __aiter__, aread, aclose; or all six
    extensions: Extensions

    def __repr__(self) -> str:
        return f"<Response [{self.status}]>"

    @property
    def content(self) -> bytes:
        """The whole body; only where it has been read already."""
        if isinstance(self.stream, ByteStream):
            return self.stream.content
        raise RuntimeError("the body has not been read: use response.stream")
