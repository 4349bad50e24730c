"""HTTP/1.1 as one client connection speaks it: bytes and events in, bytes and events out.

Rules of this file: no I/O, no clock, no locks; every framing decision of RFC 9112 is made here,
once, whichever engine parses the heads. Whoever calls it owns the wire.

Theory of operation
===================

The two directions are separate machines.

*Sending.* `start` gives the head, and with it a body that is small and in memory. Of any other
body `send_data` gives the pieces and `end_of_body` the end. One of declared length is guarded: the
piece that would complete it is kept back until `end_of_body` confirms that nothing follows. So a
body that turns out too long or too short never reaches the server as a whole message, and not one
byte beyond the declared length is written. (See `http11_sender`.)

*Receiving.* The state says what the next bytes are:

    IDLE --start--> HEAD --final head--> LENGTH | CHUNKED | UNTIL_EOF --> DONE --start--> HEAD
                    ^  |                                                   ^
                    1xx                 no body ---------------------------'
                       '--101, or 2xx to CONNECT--> SWITCHED

and FAILED after any error. The engine (see `engine`) parses heads and nothing else; where a head
ends and how it frames its body is decided in `head`. Bodies never pass through the engine; those
of known length, or that end with the stream, are handed on as they came, without a copy.

Both directions meet in `keep_alive`: another request may follow only when both messages are whole,
the request was whole *before* the response began, nobody said close, and not one byte is left
over. Bytes after the end of a message are never parsed, so they can never answer a later request.

*Expect.* While `awaiting_continue` the body must wait. A 100 or `give_up_waiting` ends the wait,
and `may_send_body` turns true; a final response ends it too, and then the body is never sent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from httpcore_core._exceptions import LocalProtocolError, RemoteProtocolError
from httpcore_core._models import Headers

from .chunked import ChunkedDecoder
from .engine import HeadParser, choose_engine
from .events import END, NEED_DATA, Event, Informational, ResponseHead
from .head import Framing, check, check_coding, check_incomplete, find_end
from .http11_sender import HTTP11Sender
from .request import RequestPlan

__all__ = ["END", "NEED_DATA", "HTTP11Protocol", "Informational", "ResponseHead"]

# A server may send this much before the final response. Go limits the bytes, others nothing.
MAX_INFORMATIONAL_COUNT = 100
MAX_INFORMATIONAL_BYTES = 64 * 1024

READ_SIZE = 64 * 1024
LONG_READ_SIZE = 256 * 1024

NO_TRAILERS: Headers = []  # shared, never changed

_IDLE, _HEAD, _LENGTH, _CHUNKED, _UNTIL_EOF, _DONE, _SWITCHED, _FAILED = range(8)


class HTTP11Protocol(HTTP11Sender):
    """The state of an exchange, from `start` on; another one may follow where `keep_alive` allows
    it. As nothing is left over then, it may have an object of its own: an idle connection has none.

    The sending methods raise `LocalProtocolError`, `next_event` raises `RemoteProtocolError`; after
    either the connection can only be closed.
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_eof",
        "_informational_bytes",
        "_informational_count",
        "_left",
        "_max_head_bytes",
        "_max_header_count",
        "_parse_head",
        "_persists",
        "_searched",
        "_state",
        "has_response_bytes",
        "keep_alive_timeout",
        "read_size",
        "switched",
        "trailers",
    )

    def __init__(
        self,
        head_parser: HeadParser,
        max_head_bytes: int = 102400,
        max_header_count: int = 1000,
    ) -> None:
        self._max_head_bytes = max_head_bytes
        self._max_header_count = max_header_count
        self._parse_head = head_parser
        self._buffer: bytes | bytearray = b""
        self._eof = False
        self._state = _IDLE
        self._persists = True
        self.request_complete = True
        self.has_response_bytes = False
        self.switched = False  # the connection has left HTTP: 101, or 2xx to a CONNECT

    # Sending

    def start(self, plan: RequestPlan) -> bytes:
        """Begin an exchange; returns what to write first: the head, and the body if it is in
        memory, small, and need not wait. `plan` has been checked already."""
        is_new = self._state == _IDLE and not self._buffer and not self._eof
        if not is_new and not self.keep_alive:
            raise LocalProtocolError("this connection cannot take another request")
        self._state = _HEAD
        self._left = 0  # bytes of a body of known length that are still to come
        self._chunks: ChunkedDecoder | None = None
        self._searched = 0  # bytes at the start of the buffer in which no head ends
        self._informational_bytes = self._informational_count = 0
        self.has_response_bytes = False
        self.keep_alive_timeout: int | None = None
        self.read_size = READ_SIZE
        self.trailers: Headers = NO_TRAILERS
        return self._start_sending(plan)

    @property
    def may_send_body(self) -> bool:
        """Not while waiting for a 100, and not once there is a final head (RFC 9110, 10.1.1)."""
        return self._state == _HEAD and not self.awaiting_continue and not self.request_complete

    def _fail(self) -> None:
        self._state = _FAILED

    # Receiving

    def receive_data(self, data: bytes) -> None:
        """Take what came from the network; ``b""`` is the end of the stream."""
        if not data:
            self._eof = True
            return
        self.has_response_bytes = True
        if not self._buffer:
            self._buffer = data
        else:
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)
            self._buffer += data

    def receive(self, data: bytes) -> Event:
        """`receive_data`, then `next_event`; what belongs to the body passes straight through."""
        if self._buffer or not data:
            self.receive_data(data)
        elif self._state == _LENGTH and len(data) <= self._left:
            self._left -= len(data)
            if not self._left:
                self._state = _DONE
            return data
        else:
            self._buffer = data
            self.has_response_bytes = True
        return self.next_event()

    def whole_body(self) -> bytes | None:
        """Take the whole body, if its length is known and all of it has been received."""
        if self._state == _DONE:
            return b""
        if self._state != _LENGTH or len(self._buffer) < self._left:
            return None
        if len(self._buffer) > self._left:
            return self._read_length()
        body, self._buffer = bytes(self._buffer), b""
        self._state = _DONE
        return body

    def next_event(self) -> Event:
        """Say what has been received next. Raises `RemoteProtocolError`."""
        try:
            state = self._state
            if state == _LENGTH:
                return self._read_length() if self._buffer else self._miss_length()
            if state == _HEAD:
                return self._read_head()
            if state == _CHUNKED:
                return self._read_chunks()
            if state == _UNTIL_EOF:
                return self._read_until_eof()
        except RemoteProtocolError:
            self._state = _FAILED
            raise
        if state == _IDLE:
            raise LocalProtocolError("no request has been sent yet")
        if state == _FAILED:
            raise RemoteProtocolError("this connection has failed before")
        return END

    def _read_head(self) -> Event:
        buffer = self._buffer
        end = find_end(buffer, self._searched)
        if end < 0:
            check_incomplete(buffer, self._eof, self._max_head_bytes)
            self._searched = max(0, len(buffer) - 3)
            return NEED_DATA
        head = bytes(buffer[:end])
        self._buffer = buffer[end:]
        self._searched = 0
        check(head, self._max_head_bytes)
        parsed = self._parse_head(head)
        if len(parsed.headers) > self._max_header_count:
            raise RemoteProtocolError(f"more than {self._max_header_count} header fields")
        status = parsed.status
        if status < 200 and status != 101:
            check_coding(parsed.headers)
            return self._informational(parsed, len(head))
        self.awaiting_continue = False
        if status == 101 or (status < 300 and self._plan.connect):
            check_coding(parsed.headers)
            self._switch(status)
        else:
            self._frame_body(status, Framing(parsed.headers, parsed.http_version))
        return parsed

    def _frame_body(self, status: int, framing: Framing) -> None:
        """RFC 9112, section 6.3, in its order; rule 2, CONNECT, has been dealt with."""
        plan = self._plan
        self._persists = framing.persists and not plan.close and self.request_complete
        self.keep_alive_timeout = framing.timeout
        length = framing.length
        if plan.head or status == 304:
            self._state = _DONE
        elif status == 204:
            self._state = _DONE
            if framing.chunked or length:  # section 6.1, and RFC 9110, section 8.6
                self._persists = False
        elif framing.chunked:
            self._state = _CHUNKED
            self._chunks = ChunkedDecoder(self._max_head_bytes, self._max_header_count)
        elif length is not None:
            self._state = _LENGTH if length else _DONE
            self._left = length
            if length > LONG_READ_SIZE:
                self.read_size = LONG_READ_SIZE
        else:
            self._state = _UNTIL_EOF
            self._persists = False

    def _switch(self, status: int) -> None:
        """Leave HTTP: RFC 9110, sections 7.8 and 9.3.6."""
        if status == 101 and not self._plan.upgrade:
            raise RemoteProtocolError("the server switched protocols without being asked")
        if not self.request_complete:
            raise RemoteProtocolError("the server switched protocols before the request's end")
        self._state = _SWITCHED
        self.switched = True

    def _informational(self, head: ResponseHead, size: int) -> Informational:
        self._informational_count += 1
        self._informational_bytes += size
        if self._informational_count > MAX_INFORMATIONAL_COUNT:
            raise RemoteProtocolError("too many informational responses")
        if self._informational_bytes > MAX_INFORMATIONAL_BYTES:
            raise RemoteProtocolError("too many bytes of informational responses")
        if head.status == 100:
            self.awaiting_continue = False
        return Informational(head.status, head.reason, head.headers)

    def _read_length(self) -> bytes:
        """What has arrived of the body: something."""
        chunk = self._buffer
        size = len(chunk)
        if size > self._left:
            self._buffer = chunk[self._left :]
            chunk = chunk[: self._left]
            self._left = 0
        else:
            self._buffer = b""
            self._left -= size
        if not self._left:
            self._state = _DONE
        return bytes(chunk)

    def _miss_length(self) -> Event:
        if self._eof:
            raise RemoteProtocolError(
                f"the server disconnected with {self._left} bytes of the body missing"
            )
        return NEED_DATA

    def _read_chunks(self) -> Event:
        decoder = self._chunks
        assert decoder is not None
        body, self._buffer = decoder.decode(self._buffer)
        if decoder.complete:
            self._state = _DONE
            self.trailers = decoder.trailers
            return body or END
        if body:
            return body
        if self._eof:
            raise RemoteProtocolError(f"the server disconnected {decoder.missing}")
        return NEED_DATA

    def _read_until_eof(self) -> Event:
        chunk = self._buffer
        if chunk:
            self._buffer = b""
            return bytes(chunk)
        if self._eof:
            self._state = _DONE
            return END
        return NEED_DATA

    # Afterwards

    @property
    def keep_alive(self) -> bool:
        """Whether another request may be sent: RFC 9112, section 9.3, and nothing left over."""
        return (
            self._persists
            and (self._state == _DONE or self._state == _IDLE)
            and self.request_complete
            and not self._buffer
            and not self._eof
        )

    @property
    def response_complete(self) -> bool:
        """Whether the whole response has been received, its body read or not."""
        return self._state == _DONE

    def may_drain(self, limit: int) -> bool:
        """Whether reading at most `limit` more bytes may make the connection usable again."""
        return (
            self._persists
            and self.request_complete
            and self._state in (_LENGTH, _CHUNKED, _DONE)
            and limit >= (self.remaining or 0)
        )

    @property
    def remaining(self) -> int | None:
        """How many bytes of the body are still to come; None if that is not known."""
        if self._state == _LENGTH:
            return self._left
        return 0 if self._state == _DONE else None

    def leftover(self) -> bytes:
        """Take what was received after the head of the response that switched protocols."""
        left, self._buffer = bytes(self._buffer), b""
        return left


@functools.lru_cache(maxsize=64)
def protocol_maker(
    engine: str, max_head_bytes: int, max_header_count: int
) -> Callable[[], HTTP11Protocol]:
    """What makes such objects: one for all connections with these settings."""
    _, head_parser = choose_engine(engine)
    return functools.partial(HTTP11Protocol, head_parser, max_head_bytes, max_header_count)
