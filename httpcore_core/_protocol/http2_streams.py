"""One stream of HTTP/2: a request's progress, and its response as it arrives and is read.

Rules of this file: one stream and nothing beside it; what concerns the connection, its windows
and its frames, is in `http2`. The public attributes are for the driver to read; the methods are
for the protocol to call.
"""

from __future__ import annotations

from typing import Any

from httpcore_core._exceptions import TransportError
from httpcore_core._models import Headers

from .events import END, NEED_DATA, Event, Informational, ResponseHead
from .http2_fields import read_head, read_trailers
from .http2_frames import ErrorCode, StreamFault
from .request import RequestPlan

# The same as in HTTP/1.1: what a server may send before the final response.
MAX_INFORMATIONAL_COUNT = 100
MAX_INFORMATIONAL_BYTES = 64 * 1024

SMALL_CHUNK = 1024
"""Pieces of a body below this are joined as they arrive: each would cost an object, and a server
that sends single bytes could fill many times the window in memory."""


class HTTP2Stream:
    """One exchange. `waiters` is the driver's, to remember whom to wake.

    `refused`: the server has certainly not processed the request, so that it may be sent again
    whatever its method (RFC 9113, section 8.7). `reset_code`: the code with which the server reset
    the stream, as HTTP_1_1_REQUIRED. `closed`: the stream counts no longer against the limits; what
    has arrived of a response can still be read.
    """

    __slots__ = (
        "_abandoned",
        "_bodiless",
        "_chunks",
        "_events",
        "_informational_bytes",
        "_informational_count",
        "_left",
        "awaiting_continue",
        "closed",
        "credit",
        "end_received",
        "error",
        "has_head",
        "has_response_bytes",
        "id",
        "plan",
        "receive_window",
        "refused",
        "request_complete",
        "reset_code",
        "response_complete",
        "to_send",
        "trailers",
        "tunnel",
        "unread",
        "waiters",
    )

    def __init__(self, stream_id: int, plan: RequestPlan, tunnel: bool, window: int) -> None:
        self.id = stream_id
        self.plan = plan
        self.tunnel = tunnel  # a CONNECT, extended or not
        self.waiters: tuple[Any, ...] = ()
        # The request.
        self.to_send = None if tunnel else plan.content_length  # bytes to come, if that is known
        self.request_complete = self.to_send == 0 and not plan.is_said_to_be_empty()
        self.awaiting_continue = plan.expect_continue
        self._abandoned = False  # the final response came while the body waited for a 100
        # The response.
        self.has_response_bytes = False
        self.has_head = False
        self.response_complete = False
        self.end_received = False  # END_STREAM: nothing more may come
        self.trailers: Headers = []
        self._events: list[Event] = []
        self._chunks: list[bytes] = []
        self._bodiless = False
        self._left: int | None = None  # bytes of the body to come; None if not known
        self._informational_count = self._informational_bytes = 0
        # Flow control, in bytes of DATA frames, padding included (section 6.9.1).
        self.receive_window = window  # what the server may still send
        self.unread = 0  # received, and not handed on yet
        self.credit = 0  # handed on, and not granted to the server again yet
        # The end.
        self.closed = False
        self.refused = False
        self.reset_code: int | None = None
        self.error: TransportError | None = None

    def __repr__(self) -> str:
        request = "sent" if self.request_complete else "sending"
        response = "whole" if self.response_complete else "head" if self.has_head else "none"
        closed = ", closed" if self.closed else ""
        return f"<HTTP2Stream {self.id}, request: {request}, response: {response}{closed}>"

    @property
    def may_send_body(self) -> bool:
        """Whether more of the request's body is wanted.

        Not while waiting for a 100, and never again once a final response has come instead of it,
        or one that is no success, the response has ended, or the stream was reset (RFC 9113,
        section 8.1). Beside a success that has not ended both directions go on. In a tunnel, not
        before the server has agreed to it; but then each direction ends by itself.
        """
        return not (
            self.request_complete
            or (self.response_complete and not self.tunnel)
            or self.closed
            or self.awaiting_continue
            or self._abandoned
            or (self.tunnel and not self.has_head)
        )

    @property
    def needs_http1(self) -> bool:
        """Whether the server takes this request over HTTP/1.1 only (RFC 9113, section 7)."""
        return self.reset_code == ErrorCode.HTTP_1_1_REQUIRED and not self.has_response_bytes

    @property
    def is_readable(self) -> bool:
        """Whether `next_event` has something to say."""
        return bool(
            self._events or self._chunks or self.response_complete or self.error is not None
        )

    # Receiving

    def receive_fields(self, fields: list[tuple[bytes, bytes]], end_stream: bool) -> bool:
        """Take a field section; returns whether it was one of many, an interim response.

        Raises `StreamFault`.
        """
        if self.response_complete:
            raise StreamFault(ErrorCode.STREAM_CLOSED, "HEADERS after the end of the response")
        self.has_response_bytes = True
        if self.has_head:
            if not end_stream:  # section 8.1: whatever follows the head's section is trailers
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers that do not end the stream")
            self.trailers = read_trailers(fields)
            self._end()
            return False
        status, headers, length = read_head(fields)
        if status < 200:
            self._informational(status, headers, end_stream)
            return True
        self._final(status, headers, length)
        if end_stream:
            self._end()
        return False

    def _informational(self, status: int, headers: Headers, end_stream: bool) -> None:
        if end_stream:  # section 8.1
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "an interim response ends the stream")
        self._informational_count += 1
        self._informational_bytes += sum(len(name) + len(value) + 32 for name, value in headers)
        if self._informational_count > MAX_INFORMATIONAL_COUNT:
            raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "too many informational responses")
        if self._informational_bytes > MAX_INFORMATIONAL_BYTES:
            text = "too many bytes of informational responses"
            raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, text)
        if status == 100:
            self.awaiting_continue = False
        self._events.append(Informational(status, b"", headers))

    def _final(self, status: int, headers: Headers, length: int | None) -> None:
        """RFC 9110, section 6.4.1, says which responses have no body, whatever their length."""
        self.has_head = True
        if self.awaiting_continue or status >= 300:
            self.awaiting_continue = False
            self._abandoned = True  # it was decided without what is left of the request
        if self.tunnel and status < 300:
            length = None  # RFC 9110, section 9.3.6
        self._bodiless = self.plan.head or status in (204, 304)
        self._left = None if self._bodiless else length
        self._events.append(ResponseHead(b"HTTP/2", status, b"", headers))

    def receive_body(self, data: bytes, size: int, end_stream: bool) -> None:
        """Take a DATA frame of `size` flow-controlled bytes. Raises `StreamFault`.

        The frame is accounted for in any case: what is not kept is added to `credit`.
        """
        self.credit += size
        self.receive_window -= size
        if self.receive_window < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window allows")
        if self.response_complete:
            raise StreamFault(ErrorCode.STREAM_CLOSED, "DATA after the end of the response")
        if not self.has_head:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "DATA before the response's head")
        if data:
            if self._bodiless:
                # The response is whole without it, and is handed on as it is.
                self.response_complete = True
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, "DATA in a response that has no body")
            self._take_in(data)
            self.credit -= size
            self.unread += size
        if end_stream:
            self._end()

    def _take_in(self, data: bytes) -> None:
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                text = "the body is longer than its content-length"
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, text)
        chunks = self._chunks
        if chunks and len(data) < SMALL_CHUNK and len(chunks[-1]) < SMALL_CHUNK:
            chunks[-1] += data
        else:
            chunks.append(data)

    def _end(self) -> None:
        if self._left:  # section 8.1.1
            text = f"the body is {self._left} bytes short of its content-length"
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, text)
        self.response_complete = self.end_received = True

    # Reading

    def next_event(self) -> Event:
        """What has been received next; all there is of the body at once, and `unread` is then
        the caller's to credit. Raises the stream's error once everything before it is read."""
        if self._events:
            return self._events.pop(0)
        chunks = self._chunks
        if chunks:
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._chunks = []
            return body
        if self.response_complete:
            return END
        if self.error is not None:
            raise renewed(self.error)
        return NEED_DATA

    def take_unread(self) -> int:
        """The bytes to be credited, now that they have been handed on or dropped."""
        unread, self.unread = self.unread, 0
        return unread

    def discard(self) -> None:
        """Drop what has not been read."""
        self._events.clear()
        self._chunks.clear()


def renewed(error: TransportError) -> TransportError:
    """A copy to raise: one error may concern many streams, and each adds its own traceback. The
    cause has none: its frames are those of whoever read for all, and with them his response."""
    copy = type(error)(error.message, origin=error.origin, phase=error.phase, limit=error.limit)
    cause = error.__cause__
    copy.__cause__ = None if cause is None else cause.with_traceback(None)
    return copy
