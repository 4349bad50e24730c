"""The protocol object and a server on `h2`, which checks all that it receives, connected by bytes.

The scripted peer of the other tests says what it is told to. This one has an opinion: whatever it
finds illegal in what we send, it raises.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes, Settings

from httpcore_core._models import ByteStream, Headers
from httpcore_core._protocol.http2 import (
    END,
    NEED_DATA,
    HTTP2Options,
    HTTP2Protocol,
    HTTP2Stream,
    ResponseHead,
)
from tests.protocol.http2_peer import cut_up
from tests.protocol.wire import Stream, plan


class Server:
    """Echoes every request: its fields and its body, or so many bytes as the path says."""

    def __init__(self, window: int) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
                SettingCodes.INITIAL_WINDOW_SIZE: window,
            },
        )
        self.h2.initiate_connection()
        self.requests: dict[int, dict[bytes, bytes]] = {}
        self.bodies: dict[int, bytes] = {}
        self.trailers: dict[int, Headers] = {}
        self.resets: list[int] = []
        self.to_send: dict[int, bytes] = {}

    def receive(self, data: bytes) -> None:
        ended = []
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.requests[event.stream_id] = dict(event.headers)
                self.bodies[event.stream_id] = b""
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] += event.data
                size = event.flow_controlled_length
                self.h2.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, TrailersReceived):
                self.trailers[event.stream_id] = list(event.headers)
            elif isinstance(event, StreamReset):
                self.resets.append(event.stream_id)
                self.to_send.pop(event.stream_id, None)
            elif isinstance(event, StreamEnded):
                ended.append(event.stream_id)
        for stream_id in ended:
            if stream_id not in self.resets:
                self.respond(stream_id)
        self.send()

    def respond(self, stream_id: int) -> None:
        request = self.requests[stream_id]
        size = int(request[b":path"].strip(b"/") or 0)
        body = random.Random(size).randbytes(size) or self.bodies[stream_id]
        bodiless = not body or request[b":method"] == b"HEAD"
        length = (b"content-length", b"%d" % len(body))
        self.h2.send_headers(stream_id, [(b":status", b"200"), length], end_stream=bodiless)
        if not bodiless:
            self.to_send[stream_id] = body

    def send(self) -> None:
        for stream_id, body in list(self.to_send.items()):
            while body and (room := self.h2.local_flow_control_window(stream_id)) > 0:
                piece = body[: min(room, 16384)]
                body = body[len(piece) :]
                self.h2.send_data(stream_id, piece, end_stream=not body, pad_length=None)
            self.to_send[stream_id] = body
            if not body:
                del self.to_send[stream_id]


class Pair:
    def __init__(self, **options: Any) -> None:
        self.rng = random.Random(1)
        self.server = Server(options.pop("server_window", 65535))
        self.client = HTTP2Protocol(HTTP2Options(**options))
        self.client.start()
        self.pump()

    def pump(self) -> bool:
        """Carry the bytes to and fro once; returns whether there were any."""
        sent = self.client.data_to_send()
        self.server.receive(sent)
        received = self.server.h2.data_to_send()
        for piece in cut_up(received, self.rng):
            self.client.receive_data(piece)
        return bool(sent or received)

    def whole(self, stream: HTTP2Stream, body: bytes = b"") -> tuple[ResponseHead, bytes]:
        """Send `body`, and read the whole response."""
        head: ResponseHead | None = None
        answer = b""
        rest = memoryview(body)
        while True:
            if stream.may_send_body:
                rest = rest[self.client.send_data(stream, rest, end_stream=True) :]
            self.pump()
            event = self.client.next_event(stream)
            if isinstance(event, ResponseHead):
                head = event
            elif isinstance(event, bytes):
                answer += event
            elif event is END:
                break
            else:
                assert event is NEED_DATA
        assert head is not None
        self.client.close_stream(stream)
        self.pump()
        return head, answer


def test_get_and_head() -> None:
    pair = Pair()
    for method in (b"GET", b"HEAD"):
        headers = [(b"Connection", b"keep-alive"), (b"TE", b"trailers"), (b"Cookie", b"a=b")]
        stream = pair.client.open_stream(plan(method, b"/500", headers))
        head, body = pair.whole(stream)
        assert head.status == 200
        assert len(body) == (500 if method == b"GET" else 0)
        assert pair.server.requests[stream.id][b"te"] == b"trailers"


@pytest.mark.parametrize("size", [0, 1, 16384, 65535, 65536, 400_000])
def test_bodies_of_all_sizes(size: int) -> None:
    """T12: uploads and downloads through windows that have to be opened again and again."""
    pair = Pair(stream_window=30000, connection_window=65535, server_window=20000)
    body = random.Random(size).randbytes(size)
    for stream_body in (ByteStream(body), Stream(body)):
        stream = pair.client.open_stream(plan(b"POST", stream=stream_body))
        assert pair.whole(stream, body) == (
            ResponseHead(b"HTTP/2", 200, b"", [(b"content-length", b"%d" % size)]),
            body,
        )
    stream = pair.client.open_stream(plan(b"GET", b"/%d" % size))
    assert len(pair.whole(stream)[1]) == size
    assert pair.server.resets == []


def test_trailers() -> None:
    pair = Pair()
    headers = [(b"Transfer-Encoding", b"chunked")]
    stream = pair.client.open_stream(plan(b"POST", headers=headers, stream=Stream()))
    pair.client.send_data(stream, b"x")
    pair.client.end_stream(stream, [(b"X-Sum", b"7")])
    pair.pump()
    assert pair.server.trailers[stream.id] == [(b"x-sum", b"7")]


def test_extended_connect() -> None:
    pair = Pair()
    stream = pair.client.open_stream(plan(target=b"/5"), protocol=b"websocket")
    pair.pump()
    assert pair.server.requests[stream.id][b":protocol"] == b"websocket"
    pair.client.close_stream(stream)
    pair.pump()
    assert pair.server.resets == [stream.id]


def test_t2_abandoned_downloads() -> None:
    """Whatever was on its way when the streams were closed, both windows end up whole."""
    pair = Pair(stream_window=100_000, connection_window=200_000)
    for number in range(50):
        stream = pair.client.open_stream(plan(target=b"/1000000"))
        for _ in range(number % 4):
            pair.pump()
        pair.client.close_stream(stream)
    while pair.pump():
        pass
    assert len(pair.server.resets) == 50
    stream = pair.client.open_stream(plan(target=b"/1000000"))
    assert len(pair.whole(stream)[1]) == 1_000_000
    assert pair.client.error is None
