"""The network stream of an HTTP/2 response: one stream of the connection, never the connection.

After a successful CONNECT, extended or not (RFC 9113, section 8.5; RFC 8441), it carries bytes both
ways. Of any other response it only tells what the connection is made of.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .._backends.base import AsyncNetworkStream
from .._exceptions import (
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    TimeoutException,
    TransportError,
    WriteError,
    WriteTimeout,
)
from .._protocol.events import END

if TYPE_CHECKING:
    import ssl

    from .body import AsyncResponseStream
    from .http2_exchange import AsyncHTTP2Exchange


class AsyncHTTP2NetworkStream(AsyncNetworkStream):
    """`exchange` is that of a tunnel, or None."""

    def __init__(
        self,
        stream: AsyncNetworkStream,
        exchange: AsyncHTTP2Exchange | None,
        body: AsyncResponseStream | None,
    ) -> None:
        self._stream = stream
        self._exchange = exchange
        self._body = body  # kept, so that it is not finalised while this is in use
        self._received = b""
        self._is_ended = False

    def _tunnel(self) -> AsyncHTTP2Exchange:
        if self._exchange is None:
            text = "the stream carries a response: its bytes are in the response's body"
            raise LocalProtocolError(text)
        return self._exchange

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = self._tunnel()
        if not self._received and not self._is_ended:
            try:
                event = await exchange.next_event(exchange.due(timeout))
            except TimeoutException as exc:
                raise ReadTimeout("reading from the tunnel timed out", limit=timeout) from exc
            except TransportError as exc:
                raise ReadError(f"reading from the tunnel failed: {exc.message}") from exc
            if event is END:
                self._is_ended = True
            else:
                assert isinstance(event, bytes)
                self._received = event
        data, self._received = self._received[:max_bytes], self._received[max_bytes:]
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        exchange = self._tunnel()
        try:
            await exchange.write(buffer, timeout)
        except TimeoutException as exc:
            raise WriteTimeout("writing to the tunnel timed out", limit=timeout) from exc
        except LocalProtocolError:
            raise
        except TransportError as exc:
            raise WriteError(f"writing to the tunnel failed: {exc.message}") from exc

    def is_readable(self) -> bool:
        return bool(self._received) or self._is_ended or self._tunnel().is_readable()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncNetworkStream:
        from .._backends.async_tls import start_tls

        self._tunnel()
        return await start_tls(self, ssl_context, server_hostname, timeout, time.monotonic)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._exchange is not None and self.is_readable()
        if info == "socket":
            return None  # which is everybody's
        return self._stream.get_extra_info(info)

    async def aclose(self) -> None:
        """Close the stream, and the response with it."""
        if self._body is not None:
            await self._body.aclose()
