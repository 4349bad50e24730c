"""What people write, turned into requests: URLs, headers, bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from httpcore_core._exceptions import LocalProtocolError, TransportError, UnsupportedProtocol
from httpcore_core._models import AsyncByteStream, ByteStream, Request, SyncByteStream
from httpcore_core._protocol.build import build_request, parse_url
from httpcore_core._protocol.request import plan_request


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://example.com", (b"http", b"example.com", None, b"/")),
        (b"http://example.com/", (b"http", b"example.com", None, b"/")),
        ("HTTPS://Example.COM:8443/A?b=c", (b"https", b"example.com", 8443, b"/A?b=c")),
        ("http://example.com?a", (b"http", b"example.com", None, b"/?a")),
        ("http://example.com/a#frag?ment", (b"http", b"example.com", None, b"/a")),
        ("http://example.com#f", (b"http", b"example.com", None, b"/")),
        ("http://example.com:/a", (b"http", b"example.com", None, b"/a")),
        ("http://example.com:80/", (b"http", b"example.com", 80, b"/")),
        ("http://[::1]/", (b"http", b"::1", None, b"/")),
        ("http://[::1]:8080", (b"http", b"::1", 8080, b"/")),
        ("http://127.0.0.1:1/", (b"http", b"127.0.0.1", 1, b"/")),
        ("http://a/caf\u00e9?q=\u2603", (b"http", b"a", None, b"/caf%C3%A9?q=%E2%98%83")),
        (b"http://a/\xff", (b"http", b"a", None, b"/%FF")),
        ("http://a/%2f%zz", (b"http", b"a", None, b"/%2f%zz")),
        ("http://a/b@c:d//e", (b"http", b"a", None, b"/b@c:d//e")),
        ("http://a//b", (b"http", b"a", None, b"//b")),
    ],
)
def test_urls(url: str | bytes, parts: Any) -> None:
    assert parse_url(url) == parts
    plan_request(build_request("GET", url))


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http:///a", "http://:80/", "http://a b/", "http://a/b c", "http://a/\t", "http://a\n",
        "\u0000http://a", "http://a/\r\nX: y", "http://a\\b/", "http://a/\\b", "http://a/\x7f",
        "http://user@a/", "http://user:password@a/", "http://a@b@c/", "http://@a/", "http://a:b/",
        "http://a:0/", "http://a:65536/", "http://a:999999/", "http://a:-1/", "http://a:8 0/", "http://::1/",
        "http://[::1/", "http://[::1]a/", "http://[::1%25eth0]/", "http://a%41/", "http://b\u00fccher.example/",
        "http://a/\ud800", "http://127.1/", "http://a..b/", "http://[a]/", 5, None,
    ],
)  # fmt: skip
def test_b06_illegal_urls(url: Any) -> None:
    with pytest.raises(LocalProtocolError):
        build_request("GET", url)


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "/path", "//example.com/", "ftp://a/", "ws://a/", "http:a", "file:///a"],
)
def test_schemes_that_are_not_ours(url: str) -> None:
    with pytest.raises(UnsupportedProtocol):
        build_request("GET", url)


def test_i9_credentials_stay_out_of_error_texts() -> None:
    for url in ("http://user:password@a/", "http://user:password@a /", "x://user:password@a/"):
        with pytest.raises(TransportError) as caught:
            build_request("GET", url)
        assert "password" not in str(caught.value)
    with pytest.raises(LocalProtocolError, match="Authorization"):
        build_request("GET", "http://user:password@a/")


def test_idna_is_explained() -> None:
    with pytest.raises(LocalProtocolError, match="xn--"):
        build_request("GET", "http://b\u00fccher.example/")


def test_url_tuples_are_taken_as_they_are() -> None:
    url = (b"http", b"example.com", 8080, b"/a")
    assert build_request(b"GET", url).url is url
    with pytest.raises(LocalProtocolError):
        build_request(b"GET", (b"http", b"a b", None, b"/"))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.com/", b"example.com"),
        ("http://example.com:80/", b"example.com"),
        ("https://example.com:443/", b"example.com"),
        ("https://example.com:80/", b"example.com:80"),
        ("http://[::1]/", b"[::1]"),
        ("http://[::1]:8080/", b"[::1]:8080"),
    ],
)
def test_host_is_added_first(url: str, host: bytes) -> None:
    request = build_request("GET", url, headers=[("X", "y")])
    assert request.headers == [(b"Host", host), (b"X", b"y")]
    plan_request(request)


def test_host_is_kept() -> None:
    request = build_request("GET", "http://a/", headers={"X": "y", b"hOST": b"b"})
    assert request.headers == [(b"X", b"y"), (b"hOST", b"b")]


def test_headers_in_every_shape() -> None:
    expected = [(b"Host", b"a"), (b"X", b"y"), (b"Z", b"")]
    shapes: list[Any] = [
        {"X": "y", "Z": ""},
        [(b"X", b"y"), ("Z", b"")],
        (pair for pair in [("X", "y"), ("Z", "")]),
        {"X": "y", "Z": ""}.items(),
    ]
    for headers in shapes:
        assert build_request("GET", "http://a/", headers).headers == expected


@pytest.mark.parametrize(
    "headers",
    [{"X": "\u00e9"}, {"\u00e9": "y"}, {"X": 5}, {5: "y"}, ["X"], [("X",)], 5, "X: y", [None]],
)
def test_illegal_headers(headers: Any) -> None:
    with pytest.raises(LocalProtocolError):
        build_request("GET", "http://a/", headers)


@pytest.mark.parametrize("method", ["G\u00cbT", 5, None])
def test_illegal_methods(method: Any) -> None:
    with pytest.raises(LocalProtocolError):
        build_request(method, "http://a/")


LENGTH_5 = (b"Content-Length", b"5")
CHUNKED = (b"Transfer-Encoding", b"chunked")


@pytest.mark.parametrize("content", [b"hello", "hello", bytearray(b"hello"), memoryview(b"hello")])
def test_content_in_memory(content: Any) -> None:
    request = build_request("PUT", "http://a/", content=content)
    assert request.headers[1:] == [LENGTH_5]
    assert isinstance(request.stream, ByteStream)
    assert request.stream.content == b"hello"


def test_no_content() -> None:
    assert build_request("GET", "http://a/").headers[1:] == []
    assert build_request("POST", "http://a/").headers[1:] == [(b"Content-Length", b"0")]
    assert build_request("POST", "http://a/", content=b"").headers[1:] == [
        (b"Content-Length", b"0")
    ]


def test_given_framing_is_kept() -> None:
    field = (b"content-length", b"5")
    request = build_request("POST", "http://a/", [field], content=iter([b"hello"]))
    assert request.headers[1:] == [field]
    request = build_request("POST", "http://a/", [CHUNKED], content=b"hello")
    assert request.headers[1:] == [CHUNKED]


def test_trailers_mean_chunks() -> None:
    extensions: dict[str, Any] = {"trailers": [(b"X", b"y")]}
    request = build_request("POST", "http://a/", content=b"hello", extensions=extensions)
    assert request.headers[1:] == [CHUNKED]
    assert request.extensions is extensions
    assert plan_request(request).chunked


def generator(closed: list[bool]) -> Iterator[bytes]:
    try:
        yield b"he"
        yield b"llo"
    finally:
        closed.append(True)


def stream_of(content: Any) -> Any:
    request = build_request("POST", "http://a/", content=content)
    assert request.headers[1:] == [CHUNKED]
    assert isinstance(request, Request)
    return request.stream


def test_p6_an_iterator_is_sent_once() -> None:
    closed: list[bool] = []
    stream = stream_of(generator(closed))
    assert not stream.replayable
    assert not plan_request(build_request("PUT", "http://a/", content=iter([b"x"]))).replayable
    assert next(iter(stream)) == b"he"
    with pytest.raises(LocalProtocolError):
        iter(stream)
    stream.close()
    assert closed == [True]


@pytest.mark.parametrize("content", [[b"he", b"llo"], (b"he", b"llo")])
def test_p6_a_list_can_be_sent_again(content: Any) -> None:
    stream = stream_of(content)
    assert stream.replayable
    assert list(stream) == list(stream) == [b"he", b"llo"]
    stream.close()


async def test_p6_an_async_iterator_is_sent_once() -> None:
    closed: list[bool] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"he"
            yield b"llo"
        finally:
            closed.append(True)

    stream = stream_of(chunks())
    assert isinstance(stream, AsyncByteStream)
    assert not stream.replayable
    assert await stream.__aiter__().__anext__() == b"he"
    with pytest.raises(LocalProtocolError):
        stream.__aiter__()
    await stream.aclose()
    assert closed == [True]


def test_streams_are_passed_on() -> None:
    class Both:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def __aiter__(self) -> AsyncIterator[bytes]:
            raise NotImplementedError

    for stream in (SyncByteStream(), AsyncByteStream(), Both()):
        assert stream_of(stream) is stream
    assert build_request("POST", "http://a/", content=ByteStream(b"hello")).headers[1:] == [
        LENGTH_5
    ]


@pytest.mark.parametrize("content", [5, object(), {"a": "b"}])
def test_illegal_content(content: Any) -> None:
    with pytest.raises(LocalProtocolError):
        build_request("POST", "http://a/", content=content)
