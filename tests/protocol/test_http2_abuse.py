"""What a hostile or broken HTTP/2 server does: T11, and C01-C12, C31-C39 of the faults.

A stream error (RFC 9113, section 5.4.2) costs one stream and nothing else; a connection error
(section 5.4.1) costs the connection, and the server is told why.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hpack import Encoder

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._protocol.http2 import HTTP2Protocol
from httpcore_core._protocol.http2_state import MAX_ACKS
from tests.protocol.http2_peer import (
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    OK,
    PROTOCOL_ERROR,
    Exchange,
    Peer,
    frame,
)
from tests.protocol.wire import Stream

END, END_HEADERS, PADDED, PRIORITY = 0x1, 0x4, 0x8, 0x20
Build = Callable[[Peer], bytes]


def stream_error(*frames: Build, code: int = PROTOCOL_ERROR, method: bytes = b"GET") -> str:
    """`frames`, for stream 1, cost that stream and nothing else; returns the error's text."""
    exchange = Exchange()
    bad = exchange.open(method)
    other = exchange.open()
    exchange.say(*[build(exchange.peer) for build in frames])
    answer = exchange.read(bad)
    assert isinstance(answer.error, RemoteProtocolError)
    exchange.protocol.close_stream(bad)
    exchange.flush()
    assert exchange.peer.resets == {1: code}
    exchange.say(exchange.peer.response(other.id, b"unharmed"))
    assert exchange.read(other).body == b"unharmed"
    exchange.still_works()
    return str(answer.error)


def connection_error(*frames: Build, code: int = PROTOCOL_ERROR) -> str:
    """`frames` cost the connection: every stream fails; returns the error's text."""
    exchange = Exchange()
    streams = [exchange.open(), exchange.open()]
    exchange.say(*[build(exchange.peer) for build in frames])
    text = exchange.failed_with(code)
    for stream in streams:
        assert isinstance(exchange.read(stream).error, RemoteProtocolError)
        exchange.protocol.close_stream(stream)
    assert exchange.say(exchange.peer.response(1)) == []
    return text


# Floods


def test_c01_continuation_flood() -> None:
    for piece in (b"", b"x" * 10):
        text = connection_error(
            lambda peer: frame(1, 0, 1, b"\x88"),
            lambda peer, piece=piece: frame(9, 0, 1, piece) * 1000,  # type: ignore[misc]  # a default
            code=ENHANCE_YOUR_CALM,
        )
        assert "frames" in text


def test_c01_endless_continuation() -> None:
    """By size, long before the number of frames is reached."""
    exchange = Exchange(max_header_bytes=50000)
    exchange.open()
    exchange.say(frame(1, 0, 1, b"x" * 16384))
    for _ in range(3):
        exchange.say(frame(9, 0, 1, b"x" * 16384))
    exchange.failed_with(ENHANCE_YOUR_CALM)


@pytest.mark.parametrize(
    "flood",
    [
        lambda peer: peer.settings({0x4: 70000}),
        lambda peer: peer.settings(ack=True),
        lambda peer: peer.ping(),
        lambda peer: peer.ping(ack=True),
        lambda peer: peer.data(1, b""),
        lambda peer: peer.data(1, b"", pad=1),
        lambda peer: frame(2, 0, 1, bytes(5)),
        lambda peer: frame(2, 0, 99, bytes(5)),
        lambda peer: peer.window_update(0, 1),
        lambda peer: peer.window_update(1, 1),
        lambda peer: frame(0xFA, 0, 0, b"grease"),
        lambda peer: frame(0xFA, 0, 1, b""),
        lambda peer: peer.reset(3, 8),
        lambda peer: peer.goaway(2**31 - 1),
        lambda peer: peer.headers(3, OK, end=True),
    ],
)
def test_c02_c03_c04_c05_floods(flood: Build) -> None:
    """20,000 frames of any kind that helps no request."""
    exchange = Exchange()
    stream, closed = exchange.open(), exchange.open()
    exchange.say(exchange.peer.headers(1, OK))
    exchange.protocol.close_stream(closed)
    exchange.flush()
    exchange.peer.resets.clear()
    exchange.say(b"".join(flood(exchange.peer) for _ in range(20000)))
    assert len(exchange.protocol.data_to_send()) < 100
    assert "too many" in str(exchange.protocol.error)
    assert isinstance(exchange.read(stream).error, RemoteProtocolError)


def test_c05_interim_flood() -> None:
    exchange = Exchange()
    stream = exchange.open()
    head = exchange.peer.headers(1, (b":status", b"103"))
    exchange.say(head + exchange.peer.headers(1, (b":status", b"103")) * 150)
    answer = exchange.read(stream)
    assert len(answer.interim) == 100
    assert "informational" in str(answer.error)
    exchange.still_works()


def test_interim_flood_by_bytes() -> None:
    exchange = Exchange()
    stream = exchange.open()
    for number in range(5):
        link = (b"link", b"%d" % number + b"x" * 20000)
        exchange.say(exchange.peer.headers(1, (b":status", b"103"), link, cut=16384))
    assert len(exchange.read(stream).interim) < 5
    exchange.still_works()


def test_c03_answers_that_nobody_takes() -> None:
    """Also with frames between them that earn as much as the PINGs cost."""
    exchange = Exchange()
    exchange.open()
    exchange.say(exchange.peer.headers(1, OK))
    exchange.flush()
    for _ in range(2 * MAX_ACKS):
        exchange.say(exchange.peer.ping(), exchange.peer.data(1, b"x"))
    assert len(exchange.protocol.data_to_send()) < 100
    assert "answered" in str(exchange.protocol.error)


def test_frames_that_trickle_in_are_no_flood() -> None:
    """A server may send PINGs for days; nobody can tell how long it took."""
    exchange = Exchange()
    for _ in range(5000):
        exchange.say(exchange.peer.ping())
        exchange.flush()
    exchange.still_works()


def test_i8_cost_is_linear() -> None:
    """Generous, because the machine may be busy: a quadratic cost would take minutes."""
    exchange = Exchange(stream_window=2**24)
    exchange.open()
    exchange.say(exchange.peer.headers(1, OK))
    data = exchange.peer.body(1, bytes(300_000), end=False) + exchange.peer.data(1, b"x") * 20000
    started = time.process_time()
    for byte in data[:50000]:
        exchange.say(bytes([byte]))
    exchange.say(data[50000:])
    assert time.process_time() - started < 10
    assert exchange.protocol.error is None


# Compression


def test_c06_header_bomb() -> None:
    """A table entry of 4 kB, 200 times in 200 bytes."""
    encoder = Encoder()
    entry = (b"x-bomb", b"y" * 3900)
    first = encoder.encode([OK, entry])
    again = encoder.encode([entry])
    text = connection_error(
        lambda peer: frame(1, END_HEADERS, 1, first + again * 200), code=ENHANCE_YOUR_CALM
    )
    assert "102400" in text


def test_too_many_header_fields() -> None:
    small = (b"a", b"")
    text = stream_error(lambda peer: peer.headers(1, OK, *[small] * 1000), code=ENHANCE_YOUR_CALM)
    assert "1000" in text


def test_header_limits_are_options() -> None:
    exchange = Exchange(max_header_bytes=1000, max_header_count=5)
    stream = exchange.open()
    exchange.say(exchange.peer.headers(1, OK, *[(b"a", b"b")] * 4, end=True))
    assert exchange.read(stream).complete
    stream = exchange.open()
    exchange.say(exchange.peer.headers(3, OK, *[(b"a", b"b")] * 5, end=True))
    assert "5" in str(exchange.read(stream).error)
    exchange.open()
    exchange.say(exchange.peer.headers(5, OK, (b"a", b"b" * 1000), end=True))
    exchange.failed_with(ENHANCE_YOUR_CALM)


@pytest.mark.parametrize(
    "block",
    [
        b"\x88\xff\xff\x01",  # an index beyond the table
        b"\x80",  # index 0
        b"\x3f\xe2\x1f\x88",  # a table larger than allowed
        b"\x88\x3f\x00",  # a change of the table's size after a field
        b"\x88\x00\x01a\x81\x00",  # Huffman padding that is not all ones
        b"\x88\x00\x01a\x84\xff\xff\xff\xff",  # Huffman: end of string
        b"\x88\x00\x05ab",  # shorter than its lengths say
        b"\x88\x40",  # cut
        b"\x88\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # an endless number
    ],
)
def test_c08_broken_compression(block: bytes) -> None:
    exchange = Exchange()
    exchange.open()
    exchange.say(frame(1, END_HEADERS, 1, block))
    exchange.failed_with(COMPRESSION_ERROR)


def test_c08_late_field_blocks_are_decoded_too() -> None:
    exchange = Exchange()
    exchange.protocol.close_stream(exchange.open())
    exchange.flush()
    exchange.say(frame(1, END_HEADERS, 1, b"\x80"))
    exchange.failed_with(COMPRESSION_ERROR)


@pytest.mark.parametrize("size", [0, 100, 2**32 - 1])
def test_c12_compression_table_size(size: int) -> None:
    """What the server offers is used up to 4 KiB, and what it withdraws is not used."""
    exchange = Exchange()
    exchange.peer.decoder.max_allowed_table_size = size
    exchange.say(exchange.peer.settings({0x1: size}))
    exchange.flush()
    for number in range(200):
        exchange.open(headers=[(b"X-Number", b"%d" % number + b"x" * 50)])
        exchange.say(exchange.peer.response(2 * number + 1))
    encoder = exchange.protocol._engine._h2.encoder
    assert encoder.header_table_size == min(size, 4096)
    exchange.still_works()


def test_c13_small_header_list_limit_is_advice() -> None:
    """The server's answer to headers that are too large, 431, says more than we could."""
    exchange = Exchange({0x6: 10})
    stream = exchange.open(headers=[(b"X-Large", b"x" * 1000)])
    exchange.say(exchange.peer.headers(1, (b":status", b"431"), end=True))
    assert exchange.read(stream).complete


# Malformed responses: sections 8.1.1, 8.2 and 8.3


@pytest.mark.parametrize(
    "head",
    [
        [],
        [(b"content-type", b"a")],
        [(b":status", b"abc")],
        [(b":status", b"")],
        [(b":status", b"20")],
        [(b":status", b"2000")],
        [(b":status", b"099")],
        [(b":status", b"-20")],
        [(b":status", "²00".encode("latin-1"))],
        [OK, OK],
        [(b":status", b"200"), (b":status", b"404")],
        [(b"a", b"b"), OK],
        [OK, (b":path", b"/")],
        [OK, (b":unknown", b"x")],
        [(b":status", b"101")],
        [(b":method", b"GET"), OK],
    ],
)
def test_c31_status(head: list[tuple[bytes, bytes]]) -> None:
    assert "malformed" in stream_error(lambda peer: peer.headers(1, *head))


@pytest.mark.parametrize(
    "field",
    [
        (b"Upper", b"x"),
        (b"", b"x"),
        (b"a b", b"x"),
        (b"a\r\nb", b"x"),
        (b"a\0", b"x"),
        (b"a:b", b"x"),
        (b"caf\xe9", b"x"),
        (b"x-a", b"a\r\nb: c"),
        (b"x-a", b"a\rb"),
        (b"x-a", b"a\nb"),
        (b"x-a", b"\n"),
        (b"x-a", b"a\n"),
        (b"server", b"\na"),
        (b"x-a", b"a\0b"),
        (b"x-a", b"a\x7fb"),
        (b"x-a", b" a"),
        (b"x-a", b"a\t"),
        (b"date", b"\ta"),
        (b"server", b"a "),
        (b"x-a", b" "),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_c32_field_characters(field: tuple[bytes, bytes], last: bool) -> None:
    around = [(b"x-b", b"1"), field] + ([] if last else [(b"x-c", b"2")])
    text = stream_error(lambda peer: peer.headers(1, OK, *around))
    assert "malformed" in text


@pytest.mark.parametrize("value", [b"", b"a b\tc", b"caf\xe9\x80", b"!~"])
def test_c32_legal_values(value: bytes) -> None:
    exchange = Exchange()
    stream = exchange.open()
    exchange.say(exchange.peer.headers(1, OK, (b"x-a", value), (b"x-b", b""), end=True))
    answer = exchange.read(stream)
    assert answer.head is not None
    assert answer.head.headers == [(b"x-a", value), (b"x-b", b"")]


@pytest.mark.parametrize(
    "field",
    [
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h3"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"close"),
        (b"te", b"gzip"),
    ],
)
def test_c33_connection_specific_fields(field: tuple[bytes, bytes]) -> None:
    stream_error(lambda peer: peer.headers(1, OK, field))


@pytest.mark.parametrize(
    "frames",
    [
        lambda peer: peer.response(1, b"hello", (b"content-length", b"3")),
        lambda peer: peer.response(1, b"hello", (b"content-length", b"30")),
        lambda peer: peer.response(1, b"", (b"content-length", b"30")),
        lambda peer: peer.headers(1, OK, (b"content-length", b"3"), (b"content-length", b"4")),
        lambda peer: peer.headers(1, OK, (b"content-length", b"3"), (b"content-length", b"3")),
        lambda peer: peer.headers(1, OK, (b"content-length", b"+3")),
        lambda peer: peer.headers(1, OK, (b"content-length", b"")),
        lambda peer: peer.headers(1, OK, (b"content-length", b"3, 3")),
        lambda peer: peer.headers(1, OK, (b"content-length", b"9" * 20)),
        lambda peer: peer.headers(1, OK, (b"content-length", b"9" * 5000)),
        lambda peer: (
            peer.headers(1, OK, (b"content-length", b"5"))
            + peer.data(1, b"hell")
            + peer.headers(1, (b"x-sum", b"7"), end=True)
        ),
    ],
)
def test_c34_content_length(frames: Build) -> None:
    """T11: nothing beyond the declared length is handed on, and never a short body as whole."""
    stream_error(frames)


@pytest.mark.parametrize(
    "frames",
    [
        lambda peer: peer.data(1, b"x"),
        lambda peer: peer.data(1, b"", end=True),
        lambda peer: peer.headers(1, OK) + peer.headers(1, OK),
        lambda peer: peer.headers(1, OK) + peer.headers(1, (b"x-sum", b"7")),
        lambda peer: peer.headers(1, OK) + peer.headers(1, OK, end=True),
        lambda peer: peer.headers(1, OK) + peer.headers(1, (b"X", b"7"), end=True),
        lambda peer: peer.headers(1, (b":status", b"103"), end=True),
        lambda peer: peer.headers(1, (b":status", b"100")) + peer.data(1, b"x"),
    ],
)
def test_c35_order(frames: Build) -> None:
    stream_error(frames)


def test_c35_frames_after_the_end_of_a_response() -> None:
    """While the request is still being sent: the stream is reset, and the response stands."""
    for late in (lambda peer: peer.data(1, b""), lambda peer: peer.headers(1, OK)):
        exchange = Exchange()
        stream = exchange.open(b"POST", stream=Stream())
        exchange.say(exchange.peer.response(1, b"x"), late(exchange.peer))
        answer = exchange.read(stream)
        assert (answer.body, answer.complete) == (b"x", True)
        exchange.flush()
        assert exchange.peer.resets == {1: 5}
        exchange.still_works()


# Frames


@pytest.mark.parametrize(
    "build",
    [
        lambda peer: frame(5, END_HEADERS, 1, b"\0\0\0\2" + peer.encoder.encode([OK])),
        lambda peer: peer.headers(2, OK),
        lambda peer: peer.headers(0, OK),
        lambda peer: peer.headers(5, OK),
        lambda peer: peer.data(0, b"x"),
        lambda peer: peer.data(2, b"x"),
        lambda peer: peer.data(5, b"x"),
        lambda peer: peer.reset(0, 8),
        lambda peer: peer.reset(5, 8),
        lambda peer: peer.window_update(5, 1),
        lambda peer: frame(2, 0, 0, bytes(5)),
        lambda peer: frame(4, 0, 1, b""),
        lambda peer: frame(6, 0, 1, bytes(8)),
        lambda peer: frame(7, 0, 1, bytes(8)),
        lambda peer: frame(9, END_HEADERS, 1, b""),
        lambda peer: frame(0, PADDED, 1, b""),
        lambda peer: frame(0, PADDED, 1, b"\x01"),
        lambda peer: frame(1, END_HEADERS | PADDED, 1, b"\x05\x88"),
        lambda peer: frame(1, 0, 1, b"\x88") + peer.data(1, b"x"),
        lambda peer: frame(1, 0, 1, b"\x88") + frame(9, END_HEADERS, 3, b""),
        lambda peer: frame(1, 0, 1, b"\x88") + frame(0xFA, 0, 1, b""),
        lambda peer: peer.settings({0x2: 1}),
        lambda peer: peer.settings({0x5: 16383}),
        lambda peer: peer.settings({0x5: 2**24}),
        lambda peer: peer.settings({0x8: 2}),
    ],
)
def test_c37_c38_violations(build: Build) -> None:
    connection_error(build)


def test_c38_initial_window_over_its_maximum() -> None:
    connection_error(lambda peer: peer.settings({0x4: 2**31}), code=3)


@pytest.mark.parametrize(
    "build",
    [
        lambda peer: frame(3, 0, 1, bytes(3)),
        lambda peer: frame(3, 0, 1, bytes(5)),
        lambda peer: frame(4, 0, 0, bytes(5)),
        lambda peer: frame(4, 1, 0, bytes(6)),
        lambda peer: frame(6, 0, 0, bytes(7)),
        lambda peer: frame(6, 1, 0, bytes(9)),
        lambda peer: frame(7, 0, 0, bytes(7)),
        lambda peer: frame(8, 0, 0, bytes(3)),
        lambda peer: frame(8, 0, 1, bytes(5)),
        lambda peer: frame(1, END_HEADERS | PRIORITY, 1, bytes(4)),
        lambda peer: frame(0, 0, 1, bytes(16385)),
        lambda peer: frame(0xFA, 0, 0, bytes(16385)),
    ],
)
def test_c38_lengths(build: Build) -> None:
    connection_error(build, code=FRAME_SIZE_ERROR)


def test_c38_priority_of_wrong_length() -> None:
    stream_error(lambda peer: frame(2, 0, 1, bytes(4)), code=FRAME_SIZE_ERROR)


def test_c38_oversize_frames_are_refused_by_their_header() -> None:
    exchange = Exchange()
    exchange.open()
    exchange.say(frame(0, 0, 1, bytes(2**20))[:9])
    exchange.failed_with(FRAME_SIZE_ERROR)


def test_c38_what_has_no_meaning_is_ignored() -> None:
    """The reserved bit, unknown flags, unknown settings, priorities, frames of unknown types."""
    exchange = Exchange()
    stream = exchange.open()
    peer = exchange.peer
    block = bytes(5) + peer.encoder.encode([OK])
    exchange.say(
        frame(4, 0, 0, b"\x0a\x0a\0\0\0\1" + b"\xff\xff\xff\xff\xff\xff"),
        frame(2, 0, 1, bytes(5)),
        frame(2, 0, 7777, bytes(4)),
        frame(0xFA, 0xFF, 0, b"grease"),
        frame(1, END_HEADERS | PRIORITY | 0xC2, 1 | 1 << 31, block),
        frame(0, END | 0xF2, 1 | 1 << 31, b"hello"),
    )
    answer = exchange.read(stream)
    assert (answer.body, answer.complete) == (b"hello", True)
    exchange.still_works()


def test_padded_headers() -> None:
    exchange = Exchange()
    stream = exchange.open()
    block = exchange.peer.encoder.encode([OK])
    payload = bytes([7]) + bytes(5) + block + bytes(7)
    exchange.say(frame(1, END | END_HEADERS | PADDED | PRIORITY, 1, payload))
    assert exchange.read(stream).complete


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"H",
        b"\x15\x03\x01\x00\x02\x02\x28",  # a TLS alert
        b"SSH-2.0-OpenSSH",
        b"\0\0\x08\x06\0\0\0\0\0" + bytes(8),  # a PING
        b"\0\0\0\x04\x01",  # the acknowledgement of SETTINGS before any
    ],
)
@pytest.mark.parametrize("cut", [1, 10**9])
def test_c39_not_http2(received: bytes, cut: int) -> None:
    """It shows in the first bytes, and need not wait for a timeout."""
    exchange = Exchange()
    exchange.protocol = HTTP2Protocol()
    exchange.peer = Peer()
    exchange.protocol.start()
    exchange.flush()
    for at in range(0, len(received), cut):
        exchange.say(received[at : at + cut])
    text = exchange.failed_with(PROTOCOL_ERROR)
    assert "not HTTP/2" in text


def test_c39_nothing_at_all() -> None:
    protocol = HTTP2Protocol()
    protocol.start()
    assert protocol.receive_data(b"") == []
    assert protocol.is_closed
    assert not protocol.has_settings
