"""Writing requests: the head, both framings of a body, H8 (B09); h11 as the server reads it."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpcore_core._exceptions import LocalProtocolError
from httpcore_core._models import ByteStream, Headers
from httpcore_core._protocol.http11_sender import JOINED_BODY_SIZE
from httpcore_core._protocol.request import RequestPlan
from tests.protocol.wire import HOST, Stream, exchange, new_protocol, ok, plan, receive

TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=12)
VALUE = st.from_regex(rb"([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True)
SPECIAL = {
    b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade",
}  # fmt: skip


def send(sent: RequestPlan, *chunks: bytes) -> bytes:
    protocol = new_protocol()
    written = [protocol.start(sent)]
    if not protocol.request_complete:
        written += [*map(protocol.send_data, chunks), protocol.end_of_body()]
    assert protocol.request_complete
    return b"".join(written)


def served(written: bytes) -> tuple[h11.Request, bytes, Headers]:
    """What h11 reads as a server: the request, its body, its trailers."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(written)
    head = server.next_event()
    assert isinstance(head, h11.Request)
    body = bytearray()
    while isinstance(event := server.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert server.trailing_data == (b"", False)
    return head, bytes(body), list(event.headers)


def test_head_is_written_as_given() -> None:
    sent = plan(b"GET", b"/a?b=c", headers=[(b"x-B", b"1"), (b"X-a", b""), (b"x-b", b"2")])
    assert send(sent) == (
        b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nx-B: 1\r\nX-a: \r\nx-b: 2\r\n\r\n"
    )


@given(
    TOKEN,
    st.text("/?&=%:@!$*+~|^{}ab09", max_size=30),
    st.lists(st.tuples(TOKEN.map(str.encode), VALUE), max_size=8),
    st.lists(st.binary(max_size=20), max_size=5),
    st.booleans(),
)
def test_h11_reads_the_same_request(
    method: str, target: str, headers: Headers, chunks: list[bytes], in_memory: bool
) -> None:
    headers = [field for field in headers if field[0].lower() not in SPECIAL]
    body = b"".join(chunks)
    stream = ByteStream(body) if in_memory else Stream()
    if method == "CONNECT":
        method = "GET"
    sent = plan(method.encode(), b"/" + target.encode(), headers, stream)
    head, received, _ = served(send(sent, *chunks))
    assert head.method == method.encode()
    assert head.target == b"/" + target.encode()
    assert head.headers.raw_items()[: len(headers) + 1] == [HOST, *headers]
    assert received == body


def test_chunked_with_trailers() -> None:
    trailers = [(b"X-Sum", b"1"), (b"X-Other", b"a b")]
    sent = plan(b"POST", stream=Stream(), trailers=trailers)
    head, body, received = served(send(sent, b"hello ", b"", b"world"))
    assert (b"transfer-encoding", b"chunked") in head.headers
    assert body == b"hello world"
    assert received == [(name.lower(), value) for name, value in trailers]


def test_trailers_may_be_filled_while_the_body_is_sent() -> None:
    trailers: Headers = []
    protocol = new_protocol()
    protocol.start(plan(b"POST", stream=Stream(), trailers=trailers))
    protocol.send_data(b"hello")
    trailers.append((b"X-Sum", b"1"))
    assert protocol.end_of_body() == b"0\r\nX-Sum: 1\r\n\r\n"


@pytest.mark.parametrize(
    "trailer",
    [(b"X", b"a\r\nb"), (b"X Y", b"a"), (b"Content-Length", b"5"), (b"Host", b"a"), ("X", "a"), 7],
)
def test_illegal_trailers(trailer: Any) -> None:
    protocol = new_protocol()
    protocol.start(plan(b"POST", stream=Stream()))
    protocol.send_data(b"hello")
    with pytest.raises(LocalProtocolError):
        protocol.end_of_body([trailer])
    assert not protocol.request_complete


def test_trailers_need_chunks() -> None:
    protocol = new_protocol()
    protocol.start(plan(b"POST", headers=[(b"Content-Length", b"5")], stream=Stream()))
    protocol.send_data(b"hello")
    with pytest.raises(LocalProtocolError, match="chunked"):
        protocol.end_of_body([(b"X", b"y")])


@pytest.mark.parametrize("size", [1, JOINED_BODY_SIZE])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_small_body_leaves_with_the_head(size: int, chunked: bool) -> None:
    body = b"x" * size
    headers = [(b"Transfer-Encoding", b"chunked")] if chunked else []
    protocol = new_protocol()
    written = protocol.start(plan(b"POST", headers=headers, stream=ByteStream(body)))
    assert protocol.request_complete
    assert served(written)[1] == body
    assert protocol.end_of_body() == b""


def test_a_large_or_expected_body_does_not() -> None:
    large = plan(b"POST", stream=ByteStream(b"x" * (JOINED_BODY_SIZE + 1)))
    awaited = plan(b"POST", headers=[(b"Expect", b"100-continue")], stream=ByteStream(b"x"))
    for sent in (large, awaited):
        protocol = new_protocol()
        assert protocol.start(sent).endswith(b"\r\n\r\n")
        assert not protocol.request_complete


def test_known_length_is_passed_on_as_it_is() -> None:
    protocol = new_protocol()
    protocol.start(plan(b"POST", headers=[(b"Content-Length", b"6")], stream=Stream()))
    chunk = b"hel"
    assert protocol.send_data(chunk) is chunk
    assert protocol.send_data(b"") == b""
    assert not protocol.request_complete
    assert protocol.send_data(b"lo!") == b""  # kept back until nothing can follow it
    assert protocol.end_of_body() == b"lo!"
    assert protocol.request_complete


@pytest.mark.parametrize("chunks", [(b"hello!",), (b"hello", b"!"), (b"hel", b"lo!!!")])
def test_h8_b09_body_too_long(chunks: tuple[bytes, ...]) -> None:
    """The server sees neither the extra bytes nor a whole message."""
    protocol = new_protocol()
    written = protocol.start(plan(b"POST", headers=[(b"Content-Length", b"5")], stream=Stream()))
    with pytest.raises(LocalProtocolError, match="longer"):
        for chunk in chunks:
            written += protocol.send_data(chunk)
    assert not protocol.keep_alive
    server = h11.Connection(h11.SERVER)
    server.receive_data(written)
    while (event := server.next_event()) is not h11.NEED_DATA:
        assert not isinstance(event, h11.EndOfMessage)
    assert b"!" not in written


def test_h8_b09_a_stream_that_is_said_to_be_empty() -> None:
    """The end of the head would be that of the message: it waits for the stream's."""
    headers = [(b"Content-Length", b"0")]
    protocol = new_protocol()
    written = protocol.start(plan(b"POST", headers=headers, stream=Stream()))
    assert not protocol.request_complete
    with pytest.raises(LocalProtocolError, match="longer"):
        protocol.send_data(b"x")
    assert not protocol.keep_alive
    server = h11.Connection(h11.SERVER)
    server.receive_data(written)
    assert server.next_event() is h11.NEED_DATA

    protocol = new_protocol()
    written = protocol.start(plan(b"POST", headers=headers, stream=Stream()))
    assert protocol.send_data(b"") == b""
    written += protocol.end_of_body()
    assert protocol.request_complete
    assert served(written)[1] == b""


@pytest.mark.parametrize("chunks", [(), (b"hell",)])
def test_h8_b09_body_too_short(chunks: tuple[bytes, ...]) -> None:
    protocol = new_protocol()
    protocol.start(plan(b"POST", headers=[(b"Content-Length", b"5")], stream=Stream()))
    for chunk in chunks:
        protocol.send_data(chunk)
    with pytest.raises(LocalProtocolError, match="short"):
        protocol.end_of_body()
    assert not protocol.request_complete
    assert not protocol.keep_alive


def test_no_body_is_complete_at_once_and_takes_nothing() -> None:
    protocol = new_protocol()
    protocol.start(plan())
    assert protocol.request_complete
    assert protocol.end_of_body() == b""
    with pytest.raises(LocalProtocolError):
        protocol.send_data(b"x")


@pytest.mark.parametrize("chunk", [bytearray(b"hello"), memoryview(b"hello")])
def test_bytes_like_chunks(chunk: Any) -> None:
    protocol = new_protocol()
    protocol.start(plan(b"POST", stream=Stream()))
    assert protocol.send_data(chunk) == b"5\r\nhello\r\n"


@pytest.mark.parametrize("chunk", ["hello", 5, None])
def test_chunks_that_are_not_bytes(chunk: Any) -> None:
    protocol = new_protocol()
    protocol.start(plan(b"POST", stream=Stream()))
    with pytest.raises(LocalProtocolError, match="made of bytes"):
        protocol.send_data(chunk)
    assert not protocol.keep_alive


def test_one_exchange_at_a_time() -> None:
    protocol = new_protocol()
    with pytest.raises(LocalProtocolError):
        protocol.next_event()
    with pytest.raises(LocalProtocolError):
        protocol.send_data(b"x")
    protocol = new_protocol()
    protocol.start(plan())
    with pytest.raises(LocalProtocolError):
        protocol.start(plan())


def test_one_plan_can_be_sent_twice() -> None:
    """P6: a retry starts from the same plan."""
    sent = plan(b"PUT", stream=ByteStream(b"hello"))
    first = send(sent, b"hello")
    assert first == send(sent, b"hello")
    assert first.endswith(b"Content-Length: 5\r\n\r\nhello")
    assert exchange(ok(b"Content-Length: 0"), sent=plan()).keep_alive


def test_after_the_request_the_response_may_come_in_any_order() -> None:
    protocol = new_protocol()
    protocol.start(plan(b"POST", headers=[(b"Content-Length", b"5")], stream=Stream()))
    protocol.send_data(b"hello")
    protocol.end_of_body()
    outcome, _ = receive(protocol, [ok(b"Content-Length: 0")])
    assert outcome.keep_alive
