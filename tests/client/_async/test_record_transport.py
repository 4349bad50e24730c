"""Recording through a scripted transport, and playing back what the file then says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import httpclient
from httpclient.transports._async.record import AsyncPlaybackTransport, AsyncRecordTransport
from httpclient.transports._async.retry import AsyncRetryTransport
from httpclient.transports.record import SECRET_HEADERS, RecordingError, UnexpectedRequest
from httpcore_core import (
    AsyncConnectionPool,
    AsyncMockBackend,
    ByteStream,
    ConnectTimeout,
    LocalProtocolError,
    PoolClosed,
    ReadError,
    Response,
)
from tests.client._async.scripted import AsyncBody, AsyncGenerated, AsyncScripted, answer, send
from tests.concurrency import AsyncTaskGroup


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.json"


def written(path: Path) -> list[Any]:
    """The exchanges in the file."""
    document = json.loads(path.read_text("utf-8"))
    exchanges: list[Any] = document["exchanges"]
    return exchanges


async def test_example(path: Path) -> None:
    inner = AsyncScripted(answer(200, b"hello"))
    async with AsyncRecordTransport(inner, path) as transport:
        async with httpclient.AsyncClient(transport=transport) as client:
            await client.get("https://example.org/")
    async with AsyncPlaybackTransport(path, all_used=True) as transport:
        async with httpclient.AsyncClient(transport=transport) as client:
            assert (await client.get("https://example.org/")).text == "hello"


async def test_what_is_in_the_file(path: Path) -> None:
    headers = [(b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=b")]
    inner = AsyncScripted(answer(201, b"one\n", b"two\n", headers=headers))
    async with AsyncRecordTransport(inner, path) as transport:
        response = await send(
            transport, b"POST", b"/a?b", [(b"Authorization", b"Basic eA==")], b"caf\xc3\xa9"
        )
        # Nothing of what passes is changed, but for the stream.
        assert (response.status, response.headers) == (201, headers)
        assert response.extensions == {"http_version": b"HTTP/1.1", "reason_phrase": b"Reason"}
        assert [chunk async for chunk in response.stream] == [b"one\n", b"two\n"]
        await response.stream.aclose()
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


async def test_played_response_is_the_recorded_one(path: Path) -> None:
    fields = [(b"A", b"\xff"), (b"a", b""), (b"Content-Encoding", b"gzip")]
    inner = AsyncScripted(answer(200, b"\x1f\x8b", b"\x08", headers=fields))
    async with AsyncRecordTransport(inner, path) as transport:
        await (await send(transport)).stream.aread()
    async with AsyncPlaybackTransport(path) as transport:
        response = await send(transport)
        assert (response.status, response.headers) == (200, fields)
        assert response.extensions == {"http_version": b"HTTP/1.1", "reason_phrase": b"Reason"}
        assert await response.stream.aread() == b"\x1f\x8b\x08"
        await response.stream.aclose()


async def test_i9_no_secret_reaches_the_file(path: Path) -> None:
    secret = b"hunter2"
    names = [name.encode() for name in SECRET_HEADERS]
    fields = [*((name.upper(), secret) for name in names), (b"Location", b"/x?key=hunter2")]

    def scrub(exchange: dict[str, Any]) -> dict[str, Any]:
        exchange["request"]["body"] = exchange["request"]["body"].replace("hunter2", "[filtered]")
        return exchange

    options: dict[str, Any] = {"filter_query": ("key",), "filter": scrub}
    inner = AsyncScripted(answer(200, headers=fields), ReadError("gone"))
    async with AsyncRecordTransport(inner, path, **options) as transport:
        for _ in range(2):
            try:
                response = await send(transport, b"POST", b"/?key=hunter2", fields[:-1], secret)
                await response.stream.aread()
            except ReadError:
                pass
    assert secret not in path.read_bytes()
    assert len(written(path)) == 2
    # Whoever plays it back may have other secrets.
    async with AsyncPlaybackTransport(path, filter=scrub) as transport:
        response = await send(transport, b"POST", b"/?key=hunter2", [], secret)
        assert response.headers[-1] == (b"Location", b"/x?key=[filtered]")
        with pytest.raises(ReadError):
            await send(transport, b"POST", b"/?key=other", [], secret)


async def test_filters_can_be_chosen(path: Path) -> None:
    def leave_out(exchange: dict[str, Any]) -> dict[str, Any] | None:
        return None if exchange["request"]["method"] == "POST" else exchange

    inner = AsyncScripted(200, 200)
    transport = AsyncRecordTransport(inner, path, filter_headers=("X",), filter=leave_out)
    await send(transport, headers=[(b"x", b"secret"), (b"Cookie", b"kept")])
    await send(transport, b"POST")
    await transport.aclose()
    [exchange] = written(path)
    assert exchange["request"]["headers"] == ["x: [filtered]", "Cookie: kept"]


async def test_errors_are_recorded_and_raised_again(path: Path) -> None:
    error = ConnectTimeout("late", origin="https://example.org:443", phase="connect", limit=0.5)
    inner = AsyncScripted(error, answer(200, b"ok"))
    async with AsyncRecordTransport(inner, path) as transport:
        with pytest.raises(ConnectTimeout) as caught:
            await send(transport)
        assert caught.value is error
        await (await send(transport)).stream.aread()
    async with AsyncPlaybackTransport(path, all_used=True) as transport:
        with pytest.raises(ConnectTimeout) as caught:
            await send(transport)
        assert caught.value is not error
        assert str(caught.value) == str(error)
        assert await (await send(transport)).stream.aread() == b"ok"


async def test_with_retries_on_top_the_failures_are_played_too(path: Path) -> None:
    inner = AsyncScripted(ReadError("x"), 503, answer(200, b"ok"))
    for transport in (AsyncRecordTransport(inner, path), None):
        below = transport or AsyncPlaybackTransport(path, all_used=True)
        async with AsyncRetryTransport(below, backoff=0.0) as retrying:
            response = await send(retrying, body=AsyncGenerated(b"body", replayable=True))
            assert (await response.stream.aread(), response.extensions["attempts"]) == (b"ok", 3)
    assert [request.stream for request in inner.requests] == [b"body"] * 3


async def test_error_in_the_body_is_raised_at_the_same_point(path: Path) -> None:
    inner = AsyncScripted(answer(200, b"one", b"two", error=ReadError("gone", phase="body")))
    async with AsyncRecordTransport(inner, path) as transport:
        with pytest.raises(ReadError):
            await (await send(transport)).stream.aread()
    assert inner.streams[0].closed == 1
    async with AsyncPlaybackTransport(path) as transport:
        response = await send(transport)
        chunks = []
        with pytest.raises(ReadError, match="body: gone"):
            async for chunk in response.stream:
                chunks.append(chunk)
        assert b"".join(chunks) == b"onetwo"


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_body_that_was_not_read_to_its_end_fails_at_that_point(
    taken: int, path: Path
) -> None:
    inner = AsyncScripted(answer(200, b"one", b"two", b"three"))
    async with AsyncRecordTransport(inner, path) as transport:
        response = await send(transport, target=b"/?key=secret")
        chunks = []
        if taken:
            async for chunk in response.stream:
                chunks.append(chunk)
                if len(chunks) == taken:
                    break
        await response.stream.aclose()
        await response.stream.aclose()
    assert inner.streams[0].closed == 1
    assert written(path)[0]["response"]["truncated"] is True
    async with AsyncPlaybackTransport(path, allow_repeats=True) as transport:
        response = await send(transport, target=b"/?key=secret")
        with pytest.raises(RecordingError, match="no more than this was recorded") as caught:
            await response.stream.aread()
        assert "secret" not in str(caught.value)
        response = await send(transport, target=b"/?key=secret")
        played = b""
        with pytest.raises(RecordingError):
            async for chunk in response.stream:
                played += chunk
        assert played == b"onetwothree"[: len(b"".join(chunks))]


async def test_response_that_is_open_when_the_file_is_written(path: Path) -> None:
    inner = AsyncScripted(answer(200, b"one", b"two"))
    transport = AsyncRecordTransport(inner, path)
    response = await send(transport)
    await response.stream.__aiter__().__anext__()
    await transport.aclose()
    await response.stream.aclose()
    [exchange] = written(path)
    assert (exchange["response"]["body"], exchange["response"]["truncated"]) == ("one", True)


# Bodies of requests


async def test_streamed_body_is_noted_while_it_is_sent(path: Path) -> None:
    body = AsyncGenerated(b"a", bytearray(b"b"))
    inner = AsyncScripted(200)
    async with AsyncRecordTransport(inner, path) as transport:
        await send(transport, b"PUT", body=body)
    assert inner.requests[0].stream == b"ab"
    assert (body.started, body.ended, body.closed) == (1, 1, 1)
    assert written(path)[0]["request"] == {
        "method": "PUT",
        "url": "https://example.org/path",
        "headers": [],
        "body": "ab",
    }
    async with AsyncPlaybackTransport(path, allow_repeats=True) as transport:
        for same in (AsyncGenerated(b"ab"), AsyncGenerated(b"", b"a", b"b"), b"ab"):
            assert (await send(transport, b"PUT", body=same)).status == 200


async def test_p6_only_bodies_that_are_replayable_say_so(path: Path) -> None:
    inner = AsyncScripted(200, 200, 200, 200)
    transport = AsyncRecordTransport(inner, path)
    given = [AsyncGenerated(replayable=True), AsyncGenerated(), ByteStream(b"x"), None]
    for body in given:
        await send(transport, b"PUT", body=body)
    assert [getattr(body, "replayable", None) for body in inner.bodies] == [True, False, True, None]
    assert inner.bodies[2:] == given[2:]


async def test_body_that_is_sent_twice_is_recorded_once(path: Path) -> None:
    """As by a transport that repeats a request on another connection."""
    inner = AsyncScripted(200)
    body = AsyncGenerated(b"a", b"b", replayable=True)
    async with AsyncRecordTransport(inner, path) as transport:

        async def twice(stream: Any) -> bytes:
            async for _ in stream:
                pass
            return b"".join([chunk async for chunk in stream])

        inner.take = twice  # type: ignore[method-assign]
        await send(transport, b"PUT", body=body)
    assert written(path)[0]["request"]["body"] == "ab"


async def test_generator_that_is_left_half_way_is_ended(path: Path) -> None:
    inner = AsyncScripted(ReadError("gone"), 413, reads=1)
    async with AsyncRecordTransport(inner, path) as transport:
        body = AsyncGenerated(b"a", b"b", b"c")
        with pytest.raises(ReadError):
            await send(transport, b"POST", body=body)
        assert body.ended == 1
        body = AsyncGenerated(b"a", b"b", b"c")
        await send(transport, b"PUT", body=body)
        assert body.ended == 1
    request = written(path)[1]["request"]
    assert (request["body"], request["truncated"]) == ("a", True)
    async with AsyncPlaybackTransport(path) as transport:
        assert (await send(transport, b"PUT", body=AsyncGenerated(b"ab", b"c"))).status == 413


async def test_error_before_the_body_was_read(path: Path) -> None:
    inner = AsyncScripted(ReadError("gone"), reads=0)
    async with AsyncRecordTransport(inner, path) as transport:
        with pytest.raises(ReadError):
            await send(transport, b"PUT", body=AsyncGenerated(b"a"))
    async with AsyncPlaybackTransport(path) as transport:
        with pytest.raises(ReadError):
            await send(transport, b"PUT", body=AsyncGenerated(b"a"))


async def test_body_that_fails_ends_the_request(path: Path) -> None:
    body = AsyncGenerated(b"a", ZeroDivisionError())
    inner = AsyncScripted(200)
    async with AsyncRecordTransport(inner, path) as transport:
        with pytest.raises(ZeroDivisionError):
            await send(transport, b"PUT", body=body)
    assert written(path) == []
    async with AsyncPlaybackTransport(path) as transport:
        with pytest.raises(ZeroDivisionError):
            await send(transport, b"PUT", body=AsyncGenerated(b"a", ZeroDivisionError()))


class FailingEnd(AsyncGenerated):
    async def __aiter__(self) -> Any:
        try:
            yield b"a"
            yield b"b"
        finally:
            raise KeyError("in the end")


async def test_generator_that_fails_to_end_closes_the_response(path: Path) -> None:
    inner = AsyncScripted(413)

    async def first_chunk(stream: Any) -> bytes:
        chunk: bytes = await stream.__aiter__().__anext__()
        return chunk

    inner.take = first_chunk  # type: ignore[method-assign]
    async with AsyncRecordTransport(inner, path) as transport:
        with pytest.raises(KeyError):
            await send(transport, b"PUT", body=FailingEnd())
    assert inner.streams[0].closed == 1


@pytest.mark.parametrize("body", [bytearray(b"x"), "x", 3])
async def test_what_is_no_body_is_refused(body: Any, path: Path) -> None:
    pool = AsyncConnectionPool(network_backend=AsyncMockBackend())
    async with AsyncRecordTransport(pool, path) as transport:
        with pytest.raises(LocalProtocolError):
            await send(transport, b"PUT", headers=[(b"Host", b"example.org")], body=body)
    assert written(path)[0]["error"]["type"] == "LocalProtocolError"
    async with AsyncPlaybackTransport(path) as transport:
        with pytest.raises(LocalProtocolError, match="is not a body"):
            await send(transport, b"PUT", body=body)


async def test_chunk_that_is_not_bytes_is_refused(path: Path) -> None:
    async with AsyncRecordTransport(AsyncScripted(), path):
        pass
    body = AsyncGenerated(b"a", "b")
    async with AsyncPlaybackTransport(path) as transport:
        with pytest.raises(LocalProtocolError, match="not of str"):
            await send(transport, b"PUT", body=body)
    assert body.ended == 1


# Playing


async def test_unexpected_request(path: Path) -> None:
    async with AsyncRecordTransport(AsyncScripted(200, 200), path) as transport:
        await send(transport)
        await send(transport, b"POST", b"/next?token=secret")
    async with AsyncPlaybackTransport(path) as transport:
        await send(transport)
        with pytest.raises(UnexpectedRequest) as caught:
            await send(transport, target=b"/other?token=secret")
        assert str(caught.value) == (
            "request: GET https://example.org/other?token=… was not recorded;"
            " expected next is POST https://example.org/next?token=…"
        )
        assert isinstance(caught.value, httpclient.TransportError)


async def test_options_of_playing(path: Path) -> None:
    async with AsyncRecordTransport(AsyncScripted(200, 201), path) as transport:
        await send(transport, b"POST", body=b"one")
        await send(transport, b"POST", body=b"two")
    async with AsyncPlaybackTransport(path, match=["url"], allow_repeats=True) as transport:
        statuses = [(await send(transport, b"POST", body=b"any")).status for _ in range(3)]
        assert statuses == [200, 201, 201]
    with pytest.raises(ValueError):
        AsyncPlaybackTransport(path, match=["cookies"])


async def test_all_must_be_used(path: Path) -> None:
    async with AsyncRecordTransport(AsyncScripted(200, 200), path) as transport:
        await send(transport)
        await send(transport, target=b"/?key=secret")
    with pytest.raises(
        RecordingError, match="1 exchanges of .* were not played, first GET"
    ) as caught:
        async with AsyncPlaybackTransport(path, all_used=True) as transport:
            await send(transport)
    assert "secret" not in str(caught.value)
    await transport.aclose()  # says it once
    with pytest.raises(KeyError):  # not that the rest was not used
        async with AsyncPlaybackTransport(path, all_used=True):
            raise KeyError
    async with AsyncPlaybackTransport(path):
        pass


async def test_closed_player_answers_nothing(path: Path) -> None:
    async with AsyncRecordTransport(AsyncScripted(200), path) as transport:
        await send(transport)
    async with AsyncPlaybackTransport(path) as player:
        pass
    with pytest.raises(PoolClosed):
        await send(player)


async def test_player_of_no_recording(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AsyncPlaybackTransport(path)
    path.write_text("{}")
    with pytest.raises(RecordingError):
        AsyncPlaybackTransport(path)


async def test_many_at_once_get_an_exchange_each(path: Path) -> None:
    async with AsyncRecordTransport(AsyncScripted(*range(200, 240)), path) as transport:
        for _ in range(40):
            await send(transport)
    async with AsyncPlaybackTransport(path, all_used=True) as player:
        async with AsyncTaskGroup() as group:
            jobs = [group.start(send, player) for _ in range(40)]
        statuses = [(await job.result()).status for job in jobs]
    assert sorted(statuses) == list(range(200, 240))


# Writing


async def test_file_is_written_when_closing_underneath_fails(path: Path) -> None:
    class Failing(AsyncScripted):
        async def aclose(self) -> None:
            raise KeyboardInterrupt

    transport = AsyncRecordTransport(Failing(200), path)
    await send(transport)
    with pytest.raises(KeyboardInterrupt):
        await transport.aclose()
    assert len(written(path)) == 1


async def test_closing_twice_writes_once(path: Path) -> None:
    transport = AsyncRecordTransport(AsyncScripted(200), path)
    await send(transport)
    await transport.aclose()
    path.write_text("edited")
    await transport.aclose()
    assert path.read_text() == "edited"


async def test_filter_that_fails_keeps_the_old_file(path: Path) -> None:
    def broken(exchange: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError

    path.write_text("old")
    inner = AsyncScripted(200)
    transport = AsyncRecordTransport(inner, path, filter=broken)
    await send(transport)
    with pytest.raises(ZeroDivisionError):
        await transport.aclose()
    assert (path.read_text(), os.listdir(path.parent), inner.closed) == ("old", [path.name], 1)


async def test_directory_must_be_there_from_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AsyncRecordTransport(AsyncScripted(), tmp_path / "none" / "x.json")


async def test_response_without_a_proper_head_is_closed(path: Path) -> None:
    body = AsyncBody(b"x")
    inner = AsyncScripted(Response(200, [("not", "bytes")], body, {}))  # type: ignore[list-item]
    async with AsyncRecordTransport(inner, path) as transport:
        with pytest.raises(AttributeError):
            await send(transport)
    assert body.closed == 1


async def test_iterator_of_the_body_is_closed_too(path: Path) -> None:
    stream = AsyncGenerated(b"a", b"b")
    inner = AsyncScripted(Response(200, [], stream, {}))
    async with AsyncRecordTransport(inner, path) as transport:
        response = await send(transport)
        async for _ in response.stream:
            break
        await response.stream.aclose()
    assert (stream.ended, stream.closed) == (1, 1)


async def test_extensions_of_the_response_stay_alive(path: Path) -> None:
    """Trailers are put there at the end of the body."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n"
    pool = AsyncConnectionPool(network_backend=AsyncMockBackend([chunked]))
    async with AsyncRecordTransport(pool, path) as transport:
        response = await send(transport, headers=[(b"Host", b"example.org")])
        assert await response.stream.aread() == b"x"
        assert response.extensions["trailers"] == [(b"A", b"b")]
        assert (pool.stats().active, pool.stats().idle) == (0, 1)
