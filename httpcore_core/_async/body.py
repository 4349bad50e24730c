"""What a caller holds of a response: its body, and after an upgrade the stream itself.

A body is an iterator class, not a generator: breaking out of it, dropping it or closing it from
another task needs no help from an event loop.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from .._backends.base import AsyncNetworkStream
from .._models import AsyncByteStream, Extensions
from .._protocol.exchange import Exchange
from .streams import AsyncPrefixedStream

if TYPE_CHECKING:
    from .http2_exchange import AsyncHTTP2Exchange
    from .http11 import AsyncHTTP11Connection


_NOBODYS: Any = object()  # the exchange of a response that has none


class AsyncResponseStream(AsyncByteStream):
    """The body of a response on its connection, or on its stream of one. Read it to the end, or
    close it. Whoever goes on after it was closed or has failed gets a `ReadError`: what he has is
    not the whole body."""

    __slots__ = ("_connection", "_exchange", "_extensions", "_is_over", "_is_whole")

    def __init__(
        self,
        connection: AsyncHTTP11Connection | AsyncHTTP2Exchange,
        exchange: Exchange,
        extensions: Extensions,
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._extensions = extensions
        self._is_over = self._is_whole = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        trace = self._exchange.trace
        if trace is None:
            return self
        name = f"{self._connection.protocol_name}.receive_response_body"
        return AsyncTracedBody(self, trace, self._exchange, name)

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration if self._is_whole else self._exchange.cut_short()
        try:
            chunk = await self._connection.receive_body(self._exchange)
        except BaseException:
            self._is_over = True
            raise
        if chunk:
            return chunk
        self._take_trailers()
        self._is_over = self._is_whole = True
        if self._exchange.trace is None:
            await self.end()
        raise StopAsyncIteration

    async def end(self) -> None:
        """The whole body was read: close, except where the stream now belongs to the caller."""
        if not self._connection.is_handed_over:
            await self.aclose()

    async def aread(self) -> bytes:
        """Read to the end, close, and return the whole body."""
        connection, exchange = self._connection, self._exchange
        if self._is_over or exchange.trace is not None:
            return await self._read_chunks()
        self._is_over = True
        body = connection.take_body(exchange)
        if body is None:
            chunks: list[bytes] = []
            while chunk := await connection.receive_body(exchange):
                chunks.append(chunk)
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._take_trailers()
        self._is_whole = True
        await connection.finish(exchange)
        return body

    async def _read_chunks(self) -> bytes:
        try:
            return b"".join([chunk async for chunk in self])
        finally:
            await self.aclose()

    def _take_trailers(self) -> None:
        if trailers := self._connection.trailers_of(self._exchange):
            self._extensions["trailers"] = trailers

    def let_go(self) -> None:
        """This response is closed, and its exchange goes on: another one answers it."""
        self._exchange = _NOBODYS

    async def aclose(self) -> None:
        """Give the connection back. A short rest of the body is read so that it can be kept; with
        a long one it is closed. May be called again."""
        self._is_over = True
        if not self._connection.serves(self._exchange):
            return
        trace = self._exchange.trace
        if trace is None:
            await self._connection.finish(self._exchange)
        else:
            name = f"{self._connection.protocol_name}.response_closed"
            await trace.run_always(name, {}, self._connection.finish, self._exchange)

    def __del__(self) -> None:
        connection = self._connection
        if connection.serves(self._exchange):
            connection.drop(self._exchange)
            warnings.warn(
                f"a response from {connection.origin} was neither read to its end nor closed",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


class AsyncTracedBody:
    """The same iteration with its ``receive_response_body`` events."""

    __slots__ = ("_body", "_info", "_name", "_started", "_trace")

    def __init__(
        self, body: AsyncResponseStream, trace: Any, exchange: Exchange, name: str
    ) -> None:
        self._body = body
        self._trace = trace
        self._name = name
        self._info = {"request": exchange.request}
        self._started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        name = self._name
        if not self._started:
            self._started = True
            await self._trace.emit(f"{name}.started", self._info)
        try:
            return await self._body.__anext__()
        except StopAsyncIteration:
            await self._trace.emit(f"{name}.complete", {"return_value": None})
            await self._body.end()
            raise
        except Exception as exc:
            await self._trace.emit(f"{name}.failed", {"exception": exc})
            raise


class AsyncTunnelStream(AsyncPrefixedStream):
    """The raw stream after ``101 Switching Protocols`` or a successful CONNECT: reads first give
    what the server had sent already (RFC 9110, 7.8 and 9.3.6). Closing it closes the response."""

    def __init__(
        self,
        stream: AsyncNetworkStream,
        leftover: bytes,
        connection: AsyncHTTP11Connection,
        body: AsyncResponseStream,
    ) -> None:
        super().__init__(stream, leftover)
        self._connection = connection
        self._body = body  # kept, so that it is not finalised while this is in use

    async def aclose(self) -> None:
        await self._connection.leave()
