"""Requests and responses over HTTP/2: T13, H4, H5, H7, the header rules of section 8, B11."""

from __future__ import annotations

import random
from typing import Any

import pytest

from httpcore_core._exceptions import LocalProtocolError, RemoteProtocolError
from httpcore_core._models import ByteStream, Headers
from httpcore_core._protocol.http2 import END, NEED_DATA, HTTP2Options, HTTP2Protocol, ResponseHead
from tests.protocol.http2_peer import (
    CANCEL,
    NO_ERROR,
    OK,
    PREFACE,
    PROTOCOL_ERROR,
    Exchange,
    Peer,
    cut_up,
    fields,
)
from tests.protocol.wire import Stream, plan

LENGTH_5 = [(b"Content-Length", b"5")]
CHUNKED = [(b"Transfer-Encoding", b"chunked")]
EXPECT = [*LENGTH_5, (b"Expect", b"100-continue")]
CONNECT = 0x8  # SETTINGS_ENABLE_CONNECT_PROTOCOL


def sent(*arguments: Any, **keywords: Any) -> Headers:
    """The field section that is sent for a request."""
    exchange = Exchange()
    return exchange.peer.requests[exchange.open(*arguments, **keywords).id]


def test_preface_and_options() -> None:
    """T14: the windows and limits are options, and are told to the server first of all."""
    protocol = HTTP2Protocol(
        HTTP2Options(stream_window=70000, connection_window=80000, max_header_bytes=5000)
    )
    assert not protocol.has_data_to_send
    protocol.start()
    assert protocol.has_data_to_send
    data = protocol.data_to_send()
    assert data.startswith(PREFACE)
    peer = Peer()
    settings, update = peer.read(data)
    expected = {1: 4096, 2: 0, 4: 70000, 5: 16384, 6: 5000}
    assert getattr(settings, "settings", None) == expected
    assert update.stream_id == 0
    assert peer.granted == {0: 80000 - 65535}
    assert not protocol.has_data_to_send
    assert protocol.data_to_send() == b""


@pytest.mark.parametrize(
    "options",
    [
        {"stream_window": 0},
        {"stream_window": 2**31},
        {"connection_window": 65534},
        {"max_concurrent_streams": 0},
        {"max_header_bytes": 0},
        {"max_header_count": True},
        {"max_frame_size": 16383},
        {"max_frame_size": 2**24},
        {"stream_window": 1.5},
    ],
)
def test_t14_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        HTTP2Options(**options)


def test_whole_exchange() -> None:
    exchange = Exchange()
    stream = exchange.open()
    assert stream.id == 1
    assert stream.request_complete
    assert exchange.peer.ended == {1}
    assert exchange.protocol.open_streams == 1
    assert exchange.protocol.next_event(stream) is NEED_DATA
    received = exchange.peer.response(1, b"hello", (b"content-length", b"5"), (b"a", b""))
    assert exchange.say(received) == [stream]
    head = ResponseHead(b"HTTP/2", 200, b"", [(b"content-length", b"5"), (b"a", b"")])
    assert exchange.protocol.next_event(stream) == head
    assert exchange.protocol.next_event(stream) == b"hello"
    assert exchange.protocol.next_event(stream) is END
    assert exchange.protocol.next_event(stream) is END
    assert stream.closed
    assert exchange.protocol.open_streams == 0
    exchange.protocol.close_stream(stream)
    assert exchange.protocol.data_to_send() == b""
    exchange.still_works()


def test_response_headers_are_plain_tuples() -> None:
    exchange = Exchange()
    stream = exchange.open()
    exchange.say(exchange.peer.response(1, b"", (b"a", b"b")))
    answer = exchange.read(stream)
    assert answer.head is not None
    assert [type(field) for field in answer.head.headers] == [tuple]


def test_responses_under_random_cuts() -> None:
    """H2: how the bytes are cut up on their way makes no difference."""
    rng = random.Random(9113)
    for _ in range(50):
        exchange = Exchange()
        streams = [exchange.open() for _ in range(3)]
        peer = exchange.peer
        data = peer.headers(1, (b":status", b"103"), (b"link", b"x"))
        data += peer.headers(5, OK, (b"x-long", b"y" * 300), cut=40)
        data += peer.response(3, b"hello" * 5000) + peer.ping() + peer.data(5, b"a" * 50, pad=9)
        data += peer.headers(1, OK) + peer.data(5, b"", end=True) + peer.window_update(0, 9)
        data += peer.data(1, b"body") + peer.headers(1, (b"x-sum", b"7"), end=True)
        for piece in cut_up(data, rng):
            exchange.say(piece)
        first, second, third = (exchange.read(stream) for stream in streams)
        assert [event.status for event in first.interim] == [103]
        assert (first.body, first.stream.trailers) == (b"body", [(b"x-sum", b"7")])
        assert second.body == b"hello" * 5000
        assert third.body == b"a" * 50
        assert first.complete
        assert second.complete
        assert third.complete
        exchange.still_works()


# What is sent: sections 8.2 and 8.3.1


def test_request_fields() -> None:
    """B11: lower case, pseudo-header fields first, one authority, order and repetition kept."""
    headers = [(b"Accept", b"*/*"), (b"X-Custom", b"1"), (b"x-custom", b"2"), (b"Cookie", b"a=b")]
    assert sent(b"GET", b"/a?b=c", headers) == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"example.com"),
        (b":path", b"/a?b=c"),
        (b"accept", b"*/*"),
        (b"x-custom", b"1"),
        (b"x-custom", b"2"),
        (b"cookie", b"a=b"),
    ]


def test_b11_connection_specific_fields_are_not_sent() -> None:
    headers = [
        (b"Connection", b"close, X-Hop , TE"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"HTTP2-Settings", b"AAAA"),
        (b"X-Hop", b"1"),
        (b"TE", b"gzip;q=0.5, Trailers"),
        (b"X-Kept", b"1"),
    ]
    assert sent(headers=headers)[4:] == [(b"te", b"trailers"), (b"x-kept", b"1")]
    assert sent(headers=[(b"TE", b"gzip")])[4:] == []


def test_b11_upgrade_is_refused() -> None:
    exchange = Exchange()
    headers = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    with pytest.raises(LocalProtocolError, match="8441"):
        exchange.protocol.open_stream(plan(headers=headers))
    assert exchange.protocol.data_to_send() == b""
    exchange.still_works()


def test_chunked_framing_is_not_sent() -> None:
    assert sent(b"POST", stream=Stream(b"hello"))[4:] == []
    assert sent(b"POST", stream=Stream(b"hello"), headers=LENGTH_5)[4:] == [
        (b"content-length", b"5")
    ]


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"GET", b"https://other:444/x?y", (b"https", b"other:444", b"/x?y")),
        (b"GET", b"HTTP://other?y", (b"http", b"other", b"/?y")),
        (b"GET", b"http://other", (b"http", b"other", b"/")),
        (b"OPTIONS", b"http://other", (b"http", b"other", b"*")),
        (b"OPTIONS", b"*", (b"http", b"example.com", b"*")),
    ],
)
def test_targets(method: bytes, target: bytes, expected: tuple[bytes, ...]) -> None:
    """Section 8.3.1: the absolute form, for proxies, names the authority that counts."""
    assert tuple(value for _, value in sent(method, target)[1:4]) == expected


def test_secrets_never_enter_the_compression_table() -> None:
    headers = [
        (b"Authorization", b"Basic secret"),
        (b"Proxy-Authorization", b"Basic hidden"),
        (b"Cookie", b"id=short"),
        (b"cookie", b"id=" + b"long" * 10),
    ]
    exchange = Exchange()
    exchange.open(headers=headers)
    table = [value for _, value in exchange.peer.decoder.header_table.dynamic_entries]
    assert b"id=" + b"long" * 10 in table
    assert not {b"Basic secret", b"Basic hidden", b"id=short"} & set(table)


def test_large_headers_are_continued() -> None:
    value = b"\xff" * 40000  # longer than a frame, also when compressed
    assert (b"x-large", value) in sent(headers=[(b"X-Large", value)])


def test_b01_nothing_is_queued_for_a_refused_request() -> None:
    exchange = Exchange()
    with pytest.raises(LocalProtocolError):
        exchange.protocol.open_stream(plan(), protocol=b"websocket")
    assert exchange.protocol.data_to_send() == b""
    assert exchange.protocol.open_streams == 0


# Bodies


def test_request_body_in_pieces() -> None:
    exchange = Exchange()
    protocol = exchange.protocol
    stream = exchange.open(b"POST", stream=Stream())
    assert stream.may_send_body
    for piece in (b"he", bytearray(b"l"), memoryview(b"lo")):
        assert protocol.send_data(stream, piece) == len(piece)
    assert protocol.send_data(stream, b"") == 0
    protocol.end_stream(stream)
    protocol.end_stream(stream)
    assert not stream.may_send_body
    exchange.flush()
    assert exchange.peer.bodies == {1: b"hello"}
    assert exchange.peer.ended == {1}
    exchange.say(exchange.peer.response(1))
    assert stream.closed
    exchange.still_works()


def test_body_ends_with_its_last_frame() -> None:
    exchange = Exchange()
    body = b"x" * 40000
    stream = exchange.open(b"POST", stream=ByteStream(body))
    assert exchange.protocol.send_data(stream, body, end_stream=True) == 40000
    frames = exchange.flush()
    assert [len(found.data) for found in frames] == [16384, 16384, 7232]  # type: ignore[attr-defined]  # DATA frames
    assert exchange.peer.ended == {1}


def test_empty_body_that_was_not_declared() -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST", stream=Stream())
    assert exchange.peer.ended == set()
    assert exchange.protocol.send_data(stream, b"", end_stream=True) == 0
    exchange.flush()
    assert exchange.peer.ended == {1}


@pytest.mark.parametrize(
    "misuse",
    [
        lambda protocol, stream: protocol.send_data(stream, b"hello!"),
        lambda protocol, stream: protocol.send_data(stream, b"hell", end_stream=True),
        lambda protocol, stream: protocol.end_stream(stream),
        lambda protocol, stream: protocol.send_data(stream, "hello"),
    ],
)
def test_b09_body_that_differs_from_its_length(misuse: Any) -> None:
    """H8: the stream is reset, the server never sees a whole message, the connection goes on."""
    exchange = Exchange()
    stream = exchange.open(b"POST", headers=LENGTH_5, stream=Stream())
    with pytest.raises(LocalProtocolError):
        misuse(exchange.protocol, stream)
    exchange.flush()
    assert exchange.peer.resets == {1: CANCEL}
    assert exchange.peer.ended == set()
    assert exchange.peer.bodies[1] == b""
    exchange.still_works()


def test_b09_too_long_after_the_declared_length() -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST", headers=LENGTH_5, stream=Stream())
    assert exchange.protocol.send_data(stream, b"hello") == 5
    with pytest.raises(LocalProtocolError, match="longer"):
        exchange.protocol.send_data(stream, b"!")
    exchange.flush()
    assert exchange.peer.bodies[1] == b"hello"
    assert exchange.peer.ended == set()
    exchange.still_works()


def test_no_body_after_the_end() -> None:
    exchange = Exchange()
    stream = exchange.open()
    with pytest.raises(LocalProtocolError, match="now"):
        exchange.protocol.send_data(stream, b"x")
    exchange.say(exchange.peer.response(1))
    assert exchange.read(stream).complete


def test_request_trailers() -> None:
    """H7: the plan's list may be filled while the body is sent."""
    exchange = Exchange()
    trailers: Headers = []
    stream = exchange.open(b"POST", headers=CHUNKED, stream=Stream(b"x"), trailers=trailers)
    exchange.protocol.send_data(stream, b"x")
    trailers.append((b"X-Sum", b"7"))
    exchange.protocol.end_stream(stream)
    exchange.flush()
    assert exchange.peer.trailers == {1: [(b"x-sum", b"7")]}
    assert exchange.peer.ended == {1}


def test_illegal_request_trailers() -> None:
    """H1: known only when the body is out; the server never sees a whole message."""
    exchange = Exchange()
    stream = exchange.open(b"POST", headers=CHUNKED, stream=Stream(b"x"))
    exchange.protocol.send_data(stream, b"x")
    with pytest.raises(LocalProtocolError, match="Host"):
        exchange.protocol.end_stream(stream, [(b"Host", b"x")])
    exchange.flush()
    assert exchange.peer.resets == {1: CANCEL}
    assert exchange.peer.trailers == {}
    exchange.still_works()


def test_request_cannot_be_ended_while_it_waits() -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST", headers=EXPECT, stream=Stream())
    with pytest.raises(LocalProtocolError, match="now"):
        exchange.protocol.end_stream(stream)
    assert not stream.closed


# Responses


def test_t13_trailers() -> None:
    """H7."""
    exchange = Exchange()
    stream = exchange.open()
    peer = exchange.peer
    exchange.say(peer.headers(1, OK), peer.data(1, b"x"))
    assert exchange.read(stream).body == b"x"
    exchange.say(peer.headers(1, (b"x-sum", b"7"), (b"content-length", b"99"), end=True))
    assert exchange.read(stream).complete
    assert stream.trailers == [(b"x-sum", b"7"), (b"content-length", b"99")]


def test_t13_informational() -> None:
    """H4: interim responses come before the head, in order."""
    exchange = Exchange()
    stream = exchange.open()
    peer = exchange.peer
    exchange.say(peer.headers(1, (b":status", b"102")), peer.headers(1, (b":status", b"103")))
    exchange.say(peer.response(1, b"x"))
    answer = exchange.read(stream)
    assert [event.status for event in answer.interim] == [102, 103]
    assert (answer.body, answer.complete) == (b"x", True)


def test_h5_body_waits_for_100() -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST", headers=EXPECT, stream=Stream())
    assert (b"expect", b"100-continue") in exchange.peer.requests[1]
    assert stream.awaiting_continue
    assert not stream.may_send_body
    with pytest.raises(LocalProtocolError):
        exchange.protocol.send_data(stream, b"hello")
    assert exchange.say(exchange.peer.headers(1, (b":status", b"100"))) == [stream]
    assert stream.may_send_body
    assert exchange.protocol.send_data(stream, b"hello", end_stream=True) == 5
    exchange.say(exchange.peer.response(1))
    assert exchange.read(stream).complete


def test_h5_final_response_instead_of_100() -> None:
    """The body is never sent; the stream is reset and the connection stays."""
    exchange = Exchange()
    stream = exchange.open(b"POST", headers=EXPECT, stream=Stream())
    exchange.say(exchange.peer.headers(1, (b":status", b"417")))
    assert not stream.awaiting_continue
    assert not stream.may_send_body
    exchange.protocol.give_up_waiting(stream)
    assert not stream.may_send_body
    exchange.say(exchange.peer.data(1, b"no", end=True))
    assert exchange.read(stream).body == b"no"
    exchange.protocol.close_stream(stream)
    exchange.flush()
    assert exchange.peer.resets == {1: NO_ERROR}
    exchange.still_works()


def test_h5_give_up_waiting() -> None:
    exchange = Exchange()
    stream = exchange.open(b"POST", headers=EXPECT, stream=Stream())
    exchange.protocol.give_up_waiting(stream)
    assert stream.may_send_body


@pytest.mark.parametrize(
    ("method", "status"), [(b"HEAD", b"200"), (b"GET", b"204"), (b"GET", b"304")]
)
def test_h3_responses_without_body(method: bytes, status: bytes) -> None:
    """Their content-length says what a body would have been."""
    exchange = Exchange()
    stream = exchange.open(method)
    head = exchange.peer.headers(1, (b":status", status), (b"content-length", b"9"), end=True)
    exchange.say(head)
    answer = exchange.read(stream)
    assert (answer.body, answer.complete, answer.error) == (b"", True, None)
    exchange.still_works()


@pytest.mark.parametrize("size", [5, 100_000])
def test_c35_data_on_head(size: int) -> None:
    """A body where there is none to be is dropped, and the response stands without it."""
    exchange = Exchange()
    stream = exchange.open(b"HEAD")
    exchange.say(exchange.peer.response(1, bytes(size), (b"content-length", b"%d" % size)))
    answer = exchange.read(stream)
    assert (answer.body, answer.complete, answer.error) == (b"", True, None)
    exchange.flush()
    assert exchange.peer.resets == {1: PROTOCOL_ERROR}
    exchange.still_works()


def test_empty_response() -> None:
    exchange = Exchange()
    stream = exchange.open()
    exchange.say(exchange.peer.headers(1, OK, (b"content-length", b"0"), end=True))
    answer = exchange.read(stream)
    assert (answer.body, answer.complete) == (b"", True)


# CONNECT: section 8.5, RFC 8441


def test_connect() -> None:
    exchange = Exchange()
    protocol = exchange.protocol
    stream = exchange.open(b"CONNECT", b"other.example:443", [(b"X", b"1")])
    assert exchange.peer.requests[1] == list(
        fields(b":method: CONNECT", b":authority: other.example:443", b"x: 1")
    )
    assert exchange.peer.ended == set()
    assert not stream.may_send_body
    exchange.say(exchange.peer.headers(1, OK, (b"content-length", b"0")))
    assert stream.may_send_body
    protocol.send_data(stream, b"ping")
    exchange.flush()
    exchange.say(exchange.peer.data(1, b"pong"))
    assert exchange.read(stream).body == b"pong"
    protocol.end_stream(stream)
    exchange.flush()
    assert exchange.peer.bodies[1] == b"ping"
    exchange.say(exchange.peer.data(1, b"bye", end=True))
    assert exchange.read(stream).body == b"bye"
    assert stream.closed
    exchange.still_works()


def test_refused_connect() -> None:
    exchange = Exchange()
    stream = exchange.open(b"CONNECT", b"other.example:443")
    length = (b"content-length", b"2")
    exchange.say(exchange.peer.headers(1, (b":status", b"407"), length))
    assert not stream.may_send_body
    exchange.say(exchange.peer.data(1, b"no", end=True))
    assert exchange.read(stream).body == b"no"
    exchange.protocol.close_stream(stream)
    exchange.still_works()


def test_t13_extended_connect() -> None:
    exchange = Exchange({CONNECT: 1})
    assert exchange.protocol.supports_extended_connect
    stream = exchange.open(b"GET", b"/chat", [(b"Origin", b"http://x")], protocol=b"websocket")
    assert exchange.peer.requests[1] == list(
        fields(
            b":method: CONNECT",
            b":scheme: http",
            b":authority: example.com",
            b":path: /chat",
            b":protocol: websocket",
            b"origin: http://x",
        )
    )
    exchange.say(exchange.peer.headers(1, OK))
    exchange.protocol.send_data(stream, b"frame", end_stream=True)
    exchange.flush()
    assert exchange.peer.bodies[1] == b"frame"
    assert exchange.peer.ended == {1}


def test_extended_connect_without_support() -> None:
    exchange = Exchange()
    with pytest.raises(LocalProtocolError, match="8441"):
        exchange.protocol.open_stream(plan(), protocol=b"websocket")


def test_extended_connect_cannot_be_withdrawn() -> None:
    exchange = Exchange({CONNECT: 1})
    exchange.say(exchange.peer.settings({CONNECT: 0}))
    exchange.failed_with(PROTOCOL_ERROR)


def test_errors_are_not_shared() -> None:
    """Each stream raises an error of its own: tracebacks and places are added to it."""
    exchange = Exchange()
    streams = [exchange.open(), exchange.open()]
    exchange.say(b"")
    errors = [exchange.read(stream).error for stream in streams]
    again = exchange.read(streams[0]).error
    assert all(isinstance(error, RemoteProtocolError) for error in errors)
    assert len({id(error) for error in (*errors, again)}) == 3


def test_repr() -> None:
    exchange = Exchange()
    stream = exchange.open()
    assert repr(stream) == "<HTTP2Stream 1, request: sent, response: none>"
    exchange.say(exchange.peer.response(1))
    assert repr(stream) == "<HTTP2Stream 1, request: sent, response: whole, closed>"
