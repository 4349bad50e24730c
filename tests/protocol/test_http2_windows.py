"""Flow control over HTTP/2, both ways: T2, T6, T12, and C09, C10, C14-C16, C30 of the faults."""

from __future__ import annotations

import random

import pytest

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._models import Headers
from httpcore_core._protocol.http2 import NEED_DATA
from httpcore_core._protocol.http2_sender import SEND_SIZE
from tests.protocol.http2_peer import (
    CANCEL,
    FLOW_CONTROL_ERROR,
    OK,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    Exchange,
)
from tests.protocol.wire import Stream

INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5
KIB = 1024


# What the server may send


def test_t6_stream_window_is_granted_as_it_is_read() -> None:
    """Nothing is granted for what nobody has read; what has been is granted by halves."""
    exchange = Exchange(stream_window=64 * KIB)
    stream = exchange.open()
    peer = exchange.peer
    exchange.flush()
    peer.granted.clear()
    exchange.say(peer.headers(1, OK), peer.body(1, b"x" * 32 * KIB, end=False))
    exchange.flush()
    assert peer.granted == {}
    assert len(exchange.read(stream).body) == 32 * KIB
    exchange.flush()
    assert peer.granted == {1: 32 * KIB}
    exchange.say(peer.body(1, b"x" * 64 * KIB))
    assert len(exchange.read(stream).body) == 64 * KIB
    exchange.flush()
    assert peer.granted == {1: 32 * KIB}, "nothing is granted to a stream that has ended"


def test_t6_slow_reader_delays_nobody() -> None:
    """All streams but one unread to the limit of their windows, and the last works on."""
    exchange = Exchange(stream_window=64 * KIB, connection_window=640 * KIB)
    peer = exchange.peer
    slow = [exchange.open() for _ in range(9)]
    for stream in slow:
        exchange.say(peer.headers(stream.id, OK), peer.body(stream.id, b"s" * 64 * KIB, end=False))
    fast = exchange.open()
    exchange.say(peer.headers(fast.id, OK))
    for _ in range(50):
        exchange.say(peer.body(fast.id, b"f" * 32 * KIB, end=False))
        assert len(exchange.read(fast).body) == 32 * KIB
    assert exchange.protocol.error is None
    for stream in slow:
        assert exchange.read(stream).body == b"s" * 64 * KIB
    exchange.still_works()


def test_t2_abandoned_bodies_leave_the_window_whole() -> None:
    """C30: whatever was not read, and what comes after the reset, is granted again."""
    exchange = Exchange(stream_window=1024 * KIB, connection_window=2048 * KIB)
    peer = exchange.peer
    received = 0
    for _ in range(50):
        stream = exchange.open()
        exchange.say(peer.headers(stream.id, OK), peer.body(stream.id, b"x" * 512 * KIB, end=False))
        exchange.protocol.close_stream(stream)
        late = peer.body(stream.id, b"x" * 500 * KIB, end=False)
        exchange.say(late, peer.data(stream.id, b"x", pad=255))
        exchange.flush()
        received += 1012 * KIB + 257
        window = 2048 * KIB + peer.granted[0] - (2048 * KIB - 65535) - received
        assert window >= 1024 * KIB, "at least half of the window is open"
    assert exchange.protocol.capacity == 100
    exchange.still_works()


def test_c30_data_after_goaway_is_granted() -> None:
    exchange = Exchange(stream_window=64 * KIB, connection_window=128 * KIB)
    peer = exchange.peer
    streams = [exchange.open(), exchange.open()]
    exchange.flush()
    peer.granted.clear()
    exchange.say(peer.headers(1, OK), peer.headers(3, OK), peer.goaway(1))
    exchange.say(peer.body(3, b"late" * 16 * KIB, end=False))
    exchange.flush()
    assert peer.granted == {0: 64 * KIB}
    exchange.say(peer.data(1, b"x", end=True))
    assert exchange.read(streams[0]).complete


def test_padding_counts() -> None:
    """Section 6.9.1: padding is part of what the windows measure, and nobody can read it."""
    exchange = Exchange(stream_window=64 * KIB, connection_window=64 * KIB)
    peer = exchange.peer
    stream = exchange.open()
    exchange.say(peer.headers(1, OK))
    for _ in range(1000):
        exchange.say(peer.data(1, b"x" * 10, pad=255))
        exchange.read(stream)
        exchange.flush()
    assert exchange.protocol.error is None
    for _ in range(1000):  # nothing but padding
        exchange.say(peer.data(1, b"", pad=255))
        exchange.flush()
    assert exchange.protocol.error is None
    exchange.say(peer.data(1, b"x", end=True))
    assert exchange.read(stream).complete


def test_memory_of_tiny_frames_is_that_of_their_bytes() -> None:
    """I8: a hundred thousand frames of one byte are no hundred thousand objects."""
    exchange = Exchange()
    stream = exchange.open()
    exchange.say(exchange.peer.headers(1, OK))
    for _ in range(100):
        exchange.say(exchange.peer.data(1, b"x") * 1000)
    assert len(stream._chunks) <= 200
    assert exchange.protocol.next_event(stream) is not NEED_DATA
    assert exchange.read(stream).body == b"x" * 100_000


def test_c16_more_than_the_stream_window() -> None:
    exchange = Exchange(stream_window=64 * KIB)
    stream = exchange.open()
    other = exchange.open()
    peer = exchange.peer
    exchange.say(peer.headers(1, OK), peer.body(1, b"x" * (64 * KIB + 1), end=False))
    answer = exchange.read(stream)
    assert len(answer.body) == 64 * KIB
    assert isinstance(answer.error, RemoteProtocolError)
    assert "FLOW_CONTROL_ERROR" in str(answer.error)
    exchange.flush()
    assert peer.resets == {1: FLOW_CONTROL_ERROR}
    exchange.say(peer.response(other.id))
    assert exchange.read(other).complete
    exchange.still_works()


def test_c16_more_than_the_connection_window() -> None:
    exchange = Exchange(stream_window=128 * KIB, connection_window=128 * KIB)
    streams = [exchange.open(), exchange.open()]
    peer = exchange.peer
    for stream in streams:
        exchange.say(peer.headers(stream.id, OK), peer.body(stream.id, b"x" * 65 * KIB, end=False))
    exchange.failed_with(FLOW_CONTROL_ERROR)


def test_c38_data_after_the_end_of_the_stream() -> None:
    """Where no reset excuses it, it is a connection error: section 5.1."""
    exchange = Exchange()
    exchange.open()
    exchange.say(exchange.peer.response(1))
    exchange.say(exchange.peer.data(1, b"x"))
    exchange.failed_with(STREAM_CLOSED)


def test_t11_late_data_is_bounded() -> None:
    """After a reset the server may send what it had been allowed to, and not more."""
    exchange = Exchange(stream_window=64 * KIB, connection_window=1024 * KIB)
    stream = exchange.open()
    exchange.protocol.close_stream(stream)
    exchange.say(exchange.peer.body(1, b"x" * 64 * KIB, end=False))
    assert exchange.protocol.error is None
    exchange.say(exchange.peer.data(1, b"x"))
    exchange.failed_with(STREAM_CLOSED)


# What we may send


def test_t12_upload_obeys_the_stream_window() -> None:
    exchange = Exchange({INITIAL_WINDOW_SIZE: 10})
    protocol, peer = exchange.protocol, exchange.peer
    stream = exchange.open(b"POST", stream=Stream())
    assert protocol.send_data(stream, b"0123456789abcde") == 10
    assert protocol.send_data(stream, b"abcde") == 0
    assert exchange.say(peer.window_update(1, 3)) == [stream]
    assert protocol.send_data(stream, b"abcde") == 3
    assert exchange.say(peer.window_update(1, 9)) == [stream]
    assert protocol.send_data(stream, b"de", end_stream=True) == 2
    exchange.flush()
    assert peer.bodies[1] == b"0123456789abcde"
    assert peer.ended == {1}


def test_t12_upload_obeys_the_connection_window() -> None:
    """C42: an update for the connection wakes every stream that waits, and only those."""
    exchange = Exchange({INITIAL_WINDOW_SIZE: 10**6})
    protocol, peer = exchange.protocol, exchange.peer
    streams = [exchange.open(b"POST", stream=Stream()) for _ in range(3)]
    assert protocol.send_data(streams[0], b"x" * 70000) == 65535
    assert protocol.send_data(streams[1], b"x") == 0
    assert exchange.say(peer.window_update(0, 10)) == streams[:2]
    assert protocol.send_data(streams[1], b"y" * 20) == 10
    assert protocol.send_data(streams[0], b"z") == 0
    exchange.flush()
    assert {number: len(body) for number, body in peer.bodies.items()} == {1: 65535, 3: 10, 5: 0}


def test_c14_window_lowered_and_raised() -> None:
    """Section 6.9.2: windows may become negative, and open again by SETTINGS."""
    exchange = Exchange()
    protocol, peer = exchange.protocol, exchange.peer
    stream = exchange.open(b"POST", stream=Stream())
    assert protocol.send_data(stream, b"x" * 60000) == 60000
    exchange.say(peer.settings({INITIAL_WINDOW_SIZE: 100}))
    assert protocol.send_data(stream, b"y" * 200) == 0
    exchange.say(peer.window_update(0, 10**6))
    assert protocol.send_data(stream, b"y" * 200) == 0
    assert exchange.say(peer.window_update(1, 59900)) == [stream]
    assert protocol.send_data(stream, b"y" * 200) == 0
    assert exchange.say(peer.settings({INITIAL_WINDOW_SIZE: 250})) == [stream]
    assert protocol.send_data(stream, b"y" * 200) == 150
    exchange.flush()
    assert peer.bodies[1] == b"x" * 60000 + b"y" * 150
    exchange.still_works()


@pytest.mark.parametrize("headers", [[], [(b"Transfer-Encoding", b"chunked")]])
def test_c14_end_of_a_body_needs_no_window(headers: Headers) -> None:
    """Not even a window that is not negative, be it an empty frame or trailers."""
    exchange = Exchange()
    stream = exchange.open(b"POST", headers=headers, stream=Stream())
    assert exchange.protocol.send_data(stream, bytes(60000)) == 60000
    exchange.say(exchange.peer.settings({INITIAL_WINDOW_SIZE: 0}))
    exchange.protocol.end_stream(stream, [(b"X-Sum", b"7")] if headers else None)
    exchange.flush()
    assert exchange.peer.ended == {1}
    exchange.still_works()


def test_c15_window_never_opened() -> None:
    exchange = Exchange({INITIAL_WINDOW_SIZE: 0})
    stream = exchange.open(b"POST", stream=Stream())
    assert exchange.protocol.send_data(stream, b"x") == 0
    assert stream.may_send_body
    exchange.protocol.close_stream(stream)
    exchange.flush()
    assert exchange.peer.resets == {1: CANCEL}
    exchange.still_works()


def test_upload_is_taken_in_portions() -> None:
    """However large the windows, a body in memory is not copied to the queue as a whole."""
    exchange = Exchange({INITIAL_WINDOW_SIZE: 2**31 - 1, MAX_FRAME_SIZE: 2**24 - 1})
    exchange.say(exchange.peer.window_update(0, 2**30))
    stream = exchange.open(b"POST", stream=Stream())
    body = bytes(10 * SEND_SIZE)
    assert exchange.protocol.send_data(stream, body, end_stream=True) == SEND_SIZE
    assert max(found.body_len for found in exchange.flush()) <= 64 * KIB
    assert exchange.peer.ended == set()
    assert exchange.say(exchange.peer.window_update(0, 1)) == []


def test_t12_sixteen_uploads_and_downloads() -> None:
    """Byte-exact under small windows that open in random steps."""
    rng = random.Random(12)
    exchange = Exchange({INITIAL_WINDOW_SIZE: 5000}, stream_window=9000)
    protocol, peer = exchange.protocol, exchange.peer
    bodies = {}
    for number in range(16):
        stream = exchange.open(b"POST", stream=Stream())
        bodies[stream] = rng.randbytes(20000 + number)
        exchange.say(peer.headers(stream.id, OK))
    sent = dict.fromkeys(bodies, 0)
    answers = dict.fromkeys(bodies, b"")
    while any(not stream.closed for stream in bodies):
        stream = rng.choice([stream for stream in bodies if not stream.closed])
        if stream.may_send_body:
            rest = memoryview(bodies[stream])[sent[stream] :]
            sent[stream] += protocol.send_data(stream, rest, end_stream=True)
        exchange.flush()
        exchange.say(peer.window_update(stream.id, rng.randrange(1, 3000)))
        exchange.say(peer.window_update(0, rng.randrange(1, 3000)))
        body = peer.bodies[stream.id]
        echo = body[len(answers[stream]) :][:9000]
        end = stream.id in peer.ended and len(answers[stream]) + len(echo) == len(body)
        exchange.say(peer.data(stream.id, echo, end=end))
        answers[stream] += exchange.read(stream).body
    assert answers == bodies
    exchange.still_works()


def test_c09_window_update_of_zero() -> None:
    exchange = Exchange()
    stream = exchange.open()
    exchange.say(exchange.peer.window_update(1, 0))
    assert isinstance(exchange.read(stream).error, RemoteProtocolError)
    exchange.flush()
    assert exchange.peer.resets == {1: PROTOCOL_ERROR}
    exchange.still_works()
    exchange.say(exchange.peer.window_update(0, 0))
    exchange.failed_with(PROTOCOL_ERROR)


@pytest.mark.parametrize("body", [None, Stream()])
def test_c10_window_overflow(body: Stream | None) -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST" if body else b"GET", stream=body)
    exchange.say(exchange.peer.window_update(1, 2**31 - 1))
    answer = exchange.read(stream)
    assert isinstance(answer.error, RemoteProtocolError)
    assert not stream.may_send_body
    exchange.flush()
    assert exchange.peer.resets == {1: FLOW_CONTROL_ERROR}
    exchange.still_works()
    exchange.say(exchange.peer.window_update(0, 2**31 - 1))
    exchange.failed_with(FLOW_CONTROL_ERROR)


def test_c10_window_overflow_by_settings() -> None:
    exchange = Exchange()
    exchange.open(b"POST", stream=Stream())
    exchange.say(exchange.peer.window_update(1, 2**30))
    exchange.say(exchange.peer.settings({INITIAL_WINDOW_SIZE: 2**31 - 1}))
    exchange.failed_with(FLOW_CONTROL_ERROR)


def test_late_window_updates_are_ignored() -> None:
    exchange = Exchange()
    exchange.open()
    exchange.say(exchange.peer.response(1))
    exchange.say(exchange.peer.window_update(1, 5), exchange.peer.window_update(1, 0))
    exchange.still_works()


def test_many_window_updates_for_an_upload_are_no_flood() -> None:
    """Some servers grant every few hundred bytes, twice."""
    exchange = Exchange({INITIAL_WINDOW_SIZE: 2**24})
    peer = exchange.peer
    exchange.say(peer.window_update(0, 2**24))
    stream = exchange.open(b"POST", stream=Stream())
    for _ in range(40):
        assert exchange.protocol.send_data(stream, bytes(SEND_SIZE)) == SEND_SIZE
        exchange.flush()
        step = peer.window_update(0, 512) + peer.window_update(1, 512)
        exchange.say(step * (SEND_SIZE // 512))
        assert exchange.protocol.error is None
