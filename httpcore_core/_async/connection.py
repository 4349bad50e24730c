"""A connection to one origin: made when the first request needs it, then HTTP/1.1 or HTTP/2.

How its stream is opened is in `dialing`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .._backends.auto import AutoBackend
from .._backends.base import AsyncNetworkBackend, AsyncNetworkStream, AsyncResolver, SocketOption
from .._concurrency import AsyncTask
from .._exceptions import LocalProtocolError, TransportError
from .._models import URL, Extensions, Headers, Origin, Response, agreed_terms
from .._options import (
    DEFAULT_CONNECTION_WINDOW,
    DEFAULT_MAX_CONCURRENT_STREAMS,
    DEFAULT_MAX_HEADER_BYTES,
    DEFAULT_MAX_HEADER_COUNT,
    DEFAULT_PING_TIMEOUT,
    DEFAULT_STREAM_WINDOW,
    ConnectionOptions,
    HTTP2Options,
)
from .._protocol.engine import choose_engine, require_http2
from .._protocol.exchange import Exchange
from .dialing import AsyncDialer
from .http11 import AsyncHTTP11Connection
from .proxy import address_to_proxy, answer_challenge, load_proxy
from .transport import AsyncTransport, make_exchange

if TYPE_CHECKING:
    import ssl

    from .._proxy import Proxy, ProxyTypes
    from .http2 import AsyncHTTP2Connection

_ids = itertools.count(1)


class AsyncHTTPConnection(AsyncDialer, AsyncTransport):
    """One connection to one origin, of the protocol that ALPN or the options choose. Closed, it
    stays closed. The options are those of a pool."""

    __slots__ = (
        "_is_connecting",
        "_reason_closed",
        "dial",
        "id",
        "open_connection",
        "slot",
    )

    def __init__(
        self,
        origin: Origin,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy: ProxyTypes | None = None,
        retries: int = 0,
        local_address: str | None = None,
        uds: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
        resolver: AsyncResolver | None = None,
        max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES,
        max_header_count: int = DEFAULT_MAX_HEADER_COUNT,
        http1_engine: str = "auto",
        http1: bool = True,
        http2: bool = False,
        http2_stream_window: int = DEFAULT_STREAM_WINDOW,
        http2_connection_window: int = DEFAULT_CONNECTION_WINDOW,
        http2_max_concurrent_streams: int = DEFAULT_MAX_CONCURRENT_STREAMS,
        http2_ping_interval: float | None = None,
        http2_ping_timeout: float = DEFAULT_PING_TIMEOUT,
        network_backend: AsyncNetworkBackend | None = None,
    ) -> None:
        if http2:
            require_http2()
        options = ConnectionOptions(
            ssl_context,
            retries,
            local_address,
            uds,
            socket_options,
            resolver,
            max_header_bytes,
            max_header_count,
            choose_engine(http1_engine)[0],
            http1,
            http2,
            HTTP2Options(
                http2_stream_window,
                http2_connection_window,
                http2_max_concurrent_streams,
                max_header_bytes,
                max_header_count,
                ping_interval=http2_ping_interval,
                ping_timeout=http2_ping_timeout,
            ),
        )
        backend = network_backend or AutoBackend()
        self._init(origin, options, backend, backend.now, load_proxy(proxy))

    def _init(
        self,
        origin: Origin,
        options: ConnectionOptions,
        backend: AsyncNetworkBackend,
        clock: Callable[[], float],
        proxy: Proxy | None,
    ) -> None:
        self.origin = origin
        self.proxy = proxy
        self.forwards = False
        self.id = next(_ids)
        self.slot: Any = None  # the pool's
        self.dial: AsyncTask | None = None  # the pool's: what runs `connect`
        self._options = options
        self._backend = backend
        self._clock = clock
        self._is_connecting = False
        self._reason_closed: str | None = None
        self.offers_http2 = True
        self.is_http2 = False
        # Once there is one:
        self.open_connection: AsyncHTTP11Connection | AsyncHTTP2Connection | None = None

    @classmethod
    def made_by_pool(
        cls,
        origin: Origin,
        options: ConnectionOptions,
        backend: AsyncNetworkBackend,
        clock: Callable[[], float],
        proxy: Proxy | None,
    ) -> AsyncHTTPConnection:
        """A connection with options that were checked before."""
        connection = cls.__new__(cls)
        connection._init(origin, options, backend, clock, proxy)
        return connection

    async def handle_async_request(
        self, method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
    ) -> Response:
        """Send one request, connecting first where needed. Raises `TransportError`."""
        exchange = make_exchange(method, url, headers, stream, extensions)
        exchange.start_clock(self._clock)
        exchange.check_origin(self.origin)
        if self.proxy is not None:
            await self._take_route(exchange, self.proxy)
        while True:
            if self.open_connection is None:
                await self.connect(exchange)
            assert self.open_connection is not None
            response = await self.open_connection.handle(exchange)
            # There is no other connection on which a challenge could be answered.
            if not exchange.forwards or not AsyncHTTP11Connection.may_be_kept(exchange):
                return response
            if not await answer_challenge(exchange, response):
                return response

    async def _take_route(self, exchange: Exchange, proxy: Proxy) -> None:
        exchange.send_through(proxy, self._options.http1)
        if self.is_connecting() and not self._is_connecting:
            self.forwards = exchange.forwards
        elif self.forwards != exchange.forwards:
            raise LocalProtocolError("this connection to the proxy is not of the kind it takes")
        if exchange.forwards:
            await address_to_proxy(exchange)

    # Connecting

    async def connect(self, exchange: Exchange) -> None:
        """Open the connection, within the limits of the request that needs it."""
        if self._is_connecting or self._reason_closed is not None:
            state = self._reason_closed or "being opened by another request"
            raise LocalProtocolError(f"the connection is {state}", origin=str(self.origin))
        exchange.phase = "connect"
        self._is_connecting = True
        try:
            stream = await self.open_stream(exchange)
        except TransportError as exc:
            self._reason_closed = "failed to connect"
            exchange.explain(exc, exchange.timeouts.connect, self._clock())
            raise
        except BaseException:
            self._reason_closed = "cancelled"
            raise
        finally:
            self._is_connecting = False
        if self.is_http2:
            from .http2 import AsyncHTTP2Connection  # late: who has no HTTP/2 need not have h2

            http2 = self._options.http2_options or HTTP2Options()
            shared = AsyncHTTP2Connection.made_by_pool(self.origin, stream, http2, self._clock)
            shared.falls_back = self._options.http1 and self.origin.scheme == b"https"
            self.open_connection = shared
        else:
            self.open_connection = AsyncHTTP11Connection(
                self.origin,
                stream,
                max_header_bytes=self._options.max_header_bytes,
                max_header_count=self._options.max_header_count,
                http1_engine=self._options.http1_engine,
                clock=self._clock,
            )
        self._describe(stream, self.open_connection)
        await self._close_if_given_up(self.open_connection)

    async def _close_if_given_up(
        self, opened: AsyncHTTP11Connection | AsyncHTTP2Connection
    ) -> None:
        """Somebody may have closed this connection while it was being opened."""
        if self._reason_closed is not None:
            await opened.shut(self._reason_closed)

    def _describe(
        self, stream: AsyncNetworkStream, opened: AsyncHTTP11Connection | AsyncHTTP2Connection
    ) -> None:
        """The plain values of the `connection` extension, which outlive the stream."""
        tls = stream.get_extra_info("ssl_object")
        opened.id = self.id
        opened.local_address = stream.get_extra_info("client_addr")
        opened.remote_address = stream.get_extra_info("server_addr")
        opened.terms = agreed_terms(
            None if tls is None else tls.selected_alpn_protocol(),
            None if tls is None else tls.version(),
            None if self.proxy is None else str(self.proxy),
        )

    # Closing and reading

    async def aclose(self) -> None:
        """Close the connection, whatever it is doing."""
        await self.shut("closed")

    async def shut(self, reason: str) -> None:
        if self._reason_closed is None:
            self._reason_closed = reason
        if self.open_connection is not None:
            await self.open_connection.shut(reason)

    def shut_at_once(self, reason: str) -> bool:
        """`shut` without waiting; false where that cannot be done."""
        if self._reason_closed is None:
            self._reason_closed = reason
        if self.open_connection is not None:
            return self.open_connection.shut_at_once(reason)
        return self.dial is None or self.dial.is_over()

    def detach(self) -> None:
        """The pool has no more to do with this connection."""
        self.slot = self.dial = None
        if self.open_connection is not None:
            self.open_connection.detach()

    def forget(self) -> None:
        """Let go of the connection in another event loop or process, without touching it."""
        self._reason_closed = "forgotten"
        if self.open_connection is not None:
            self.open_connection.forget()

    def is_connecting(self) -> bool:
        return self.open_connection is None and self._reason_closed is None

    def is_idle(self) -> bool:
        return self.open_connection is not None and self.open_connection.is_idle()

    def is_available(self) -> bool:
        return self.open_connection is not None and self.open_connection.is_available()

    def is_closed(self) -> bool:
        if self.open_connection is not None:
            return self.open_connection.is_closed()
        return self._reason_closed is not None

    def has_expired(self) -> bool:
        """Whether the pool will not use the idle connection again: too old, or left by its peer."""
        if self.open_connection is None or not self.open_connection.is_idle():
            return False
        expires_at = None if self.slot is None else self.slot.expires_at
        if expires_at is not None and self._clock() >= expires_at:
            return True
        return self.open_connection.is_stale()

    def info(self) -> str:
        """As ``'https://example.com:443', HTTP/1.1, IDLE, Request Count: 6``."""
        if self.open_connection is not None:
            return self.open_connection.info()
        return f"'{self.origin}', {'CONNECTING' if self.is_connecting() else 'CLOSED'}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.info()}]>"
