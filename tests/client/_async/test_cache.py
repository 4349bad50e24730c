"""The cache around a transport that answers as it is told: what goes out, what comes back, what is
closed. The rules themselves are tested in `tests/client/transports/test_cache_policy.py`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

import httpclient as httpx
from httpclient.transports.cache import (
    AsyncCacheTransport,
    CacheStorage,
    MemoryStorage,
    SQLiteStorage,
)

NOW = 1_700_000_000.0
URL = (b"http", b"example.org", None, b"/")
FRESH = (b"Cache-Control", b"max-age=60")
TAG = (b"ETag", b'"a"')
FieldList = list[tuple[bytes, bytes]]


def date(seconds: float) -> tuple[bytes, bytes]:
    return b"Date", formatdate(NOW + seconds, usegmt=True).encode()


class Chunks(httpx.AsyncByteStream):
    """Counts how often it is closed; raises `error` after its chunks."""

    def __init__(self, *chunks: bytes, error: BaseException | None = None) -> None:
        self.chunks = list(chunks)
        self.error = error
        self.closed = 0

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1


class Server(httpx.AsyncBaseTransport):
    """Answers with the replies that are in line: ``(status, headers, body)``, or an error."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.requests: list[tuple[bytes, bytes, FieldList]] = []
        self.streams: list[Chunks] = []
        self.closed = 0

    async def handle_async_request(
        self, method: bytes, url: Any, headers: FieldList, stream: Any, extensions: Any
    ) -> tuple[int, FieldList, Any, dict[str, Any]]:
        assert await stream.aread() is not None
        self.requests.append((method, url[3], headers))
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        status, fields, body = reply
        body = Chunks(*([body] if body else [])) if isinstance(body, bytes) else body
        self.streams.append(body)
        kind = {"http_version": b"HTTP/1.1", "reason_phrase": b"Very well"}
        return status, fields, body, kind

    async def aclose(self) -> None:
        self.closed += 1


class Cache:
    """A cache before a server, with a clock to be set."""

    def __init__(self, storage: CacheStorage | None = None, **options: Any) -> None:
        self.server = Server()
        self.now = NOW
        self.transport = AsyncCacheTransport(
            self.server, storage=storage, clock=lambda: self.now, **options
        )

    async def open(self, *fields: tuple[bytes, bytes], **options: Any) -> Any:
        target = options.pop("target", b"/")
        stream = options.pop("stream", httpx.ByteStream())
        return await self.transport.handle_async_request(
            options.pop("method", b"GET"), (*URL[:3], target), list(fields), stream, options
        )

    async def ask(self, *fields: tuple[bytes, bytes], **options: Any) -> tuple[int, bytes, str]:
        """The answer, as ``(status, content, what the cache did)``."""
        response = await self.open(*fields, **options)
        content = await response.stream.aread()
        return response.status, content, response.extensions["cache"]["status"]

    def sent(self, *names: bytes) -> FieldList:
        """Of the last request the headers of these names."""
        return [(name, value) for name, value in self.server.requests[-1][2] if name in names]

    def all_closed_once(self) -> bool:
        return all(stream.closed == 1 for stream in self.server.streams)


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CacheStorage]:
    kinds: dict[str, Callable[[], CacheStorage]] = {
        "memory": MemoryStorage,
        "sqlite": lambda: SQLiteStorage(tmp_path / "cache"),
    }
    with kinds[request.param]() as made:
        yield made


# The example of the documentation


async def test_example() -> None:
    server = Server()
    server.replies = [(200, [FRESH], b"hello")]
    transport = AsyncCacheTransport(server)
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get("https://www.example.org/")
        response = await client.get("https://www.example.org/")
        assert response.extensions["cache"]["status"] == "hit"
    await transport.aclose()
    assert response.text == "hello"


# Hit and miss


async def test_miss_then_hit(storage: CacheStorage) -> None:
    cache = Cache(storage)
    fields = [FRESH, (b"Content-Encoding", b"gzip"), (b"Connection", b"close"), date(-5)]
    cache.server.replies = [(200, fields, Chunks(b"a", b"b"))]
    response = await cache.open()
    assert (response.status, response.headers) == (200, fields)
    assert response.extensions == {
        "http_version": b"HTTP/1.1",
        "reason_phrase": b"Very well",
        "cache": {"status": "miss", "age": None},
    }
    chunks = []
    async for chunk in response.stream:
        chunks.append(chunk)
    assert chunks == [b"a", b"b"]
    assert cache.all_closed_once()
    await response.stream.aclose()
    assert cache.all_closed_once()

    cache.now += 10
    response = await cache.open()
    assert response.status == 200
    assert response.headers == [FRESH, fields[1], date(-5), (b"Age", b"15")]
    assert response.extensions == {
        "http_version": b"HTTP/1.1",
        "reason_phrase": b"Very well",
        "cache": {"status": "hit", "age": 15},
    }
    assert await response.stream.aread() == b"ab"
    assert len(cache.server.requests) == 1


async def test_storage_may_be_shared_and_is_not_closed(tmp_path: Path) -> None:
    with SQLiteStorage(tmp_path / "cache") as storage:
        first, second = Cache(storage), Cache(storage)
        first.server.replies = [(200, [FRESH], b"x")]
        await first.ask()
        await first.transport.aclose()
        assert first.server.closed == 1
        assert await second.ask() == (200, b"x", "hit")


async def test_body_is_streamed_while_it_is_collected(cache: Cache) -> None:
    body = Chunks(b"a", b"b")
    cache.server.replies = [(200, [FRESH], body)]
    response = await cache.open()
    assert await response.stream.__aiter__().__anext__() == b"a"
    assert body.chunks == [b"b"]
    assert await response.stream.aread() == b"b"
    assert await response.stream.aread() == b""
    assert await cache.ask() == (200, b"ab", "hit")


async def test_url_and_vary_tell_responses_apart(cache: Cache) -> None:
    vary = (b"Vary", b"Accept")
    cache.server.replies = [
        (200, [FRESH, vary], b"1"),
        (200, [FRESH, vary], b"2"),
        (200, [FRESH], b"3"),
    ]
    assert await cache.ask((b"Accept", b"a")) == (200, b"1", "miss")
    assert await cache.ask((b"Accept", b"b")) == (200, b"2", "miss")
    assert await cache.ask(target=b"/x") == (200, b"3", "miss")
    assert await cache.ask((b"accept", b" a")) == (200, b"1", "hit")
    assert await cache.ask((b"Accept", b"b"), (b"X", b"y")) == (200, b"2", "hit")
    assert await cache.ask(target=b"/x") == (200, b"3", "hit")


async def test_hit_is_the_callers_to_change(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH], b"x")]
    await cache.ask()
    for _ in range(2):
        response = await cache.open()
        assert len(response.headers) == 3
        assert response.extensions["cache"]["status"] == "hit"
        response.headers.clear()
        response.extensions.clear()


async def test_requests_at_the_same_time_may_all_go_out(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH], b"1"), (200, [FRESH], b"2")]
    first, second = await cache.open(), await cache.open()
    assert await second.stream.aread() == b"2"
    assert await first.stream.aread() == b"1"
    assert (await cache.ask())[2] == "hit"


async def test_trailers_still_arrive(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH], b"x")]
    server_extensions: dict[str, Any] = {}
    handle = cache.server.handle_async_request

    async def keep_extensions(*request: Any) -> Any:
        status, fields, stream, _ = await handle(*request)
        return status, fields, stream, server_extensions

    cache.server.handle_async_request = keep_extensions  # type: ignore[method-assign]
    response = await cache.open()
    server_extensions["trailers"] = [(b"A", b"b")]
    await response.stream.aread()
    assert response.extensions["trailers"] == [(b"A", b"b")]


# What is not stored


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (200, [(b"Cache-Control", b"max-age=60, no-store")]),
        (200, [FRESH, (b"Vary", b"*")]),
        (206, [FRESH, (b"Content-Range", b"bytes 0-0/1")]),
        (304, [FRESH]),
        (200, [FRESH, (b"Content-Length", b"2")]),  # it is not the whole
        (200, [FRESH, (b"Content-Length", b"0")]),
    ],
)
async def test_not_stored(cache: Cache, status: int, fields: FieldList) -> None:
    cache.server.replies = [(status, fields, b"x")] * 2
    for _ in range(2):
        assert await cache.ask() == (status, b"x", "miss")
    assert cache.all_closed_once()


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ([(b"Cache-Control", b"no-store")], {}),
        ([(b"Range", b"bytes=0-0")], {}),
        ([(b"If-None-Match", b'"x"')], {}),
        ([(b"Upgrade", b"websocket")], {}),
        ([], {"stream": httpx.ByteStream(b"query")}),
        ([], {"stream": Chunks(b"query")}),
        ([], {"method": b"OPTIONS"}),
        ([], {"method": b"POST"}),
    ],
)
async def test_bypass(cache: Cache, fields: FieldList, options: dict[str, Any]) -> None:
    cache.server.replies = [(200, [FRESH], b"1"), (200, [FRESH], b"2"), (200, [FRESH], b"3")]
    await cache.ask()
    assert await cache.ask(*fields, **options) == (200, b"2", "bypass")
    assert cache.server.requests[-1][2] == fields
    stored = options.get("method") != b"POST"
    assert await cache.ask() == ((200, b"1", "hit") if stored else (200, b"3", "miss"))


async def test_early_close_stores_nothing(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH], Chunks(b"a", b"b")), (200, [FRESH], b"c")]
    response = await cache.open()
    async for _ in response.stream:
        break
    await response.stream.aclose()
    await response.stream.aclose()
    assert cache.all_closed_once()
    assert await response.stream.aread() == b""
    assert await cache.ask() == (200, b"c", "miss")


async def test_close_before_the_first_chunk(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH], b""), (200, [FRESH], b"c")]
    response = await cache.open()
    await response.stream.aclose()
    assert cache.all_closed_once()
    assert await cache.ask() == (200, b"c", "miss")


@pytest.mark.parametrize("error", [httpx.ReadError("gone"), KeyboardInterrupt(), ValueError()])
async def test_error_in_the_body_stores_nothing(cache: Cache, error: BaseException) -> None:
    cache.server.replies = [(200, [FRESH], Chunks(b"a", error=error)), (200, [FRESH], b"c")]
    response = await cache.open()
    with pytest.raises(type(error)) as caught:
        await response.stream.aread()
    assert caught.value is error
    assert cache.all_closed_once()
    assert await cache.ask() == (200, b"c", "miss")


@pytest.mark.parametrize("fields", [[FRESH], [FRESH, (b"Content-Length", b"6")]])
async def test_what_is_too_large_streams_through(fields: FieldList) -> None:
    cache = Cache(max_entry_size=4)
    cache.server.replies = [
        (200, fields, Chunks(b"aa", b"bbb", b"c")),
        (200, fields[:1], Chunks(b"aa", b"bb")),
    ]
    assert await cache.ask() == (200, b"aabbbc", "miss")
    assert cache.all_closed_once()
    assert await cache.ask() == (200, b"aabb", "miss")
    assert await cache.ask() == (200, b"aabb", "hit")


async def test_generator_behind_a_body_is_closed(cache: Cache) -> None:
    ended = []

    class Generated(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            try:
                yield b"a"
                yield b"b"
            finally:
                ended.append(True)

    cache.server.replies = [(200, [FRESH], Generated())]
    response = await cache.open()
    async for _ in response.stream:
        break
    await response.stream.aclose()
    assert ended == [True]


async def test_stream_that_cannot_be_begun_is_closed(cache: Cache) -> None:
    class Broken(Chunks):
        def __aiter__(self) -> Chunks:
            raise httpx.StreamConsumed

    cache.server.replies = [(200, [FRESH], Broken())]
    response = await cache.open()
    with pytest.raises(httpx.StreamConsumed):
        await response.stream.aread()
    assert cache.all_closed_once()


# HEAD


async def test_head_is_answered_from_a_get(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH, (b"Content-Length", b"1")], b"x")]
    await cache.ask()
    response = await cache.open(method=b"HEAD")
    assert (b"Content-Length", b"1") in response.headers
    assert await response.stream.aread() == b""
    assert response.extensions["cache"]["status"] == "hit"


async def test_head_is_stored_for_heads(cache: Cache) -> None:
    cache.server.replies = [
        (200, [FRESH, (b"Content-Length", b"1")], b""),
        (200, [FRESH, (b"Content-Length", b"1")], b"x"),
    ]
    assert await cache.ask(method=b"HEAD") == (200, b"", "miss")
    assert await cache.ask(method=b"HEAD") == (200, b"", "hit")
    assert await cache.ask() == (200, b"x", "miss")


@pytest.mark.parametrize(("tag", "status"), [(b'"a"', "revalidated"), (b'"b"', "miss")])
async def test_head_that_shows_a_change_removes_the_get(
    cache: Cache, tag: bytes, status: str
) -> None:
    cache.server.replies = [(200, [FRESH, TAG], b"x"), (200, [FRESH, (b"ETag", tag)], b"")]
    await cache.ask()
    cache.now += 61
    assert await cache.ask(method=b"HEAD") == (200, b"", "miss")
    reply = 304 if status == "revalidated" else 200
    cache.server.replies = [(reply, [FRESH, (b"ETag", tag)], b"")]
    cache.now += 61
    assert (await cache.ask())[2] == status


async def test_head_confirms_a_get(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH, TAG], b"x"), (304, [FRESH], b"")]
    await cache.ask()
    cache.now += 61
    assert await cache.ask(method=b"HEAD") == (200, b"", "revalidated")
    assert await cache.ask() == (200, b"x", "hit")


# Validation


async def test_revalidation(storage: CacheStorage) -> None:
    cache = Cache(storage)
    changed = (b"Last-Modified", date(-9)[1])
    cache.server.replies = [
        (200, [FRESH, TAG, changed, date(0), (b"X", b"1")], b"body"),
        (304, [FRESH, TAG, date(61), (b"X", b"2")], b""),
    ]
    await cache.ask()
    cache.now += 61
    response = await cache.open((b"A", b"b"))
    assert cache.server.requests[-1][2] == [
        (b"A", b"b"),
        (b"If-None-Match", b'"a"'),
        (b"If-Modified-Since", changed[1]),
    ]
    assert response.status == 200
    assert response.headers == [changed, FRESH, TAG, date(61), (b"X", b"2")]
    assert response.extensions["cache"] == {"status": "revalidated", "age": 0}
    assert await response.stream.aread() == b"body"
    assert cache.all_closed_once()
    cache.now += 59
    response = await cache.open((b"A", b"b"))
    assert response.extensions["cache"] == {"status": "hit", "age": 59}
    assert (b"X", b"2") in response.headers


async def test_changed_response_replaces(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH, TAG], b"old"), (200, [FRESH, (b"ETag", b'"b"')], b"new")]
    await cache.ask()
    cache.now += 61
    assert await cache.ask() == (200, b"new", "miss")
    assert await cache.ask() == (200, b"new", "hit")


async def test_a_slow_response_does_not_replace_a_later_one(storage: CacheStorage) -> None:
    cache = Cache(storage)
    cache.server.replies = [
        (200, [FRESH, date(0)], Chunks(b"ol", b"d")),
        (200, [FRESH, date(10)], b"new"),
    ]
    slow = await cache.open()
    cache.now += 10
    assert await cache.ask() == (200, b"new", "miss")
    assert await slow.stream.aread() == b"old"
    assert await cache.ask() == (200, b"new", "hit")


@pytest.mark.parametrize("confirms", [False, True])
async def test_servers_whose_clocks_differ(storage: CacheStorage, confirms: bool) -> None:
    """What was asked for later is later, and not what says so."""
    cache = Cache(storage)
    again = (304, [FRESH, TAG, date(50)], b"")
    changed = (200, [FRESH, date(50)], b"new")
    cache.now += 100
    cache.server.replies = [(200, [FRESH, TAG, date(100)], b"old")]
    cache.server.replies.append(again if confirms else changed)
    await cache.ask()
    no_cache = (b"Cache-Control", b"no-cache")
    status = "revalidated" if confirms else "miss"
    content = b"old" if confirms else b"new"
    assert await cache.ask(no_cache) == (200, content, status)
    cached = await cache.open()
    assert cached.extensions["cache"] == {"status": "hit", "age": 50}
    assert await cached.stream.aread() == content


async def test_a_clock_that_is_set_back(storage: CacheStorage) -> None:
    cache = Cache(storage)
    cache.server.replies = [(200, [FRESH], b"1"), (200, [FRESH], b"2")]
    cache.now += 86400
    assert await cache.ask() == (200, b"1", "miss")
    cache.now -= 86400
    assert await cache.ask() == (200, b"2", "miss")
    assert await cache.ask() == (200, b"2", "hit")


@pytest.mark.parametrize("fields", [[FRESH], [FRESH, (b"Content-Length", b"6")]])
async def test_a_new_response_that_is_too_large_removes_the_old_one(fields: FieldList) -> None:
    cache = Cache(max_entry_size=4)
    cache.server.replies = [(200, [FRESH], b"old"), (200, fields, b"newest"), (200, [FRESH], b"3")]
    await cache.ask()
    again = (b"Cache-Control", b"no-cache")
    assert await cache.ask(again) == (200, b"newest", "miss")
    assert await cache.ask() == (200, b"3", "miss")


@pytest.mark.parametrize(("status", "kept"), [(200, False), (404, False), (500, True)])
async def test_response_that_cannot_be_stored_removes_the_old_one(
    cache: Cache, status: int, kept: bool
) -> None:
    no_store = (b"Cache-Control", b"no-store")
    cache.server.replies = [(200, [FRESH, TAG], b"old"), (status, [no_store], b"new")]
    await cache.ask()
    cache.now += 61
    assert await cache.ask() == (status, b"new", "miss")
    cache.server.replies = [(304, [FRESH], b"")] if kept else [(200, [FRESH], b"newer")]
    expected = (200, b"old", "revalidated") if kept else (200, b"newer", "miss")
    assert await cache.ask() == expected
    assert bool(cache.sent(b"If-None-Match")) is kept


async def test_304_that_forbids_storing(cache: Cache) -> None:
    cache.server.replies = [
        (200, [FRESH, TAG], b"x"),
        (304, [(b"Cache-Control", b"no-store")], b""),
        (200, [FRESH], b"y"),
    ]
    await cache.ask()
    cache.now += 61
    assert await cache.ask() == (200, b"x", "revalidated")
    assert await cache.ask() == (200, b"y", "miss")
    assert cache.sent(b"If-None-Match") == []


async def test_304_about_another_response_is_asked_for_again(cache: Cache) -> None:
    cache.server.replies = [
        (200, [FRESH, TAG], b"x"),
        (304, [FRESH, (b"ETag", b'"other"')], b""),
        (200, [FRESH], b"y"),
    ]
    await cache.ask()
    cache.now += 61
    assert await cache.ask() == (200, b"y", "miss")
    assert cache.sent(b"If-None-Match") == []
    assert cache.all_closed_once()


async def test_304_again_and_again_ends(cache: Cache) -> None:
    wrong = (304, [FRESH, (b"ETag", b'"other"')], b"")
    cache.server.replies = [(200, [FRESH, TAG], b"x"), wrong, wrong]
    await cache.ask()
    cache.now += 61
    assert await cache.ask() == (304, b"", "miss")
    assert cache.all_closed_once()


async def test_without_validators_the_whole_is_asked_for(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH], b"1"), (200, [FRESH], b"2")]
    await cache.ask()
    cache.now += 61
    assert await cache.ask() == (200, b"2", "miss")
    assert cache.server.requests[-1][2] == []


async def test_only_if_cached(cache: Cache) -> None:
    only = (b"Cache-Control", b"only-if-cached")
    response = await cache.open(only)
    assert response.status == 504
    assert response.extensions["reason_phrase"] == b"Gateway Timeout"
    assert response.extensions["cache"] == {"status": "miss", "age": None}
    assert await cache.ask(only, (b"Range", b"bytes=0-0")) == (504, b"", "miss")
    assert cache.server.requests == []
    cache.server.replies = [(200, [FRESH], b"x")]
    await cache.ask()
    assert await cache.ask(only) == (200, b"x", "hit")
    cache.now += 61
    assert (await cache.ask(only))[0] == 504
    stale = (b"Cache-Control", b"only-if-cached, max-stale")
    assert await cache.ask(stale) == (200, b"x", "stale")


# Failure

LENIENT = (b"Cache-Control", b"max-age=60, stale-if-error=60")


@pytest.mark.parametrize(
    "failure",
    [
        (503, [], b"sorry"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("garbage"),
        httpx.ProxyError("down"),
    ],
)
async def test_stale_if_error(cache: Cache, failure: Any) -> None:
    cache.server.replies = [(200, [LENIENT, TAG], b"x"), failure]
    await cache.ask()
    cache.now += 100
    response = await cache.open()
    assert response.extensions["cache"] == {"status": "stale", "age": 100}
    assert (b"Age", b"100") in response.headers
    assert await response.stream.aread() == b"x"
    assert cache.all_closed_once()


async def test_failure_beyond_what_is_allowed(cache: Cache) -> None:
    error = httpx.ConnectError("refused")
    cache.server.replies = [(200, [LENIENT, TAG], b"x"), error, (503, [], b"sorry")]
    await cache.ask()
    cache.now += 121
    with pytest.raises(httpx.ConnectError) as caught:
        await cache.ask()
    assert caught.value is error
    assert await cache.ask() == (503, b"sorry", "miss")


@pytest.mark.parametrize(
    "error",
    [
        httpx.LocalProtocolError("wrong"),
        httpx.PoolClosed("closed"),
        httpx.UnsupportedProtocol("what"),
        KeyboardInterrupt(),
    ],
)
async def test_errors_that_are_not_the_servers_are_raised(
    cache: Cache, error: BaseException
) -> None:
    cache.server.replies = [(200, [LENIENT, TAG], b"x"), error]
    await cache.ask()
    cache.now += 61
    with pytest.raises(type(error)) as caught:
        await cache.ask()
    assert caught.value is error


async def test_error_while_an_unwanted_response_is_closed(cache: Cache) -> None:
    class Broken(Chunks):
        async def aclose(self) -> None:
            self.closed += 1
            raise httpx.ReadError("gone")

    cache.server.replies = [(200, [FRESH, TAG], b"x"), (304, [FRESH], Broken())]
    await cache.ask()
    cache.now += 61
    assert await cache.ask() == (200, b"x", "revalidated")
    assert cache.all_closed_once()


async def test_error_of_the_callers_clock_closes_the_response() -> None:
    server = Server()
    server.replies = [(200, [FRESH], b"x")]
    times = iter([NOW])
    transport = AsyncCacheTransport(server, clock=lambda: next(times, None) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await transport.handle_async_request(b"GET", URL, [], httpx.ByteStream(), {})
    assert [stream.closed for stream in server.streams] == [1]


# Invalidation


async def test_unsafe_method_invalidates(storage: CacheStorage) -> None:
    cache = Cache(storage)
    ok = (200, [FRESH], b"x")
    location = (b"Location", b"/b")
    content_location = (b"Content-Location", b"http://example.org/c")
    cache.server.replies = [ok] * 4 + [(201, [location, content_location], b"")] + [ok] * 3
    for target in (b"/a", b"/b", b"/c", b"/d"):
        await cache.ask(target=target)
    assert await cache.ask(method=b"POST", target=b"/a") == (201, b"", "bypass")
    found = [(await cache.ask(target=target))[2] for target in (b"/a", b"/b", b"/c", b"/d")]
    assert found == ["miss", "miss", "miss", "hit"]


async def test_invalidation_takes_all_variants(cache: Cache) -> None:
    vary = (b"Vary", b"Accept")
    cache.server.replies = [
        (200, [FRESH, vary], b"1"),
        (200, [FRESH, vary], b"2"),
        (204, [], b""),
        (200, [FRESH, vary], b"3"),
    ]
    await cache.ask((b"Accept", b"a"))
    await cache.ask((b"Accept", b"b"))
    await cache.ask((b"Accept", b"b"), method=b"DELETE")
    assert await cache.ask((b"Accept", b"a")) == (200, b"3", "miss")


async def test_unsafe_method_that_fails_invalidates_nothing(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH], b"x"), (409, [], b""), httpx.ReadError("gone")]
    await cache.ask()
    assert await cache.ask(method=b"PUT") == (409, b"", "bypass")
    with pytest.raises(httpx.ReadError):
        await cache.ask(method=b"PUT")
    assert await cache.ask() == (200, b"x", "hit")


async def test_what_was_asked_for_before_a_change_is_not_stored_after_it(cache: Cache) -> None:
    cache.server.replies = [(200, [FRESH], b"old"), (204, [], b""), (200, [FRESH], b"new")]
    response = await cache.open()
    await cache.ask(method=b"PUT")
    assert await response.stream.aread() == b"old"
    assert await cache.ask() == (200, b"new", "miss")
    assert await cache.ask() == (200, b"new", "hit")


async def test_change_while_an_entry_is_written(cache: Cache) -> None:
    class Slow(MemoryStorage):
        def set(self, key: bytes, entry: Any) -> None:
            cache.transport._invalidate([key])
            super().set(key, entry)

    cache.transport._storage = Slow()
    cache.server.replies = [(200, [FRESH], b"old"), (200, [FRESH], b"new")]
    await cache.ask()
    assert await cache.ask() == (200, b"new", "miss")


# Storages that fail


class Failing(CacheStorage):
    """Raises whatever is asked of it. `calls` are those that were made."""

    def __init__(self, error: BaseException, blocking: bool = False) -> None:
        self.error = error
        self.blocking = blocking
        self.calls: list[str] = []

    def get(self, key: bytes, accepts: Any) -> Any:
        self.calls.append("get")
        raise self.error

    def set(self, key: bytes, entry: Any) -> None:
        self.calls.append("set")
        raise self.error

    def delete(self, key: bytes) -> None:
        self.calls.append("delete")
        raise self.error


async def test_what_the_storage_cannot_forget_is_not_used(cache: Cache) -> None:
    class Locked(MemoryStorage):
        locked = False

        def delete(self, key: bytes) -> None:
            if self.locked:
                raise OSError("locked by another process")
            super().delete(key)

    storage = Locked()
    cache = Cache(storage)
    old, changed, new = (200, [FRESH], b"old"), (204, [], b""), (200, [FRESH], b"new")
    cache.server.replies = [old, changed, old, new]
    await cache.ask()
    storage.locked = True
    assert await cache.ask(method=b"PUT") == (204, b"", "bypass")
    assert await cache.ask() == (200, b"old", "miss")  # and is stored again
    storage.locked = False
    assert await cache.ask() == (200, b"new", "miss")
    assert await cache.ask() == (200, b"new", "hit")


@pytest.mark.parametrize("blocking", [False, True])
async def test_storage_that_fails_breaks_nothing(
    blocking: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "httpclient.cache")
    storage = Failing(OSError("disk full"), blocking)
    cache = Cache(storage)
    cache.server.replies = [(200, [FRESH], b"1"), (200, [FRESH], b"2"), (204, [], b"")]
    secret = (b"Authorization", b"hunter2")
    assert await cache.ask(secret, target=b"/?hunter2") == (200, b"1", "miss")
    assert await cache.ask(secret, target=b"/?hunter2") == (200, b"2", "miss")
    assert await cache.ask(secret, target=b"/?hunter2", method=b"PUT") == (204, b"", "bypass")
    assert storage.calls == ["get", "set", "get", "set", "delete"]
    assert cache.all_closed_once()
    texts = [record.getMessage() for record in caplog.records if record.name == "httpclient.cache"]
    assert texts == ["the storage failed: OSError: disk full"] * 5
    assert {record.levelname for record in caplog.records} >= {"DEBUG"}


async def test_storage_that_is_interrupted_leaves_nothing_open() -> None:
    """As a cancelled task is. Each call of the storage in its turn."""
    storage = Failing(KeyboardInterrupt())
    cache = Cache(storage)
    with pytest.raises(KeyboardInterrupt):
        await cache.ask()
    assert cache.server.requests == []

    cache.server.replies = [(204, [], b"")]
    with pytest.raises(KeyboardInterrupt):
        await cache.ask(method=b"PUT")
    assert cache.all_closed_once()

    storage.get = lambda key, accepts: None  # type: ignore[method-assign]
    cache.server.replies = [(200, [FRESH], b"1")]
    with pytest.raises(KeyboardInterrupt):
        await cache.ask()
    assert cache.all_closed_once()


async def test_interrupted_while_an_old_entry_is_removed() -> None:
    storage = MemoryStorage()
    cache = Cache(storage)
    cache.server.replies = [(200, [FRESH, TAG], b"1"), (404, [], b"2")]
    await cache.ask()
    cache.now += 61

    def interrupted(key: bytes) -> None:
        raise KeyboardInterrupt

    storage.delete = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await cache.ask()
    assert cache.all_closed_once()


async def test_i2_what_are_no_primitives_is_a_public_error(cache: Cache) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        await cache.transport.handle_async_request(
            b"GET",
            "http://example.org/",  # type: ignore[arg-type]
            [],
            httpx.ByteStream(),
            {},
        )
    assert cache.server.requests == []
