"""What both halves of an HTTP/2 connection share: its streams, windows, budget and end.

Rules of this file: those of `http2`, which has the theory of operation. Frames are neither read
nor chosen here; what happens to a stream or to the connection because of one is.
"""

from __future__ import annotations

from httpcore_core._exceptions import RemoteProtocolError, TransportError
from httpcore_core._options import HTTP2Options

from .http2_engine import Engine
from .http2_frames import (
    MAX_STREAM_ID,
    ConnectionFault,
    ErrorCode,
    build_goaway,
    code_name,
)
from .http2_streams import HTTP2Stream

FIRST_BUDGET = 1000
MAX_BUDGET = 20_000
"""Frames that help no request. The latter is what a fast upload may have coming: servers grant a
window in steps of a few hundred bytes, for the stream and for the connection."""

MAX_ACKS = 1000
"""Answers to PING and SETTINGS that may wait to be written. Go allows 10,000 frames to wait."""


class HTTP2State:
    """One connection's state. `HTTP2Protocol` is the whole."""

    def __init__(self, options: HTTP2Options) -> None:
        self._options = options
        self._engine = Engine(
            options.stream_window, options.max_frame_size, options.max_header_bytes
        )
        self._next_id = 1  # section 5.1.1
        self._streams: dict[int, HTTP2Stream] = {}  # those that are not closed
        self._blocked: dict[int, HTTP2Stream] = {}  # those that wait for a window to open
        self._woken: dict[int, HTTP2Stream] = {}  # those for which something has changed
        self._window = options.connection_window  # what the server may still send
        self._consumed = 0  # what may be granted to the server again, and has not been
        self._updates: dict[int, int] = {}  # WINDOW_UPDATE frames to be sent: stream, increment
        self._late_allowance = 0  # what the server may have sent before it learnt of a reset
        self._control = bytearray()  # PING and GOAWAY frames to be sent
        self._ack_count = 0  # answers to PING and SETTINGS that nobody has taken
        self._ping = 0  # the number of the latest PING, negative once it has been answered
        self._budget = FIRST_BUDGET
        self._retiring = False  # one side has said GOAWAY
        self._said_goaway = False
        self._eof = False
        self._error: TransportError | None = None

    @property
    def error(self) -> TransportError | None:
        """What ended the connection, if it failed: nothing more is received or sent but GOAWAY."""
        return self._error

    @property
    def is_closed(self) -> bool:
        """Whether the connection has failed, or the server has closed it."""
        return self._eof or self._error is not None

    @property
    def is_retiring(self) -> bool:
        """Whether no stream will ever be opened again, while those that are open may end."""
        return self._retiring or self.is_closed or self._next_id > MAX_STREAM_ID

    @property
    def open_streams(self) -> int:
        """How many streams count against the limits."""
        return len(self._streams)

    @property
    def capacity(self) -> int:
        """How many streams may be opened now."""
        if self.is_retiring:
            return 0
        limit = min(self._options.max_concurrent_streams, self._engine.max_concurrent_streams)
        return max(0, limit - len(self._streams))

    # How streams end

    def _reset(self, stream: HTTP2Stream, code: int) -> None:
        """Section 5.4.2: end the stream by our own doing."""
        self._engine.reset(stream.id, code)
        self._close(stream)

    def _end(self, stream: HTTP2Stream, error: TransportError | None) -> None:
        """The stream is over by the server's doing. What it has of a response can still be read,
        and a response that is whole stands (section 8.1)."""
        if not stream.response_complete:
            stream.error = error
        self._woken[stream.id] = stream
        self._close(stream)

    def _close(self, stream: HTTP2Stream) -> None:
        """The stream counts no longer. Frames for it that are on their way are expected."""
        stream.closed = True
        if not stream.end_received:
            self._late_allowance += max(0, stream.receive_window)
        self._streams.pop(stream.id, None)
        self._blocked.pop(stream.id, None)
        self._updates.pop(stream.id, None)

    def _fail_stream(self, stream: HTTP2Stream, fault: ConnectionFault) -> None:
        """Section 5.4.2: end the stream by the server's fault."""
        if not stream.response_complete:
            stream.error = _error(fault)
        self._woken[stream.id] = stream
        self._reset(stream, fault.code)

    def _fail(self, fault: ConnectionFault) -> None:
        """Section 5.4.1: end the connection by the server's fault, and tell it why."""
        self._lose(_error(fault))
        self._control += build_goaway(fault.code)

    def _lose(self, error: TransportError) -> None:
        """End the connection: every open stream fails, and nothing is worth sending any more."""
        self._error = error
        self._engine.drop()
        self._control.clear()
        for stream in list(self._streams.values()):
            self._end(stream, error)
        self._updates.clear()

    # What is granted to the server (section 6.9)

    def _consume(self, size: int) -> None:
        """So many bytes of DATA are dealt with: grant them anew as soon as the server may send no
        more than that without it. So updates are few while the window is wide, and never late."""
        self._consumed += size
        if self._consumed >= max(self._window, 1) and not self.is_closed:
            self._updates[0] = self._updates.get(0, 0) + self._consumed
            self._window += self._consumed
            self._consumed = 0

    def _consume_for(self, stream: HTTP2Stream) -> None:
        """The same for a stream's window, if more is to come on it."""
        if stream.closed or stream.response_complete:
            return
        if stream.credit >= max(stream.receive_window, 1):
            self._updates[stream.id] = self._updates.get(stream.id, 0) + stream.credit
            stream.receive_window += stream.credit
            stream.credit = 0

    # What frames may cost

    def _earn(self, count: int) -> None:
        self._budget = min(self._budget + count, MAX_BUDGET)

    def _spend(self) -> None:
        self._budget -= 1
        if self._budget < 0:
            text = "too many frames that help no request"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text)

    def _count_ack(self) -> None:
        self._ack_count += 1
        if self._ack_count > MAX_ACKS:
            text = "too many PING or SETTINGS frames to be answered"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text)


def _error(fault: ConnectionFault) -> RemoteProtocolError:
    error = RemoteProtocolError(f"{fault.text} ({code_name(fault.code)})")
    error.__cause__ = fault.__cause__
    return error
