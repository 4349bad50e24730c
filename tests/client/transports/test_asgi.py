"""`ASGITransport`: what an app is told, what becomes of what it says, and of what it raises.

Every test runs on asyncio, uvloop and trio; none may leave a task behind.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

import httpclient as httpx
from httpclient.transports.asgi import ASGITransport
from tests.client.transports.asgi_apps import (
    PATIENT,
    Failed,
    Upload,
    body,
    call,
    checkpoint,
    collecting,
    event,
    forever,
    given_up,
    in_asyncio,
    saying,
    start,
    together,
)


async def test_example() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"Hello, {scope['path']}".encode()})

    async with httpx.AsyncClient(transport=ASGITransport(app), base_url="http://testserver") as c:
        assert (await c.get("/world")).text == "Hello, /world"


# What the app is told


async def scope_of(*args: Any, **kwargs: Any) -> dict[str, Any]:
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send(start())
        await send(body())

    await (await call(app, *args, **kwargs)).stream.aread()
    return scopes[0]


async def test_scope() -> None:
    headers = [(b"Host", b"example.org:81"), (b"X-B", b"1"), (b"a", b"2"), (b"x-b", b"\xff")]
    url = (b"https", b"example.org", 81, b"/a%20b/caf%C3%A9%2F%ff?q=%20&r?")
    assert await scope_of(b"PATCH", url, headers) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "PATCH",
        "scheme": "https",
        "path": "/a b/caf\xe9/\ufffd",
        "raw_path": b"/a%20b/caf%C3%A9%2F%ff",
        "query_string": b"q=%20&r?",
        "root_path": "",
        "headers": [
            (b"host", b"example.org:81"),
            (b"x-b", b"1"),
            (b"a", b"2"),
            (b"x-b", b"\xff"),
        ],
        "client": ("127.0.0.1", 123),
        "server": ("example.org", 81),
        "extensions": {"http.response.trailers": {}},
    }


async def test_scope_options() -> None:
    scope = await scope_of(root_path="/api", client=("::1", 5))
    assert (scope["root_path"], scope["client"], scope["path"]) == ("/api", ("::1", 5), "/")
    assert (await scope_of(client=None))["client"] is None


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ((b"http", b"h", None, b"/"), ("h", 80)),
        ((b"https", b"h", None, b"/"), ("h", 443)),
        ((b"http", b"::1", None, b"/"), ("::1", 80)),
        ((b"http", b"[::1]", 8080, b"/"), ("::1", 8080)),
    ],
)
async def test_server(url: Any, server: tuple[str, int]) -> None:
    assert (await scope_of(url=url))["server"] == server


async def test_target_extension() -> None:
    scope = await scope_of(b"OPTIONS", extensions={"target": b"*"})
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("*", b"*", b"")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"method": b"G T"}, "method"),
        ({"url": (b"http", b"h", None, b"/ HTTP/1.1\r\nX: y")}, "target"),
        ({"headers": [(b"A", b"secret\r\nB: c")]}, "header field b'A' is illegal"),
        ({"headers": [(b"Content-Length", b"1"), (b"content-length", b"2")]}, "Content-Length"),
        ({"headers": [(b"Content-Length", b"1")]}, "shorter than its Content-Length"),
        ({"stream": [b"sync"]}, "no __aiter__: list"),
    ],
)
async def test_illegal_request_does_not_reach_the_app(arguments: Any, problem: str) -> None:
    with pytest.raises(httpx.LocalProtocolError, match=problem) as caught:
        await call(saying(AssertionError("called")), **arguments)
    assert caught.value.phase == "request"
    assert "secret" not in f"{caught.value!s} {caught.value!r}"


async def test_context_variables_go_to_the_app_and_not_back() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(variable.get())
        variable.set("the app's")
        await saying(start(), body())(scope, receive, send)

    token = variable.set("the caller's")
    await (await call(app)).stream.aread()
    assert (seen, variable.get()) == (["the caller's"], "the caller's")
    variable.reset(token)


# The request's body


@pytest.mark.parametrize("content", [b"", b"abc"])
async def test_body_in_memory_is_one_message(content: bytes) -> None:
    messages: list[Any] = []
    await (await call(collecting(messages), stream=httpx.ByteStream(content))).stream.aread()
    assert messages == [{"type": "http.request", "body": content, "more_body": False}]


async def test_body_is_a_message_for_each_chunk() -> None:
    messages: list[Any] = []
    upload = Upload(b"a", b"", bytearray(b"bc"), memoryview(b"d"))
    await (await call(collecting(messages), b"POST", stream=upload)).stream.aread()
    assert [(m["body"], m["more_body"]) for m in messages] == [
        (b"a", True),
        (b"bc", True),
        (b"d", True),
        (b"", False),
    ]
    assert {type(m["body"]) for m in messages} == {bytes}
    assert upload.ended


async def test_body_is_read_as_the_app_asks() -> None:
    upload = Upload(b"a", b"b", b"c")
    taken = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        taken.append(upload.taken)
        for _ in range(2):
            await receive()
            for _ in range(5):
                await checkpoint()
            taken.append(upload.taken)
        await saying(start(), body())(scope, receive, send)

    await (await call(app, b"POST", stream=upload)).stream.aread()
    assert taken == [0, 1, 2]
    assert upload.ended


async def test_both_bodies_are_streamed_at_once() -> None:
    """The next chunk of the request is made only when the echo of the one before has come back."""
    echoed: list[bytes] = []

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for number in range(5):
                while len(echoed) < number:
                    await checkpoint()
                yield bytes([number]) * 1000

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        while (message := await receive())["more_body"]:
            await send(body(message["body"], more_body=True))
        await send(body())

    response = await call(app, b"POST", stream=Body())
    async for chunk in response.stream:
        echoed.append(chunk)
    assert echoed == [bytes([number]) * 1000 for number in range(5)]


async def test_receiving_can_be_given_up_without_loss() -> None:
    may_go_on = event()
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await given_up(receive)
        may_go_on.set()
        await collecting(messages)(scope, receive, send)

    upload = Upload(may_go_on.wait, b"a", b"b")
    await (await call(app, b"POST", stream=upload)).stream.aread()
    assert [m["body"] for m in messages] == [b"a", b"b", b""]


async def test_several_tasks_may_receive() -> None:
    bodies: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            while (message := await receive())["type"] == "http.request":
                bodies.append(message["body"])
                if not message["more_body"]:
                    await saying(start(), body())(scope, receive, send)

        await together(listen, listen, listen)

    upload = Upload(*[bytes([number]) for number in range(9)])
    await (await call(app, b"POST", stream=upload)).stream.aread()
    assert sorted(bodies) == [b"", *upload.chunks]


async def test_body_that_is_not_wanted_is_let_go() -> None:
    for chunks in ((b"a", b"b"), (b"a", forever)):
        upload = Upload(*chunks)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await saying(start(), body())(scope, receive, send)

        await (await call(app, b"POST", stream=upload)).stream.aread()
        assert (upload.taken, upload.ended) == (1, True)


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("after_head", [True, False])
@pytest.mark.parametrize("error", [Failed(), SystemExit(3)])
async def test_error_of_the_body_is_the_callers(
    raises: bool, after_head: bool, error: BaseException
) -> None:
    received: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if after_head:
            await send(start())
        while not received or received[-1] != "http.disconnect":
            received.append((await receive())["type"])
        await forever()

    with pytest.raises(type(error)) as caught:
        response = await call(app, b"POST", stream=Upload(b"a", error), raise_app_exceptions=raises)
        await response.stream.aread()
    assert caught.value is error
    assert received[:1] == ["http.request"]


async def test_body_that_was_consumed_before() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"x"

    app = collecting([])
    async with httpx.AsyncClient(transport=ASGITransport(app)) as client:
        request = client.build_request("POST", "http://example.org/", content=content())
        await client.send(request)
        messages: list[Any] = []
        client = httpx.AsyncClient(transport=ASGITransport(collecting(messages)))
        with pytest.raises(httpx.StreamConsumed):
            await client.send(request)
        assert [m["type"] for m in messages] in ([], ["http.disconnect"])


@in_asyncio
async def test_body_that_cancels_itself(flavour: str) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(httpx.LocalProtocolError, match="body was cancelled"):
        await call(collecting([]), b"POST", stream=Upload(cancelled))


@pytest.mark.parametrize(("length", "problem"), [(b"2", "longer"), (b"4", "shorter")])
async def test_b09_body_differs_from_its_content_length(length: bytes, problem: str) -> None:
    messages: list[Any] = []
    headers = [(b"Content-Length", length)]
    with pytest.raises(httpx.LocalProtocolError, match=problem):
        await call(collecting(messages), b"POST", headers=headers, stream=Upload(b"ab", b"c"))
    assert b"c" not in [m.get("body") for m in messages[: length == b"2"]]


async def test_body_of_text() -> None:
    with pytest.raises(TypeError, match="bytes-like"):
        await call(collecting([]), b"POST", stream=Upload("text"))


# The response


async def test_response() -> None:
    headers = [(b"set-cookie", b"a"), (b"Set-Cookie", b"b"), (b"x", b"\xff")]
    app = saying(start(404, *headers), body(b"ab", True), body(b"", True), body(b"c"))
    response = await call(app)
    assert (response.status, response.headers) == (404, headers)
    assert response.extensions == {"http_version": b"HTTP/1.1"}
    assert [chunk async for chunk in response.stream] == [b"ab", b"c"]
    assert [chunk async for chunk in response.stream] == []


async def test_least_messages() -> None:
    app = saying({"type": "http.response.start", "status": 204}, {"type": "http.response.body"})
    response = await call(app)
    assert (response.headers, await response.stream.aread()) == ([], b"")


async def test_body_that_the_app_changes_later() -> None:
    data = bytearray(b"ab")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, [b"a", b"b"]))  # type: ignore[arg-type]
        await send(body(memoryview(data)))
        data[:] = b"cd"

    response = await call(app)
    assert response.headers == [(b"a", b"b")]
    assert await response.stream.aread() == b"ab"


async def test_head_comes_before_the_body_and_each_part_when_it_is_sent() -> None:
    """A transport that waits for anything more than it needs would wait for ever."""
    steps = [event() for _ in range(3)]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await steps[0].wait()
        await send(body(b"a", True))
        await steps[1].wait()
        await send(body(b"b", True))
        await steps[2].wait()
        await send(body())

    response = await call(app)
    steps[0].set()
    assert await response.stream.__anext__() == b"a"
    steps[1].set()
    assert await response.stream.__anext__() == b"b"
    steps[2].set()
    assert await response.stream.aread() == b""


async def test_send_waits_until_the_part_is_taken() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(start())
        while True:
            await send(body(bytes([sent]), True))
            sent += 1

    response = await call(app)
    for number in range(4):
        for _ in range(10):
            await checkpoint()
        assert sent == number
        assert await response.stream.__anext__() == bytes([number])
    await response.stream.aclose()


async def test_last_part_does_not_wait() -> None:
    """An app that has said all may go on, and end, though nobody reads."""
    ended = event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await saying(start(), body(b"all"))(scope, receive, send)
        ended.set()

    response = await call(app)
    await ended.wait()
    assert await response.stream.aread() == b"all"


async def test_several_tasks_may_send_and_sending_can_be_given_up() -> None:
    may_read = event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await given_up(lambda: send(body(b"0", True)))  # it is there, and is waited for
        await given_up(lambda: send(body(b"lost", True)))
        may_read.set()
        parts = [lambda data=data: send(body(data, True)) for data in (b"1", b"2", b"3")]
        await together(*parts)
        await send(body())

    response = await call(app)
    await may_read.wait()
    chunks = [chunk async for chunk in response.stream]
    assert (chunks[0], sorted(chunks)) == (b"0", [b"0", b"1", b"2", b"3"])


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
async def test_no_body_where_none_can_be(method: bytes, status: int) -> None:
    app = saying(start(status, (b"content-length", b"5")), body(b"ab", True), body(b"c"))
    response = await call(app, method)
    assert response.headers == [(b"content-length", b"5")]
    assert await response.stream.aread() == b""


async def test_trailers() -> None:
    def trailers(*fields: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
        return {"type": "http.response.trailers", "headers": fields, **more}

    app = saying(
        start(trailers=True),
        body(b"a", True),
        body(b"b"),
        trailers((b"x", b"1"), more_trailers=True),
        trailers((b"x", b"2"), (b"y", b"3")),
    )
    response = await call(app)
    assert "trailers" not in response.extensions
    assert await response.stream.aread() == b"ab"
    assert response.extensions["trailers"] == [(b"x", b"1"), (b"x", b"2"), (b"y", b"3")]
    none = await call(saying(start(trailers=True), body(), trailers()))
    await none.stream.aread()
    assert "trailers" not in none.extensions


WITH_LENGTH = start(200, (b"content-length", b"2"))
TRAILERS: dict[str, Any] = {"type": "http.response.trailers"}


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([body()], "sent 'http.response.body', due was http.response.start"),
        ([start(), start()], "sent 'http.response.start', due was http.response.body"),
        ([start(), TRAILERS], "due was http.response.body"),
        ([start(), body(), body()], "sent 'http.response.body', due was nothing"),
        ([start(), body(), TRAILERS], "due was nothing"),
        ([start(trailers=True), body(), body()], "due was http.response.trailers"),
        ([{"type": "websocket.accept"}], "sent 'websocket.accept'"),
        ([{}], "sent None"),
        ([{"type": "http.response.start"}], "status is not an int"),
        ([start("200")], "status is not an int"),  # type: ignore[arg-type]
        ([start(103)], "103 is no status"),
        ([start(1000)], "1000 is no status"),
        ([start(200, ("a", "b"))], "must be bytes"),  # type: ignore[arg-type]
        ([start(200, b"ab")], "not a pair|must be bytes"),  # type: ignore[arg-type]
        ([start(200, (b"a", b"b\r\nc: d"))], "b'a' is illegal"),
        ([start(200, (b"a b", b""))], "b'a b' is illegal"),
        ([start(200, (b"content-length", b"-1"))], "Content-Length"),
        ([start(), body("text")], "has a str where bytes are due"),
        ([start(), body(None)], "has a NoneType where bytes are due"),
        ([WITH_LENGTH, body(b"abc")], "longer than its Content-Length"),
        ([WITH_LENGTH, body(b"ab", True), body(b"c", True)], "longer than its Content-Length"),
        ([WITH_LENGTH, body(b"a", True), body()], "shorter than its Content-Length"),
        (
            [start(trailers=True), body(), {**TRAILERS, "headers": [(b"a", b"\n")]}],
            "b'a' is illegal",
        ),
    ],
)
async def test_illegal_messages(messages: list[Any], problem: str) -> None:
    """What is wrong is raised in the app, and if that lets it pass, in the request."""
    with pytest.raises(httpx.RemoteProtocolError, match=problem) as caught:
        await (await call(saying(*messages))).stream.aread()
    phase = "receive body" if messages[0].get("status") == 200 and len(messages) > 1 else None
    assert caught.value.phase == (phase or "receive headers")
    assert caught.value.origin == "http://example.org:80"


@pytest.mark.parametrize("raises", [True, False])
async def test_app_that_says_too_little(raises: bool) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without a response"):
        await call(saying(), raise_app_exceptions=raises)
    for messages in ([start()], [start(), body(b"a", True)], [start(trailers=True), body()]):
        response = await call(saying(*messages), raise_app_exceptions=raises)
        with pytest.raises(httpx.RemoteProtocolError, match="in the middle of its response"):
            await response.stream.aread()


async def test_app_that_is_no_app() -> None:
    with pytest.raises(TypeError):
        await call(lambda scope: None)


# What the app raises


async def test_error_before_the_head() -> None:
    error = Failed()
    with pytest.raises(Failed) as caught:
        await call(saying(error))
    assert caught.value is error
    response = await call(saying(error), raise_app_exceptions=False)
    assert (response.status, response.headers) == (500, [])
    assert await response.stream.aread() == b""


@pytest.mark.parametrize("messages", [[start()], [start(), body(b"a", True)]])
async def test_error_after_the_head(messages: list[Any]) -> None:
    error = Failed()
    response = await call(saying(*messages, error))
    with pytest.raises(Failed) as caught:
        await response.stream.aread()
    assert caught.value is error
    response = await call(saying(*messages, error), raise_app_exceptions=False)
    with pytest.raises(httpx.RemoteProtocolError, match="in the middle") as caught_other:
        await response.stream.aread()
    assert caught_other.value.__cause__ is error
    assert [chunk async for chunk in response.stream] == []


async def test_error_after_the_response() -> None:
    app = saying(start(), body(b"a"), Failed())
    chunks = []
    with pytest.raises(Failed):
        async for chunk in (await call(app)).stream:
            chunks.append(chunk)
    assert chunks == [b"a"]
    assert await (await call(app, raise_app_exceptions=False)).stream.aread() == b"a"


@pytest.mark.parametrize("messages", [[], [start()], [start(), body()]])
async def test_exit_is_never_kept_from_the_caller(messages: list[Any]) -> None:
    with pytest.raises(SystemExit):
        response = await call(saying(*messages, SystemExit(3)), raise_app_exceptions=False)
        await response.stream.aread()


async def test_exit_is_raised_where_the_response_is_closed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        raise SystemExit(3)

    response = await call(app, grace=PATIENT)
    with pytest.raises(SystemExit):
        await response.stream.aclose()
    await response.stream.aclose()


async def test_error_that_would_end_the_callers_loop_and_is_kept() -> None:
    response = await call(saying(StopAsyncIteration()), raise_app_exceptions=False)
    assert response.status == 500
    app = saying(start(), body(b"a", True), StopAsyncIteration())
    response = await call(app, raise_app_exceptions=False)
    with pytest.raises(httpx.RemoteProtocolError, match="in the middle of its response"):
        await response.stream.aread()


async def test_error_that_would_end_the_callers_loop() -> None:
    response = await call(saying(start(), body(b"a", True), StopAsyncIteration()))
    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        await response.stream.aread()


@in_asyncio
async def test_app_that_cancels_itself(flavour: str) -> None:
    """In trio there is no way to."""
    with pytest.raises(httpx.RemoteProtocolError, match="without a response"):
        await call(saying(asyncio.CancelledError()))
    response = await call(saying(start(), asyncio.CancelledError()))
    with pytest.raises(httpx.RemoteProtocolError, match="in the middle"):
        await response.stream.aread()
