"""Response framing: H2, H3, H9 and group A of the faults, each under every cut of the bytes."""

from __future__ import annotations

import pytest

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._protocol.http11 import END, ResponseHead
from tests.protocol.wire import exchange, new_protocol, ok, pieces, plan, receive, refused, reply

pytestmark = pytest.mark.usefixtures("engine")

LENGTH_5 = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"


def chunked(*lines: bytes) -> bytes:
    return ok(CHUNKED, body=b"\r\n".join(lines))


def test_known_length() -> None:
    outcome = exchange(ok(LENGTH_5, body=b"hello"))
    assert outcome.head == ResponseHead(b"HTTP/1.1", 200, b"OK", [(b"Content-Length", b"5")])
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"hello", True, True)


def test_empty_length() -> None:
    outcome = exchange(ok(b"Content-Length: 0"))
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"", True, True)


def test_header_order_and_case_are_kept() -> None:
    outcome = exchange(ok(b"x-B: 1", b"X-a:2", b"x-b:   3 \t", b"Empty:", LENGTH_5, body=b"hello"))
    assert outcome.head is not None
    assert outcome.head.headers == [
        (b"x-B", b"1"),
        (b"X-a", b"2"),
        (b"x-b", b"3"),
        (b"Empty", b""),
        (b"Content-Length", b"5"),
    ]


def test_a01_second_response_in_the_same_segment() -> None:
    """H3: it is never parsed, and the connection is not used again."""
    outcome = exchange(ok(LENGTH_5, body=b"hello") + ok(LENGTH_5, body=b"EVIL!"))
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"hello", True, False)


def test_a03_extra_bytes_after_the_body() -> None:
    outcome = exchange(ok(LENGTH_5, body=b"hello!"))
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"hello", True, False)


def test_a03_extra_bytes_after_a_chunked_body() -> None:
    outcome = exchange(chunked(b"5", b"hello", b"0", b"", b"!"))
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"hello", True, False)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("field", [LENGTH_5, CHUNKED, b"X: y"])
def test_a04_body_where_there_is_none(status: bytes, field: bytes) -> None:
    outcome = exchange(reply(b"HTTP/1.1 " + status, field, body=b"hello"))
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"", True, False)


def test_a04_body_after_head() -> None:
    sent = plan(b"HEAD")
    outcome = exchange(ok(LENGTH_5, body=b"hello"), sent=sent)
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"", True, False)
    assert exchange(ok(LENGTH_5), sent=sent).keep_alive
    assert exchange(ok(CHUNKED), sent=sent).keep_alive
    assert exchange(ok(), sent=sent).keep_alive


def test_a04_204_that_announces_a_body_is_not_reused() -> None:
    """Its bytes may still be on their way when the next request goes out."""
    assert not exchange(reply(b"HTTP/1.1 204 No Content", LENGTH_5)).keep_alive
    assert not exchange(reply(b"HTTP/1.1 204 No Content", CHUNKED)).keep_alive
    assert exchange(reply(b"HTTP/1.1 204 No Content", b"Content-Length: 0")).keep_alive
    assert exchange(reply(b"HTTP/1.1 304 Not Modified", LENGTH_5)).keep_alive


def test_205_is_framed_like_any_other() -> None:
    outcome = exchange(reply(b"HTTP/1.1 205 Reset Content", b"Content-Length: 0"))
    assert (outcome.complete, outcome.keep_alive) == (True, True)
    outcome = exchange(reply(b"HTTP/1.1 205 Reset Content", CHUNKED, body=b"0\r\n\r\n"))
    assert (outcome.complete, outcome.keep_alive) == (True, True)


@pytest.mark.parametrize("fields", [(LENGTH_5, CHUNKED), (CHUNKED, LENGTH_5)])
def test_a05_length_and_transfer_encoding(fields: tuple[bytes, bytes]) -> None:
    refused(ok(*fields, body=b"5\r\nhello\r\n0\r\n\r\n"))


@pytest.mark.parametrize("fields", [(LENGTH_5, b"Content-Length: 6"), (b"Content-Length: 5, 6",)])
def test_a06_differing_lengths(fields: tuple[bytes, ...]) -> None:
    refused(ok(*fields, body=b"hello"))


@pytest.mark.parametrize(
    "fields", [(LENGTH_5, LENGTH_5), (b"Content-Length: 5, 5",), (LENGTH_5, b"content-LENGTH:5")]
)
def test_h2_repeated_lengths(fields: tuple[bytes, ...]) -> None:
    refused(ok(*fields, body=b"hello"))


@pytest.mark.parametrize(
    "value",
    [
        b"+5", b"-5", b"0x5", b"1_0", b"", b"\xd9\xa5", b"5.0", b"5 5", b"5;", b"five", b"\xb2",
        b"9" * 19, b"1" * 20, b"1" * 5000, b"0" * 5000 + b"5",
    ],
)  # fmt: skip
def test_a08_illegal_length(value: bytes) -> None:
    refused(ok(b"Content-Length: " + value, body=b"hello"))


def test_a08_a_huge_legal_length_costs_nothing() -> None:
    outcome = exchange(ok(b"Content-Length: 9223372036854775807", body=b"hello"))
    assert (outcome.body, outcome.complete) == (b"hello", False)


@pytest.mark.parametrize(
    "fields",
    [
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunkedx",),
        (b"Transfer-Encoding: chunked, chunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: chunked;a=b",),
        (b"Transfer-Encoding: \x0bchunked",),
        (b"Transfer-Encoding:",),
        (CHUNKED, CHUNKED),
        (CHUNKED, b"transfer-encoding: identity"),
    ],
)
def test_a09_transfer_encoding(fields: tuple[bytes, ...]) -> None:
    refused(ok(*fields, body=b"5\r\nhello\r\n0\r\n\r\n"))


def test_a09_transfer_encoding_in_http_1_0() -> None:
    refused(reply(b"HTTP/1.0 200 OK", CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"))


def test_a09_chunked_in_any_case() -> None:
    outcome = exchange(ok(b"TRANSFER-encoding: CHUNKED \t", body=b"5\r\nhello\r\n0\r\n\r\n"))
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"hello", True, True)


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"0005\r\nhello\r\n000\r\n\r\n",
        b"5;a=b\r\nhello\r\n0;last\r\n\r\n",
        b'5;a="b c"\r\nhello\r\n0\r\n\r\n',
        b"5  \r\nhello\r\n0\t\r\n\r\n",
        b"5 ; a = b\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a10_chunks(body: bytes) -> None:
    outcome = exchange(ok(CHUNKED, body=body))
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"hello", True, True)


@pytest.mark.parametrize(
    "body",
    [
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0_5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"0" * 39 + b"5\r\nhello\r\n0\r\n\r\n",
        b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\r\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\0b\r\nhello\r\n0\r\n\r\n",
        b"5 a\r\nhello\r\n0\r\n\r\n",
        b"5,5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\rX0\r\n\r\n",
        b";\r\nhello\r\n0\r\n\r\n",
        b"\xd9\xa5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a10_illegal_chunks(body: bytes) -> None:
    refused(ok(CHUNKED, body=body))


def test_a11_endless_size_line() -> None:
    refused(ok(CHUNKED, body=b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n"))
    refused(ok(CHUNKED, body=b"5;" + b"a" * 20_000))
    refused(ok(CHUNKED, body=b"5" + b" " * 20_000))
    refused(ok(CHUNKED, body=b"0" * 20_000))


def test_a11_extensions_beyond_the_data() -> None:
    """The ratio is limited, the amount is not: a long stream of small chunks is legal."""
    chunk = b"1;" + b"a" * 1000 + b"\r\nx\r\n"
    refused(ok(CHUNKED, body=chunk * 20 + b"0\r\n\r\n"))
    small = b"1\r\nx\r\n"
    outcome = exchange(ok(CHUNKED, body=small * 20_000 + b"0\r\n\r\n"), cuts=(7, 65536))
    assert outcome.body == b"x" * 20_000
    assert outcome.complete


@pytest.mark.parametrize("end", range(1, len(b"5\r\nhello\r\n0\r\n\r\n")))
def test_a12_truncated_chunks(end: int) -> None:
    """N6: never a short body taken for whole."""
    response = ok(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"[:-end])
    refused(response, eof=True)
    assert not exchange(response).complete


def test_a13_truncated_length() -> None:
    refused(ok(LENGTH_5, body=b"hell"), eof=True)
    refused(ok(LENGTH_5), eof=True)


def test_a14_body_that_ends_with_the_stream() -> None:
    response = ok(b"Content-Type: text/plain", body=b"hello")
    outcome = exchange(response, eof=True)
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"hello", True, False)
    assert not exchange(response).complete


def test_a15_no_response_at_all() -> None:
    refused(b"", eof=True)
    protocol = new_protocol()
    protocol.start(plan())
    protocol.receive_data(b"")
    assert not protocol.has_response_bytes
    with pytest.raises(RemoteProtocolError, match="disconnected without sending a response"):
        protocol.next_event()


@pytest.mark.parametrize("end", range(1, len(ok(LENGTH_5)) - 1))
def test_a15_half_a_head(end: int) -> None:
    refused(ok(LENGTH_5)[:end], eof=True)


@pytest.mark.parametrize("status", [b"099", b"000", b"20", b"-20", b"1000", b"2 0", b"20x", b""])
def test_a17_illegal_status(status: bytes) -> None:
    refused(reply(b"HTTP/1.1 " + status + b" OK", LENGTH_5, body=b"hello"))


def test_a17_unusual_status() -> None:
    outcome = exchange(reply(b"HTTP/1.1 999 Huh", LENGTH_5, body=b"hello"))
    assert outcome.head is not None
    assert (outcome.head.status, outcome.head.reason, outcome.body) == (999, b"Huh", b"hello")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"HTTP/1.1 200", b""),
        (b"HTTP/1.1 200 ", b""),
        (b"HTTP/1.1 200 Tr\xe8s bien\t!", b"Tr\xe8s bien\t!"),
    ],
)
def test_reason_phrases(line: bytes, reason: bytes) -> None:
    outcome = exchange(reply(line, LENGTH_5, body=b"hello"))
    assert outcome.head is not None
    assert outcome.head.reason == reason


def test_a18_bare_lf_throughout() -> None:
    outcome = exchange(b"HTTP/1.1 200 OK\nContent-Length: 7\n\nhe\r\n\r\nl")
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"he\r\n\r\nl", True, True)
    outcome = exchange(b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\r\nx\r\n0\r\n\r\n")
    assert (outcome.body, outcome.complete) == (b"x", True)
    refused(b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\n\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\n\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\n\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_h2_mixed_line_ends(head: bytes) -> None:
    refused(head + b"hello")
    refused(head + b"he\r\n\r\nhello")


@pytest.mark.parametrize("char", [bytes([code]) for code in (*range(9), *range(10, 32), 127)])
def test_a19_control_characters(char: bytes) -> None:
    """H2: NUL, bare CR, bare LF (which makes the line ends mixed), and every other one but HTAB."""
    refused(ok(b"X: a" + char + b"b: c", LENGTH_5, body=b"hello"))
    if char != b"\n":
        refused(reply(b"HTTP/1.1 200 O" + char + b"K", LENGTH_5, body=b"hello"))
        refused(ok(b"X" + char + b": b", LENGTH_5, body=b"hello"))


def test_a19_tabs_and_8_bit_values_pass() -> None:
    outcome = exchange(ok(b"X: a\tb\xe9\x80", LENGTH_5, body=b"hello"))
    assert outcome.head is not None
    assert outcome.head.headers[0] == (b"X", b"a\tb\xe9\x80")


@pytest.mark.parametrize(
    "lines",
    [
        (b"X: a", b" b", LENGTH_5),
        (b"X: a", b"\tb", LENGTH_5),
        (b" X: a", LENGTH_5),
        (LENGTH_5, b" "),
        (b"Content-Length : 5",),
        (b"Content-Length\t: 5",),
        (LENGTH_5, b"no colon"),
        (LENGTH_5, b": empty name"),
        (LENGTH_5, b"b(d: name"),
        (LENGTH_5, b"n\xe4me: x"),
    ],
)
def test_a20_malformed_fields(lines: tuple[bytes, ...]) -> None:
    refused(ok(*lines, body=b"hello"))


def test_a21_head_size() -> None:
    """100 KiB pass, one byte more does not, however it arrives."""
    empty = ok(LENGTH_5, b"X: ")
    fits = ok(LENGTH_5, b"X: " + b"a" * (102400 - len(empty)))
    assert exchange(fits + b"hello", cuts=(7, 65536, 10**6)).body == b"hello"
    longer = fits.replace(b"aaa", b"aaaa", 1)
    refused(longer + b"hello", cuts=(7, 65536, 10**6))
    refused(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000, cuts=(7, 65536, 10**6))
    assert exchange(longer + b"hello", max_head_bytes=200_000, cuts=(65536,)).complete


def test_a21_header_count() -> None:
    fields = [b"A: b"] * 999
    assert exchange(ok(LENGTH_5, *fields, body=b"hello"), cuts=(7, 10**6)).complete
    refused(ok(LENGTH_5, *fields, b"A: b", body=b"hello"), cuts=(7, 10**6))
    refused(ok(*[b"A: b"] * 20_000), cuts=(7, 10**6), max_head_bytes=10**6)
    assert exchange(ok(LENGTH_5, body=b"hello"), max_header_count=1).complete
    refused(ok(LENGTH_5, b"A: b", body=b"hello"), max_header_count=1)


@pytest.mark.parametrize(
    "start",
    [
        b"hello", b"\r\nHTTP/1.1 200 OK", b"\nHTTP/1.1 200 OK", b" HTTP/1.1 200 OK",
        b"http/1.1 200 OK", b"HTTP/2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK",
        b"HTTP/1.2 200 OK", b"HTTP/1.10 200 OK", b"HTTP/1 200 OK", b"HTTP/1.1\t200 OK",
        b"HTTP/1.1200 OK", b"HTTPS/1.1 200 OK", b"ICY 200 OK", b"HTTP/1.1  200 OK",
        b"<html><body>", b"\x15\x03\x01\x00\x02\x02\x46", b"\0\0\x12\x04\0\0\0\0\0",
        b"\0HTTP/1.1 200 OK",
    ],
)  # fmt: skip
def test_h2_garbage_before_the_status_line(start: bytes) -> None:
    """HTTP/0.9, TLS alerts and HTTP/2 frames are told from a response by their first bytes."""
    refused(reply(start, LENGTH_5, body=b"hello"))


def test_h2_garbage_is_noticed_before_a_line_ends() -> None:
    refused(b"SSH-2.0-OpenSSH_9.9")
    refused(b"\0" * 9)


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        ((b"HTTP/1.1 200 OK",), True),
        ((b"HTTP/1.1 200 OK", b"Connection: keep-alive"), True),
        ((b"HTTP/1.1 200 OK", b"Connection: close"), False),
        ((b"HTTP/1.1 200 OK", b"CONNECTION: Close"), False),
        ((b"HTTP/1.1 200 OK", b"Connection: keep-alive, close"), False),
        ((b"HTTP/1.1 200 OK", b"Connection: foo ,\tCLOSE\t, bar"), False),
        ((b"HTTP/1.1 200 OK", b"Connection: keep-alive", b"connection: close"), False),
        ((b"HTTP/1.1 200 OK", b"Connection: closed"), True),
        ((b"HTTP/1.1 200 OK", b"X-Connection: close"), True),
        ((b"HTTP/1.0 200 OK",), False),
        ((b"HTTP/1.0 200 OK", b"Connection: Keep-Alive"), True),
        ((b"HTTP/1.0 200 OK", b"Connection: foo, keep-alive"), True),
        ((b"HTTP/1.0 200 OK", b"Connection: close, keep-alive"), False),
    ],
)
def test_a24_h9_connection_tokens(head: tuple[bytes, ...], reusable: bool) -> None:
    outcome = exchange(reply(*head, LENGTH_5, body=b"hello"))
    assert (outcome.body, outcome.complete, outcome.keep_alive) == (b"hello", True, reusable)


def test_h9_close_asked_by_us() -> None:
    response = ok(LENGTH_5, body=b"hello")
    assert exchange(response, sent=plan(headers=[(b"connection", b"x, Close")])).complete
    assert not exchange(response, sent=plan(headers=[(b"connection", b"x, Close")])).keep_alive


def test_a26_h7_trailers() -> None:
    body = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\nx-sum:  2 \r\n\r\n"
    outcome = exchange(ok(CHUNKED, body=body))
    assert (outcome.body, outcome.keep_alive) == (b"hello", True)
    assert outcome.trailers == [(b"X-Sum", b"1"), (b"Content-Length", b"7"), (b"x-sum", b"2")]
    assert outcome.head is not None
    assert outcome.head.headers == [(b"Transfer-Encoding", b"chunked")]


@pytest.mark.parametrize(
    "trailer",
    [
        b"no colon\r\n", b": x\r\n", b"X : y\r\n", b" X: y\r\n", b"X: y\r\n z\r\n", b"X: y\n",
        b"X: a\0b\r\n", b"X: a\rb\r\n", b"X" * 200_000, b"X: " + b"y" * 1_000_000 + b"\r\n",
        b"X: y\r\n" * 1001,
    ],
)  # fmt: skip
def test_a26_bad_trailers(trailer: bytes) -> None:
    body = b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n"
    refused(ok(CHUNKED, body=body), cuts=(1, 7, 10**7) if len(trailer) < 9999 else (99, 10**7))


def test_failure_is_final() -> None:
    protocol = new_protocol()
    protocol.start(plan())
    _, error = receive(protocol, pieces(b"garbage", 3))
    assert "garb"[:3] in error
    protocol.receive_data(ok(LENGTH_5, body=b"hello"))
    with pytest.raises(RemoteProtocolError, match="failed before"):
        protocol.next_event()
    assert not protocol.keep_alive


def test_engine_errors_are_causes_and_values_stay_out_of_the_text() -> None:
    """I2, I9."""
    protocol = new_protocol()
    protocol.start(plan())
    protocol.receive_data(ok(b"Set-Cookie : secret"))
    with pytest.raises(RemoteProtocolError) as caught:
        protocol.next_event()
    assert caught.value.__cause__ is not None
    assert "secret" not in str(caught.value)


def test_end_is_repeated() -> None:
    protocol = new_protocol()
    protocol.start(plan())
    receive(protocol, [ok(LENGTH_5, body=b"hello")])
    assert protocol.next_event() is END
    assert protocol.keep_alive
