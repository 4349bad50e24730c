"""ASGI apps, request bodies and the like, for the tests of `ASGITransport` on every flavour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import sniffio
import trio
import trio.testing

import httpclient as httpx
from httpclient.transports._runtime import Event, current_runtime
from httpclient.transports.asgi import ASGITransport
from httpcore_core import AutoBackend
from tests.flavours import FLAVOURS

URL = (b"http", b"example.org", None, b"/")
PATIENT = 60.0
"""Seconds of grace that no test waits for."""

in_asyncio = pytest.mark.parametrize(
    "flavour", [flavour for flavour in FLAVOURS if flavour != "trio"], indirect=True
)


class Failed(Exception):
    pass


def event() -> Event:
    return current_runtime().event()


async def checkpoint() -> None:
    await AutoBackend().sleep(0)


async def forever() -> None:
    await event().wait()


async def together(*functions: Callable[[], Awaitable[Any]]) -> None:
    if sniffio.current_async_library() == "trio":
        async with trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(function)
    else:
        await asyncio.gather(*(function() for function in functions))


async def given_up(function: Callable[[], Awaitable[Any]]) -> None:
    """Await it, and cancel it when it has got to where it waits."""

    async def run() -> None:
        await function()
        raise AssertionError("did not wait")

    if sniffio.current_async_library() == "trio":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return
    task = asyncio.create_task(run())
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def call(
    app: Any,
    method: bytes = b"GET",
    url: Any = URL,
    headers: list[tuple[bytes, bytes]] | None = None,
    stream: Any = None,
    extensions: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    transport = ASGITransport(app, **options)
    stream = httpx.ByteStream() if stream is None else stream
    return await transport.handle_async_request(
        method, url, headers or [], stream, extensions or {}
    )


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(data: Any = b"", more_body: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more_body}


def saying(*messages: Any) -> Any:
    """An app that sends `messages`; it raises those that are errors."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            if isinstance(message, BaseException):
                raise message
            await send(message)

    return app


class Upload(httpx.AsyncByteStream):
    """Suspends before each chunk; counts them; raises those that are errors, awaits functions."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = chunks
        self.taken = 0
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self.chunks:
                await checkpoint()
                self.taken += 1
                if isinstance(chunk, BaseException):
                    raise chunk
                if callable(chunk):
                    await chunk()
                else:
                    yield chunk
        finally:
            self.ended = True


def collecting(messages: list[Any]) -> Any:
    """An app that receives the whole body, and then answers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not messages or messages[-1].get("more_body"):
            messages.append(await receive())
        await saying(start(), body())(scope, receive, send)

    return app


class App:
    """Runs `app`, and notes how that ends. Then it cleans up, which takes a while."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.running = 0
        self.ends: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        end = "returned"
        try:
            await self.app(scope, receive, send)
        except BaseException as exc:
            end = type(exc).__name__
            raise
        finally:
            try:
                await self.clean_up()
            finally:
                self.ends.append(end)
                self.running -= 1

    async def clean_up(self) -> None:
        if sniffio.current_async_library() == "trio":
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
        else:
            await asyncio.sleep(0)


async def listening(scope: Any, receive: Any, send: Any) -> None:
    """Sends parts until the client has gone."""
    received: list[str] = []

    async def listen() -> None:
        while not received or received[-1] != "http.disconnect":
            received.append((await receive())["type"])

    await send(start())
    await send(body(b"a", True))
    await listen()
    assert received == ["http.request", "http.disconnect"]


def deaf(*messages: Any) -> App:
    """Sends `messages` and hears nothing any more."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await saying(*messages)(scope, receive, send)
        await forever()

    return App(app)


CANCELLED = (["CancelledError"], ["Cancelled"])
