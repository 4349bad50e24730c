"""The sending half of HTTP/2: opening streams, bodies within the windows, ending streams.

Rules of this file: those of `http2`, which has the receiving half and the theory of operation.
"""

from __future__ import annotations

from httpcore_core._exceptions import LocalProtocolError, ReadError
from httpcore_core._models import Headers

from .http2_fields import request_fields, trailer_fields
from .http2_frames import (
    DEFAULT_WINDOW,
    PING,
    ErrorCode,
    build,
    build_goaway,
    build_window_update,
)
from .http2_state import HTTP2State
from .http2_streams import HTTP2Stream
from .request import RequestPlan, check_trailers

SEND_SIZE = 256 * 1024
"""How much of a body `send_data` takes at once, however large the windows: it is copied."""


class HTTP2Sender(HTTP2State):
    """What is sent. `HTTP2Protocol` is the whole."""

    # The connection

    def start(self) -> None:
        """Queue the connection preface (section 3.4): before anything else."""
        self._engine.start()
        increment = self._options.connection_window - DEFAULT_WINDOW
        if increment:
            self._updates[0] = increment

    @property
    def has_data_to_send(self) -> bool:
        """Whether `data_to_send` would return something."""
        return bool(self._control or self._updates or self._engine.has_data)

    def data_to_send(self) -> bytes:
        """Take what is to be written: whole frames, to be written whole and in this order."""
        data = self._engine.take()
        self._ack_count = 0
        if self._updates:
            updates, self._updates = self._updates, {}
            data += b"".join([build_window_update(*item) for item in updates.items()])
        if self._control:
            data += self._control
            self._control.clear()
        return data

    def ping(self) -> None:
        """Queue a PING (section 6.7); `is_ping_acked` turns true when it has been answered."""
        if self.is_closed:
            return
        self._ping = abs(self._ping) + 1
        self._control += build(PING, 0, 0, self._ping.to_bytes(8, "big"))

    @property
    def is_ping_acked(self) -> bool:
        """Whether the latest PING has been answered; true if there was none."""
        return self._ping <= 0

    def shutdown(self) -> None:
        """Say GOAWAY (section 6.8): no stream is opened any more, those that are open may end."""
        if not self.is_closed and not self._said_goaway:
            self._control += build_goaway(ErrorCode.NO_ERROR)
            self._said_goaway = True
        self._retiring = True

    @property
    def supports_extended_connect(self) -> bool:
        """Whether the server takes ``open_stream(..., protocol=...)`` (RFC 8441, section 3)."""
        return self._engine.extended_connect

    # Requests

    def open_stream(self, plan: RequestPlan, protocol: bytes | None = None) -> HTTP2Stream:
        """Queue a request's head, with the end of the stream if it has no body.

        `protocol` makes it an extended CONNECT to the plan's target (RFC 8441), whatever the plan's
        method; such a stream, like any CONNECT, is a tunnel: `send_data` and the body's events
        carry its bytes once there is a 2xx head. Raises `LocalProtocolError`; nothing is queued
        then.
        """
        if not self.capacity:
            raise LocalProtocolError("no stream can be opened on this connection now")
        if protocol is not None and not self.supports_extended_connect:
            raise LocalProtocolError("the server does not support extended CONNECT (RFC 8441)")
        fields = request_fields(plan, protocol)
        tunnel = plan.connect or protocol is not None
        stream = HTTP2Stream(self._next_id, plan, tunnel, self._options.stream_window)
        self._engine.send_headers(stream.id, fields, stream.request_complete)
        self._next_id += 2
        self._streams[stream.id] = stream
        return stream

    def send_data(
        self, stream: HTTP2Stream, data: bytes | bytearray | memoryview, end_stream: bool = False
    ) -> int:
        """Queue as much of `data` as both windows and `SEND_SIZE` allow; returns how much.

        If that is not all, write what is queued and call again with the rest; 0 says that there is
        no room, and `receive_data` names the stream when there may be. With `end_stream` the stream
        ends with the last byte of `data`. Raises `LocalProtocolError`, with the stream reset, for a
        body that is not as long as declared.
        """
        if not stream.may_send_body:
            raise LocalProtocolError("no body can be sent on this stream now")
        view = memoryview(data) if isinstance(data, (bytes, bytearray, memoryview)) else None
        if view is None:
            raise self._misused(stream, f"a body is made of bytes, not {type(data).__name__}")
        size = view.nbytes
        view = view.cast("B")
        if stream.to_send is not None and size > stream.to_send:
            raise self._misused(stream, "the body is longer than its Content-Length")
        if end_stream and stream.to_send not in (None, size):
            raise self._misused(stream, "the body is shorter than its Content-Length")
        if not size:
            if end_stream:
                self.end_stream(stream)
            return 0
        taken = min(size, SEND_SIZE, max(0, self._engine.window(stream.id)))
        limit = self._engine.frame_size
        for start in range(0, taken, limit):
            end = min(start + limit, taken)
            last = end_stream and end == size
            self._engine.send_data(stream.id, view[start:end], last)
        self._sent(stream, taken)
        if taken < min(size, SEND_SIZE):
            self._blocked[stream.id] = stream
        if end_stream and taken == size:
            self._request_ended(stream)
        return taken

    def is_blocked(self, stream: HTTP2Stream) -> bool:
        """Whether `send_data` has found too little room, and nothing has come since that could have
        made some."""
        return stream.id in self._blocked

    def _sent(self, stream: HTTP2Stream, size: int) -> None:
        if stream.to_send is not None:
            stream.to_send -= size
        # The server will answer with WINDOW_UPDATE frames, some after every few hundred bytes.
        self._earn(2 + size // 256)

    def end_stream(self, stream: HTTP2Stream, trailers: Headers | None = None) -> None:
        """End the request, with trailers if there are any: these, or the plan's.

        Raises `LocalProtocolError`, with the stream reset, for a body shorter than declared.
        """
        if stream.request_complete:
            return
        if not stream.may_send_body:
            raise LocalProtocolError("the request cannot be ended now")
        if stream.to_send:
            text = f"the body is {stream.to_send} bytes short of its Content-Length"
            raise self._misused(stream, text)
        trailers = trailers or stream.plan.trailers
        if trailers:
            try:
                check_trailers(trailers)
            except LocalProtocolError as exc:
                raise self._misused(stream, exc.message) from exc
            self._engine.send_headers(stream.id, trailer_fields(trailers), True)
        else:
            self._engine.end_stream(stream.id)
        stream.plan.stream_has_ended()
        self._request_ended(stream)

    def _request_ended(self, stream: HTTP2Stream) -> None:
        stream.request_complete = True
        self._blocked.pop(stream.id, None)
        if stream.response_complete and not stream.closed:  # a tunnel, of which this was the end
            self._engine.closed(stream.id)
            self._close(stream)

    def give_up_waiting(self, stream: HTTP2Stream) -> None:
        """Send the body without having seen a 100; servers may ignore the expectation."""
        stream.awaiting_continue = False

    def _misused(self, stream: HTTP2Stream, text: str) -> LocalProtocolError:
        self.close_stream(stream)
        return LocalProtocolError(text)

    def close_stream(self, stream: HTTP2Stream) -> None:
        """The caller is done with the stream, read to its end or not; may be repeated.

        Resets it unless both messages are whole. What was not read is credited to the connection,
        and so is what the server sends before it learns of the reset. A tunnel of which the server
        has ended its side is ended in the same way (RFC 8441, section 5).
        """
        if stream.tunnel and stream.response_complete and stream.may_send_body:
            self.end_stream(stream)
        self._consume(stream.take_unread())
        stream.discard()
        if stream.error is None and not stream.response_complete:
            stream.error = ReadError("the response was closed")  # for whoever still reads it
        if not stream.closed:
            is_answered = stream.response_complete
            self._reset(stream, ErrorCode.NO_ERROR if is_answered else ErrorCode.CANCEL)
