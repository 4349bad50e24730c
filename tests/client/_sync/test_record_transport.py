"""Recording through a scripted transport, and playing back what the file then says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import httpclient
from httpclient.transports._sync.record import PlaybackTransport, RecordTransport
from httpclient.transports._sync.retry import RetryTransport
from httpclient.transports.record import SECRET_HEADERS, RecordingError, UnexpectedRequest
from httpcore_core import (
    ConnectionPool,
    MockBackend,
    ByteStream,
    ConnectTimeout,
    LocalProtocolError,
    PoolClosed,
    ReadError,
    Response,
)
from tests.client._sync.scripted import Body, Generated, Scripted, answer, send
from tests.concurrency import TaskGroup


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.json"


def written(path: Path) -> list[Any]:
    """The exchanges in the file."""
    document = json.loads(path.read_text("utf-8"))
    exchanges: list[Any] = document["exchanges"]
    return exchanges


def test_example(path: Path) -> None:
    inner = Scripted(answer(200, b"hello"))
    with RecordTransport(inner, path) as transport:
        with httpclient.Client(transport=transport) as client:
            client.get("https://example.org/")
    with PlaybackTransport(path, all_used=True) as transport:
        with httpclient.Client(transport=transport) as client:
            assert (client.get("https://example.org/")).text == "hello"


def test_what_is_in_the_file(path: Path) -> None:
    headers = [(b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=b")]
    inner = Scripted(answer(201, b"one\n", b"two\n", headers=headers))
    with RecordTransport(inner, path) as transport:
        response = send(
            transport, b"POST", b"/a?b", [(b"Authorization", b"Basic eA==")], b"caf\xc3\xa9"
        )
        # Nothing of what passes is changed, but for the stream.
        assert (response.status, response.headers) == (201, headers)
        assert response.extensions == {"http_version": b"HTTP/1.1", "reason_phrase": b"Reason"}
        assert [chunk for chunk in response.stream] == [b"one\n", b"two\n"]
        response.stream.close()
        assert not path.exists()
    assert inner.requests[0].headers[0] == (b"Authorization", b"Basic eA==")
    assert inner.closed == 1
    assert json.loads(path.read_text("utf-8")) == {
        "format": "httpclient recording",
        "version": 1,
        "filtered": {"headers": sorted(SECRET_HEADERS), "query": []},
        "exchanges": [
            {
                "request": {
                    "method": "POST",
                    "url": "https://example.org/a?b",
                    "headers": ["Authorization: [filtered]"],
                    "body": "café",
                },
                "response": {
                    "status": 201,
                    "reason_phrase": "Reason",
                    "http_version": "HTTP/1.1",
                    "headers": ["Content-Type: text/plain", "Set-Cookie: [filtered]"],
                    "body": ["one\n", "two\n"],
                },
            }
        ],
    }


def test_played_response_is_the_recorded_one(path: Path) -> None:
    fields = [(b"A", b"\xff"), (b"a", b""), (b"Content-Encoding", b"gzip")]
    inner = Scripted(answer(200, b"\x1f\x8b", b"\x08", headers=fields))
    with RecordTransport(inner, path) as transport:
        (send(transport)).stream.read()
    with PlaybackTransport(path) as transport:
        response = send(transport)
        assert (response.status, response.headers) == (200, fields)
        assert response.extensions == {"http_version": b"HTTP/1.1", "reason_phrase": b"Reason"}
        assert response.stream.read() == b"\x1f\x8b\x08"
        response.stream.close()


def test_i9_no_secret_reaches_the_file(path: Path) -> None:
    secret = b"hunter2"
    names = [name.encode() for name in SECRET_HEADERS]
    fields = [*((name.upper(), secret) for name in names), (b"Location", b"/x?key=hunter2")]

    def scrub(exchange: dict[str, Any]) -> dict[str, Any]:
        exchange["request"]["body"] = exchange["request"]["body"].replace("hunter2", "[filtered]")
        return exchange

    options: dict[str, Any] = {"filter_query": ("key",), "filter": scrub}
    inner = Scripted(answer(200, headers=fields), ReadError("gone"))
    with RecordTransport(inner, path, **options) as transport:
        for _ in range(2):
            try:
                response = send(transport, b"POST", b"/?key=hunter2", fields[:-1], secret)
                response.stream.read()
            except ReadError:
                pass
    assert secret not in path.read_bytes()
    assert len(written(path)) == 2
    # Whoever plays it back may have other secrets.
    with PlaybackTransport(path, filter=scrub) as transport:
        response = send(transport, b"POST", b"/?key=hunter2", [], secret)
        assert response.headers[-1] == (b"Location", b"/x?key=[filtered]")
        with pytest.raises(ReadError):
            send(transport, b"POST", b"/?key=other", [], secret)


def test_filters_can_be_chosen(path: Path) -> None:
    def leave_out(exchange: dict[str, Any]) -> dict[str, Any] | None:
        return None if exchange["request"]["method"] == "POST" else exchange

    inner = Scripted(200, 200)
    transport = RecordTransport(inner, path, filter_headers=("X",), filter=leave_out)
    send(transport, headers=[(b"x", b"secret"), (b"Cookie", b"kept")])
    send(transport, b"POST")
    transport.close()
    [exchange] = written(path)
    assert exchange["request"]["headers"] == ["x: [filtered]", "Cookie: kept"]


def test_errors_are_recorded_and_raised_again(path: Path) -> None:
    error = ConnectTimeout("late", origin="https://example.org:443", phase="connect", limit=0.5)
    inner = Scripted(error, answer(200, b"ok"))
    with RecordTransport(inner, path) as transport:
        with pytest.raises(ConnectTimeout) as caught:
            send(transport)
        assert caught.value is error
        (send(transport)).stream.read()
    with PlaybackTransport(path, all_used=True) as transport:
        with pytest.raises(ConnectTimeout) as caught:
            send(transport)
        assert caught.value is not error
        assert str(caught.value) == str(error)
        assert (send(transport)).stream.read() == b"ok"


def test_with_retries_on_top_the_failures_are_played_too(path: Path) -> None:
    inner = Scripted(ReadError("x"), 503, answer(200, b"ok"))
    for transport in (RecordTransport(inner, path), None):
        below = transport or PlaybackTransport(path, all_used=True)
        with RetryTransport(below, backoff=0.0) as retrying:
            response = send(retrying, body=Generated(b"body", replayable=True))
            assert (response.stream.read(), response.extensions["attempts"]) == (b"ok", 3)
    assert [request.stream for request in inner.requests] == [b"body"] * 3


def test_error_in_the_body_is_raised_at_the_same_point(path: Path) -> None:
    inner = Scripted(answer(200, b"one", b"two", error=ReadError("gone", phase="body")))
    with RecordTransport(inner, path) as transport:
        with pytest.raises(ReadError):
            (send(transport)).stream.read()
    assert inner.streams[0].closed == 1
    with PlaybackTransport(path) as transport:
        response = send(transport)
        chunks = []
        with pytest.raises(ReadError, match="body: gone"):
            for chunk in response.stream:
                chunks.append(chunk)
        assert b"".join(chunks) == b"onetwo"


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_body_that_was_not_read_to_its_end_fails_at_that_point(
    taken: int, path: Path
) -> None:
    inner = Scripted(answer(200, b"one", b"two", b"three"))
    with RecordTransport(inner, path) as transport:
        response = send(transport, target=b"/?key=secret")
        chunks = []
        if taken:
            for chunk in response.stream:
                chunks.append(chunk)
                if len(chunks) == taken:
                    break
        response.stream.close()
        response.stream.close()
    assert inner.streams[0].closed == 1
    assert written(path)[0]["response"]["truncated"] is True
    with PlaybackTransport(path, allow_repeats=True) as transport:
        response = send(transport, target=b"/?key=secret")
        with pytest.raises(RecordingError, match="no more than this was recorded") as caught:
            response.stream.read()
        assert "secret" not in str(caught.value)
        response = send(transport, target=b"/?key=secret")
        played = b""
        with pytest.raises(RecordingError):
            for chunk in response.stream:
                played += chunk
        assert played == b"onetwothree"[: len(b"".join(chunks))]


def test_response_that_is_open_when_the_file_is_written(path: Path) -> None:
    inner = Scripted(answer(200, b"one", b"two"))
    transport = RecordTransport(inner, path)
    response = send(transport)
    response.stream.__iter__().__next__()
    transport.close()
    response.stream.close()
    [exchange] = written(path)
    assert (exchange["response"]["body"], exchange["response"]["truncated"]) == ("one", True)


# Bodies of requests


def test_streamed_body_is_noted_while_it_is_sent(path: Path) -> None:
    body = Generated(b"a", bytearray(b"b"))
    inner = Scripted(200)
    with RecordTransport(inner, path) as transport:
        send(transport, b"PUT", body=body)
    assert inner.requests[0].stream == b"ab"
    assert (body.started, body.ended, body.closed) == (1, 1, 1)
    assert written(path)[0]["request"] == {
        "method": "PUT",
        "url": "https://example.org/path",
        "headers": [],
        "body": "ab",
    }
    with PlaybackTransport(path, allow_repeats=True) as transport:
        for same in (Generated(b"ab"), Generated(b"", b"a", b"b"), b"ab"):
            assert (send(transport, b"PUT", body=same)).status == 200


def test_p6_only_bodies_that_are_replayable_say_so(path: Path) -> None:
    inner = Scripted(200, 200, 200, 200)
    transport = RecordTransport(inner, path)
    given = [Generated(replayable=True), Generated(), ByteStream(b"x"), None]
    for body in given:
        send(transport, b"PUT", body=body)
    assert [getattr(body, "replayable", None) for body in inner.bodies] == [True, False, True, None]
    assert inner.bodies[2:] == given[2:]


def test_body_that_is_sent_twice_is_recorded_once(path: Path) -> None:
    """As by a transport that repeats a request on another connection."""
    inner = Scripted(200)
    body = Generated(b"a", b"b", replayable=True)
    with RecordTransport(inner, path) as transport:

        def twice(stream: Any) -> bytes:
            for _ in stream:
                pass
            return b"".join([chunk for chunk in stream])

        inner.take = twice  # type: ignore[method-assign]
        send(transport, b"PUT", body=body)
    assert written(path)[0]["request"]["body"] == "ab"


def test_generator_that_is_left_half_way_is_ended(path: Path) -> None:
    inner = Scripted(ReadError("gone"), 413, reads=1)
    with RecordTransport(inner, path) as transport:
        body = Generated(b"a", b"b", b"c")
        with pytest.raises(ReadError):
            send(transport, b"POST", body=body)
        assert body.ended == 1
        body = Generated(b"a", b"b", b"c")
        send(transport, b"PUT", body=body)
        assert body.ended == 1
    request = written(path)[1]["request"]
    assert (request["body"], request["truncated"]) == ("a", True)
    with PlaybackTransport(path) as transport:
        assert (send(transport, b"PUT", body=Generated(b"ab", b"c"))).status == 413


def test_error_before_the_body_was_read(path: Path) -> None:
    inner = Scripted(ReadError("gone"), reads=0)
    with RecordTransport(inner, path) as transport:
        with pytest.raises(ReadError):
            send(transport, b"PUT", body=Generated(b"a"))
    with PlaybackTransport(path) as transport:
        with pytest.raises(ReadError):
            send(transport, b"PUT", body=Generated(b"a"))


def test_body_that_fails_ends_the_request(path: Path) -> None:
    body = Generated(b"a", ZeroDivisionError())
    inner = Scripted(200)
    with RecordTransport(inner, path) as transport:
        with pytest.raises(ZeroDivisionError):
            send(transport, b"PUT", body=body)
    assert written(path) == []
    with PlaybackTransport(path) as transport:
        with pytest.raises(ZeroDivisionError):
            send(transport, b"PUT", body=Generated(b"a", ZeroDivisionError()))


class FailingEnd(Generated):
    def __iter__(self) -> Any:
        try:
            yield b"a"
            yield b"b"
        finally:
            raise KeyError("in the end")


def test_generator_that_fails_to_end_closes_the_response(path: Path) -> None:
    inner = Scripted(413)

    def first_chunk(stream: Any) -> bytes:
        chunk: bytes = stream.__iter__().__next__()
        return chunk

    inner.take = first_chunk  # type: ignore[method-assign]
    with RecordTransport(inner, path) as transport:
        with pytest.raises(KeyError):
            send(transport, b"PUT", body=FailingEnd())
    assert inner.streams[0].closed == 1


@pytest.mark.parametrize("body", [bytearray(b"x"), "x", 3])
def test_what_is_no_body_is_refused(body: Any, path: Path) -> None:
    pool = ConnectionPool(network_backend=MockBackend())
    with RecordTransport(pool, path) as transport:
        with pytest.raises(LocalProtocolError):
            send(transport, b"PUT", headers=[(b"Host", b"example.org")], body=body)
    assert written(path)[0]["error"]["type"] == "LocalProtocolError"
    with PlaybackTransport(path) as transport:
        with pytest.raises(LocalProtocolError, match="is not a body"):
            send(transport, b"PUT", body=body)


def test_chunk_that_is_not_bytes_is_refused(path: Path) -> None:
    with RecordTransport(Scripted(), path):
        pass
    body = Generated(b"a", "b")
    with PlaybackTransport(path) as transport:
        with pytest.raises(LocalProtocolError, match="not of str"):
            send(transport, b"PUT", body=body)
    assert body.ended == 1


# Playing


def test_unexpected_request(path: Path) -> None:
    with RecordTransport(Scripted(200, 200), path) as transport:
        send(transport)
        send(transport, b"POST", b"/next?token=secret")
    with PlaybackTransport(path) as transport:
        send(transport)
        with pytest.raises(UnexpectedRequest) as caught:
            send(transport, target=b"/other?token=secret")
        assert str(caught.value) == (
            "request: GET https://example.org/other?token=… was not recorded;"
            " expected next is POST https://example.org/next?token=…"
        )
        assert isinstance(caught.value, httpclient.TransportError)


def test_options_of_playing(path: Path) -> None:
    with RecordTransport(Scripted(200, 201), path) as transport:
        send(transport, b"POST", body=b"one")
        send(transport, b"POST", body=b"two")
    with PlaybackTransport(path, match=["url"], allow_repeats=True) as transport:
        statuses = [(send(transport, b"POST", body=b"any")).status for _ in range(3)]
        assert statuses == [200, 201, 201]
    with pytest.raises(ValueError):
        PlaybackTransport(path, match=["cookies"])


def test_all_must_be_used(path: Path) -> None:
    with RecordTransport(Scripted(200, 200), path) as transport:
        send(transport)
        send(transport, target=b"/?key=secret")
    with pytest.raises(
        RecordingError, match="1 exchanges of .* were not played, first GET"
    ) as caught:
        with PlaybackTransport(path, all_used=True) as transport:
            send(transport)
    assert "secret" not in str(caught.value)
    transport.close()  # says it once
    with pytest.raises(KeyError):  # not that the rest was not used
        with PlaybackTransport(path, all_used=True):
            raise KeyError
    with PlaybackTransport(path):
        pass


def test_closed_player_answers_nothing(path: Path) -> None:
    with RecordTransport(Scripted(200), path) as transport:
        send(transport)
    with PlaybackTransport(path) as player:
        pass
    with pytest.raises(PoolClosed):
        send(player)


def test_player_of_no_recording(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PlaybackTransport(path)
    path.write_text("{}")
    with pytest.raises(RecordingError):
        PlaybackTransport(path)


def test_many_at_once_get_an_exchange_each(path: Path) -> None:
    with RecordTransport(Scripted(*range(200, 240)), path) as transport:
        for _ in range(40):
            send(transport)
    with PlaybackTransport(path, all_used=True) as player:
        with TaskGroup() as group:
            jobs = [group.start(send, player) for _ in range(40)]
        statuses = [(job.result()).status for job in jobs]
    assert sorted(statuses) == list(range(200, 240))


# Writing


def test_file_is_written_when_closing_underneath_fails(path: Path) -> None:
    class Failing(Scripted):
        def close(self) -> None:
            raise KeyboardInterrupt

    transport = RecordTransport(Failing(200), path)
    send(transport)
    with pytest.raises(KeyboardInterrupt):
        transport.close()
    assert len(written(path)) == 1


def test_closing_twice_writes_once(path: Path) -> None:
    transport = RecordTransport(Scripted(200), path)
    send(transport)
    transport.close()
    path.write_text("edited")
    transport.close()
    assert path.read_text() == "edited"


def test_filter_that_fails_keeps_the_old_file(path: Path) -> None:
    def broken(exchange: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError

    path.write_text("old")
    inner = Scripted(200)
    transport = RecordTransport(inner, path, filter=broken)
    send(transport)
    with pytest.raises(ZeroDivisionError):
        transport.close()
    assert (path.read_text(), os.listdir(path.parent), inner.closed) == ("old", [path.name], 1)


def test_directory_must_be_there_from_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RecordTransport(Scripted(), tmp_path / "none" / "x.json")


def test_response_without_a_proper_head_is_closed(path: Path) -> None:
    body = Body(b"x")
    inner = Scripted(Response(200, [("not", "bytes")], body, {}))  # type: ignore[list-item]
    with RecordTransport(inner, path) as transport:
        with pytest.raises(AttributeError):
            send(transport)
    assert body.closed == 1


def test_iterator_of_the_body_is_closed_too(path: Path) -> None:
    stream = Generated(b"a", b"b")
    inner = Scripted(Response(200, [], stream, {}))
    with RecordTransport(inner, path) as transport:
        response = send(transport)
        for _ in response.stream:
            break
        response.stream.close()
    assert (stream.ended, stream.closed) == (1, 1)


def test_extensions_of_the_response_stay_alive(path: Path) -> None:
    """Trailers are put there at the end of the body."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n"
    pool = ConnectionPool(network_backend=MockBackend([chunked]))
    with RecordTransport(pool, path) as transport:
        response = send(transport, headers=[(b"Host", b"example.org")])
        assert response.stream.read() == b"x"
        assert response.extensions["trailers"] == [(b"A", b"b")]
        assert (pool.stats().active, pool.stats().idle) == (0, 1)
