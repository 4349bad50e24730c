"""How streams and connections end: T1, T3-T5, T7, T9, T10 and C18-C29 of the faults."""

from __future__ import annotations

import pickle

import pytest

from httpcore_core._exceptions import LocalProtocolError, ReadError, RemoteProtocolError
from httpcore_core._protocol import http2_state
from tests.protocol.http2_peer import (
    CANCEL,
    HTTP_1_1_REQUIRED,
    INTERNAL_ERROR,
    NO_ERROR,
    OK,
    REFUSED_STREAM,
    Exchange,
)
from tests.protocol.wire import Stream

MAX_CONCURRENT_STREAMS = 0x3
LENGTH_5 = [(b"Content-Length", b"5")]


# Streams


def test_t1_closed_early() -> None:
    """C29: 200 responses closed early, each reset, and the places are free again."""
    exchange = Exchange(max_concurrent_streams=2)
    peer = exchange.peer
    for _ in range(200):
        stream = exchange.open()
        exchange.say(peer.headers(stream.id, OK), peer.data(stream.id, b"x"))
        exchange.protocol.close_stream(stream)
        exchange.protocol.close_stream(stream)
    exchange.flush()
    assert len(peer.resets) == 200
    assert set(peer.resets.values()) == {CANCEL}
    assert exchange.protocol.open_streams == 0
    exchange.still_works()


def test_closed_before_anything_came() -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST", stream=Stream())
    exchange.protocol.close_stream(stream)
    assert not stream.may_send_body
    exchange.flush()
    assert exchange.peer.resets == {1: CANCEL}
    exchange.still_works()


def test_c38_late_frames_of_a_closed_stream() -> None:
    """They are ignored; their field blocks still count for the compression table."""
    exchange = Exchange()
    peer = exchange.peer
    stream = exchange.open()
    exchange.protocol.close_stream(stream)
    late = [
        peer.headers(1, OK, (b"x-new", b"entry")),
        peer.data(1, b"x", pad=3),
        peer.window_update(1, 5),
        peer.headers(1, (b"x-sum", b"7"), end=True),
        peer.reset(1, NO_ERROR),
    ]
    assert exchange.say(*late) == []
    exchange.flush()
    other = exchange.open()
    exchange.say(peer.headers(other.id, OK, (b"x-new", b"entry"), end=True))
    answer = exchange.read(other)
    assert answer.head is not None
    assert answer.head.headers == [(b"x-new", b"entry")]
    exchange.still_works()


@pytest.mark.parametrize("code", [INTERNAL_ERROR, CANCEL, HTTP_1_1_REQUIRED, NO_ERROR, 77])
@pytest.mark.parametrize("started", [False, True])
def test_c27_reset_by_the_server(code: int, started: bool) -> None:
    exchange = Exchange()
    peer = exchange.peer
    stream = exchange.open()
    if started:
        exchange.say(peer.headers(1, OK), peer.data(1, b"part"))
    assert exchange.say(peer.reset(1, code)) == [stream]
    answer = exchange.read(stream)
    assert answer.body == (b"part" if started else b"")
    assert isinstance(answer.error, RemoteProtocolError)
    assert stream.reset_code == code
    assert not stream.refused
    assert stream.closed
    exchange.protocol.close_stream(stream)
    exchange.flush()
    assert peer.resets == {}
    exchange.still_works()


def test_t4_refused_stream() -> None:
    """C20: it was not processed, and says so."""
    exchange = Exchange()
    stream = exchange.open(b"POST", stream=Stream())
    exchange.say(exchange.peer.reset(1, REFUSED_STREAM))
    answer = exchange.read(stream)
    assert isinstance(answer.error, RemoteProtocolError)
    assert "REFUSED_STREAM" in str(answer.error)
    assert stream.refused
    assert not stream.has_response_bytes
    exchange.still_works()


def test_refused_after_the_head_is_not_believed() -> None:
    exchange = Exchange()
    stream = exchange.open()
    exchange.say(exchange.peer.headers(1, OK), exchange.peer.reset(1, REFUSED_STREAM))
    assert exchange.read(stream).error
    assert not stream.refused


def test_t5_early_response_while_uploading() -> None:
    """C28: 413 and RST_STREAM(NO_ERROR), with the window shut: a success, and the upload stops."""
    exchange = Exchange({0x4: 10})
    peer = exchange.peer
    stream = exchange.open(b"POST", stream=Stream())
    assert exchange.protocol.send_data(stream, b"x" * 100) == 10
    received = peer.headers(1, (b":status", b"413")) + peer.data(1, b"no", end=True)
    assert exchange.say(received, peer.reset(1, NO_ERROR)) == [stream]
    assert not stream.may_send_body
    answer = exchange.read(stream)
    assert (answer.body, answer.complete, answer.error) == (b"no", True, None)
    exchange.protocol.close_stream(stream)
    exchange.flush()
    assert peer.resets == {}
    exchange.still_works()


def test_t5_early_response_without_reset() -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST", stream=Stream())
    exchange.say(exchange.peer.response(1, b"no"))
    assert not stream.may_send_body
    assert not stream.closed
    assert exchange.read(stream).complete
    exchange.protocol.close_stream(stream)
    exchange.flush()
    assert exchange.peer.resets == {1: NO_ERROR}
    exchange.still_works()


def test_response_head_does_not_stop_an_upload() -> None:
    """Both directions may be under way at once: section 8.1 asks for no order."""
    exchange = Exchange()
    stream = exchange.open(b"POST", stream=Stream())
    exchange.say(exchange.peer.headers(1, OK))
    assert stream.has_head
    assert exchange.protocol.send_data(stream, b"more", end_stream=True) == 4
    exchange.say(exchange.peer.data(1, b"x", end=True))
    assert exchange.read(stream).complete
    exchange.still_works()


# GOAWAY


def test_t3_goaway_splits_the_streams() -> None:
    """C22, C23: in the same segment as the response it allows."""
    exchange = Exchange()
    peer = exchange.peer
    first, second, third = (exchange.open() for _ in range(3))
    exchange.say(peer.headers(3, OK))
    named = exchange.say(peer.goaway(3), peer.response(1, b"one"), peer.data(3, b"two", end=True))
    assert set(named) == {first, second, third}
    assert exchange.protocol.is_retiring
    assert exchange.protocol.capacity == 0
    assert not exchange.protocol.is_closed
    assert (exchange.read(first).body, exchange.read(second).body) == (b"one", b"two")
    answer = exchange.read(third)
    assert isinstance(answer.error, RemoteProtocolError)
    assert third.refused
    assert exchange.protocol.open_streams == 0
    with pytest.raises(LocalProtocolError):
        exchange.open()


def test_t3_goaway_without_limit_then_with_one() -> None:
    """Section 6.8: the first announces, the second decides; a third cannot take it back."""
    exchange = Exchange()
    peer = exchange.peer
    first, second = exchange.open(), exchange.open()
    assert exchange.say(peer.goaway(2**31 - 1)) == []
    assert exchange.protocol.open_streams == 2
    assert exchange.say(peer.goaway(1)) == [second]
    assert second.refused
    assert exchange.say(peer.goaway(3)) == []
    exchange.say(peer.response(1, b"x"))
    assert exchange.read(first).complete


def test_t3_upload_goes_on_after_goaway() -> None:
    exchange = Exchange({0x4: 3})
    peer = exchange.peer
    stream = exchange.open(b"POST", headers=LENGTH_5, stream=Stream())
    assert exchange.protocol.send_data(stream, b"hello") == 3
    exchange.say(peer.goaway(1))
    assert exchange.say(peer.window_update(1, 5)) == [stream]
    assert exchange.protocol.send_data(stream, b"lo", end_stream=True) == 2
    exchange.flush()
    assert peer.bodies[1] == b"hello"
    exchange.say(peer.response(1, b"x"))
    assert exchange.read(stream).complete


def test_c22_goaway_before_anything() -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST", stream=Stream())
    exchange.say(exchange.peer.goaway(0))
    assert exchange.read(stream).error
    assert stream.refused
    assert not stream.may_send_body


def test_c24_goaway_with_an_error_and_then_the_end() -> None:
    """The error has the code and the debug data, escaped and bounded."""
    exchange = Exchange()
    stream = exchange.open()
    debug = b"calm\r\n\x00down" + b"!" * 10000
    assert exchange.say(exchange.peer.goaway(1, 11, debug)) == []
    exchange.say(b"")
    answer = exchange.read(stream)
    assert isinstance(answer.error, RemoteProtocolError)
    text = str(answer.error)
    assert "ENHANCE_YOUR_CALM" in text
    assert r"calm\r\n\x00down" in text
    assert len(text) < 300
    assert not stream.refused
    assert str(pickle.loads(pickle.dumps(answer.error))) == text


def test_shutdown() -> None:
    """P10: we say GOAWAY once; what is open may end."""
    exchange = Exchange()
    stream = exchange.open()
    exchange.protocol.shutdown()
    exchange.protocol.shutdown()
    exchange.flush()
    assert exchange.peer.goaways == [NO_ERROR]
    assert exchange.protocol.capacity == 0
    assert exchange.protocol.is_retiring
    exchange.say(exchange.peer.response(1, b"x"))
    assert exchange.read(stream).complete


# The end of the connection


def test_c26_end_while_idle() -> None:
    exchange = Exchange()
    exchange.still_works()
    assert exchange.say(b"") == []
    assert exchange.protocol.is_closed
    assert exchange.protocol.is_retiring
    assert exchange.protocol.error is None
    assert exchange.protocol.capacity == 0
    assert exchange.say(exchange.peer.ping()) == []


@pytest.mark.parametrize("place", ["before the head", "in the body", "inside a frame", "whole"])
def test_c26_end_with_a_stream(place: str) -> None:
    exchange = Exchange()
    peer = exchange.peer
    stream = exchange.open()
    if place == "in the body":
        exchange.say(peer.headers(1, OK), peer.data(1, b"part"))
    elif place == "inside a frame":
        exchange.say(peer.headers(1, OK)[:-1])
    elif place == "whole":
        exchange.say(peer.response(1, b"part"))
    exchange.say(b"")
    answer = exchange.read(stream)
    if place == "whole":
        assert answer.complete
    else:
        assert "disconnected" in str(answer.error)
        assert not answer.complete
        assert not stream.refused
    exchange.protocol.close_stream(stream)
    assert exchange.protocol.data_to_send() == b""


def test_t10_ping() -> None:
    exchange = Exchange()
    protocol, peer = exchange.protocol, exchange.peer
    assert protocol.is_ping_acked
    protocol.ping()
    assert not protocol.is_ping_acked
    [ping] = exchange.flush()
    opaque = ping.opaque_data  # type: ignore[attr-defined]  # of a PING frame
    exchange.say(peer.ping(b"another!", ack=True))
    assert not protocol.is_ping_acked
    exchange.say(peer.ping(opaque, ack=True))
    assert protocol.is_ping_acked
    protocol.ping()
    assert not protocol.is_ping_acked
    exchange.say(peer.ping(opaque, ack=True))
    assert not protocol.is_ping_acked, "the answer to the one before"


def test_t10_pings_of_the_server_are_answered() -> None:
    exchange = Exchange()
    exchange.say(exchange.peer.ping(b"whatever"))
    [answer] = exchange.flush()
    assert answer.opaque_data == b"whatever"  # type: ignore[attr-defined]  # of a PING frame
    assert "ACK" in answer.flags


def test_t10_connection_lost() -> None:
    """Every open stream fails with the network's error, each with one of its own, and none with
    the frames of whoever met it first: whoever keeps an error would keep his response, too."""
    exchange = Exchange()
    streams = [exchange.open(), exchange.open()]
    cause = OSError("gone")
    error = ReadError("the connection broke")
    with pytest.raises(ReadError):
        try:
            raise cause
        except OSError:
            raise error from cause
    exchange.say(exchange.peer.headers(1, OK))
    assert exchange.protocol.connection_lost(error) == streams
    assert exchange.protocol.connection_lost(error) == []
    for stream in streams:
        found = exchange.read(stream).error
        assert isinstance(found, ReadError)
        assert found is not error
        assert found.__cause__ is cause
        assert cause.__traceback__ is None
        exchange.protocol.close_stream(stream)
    assert exchange.protocol.error is error
    exchange.protocol.ping()
    exchange.protocol.shutdown()
    assert exchange.protocol.data_to_send() == b""


# How many streams


def test_t7_capacity() -> None:
    exchange = Exchange({MAX_CONCURRENT_STREAMS: 3}, max_concurrent_streams=5)
    protocol, peer = exchange.protocol, exchange.peer
    assert protocol.capacity == 3
    streams = [exchange.open() for _ in range(3)]
    assert protocol.capacity == 0
    with pytest.raises(LocalProtocolError):
        exchange.open()
    exchange.say(peer.response(1))
    assert protocol.capacity == 1
    protocol.close_stream(streams[1])
    assert protocol.capacity == 2
    exchange.say(peer.settings({MAX_CONCURRENT_STREAMS: 100}))
    assert protocol.capacity == 4


def test_t7_assumed_before_settings() -> None:
    exchange = Exchange(max_concurrent_streams=7)
    assert exchange.protocol.capacity == 7
    assert exchange.protocol.has_settings


@pytest.mark.parametrize("limit", [0, 1])
def test_c18_limit_lowered_with_streams_in_flight(limit: int) -> None:
    exchange = Exchange()
    protocol, peer = exchange.protocol, exchange.peer
    streams = [exchange.open() for _ in range(10)]
    exchange.say(peer.settings({MAX_CONCURRENT_STREAMS: limit}))
    assert protocol.capacity == 0
    for stream in streams:
        exchange.say(peer.response(stream.id, b"x"))
        assert exchange.read(stream).complete
    assert protocol.capacity == limit
    exchange.say(peer.settings({MAX_CONCURRENT_STREAMS: 10}))
    assert protocol.capacity == 10
    exchange.still_works()


def test_half_closed_streams_count() -> None:
    exchange = Exchange({MAX_CONCURRENT_STREAMS: 1})
    stream = exchange.open(b"POST", stream=Stream())
    exchange.say(exchange.peer.response(1, b"early"))
    assert exchange.protocol.capacity == 0
    exchange.protocol.close_stream(stream)
    assert exchange.protocol.capacity == 1
    exchange.still_works()


def test_identifiers_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 5.1.1: then the connection retires, and what is open ends as usual."""
    exchange = Exchange()
    monkeypatch.setattr(http2_state, "MAX_STREAM_ID", 3)
    exchange.still_works()
    assert not exchange.protocol.is_retiring
    stream = exchange.open()
    assert exchange.protocol.is_retiring
    assert exchange.protocol.capacity == 0
    exchange.say(exchange.peer.response(3, b"x"))
    assert exchange.read(stream).complete


def test_t9_whatever_is_taken_is_whole_frames() -> None:
    """Taken at any moment: the peer refuses to read half a frame."""
    exchange = Exchange()
    stream = exchange.open(b"POST", stream=Stream())
    for size in (1, 16383, 16384, 16385):
        exchange.protocol.send_data(stream, bytes(size))
        exchange.flush()
    exchange.protocol.close_stream(stream)
    exchange.flush()
    exchange.still_works()


def test_nothing_grows() -> None:
    """A thousand exchanges leave nothing behind, neither with us nor in `h2`."""
    exchange = Exchange()
    peer = exchange.peer
    for number in range(1000):
        stream = exchange.open()
        if number % 3:
            exchange.say(peer.response(stream.id, b"x"))
            exchange.read(stream)
        exchange.protocol.close_stream(stream)
        exchange.flush()
        peer.frames.clear()
    protocol = exchange.protocol
    assert protocol.open_streams == 0
    for table in (protocol._streams, protocol._blocked, protocol._updates):
        assert len(table) <= 1
    engine = protocol._engine._h2
    assert len(engine.streams) <= 1
    assert len(engine._closed_streams) <= 16
