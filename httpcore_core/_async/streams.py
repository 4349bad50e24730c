"""Streams around streams: what had been read too early is read again first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._backends.base import AsyncNetworkStream
from .._exceptions import ConnectError

if TYPE_CHECKING:
    import ssl


class AsyncPrefixedStream(AsyncNetworkStream):
    """`stream`, of which `prefix` had been read already."""

    def __init__(self, stream: AsyncNetworkStream, prefix: bytes) -> None:
        self._stream = stream
        self._prefix = prefix

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._prefix:
            return self._take(max_bytes)
        return await self._stream.read(max_bytes, timeout)

    def read_nowait(self, max_bytes: int) -> bytes | None:
        return self._take(max_bytes) if self._prefix else self._stream.read_nowait(max_bytes)

    def _take(self, max_bytes: int) -> bytes:
        data, self._prefix = self._prefix[:max_bytes], self._prefix[max_bytes:]
        return data

    def is_readable(self) -> bool:
        return bool(self._prefix) or self._stream.is_readable()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        if self._prefix:
            return 0
        return await self._stream.write_until_readable(buffer, timeout)

    def write_nowait(self, buffer: bytes) -> int:
        return self._stream.write_nowait(buffer)

    @property
    def bytes_taken(self) -> int | None:  # type: ignore[override]  # asked for, never set
        return self._stream.bytes_taken

    @property
    def has_unsent(self) -> bool:  # type: ignore[override]
        return self._stream.has_unsent

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncNetworkStream:
        """TLS inside what was opened. Bytes that the peer sent before it are not part of it."""
        if self._prefix:
            raise ConnectError("the peer spoke before the TLS handshake", phase="tls")
        return await self._stream.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._prefix:
            return True
        return self._stream.get_extra_info(info)

    def watch(self, callback: Callable[[], None] | None) -> bool:
        return self._stream.watch(callback)

    def abort(self) -> bool:
        return self._stream.abort()

    def close_nowait(self) -> bool:
        return self._stream.close_nowait()

    def forget(self) -> None:
        self._stream.forget()

    async def aclose(self) -> None:
        await self._stream.aclose()
