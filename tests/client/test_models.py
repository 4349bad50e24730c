"""Request and Response without a network: framing, text, JSON, status, pickles."""

from __future__ import annotations

import copy
import encodings.aliases
import json
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import httpclient as httpx
from httpclient._exceptions import attach

CLONES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda value: pickle.loads(pickle.dumps(value)),
]
URL = "http://example.org/"


def generated() -> Iterator[bytes]:
    yield b"a"
    yield b"b"


async def async_generated() -> AsyncIterator[bytes]:
    yield b"a"


@pytest.mark.parametrize(
    ("method", "options", "headers", "body"),
    [
        ("get", {}, {}, b""),
        ("POST", {}, {"content-length": "0"}, b""),
        ("POST", {"content": "ü"}, {"content-length": "2"}, "ü".encode()),
        ("PUT", {"content": bytearray(b"x")}, {"content-length": "1"}, b"x"),
        ("GET", {"content": memoryview(b"x")}, {"content-length": "1"}, b"x"),
        (
            "POST",
            {"json": {"a": "ü"}},
            {"content-length": "10", "content-type": "application/json"},
            '{"a":"ü"}'.encode(),
        ),
        ("POST", {"json": 0, "headers": {"Content-Type": "x"}},
            {"content-length": "1", "content-type": "x"}, b"0"),
        ("POST", {"content": [b"a", b"b"]}, {"transfer-encoding": "chunked"}, b"ab"),
        ("POST", {"content": generated()}, {"transfer-encoding": "chunked"}, b"ab"),
        ("POST", {"content": generated(), "headers": {"Content-Length": "2"}},
            {"content-length": "2"}, b"ab"),
        ("GET", {"headers": {"HOST": "other"}}, {"host": "other"}, b""),
    ],
)  # fmt: skip
def test_request_is_framed(
    method: str, options: dict[str, Any], headers: dict[str, str], body: bytes
) -> None:
    request = httpx.Request(method, URL, **options)
    assert request.method == method.upper()
    assert repr(request) == f"<Request({method.upper()!r}, {URL!r})>"
    assert request.headers == {"Host": "example.org"} | {k.title(): v for k, v in headers.items()}
    assert b"".join(request.stream) == body  # type: ignore[arg-type]


def test_host_header_has_the_port_unless_it_is_usual() -> None:
    assert httpx.Request("GET", "https://[::1]:8443/").headers["Host"] == "[::1]:8443"
    assert httpx.Request("GET", "https://[::1]:443/").headers["Host"] == "[::1]"


def test_p6_iterator_is_sent_once_only() -> None:
    request = httpx.Request("POST", URL, content=generated())
    assert not request.stream.replayable
    assert b"".join(request.stream) == b"ab"  # type: ignore[arg-type]
    with pytest.raises(httpx.StreamConsumed):
        iter(request.stream)  # type: ignore[call-overload]
    replayable = httpx.Request("POST", URL, content=[b"a", b"b"]).stream
    assert replayable.replayable
    assert [b"".join(replayable) for _ in range(2)] == [b"ab", b"ab"]  # type: ignore[arg-type]


def test_content_of_a_request() -> None:
    assert httpx.Request("POST", URL, content="x").content == b"x"
    with pytest.raises(httpx.RequestNotRead):
        assert httpx.Request("POST", URL, content=generated()).content


def test_stream_is_taken_as_it_is() -> None:
    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a"])

    stream = Stream()
    request = httpx.Request("POST", URL, content=stream)
    assert request.stream is stream
    assert request.headers["Transfer-Encoding"] == "chunked"
    assert (
        httpx.Request("POST", URL, content=httpx.ByteStream(b"ab")).headers["Content-Length"] == "2"
    )


@pytest.mark.parametrize("content", [1, {"a": "b"}, object()])
def test_content_of_a_wrong_type(content: Any) -> None:
    with pytest.raises(TypeError):
        httpx.Request("POST", URL, content=content)


def test_illegal_arguments() -> None:
    with pytest.raises(TypeError):
        httpx.Request("POST", URL, content=b"", json={})
    with pytest.raises(ValueError, match="JSON"):
        httpx.Request("POST", URL, json=float("nan"))
    with pytest.raises(httpx.LocalProtocolError):
        httpx.Request("GÉT", URL)


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        ("", "ü".encode(), "ü"),
        ("text/plain; charset=latin-1", b"\xfc", "ü"),
        ('text/plain; a=b; Charset="ISO-8859-1"; c=d', b"\xfc", "ü"),
        ("text/plain; charset=utf-8", b"\xfc", "\ufffd"),
        ("text/plain; charset=nonsense", "ü".encode(), "ü"),
        ("text/plain; charset=zlib", b"x", "x"),
        ("text/plain; charset=idna", b"x", "x"),
        ("text/plain; charset=unicode_escape", b"\\d", "\\d"),
        ("text/plain; charset=undefined", b"x", "x"),
        ("text/plain; charset=", b"x", "x"),
        ("text/plain; charset=\x00", b"x", "x"),
        (f"text/plain; charset={'x' * 10_000}", b"x", "x"),
    ],
)
def test_h15_text(content_type: str, content: bytes, text: str) -> None:
    response = httpx.Response(200, headers={"Content-Type": content_type}, content=content)
    assert response.text == text
    assert list(response.iter_text()) == [text]


@pytest.mark.parametrize("charset", sorted({*encodings.aliases.aliases.values(), "utf_8_sig"}))
def test_h15_no_charset_and_no_bytes_raise(charset: str) -> None:
    headers = {"Content-Type": f"text/plain; charset={charset}"}
    for content in (bytes(range(256)), b"\xff\xfe\xfd", b"+AAA-\\u12~{\x1b$B!", b"xn--\xff"):
        response = httpx.Response(200, headers=headers, content=content)
        assert response.text == "".join(response.iter_text())
        assert isinstance(list(response.iter_lines()), list)


def test_h15_json() -> None:
    def parse(content: bytes) -> Any:
        return httpx.Response(200, content=content).json()

    assert parse(b'{"a": [1]}') == {"a": [1]}
    assert parse('\ufeff"ü"'.encode()) == "ü"
    assert parse('"ü"'.encode("utf-16")) == "ü"
    for wrong in (b"", b"{", b'"\xff"', b"[" * 200_000, b"1" * 5_000):
        with pytest.raises(json.JSONDecodeError):
            parse(wrong)


@pytest.mark.parametrize("status", [100, 204, 304, 404, 500, 999])
def test_status(status: int) -> None:
    response = httpx.Response(status, request=httpx.Request("GET", URL))
    kinds = [
        response.is_informational,
        response.is_success,
        response.is_redirect,
        response.is_client_error,
        response.is_server_error,
    ]
    assert kinds == [status // 100 == kind for kind in range(1, 6)]
    assert response.is_error == (status // 100 in (4, 5))
    if response.is_success:
        assert response.raise_for_status() is response
        return
    with pytest.raises(httpx.HTTPStatusError) as caught:
        response.raise_for_status()
    assert str(caught.value).startswith(str(status))
    assert URL in str(caught.value)
    assert caught.value.response is response
    assert caught.value.request is response.request
    assert not isinstance(caught.value, httpx.RequestError)


def test_reason_and_version() -> None:
    extensions = {"http_version": b"HTTP/1.0", "reason_phrase": b"Fine"}
    response = httpx.Response(200, extensions=extensions)
    assert (response.http_version, response.reason_phrase) == ("HTTP/1.0", "Fine")
    assert httpx.Response(404).reason_phrase == "Not Found"
    assert httpx.Response(299).reason_phrase == ""
    assert repr(httpx.Response(404)) == "<Response [404 Not Found]>"
    with pytest.raises(RuntimeError):
        assert httpx.Response(200).url


@pytest.mark.parametrize("clone", CLONES)
def test_l6_request_and_response_are_cloned(clone: Callable[[Any], Any]) -> None:
    request = httpx.Request(
        "POST",
        "http://example.org:81/?q",
        headers={"A": "1"},
        content=b"body",
        extensions={"timeout": {"read": 1.0}, "trace": lambda *event: None},
    )
    extensions = {"http_version": b"HTTP/1.1", "network_stream": lambda: None, "trailers": []}
    twin = clone(
        httpx.Response(
            200, headers={"B": "2"}, content=b"x", request=request, extensions=extensions
        )
    )
    assert (twin.status_code, twin.headers, twin.text) == (
        200,
        {"B": "2", "Content-Length": "1"},
        "x",
    )
    assert twin.extensions == {"http_version": b"HTTP/1.1", "trailers": []}
    again = clone(request)
    assert (again.method, again.url, again.content) == ("POST", request.url, b"body")
    assert again.headers == request.headers
    assert again.extensions == {"timeout": {"read": 1.0}}


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("content", [generated, async_generated])
def test_l6_streams_stay_behind(clone: Callable[[Any], Any], content: Callable[[], Any]) -> None:
    request = clone(httpx.Request("POST", URL, content=content()))
    with pytest.raises(httpx.StreamClosed):
        iter(request.stream)
    response = httpx.Response(200, stream=httpx.ByteStream(b"x"))
    with pytest.raises(httpx.StreamClosed):
        clone(response).read()
    assert response.read() == b"x"


@pytest.mark.parametrize("clone", CLONES)
def test_l6_errors_are_cloned(clone: Callable[[Any], Any]) -> None:
    request = httpx.Request("GET", URL)
    response = httpx.Response(404, content=b"gone", request=request)
    with pytest.raises(httpx.HTTPStatusError) as caught:
        response.raise_for_status()
    status_error = clone(caught.value)
    assert str(status_error) == str(caught.value)
    assert status_error.response.content == b"gone"
    assert status_error.request.url == URL
    error = httpx.ReadTimeout("too slow", origin="http://example.org:80", limit=1.0)
    attach(error, request)
    twin = clone(error)
    assert str(twin) == str(error)
    assert twin.request.url == URL
    for kind in (httpx.InvalidURL, httpx.StreamConsumed, httpx.StreamError):
        assert str(clone(kind("text"))) == "text"
