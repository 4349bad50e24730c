"""Sending a request and receiving the head of its response, over HTTP/1.1.

The head of the request and a small body leave in one write. A longer body is written while a read
would still have to wait: as soon as the server says something, it is read, and if that is the final
head, the rest of the body is not sent. So an early answer is neither lost nor late.
"""

from __future__ import annotations

from collections.abc import Generator, Callable
from typing import Any

from .._backends.base import NetworkStream
from .._concurrency import call_back
from .._exceptions import (
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TransportError,
    WriteError,
)
from .._protocol.events import NEED_DATA, Event, Informational, ResponseHead
from .._protocol.exchange import CLOCK_SLACK, Exchange

SLICE_SIZE = 1024 * 1024
SLICE_SIZE_WITH_DEADLINE = 64 * 1024
"""A long body is written in slices, so that the deadline is looked at in between."""


class HTTP11Messages:
    """The part of a connection that moves messages; its state is the connection's, and what
    belongs to one exchange is that exchange's."""

    __slots__ = ("_clock", "_is_cut_short", "_stream")

    _stream: NetworkStream
    _clock: Callable[[], float]
    _is_cut_short: bool  # part of a request was not sent, so that no other can follow

    # Sending

    def _send_body(self, exchange: Exchange) -> None:
        """What has not left with the head."""
        protocol = exchange.protocol
        plan = exchange.plan
        if protocol.request_complete or exchange.head is not None:  # answered before its end
            return
        if protocol.awaiting_continue and not self._may_continue(exchange):
            return
        if plan.body is not None:
            finished = self._upload(exchange, protocol.send_data(plan.body))
        else:
            finished = self._upload_stream(exchange)
        if finished:
            last = protocol.end_of_body(exchange.plan.trailers or [])
            if last:
                self._upload(exchange, last)

    def _upload_stream(self, exchange: Exchange) -> bool:
        """Send what the caller's iterator yields; false if an answer came first."""
        exchange.body_started = True
        iterator = exchange.stream.__iter__()
        try:
            for chunk in iterator:
                data = exchange.protocol.send_data(chunk)
                if data and not self._upload(exchange, data):
                    return False
            return True
        finally:
            # A generator may be left half-way. Other iterators, such as files, are their owner's.
            if isinstance(iterator, Generator):
                iterator.close()

    def _upload(self, exchange: Exchange, data: bytes) -> bool:
        """Write part of the body while watching for an answer; false if one came first."""
        exchange.body_started = True
        size = SLICE_SIZE if exchange.deadline is None else SLICE_SIZE_WITH_DEADLINE
        view = data if len(data) <= size else memoryview(data)
        sent = 0
        while sent < len(data):
            part: Any = view[sent : sent + size] if sent or len(data) > size else data
            budget = exchange.budget(exchange.timeouts.write, self._clock())
            exchange.wrote = True
            try:
                count = self._stream.write_until_readable(part, budget)
            except WriteError:
                # The peer has gone, but may have said why: an answer that came before the reset.
                self._is_cut_short = True
                if not self._was_answered(exchange):
                    raise
                return False
            sent += count
            if count < len(part) and self._read_early(exchange):
                self._is_cut_short = True
                if exchange.protocol.switched:  # RFC 9110, section 7.8
                    raise RemoteProtocolError("the server switched protocols too early")
                return False
        return True

    def _write(self, exchange: Exchange, data: bytes) -> None:
        budget = exchange.timeouts.write
        if exchange.deadline is not None:
            budget = exchange.budget(budget, self._clock())
        try:
            self._stream.write(data, budget)
        except WriteError as exc:
            self._is_cut_short = True
            exchange.wrote = exc.bytes_written != 0
            if not self._was_answered(exchange):
                raise
        else:
            exchange.wrote = True

    def _may_continue(self, exchange: Exchange) -> bool:
        """Wait for 100 Continue; false if a final answer came instead (RFC 9110, 10.1.1)."""
        protocol = exchange.protocol
        deadline = self._clock() + exchange.expect_continue
        while protocol.awaiting_continue:
            budget = exchange.budget(max(deadline - self._clock(), 0.0), self._clock())
            try:
                if self._read_early(exchange, budget):
                    return False
            except ReadTimeout:
                if exchange.expires_within(CLOCK_SLACK, self._clock()):
                    raise
                protocol.give_up_waiting()
        return True

    # Receiving

    def _read_early(self, exchange: Exchange, budget: float | None = 0.0) -> bool:
        """Read once while sending; true if the final head has arrived."""
        data = self._stream.read(exchange.protocol.read_size, budget)
        return self._take_head(exchange, exchange.protocol.receive(data))

    def _was_answered(self, exchange: Exchange) -> bool:
        """After a failed write: whether a final head is there to be read, without waiting. What
        the peer has said in TLS's own words is raised: it explains more than the failed write."""
        try:
            while not self._read_early(exchange):
                pass
        except TransportError as exc:
            if isinstance(exc, ReadError) and exc.tls_reason is not None:
                raise
            return False
        return True

    def _take_head(self, exchange: Exchange, event: Event) -> bool:
        """Take what has arrived up to the final head, from `event` on; true if that is there."""
        if exchange.head is not None:
            return True
        while event is not NEED_DATA:
            if isinstance(event, ResponseHead):
                exchange.head = event
                return True
            if isinstance(event, Informational) and exchange.informational is not None:
                call_back(exchange.informational, event.status, event.headers)
            event = exchange.protocol.next_event()
        return False

    def _receive_head(self, exchange: Exchange) -> ResponseHead:
        exchange.phase = "receive headers"
        protocol = exchange.protocol
        budget = exchange.timeouts.read
        while exchange.head is None:
            if exchange.deadline is not None:
                budget = exchange.budget(exchange.timeouts.read, self._clock())
            event = protocol.receive(self._stream.read(protocol.read_size, budget))
            if isinstance(event, ResponseHead):
                exchange.head = event
            else:
                self._take_head(exchange, event)
        return exchange.head
