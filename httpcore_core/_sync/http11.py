"""The driver of one HTTP/1.1 connection.

One exchange at a time: send the request, receive the head (both in `messages`), hand out the body.
What any of it means is decided by the protocol object; this file keeps the exchange's life, and
sees to it that whatever happens the stream is either ready for the next one or closed.

Cancellation: an exchange that ends in any other way than complete closes the stream without
waiting (`_abandon`), so nothing can be cancelled half-way through the clean-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .._backends.base import NetworkStream
from .._concurrency import shielded
from .._exceptions import LocalProtocolError, PoolClosed, TransportError
from .._models import NO_TERMS, URL, Extensions, Headers, Origin, Response
from .._options import DEFAULT_MAX_HEADER_BYTES, DEFAULT_MAX_HEADER_COUNT
from .._protocol.engine import choose_engine
from .._protocol.events import END, NEED_DATA, ResponseHead
from .._protocol.exchange import Exchange
from .._protocol.http11 import protocol_maker
from .body import ResponseStream, TunnelStream
from .messages import HTTP11Messages
from .transport import Transport, make_exchange

DRAIN_SIZE = 64 * 1024
DRAIN_SECONDS = 0.05
"""How much of an unread body, and for how long, is read so that the connection can be kept. Go's
net/http drains 256 KiB in 50 ms."""

_new_tuple = tuple.__new__


class HTTP11Connection(HTTP11Messages, Transport):
    """HTTP/1.1 over an open stream (RFC 9112). Serves one request at a time."""

    protocol_name = "http11"

    __slots__ = (
        "__weakref__",
        "_exchange",
        "_is_watchable",
        "_is_watched",
        "_new_protocol",
        "http1_engine",
        "id",
        "is_handed_over",
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
        http1_engine: str = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin = origin
        self.request_count = 0
        self.reason_closed: str | None = None
        self.http1_engine = choose_engine(http1_engine)[0]
        # What its owner knows of it.
        self.id: int | None = None
        self.local_address: Any = None
        self.remote_address: Any = None
        self.terms = NO_TERMS
        self.slot: Any = None  # where its pool has it
        self.is_handed_over = False  # the stream has left HTTP: 101, or 2xx to CONNECT
        self._is_watchable = True  # until the stream says otherwise
        self._is_watched = False
        self._stream = stream
        self._clock = clock
        self._new_protocol = protocol_maker(self.http1_engine, max_header_bytes, max_header_count)
        self._is_cut_short = False
        self._exchange: Exchange | None = None  # the one in progress

    # The transport API

    def handle_request(
        self, method: bytes, url: URL, headers: Headers, stream: Any, extensions: Extensions
    ) -> Response:
        """Send one request. Raises `LocalProtocolError` while another is in progress."""
        exchange = make_exchange(method, url, headers, stream, extensions)
        exchange.check_origin(self.origin)
        exchange.start_clock(self._clock)
        return self.handle(exchange)

    def handle(self, exchange: Exchange) -> Response:
        """Send a checked request and return its response, with the body still to be read."""
        if self._exchange is not None or self.reason_closed is not None:
            if self.reason_closed == "pool closed":
                raise self._pool_closed(exchange)
            state = self.reason_closed or "busy with another request"
            raise LocalProtocolError(f"the connection is {state}", origin=str(self.origin))
        self._exchange = exchange
        self.request_count += 1
        exchange.phase = "send"
        try:
            exchange.protocol = protocol = self._new_protocol()
            if exchange.plan.protocol is not None:
                raise LocalProtocolError("an extended CONNECT needs HTTP/2 (RFC 8441)")
            first = protocol.start(exchange.plan)
            if exchange.trace is not None:
                head = self._exchange_traced(exchange, first)
            else:
                self._write(exchange, first)
                if not protocol.request_complete:
                    self._send_body(exchange)
                head = self._receive_head(exchange)
            return self._response(exchange, head)
        except BaseException as exc:
            self._abandon(exchange, exc)
            raise

    def _exchange_traced(self, exchange: Exchange, first: bytes) -> ResponseHead:
        run, info = exchange.trace.run, {"request": exchange.request}
        run("http11.send_request_headers", info, self._write, exchange, first)
        run("http11.send_request_body", info, self._send_body, exchange)
        head: ResponseHead = run(
            "http11.receive_response_headers", info, self._receive_head, exchange
        )
        return head

    def _response(self, exchange: Exchange, head: ResponseHead) -> Response:
        alpn, tls, proxy = self.terms
        connection = {
            "id": self.id,
            "local_address": self.local_address,
            "remote_address": self.remote_address,
            "alpn": alpn,
            "tls_version": tls,
            "proxy": proxy,
            "http1_engine": self.http1_engine,
            "reused": self.request_count > 1,
            "request_number": self.request_count,
        }
        extensions: Extensions = {
            "http_version": head.http_version,
            "reason_phrase": head.reason,
            "network_stream": self._stream,
            "connection": connection,
        }
        if exchange.protocol.switched:
            self.is_handed_over = True
            # Whoever holds the stream holds the response; the body must not hold both in a cycle.
            body = ResponseStream(self, exchange, {})
            leftover = exchange.protocol.leftover()
            tunnel = TunnelStream(self._stream, leftover, self, body)
            extensions["network_stream"] = tunnel
        else:
            body = ResponseStream(self, exchange, extensions)
        # A named tuple's own constructor costs twice as much.
        return _new_tuple(Response, (head.status, head.headers, body, extensions))

    def close(self) -> None:
        """Close the connection, whatever it is doing."""
        self.shut("closed")

    # The body

    def take_body(self, exchange: Exchange) -> bytes | None:
        """The whole body, where nothing of it is left to wait for and its length was known."""
        return exchange.protocol.whole_body() if self._exchange is exchange else None

    def receive_body(self, exchange: Exchange) -> bytes:
        """The next piece of the body; ``b""`` at its end, when the exchange is over."""
        exchange.phase = "receive body"
        protocol = exchange.protocol
        try:
            event = protocol.next_event()
            while event is NEED_DATA:
                budget = exchange.timeouts.read
                if exchange.deadline is not None:
                    budget = exchange.budget(budget, self._clock())
                event = protocol.receive(self._stream.read(protocol.read_size, budget))
            if event is END:
                return b""
            assert isinstance(event, bytes)
            return event
        except BaseException as exc:
            self._abandon(exchange, exc)
            raise

    # The end of an exchange

    def finish(self, exchange: Exchange) -> None:
        """The response is done with, read or not: keep the connection, or close it."""
        if self._exchange is not exchange:
            return
        protocol = exchange.protocol
        if protocol.keep_alive and not self._is_cut_short:
            self._exchange = None
            self._give_back(True, protocol.keep_alive_timeout)
        elif protocol.switched or protocol.response_complete:
            self._release(exchange)
        elif self._drain(exchange):
            self.finish(exchange)

    @staticmethod
    def may_be_kept(exchange: Exchange) -> bool:
        """Whether closing the response may leave a connection that can be used."""
        return exchange.protocol.keep_alive or exchange.protocol.may_drain(DRAIN_SIZE)

    def _drain(self, exchange: Exchange) -> bool:
        """Read a short rest of an unread body (P9); false if the connection was closed instead."""
        protocol = exchange.protocol
        deadline = self._clock() + DRAIN_SECONDS
        left = DRAIN_SIZE
        try:
            while protocol.may_drain(left):
                event = protocol.next_event()
                if event is END:
                    return True
                if event is NEED_DATA:
                    budget = max(deadline - self._clock(), 0.0)
                    size = min(protocol.read_size, left + 1)
                    protocol.receive_data(self._stream.read(size, budget))
                elif isinstance(event, bytes):
                    left -= len(event)
        except TransportError:
            pass  # it was not wanted any more
        except BaseException as exc:
            self._abandon(exchange, exc)
            raise
        self._release(exchange)
        return False

    def _release(self, exchange: Exchange) -> None:
        """Close the connection, and give its place back."""
        if self._exchange is not exchange:
            return
        self._exchange = None
        try:
            self._close(exchange)
        finally:  # closing may have been cancelled, or have met a trace that raises
            self._give_back(False)

    def _give_back(self, reusable: bool, keep_alive_timeout: int | None = None) -> None:
        slot = self.slot  # another thread may close the pool meanwhile
        if slot is not None and slot.pool.released(slot, reusable, keep_alive_timeout):
            slot.pool.settle()

    def _close(self, exchange: Exchange) -> None:
        if self.reason_closed is not None:
            return
        if exchange.trace is None:
            self.shut("not reusable")
            return
        info = {"connection": self.id}
        close = exchange.trace.run_always
        close("connection.close", info, self.shut, "not reusable")

    def _abandon(self, exchange: Exchange, exc: BaseException) -> None:
        """The exchange failed or was cancelled: close without waiting, and complete the error."""
        pool_closed = self.reason_closed == "pool closed"
        try:
            self.shut("error")
        finally:
            self._release(exchange)
        if isinstance(exc, TransportError):
            exchange.answered = exchange.protocol.has_response_bytes
            is_read = exchange.phase.startswith("receive")
            limit = exchange.timeouts.read if is_read else exchange.timeouts.write
            exchange.explain(exc, limit, self._clock())
            if pool_closed:
                raise self._pool_closed(exchange) from exc

    def _pool_closed(self, exchange: Exchange) -> PoolClosed:
        text, origin = "the pool was closed meanwhile", str(self.origin)
        return PoolClosed(text, origin=origin, phase=exchange.phase)

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
        if self._exchange is not None or self._is_cut_short:
            return self._stream.abort()
        if self.is_handed_over:
            return False  # what the caller wrote is still to reach the peer: `close` sees to it
        return self._stream.close_nowait()

    def forget(self) -> None:
        """Let go of the stream in another event loop or process, without touching it."""
        self._exchange = None
        self.reason_closed = "forgotten"
        self._stream.forget()

    def drop(self, exchange: Exchange) -> None:
        """Called by the finaliser of a response that nobody closed: no waiting, no locks."""
        if self._exchange is exchange:
            self._exchange = None
            self.reason_closed = "dropped"
            self._stream.abort()
            slot = self.slot
            if slot is not None:
                slot.pool.on_dropped(slot)

    # What the pool and its readers ask

    @property
    def network_stream(self) -> NetworkStream:
        return self._stream

    def trailers_of(self, exchange: Exchange) -> Headers:
        """The trailer fields of a response whose body has ended."""
        return exchange.protocol.trailers

    def serves(self, exchange: Exchange) -> bool:
        return self._exchange is exchange

    def leave(self) -> None:
        """The caller closed the stream that was handed over."""
        if self._exchange is not None:
            self.finish(self._exchange)

    def is_idle(self) -> bool:
        return self._exchange is None and self.reason_closed is None

    def is_available(self) -> bool:
        return self.is_idle()

    def is_closed(self) -> bool:
        return self.reason_closed is not None

    def begin_use(self) -> bool:
        """Called before a connection that was idle is used; false if its stream shows that it
        cannot be. (A new one may be readable: a server that speaks first is found out later.)"""
        if self._is_watched:
            self._is_watched = False
            self._stream.watch(None)
        return self.reason_closed is None and not self._stream.is_readable()

    def end_use(self) -> None:
        """Called when the connection becomes idle: watch it, where the stream can be watched."""
        if self._is_watchable:
            self._is_watched = self._is_watchable = self._stream.watch(self._on_peer_event)

    def _on_peer_event(self) -> None:
        """Something has arrived at the idle connection."""
        slot = self.slot
        if slot is not None:
            slot.pool.on_peer_event(slot)

    def is_stale(self) -> bool:
        """Whether the idle stream has something to read: its end, or what nobody asked for."""
        return self._stream.is_readable()

    def info(self) -> str:
        state = "CLOSED" if self.is_closed() else "IDLE" if self.is_idle() else "ACTIVE"
        return f"'{self.origin}', HTTP/1.1, {state}, Request Count: {self.request_count}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.info()}]>"
