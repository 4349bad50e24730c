"""One request and its response on an HTTP/2 connection.

The head and a small body leave in one write. Of a longer body goes what the server's windows allow;
the rest waits for it to allow more. A final response that comes before the end of the body stops
it, if it is an error or is complete. If it is a 2xx, both directions go on: the caller gets the
response as soon as the body cannot go on by itself, and what is left of the body is sent while the
response is read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from .._concurrency import call_back_async
from .._exceptions import ReadError, ReadTimeout, TransportError, WriteError, WriteTimeout
from .._models import Extensions, Headers, Origin, Response
from .._protocol.events import END, NEED_DATA, Event, Informational, ResponseHead
from .._protocol.exchange import CLOCK_SLACK, Exchange
from .body import AsyncResponseStream
from .http2_tunnel import AsyncHTTP2NetworkStream

if TYPE_CHECKING:
    from .http2 import AsyncHTTP2Connection

SMALL_BODY = 64 * 1024
"""Bytes of a body in memory that leave with the head, if the windows allow it."""


class AsyncHTTP2Exchange:
    """What an `AsyncResponseStream` reads from: the stream's side of a connection."""

    __slots__ = (
        "_body",
        "_chunks",
        "_connection",
        "_exchange",
        "_head",
        "_is_last",
        "_is_over",
        "_is_pulling",
        "_is_uploading",
        "stream",
    )

    protocol_name = "http2"

    def __init__(self, connection: AsyncHTTP2Connection, exchange: Exchange) -> None:
        self._connection = connection
        self._exchange = exchange
        self.stream = connection.open(exchange)
        self._is_over = False
        self._head: ResponseHead | None = None
        plan = exchange.plan
        self._is_uploading = not (self.stream.request_complete or self.stream.tunnel)
        # What is left to be sent of the chunk at hand, which may be the whole body.
        self._body: memoryview | None = None
        if self._is_uploading and plan.body is not None:
            self._body = memoryview(plan.body)
        self._is_last = plan.body is not None and plan.trailers is None
        self._chunks: Any = None  # the caller's iterator
        self._is_pulling = False  # it is running

    async def run(self) -> Response:
        """Send the request and receive the head of the response."""
        exchange = self._exchange
        if exchange.trace is None:
            await self._send_head()
            if self._is_uploading:
                await self._send_body()
            head = self._head or await self._receive_head()
        else:
            run, info = exchange.trace.run, {"request": exchange.request}
            info["stream_id"] = self.stream.id  # type: ignore[assignment]  # what a trace shows
            await run("http2.send_request_headers", info, self._send_head)
            await run("http2.send_request_body", info, self._send_body)
            head = await run("http2.receive_response_headers", info, self._receive_head)
        return self._response(head)

    def _response(self, head: ResponseHead) -> Response:
        connection = self._connection
        extensions: Extensions = {
            "http_version": head.http_version,
            "stream_id": self.stream.id,
            "connection": connection.describe(self.stream),
        }
        network_stream = connection.network_stream
        if self.is_handed_over:
            # Whoever holds the stream holds the response; the body must not hold both in a cycle.
            body = AsyncResponseStream(self, self._exchange, {})
            extensions["network_stream"] = AsyncHTTP2NetworkStream(network_stream, self, body)
        else:
            body = AsyncResponseStream(self, self._exchange, extensions)
            extensions["network_stream"] = AsyncHTTP2NetworkStream(network_stream, None, None)
        return Response(head.status, head.headers, body, extensions)

    # Sending

    async def _send_head(self) -> None:
        if self._body is not None and len(self._body) <= SMALL_BODY:
            with self._connection.lock:
                if self.stream.may_send_body:
                    self._send_piece()
        self._exchange.wrote = True
        await self._flush()

    def _send_piece(self) -> int:
        """Queue what the windows allow of the chunk at hand; with the lock."""
        assert self._body is not None
        count = self._connection.protocol.send_data(self.stream, self._body, self._is_last)
        self._body = self._body[count:] if count < len(self._body) else None
        if self._body is None and self._is_last:
            self._is_uploading = False
        return count

    async def _flush(self) -> None:
        limit = self._exchange.timeouts.write
        await self._connection.flush(limit, self._exchange.deadline)

    async def _send_body(self) -> None:
        if not self._is_uploading:
            return
        if self.stream.awaiting_continue:
            await self._await_continue()
        await self._upload()

    async def _await_continue(self) -> None:
        """Wait for 100 Continue, or for as long as the caller says (RFC 9110, section 10.1.1)."""
        exchange = self._exchange
        clock = self._connection.clock
        deadline = self._deadline(exchange.expect_continue)
        try:
            while self.stream.awaiting_continue:
                with self._connection.lock:
                    if not self.stream.awaiting_continue or self.stream.closed:
                        break
                    turn = self._connection.join(self.stream)
                await self._connection.wait(turn, deadline)
        except ReadTimeout:
            if exchange.expires_within(CLOCK_SLACK, clock()):
                raise
            with self._connection.lock:
                self._connection.protocol.give_up_waiting(self.stream)

    async def _upload(self) -> None:
        """Send what is left of the body, unless an answer makes it useless. Returns early if the
        server has begun a response and takes nothing more for now."""
        stream, connection = self.stream, self._connection
        while self._is_uploading:
            self._check_total()
            if self._body is None and not await self._next_chunk():
                break
            with connection.lock:
                if not stream.may_send_body:
                    break
                count = self._send_piece()
                is_stuck = not count and self._body is not None
                must_wait = is_stuck and not stream.has_head
                if must_wait:
                    turn = connection.join(stream)
            if must_wait:
                await self._await_window(turn)
            elif not is_stuck:
                await self._flush()
                connection.pull()
            elif self._head is not None:
                return
            if stream.has_head and self._head is None:
                await self._receive_head()
                self._exchange.phase = "send"
        self._is_uploading = False
        if self._chunks is not None:
            await self._close_chunks()

    async def _await_window(self, turn: Any) -> None:
        limit = self._exchange.timeouts.write
        try:
            await self._connection.wait(turn, self._deadline(limit))
        except ReadTimeout as exc:
            text = "the server's flow-control window stayed closed"
            raise WriteTimeout(text, limit=limit) from exc

    async def _next_chunk(self) -> bool:
        """Have something of the caller's body to send; false at its end, or if it is not wanted."""
        exchange, connection = self._exchange, self._connection
        if not self.stream.may_send_body:
            return False
        exchange.body_started = True
        try:
            if exchange.plan.body is not None:
                raise StopAsyncIteration
            if self._chunks is None:
                self._chunks = exchange.stream.__aiter__()
            self._is_pulling = True
            try:
                chunk = await self._chunks.__anext__()
            finally:
                self._is_pulling = False
        except StopAsyncIteration:
            with connection.lock:
                if self.stream.may_send_body:
                    connection.protocol.end_stream(self.stream)
            await self._flush()
            return False
        if not isinstance(chunk, (bytes, bytearray, memoryview)):
            with connection.lock:
                connection.protocol.send_data(self.stream, chunk)  # which says what is wrong
        self._body = memoryview(chunk).cast("B")
        return True

    async def _close_chunks(self) -> None:
        """A generator may be left half-way. Other iterators, such as files, are their owner's."""
        chunks, self._chunks = self._chunks, None
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()

    # Receiving

    def _check_total(self) -> None:
        """A step that need not wait would not notice that the deadline has passed."""
        if self._exchange.deadline is not None:
            self._exchange.budget(None, self._connection.clock())

    def due(self, limit: float | None) -> float | None:
        """The time in `limit` seconds."""
        return None if limit is None else self._connection.clock() + limit

    def _deadline(self, limit: float | None) -> float | None:
        """By when something must have come: within `limit` seconds, and before the total."""
        deadline, due = self._exchange.deadline, self.due(limit)
        return due if deadline is None or (due is not None and due < deadline) else deadline

    async def next_event(self, deadline: float | None, *, uploading: bool = False) -> Event:
        """What has been received next for this stream, or is by the deadline; NEED_DATA if nothing
        was, but an upload that was stuck may go on."""
        connection, stream = self._connection, self.stream
        protocol = connection.protocol
        while True:
            with connection.lock:
                event = protocol.next_event(stream)
                if event is not NEED_DATA:
                    has_output = protocol.has_data_to_send
                    break
                if uploading and not protocol.is_blocked(stream):
                    return NEED_DATA
                turn = connection.join(stream)
            await connection.wait(turn, deadline)
        if has_output:
            connection.write_soon()
        return event

    async def _receive_head(self) -> ResponseHead:
        if self._head is not None:
            return self._head
        exchange = self._exchange
        exchange.phase = "receive headers"
        while True:
            event = await self.next_event(self._deadline(exchange.timeouts.read))
            if isinstance(event, ResponseHead):
                self._head = event
                return event
            if isinstance(event, Informational) and exchange.informational is not None:
                await call_back_async(exchange.informational, event.status, event.headers)

    def take_body(self, exchange: Exchange) -> bytes | None:
        """The whole body, if all of it has been received."""
        stream = self.stream
        if self._is_over or not stream.response_complete or self._is_uploading:
            return None
        with self._connection.lock:
            event = self._connection.protocol.next_event(stream)
        return event if isinstance(event, bytes) else b""

    async def receive_body(self, exchange: Exchange) -> bytes:
        """The next piece of the body; ``b""`` at its end."""
        exchange.phase = "receive body"
        try:
            event: Event = NEED_DATA
            self._check_total()
            while event is NEED_DATA:
                if self._is_uploading:
                    await self._upload()
                    exchange.phase = "receive body"
                deadline = self._deadline(exchange.timeouts.read)
                event = await self.next_event(deadline, uploading=self._is_uploading)
            if event is END:
                return b""
            assert isinstance(event, bytes)
            return event
        except BaseException as exc:
            await self.abandon(exc)
            raise

    # A tunnel

    async def write(self, data: bytes, limit: float | None) -> None:
        """Send bytes through the tunnel; `limit` bounds each wait for the server."""
        stream, connection = self.stream, self._connection
        view = memoryview(data).cast("B")
        while view:
            with connection.lock:
                if not stream.may_send_body:
                    raise WriteError("the stream is closed")
                count = connection.protocol.send_data(stream, view)
                turn = None if count else connection.join(stream)
            if count:
                view = view[count:]
                await connection.flush(limit, None)
            else:
                await connection.wait(turn, self.due(limit))

    def is_readable(self) -> bool:
        """Whether a read of the tunnel would not wait."""
        self._connection.pull()
        return self.stream.is_readable

    # The end

    def trailers_of(self, exchange: Exchange) -> Headers:
        """The trailer fields, once the body has ended."""
        return self.stream.trailers

    @property
    def is_handed_over(self) -> bool:
        """Whether the stream has left HTTP: 2xx to a CONNECT."""
        head = self._head
        return self.stream.tunnel and head is not None and head.status < 300

    @property
    def origin(self) -> Origin:
        return self._connection.origin

    def serves(self, exchange: Exchange) -> bool:
        return not self._is_over

    async def finish(self, exchange: Exchange) -> None:
        """The response is done with, read or not. What is not wanted any more is reset."""
        if not self._is_over:
            self._is_over = True
            await self._connection.release(self.stream)
            if self._chunks is not None and not self._is_pulling:
                await self._close_chunks()

    def drop(self, exchange: Exchange) -> None:
        """Called by the finaliser of a response that nobody closed: no waiting, no locks."""
        self._is_over = True
        self._connection.drop(self.stream)

    async def abandon(self, exc: BaseException) -> None:
        """The exchange failed or was cancelled: reset the stream, and complete the error."""
        exchange, stream, connection = self._exchange, self.stream, self._connection
        exchange.answered = stream.has_response_bytes
        exchange.refused = stream.refused
        exchange.was_reset = stream.refused and stream.reset_code is not None
        if stream.needs_http1 and connection.falls_back:
            exchange.refused = True
            exchange.insist_on_http1()
        self._is_uploading = False
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            connection.lost(ReadError("a request was interrupted"))
        try:
            await self.finish(exchange)
        finally:
            if isinstance(exc, TransportError):
                connection.explain(exc, exchange)
