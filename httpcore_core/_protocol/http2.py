"""HTTP/2 as one client connection speaks it: bytes and events in, bytes and events out.

Rules of this file: no I/O, no clock, no locks, no waiting; every decision of RFC 9113 about what is
received is made here and in the `http2_*` modules. Whoever calls it owns the wire and calls one
method at a time.

Theory of operation
===================

*Bytes.* `receive_data` cuts what arrives into frames (`http2_frames`) and deals with one at a time,
so that each frame is judged by itself. It never raises: it returns the streams whose state has
changed, and each of those says in `next_event` what came for it, in the order and the words of
HTTP/1.1 (`events`). `data_to_send` gives everything that is queued, always in whole frames; any
method may queue something, `receive_data` and `next_event` included.

*Errors.* A stream error (section 5.4.2) resets one stream; the others never hear of it. A
connection error (section 5.4.1) fails every open stream and leaves a GOAWAY to be sent. Which of
the two it is we decide before `h2` hears of the frame: `http2_engine` says why. What had been
received before an error can still be read.

*Streams.* A stream is open from `open_stream` until both messages are whole or it is reset; only
then does it free a place. It is known by its identifier as long, and no longer: a frame for an
identifier that has been used and is not open is a late one, of which the field block must still be
decoded (section 4.3) and the DATA counted (section 6.9), and nothing else. How much DATA may come
late is known: what the windows of the streams that were reset had left.

*Flow control, receiving.* A stream's window bounds what is kept of it unread; bytes are granted
anew when `next_event` has handed them on, about half a window at a time. The connection's window
follows the same rule for all streams together, whatever becomes of them: what is dropped, padding,
and what comes late is granted anew as well. So an abandoned response costs the others nothing.

*Flow control, sending.* `send_data` takes what both windows allow. A stream that got less than it
asked for is named by `receive_data` when there may be room again: after WINDOW_UPDATE for it or for
the connection, or after SETTINGS, which can make windows negative, too (section 6.9.2).

*The end.* GOAWAY (section 6.8) splits the streams: those up to its last identifier go on, the
others were not processed and say so (`HTTP2Stream.refused`). A second one may lower the limit.

*Abuse.* There is no clock to measure a rate with. Instead there is a budget: what helps no request
(a PING, an empty DATA frame, an unknown one) costs one of it, and what does, earns some. So does
each call of `receive_data`, because frames that trickle in singly harm nobody. Beside it, whatever
is kept has a limit of its own: field blocks, interim responses, answers that nobody takes.
"""

from __future__ import annotations

from collections.abc import Callable

from httpcore_core._exceptions import RemoteProtocolError, TransportError
from httpcore_core._options import HTTP2Options

from .events import END, NEED_DATA, Event, Informational, ResponseHead
from .http2_frames import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    MAX_STREAM_ID,
    PING,
    ConnectionFault,
    ErrorCode,
    FieldBlock,
    FrameBuffer,
    StreamFault,
    build,
    code_name,
    read_goaway,
    read_number,
    read_settings,
    unpad,
)
from .http2_sender import HTTP2Sender
from .http2_streams import HTTP2Stream

__all__ = [
    "END",
    "NEED_DATA",
    "HTTP2Options",
    "HTTP2Protocol",
    "HTTP2Stream",
    "Informational",
    "ResponseHead",
]

HEAD_EARNS = 10
"""What a final head is worth: a server may add SETTINGS, PING and WINDOW_UPDATE to each."""

MAX_DEBUG_DATA = 100
"""Bytes of a GOAWAY's debug data that an error text shows."""


class HTTP2Protocol(HTTP2Sender):
    """One connection's protocol state. The methods that send raise `LocalProtocolError`, and
    `next_event` raises what befell its stream; `receive_data` raises nothing."""

    def __init__(self, options: HTTP2Options | None = None) -> None:
        options = options or HTTP2Options()
        super().__init__(options)
        self._frames = FrameBuffer(options.max_frame_size)
        self._block: FieldBlock | None = None
        self._last_id = MAX_STREAM_ID  # of a GOAWAY: later streams were not processed
        self._goaway = ""
        self.has_settings = False  # the server's first SETTINGS have arrived

    # Receiving

    def receive_data(self, data: bytes) -> list[HTTP2Stream]:
        """Take what came from the network; ``b""`` is the end of the stream.

        Returns the streams for which something has changed: `next_event` has something new, or
        `send_data` may have room. Check `error` and `is_retiring` afterwards, and write what
        `data_to_send` has.
        """
        self._woken = {}
        if self._error is None and not self._eof:
            try:
                if data:
                    self._earn(1)
                    self._receive_frames(data)
                else:
                    self._receive_eof()
            except ConnectionFault as fault:
                self._fail(fault)
        return list(self._woken.values())

    def connection_lost(self, error: TransportError) -> list[HTTP2Stream]:
        """The network failed, or a PING was not answered: every open stream fails with `error`."""
        self._woken = {}
        if self._error is None:
            self._lose(error)
        return list(self._woken.values())

    @property
    def stream_limit(self) -> int:
        """How many streams may be open at a time: the lower of our limit and the server's, 1 as
        long as the server has not said, and 0 where no new one will ever be."""
        if self.is_retiring:
            return 0
        if not self.has_settings:
            return 1
        return min(self._options.max_concurrent_streams, self._engine.max_concurrent_streams)

    def next_event(self, stream: HTTP2Stream) -> Event:
        """Say what has been received next for `stream`.

        Body bytes that it returns are thereby granted to the server again. Raises the stream's
        error: `RemoteProtocolError`, or what `connection_lost` was given.
        """
        event = stream.next_event()
        if type(event) is bytes:
            size = stream.take_unread()
            self._consume(size)
            stream.credit += size
            self._consume_for(stream)
        return event

    def _receive_frames(self, data: bytes) -> None:
        frames = self._frames
        frames.receive(data)
        while (frame := frames.next_frame()) is not None:
            kind, flags, stream_id, payload = frame
            block = self._block
            if block is not None and (kind != CONTINUATION or stream_id != block.stream_id):
                raise _violation("a frame inside a field block")  # section 4.3
            if kind < len(_HANDLERS):
                try:
                    _HANDLERS[kind](self, flags, stream_id, payload)
                except StreamFault as fault:
                    self._fail_stream(self._streams[stream_id], fault)
            else:
                self._spend()  # section 5.5: unknown types are ignored

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.1."""
        size = len(payload)
        self._window -= size
        if self._window < 0:
            text = "more DATA than the connection's window allows"
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, text)
        stream = self._streams.get(stream_id)
        data = unpad(payload, flags)
        if data:
            self._earn(1)
        elif not flags & END_STREAM:
            self._spend()
        if stream is None:
            self._late_data(stream_id, size)
            return
        unread = stream.unread
        self._woken[stream_id] = stream
        try:
            stream.receive_body(data, size, bool(flags & END_STREAM))
        finally:
            self._consume(size - (stream.unread - unread))
        if stream.response_complete:
            self._response_ended(stream)
        else:
            self._consume_for(stream)

    def _late_data(self, stream_id: int, size: int) -> None:
        self._check_used(stream_id)
        self._late_allowance -= size
        if self._late_allowance < 0:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "DATA on a stream that is closed")
        self._consume(size)

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.2."""
        self._check_used(stream_id)
        self._block = FieldBlock(stream_id, flags, payload, self._options.max_header_bytes)
        if flags & END_HEADERS:
            self._receive_block(self._block)

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.10."""
        if self._block is None:
            raise _violation("CONTINUATION without HEADERS")
        self._spend()
        self._block.add(payload)
        if flags & END_HEADERS:
            self._receive_block(self._block)

    def _receive_block(self, block: FieldBlock) -> None:
        self._block = None
        fields = self._engine.decode(block.joined())
        stream = self._streams.get(block.stream_id)
        if stream is None:
            self._spend()
            return
        self._woken[stream.id] = stream
        if len(fields) > self._options.max_header_count:
            text = f"more than {self._options.max_header_count} header fields"
            raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, text)
        if stream.receive_fields(fields, block.end_stream):
            self._spend()
        else:
            self._earn(HEAD_EARNS)
        if stream.response_complete:
            self._response_ended(stream)

    def _response_ended(self, stream: HTTP2Stream) -> None:
        if stream.request_complete:
            self._engine.closed(stream.id)
            self._close(stream)
        else:
            self._updates.pop(stream.id, None)
            if not stream.tunnel:  # what is left of the request is not wanted any more
                self._blocked.pop(stream.id, None)

    def _priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.3: deprecated, and nothing to a client."""
        self._spend()
        if not stream_id:
            raise _violation("PRIORITY for the connection")
        if len(payload) != 5 and stream_id in self._streams:
            raise StreamFault(ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes")

    def _rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.4."""
        code = read_number("RST_STREAM", payload)
        self._check_used(stream_id)
        stream = self._streams.get(stream_id)
        if stream is None:
            self._spend()
            return
        self._engine.closed(stream_id)
        stream.reset_code = code
        stream.refused = code == ErrorCode.REFUSED_STREAM and not stream.has_response_bytes
        text = f"the server reset the stream ({code_name(code)})"
        self._end(stream, RemoteProtocolError(text))

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.5."""
        self._spend()
        if stream_id:
            raise _violation("SETTINGS on a stream")
        if flags & ACK:
            if payload:
                text = "an acknowledgement with settings"
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, text)
            return
        self._count_ack()
        self._engine.receive_settings(read_settings(payload))
        self.has_settings = True
        self._wake_blocked()

    def _push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise _violation("PUSH_PROMISE, which was forbidden")  # section 6.6

    def _ping_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.7."""
        self._spend()
        if stream_id:
            raise _violation("PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if not flags & ACK:
            self._count_ack()
            self._control += build(PING, ACK, 0, payload)
        elif int.from_bytes(payload, "big") == self._ping:
            self._ping = -self._ping

    def _goaway_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.8."""
        self._spend()
        if stream_id:
            raise _violation("GOAWAY on a stream")
        last_id, code, debug = read_goaway(payload)
        self._retiring = True
        self._last_id = min(self._last_id, last_id)
        self._goaway = f"GOAWAY: {code_name(code)}"
        if debug:
            self._goaway += f", {debug[:MAX_DEBUG_DATA]!r}"
        text = f"the server did not process the request ({self._goaway})"
        for stream in list(self._streams.values()):
            if stream.id > self._last_id:
                stream.refused = not stream.has_response_bytes
                self._engine.closed(stream.id)
                self._end(stream, RemoteProtocolError(text))

    def _window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Section 6.9."""
        self._spend()
        increment = read_number("WINDOW_UPDATE", payload) & MAX_STREAM_ID
        if stream_id:
            self._check_used(stream_id)
            stream = self._streams.get(stream_id)
            if stream is None:
                return
            if not increment:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            if not self._engine.receive_window_update(stream_id, increment):
                self._end(stream, RemoteProtocolError("the stream's window grew over its maximum"))
            elif stream_id in self._blocked:
                self._woken[stream_id] = self._blocked.pop(stream_id)
        else:
            if not increment:
                raise _violation("WINDOW_UPDATE by nothing")
            self._engine.receive_window_update(0, increment)
            self._wake_blocked()

    def _receive_eof(self) -> None:
        self._eof = True
        if self._frames.inside_frame or self._block is not None:
            text = "the server disconnected inside a frame"
        else:
            text = "the server disconnected"
        if self._goaway:
            text = f"{text} ({self._goaway})"
        for stream in list(self._streams.values()):
            if stream.has_head:
                where = "in the middle of the response"
            else:
                where = "without sending a response"
            self._end(stream, RemoteProtocolError(f"{text} {where}"))

    # What it comes to

    def _check_used(self, stream_id: int) -> None:
        """Section 5.1: on a stream that has not been opened there is nothing to be said. Streams
        of even number would be pushed ones, and 0 is the connection."""
        if not stream_id & 1 or stream_id >= self._next_id:
            raise _violation(f"a frame for stream {stream_id}, which was never opened")

    def _wake_blocked(self) -> None:
        self._woken.update(self._blocked)
        self._blocked.clear()


def _violation(text: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"the server sent {text}")


_HANDLERS: tuple[Callable[[HTTP2Protocol, int, int, bytes], None], ...] = (
    HTTP2Protocol._data,
    HTTP2Protocol._headers,
    HTTP2Protocol._priority,
    HTTP2Protocol._rst_stream,
    HTTP2Protocol._settings,
    HTTP2Protocol._push_promise,
    HTTP2Protocol._ping_frame,
    HTTP2Protocol._goaway_frame,
    HTTP2Protocol._window_update,
    HTTP2Protocol._continuation,
)
"""By frame type: section 6."""
