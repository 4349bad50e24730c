"""The connection pool's driver.

Who gets which connection is decided by `PoolPolicy`, a plain object. This file asks it under the
lock, and outside the lock does what it answered: dialling and waiting in `leasing`, closing and
waking in `upkeep`, another event loop or process in `contexts`.

How a request gets a connection and gives it back is in `leasing`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .._backends.auto import AutoBackend
from .._backends.base import AsyncNetworkBackend, AsyncResolver, SocketOption
from .._concurrency import AsyncEvent
from .._exceptions import PoolClosed, TransportError
from .._models import URL, Extensions, Headers, Response
from .._options import (
    DEFAULT_CONNECTION_WINDOW,
    DEFAULT_MAX_CONCURRENT_STREAMS,
    DEFAULT_MAX_HEADER_BYTES,
    DEFAULT_MAX_HEADER_COUNT,
    DEFAULT_PING_TIMEOUT,
    DEFAULT_STREAM_WINDOW,
    ConnectionOptions,
    HTTP2Options,
    PoolLimits,
)
from .._protocol.engine import choose_engine, require_http2
from .._protocol.pool import IDLE, PoolPolicy, PoolStats
from .._protocol.retry import Verdict, may_retry, refused_delay
from .connection import AsyncHTTPConnection
from .leasing import AsyncPoolLeasing
from .proxy import address_to_proxy, answer_challenge, load_proxy
from .transport import make_exchange

if TYPE_CHECKING:
    import ssl

    from .._proxy import ProxyTypes


class AsyncConnectionPool(AsyncPoolLeasing):
    """Keeps connections and lends them to requests.

    All limits are counts or seconds, None is no limit. `retries` repeats failed connection
    attempts, never a request. `uds` is the path of a unix domain socket to connect to in place of
    the URL's host; `resolver` maps a host and port to IP addresses; `socket_options` and
    `local_address` take effect before connecting. `http1_engine` parses the heads of responses:
    ``"h11"``, ``"httptools"``, or ``"auto"``, the latter where it is installed.

    `proxy` is a URL or a `Proxy` that all requests go through, unless their `proxy` extension says
    otherwise; the options above are for the connection to it then, but `ssl_context`, which is for
    origins. Of the limit per origin all connections on which it forwards are one origin's: its own.

    With `http2` (extra ``http2``) it is offered to servers over TLS, and used where they agree; an
    `ssl_context` of your own has to offer it itself, as it is never changed. Without `http1` it is
    required over TLS, and spoken to ``http`` origins without asking (RFC 9113, section 3.3). For
    the other HTTP/2 options see `HTTP2Options` in `_options`; windows are in bytes.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy: ProxyTypes | None = None,
        max_connections: int | None = 100,
        max_connections_per_origin: int | None = None,
        max_keepalive_connections: int | None = 20,
        keepalive_expiry: float | None = 5.0,
        max_connection_age: float | None = None,
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
        self._configuration = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        self._options = ConnectionOptions(
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
        if http2:
            require_http2()
        self._proxy = load_proxy(proxy)
        self._limits = PoolLimits(
            max_connections,
            max_connections_per_origin,
            max_keepalive_connections,
            keepalive_expiry,
            max_connection_age,
        )
        self._backend = network_backend or AutoBackend()
        # Holds the TLS sessions of the caller's context while no connection is open.
        self._sessions: object = None
        if ssl_context is not None:
            from .._tls import session_store

            self._sessions = session_store(ssl_context)
        self._policy = PoolPolicy(**self._limits.as_dict())
        self._now = self._backend.now
        super().__init__()  # last: from now on a fork finds a pool that is whole

    def __reduce__(self) -> tuple[Any, ...]:
        """A pool pickles and copies as its configuration: connections never travel."""
        return functools.partial(type(self), **self._configuration), ()

    # Requests

    async def handle_async_request(
        self, method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
    ) -> Response:
        """Send one request over a connection of the pool. Raises `TransportError`."""
        exchange = make_exchange(method, url, headers, stream, extensions)
        context = self._backend.context()
        if context is not self._context:
            self._enter(context)
        exchange.start_clock(self._now)
        proxy = exchange.proxy if exchange.chooses_proxy else self._proxy
        if proxy is not None:
            exchange.send_through(proxy, self._options.http1)
            if exchange.forwards:
                await address_to_proxy(exchange)
        while True:
            usual = self._policy.is_ready and exchange.trace is None and not exchange.retried
            slot = self._take_idle(exchange) if usual else None
            if slot is None:
                exchange.phase = "pool"
                acquire = self._acquire if exchange.trace is None else self._acquire_traced
                slot = await acquire(exchange)
            try:
                response: Response = await slot.connection.open_connection.handle(exchange)
                if not exchange.forwards or not await answer_challenge(exchange, response):
                    return response
                continue
            except TransportError as exc:
                verdict = may_retry(exc, exchange)
                delay = refused_delay(exchange) if verdict is Verdict.RETRY_REFUSED else 0.0
                if not verdict or exchange.expires_within(delay, self._now()):
                    raise
            exchange.rewind(self._now())
            if delay:
                await self._backend.sleep(delay)

    # Closing

    async def aclose(self, graceful: float | None = None) -> None:
        """Close the pool. Queued requests fail with `PoolClosed` at once; so do active ones, unless
        they end within `graceful` seconds. May be called again."""
        self._enter(self._backend.context())
        with self._lock:
            self._policy.close(lambda: PoolClosed("the pool was closed"))
        drained = AsyncEvent()
        try:
            if graceful:
                self._draining[drained] = None
            await self.settle()
            if graceful:
                await drained.wait(graceful)
        finally:
            self._draining.pop(drained, None)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            with self._lock:
                for slot in self._policy.slots():
                    self._policy.discard(slot, "pool closed")
            await self.settle()

    async def reap(self) -> None:
        """Close idle connections that have expired or whose peer has gone. In async code this
        happens by itself; in sync code here, and whenever a request is made."""
        self._enter(self._backend.context())
        with self._lock:
            self._policy.expire(self._backend.now())
            idle = [slot for slot in self._policy.slots() if slot.state == IDLE]
        for slot in idle:
            if slot.connection.open_connection.is_stale():
                self._discard_idle(slot)
        await self.settle()

    # Reading

    @property
    def http1_engine(self) -> str:
        """What parses the heads of HTTP/1.1 responses: ``"h11"`` or ``"httptools"``."""
        return self._options.http1_engine

    @property
    def connections(self) -> list[AsyncHTTPConnection]:
        """The connections there are, in the order in which they were made. A copy."""
        with self._lock:
            slots = self._policy.slots()
        self._reclaim()
        return [slot.connection for slot in slots if slot.connection is not None]

    def stats(self) -> PoolStats:
        """The pool's numbers at this moment, in all and per origin."""
        with self._lock:
            stats = self._policy.stats()
        self._reclaim()
        return stats

    def __repr__(self) -> str:
        stats = self.stats()
        with self._lock:
            requests = self._policy.request_count()
        active = stats.active + stats.connecting
        return (
            f"<{type(self).__name__} [Requests: {requests} active, {stats.queued} queued | "
            f"Connections: {active} active, {stats.idle} idle]>"
        )
