"""What is trio's own about the trio backend: checkpoints, scopes, system tasks, no groups."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from httpcore_core._backends import trio_stream
from httpcore_core._backends.trio import TrioBackend
from httpcore_core._backends.trio_stream import TURNS, TrioStream
from httpcore_core._exceptions import ConnectTimeout, ReadTimeout, WriteError

pytestmark = pytest.mark.parametrize("flavour", ["trio"], indirect=True)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def connect(listener: socket.socket) -> tuple[TrioStream, socket.socket]:
    stream = await TrioBackend().connect_tcp(*listener.getsockname(), timeout=5)
    assert isinstance(stream, TrioStream)
    return stream, listener.accept()[0]


async def test_what_is_there_needs_no_cancel_scope(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, peer = await connect(listener)
    with peer:
        peer.sendall(b"answer")
        with monkeypatch.context() as patched:
            patched.setattr(trio_stream.trio, "CancelScope", None)
            await stream.write(b"question", 5)
            assert await stream.read(100, 5) == b"answer"
            assert await stream.write_until_readable(b"body", 5) == 4
        await stream.aclose()


@pytest.mark.parametrize("operation", ["read", "write", "write_until_readable"])
async def test_other_tasks_get_a_turn(listener: socket.socket, operation: str) -> None:
    """Calls that never have to wait let others run, though not each time."""
    stream, peer = await connect(listener)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    with peer:
        peer.sendall(bytes(20 * TURNS if operation == "read" else 0))
        argument: Any = 1 if operation == "read" else b"x"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await trio.lowlevel.checkpoint()
            before = turns
            for _ in range(10 * TURNS):
                await getattr(stream, operation)(argument, 5)
            assert 9 <= turns - before <= 12
            nursery.cancel_scope.cancel()
        await stream.aclose()


async def test_a_cancelled_task_reads_and_writes_nothing(listener: socket.socket) -> None:
    stream, peer = await connect(listener)
    with peer:
        peer.sendall(b"data")
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.read(100)
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.write(b"x")
        assert scope.cancelled_caught
        assert await stream.read(100) == b"data"
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)
        await stream.aclose()


async def test_timeout_0_works_in_a_cancelled_task(listener: socket.socket) -> None:
    """It is how clean-up says its last words."""
    stream, peer = await connect(listener)
    with peer, trio.CancelScope() as scope:
        scope.cancel()
        await stream.write(b"bye", 0)
        assert peer.recv(10) == b"bye"
        await stream.aclose()
        assert peer.recv(10) == b""
    assert not scope.cancelled_caught


def test_timeouts_follow_trios_clock(flavour: str, listener: socket.socket) -> None:
    async def main() -> None:
        stream, peer = await connect(listener)
        begin = trio.current_time()
        with peer, pytest.raises(ReadTimeout):
            await stream.read(1, 1000)
        assert trio.current_time() - begin == pytest.approx(1000)
        await stream.aclose()
        calls: list[float] = []
        TrioBackend().call_later(500, lambda: calls.append(trio.current_time()))
        await trio.sleep(1000)
        assert calls == [pytest.approx(begin + 1500)]
        begin = trio.current_time()
        with pytest.raises(ConnectTimeout):
            await TrioBackend().open_tcp("name.invalid", 80, 30, resolver=never)
        assert trio.current_time() - begin == pytest.approx(30)

    async def never(host: str, port: int) -> list[str]:
        await trio.sleep_forever()
        return []

    trio.run(main, clock=MockClock(autojump_threshold=0.01))


async def test_cancelling_a_race_or_an_upload_raises_no_group(listener: socket.socket) -> None:
    seen: list[BaseException] = []

    async def watch(function: Any, *args: Any) -> None:
        try:
            await function(*args)
        except BaseException as exc:
            seen.append(exc)
            raise

    async def race() -> None:
        await TrioBackend().open_tcp("name.invalid", 80, resolver=addresses, trace=Tracer())

    def addresses(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "127.0.0.2", "127.0.0.3"]

    class Tracer:
        async def run(self, name: str, info: Any, step: Any, *args: Any) -> Any:
            if name.endswith("resolve"):
                return await step(*args)
            return await trio.sleep_forever()

    stream, peer = await connect(listener)
    with peer:
        for function, args in (
            (race, ()),
            (stream.write_until_readable, (bytes(1 << 25),)),
        ):
            with trio.move_on_after(0.6) as scope:
                await watch(function, *args)
            assert scope.cancelled_caught
        await stream.aclose()
    assert [type(exc) for exc in seen] == [trio.Cancelled, trio.Cancelled]


async def test_reset_during_a_blocked_upload_raises_no_group(listener: socket.socket) -> None:
    stream, peer = await connect(listener)

    async def close() -> None:
        await trio.sleep(0.02)
        await stream.aclose()

    with peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(close)
            with pytest.raises(WriteError):
                await stream.write_until_readable(bytes(1 << 25), 5)


async def test_p7_a_busy_connection_is_not_watched(listener: socket.socket) -> None:
    stream, peer = await connect(listener)
    with peer:
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(100):
            stream.watch(lambda: None)
            stream.watch(None)
            peer.sendall(b"x")
            await stream.read(1)
        # One task for all timers of the run, none for the connection.
        assert trio.lowlevel.current_statistics().tasks_living <= before + 1
        assert stream._watch_scope is None
        stream.watch(lambda: None)
        await trio.sleep(0.12)
        assert stream._watch_scope is not None
        assert trio.lowlevel.current_statistics().tasks_living == before + 1
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_failing_callback_is_logged_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[int] = []
    with caplog.at_level(logging.ERROR, "httpcore_core.connection"):
        TrioBackend().call_later(0.001, lambda: calls.append(1 // 0))
        TrioBackend().call_later(0.002, lambda: calls.append(1))
        while not calls:
            await trio.sleep(0.001)
    assert "ZeroDivisionError" in caplog.text


def test_timers_of_many_times_come_in_order(flavour: str) -> None:
    calls: list[int] = []

    async def main() -> None:
        backend = TrioBackend()
        handles = [
            backend.call_later(number, lambda number=number: calls.append(number))
            for number in (30, 10, 20, 5, 25, 15)
        ]
        handles[4].cancel()
        await trio.sleep(12)
        handles[2].cancel()
        backend.call_later(1, lambda: calls.append(0))
        await trio.sleep(50)
        for handle in handles:
            handle.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0.0))
    assert calls == [5, 10, 0, 15, 30]
