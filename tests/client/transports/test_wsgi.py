"""`WSGITransport`: PEP 3333 from the server's side. Where an app is said to be valid, so is what it
is called with: `wsgiref.validate` checks both."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

import httpclient as httpx
from httpclient.transports.wsgi import WSGITransport

URL = (b"http", b"example.org", None, b"/")


class Iterable:
    """What an app returns; counts how often it is closed. `items` may be errors, or functions."""

    def __init__(self, *items: Any, on_close: BaseException | None = None) -> None:
        self.items = list(items)
        self.closed = self.taken = 0
        self.on_close = on_close

    def __iter__(self) -> Iterable:
        return self

    def __next__(self) -> bytes:
        if not self.items:
            raise StopIteration
        self.taken += 1
        item = self.items.pop(0)
        if isinstance(item, BaseException):
            raise item
        data: bytes = item() if callable(item) else item
        return data

    def close(self) -> None:
        self.closed += 1
        if self.on_close is not None:
            raise self.on_close


class Upload(httpx.SyncByteStream):
    """Counts its chunks; raises those that are errors."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = chunks
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.taken += 1
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk


class Failed(Exception):
    pass


def answering(
    iterable: Any, status: str = "200 OK", headers: list[tuple[str, str]] | None = None
) -> Callable[..., Any]:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, headers or [])
        return iterable

    return app


def call(
    app: Any,
    method: bytes = b"GET",
    url: Any = URL,
    headers: list[tuple[bytes, bytes]] | None = None,
    stream: Any = None,
    extensions: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    transport = WSGITransport(app, **options)
    stream = httpx.ByteStream() if stream is None else stream
    return transport.handle_request(method, url, headers or [], stream, extensions or {})


def environ_of(*args: Any, **kwargs: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    @validator
    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    call(app, *args, **kwargs).stream.read()
    return seen


def test_example() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"Hello, ", environ["PATH_INFO"].encode()]

    with httpx.Client(transport=WSGITransport(app), base_url="http://testserver") as client:
        assert client.get("/world").text == "Hello, /world"


# What the app is called with


def test_environ() -> None:
    headers = [
        (b"Host", b"example.org:81"),
        (b"Content-Type", b"text/plain"),
        (b"Content-Length", b"2"),
        (b"X-Two", b"1"),
        (b"x-two", b"caf\xe9"),
        (b"Cookie", b"a=1"),
        (b"Cookie", b"b=2"),
    ]
    url = (b"https", b"example.org", 81, b"/a%20b/caf%C3%A9?q=%20&r")
    environ = environ_of(b"POST", url, headers, httpx.ByteStream(b"ab"))
    plain = {key: environ[key] for key in environ if not key.startswith("wsgi.")}
    assert plain == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/caf\xc3\xa9",
        "QUERY_STRING": "q=%20&r",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "81",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "example.org:81",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "2",
        "HTTP_X_TWO": "1, caf\xe9",
        "HTTP_COOKIE": "a=1; b=2",
    }
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["wsgi.input_terminated"] is True
    flags = [environ[f"wsgi.{name}"] for name in ("multithread", "multiprocess", "run_once")]
    assert flags == [True, False, False]


def test_header_with_underscore_is_left_out() -> None:
    """It would be taken for the one with a dash, which a proxy before the server may vouch for."""
    headers = [(b"X_Forwarded_For", b"1"), (b"X-Real", b"2"), (b"Content_Length", b"9")]
    environ = environ_of(headers=headers)
    assert environ["HTTP_X_REAL"] == "2"
    assert not [key for key in environ if "FORWARDED" in key or "LENGTH" in key]


@pytest.mark.parametrize(
    ("url", "name", "port"),
    [
        ((b"http", b"h", None, b"/"), "h", "80"),
        ((b"https", b"h", None, b"/"), "h", "443"),
        ((b"http", b"::1", 8080, b"/"), "[::1]", "8080"),
        ((b"http", b"[::1]", None, b"/"), "[::1]", "80"),
    ],
)
def test_server(url: Any, name: str, port: str) -> None:
    environ = environ_of(url=url)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


@pytest.mark.parametrize(
    ("script_name", "target", "expected"),
    [
        ("", b"/a", ("", "/a")),
        ("/", b"/a", ("", "/a")),
        ("/app", b"/a", ("/app", "/a")),
        ("/app/", b"/app/a", ("/app", "/a")),
        ("/app", b"/app", ("/app", "")),
        ("/app", b"/apple", ("/app", "/apple")),
        ("/café", b"/caf%C3%A9/a%2Fb", ("/caf\xc3\xa9", "/a/b")),
    ],
)
def test_script_name(script_name: str, target: bytes, expected: tuple[str, str]) -> None:
    environ = environ_of(url=(b"http", b"h", None, target), script_name=script_name)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == expected


def test_options() -> None:
    errors = io.StringIO()
    environ = environ_of(remote_addr="10.0.0.1", wsgi_errors=errors)
    assert environ["REMOTE_ADDR"] == "10.0.0.1"

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("oops")
        start_response("200 OK", [])
        return []

    call(app, wsgi_errors=errors).stream.read()
    assert errors.getvalue() == "oops"


def test_errors_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        assert environ["wsgi.errors"] is sys.stderr
        environ["wsgi.errors"].write("oops")
        start_response("200 OK", [])
        return []

    call(app).stream.read()
    assert capsys.readouterr().err == "oops"


def test_target_extension() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    assert call(app, b"OPTIONS", extensions={"target": b"*"}).stream.read() == b"*"
    environ = environ_of(extensions={"target": "/x?y"})
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/x", "y")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"method": b"G T"}, "method"),
        ({"method": b""}, "method"),
        ({"url": (b"http", b"h", None, b"")}, "target"),
        ({"url": (b"http", b"h\xff", None, b"/")}, "host must be ASCII"),
        ({"url": (b"http", b"h", None, b"/ HTTP/1.1\r\nX: y")}, "target"),
        ({"extensions": {"target": "/é"}}, "target"),
        ({"headers": [(b"A b", b"")]}, "A b"),
        ({"headers": [(b"", b"")]}, "header field"),
        ({"headers": [(b"A", b"secret\r\nB: c")]}, "header field b'A' is illegal"),
        ({"headers": [(b"A", b"secret\0")]}, "header field b'A' is illegal"),
        ({"headers": [(b"A",)]}, "pair"),
        ({"headers": [("A", "b")]}, "bytes"),
        ({"headers": [(b"Content-Length", b"1"), (b"content-length", b"2")]}, "Content-Length"),
        ({"headers": [(b"Content-Length", b"+1")]}, "Content-Length"),
        ({"stream": object()}, "no __iter__: object"),
    ],
)
def test_illegal_request_does_not_reach_the_app(arguments: Any, problem: str) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise AssertionError("called")

    with pytest.raises(httpx.LocalProtocolError, match=problem) as caught:
        call(app, **arguments)
    assert caught.value.phase == "request"
    assert str(caught.value).startswith("http://")
    assert "secret" not in f"{caught.value!s} {caught.value!r}"


# The request's body


def reading(read: Callable[[Any], Any]) -> tuple[Any, list[Any]]:
    results: list[Any] = []

    @validator
    def app(environ: Any, start_response: Any) -> list[bytes]:
        results.append(read(environ["wsgi.input"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    return app, results


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda file: file.read(100_000), b"ab\ncd\nef"),
        (lambda file: [file.read(4), file.read(4), file.read(4)], [b"ab\nc", b"d\nef", b""]),
        (lambda file: [file.readline() for _ in range(4)], [b"ab\n", b"cd\n", b"ef", b""]),
        (lambda file: [file.readline(2), file.readline(2)], [b"ab", b"\n"]),
        (lambda file: file.readlines(), [b"ab\n", b"cd\n", b"ef"]),
        (lambda file: list(file), [b"ab\n", b"cd\n", b"ef"]),
    ],
)
@pytest.mark.parametrize(
    "chunks",
    [(b"ab\ncd\nef",), (b"a", b"", b"b\ncd", b"\n", b"ef"), (b"ab\n", bytearray(b"cd\nef"))],
)
def test_input(read: Any, expected: Any, chunks: tuple[bytes, ...]) -> None:
    app, results = reading(read)
    call(app, b"PUT", stream=Upload(*chunks)).stream.read()
    assert results == [expected]


def test_input_without_size_or_body() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read(), environ["wsgi.input"].read()]

    assert call(app, stream=Upload(b"ab", b"c")).stream.read() == b"abc"
    assert call(app).stream.read() == b""


def test_input_is_read_as_the_app_asks_and_the_response_too() -> None:
    """An echo, which never has more than one part in its hands."""
    upload = Upload(*[bytes([number]) * 10_000 for number in range(5)])
    taken = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        while data := environ["wsgi.input"].read(10_000):
            taken.append(upload.taken)
            yield data

    response = call(app, b"POST", stream=upload)
    body = []
    for part in response.stream:
        body.append(part)
        assert upload.taken == len(body)
    assert b"".join(body) == b"".join(upload.chunks)
    assert taken == [1, 2, 3, 4, 5]


def test_huge_chunk_is_not_joined_with_others() -> None:
    app, results = reading(lambda file: sum(len(file.read(1 << 16)) for _ in range(200)))
    call(app, b"POST", stream=Upload(bytes(5_000_000), bytes(5_000_000))).stream.read()
    assert results == [10_000_000]


def test_body_that_is_not_read_is_let_go() -> None:
    ended = []

    def body() -> Iterator[bytes]:
        try:
            yield b"x" * 20_000
            yield b"y"
        finally:
            ended.append(True)

    app, _ = reading(lambda file: file.read(1))
    with httpx.Client(transport=WSGITransport(app)) as client:
        client.post("http://example.org/", content=body())
        assert ended == [True]


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("error", [Failed(), KeyboardInterrupt()])
def test_error_of_the_body_is_the_callers(raises: bool, error: BaseException) -> None:
    app, results = reading(lambda file: file.read(10))
    with pytest.raises(type(error)) as caught:
        call(app, b"POST", stream=Upload(b"a", error), raise_app_exceptions=raises)
    assert caught.value is error
    assert results == []


@pytest.mark.parametrize(
    ("length", "problem"), [(b"2", "longer than its"), (b"4", "shorter than its")]
)
def test_b09_body_differs_from_its_content_length(length: bytes, problem: str) -> None:
    app, results = reading(lambda file: file.read(10))
    with pytest.raises(httpx.LocalProtocolError, match=problem):
        headers = [(b"Content-Length", length)]
        call(app, b"POST", headers=headers, stream=Upload(b"ab", b"c"), raise_app_exceptions=False)
    assert results == []


def test_body_of_text() -> None:
    app, _ = reading(lambda file: file.read(10))
    with pytest.raises(TypeError, match="bytes-like"):
        call(app, b"POST", stream=Upload("text"))


# The head of the response


def test_response() -> None:
    headers = [("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "caf\xe9")]
    response = call(answering([b"ab", b"c"], "404 Nicht da\xdf", headers))
    assert response.status == 404
    assert response.headers == [(b"Set-Cookie", b"a"), (b"set-cookie", b"b"), (b"X", b"caf\xe9")]
    assert response.extensions == {"http_version": b"HTTP/1.1", "reason_phrase": b"Nicht da\xdf"}
    assert list(response.stream) == [b"ab", b"c"]


@pytest.mark.parametrize("iterable", [[], [b""], (b"" for _ in range(3)), iter(())])
def test_empty_body(iterable: Any) -> None:
    assert call(answering(iterable)).stream.read() == b""


def test_valid_app_that_streams() -> None:
    @validator
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"a", b"", b"b"])

    assert list(call(app).stream) == [b"a", b"b"]


def test_response_is_not_read_ahead() -> None:
    iterable = Iterable(b"", b"a", b"b", b"c")
    response = call(answering(iterable))
    assert iterable.taken == 2
    assert [next(response.stream), iterable.taken] == [b"a", 2]
    assert [next(response.stream), iterable.taken] == [b"b", 3]
    response.stream.close()
    assert (iterable.taken, iterable.closed) == (3, 1)


def test_start_response_while_the_app_is_iterated_over() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("201 Created", [])
        yield b"x"

    response = call(app)
    assert (response.status, response.stream.read()) == (201, b"x")


def test_write_comes_before_what_is_yielded() -> None:
    @validator
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"a")
        write(b"")
        write(b"b")
        return iter([b"c"])

    assert list(call(app).stream) == [b"a", b"b", b"c"]


def test_write_while_the_app_is_iterated_over() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        yield b"a"
        write(b"b")
        yield b"c"
        write(b"d")

    assert list(call(app).stream) == [b"a", b"b", b"c", b"d"]


def test_written_data_is_there_before_the_app_is_iterated_over() -> None:
    iterable = Iterable(b"b")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"a")
        return iterable

    response = call(app)
    assert (next(response.stream), iterable.taken) == (b"a", 0)
    assert response.stream.read() == b"b"


def failed() -> Any:
    try:
        raise Failed
    except Failed:
        return sys.exc_info()


def test_head_is_replaced_after_an_error() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("A", "b")])
        yield b""
        start_response("500 Failed", [], failed())
        yield b"sorry"

    response = call(app)
    assert (response.status, response.headers) == (500, [])
    assert response.stream.read() == b"sorry"


@pytest.mark.parametrize("writes", [True, False])
def test_head_cannot_be_replaced_after_data(writes: bool) -> None:
    iterable = Iterable()

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        if writes:
            write(b"a")
            start_response("500 Failed", [], failed())
        iterable.items = [b"a", lambda: start_response("500 Failed", [], failed())]
        return iterable

    if writes:
        with pytest.raises(Failed):
            call(app)
        return
    response = call(app)
    assert next(response.stream) == b"a"
    with pytest.raises(Failed):
        next(response.stream)
    assert iterable.closed == 1


def test_second_start_response_without_exc_info() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(httpx.RemoteProtocolError, match="twice"):
        call(app)


@pytest.mark.parametrize(
    ("status", "headers", "problem"),
    [
        (200, [], "three digits"),
        ("OK", [], "three digits"),
        ("200OK", [], "three digits"),
        ("200 O\r\nX: y", [], "three digits"),
        ("200 \u20ac", [], "three digits"),
        ("100 Continue", [], "100 is no status"),
        ("200 OK", [("A", "b\r\nC: d")], "b'A' is illegal"),
        ("200 OK", [("A b", "")], "b'A b' is illegal"),
        ("200 OK", [("A", "\u20ac")], "Latin-1"),
        ("200 OK", [("A", b"b")], "pairs of str"),
        ("200 OK", [("A", None)], "pairs of str"),
        ("200 OK", ["AB:"], "pairs of str"),
        ("200 OK", [("Content-Length", "x")], "Content-Length"),
        ("200 OK", [("Content-Length", "1"), ("Content-Length", "2")], "Content-Length"),
    ],
)
def test_illegal_head(status: Any, headers: Any, problem: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match=problem) as caught:
        call(answering([], status, headers))
    assert (caught.value.origin, caught.value.phase) == ("http://example.org:80", "receive headers")


def test_start_response_is_not_called() -> None:
    for raises in (True, False):
        iterable = Iterable(b"")
        with pytest.raises(httpx.RemoteProtocolError, match="did not call start_response"):
            call(lambda environ, start_response: iterable, raise_app_exceptions=raises)  # noqa: B023
        assert iterable.closed == 1


def test_body_before_start_response() -> None:
    iterable = Iterable(b"x")
    with pytest.raises(httpx.RemoteProtocolError, match="before start_response"):
        call(lambda environ, start_response: iterable)
    assert iterable.closed == 1


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", "200"), (b"GET", "204"), (b"GET", "304")])
def test_no_body_where_none_can_be(method: bytes, status: str) -> None:
    def endless() -> bytes:
        iterable.items.append(endless)
        return b"x"

    iterable = Iterable(endless)
    response = call(answering(iterable, status, [("Content-Length", "5")]), method)
    assert response.headers == [(b"Content-Length", b"5")]
    assert iterable.closed == 1
    assert response.stream.read() == b""


def test_head_of_an_app_that_writes() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "3")])(b"abc")
        return []

    assert call(app, b"HEAD").stream.read() == b""


# The end


@pytest.mark.parametrize("length", [(), ("2", "2")])
def test_iterable_is_closed_once_when_it_was_read(length: tuple[str, ...]) -> None:
    iterable = Iterable(b"a", b"b")
    headers = [("Content-Length", value) for value in length]
    stream = call(answering(iterable, headers=headers)).stream
    assert list(stream) == [b"a", b"b"]
    assert iterable.closed == 1
    stream.close()
    assert list(stream) == []
    assert iterable.closed == 1


def test_iterable_is_closed_once_when_the_response_is() -> None:
    iterable = Iterable(b"a", b"b")
    with httpx.Client(transport=WSGITransport(answering(iterable))) as client:
        with client.stream("GET", "http://example.org/") as response:
            for _ in response.iter_raw():
                break
            assert iterable.closed == 0
    assert iterable.closed == 1


def test_iterable_that_is_no_iterator_is_what_is_closed() -> None:
    class Closable(list[bytes]):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    iterable = Closable([b"a", b"b"])
    assert call(answering(iterable)).stream.read() == b"ab"
    assert iterable.closed == 1


def test_error_before_the_head() -> None:
    error = Failed()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise error

    with pytest.raises(Failed) as caught:
        call(app)
    assert caught.value is error
    response = call(app, raise_app_exceptions=False)
    assert (response.status, response.headers, response.stream.read()) == (500, [], b"")


def test_error_between_the_head_and_the_body() -> None:
    for raises in (True, False):
        iterable = Iterable(b"", Failed())
        app = answering(iterable)
        if raises:
            with pytest.raises(Failed):
                call(app)
        else:
            assert call(app, raise_app_exceptions=False).status == 500
        assert iterable.closed == 1


def test_error_in_the_body() -> None:
    error = Failed()
    iterable = Iterable(b"a", error)
    stream = call(answering(iterable)).stream
    assert next(stream) == b"a"
    with pytest.raises(Failed) as caught:
        next(stream)
    assert caught.value is error
    assert iterable.closed == 1
    assert list(stream) == []

    iterable = Iterable(b"a", error)
    stream = call(answering(iterable), raise_app_exceptions=False).stream
    with pytest.raises(httpx.RemoteProtocolError, match="in the middle") as caught_other:
        stream.read()
    assert caught_other.value.__cause__ is error
    assert caught_other.value.phase == "receive body"
    assert iterable.closed == 1


def test_error_after_write() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"a")
        raise Failed

    with pytest.raises(Failed):
        call(app)
    with pytest.raises(httpx.RemoteProtocolError, match="in the middle"):
        call(app, raise_app_exceptions=False)


def test_interrupt_is_never_kept_from_the_caller() -> None:
    iterable = Iterable(b"a", KeyboardInterrupt())
    stream = call(answering(iterable), raise_app_exceptions=False).stream
    with pytest.raises(KeyboardInterrupt):
        stream.read()
    assert iterable.closed == 1
    iterable = Iterable(SystemExit(3))
    with pytest.raises(SystemExit):
        call(answering(iterable), raise_app_exceptions=False)
    assert iterable.closed == 1


def test_error_of_close() -> None:
    iterable = Iterable(b"a", on_close=Failed())
    with pytest.raises(Failed):
        call(answering(iterable)).stream.read()
    assert iterable.closed == 1
    iterable = Iterable(b"a", on_close=Failed())
    assert call(answering(iterable), raise_app_exceptions=False).stream.read() == b"a"
    assert iterable.closed == 1


@pytest.mark.parametrize("item", ["text", None, bytearray(b"x")])
def test_body_that_is_not_bytes(item: Any) -> None:
    iterable = Iterable(b"a", item)
    stream = call(answering(iterable)).stream
    with pytest.raises(httpx.RemoteProtocolError, match="where bytes are due"):
        stream.read()
    assert iterable.closed == 1


@pytest.mark.parametrize(("length", "problem"), [("1", "longer"), ("3", "shorter")])
def test_body_differs_from_its_content_length(length: str, problem: str) -> None:
    iterable = Iterable(b"a", b"b")
    stream = call(answering(iterable, headers=[("Content-Length", length)])).stream
    with pytest.raises(httpx.RemoteProtocolError, match=problem):
        stream.read()
    assert iterable.closed == 1


def test_p13_dropped_response_is_closed() -> None:
    iterable = Iterable(b"a", b"b")
    response = call(answering(iterable))
    with pytest.warns(ResourceWarning, match=r"http://example\.org:80 was neither read nor closed"):
        del response
        gc.collect()
    assert iterable.closed == 1
