"""A connection to one origin: made when the first request needs it, then HTTP/1.1.

Resolving, connecting and the TLS handshake share the one `connect` limit. A failed attempt is
repeated `retries` times with a growing pause; nothing of a request has been sent by then.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .._backends.auto import AutoBackend
from .._backends.base import AsyncNetworkBackend, AsyncNetworkStream, AsyncResolver, SocketOption
from .._concurrency import AsyncTask, shielded_async
from .._exceptions import ConnectError, ConnectTimeout, LocalProtocolError, TransportError
from .._models import URL, Extensions, Headers, Origin, Response
from .._options import (
    DEFAULT_MAX_HEADER_BYTES,
    DEFAULT_MAX_HEADER_COUNT,
    ConnectionOptions,
)
from .._protocol.engine import choose_engine
from .._protocol.exchange import Exchange
from .._protocol.retry import backoff_delays
from .http11 import AsyncHTTP11Connection
from .transport import AsyncTransport, make_exchange

if TYPE_CHECKING:
    import ssl

_ids = itertools.count(1)


class AsyncHTTPConnection(AsyncTransport):
    """One connection to one origin. Serves one request at a time; closed, it stays closed."""

    __slots__ = (
        "_backend",
        "_clock",
        "_is_connecting",
        "_options",
        "_reason_closed",
        "dial",
        "id",
        "open_connection",
        "origin",
        "slot",
    )

    def __init__(
        self,
        origin: Origin,
        *,
        ssl_context: ssl.SSLContext | None = None,
        retries: int = 0,
        local_address: str | None = None,
        uds: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
        resolver: AsyncResolver | None = None,
        max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES,
        max_header_count: int = DEFAULT_MAX_HEADER_COUNT,
        http1_engine: str = "auto",
        network_backend: AsyncNetworkBackend | None = None,
    ) -> None:
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
        )
        backend = network_backend or AutoBackend()
        self._init(origin, options, backend, backend.now)

    def _init(
        self,
        origin: Origin,
        options: ConnectionOptions,
        backend: AsyncNetworkBackend,
        clock: Callable[[], float],
    ) -> None:
        self.origin = origin
        self.id = next(_ids)
        self.slot: Any = None  # the pool's
        self.dial: AsyncTask | None = None  # the pool's: what runs `connect`
        self._options = options
        self._backend = backend
        self._clock = clock
        self._is_connecting = False
        self._reason_closed: str | None = None
        self.open_connection: AsyncHTTP11Connection | None = None  # once there is one

    @classmethod
    def made_by_pool(
        cls,
        origin: Origin,
        options: ConnectionOptions,
        backend: AsyncNetworkBackend,
        clock: Callable[[], float],
    ) -> AsyncHTTPConnection:
        """A connection with options that were checked before."""
        connection = cls.__new__(cls)
        connection._init(origin, options, backend, clock)
        return connection

    async def handle_async_request(
        self, method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
    ) -> Response:
        """Send one request, connecting first where needed. Raises `TransportError`."""
        exchange = make_exchange(method, url, headers, stream, extensions)
        exchange.start_clock(self._clock)
        if exchange.origin != self.origin:
            raise LocalProtocolError(
                f"this connection is to {self.origin}", origin=str(exchange.origin), phase="request"
            )
        if self.open_connection is None:
            await self.connect(exchange)
        return await self.handle(exchange)

    async def handle(self, exchange: Exchange) -> Response:
        """Send a checked request over the open connection."""
        assert self.open_connection is not None
        return await self.open_connection.handle(exchange)

    # Connecting

    async def connect(self, exchange: Exchange) -> None:
        """Open the connection, within the limits of the request that needs it."""
        if self._is_connecting or self._reason_closed is not None:
            state = self._reason_closed or "being opened by another request"
            raise LocalProtocolError(f"the connection is {state}", origin=str(self.origin))
        exchange.phase = "connect"
        self._is_connecting = True
        try:
            stream = await self._connect_with_retries(exchange)
        except TransportError as exc:
            self._reason_closed = "failed to connect"
            exchange.explain(exc, exchange.timeouts.connect, self._clock())
            raise
        except BaseException:
            self._reason_closed = "cancelled"
            raise
        finally:
            self._is_connecting = False
        self.open_connection = AsyncHTTP11Connection(
            self.origin,
            stream,
            max_header_bytes=self._options.max_header_bytes,
            max_header_count=self._options.max_header_count,
            http1_engine=self._options.http1_engine,
            clock=self._clock,
        )
        self.open_connection.description = self._describe(stream, self._options.http1_engine)
        await self._close_if_given_up(self.open_connection)

    async def _close_if_given_up(self, opened: AsyncHTTP11Connection) -> None:
        """Somebody may have closed this connection while it was being opened."""
        if self._reason_closed is not None:
            await opened.shut(self._reason_closed)

    async def _connect_with_retries(self, exchange: Exchange) -> AsyncNetworkStream:
        for delay in backoff_delays(self._options.retries):
            try:
                return await self._connect_once(exchange)
            except (ConnectError, ConnectTimeout):
                if exchange.expires_within(delay, self._clock()):
                    raise
            if exchange.trace is None:
                await self._backend.sleep(delay)
            else:
                info = {"seconds": delay}
                await exchange.trace.run("connection.retry", info, self._backend.sleep, delay)
        return await self._connect_once(exchange)

    async def _connect_once(self, exchange: Exchange) -> AsyncNetworkStream:
        now = self._clock()
        budget = exchange.budget(exchange.timeouts.connect, now)
        if self._options.uds is not None:
            stream = await self._connect_unix(exchange, budget)
        else:
            stream = await self._connect_tcp(exchange, budget)
        if self.origin.scheme == b"https":
            if budget is not None:
                budget = max(now + budget - self._clock(), 0.0)
            stream = await self._start_tls(exchange, stream, budget)
        return stream

    async def _connect_unix(self, exchange: Exchange, budget: float | None) -> AsyncNetworkStream:
        options = self._options
        assert options.uds is not None
        if exchange.trace is None:
            return await self._backend.connect_unix_socket(
                options.uds, budget, options.socket_options
            )
        return await self._open_traced(
            exchange.trace,
            "connection.connect_unix_socket",
            {"path": options.uds, "timeout": budget, "socket_options": options.socket_options},
            self._backend.connect_unix_socket,
            options.uds,
            budget,
            options.socket_options,
        )

    async def _connect_tcp(self, exchange: Exchange, budget: float | None) -> AsyncNetworkStream:
        options = self._options
        host = self.origin.host.decode("ascii")
        arguments = (
            host,
            self.origin.port,
            budget,
            options.local_address,
            options.socket_options,
            options.resolver,
            exchange.trace,
        )
        if exchange.trace is None:
            return await self._backend.open_tcp(*arguments)
        info = {
            "host": host,
            "port": self.origin.port,
            "local_address": options.local_address,
            "timeout": budget,
        }
        return await self._open_traced(
            exchange.trace, "connection.connect_tcp", info, self._backend.open_tcp, *arguments
        )

    async def _open_traced(
        self, trace: Any, name: str, info: dict[str, Any], connect: Any, *arguments: Any
    ) -> AsyncNetworkStream:
        """Connect, and tell the trace; a trace that fails must not cost the stream its closing."""
        opened: list[AsyncNetworkStream] = []

        async def step() -> AsyncNetworkStream:
            opened.append(await connect(*arguments))
            return opened[0]

        try:
            stream: AsyncNetworkStream = await trace.run(name, info, step)
        except BaseException:
            for stream in opened:
                if not stream.abort():
                    await shielded_async(stream.aclose)
            raise
        return stream

    async def _start_tls(
        self, exchange: Exchange, stream: AsyncNetworkStream, budget: float | None
    ) -> AsyncNetworkStream:
        from .._tls import default_ssl_context

        exchange.phase = "tls"
        context = self._options.ssl_context
        name = exchange.sni_hostname or self.origin.host.decode("ascii")
        try:
            if context is None:
                context = default_ssl_context()
            if exchange.trace is None:
                return await stream.start_tls(context, name, budget)
            info = {"ssl_context": context, "server_hostname": name, "timeout": budget}
            return await exchange.trace.run(  # type: ignore[no-any-return]  # the trace is untyped
                "connection.start_tls", info, stream.start_tls, context, name, budget
            )
        except BaseException:
            if not stream.abort():
                await shielded_async(stream.aclose)
            raise

    def _describe(self, stream: AsyncNetworkStream, engine: str) -> tuple[Any, ...]:
        """The plain values of the `connection` extension, which outlive the stream."""
        tls = stream.get_extra_info("ssl_object")
        return (
            self.id,
            stream.get_extra_info("client_addr"),
            stream.get_extra_info("server_addr"),
            None if tls is None else tls.selected_alpn_protocol(),
            None if tls is None else tls.version(),
            engine,
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
