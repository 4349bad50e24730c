"""How a request gets a connection of the pool.

A request brings a `Waiter`; the policy gives the waiter a `Slot`, at once or later. A slot that is
CONNECTING must be dialled by the waiter that got it; in async code the dial runs in a task of its
own, so that it survives the request that started it if another one waits for the same origin. Those
who *ride* on a dial that was made for another request wait for what it turns out to be. A slot that
is ACTIVE has a connection ready for use. When the response is over, the connection calls
`released`, and the policy passes the slot on.
"""

from __future__ import annotations

from math import inf

from .._concurrency import AsyncEvent, is_held_here, spawn_async
from .._exceptions import (
    ConnectTimeout,
    PoolClosed,
    PoolTimeout,
    ReadTimeout,
    TimeoutException,
    TransportError,
)
from .._options import ConnectionOptions
from .._protocol.exchange import CLOCK_SLACK, Exchange
from .._protocol.pool import ACTIVE, CONNECTING, IDLE, Slot, Waiter
from .connection import AsyncHTTPConnection
from .contexts import AsyncPoolContexts


class AsyncPoolLeasing(AsyncPoolContexts):
    """The part of a pool that lends; its state is the pool's."""

    _options: ConnectionOptions

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
                    spawn_async(self.settle)
                exchange.reused = True
                return slot
        except BaseException:
            if slot is not None:
                with self._lock:
                    self._policy.discard(slot, "error")
                spawn_async(self.settle)
            raise
        with self._lock:
            self._policy.refuse(slot, self._now())
        return None

    async def _acquire_traced(self, exchange: Exchange) -> Slot:
        trace = exchange.trace
        info = {"origin": exchange.origin, "timeout": exchange.timeouts.pool}
        await trace.emit("pool.acquire.started", info)
        try:
            slot = await self._acquire(exchange)
        except Exception as exc:
            await trace.emit("pool.acquire.failed", {"exception": exc})
            raise
        value = {
            "queued": exchange.queued,
            "reused": exchange.reused,
            "connection_id": slot.connection.id,
        }
        try:
            await trace.emit("pool.acquire.complete", {"return_value": value})
        except BaseException:
            with self._lock:
                self._policy.return_unused(slot, self._now())
            self._rest(slot)
            await self.settle()
            raise
        return slot

    async def _acquire(self, exchange: Exchange) -> Slot:
        """A slot with a connection that is ready for the request."""
        if is_held_here(self._lock):
            raise self._interrupted()
        started = now = self._now()
        has_queued = False
        may_share = not exchange.http1_only and self._options.may_be_http2(exchange.origin.scheme)
        while True:
            # Who has queued, and got a connection that is dead, has had his turn and lost it.
            fresh = exchange.retried or has_queued
            since = exchange.retried_at if exchange.retried else now
            waiter = Waiter(exchange.key, fresh=fresh, since=since, may_share=may_share)
            try:
                with self._lock:
                    self._policy.acquire(waiter, now)
                    if waiter.slot is None or waiter.rides or waiter.slot.state == CONNECTING:
                        waiter.event = AsyncEvent()
                if self._policy.closing or self._policy.wake or self._dropped:
                    await self.settle()
                if waiter.slot is None and waiter.error is None:
                    await self._queue(waiter, exchange, started)
                slot = waiter.slot
                if slot is None or slot.state != ACTIVE or waiter.rides:
                    slot = await self._wait_for_slot(waiter, exchange, started)
                if slot is None:  # it ended before we could have it
                    now = self._now()
                    with self._lock:
                        self._policy.cancel(waiter, now)
                    continue
                exchange.reused = waiter.reused
                if not waiter.reused or slot.connection.open_connection.begin_use():
                    return slot
            except BaseException as exc:
                given = waiter.slot
                with self._lock:
                    self._policy.cancel(waiter, self._now())
                if given is not None:
                    self._rest(given)
                    self._hand_over_dial(given, exchange)
                await self.settle()
                if isinstance(exc, TransportError):
                    exc.located(str(exchange.origin), exchange.phase)
                raise
            has_queued = waiter.event is not None
            now = self._now()
            with self._lock:  # the server has closed it, or says something nobody asked for
                self._policy.refuse(slot, now)

    async def _wait_for_slot(
        self, waiter: Waiter, exchange: Exchange, started: float
    ) -> Slot | None:
        dial_deadline = None
        while waiter.error is None:
            slot = waiter.slot
            if slot is None:
                await self._queue(waiter, exchange, started)
            elif waiter.rides or slot.adopted:
                if dial_deadline is None and exchange.timeouts.connect is not None:
                    dial_deadline = self._now() + exchange.timeouts.connect
                await self._share_dial(waiter, exchange, dial_deadline)
            elif slot.state == ACTIVE:
                return slot
            elif slot.state == CONNECTING:
                await self._dial(slot, waiter, exchange)
            elif self._policy.is_closed:
                raise PoolClosed("the pool was closed meanwhile")
            else:
                return None
        raise waiter.take_error()

    async def _queue(self, waiter: Waiter, exchange: Exchange, started: float) -> None:
        """Wait in line for a slot, for as long as `pool` allows."""
        limit = exchange.timeouts.pool
        now = self._now()
        left = None if limit is None else started + limit - now
        if exchange.deadline is not None:
            left = 0.0 if now >= exchange.deadline else exchange.budget(left, now)
        is_set = await self._line.wait(waiter.event, left)
        now = self._now()
        exchange.queued = now - started
        if is_set and waiter.slot is None:
            with self._lock:
                if waiter.slot is None and waiter.error is None:
                    waiter.event = AsyncEvent()  # it was set for what he waited for before
        if is_set or waiter.error is not None:
            return
        with self._lock:
            if waiter.slot is not None and not self._is_sharing(waiter):
                return  # it came at the last instant
            text = self._policy.describe(waiter.key)
        exchange.phase = "pool"
        exc = self._timed_out(PoolTimeout(text), limit, exchange)
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
            exchange.peer, self._options, self._backend, self._now, exchange.proxy
        )
        connection.forwards = exchange.forwards
        connection.offers_http2 = not exchange.http1_only
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

    async def _share_dial(self, waiter: Waiter, exchange: Exchange, deadline: float | None) -> None:
        """Wait for a dial that another request began, as long as our own `connect` allows; and
        where the connection is open, but not known how much it takes, as `pool` does, too."""
        pool_limit = exchange.timeouts.pool
        exchange.phase = "connect"
        with self._lock:
            if not self._is_sharing(waiter):
                return
            waiter.event = event = AsyncEvent()
            slot = waiter.slot
            assert slot is not None
            opened = slot.connection.open_connection if slot.opened else None
        if opened and pool_limit is not None and slot.created_at + pool_limit < (deadline or inf):
            deadline = slot.created_at + pool_limit
            exchange.phase = "pool"
        now = self._now()
        budget = None if deadline is None else max(deadline - now, 0.0)
        try:
            budget = exchange.budget(budget, now)
        except TimeoutException as exc:
            exchange.explain(exc, None, now)
            raise
        if opened is None or opened.protocol.has_settings or opened.protocol.is_closed:
            is_set = await event.wait(budget)  # the pool knows, or is about to be told
        else:  # who uses it may be busy with something else than reading
            is_set = True
            try:
                await opened.await_settings(None if budget is None else now + budget)
            except ReadTimeout:
                is_set = False
        with self._lock:
            if is_set or not self._is_sharing(waiter):
                return
            text = self._policy.describe(waiter.key)
        if exchange.phase == "pool":
            raise self._timed_out(PoolTimeout(text), pool_limit, exchange)
        text = "a connection that was begun before was not made in time"
        raise self._timed_out(ConnectTimeout(text), exchange.timeouts.connect, exchange)

    def _timed_out(
        self, error: TimeoutException, limit: float | None, exchange: Exchange
    ) -> TimeoutException:
        exchange.explain(error, limit, self._now())
        return error

    @staticmethod
    def _is_sharing(waiter: Waiter) -> bool:
        slot = waiter.slot
        return slot is not None and (waiter.rides or (slot.adopted and slot.waiter is waiter))

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
                self._policy.connected(slot, self._now(), shared=connection.is_http2)
            self._rest(slot)
        await self.settle()

    # Giving back

    def released(self, slot: Slot, reusable: bool, keep_alive_timeout: int | None = None) -> bool:
        """The response on the slot's connection is over. The server may have said for how many
        seconds it keeps the idle connection open. Whether anything is left for `settle`."""
        if is_held_here(self._lock):  # closed by a finaliser
            if not slot.shared:
                slot.connection.shut_at_once("dropped")
            self._dropped.append(slot)
            return False
        with self._lock:
            self._policy.release(
                slot, self._now(), reusable=reusable, keepalive_timeout=keep_alive_timeout
            )
            waiters = self._policy.take_wake() if self._policy.wake else ()
        for waiter in waiters:
            waiter.event.set()
        if slot.state == IDLE:
            self._rest(slot)
        return bool(self._policy.closing or self._dropped or self._draining)
