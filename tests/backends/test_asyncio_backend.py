"""What is asyncio's own about the asyncio backend: transports, futures, timers, loops."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from httpcore_core._backends import asyncio_protocol
from httpcore_core._backends.asyncio import AsyncIOBackend
from httpcore_core._backends.asyncio_protocol import PIECE, READ_LIMIT, SPARE_LIMIT
from httpcore_core._backends.asyncio_stream import AsyncIOStream
from httpcore_core._exceptions import ReadError, ReadTimeout

pytestmark = pytest.mark.parametrize("flavour", ["asyncio", "uvloop"], indirect=True)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def connect(listener: socket.socket) -> tuple[Any, socket.socket]:
    stream = await AsyncIOBackend().connect_tcp(*listener.getsockname(), timeout=5)
    assert isinstance(stream, AsyncIOStream)
    return stream, listener.accept()[0]


def without_suspending(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_what_needs_no_waiting_does_not_suspend(listener: socket.socket) -> None:
    stream, peer = await connect(listener)
    with peer:
        without_suspending(stream.write(b"question", 5))
        assert peer.recv(100) == b"question"
        assert without_suspending(stream.write_until_readable(b"body", 5)) == 4
        peer.sendall(b"answer")
        await until(lambda: stream._received > 0)
        assert without_suspending(stream.read(100, 5)) == b"answer"
        peer.sendall(b"again")
        assert without_suspending(stream.read(100, 0)) == b"again"  # not yet seen by the loop
        without_suspending(stream.aclose())


async def test_chunks_are_handed_on_uncopied(listener: socket.socket) -> None:
    stream, peer = await connect(listener)
    with peer:
        chunks = [bytes([number]) * 20_000 for number in range(4)]
        for chunk in chunks:
            stream.data_received(chunk)
        for chunk in chunks:
            assert await stream.read(1 << 16) is chunk
        stream.data_received(b"small")
        stream.data_received(b"er")
        assert await stream.read(1 << 16) == b"smaller"
        await stream.aclose()


async def test_large_pieces_stay_in_the_transports_buffer_until_they_are_read(
    listener: socket.socket,
) -> None:
    stream, peer = await connect(listener)

    def receive(data: bytes) -> None:
        stream.get_buffer(-1)[: len(data)] = data
        stream.buffer_updated(len(data))

    with peer:
        large = random.randbytes(READ_LIMIT - 1)
        receive(b"small")
        assert stream._held is None
        receive(large)  # something is waiting already: it is copied, so that order is kept
        assert stream._held is None
        assert await read_all(stream, 5 + len(large)) == b"small" + large
        receive(large)
        held = stream._held
        assert held is not None
        assert held is not stream.get_buffer(-1)
        receive(b"more")
        assert await stream.read(3) == large[:3]
        assert len(await stream.read(READ_LIMIT)) == PIECE
        rest = await read_all(stream, len(large) - 3 - PIECE + 4)
        assert rest == large[3 + PIECE :] + b"more"
        assert stream._held is None
        assert stream._received == 0
        await stream.aclose()


async def test_buffers_are_given_back(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    spare: list[memoryview] = []
    monkeypatch.setattr(asyncio_protocol, "_spare", spare)
    streams = [await connect(listener) for _ in range(10)]
    for stream, peer in streams:
        with peer:
            peer.sendall(b"answer")
            assert await stream.read(100, 5) == b"answer"
            assert stream._room is None
            assert len(spare) == 1
    for stream, _ in streams:
        assert await stream.read(100, 5) == b""
        assert stream._room is None
        await stream.aclose()
    for buffer in [stream.get_buffer(-1) for stream, _ in streams]:
        asyncio_protocol.give_back(buffer)  # what was needed at a time is not kept for ever
    assert len(spare) == SPARE_LIMIT


async def test_a_buffer_is_given_back_once_whatever_the_reader_does(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`read_to` shows the buffer itself: to one that closes the stream, or fails."""
    spare: list[memoryview] = []
    monkeypatch.setattr(asyncio_protocol, "_spare", spare)
    stream, peer = await connect(listener)
    large = random.randbytes(READ_LIMIT - 1)
    with peer:
        stream.get_buffer(-1)[: len(large)] = large
        stream.buffer_updated(len(large))
        with pytest.raises(ZeroDivisionError):
            await stream.read_to(lambda data: 1 // 0, 1 << 20, 5)
        seen: list[bytes] = []
        await stream.read_to(lambda data: seen.append(bytes(data)), 100, 5)
        assert seen == [large[:100]]
        await stream.read_to(lambda data: stream.abort(), 1 << 20, 5)
        assert (len(spare), stream._received, stream._held) == (1, 0, None)
        with pytest.raises(ReadError):
            await stream.read_to(seen.append, 100, 5)
        await stream.aclose()
    assert len(spare) == 1


async def read_all(stream: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.read(1 << 20, 5)
    return data


async def test_many_small_chunks_cost_linear_time(listener: socket.socket) -> None:
    stream, peer = await connect(listener)
    with peer:
        for _ in range(200_000):
            stream.data_received(b"ab")
        got = 0
        while got < 400_000:
            got += len(await stream.read(3))
        assert stream._received == 0
        await stream.aclose()


async def test_one_timer_serves_many_reads(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, peer = await connect(listener)
    timers = []
    real = stream._start_timer

    def start_timer(timeout: float, deadline: float) -> None:
        real(timeout, deadline)
        timers.append(stream._timer)

    monkeypatch.setattr(stream, "_start_timer", start_timer)
    with peer:
        for _ in range(20):
            await stream.write(b"x")
            task = asyncio.ensure_future(stream.read(10, 5))
            await asyncio.sleep(0)
            peer.sendall(b"y")
            assert await task == b"y"
        assert len(timers) == 1
        assert not timers[0].cancelled()
        await stream.aclose()
        assert timers[0].cancelled()


async def test_an_idle_streams_timer_goes_off_once(listener: socket.socket) -> None:
    stream, peer = await connect(listener)
    with peer:
        task = asyncio.ensure_future(stream.read(10, 0.03))
        await asyncio.sleep(0)
        peer.sendall(b"y")
        assert await task == b"y"
        await until(lambda: stream._timer is None)
        task = asyncio.ensure_future(stream.read(10))  # without a limit: nobody ends it
        await asyncio.sleep(0.05)
        peer.sendall(b"z")
        assert await task == b"z"
        await stream.aclose()


async def test_reading_is_paused_and_resumed(listener: socket.socket) -> None:
    stream, peer = await connect(listener)
    with peer:
        thread = threading.Thread(target=peer.sendall, args=(bytes(16 * READ_LIMIT),))
        thread.start()
        await until(lambda: stream._is_paused)
        for _ in range(10):
            await asyncio.sleep(0.001)
            assert stream._received <= 2 * READ_LIMIT
        got = 0
        while got < 16 * READ_LIMIT:
            got += len(await stream.read(READ_LIMIT, 5))
        thread.join()
        await stream.aclose()


async def test_i5_a_closed_stream_is_in_no_cycle(listener: socket.socket) -> None:
    gc.collect()
    gc.disable()
    try:
        stream, peer = await connect(listener)
        with peer:
            with pytest.raises(ReadTimeout):
                await stream.read(1, 0.001)
            reference = weakref.ref(stream)
            await stream.aclose()
            await asyncio.sleep(0.01)
            del stream
            assert reference() is None
    finally:
        gc.enable()


def new_loop(flavour: str) -> asyncio.AbstractEventLoop:
    if flavour == "asyncio":
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def test_loop_closed_without_ado_after_closing(flavour: str, listener: socket.socket) -> None:
    """`run_until_complete` and `close`, without the care that `asyncio.run` takes."""

    async def main() -> None:
        stream, peer = await connect(listener)
        peer.close()
        await stream.aclose()

    loop = new_loop(flavour)
    loop.run_until_complete(main())
    loop.close()
    gc.collect()


def test_p11_forget_while_its_loop_pauses(flavour: str, listener: socket.socket) -> None:
    """The loop is not closed and may go on: it must not trip over a closed descriptor."""
    loop = new_loop(flavour)
    stream, peer = loop.run_until_complete(connect(listener))
    with peer:
        stream.forget()
        peer.settimeout(5)
        assert peer.recv(1) == b""
        stream2, peer2 = loop.run_until_complete(connect(listener))
        with peer2:
            assert stream.get_extra_info("socket").fileno() == -1
            peer2.sendall(b"fine")
            assert loop.run_until_complete(stream2.read(10, 5)) == b"fine"
            loop.run_until_complete(stream2.aclose())
    loop.close()


def test_debug_mode(flavour: str, listener: socket.socket) -> None:
    async def main() -> None:
        stream, peer = await connect(listener)
        with peer:
            thread = threading.Thread(target=stream.abort)
            thread.start()
            thread.join()
            with pytest.raises(ReadError):
                await stream.read(1, 5)

    loop = new_loop(flavour)
    loop.set_debug(True)
    loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()


async def test_a_transport_closed_by_others_is_an_error_and_no_end(listener: socket.socket) -> None:
    stream, peer = await connect(listener)
    with peer:
        stream._transport.abort()
        with pytest.raises(ReadError):
            await stream.read(1, 5)
        await stream.aclose()
