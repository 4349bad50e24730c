"""The server's end of one HTTP/2 connection, frame by frame, for a script that runs in a thread.

Whatever the script, a link checks what the client does: frames are whole, DATA keeps within the
windows and streams within the limit, as far as the client has acknowledged them. It acknowledges
SETTINGS, answers PINGs and grants windows anew by itself, unless `acks`, `pongs` or `grants` are
false.

Rules of this file: it never waits in a write without reading, so that no client can blame it for a
deadlock; every wait ends when the server stops, or fails after `LIMIT` seconds.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from httpcore_core.testing import peer as wire
from tests.http2_request import INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, Bodies, Request
from tests.http2_wire import Wire
from tests.protocol.http2_peer import PREFACE, Peer

if TYPE_CHECKING:
    from tests.http2_server import HTTP2Server

LIMIT = 60.0
"""Seconds until a script that waits for the client fails."""

STEP = 0.005
"""Seconds between two looks at a condition that something else than the network may fulfil."""

_header = struct.Struct(">HBBBL")


class Link:
    """The server's end of one connection, for its script. All waiting methods raise `ClientLeft`
    when the client has ended the connection.

    What was read: `frames`, `requests` (heads), `resets` (stream: code), `goaways` (codes) and
    `pings`; of the rest, see `peer`, which also builds frames. `peak_streams` is the most that were
    open at once, `window` what the client lets us send, `torn` that it ended inside a frame.
    """

    def __init__(self, server: HTTP2Server, connection: wire.Peer) -> None:
        self.server = server
        self.number = connection.number
        self.connection = connection
        self.peer = Peer()
        self.peer.bodies = Bodies()
        self.acks = self.pongs = self.grants = True
        self.requests: list[Request] = []
        self.pings: list[bytes] = []
        self.resets = self.peer.resets
        self.goaways = self.peer.goaways
        self.peak_streams = 0
        self.torn = False
        self.closed = False
        self.window = 65535
        self.windows: dict[int, int] = {}
        self.on_data: Callable[[bytes], object] = self._receive
        self._wire = Wire(connection._socket, server.context(connection.number))
        self._unread = bytearray()
        self._new: deque[Request] = deque()
        self._cursor = 0
        self._open: set[int] = set()  # neither both sides have ended nor one has reset
        self._ended: set[int] = set()  # by us
        self._unacked: deque[dict[int, int]] = deque()
        self._initial = 65535  # of the windows that the client gives us
        self._granted = 65535  # what the client may send, all in all
        self._grants: dict[int, int] = {}  # and on each stream
        self._initial_grant = 65535
        self._stream_limit = 2**31
        self._is_greeted = False  # our SETTINGS go first: until then, replies are kept
        self._replies: list[bytes] = []

    # Reading

    @property
    def frames(self) -> list[Frame]:
        return self.peer.frames

    @property
    def open_streams(self) -> int:
        return len(self._open)

    @property
    def is_acked(self) -> bool:
        """Whether the client has acknowledged all our SETTINGS."""
        return not self._unacked

    @property
    def ended(self) -> str:
        """How the client ended the connection: ``"FIN"``, ``"RST"``, or ``""``."""
        return self._wire.ended

    @property
    def alpn(self) -> str | None:
        sslobj = self._wire.ssl_object
        return None if sslobj is None else sslobj.selected_alpn_protocol()

    @property
    def reading(self) -> bool:
        """Set it to false, and the client's bytes stay in the network."""
        return self._wire.reading

    @reading.setter
    def reading(self, value: bool) -> None:
        self._wire.reading = value

    @property
    def unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._wire.unsent

    def next_request(self) -> Request:
        """The next request, as soon as its head is there."""
        self.wait_for(lambda: self._new)
        return self._new.popleft()

    def has_request(self) -> bool:
        return bool(self._new)

    def next_frame(self, kind: type[Frame] = Frame) -> Any:
        """The next frame, of that kind: those before it are skipped."""
        while True:
            self.wait_for(lambda: len(self.frames) > self._cursor)
            self._cursor += 1
            if isinstance(self.frames[self._cursor - 1], kind):
                return self.frames[self._cursor - 1]

    def body(self, stream_id: int) -> bytes:
        """All of a request's body."""
        self.wait_for(lambda: stream_id in self.peer.ended or stream_id in self.resets)
        assert stream_id not in self.resets, "the client reset the stream"
        return bytes(self.peer.bodies[stream_id])

    def reset_of(self, stream_id: int) -> int:
        """Wait until the client resets the stream; returns the code."""
        self.wait_for(lambda: stream_id in self.resets)
        return self.resets[stream_id]

    def wait_for(self, condition: Callable[[], object] | threading.Event) -> None:
        """Read on until the condition holds or the event is set; other threads may see to it."""
        check = condition.is_set if isinstance(condition, threading.Event) else condition
        deadline = time.monotonic() + LIMIT
        while not check():
            assert time.monotonic() < deadline, f"waited for {LIMIT:g} s"
            self.step()

    def wait_for_end(self) -> None:
        """Read on until the client ends the connection, which raises `ClientLeft`."""
        while True:
            self.step()

    def step(self, timeout: float = STEP) -> None:
        """Write and read once what there is."""
        self.connection.pause(0)
        data = self._wire.pump(timeout)
        if data:
            self.on_data(data)
        if self._wire.ended and not data:
            self.torn = bool(self._unread)
            raise wire.ClientLeft("the client ended the connection")

    # Sending

    def send(self, *parts: bytes, flush: bool = True) -> None:
        """Whole frames, in one write; what the protocol makes of them is kept track of."""
        data = b"".join(parts)
        self._keep_track(data)
        if self._is_greeted and self._replies:
            data += b"".join(self._replies)
            self._replies = []
        self.send_raw(data, flush=flush)

    def send_raw(self, data: bytes, *, flush: bool = True) -> None:
        """Any bytes."""
        self._wire.send(data)
        if flush:
            self.wait_for(lambda: not self._wire.unsent)

    def drip(self, data: bytes, interval: float = 0.0, size: int = 1) -> None:
        """Whole frames, in pieces of `size` bytes, each in a segment of its own."""
        self._keep_track(data)
        for start in range(0, len(data), size):
            self.send_raw(data[start : start + size])
            deadline = time.monotonic() + interval
            self.wait_for(lambda until=deadline: time.monotonic() >= until)

    def send_body(self, stream_id: int, data: bytes, *, end: bool = True) -> None:
        """DATA frames as the client's windows allow; waits for them."""
        view, at = memoryview(data), 0
        while at < len(view):
            self.wait_for(lambda: self.room(stream_id) > 0 or stream_id in self.resets)
            assert stream_id not in self.resets, "the client reset the stream"
            size = min(len(view) - at, self.room(stream_id), 16384)
            last = end and at + size == len(view)
            self.send(self.peer.data(stream_id, bytes(view[at : at + size]), end=last), flush=False)
            at += size
        if end and not data:
            self.send(self.peer.data(stream_id, b"", end=True), flush=False)
        self.wait_for(lambda: not self._wire.unsent)

    def room(self, stream_id: int) -> int:
        """How much DATA the client's windows allow now on that stream."""
        return min(self.window, self.windows[stream_id])

    def answer(self, request: Request, body: bytes = b"", *fields: tuple[bytes, bytes]) -> None:
        """A whole response, within the windows."""
        if len(body) <= min(self.room(request.id), 16384):
            self.send(self.peer.response(request.id, body, *fields))
            return
        self.send(self.peer.headers(request.id, (b":status", b"200"), *fields))
        self.send_body(request.id, body)

    def answer_all(self) -> None:
        """Answer whatever comes with its own path, for ever."""
        while True:
            request = self.next_request()
            if request.id not in self.resets:
                self.answer(request, request.path)

    # Ending

    def close(self) -> None:
        """Both sides, after what was sent has left. What is unread makes it a reset."""
        self._wire.end()
        while self._wire.unsent and not self._wire.ended:
            self._wire.pump(STEP)
        self.closed = True
        self.connection.close()

    def half_close(self) -> None:
        """A FIN, while the client is still read from."""
        self._wire.end()
        self.wait_for(lambda: not self._wire.unsent)
        self.connection._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a RST."""
        self.closed = True
        self.connection.reset()

    # What it comes to

    def handshake(self) -> None:
        """TLS, where there is any; then our SETTINGS."""
        self._wire.handshake(self.step)
        if self.alpn != "http/1.1" and self.server.greets:
            self.send(self.peer.settings(self.server.settings))

    def _keep_track(self, data: bytes) -> None:
        at = 0
        while at + 9 <= len(data):
            high, low, kind, flags, stream_id = _header.unpack_from(data, at)
            size = high << 8 | low
            self._sent(kind, flags, stream_id, data[at + 9 : at + 9 + size])
            at += 9 + size

    def _sent(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == 0:
            self.window -= len(payload)
            self.windows[stream_id] = self.windows.get(stream_id, self._initial) - len(payload)
        elif kind == 3:
            self._open.discard(stream_id)
        elif kind == 4 and not flags & 1:
            self._is_greeted = True
            values = dict(struct.iter_unpack(">HL", payload))
            self._unacked.append(values)
            self._set_grant(values.get(INITIAL_WINDOW_SIZE, -1), more=True)
            limit = values.get(MAX_CONCURRENT_STREAMS, -1)
            self._stream_limit = max(self._stream_limit, limit)
        elif kind == 8 and len(payload) == 4:
            increment = int.from_bytes(payload, "big")
            if stream_id:
                self._grants[stream_id] = (
                    self._grants.get(stream_id, self._initial_grant) + increment
                )
            else:
                self._granted += increment
        if kind in (0, 1) and flags & 1:
            self._ended.add(stream_id)
            if stream_id in self.peer.ended:
                self._open.discard(stream_id)

    def _set_grant(self, value: int, *, more: bool) -> None:
        """A larger window counts as soon as it is said, a smaller one when it is acknowledged."""
        if value < 0 or (value > self._initial_grant) != more:
            return
        for number in self._grants:
            self._grants[number] += value - self._initial_grant
        self._initial_grant = value

    def _receive(self, data: bytes) -> None:
        self._unread += data
        unread, at = self._unread, 0
        if not self.frames:
            if len(unread) < len(PREFACE):
                assert PREFACE.startswith(unread), bytes(unread)
                return
            at = len(PREFACE)
        whole = 0
        while at + 9 <= len(unread):
            end = at + 9 + (unread[at] << 16 | unread[at + 1] << 8 | unread[at + 2])
            if end > len(unread):
                break
            at = whole = end
        if whole:
            taken = bytes(unread[:whole])
            del unread[:whole]
            for found in self.peer.read(taken):
                self._react(found)

    def _react(self, found: Frame) -> None:
        number = found.stream_id
        if isinstance(found, SettingsFrame):
            self._settings(found)
        elif isinstance(found, PingFrame) and "ACK" not in found.flags:
            self.pings.append(found.opaque_data)
            if self.pongs:
                self._reply(self.peer.ping(found.opaque_data, ack=True))
        elif isinstance(found, WindowUpdateFrame) and number:
            self.windows[number] = self.windows.get(number, self._initial) + found.window_increment
        elif isinstance(found, WindowUpdateFrame):
            self.window += found.window_increment
        elif isinstance(found, HeadersFrame | ContinuationFrame) and "END_HEADERS" in found.flags:
            if number not in self.windows:
                self._opened(number)
        elif isinstance(found, DataFrame):
            self._data(found)
        elif isinstance(found, RstStreamFrame):
            self._open.discard(number)
        if number in self.peer.ended and number in self._ended:
            self._open.discard(number)

    def _reply(self, *parts: bytes) -> None:
        if self._is_greeted:
            self.send(*parts, flush=False)
        else:
            self._replies += parts

    def _settings(self, found: SettingsFrame) -> None:
        if "ACK" in found.flags:
            values = self._unacked.popleft()
            self._set_grant(values.get(INITIAL_WINDOW_SIZE, -1), more=False)
            self._stream_limit = values.get(MAX_CONCURRENT_STREAMS, self._stream_limit)
            return
        initial = found.settings.get(INITIAL_WINDOW_SIZE, self._initial)
        for number in self.windows:
            self.windows[number] += initial - self._initial
        self._initial = initial
        if self.acks:
            self._reply(self.peer.settings(ack=True))

    def _opened(self, number: int) -> None:
        request = Request(number, self.peer.requests[number])
        self.windows[number] = self._initial
        self._grants.setdefault(number, self._initial_grant)
        self._open.add(number)
        self.peak_streams = max(self.peak_streams, len(self._open))
        assert len(self._open) <= self._stream_limit, "more streams than the limit"
        self.requests.append(request)
        self._new.append(request)

    def _data(self, found: DataFrame) -> None:
        size, number = found.flow_controlled_length, found.stream_id
        self._granted -= size
        self._grants[number] -= size
        assert self._granted >= 0, "DATA beyond the connection's window"
        assert self._grants[number] >= 0, "DATA beyond the stream's window"
        if self.grants and size:
            updates = [self.peer.window_update(0, size)]
            if number not in self.peer.ended and number not in self.resets:
                updates.append(self.peer.window_update(number, size))
            self._reply(*updates)
