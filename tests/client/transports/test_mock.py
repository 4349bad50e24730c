"""`MockTransport`: what its handler gets, and what becomes of its response, sync and async."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import httpclient as httpx
import httpcore_core
from httpclient.transports.mock import MockTransport

URL = (b"http", b"example.org", None, b"/a?b")


class Chunks(httpx.SyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def close(self) -> None:
        self.closed += 1


class AsyncChunks(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)

    async def aclose(self) -> None:
        self.closed += 1


class Recorder:
    """A handler that keeps its requests."""

    def __init__(self, **response: Any) -> None:
        self.requests: list[httpx.Request] = []
        self.response = response

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, **self.response)

    async def asynchronous(self, request: httpx.Request) -> httpx.Response:
        return self(request)


def test_example() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"text": f"Hello, {request.url.path}!"})

    with httpx.Client(transport=MockTransport(handler)) as client:
        assert client.get("http://example.org/world").json() == {"text": "Hello, /world!"}


async def test_example_async() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=request.content.decode().upper())

    async with httpx.AsyncClient(transport=MockTransport(handler)) as client:
        assert (await client.post("http://example.org/", content="hello")).text == "HELLO"


def test_handler_gets_the_request_as_it_is() -> None:
    handler = Recorder()
    headers = [(b"x-B", b"1"), (b"a", b"2"), (b"X-b", b"\xff")]
    body = Chunks(b"ab", b"c")
    extensions = {"timeout": {"read": 1.0}, "mine": object()}
    MockTransport(handler).handle_request(b"get", URL, headers, body, extensions)
    (request,) = handler.requests
    assert (request.method, str(request.url)) == ("get", "http://example.org/a?b")
    assert request.headers.raw == headers
    assert request.content == b"abc"
    assert request.extensions == extensions
    assert body.closed == 1


@pytest.mark.parametrize("chunks", [(), (b"ab", b"", b"c")])
async def test_async_body_has_been_read(chunks: tuple[bytes, ...]) -> None:
    handler = Recorder()
    body = AsyncChunks(*chunks)
    await MockTransport(handler).handle_async_request(b"PUT", URL, [], body, {})
    assert handler.requests[0].content == b"".join(chunks)
    assert body.closed == 1


@pytest.mark.parametrize(
    ("url", "expected", "target"),
    [
        ((b"https", b"h", 8443, b"/"), "https://h:8443/", None),
        ((b"http", b"::1", 81, b"/x"), "http://[::1]:81/x", None),
        ((b"http", b"[::1]", None, b"/x"), "http://[::1]/x", None),
        ((b"http", b"h", None, b"/%2F%20?q=%20"), "http://h/%2F%20?q=%20", None),
        ((b"http", b"h", None, b"*"), "http://h/", b"*"),
        ((b"http", b"h", None, b"/a/../b"), "http://h/b", b"/a/../b"),
        ((b"http", b"h", None, b"/a#b"), "http://h/a#b", b"/a#b"),
    ],
)
def test_url_from_the_primitives(url: Any, expected: str, target: bytes | None) -> None:
    handler = Recorder()
    transport = MockTransport(handler)
    transport.handle_request(b"OPTIONS", url, [], httpx.ByteStream(), {})
    transport.handle_request(b"OPTIONS", url, [], httpx.ByteStream(), {"target": b"mine"})
    first, second = handler.requests
    assert str(first.url) == expected
    assert first.extensions.get("target") == target
    assert second.extensions == {"target": b"mine"}


@pytest.mark.parametrize(
    ("method", "url"),
    [
        (b"G\xffT", URL),
        (b"GET", (b"http", b"h\xff", None, b"/")),
        (b"GET", (b"http", b"h", None, b"/\xff")),
        (b"GET", (b"http", b"h", None, b"/\r\n")),
        (b"GET", (b"http", b"a b", None, b"/")),
    ],
)
def test_illegal_request_is_not_handled(method: bytes, url: Any) -> None:
    handler = Recorder()
    with pytest.raises(httpx.LocalProtocolError):
        MockTransport(handler).handle_request(method, url, [], httpx.ByteStream(), {})
    assert handler.requests == []


async def test_response_is_given_back_as_primitives() -> None:
    extensions = {"http_version": b"HTTP/2", "mine": object()}
    headers = [(b"Set-Cookie", b"a"), (b"set-cookie", b"b"), (b"Content-Length", b"1")]
    handler = Recorder(headers=headers, content=b"x", extensions=extensions)
    for response in (
        MockTransport(handler).handle_request(b"GET", URL, [], httpx.ByteStream(), {}),
        await MockTransport(handler).handle_async_request(b"GET", URL, [], httpx.ByteStream(), {}),
        await MockTransport(handler.asynchronous).handle_async_request(
            b"GET", URL, [], httpx.ByteStream(), {}
        ),
    ):
        assert isinstance(response, httpcore_core.Response)
        assert (response.status, response.headers) == (200, headers)
        assert (response.content, await response.stream.aread()) == (b"x", b"x")
        # The same, so that trailers of a body which is passed on are seen when they have come.
        assert response.extensions is extensions


def test_response_may_be_a_stream() -> None:
    body = Chunks(b"a", b"b")
    with httpx.Client(transport=MockTransport(Recorder(stream=body))) as client:
        with client.stream("GET", "http://example.org/") as response:
            assert list(response.iter_raw()) == [b"a", b"b"]
    assert body.closed == 1


async def test_response_may_be_an_async_stream() -> None:
    body = AsyncChunks(b"a", b"b")
    async with httpx.AsyncClient(transport=MockTransport(Recorder(stream=body))) as client:
        async with client.stream("GET", "http://example.org/"):
            pass
    assert body.closed == 1


def test_coded_content_reaches_the_client_once_decoded() -> None:
    import gzip

    headers = {"Content-Encoding": "gzip"}
    handler = Recorder(headers=headers, content=gzip.compress(b"hello"))
    with httpx.Client(transport=MockTransport(handler)) as client:
        assert client.get("http://example.org/").content == b"hello"


class Failed(Exception):
    pass


async def test_error_of_the_handler_is_raised_as_it_is() -> None:
    error = Failed()

    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    async def async_handler(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(Failed) as caught:
        MockTransport(handler).handle_request(b"GET", URL, [], httpx.ByteStream(), {})
    assert caught.value is error
    for either in (handler, async_handler):
        with pytest.raises(Failed) as caught:
            transport = MockTransport(either)
            await transport.handle_async_request(b"GET", URL, [], httpx.ByteStream(), {})
        assert caught.value is error


def test_async_handler_is_no_use_in_sync_code() -> None:
    transport = MockTransport(Recorder().asynchronous)
    with pytest.raises(TypeError, match="async"):
        transport.handle_request(b"GET", URL, [], httpx.ByteStream(), {})


async def test_what_is_no_response() -> None:
    transport = MockTransport(lambda request: "hello")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="returned str"):
        transport.handle_request(b"GET", URL, [], httpx.ByteStream(), {})
    with pytest.raises(TypeError, match="returned str"):
        await transport.handle_async_request(b"GET", URL, [], httpx.ByteStream(), {})


async def test_stream_of_the_other_kind() -> None:
    body = Chunks()
    with pytest.raises(TypeError, match="Chunks is no response body for async code"):
        await MockTransport(Recorder(stream=body)).handle_async_request(
            b"GET", URL, [], httpx.ByteStream(), {}
        )
    assert body.closed == 1
    with pytest.raises(TypeError, match="AsyncChunks is no response body for sync code"):
        MockTransport(Recorder(stream=AsyncChunks())).handle_request(
            b"GET", URL, [], httpx.ByteStream(), {}
        )


def test_closed_response() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        response = httpx.Response(200, stream=Chunks(b"x"))
        response.close()
        return response

    with pytest.raises(httpx.StreamClosed):
        MockTransport(handler).handle_request(b"GET", URL, [], httpx.ByteStream(), {})


def module_level_handler(request: httpx.Request) -> httpx.Response:
    return httpx.Response(204)


def test_pickles_if_the_handler_does() -> None:
    transport = pickle.loads(pickle.dumps(MockTransport(module_level_handler)))
    assert transport.request("GET", "http://example.org/").status == 204
