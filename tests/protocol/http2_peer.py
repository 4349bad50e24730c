"""A scripted HTTP/2 server at the level of frames: what it reads, what it says, legal or not.

Rules of this file: pure, built on `hyperframe` and `hpack` and never on `h2`, so that it can say
what `h2` would not. `Peer` reads what a client sends and builds what a server might; `Exchange`
puts one to a protocol object and hands the bytes to and fro.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from httpcore_core._exceptions import TransportError
from httpcore_core._models import Headers
from httpcore_core._protocol.http2 import (
    END,
    NEED_DATA,
    HTTP2Options,
    HTTP2Protocol,
    HTTP2Stream,
    Informational,
    ResponseHead,
)
from tests.protocol.wire import plan

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OK = (b":status", b"200")
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED = 11, 13


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Any frame, whether it makes sense or not."""
    size = len(payload)
    return struct.pack(">HBBBL", size >> 8, size & 0xFF, kind, flags, stream_id) + payload


class Peer:
    """A server's end. What it has read is in `frames`, in order, and by kind in the rest."""

    def __init__(self) -> None:
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.frames: list[Frame] = []
        self.requests: dict[int, Headers] = {}
        self.trailers: dict[int, Headers] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaways: list[int] = []
        self.granted: dict[int, int] = {}
        self._unread = b""
        self._greeted = False
        self._block = b""

    # Reading

    def read(self, data: bytes) -> list[Frame]:
        """Take what the client sent, which must be whole frames; returns them."""
        if data and not self._greeted:
            assert data.startswith(PREFACE)
            data = data[len(PREFACE) :]
            self._greeted = True
        found = []
        view = memoryview(data)
        while view:
            assert len(view) >= 9, "half a frame was sent"
            parsed, size = Frame.parse_frame_header(view[:9])
            assert len(view) >= 9 + size, "half a frame was sent"
            parsed.parse_body(view[9 : 9 + size])
            view = view[9 + size :]
            found.append(parsed)
            self._note(parsed)
        self.frames += found
        return found

    def _note(self, found: Frame) -> None:
        number = found.stream_id
        if isinstance(found, HeadersFrame | ContinuationFrame):
            self._block += found.data
            if "END_HEADERS" in found.flags:
                fields = [
                    (name, value) for name, value in self.decoder.decode(self._block, raw=True)
                ]
                self._block = b""
                assert number not in self.trailers
                place = self.trailers if number in self.requests else self.requests
                place[number] = fields
                self.bodies.setdefault(number, b"")
        elif isinstance(found, DataFrame):
            assert number not in self.ended
            self.bodies[number] += found.data
        elif isinstance(found, RstStreamFrame):
            assert number not in self.resets
            self.resets[number] = found.error_code
        elif isinstance(found, GoAwayFrame):
            self.goaways.append(found.error_code)
        elif isinstance(found, WindowUpdateFrame):
            assert number not in self.resets
            self.granted[number] = self.granted.get(number, 0) + found.window_increment
        if isinstance(found, HeadersFrame | DataFrame) and "END_STREAM" in found.flags:
            self.ended.add(number)

    # Saying

    def settings(self, values: dict[int, int] | None = None, *, ack: bool = False) -> bytes:
        return SettingsFrame(0, settings=values or {}, flags=["ACK"] if ack else []).serialize()

    def headers(
        self, stream_id: int, *fields: tuple[bytes, bytes], end: bool = False, cut: int = 0
    ) -> bytes:
        """A field section as it is, in one frame or, with `cut`, in pieces of so many bytes."""
        return self.block(stream_id, self.encoder.encode(fields), end=end, cut=cut)

    def block(self, stream_id: int, block: bytes, *, end: bool = False, cut: int = 0) -> bytes:
        cut = cut or max(len(block), 1)
        pieces = [block[at : at + cut] for at in range(0, len(block), cut)] or [b""]
        flags = 0x1 if end else 0
        if len(pieces) == 1:
            return frame(1, flags | 0x4, stream_id, block)
        middle = b"".join(frame(9, 0, stream_id, piece) for piece in pieces[1:-1])
        return frame(1, flags, stream_id, pieces[0]) + middle + frame(9, 0x4, stream_id, pieces[-1])

    def data(self, stream_id: int, data: bytes, *, end: bool = False, pad: int = 0) -> bytes:
        if not pad:
            return frame(0, 0x1 if end else 0, stream_id, data)
        padded = bytes([pad]) + data + bytes(pad)
        return frame(0, 0x9 if end else 0x8, stream_id, padded)

    def response(self, stream_id: int, body: bytes = b"", *fields: tuple[bytes, bytes]) -> bytes:
        """A whole response in as few frames as it takes."""
        if not body:
            return self.headers(stream_id, OK, *fields, end=True)
        return self.headers(stream_id, OK, *fields) + self.body(stream_id, body)

    def body(self, stream_id: int, body: bytes, *, end: bool = True) -> bytes:
        pieces = [body[at : at + 16384] for at in range(0, len(body), 16384)]
        last = len(pieces) - 1
        return b"".join(
            self.data(stream_id, piece, end=end and number == last)
            for number, piece in enumerate(pieces)
        )

    def reset(self, stream_id: int, code: int) -> bytes:
        return frame(3, 0, stream_id, struct.pack(">L", code))

    def goaway(self, last: int, code: int = NO_ERROR, debug: bytes = b"") -> bytes:
        return frame(7, 0, 0, struct.pack(">LL", last, code) + debug)

    def window_update(self, stream_id: int, increment: int) -> bytes:
        return frame(8, 0, stream_id, struct.pack(">L", increment))

    def ping(self, payload: bytes = b"12345678", *, ack: bool = False) -> bytes:
        return PingFrame(0, payload, flags=["ACK"] if ack else []).serialize()


class Answer:
    """What came of one stream so far."""

    def __init__(self, stream: HTTP2Stream) -> None:
        self.stream = stream
        self.interim: list[Informational] = []
        self.head: ResponseHead | None = None
        self.body = b""
        self.complete = False
        self.error: TransportError | None = None


class Exchange:
    """A protocol object and a `Peer`, connected: the prefaces have been exchanged."""

    def __init__(self, settings: dict[int, int] | None = None, **options: Any) -> None:
        self.protocol = HTTP2Protocol(HTTP2Options(**options))
        self.peer = Peer()
        self.protocol.start()
        self.flush()
        self.say(self.peer.settings(settings), self.peer.settings(ack=True))
        self.flush()

    def flush(self) -> list[Frame]:
        """Let the peer read what is queued; returns the frames."""
        return self.peer.read(self.protocol.data_to_send())

    def say(self, *frames: bytes) -> list[HTTP2Stream]:
        """Let the protocol read `frames`, as one piece; returns the streams it names."""
        return self.protocol.receive_data(b"".join(frames))

    def open(self, *arguments: Any, protocol: bytes | None = None, **keywords: Any) -> HTTP2Stream:
        """Open a stream for `wire.plan(...)`, and let the peer read its head."""
        stream = self.protocol.open_stream(plan(*arguments, **keywords), protocol)
        self.flush()
        return stream

    def read(self, stream: HTTP2Stream) -> Answer:
        """Everything there is to be read on `stream`; the error, if it comes to that."""
        answer = Answer(stream)
        try:
            while (event := self.protocol.next_event(stream)) is not NEED_DATA:
                if event is END:
                    answer.complete = True
                    break
                if isinstance(event, Informational):
                    assert answer.head is None
                    answer.interim.append(event)
                elif isinstance(event, ResponseHead):
                    assert answer.head is None
                    assert not answer.body
                    answer.head = event
                else:
                    assert isinstance(event, bytes)
                    assert event
                    answer.body += event
        except TransportError as exc:
            answer.error = exc
        return answer

    def still_works(self) -> None:
        """Another exchange on the same connection succeeds, and leaves nothing behind."""
        assert self.protocol.error is None, self.protocol.error
        stream = self.open()
        self.say(self.peer.response(stream.id, b"fine", (b"content-length", b"4")))
        answer = self.read(stream)
        assert (answer.body, answer.complete, answer.error) == (b"fine", True, None)
        self.protocol.close_stream(stream)
        self.flush()
        assert stream.id not in self.peer.resets
        assert stream.id in self.peer.ended

    def failed_with(self, code: int) -> str:
        """The connection has failed, and the peer was told why; returns the error's text."""
        assert self.protocol.error is not None
        assert self.protocol.capacity == 0
        assert self.protocol.is_retiring
        assert self.protocol.open_streams == 0
        self.flush()
        assert self.peer.goaways == [code], self.protocol.error
        assert self.protocol.data_to_send() == b""
        return str(self.protocol.error)


def cut_up(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """`data` in pieces of random sizes, many of them small."""
    places = [0]
    while places[-1] < len(data):
        places.append(min(len(data), places[-1] + rng.choice((1, 2, 5, 9, 10, 50, 5000))))
    for start, end in pairwise(places):
        yield data[start:end]


def fields(*names_and_values: bytes) -> Iterable[tuple[bytes, bytes]]:
    """``fields(b"a: b", ...)`` as pairs."""
    for text in names_and_values:
        name, _, value = text.partition(b": ")
        yield name, value
