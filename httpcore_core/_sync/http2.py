"""The driver of one HTTP/2 connection.

Many exchanges at a time (`http2_exchange`) on one wire (`http2_wire`). What any frame means is
decided by the protocol object; this file keeps the connection's life: who may open a stream, what
becomes of a stream that is done with, what the pool is told.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from typing import Any

from .._backends.base import NetworkStream
from .._concurrency import Lock, is_held_here, shielded
from .._exceptions import (
    LocalProtocolError,
    PoolClosed,
    ReadError,
    RemoteProtocolError,
    TransportError,
)
from .._models import NO_TERMS, URL, Extensions, Headers, Origin, Response
from .._options import (
    DEFAULT_CONNECTION_WINDOW,
    DEFAULT_MAX_CONCURRENT_STREAMS,
    DEFAULT_MAX_HEADER_BYTES,
    DEFAULT_MAX_HEADER_COUNT,
    DEFAULT_PING_TIMEOUT,
    DEFAULT_STREAM_WINDOW,
    HTTP2Options,
)
from .._protocol.exchange import Exchange
from .._protocol.http2 import HTTP2Protocol, HTTP2Stream
from .._protocol.http2_keepalive import KeepAlive
from .http2_exchange import HTTP2Exchange
from .http2_wire import HTTP2Wire
from .transport import Transport, make_exchange


class HTTP2Connection(HTTP2Wire, Transport):
    """HTTP/2 over an open stream (RFC 9113). Serves many requests at a time, as many as the server
    allows and not more than `http2_max_concurrent_streams`. The options are those of a pool."""

    __slots__ = (
        "__weakref__",
        "_dropped",
        "_is_started",
        "_is_watchable",
        "_is_watched",
        "falls_back",
        "id",
        "is_pooled",
        "local_address",
        "origin",
        "reason_closed",
        "remote_address",
        "request_count",
        "slot",
        "terms",
    )

    def __init__(
        self,
        origin: Origin,
        stream: NetworkStream,
        *,
        max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES,
        max_header_count: int = DEFAULT_MAX_HEADER_COUNT,
        http2_stream_window: int = DEFAULT_STREAM_WINDOW,
        http2_connection_window: int = DEFAULT_CONNECTION_WINDOW,
        http2_max_concurrent_streams: int = DEFAULT_MAX_CONCURRENT_STREAMS,
        http2_ping_interval: float | None = None,
        http2_ping_timeout: float = DEFAULT_PING_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = HTTP2Options(
            http2_stream_window,
            http2_connection_window,
            http2_max_concurrent_streams,
            max_header_bytes,
            max_header_count,
            ping_interval=http2_ping_interval,
            ping_timeout=http2_ping_timeout,
        )
        self._init(origin, stream, options, clock)

    def _init(
        self,
        origin: Origin,
        stream: NetworkStream,
        options: HTTP2Options,
        clock: Callable[[], float],
    ) -> None:
        interval = options.ping_interval
        keepalive = None
        if interval is not None:
            keepalive = KeepAlive(interval, options.ping_timeout, clock())
        protocol = HTTP2Protocol(options)
        protocol.start()  # whatever is written first, the preface comes before it
        super().__init__(stream, protocol, keepalive, clock)
        self.origin = origin
        self.request_count = 0
        self.reason_closed: str | None = None
        self.is_pooled = False
        self.falls_back = False  # the pool may ask the server for HTTP/1.1 instead
        # What its owner knows of it.
        self.id: int | None = None
        self.local_address: Any = None
        self.remote_address: Any = None
        self.terms = NO_TERMS
        self.slot: Any = None  # where its pool has it
        self._is_started = False
        self._is_watchable = True  # until the stream says otherwise
        self._is_watched = False
        self._dropped: collections.deque[HTTP2Stream] = collections.deque()

    @classmethod
    def made_by_pool(
        cls,
        origin: Origin,
        stream: NetworkStream,
        options: HTTP2Options,
        clock: Callable[[], float],
    ) -> HTTP2Connection:
        """A connection with options that were checked before."""
        connection = cls.__new__(cls)
        connection._init(origin, stream, options, clock)
        connection.is_pooled = True
        return connection

    # The transport API

    def handle_request(
        self, method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
    ) -> Response:
        """Send one request. Raises `LocalProtocolError` if no stream can be opened."""
        exchange = make_exchange(method, url, headers, stream, extensions)
        exchange.check_origin(self.origin)
        exchange.start_clock(self.clock)
        return self.handle(exchange)

    def handle(self, exchange: Exchange) -> Response:
        """Send a checked request and return its response, with the body still to be read."""
        exchange.phase = "send"
        request = None
        try:
            if not self._is_started or exchange.plan.protocol is not None:
                self._prepare(exchange)
            request = HTTP2Exchange(self, exchange)
            return request.run()
        except BaseException as exc:
            if request is not None:
                request.abandon(exc)
            else:
                self._give_back()
                self.explain(exc, exchange)
            raise

    def _prepare(self, exchange: Exchange) -> None:
        """Tell the trace of the preface, and learn what the server can do if that has to be known;
        otherwise the preface leaves with the first request."""
        is_first = not self._is_started
        self._is_started = True
        limit, deadline = exchange.timeouts.write, exchange.deadline
        if is_first and exchange.trace is not None:
            info = {"stream": self._stream}
            name = "http2.send_connection_init"
            exchange.trace.run(name, info, self.flush, limit, deadline)
        if exchange.plan.protocol is not None and not self.protocol.has_settings:
            self.flush(limit, deadline)
            exchange.phase = "receive headers"
            limit = exchange.timeouts.read
            due = None if limit is None else self.clock() + limit
            if due is None or (deadline is not None and deadline < due):
                due = deadline
            self.await_settings(due)
            exchange.phase = "send"

    def await_settings(self, due: float | None) -> None:
        """Wait for the server's first SETTINGS, or the end. Raises `ReadTimeout` when it is due."""
        while True:
            with self.lock:
                if self.protocol.has_settings or self.protocol.is_closed:
                    break
                turn = self.join(None)
            self.wait(turn, due)

    def open(self, exchange: Exchange) -> HTTP2Stream:
        """Open a stream, and queue the head of the request."""
        with self.lock:
            self._close_dropped()
            if self.reason_closed is None and self.protocol.capacity:
                stream = self.protocol.open_stream(exchange.plan, exchange.plan.protocol)
                self.request_count += 1
                return stream
        raise self._unavailable(exchange)

    def _unavailable(self, exchange: Exchange) -> TransportError:
        if self.reason_closed == "pool closed":
            return PoolClosed("the pool was closed meanwhile")
        if not self.is_pooled:
            state = self.reason_closed or "not ready for another request"
            return LocalProtocolError(f"the connection is {state}")
        exchange.refused = True  # something has come between, and nothing was sent
        self.on_limit()
        return RemoteProtocolError("the server takes no more requests on this connection")

    def describe(self, stream: HTTP2Stream) -> dict[str, Any]:
        """The `connection` extension: plain values, which outlive the connection."""
        alpn, tls, proxy = self.terms
        count = (stream.id + 1) // 2
        return {
            "id": self.id,
            "local_address": self.local_address,
            "remote_address": self.remote_address,
            "alpn": alpn,
            "tls_version": tls,
            "proxy": proxy,
            "reused": count > 1,
            "request_number": count,
        }

    def explain(self, exc: BaseException, exchange: Exchange) -> None:
        """Complete an error on its way out."""
        if isinstance(exc, TransportError):
            is_read = exchange.phase.startswith("receive")
            limit = exchange.timeouts.read if is_read else exchange.timeouts.write
            exchange.explain(exc, limit, self.clock())

    def close(self) -> None:
        """Close the connection, whatever it is doing."""
        self.shut("closed")

    # The end of a stream

    def release(self, stream: HTTP2Stream) -> None:
        """The caller is done with a stream."""
        if is_held_here(self.lock):  # closed by a finaliser, in the middle of our own code
            self._dropped.append(stream)
        else:
            with self.lock:
                self._close_dropped()
                self.protocol.close_stream(stream)
                waiters = self.let_go(stream)
                has_output = self.protocol.has_data_to_send
            for waiter in waiters:
                waiter.set()
            if has_output:
                self.write_soon()
        self._give_back()

    def _give_back(self) -> None:
        slot = self.slot  # another thread may close the pool meanwhile
        if slot is not None:
            if slot.pool.released(slot, not self.protocol.is_closed):
                slot.pool.settle()
        elif self.protocol.is_retiring and not self.protocol.open_streams:
            self.shut("retired")

    def drop(self, stream: HTTP2Stream) -> None:
        """Called by the finaliser of a response that nobody closed: no waiting, no locks. The reset
        leaves with whatever is written next."""
        self._dropped.append(stream)
        if not is_held_here(self.lock) and self.lock.acquire(blocking=False):
            try:
                self._close_dropped()
            finally:
                self.lock.release()
        slot = self.slot
        if slot is not None:
            slot.pool.on_dropped(slot)

    def _close_dropped(self) -> None:
        while self._dropped:
            self.protocol.close_stream(self._dropped.popleft())

    # What the pool is told

    def on_limit(self) -> None:
        slot, protocol = self.slot, self.protocol
        self._limit = protocol.stream_limit
        if slot is not None and protocol.is_retiring:
            slot.pool.on_retired(slot, "retired by the server")
        elif slot is not None:
            slot.pool.on_limit(slot, protocol)

    def on_end(self) -> None:
        slot = self.slot
        if slot is not None:
            reason = "peer closed" if self.protocol.error is None else "error"
            slot.pool.on_ended(slot, reason)
        else:
            self.shut_at_once("peer closed" if self.protocol.error is None else "error")

    # Closing

    def detach(self) -> None:
        """The pool has no more to do with this connection."""
        self.slot = None

    def shut(self, reason: str) -> None:
        """Close the stream, now; the first reason counts. May be called again."""
        if not self.shut_at_once(reason):
            shielded(self._stream.close)

    def shut_at_once(self, reason: str) -> bool:
        """`shut` without waiting; false where that cannot be done."""
        if self.reason_closed is None:
            self.reason_closed = reason
        goodbye = b""
        with self.lock:
            protocol = self.protocol
            is_busy = bool(protocol.open_streams)
            if not (self._is_writing or self._out):
                protocol.shutdown()
                goodbye = protocol.data_to_send()
                self._is_writing = bool(goodbye)
        if goodbye:
            self._stream.write_nowait(goodbye)
            self._is_writing = False
        if self.reason_closed == "pool closed":
            self.lost(PoolClosed("the pool was closed meanwhile"))
        else:
            self.lost(ReadError("the connection was closed"))
        return self._stream.abort() if is_busy else self._stream.close_nowait()

    def forget(self) -> None:
        """Let go of the stream in another event loop or process, without touching it."""
        self.reason_closed = "forgotten"
        self.lock = Lock()  # another thread, which a forked child does not have, may hold it
        self._stream.forget()

    # What the pool and its readers ask

    @property
    def network_stream(self) -> NetworkStream:
        return self._stream

    def is_idle(self) -> bool:
        return not self.protocol.open_streams and not self.is_closed()

    def is_available(self) -> bool:
        return self.reason_closed is None and self.protocol.capacity > 0

    def is_closed(self) -> bool:
        return self.reason_closed is not None or self.protocol.is_closed

    def begin_use(self) -> bool:
        """Called before the connection is used again; false if it cannot be."""
        if self._is_watched:
            self._is_watched = False
            self._stream.watch(None)
        if not self.protocol.open_streams:
            self.pull()
        return self.reason_closed is None and not self.protocol.is_retiring

    def end_use(self) -> None:
        """Called when the connection becomes idle: watch it, where the stream can be watched."""
        if self._is_watchable:
            self._is_watched = self._is_watchable = self._stream.watch(self._on_arrival)

    def _on_arrival(self) -> None:
        """Something has arrived at the idle connection: a PING, a GOAWAY, its end."""
        self._is_watched = False
        if self.is_idle():
            self.pull()
            if self.is_idle() and not self.protocol.is_retiring:
                self.end_use()

    def is_stale(self) -> bool:
        """Whether the server has closed the idle connection, or is about to."""
        self.pull()
        return self.protocol.is_retiring

    def info(self) -> str:
        state = "CLOSED" if self.is_closed() else "IDLE" if self.is_idle() else "ACTIVE"
        return f"'{self.origin}', HTTP/2, {state}, Request Count: {self.request_count}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.info()}]>"
