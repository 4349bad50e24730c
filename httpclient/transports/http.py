"""HTTP over the network: the connection pool of the core.

Rules of this file: public names of the core only. Beside `verify` all options are those of the
core's `ConnectionPool`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from httpcore_core import AsyncConnectionPool, ConnectionPool

from .base import AsyncBaseTransport, BaseTransport

if TYPE_CHECKING:
    import ssl

    from httpcore_core import Response


def _context(verify: ssl.SSLContext | bool) -> ssl.SSLContext | None:
    """What the pool is to use; None lets it make the usual context when it first needs one."""
    if isinstance(verify, bool):
        if not verify:
            raise ValueError("verify must be True or an ssl.SSLContext")
        return None
    return verify


class HTTPTransport(BaseTransport):
    """`verify` is True for the usual certificate authorities, or an `ssl.SSLContext`."""

    def __init__(self, *, verify: ssl.SSLContext | bool = True, **options: Any) -> None:
        self._pool = ConnectionPool(ssl_context=_context(verify), **options)

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        return self._pool.handle_request(method, url, headers, stream, extensions)

    def close(self) -> None:
        self._pool.close()


class AsyncHTTPTransport(AsyncBaseTransport):
    """`verify` is True for the usual certificate authorities, or an `ssl.SSLContext`."""

    def __init__(self, *, verify: ssl.SSLContext | bool = True, **options: Any) -> None:
        self._pool = AsyncConnectionPool(ssl_context=_context(verify), **options)

    async def handle_async_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        return await self._pool.handle_async_request(method, url, headers, stream, extensions)

    async def aclose(self) -> None:
        await self._pool.aclose()
