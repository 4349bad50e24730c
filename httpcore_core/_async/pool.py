"""The connection pool's driver.

Who gets which connection is decided by `PoolPolicy`, a plain object. This file asks it under the
lock, and outside the lock does what it answered: dialling and waiting are here, closing and waking
in `upkeep`, another event loop or process in `contexts`.

How a connection changes hands. A request brings a `Waiter`; the policy gives the waiter a `Slot`,
at once or later. A slot that is CONNECTING must be dialled by the waiter that got it; in async code
the dial runs in a task of its own, so that it survives the request that started it if another one
waits for the same origin. A slot that is ACTIVE has a connection ready for use. When the response
is over, the connection calls `_released`, and the policy passes the slot on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .._backends.auto import AutoBackend
from .._backends.base import AsyncNetworkBackend, AsyncResolver, SocketOption
from .._concurrency import AsyncEvent, is_held_here, spawn_async
from .._exceptions import ConnectTimeout, PoolClosed, PoolTimeout, TransportError
from .._models import URL, Extensions, Headers, Response
from .._options import (
    DEFAULT_MAX_HEADER_BYTES,
    DEFAULT_MAX_HEADER_COUNT,
    ConnectionOptions,
    PoolLimits,
)
from .._protocol.engine import choose_engine
from .._protocol.exchange import CLOCK_SLACK, Exchange
from .._protocol.pool import ACTIVE, CONNECTING, IDLE, PoolPolicy, PoolStats, Slot, Waiter
from .._protocol.retry import may_retry
from .connection import AsyncHTTPConnection
from .contexts import AsyncPoolContexts
from .http11 import AsyncHTTP11Connection
from .transport import make_exchange

if TYPE_CHECKING:
    import ssl


class AsyncConnectionPool(AsyncPoolContexts):
    """Keeps connections and lends them to requests.

    All limits are counts or seconds, None is no limit. `retries` repeats failed connection
    attempts, never a request. `uds` is the path of a unix domain socket to connect to in place of
    the URL's host; `resolver` maps a host and port to IP addresses; `socket_options` and
    `local_address` take effect before connecting. `http1_engine` parses the heads of responses:
    ``"h11"``, ``"httptools"``, or ``"auto"``, the latter where it is installed.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
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
        network_backend: AsyncNetworkBackend | None = None,
    ) -> None:
        super().__init__()
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
        )
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
        while True:
            usual = self._policy.idle and exchange.trace is None and not exchange.retried
            slot = self._take_idle(exchange) if usual else None
            if slot is None:
                slot = await self._acquire_traced(exchange)
            connection: AsyncHTTP11Connection = slot.connection.open_connection
            try:
                return await connection.handle(exchange)
            except TransportError as exc:
                has_bytes = connection.has_response_bytes
                if not may_retry(
                    exc, reused=slot.reused, has_response_bytes=has_bytes, exchange=exchange
                ):
                    raise
            exchange.rewind()

    def _take_idle(self, exchange: Exchange) -> Slot | None:
        """The short way to a connection: an idle one. The rest is left to `_acquire`."""
        if is_held_here(self._lock):
            raise self._interrupted()
        slot = None
        try:
            with self._lock:
                slot = self._policy.take_idle(exchange.key, self._now())
            if slot is None or slot.connection.open_connection.begin_use():
                if self._policy.closing:  # others have expired
                    spawn_async(self._settle)
                return slot
        except BaseException:
            if slot is not None:
                with self._lock:
                    self._policy.discard(slot, "error")
                spawn_async(self._settle)
            raise
        with self._lock:
            self._policy.discard(slot, "stale")
        return None

    async def _acquire_traced(self, exchange: Exchange) -> Slot:
        exchange.phase = "pool"
        trace = exchange.trace
        if trace is None:
            return await self._acquire(exchange)
        info = {"origin": exchange.origin, "timeout": exchange.timeouts.pool}
        await trace.emit("pool.acquire.started", info)
        try:
            slot = await self._acquire(exchange)
        except Exception as exc:
            await trace.emit("pool.acquire.failed", {"exception": exc})
            raise
        value = {
            "queued": exchange.queued,
            "reused": slot.reused,
            "connection_id": slot.connection.id,
        }
        try:
            await trace.emit("pool.acquire.complete", {"return_value": value})
        except BaseException:
            await self.released(slot, True)
            raise
        return slot

    async def _acquire(self, exchange: Exchange) -> Slot:
        """A slot with a connection that is ready for the request."""
        if is_held_here(self._lock):
            raise self._interrupted()
        started = now = self._now()
        has_queued = False
        while True:
            # Who has queued, and got a connection that is dead, has had his turn and lost it.
            waiter = Waiter(exchange.key, fresh=exchange.retried or has_queued)
            try:
                with self._lock:
                    self._policy.acquire(waiter, now)
                    if waiter.slot is None or waiter.slot.state == CONNECTING:
                        waiter.event = AsyncEvent()
                slot = await self._wait_for_slot(waiter, exchange, started)
                if not slot.reused or slot.connection.open_connection.begin_use():
                    return slot
            except BaseException as exc:
                given = waiter.slot
                with self._lock:
                    self._policy.cancel(waiter, self._now())
                if given is not None:
                    self._rest(given)
                    self._hand_over_dial(given, exchange)
                await self._settle()
                if isinstance(exc, TransportError):
                    exc.located(str(exchange.origin), exchange.phase)
                raise
            has_queued = waiter.event is not None
            with self._lock:  # the server has closed it, or says something nobody asked for
                self._policy.discard(slot, "stale")
            now = self._now()

    async def _wait_for_slot(self, waiter: Waiter, exchange: Exchange, started: float) -> Slot:
        if self._policy.closing or self._policy.wake or self._dropped:
            await self._settle()
        while waiter.error is None:
            slot = waiter.slot
            if slot is None:
                await self._queue(waiter, exchange, started)
            elif slot.adopted:
                await self._share_dial(slot, waiter, exchange)
            elif slot.state == ACTIVE:
                return slot
            elif slot.state == CONNECTING:
                await self._dial(slot, waiter, exchange)
            else:
                raise PoolClosed("the pool was closed meanwhile")
        raise waiter.take_error()

    async def _queue(self, waiter: Waiter, exchange: Exchange, started: float) -> None:
        """Wait in line for a slot, for as long as `pool` allows."""
        limit = exchange.timeouts.pool
        now = self._now()
        left = None if limit is None else max(started + limit - now, 0.0)
        if exchange.expires_within(0.0, now):
            left = 0.0
        elif exchange.deadline is not None:
            left = exchange.budget(left, now)
        is_set = await waiter.event.wait(left)
        now = self._now()
        exchange.queued = now - started
        if is_set or waiter.error is not None:
            return
        with self._lock:
            if waiter.slot is not None and not waiter.slot.adopted:
                return  # it came at the last instant
            text = self._policy.describe(waiter.key)
        exc = PoolTimeout(text)
        exchange.phase = "pool"
        exchange.explain(exc, limit, now)
        if exchange.expires_within(CLOCK_SLACK, now):
            exc.message = f"the total deadline passed while {text}"
        try:
            raise exc
        finally:
            del exc  # its traceback has this frame: no cycle

    # Dialling

    async def _dial(self, slot: Slot, waiter: Waiter, exchange: Exchange) -> None:
        """Open a connection in the waiter's slot, in the background, and wait for it."""
        connection = AsyncHTTPConnection.made_by_pool(
            exchange.origin, self._options, self._backend, self._now
        )
        connection.slot = slot
        with self._lock:
            if waiter.slot is not slot:
                return  # given up meanwhile, by another thread that closes the pool
            waiter.event = event = AsyncEvent()
            slot.connection = connection
            slot.dialing = True
        connection.dial = spawn_async(self._connect, slot, exchange)
        await event.wait(None)
        if connection.open_connection is not None:
            connection.dial = None

    def _hand_over_dial(self, slot: Slot, exchange: Exchange) -> None:
        """A request gave up; if another one has taken over its dial, tell that one."""
        with self._lock:
            heir = slot.waiter if slot.adopted else None
        if heir is not None:
            exchange.trace = None  # the dial's further steps are not this request's any more
            heir.event.set()

    async def _share_dial(self, slot: Slot, waiter: Waiter, exchange: Exchange) -> None:
        """Wait for a dial that another request began, as long as our own `connect` allows."""
        with self._lock:
            if not slot.adopted:
                return
            waiter.event = event = AsyncEvent()
        exchange.phase = "connect"
        limit = exchange.timeouts.connect
        if not await event.wait(exchange.budget(limit, self._now())) and slot.adopted:
            error = ConnectTimeout("a connection that was begun before was not made in time")
            exchange.explain(error, limit, self._now())
            raise error

    async def _connect(self, slot: Slot, exchange: Exchange) -> None:
        """The dial. Its outcome goes to whoever the slot belongs to by then."""
        connection: AsyncHTTPConnection = slot.connection
        try:
            await connection.connect(exchange)
        except Exception as exc:
            with self._lock:
                self._policy.dial_failed(slot, exc)
            connection.slot = None
        except BaseException:
            with self._lock:
                self._policy.dial_failed(slot, PoolClosed("the connection attempt was cancelled"))
            connection.slot = None
            self._wake()
            raise
        else:
            opened = connection.open_connection
            assert opened is not None
            slot.pool = self
            opened.slot = slot
            with self._lock:
                self._policy.connected(slot, self._now())
            self._rest(slot)
        await self._settle()

    # Giving back

    async def released(self, slot: Slot, reusable: bool) -> None:
        """The response on the slot's connection is over."""
        if is_held_here(self._lock):  # closed by a finaliser
            slot.connection.shut_at_once("dropped")
            self._dropped.append(slot)
            return
        timeout = slot.connection.open_connection.keep_alive_timeout if reusable else None
        with self._lock:
            self._policy.release(slot, self._now(), reusable=reusable, keepalive_timeout=timeout)
            waiters = self._policy.take_wake() if self._policy.wake else ()
        for waiter in waiters:
            waiter.event.set()
        if slot.state == IDLE:
            self._rest(slot)
        if self._policy.closing or self._dropped or self._draining:
            await self._settle()

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
            await self._settle()
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
            await self._settle()

    async def reap(self) -> None:
        """Close idle connections that have expired or whose peer has gone. In async code this
        happens by itself; in sync code here, and whenever a request is made."""
        self._enter(self._backend.context())
        with self._lock:
            self._policy.expire(self._backend.now())
            for slot in self._policy.slots():
                if slot.state == IDLE and slot.connection.open_connection.is_stale():
                    self._policy.discard(slot, "peer closed")
        await self._settle()

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
        active = stats.active + stats.connecting
        return (
            f"<{type(self).__name__} [Requests: {active} active, {stats.queued} queued | "
            f"Connections: {active} active, {stats.idle} idle]>"
        )
