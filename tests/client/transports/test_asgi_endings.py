"""`ASGITransport`: how the app and the client's side end, early, late, and when time is over.

Every test runs on asyncio, uvloop and trio; none may leave a task behind.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import sniffio
import trio
import trio.testing

import httpclient as httpx
from httpclient.transports._runtime import _asyncio_tasks
from httpclient.transports.asgi import ASGITransport
from httpcore_core.testing import CancelStep, cancel_at_every_step
from tests.client.transports.asgi_apps import (
    CANCELLED,
    PATIENT,
    App,
    Failed,
    Upload,
    body,
    call,
    checkpoint,
    collecting,
    deaf,
    event,
    forever,
    given_up,
    in_asyncio,
    listening,
    saying,
    start,
    together,
)


async def test_app_is_told_that_the_response_was_closed() -> None:
    app = App(listening)
    async with httpx.AsyncClient(transport=ASGITransport(app, grace=PATIENT)) as client:
        async with client.stream("GET", "http://example.org/") as response:
            async for chunk in response.aiter_raw():
                assert chunk == b"a"
                break
            for _ in range(10):
                await checkpoint()
            assert app.running == 1
        assert app.ends == ["returned"]


async def test_app_that_waits_for_the_body_is_told_too() -> None:
    received = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        received.append(await receive())

    upload = Upload(forever)
    response = await call(app, b"POST", stream=upload, grace=PATIENT)
    await response.stream.aclose()
    assert received == [{"type": "http.disconnect"}]
    assert upload.ended


@pytest.mark.parametrize("waits", [True, False])
async def test_send_raises_when_the_response_was_closed(waits: bool) -> None:
    async def sending(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        if not waits:
            await receive()
            await receive()
        with pytest.raises(OSError, match="client has closed"):
            await send(body(b"a", True))
        with pytest.raises(OSError, match="client has closed"):
            await send(body(b"b"))
        with pytest.raises(OSError, match="client has closed"):
            await send({"type": "anything"})

    app = App(sending)
    response = await call(app, grace=PATIENT)
    await response.stream.aclose()
    assert app.ends == ["returned"]


async def test_disconnect_comes_after_the_response_and_not_before() -> None:
    received = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            for _ in range(3):
                received.append((await receive())["type"])

        async def respond() -> None:
            await send(start())
            for _ in range(3):
                await send(body(b"x", True))
                assert received == ["http.request"]
            await send(body())

        await together(listen, respond)

    assert await (await call(app)).stream.aread() == b"xxx"
    assert received == ["http.request", "http.disconnect", "http.disconnect"]


async def test_reading_to_the_end_waits_for_the_app() -> None:
    async def working(scope: Any, receive: Any, send: Any) -> None:
        await saying(start(), body(b"a"))(scope, receive, send)
        for _ in range(20):
            await checkpoint()

    app = App(working)
    async with httpx.AsyncClient(transport=ASGITransport(app, grace=0.0)) as client:
        assert (await client.get("http://example.org/")).content == b"a"
        assert app.ends == ["returned"]


@pytest.mark.parametrize("grace", [0.0, 0.01])
@pytest.mark.parametrize("messages", [[start()], [start(), body(b"a")]])
async def test_app_that_does_not_listen_is_cancelled(grace: float, messages: list[Any]) -> None:
    app = deaf(*messages)
    response = await call(app, grace=grace)
    await together(response.stream.aclose, response.stream.aclose)
    assert app.ends in CANCELLED
    await response.stream.aclose()
    assert [chunk async for chunk in response.stream] == []


async def test_errors_after_the_client_has_gone_are_nobodys() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await saying(start())(scope, receive, send)
            await forever()
        finally:
            raise Failed

    await (await call(app, grace=0.0)).stream.aclose()
    response = await call(saying(start(), Failed()))
    for _ in range(10):
        await checkpoint()
    await response.stream.aclose()


async def test_close_in_another_task_ends_the_reading() -> None:
    app = App(listening)
    response = await call(app, grace=PATIENT)
    assert await response.stream.__anext__() == b"a"

    async def read() -> None:
        with pytest.raises(httpx.ReadError, match="was closed"):
            await response.stream.__anext__()

    async def close() -> None:
        await checkpoint()
        await response.stream.aclose()

    await together(read, close)
    assert app.ends == ["returned"]


async def test_many_at_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        while (message := await receive())["more_body"]:
            await send(body(scope["raw_path"] + message["body"], True))
        await send(body())

    async with httpx.AsyncClient(transport=ASGITransport(app)) as client:

        async def one(number: int) -> None:
            url = f"http://example.org/{number}"
            response = await client.post(url, content=Upload(b"a", b"b", b"c"))
            assert response.content == b"".join(b"/%d%c" % (number, c) for c in b"abc")

        await together(*[lambda number=number: one(number) for number in range(50)])


def loop_factory(flavour: str) -> Any:
    if flavour == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return None


def every_step(flavour: str, scenario: Callable[[CancelStep], Any]) -> int:
    if flavour == "trio":
        return cancel_at_every_step(scenario, library="trio")
    return cancel_at_every_step(scenario, loop_factory=loop_factory(flavour))


def tasks_living() -> int:
    if sniffio.current_async_library() == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def test_p1_cancelled_at_every_step(flavour: str) -> None:
    """While the app waits before its head, works, sends, receives, and after its response."""

    async def working(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await checkpoint()
        await send(start())
        while (await receive())["type"] == "http.request":
            await send(body(b"x", True))
            await checkpoint()
            if scope["path"] == "/":
                await send(body())
        await checkpoint()

    async def scenario(step: CancelStep) -> None:
        living = tasks_living()
        app = App(working)
        upload = Upload(b"a", b"b", b"c")
        client = httpx.AsyncClient(transport=ASGITransport(app))
        if await step.run(client.post, "http://example.org/", content=upload):
            assert step.result.content == b"x"
            assert app.ends == ["returned"]
        assert app.running == 0
        assert upload.ended or not upload.taken
        assert tasks_living() == living

    assert every_step(flavour, scenario) > 5


def test_p1_cancelled_while_closing(flavour: str) -> None:
    async def scenario(step: CancelStep) -> None:
        living = tasks_living()
        app = deaf(start())
        response = await call(app, grace=0.01)
        await step.run(response.stream.aclose)
        assert app.ends in CANCELLED
        assert tasks_living() == living

    assert every_step(flavour, scenario) > 0


async def test_cancelled_before_the_head() -> None:
    app = deaf()
    upload = Upload(forever)
    await given_up(lambda: call(app, b"POST", stream=upload, grace=PATIENT))
    assert app.ends in CANCELLED


@in_asyncio
async def test_cancelled_twice(flavour: str) -> None:
    """The second cancellation does not end the wait for the app, which is still cleaning up. (In
    trio a cancelled scope cannot be cancelled again.)"""
    may_end, is_cancelled = event(), event()

    class Slow(App):
        async def clean_up(self) -> None:
            is_cancelled.set()
            await may_end.wait()

    app = Slow(deaf().app)
    task = asyncio.create_task(call(app))
    for _ in range(5):
        await checkpoint()
    for _ in range(3):
        task.cancel()
        await is_cancelled.wait()
        await checkpoint()
    assert not task.done()
    may_end.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert app.ends == ["CancelledError"]


async def test_p13_dropped_response_is_cancelled() -> None:
    app = App(listening)
    response = await call(app, grace=PATIENT)
    with pytest.warns(ResourceWarning, match=r"http://example\.org:80 was neither read nor closed"):
        del response
        gc.collect()
    while app.running:
        await checkpoint()
    assert app.ends in CANCELLED


def test_p13_response_outlives_its_run(flavour: str) -> None:
    """What is left over then has been cancelled with everything else."""

    async def main() -> Any:
        return app, await call(app)

    app = App(listening)
    if flavour == "trio":
        kept = trio.run(main)
    else:
        with asyncio.Runner(loop_factory=loop_factory(flavour)) as runner:
            kept = runner.run(main())
    assert app.running == 0
    del kept
    gc.collect()


@in_asyncio
def test_p13_response_outlives_its_loop(flavour: str) -> None:
    """Which was closed in the middle of everything: there is nothing to cancel any more."""
    loop = (loop_factory(flavour) or asyncio.new_event_loop)()
    response = loop.run_until_complete(call(listening))
    loop.close()
    with pytest.warns(ResourceWarning, match="neither read nor closed"):
        del response
        gc.collect()
    (task,) = _asyncio_tasks
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is, and we know
    _asyncio_tasks.clear()


async def test_i5_nothing_is_left_for_the_cycle_collector() -> None:
    """Neither of a response that was read, nor of one that was closed, nor of an error."""
    seen: list[weakref.ref[Any]] = []

    def app(*messages: Any) -> Any:
        async def run(scope: Any, receive: Any, send: Any) -> None:
            seen.append(weakref.ref(send.__self__))
            await saying(*messages)(scope, receive, send)
            if not messages:
                raise Failed

        return run

    gc.collect()
    gc.disable()
    try:
        await (await call(app(start(), body(b"a")), stream=Upload(b"b"))).stream.aread()
        await (await call(app(start(), body(b"a", True)), grace=0.0)).stream.aclose()
        try:
            await call(app())
        except Failed:
            pass
        await checkpoint()
        assert [reference() for reference in seen] == [None] * 3
    finally:
        gc.enable()


# Time limits


@pytest.mark.parametrize("limits", [{"read": 0.01}, {"read": 0.01, "total": 50.0}, {"read": 0}])
async def test_read_limit(limits: dict[str, float]) -> None:
    extensions = {"timeout": {"connect": 1.0, "write": None, **limits}}
    app = deaf()
    with pytest.raises(httpx.ReadTimeout, match="sent nothing in time") as caught:
        await call(app, extensions=extensions)
    error = caught.value
    assert (error.limit, error.phase) == (limits["read"], "receive headers")
    assert error.origin == "http://example.org:80"
    assert app.running == 0


async def test_read_limit_in_the_body() -> None:
    app = deaf(start(), body(b"a", True))
    response = await call(app, extensions={"timeout": {"read": 0.3}})
    chunks = []
    with pytest.raises(httpx.ReadTimeout) as caught:
        async for chunk in response.stream:
            chunks.append(chunk)
    assert (caught.value.limit, caught.value.phase) == (0.3, "receive body")
    assert chunks == [b"a"]
    assert app.ends in CANCELLED


@pytest.mark.parametrize("messages", [[], [start()], [start(), body(b"a")]])
async def test_total_limit(messages: list[Any]) -> None:
    """In the head, in the body, and in what the app does when its response is complete."""
    app = deaf(*messages)
    with pytest.raises(httpx.ReadTimeout, match="total deadline") as caught:
        response = await call(app, extensions={"timeout": {"read": 50.0, "total": 0.05}})
        await response.stream.aread()
    assert caught.value.limit == 0.05
    assert app.running == 0


def with_virtual_clock(main: Callable[[], Awaitable[None]]) -> float:
    """Run it in trio, where waiting takes no time; return how long it took all the same."""

    async def measured() -> float:
        began = trio.current_time()
        await main()
        return trio.current_time() - began

    return trio.run(measured, clock=trio.testing.MockClock(autojump_threshold=0))


def test_read_limit_is_for_each_part() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(0.9)
        await send(start())
        for _ in range(3):
            await trio.sleep(0.9)
            await send(body(b"a", True))
        await trio.sleep(0.9)
        await send(body())

    async def main() -> None:
        response = await call(app, extensions={"timeout": {"read": 1.0}})
        assert await response.stream.aread() == b"aaa"

    assert with_virtual_clock(main) == pytest.approx(4.5)


def test_read_limit_is_for_the_app_and_not_for_the_caller() -> None:
    """Neither the caller's own body counts, nor what the app does after its response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await trio.sleep(0.9)
        await saying(start(), body(b"a"))(scope, receive, send)
        await trio.sleep(10)

    async def pause() -> None:
        await trio.sleep(5)

    async def main() -> None:
        upload = Upload(pause, b"a", pause, b"b", pause)
        response = await call(app, stream=upload, extensions={"timeout": {"read": 1.0}})
        await trio.sleep(5)
        assert await response.stream.aread() == b"a"

    assert with_virtual_clock(main) == pytest.approx(25.9)


def test_total_limit_is_for_everything() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await saying(start(), body(b"a", True))(scope, receive, send)
        await trio.sleep(9)

    async def pause() -> None:
        await trio.sleep(2)

    async def main() -> None:
        limits = {"read": 5.0, "total": 6.0}
        upload = Upload(pause, b"a", pause)
        response = await call(app, stream=upload, extensions={"timeout": limits})
        with pytest.raises(httpx.ReadTimeout, match="total deadline") as caught:
            await response.stream.aread()
        assert caught.value.limit == 6.0

    assert with_virtual_clock(main) == pytest.approx(6.0)


def test_grace_is_how_long_an_app_may_go_on() -> None:
    async def main() -> None:
        response = await call(deaf(start()), grace=2.0)
        await response.stream.aclose()

    assert with_virtual_clock(main) == pytest.approx(2.0)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are not eager before Python 3.12")
def test_eager_tasks() -> None:
    async def main() -> None:
        factory: Any = vars(asyncio)["eager_task_factory"]
        asyncio.get_running_loop().set_task_factory(factory)

        class Ready(httpx.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                yield b"a"
                yield b"b"

        messages: list[Any] = []
        response = await call(collecting(messages), stream=Ready())
        assert await response.stream.aread() == b""
        assert [message["body"] for message in messages] == [b"a", b"b", b""]
        with pytest.raises(Failed):
            await call(saying(Failed()))
        with pytest.raises(Failed):
            await call(collecting([]), stream=Upload(Failed()))

    asyncio.run(main())
