"""The async streams, alike on asyncio, uvloop and trio: reading, writing, waiting, closing.

The peer is a plain socket in the same thread: what it sends is in our kernel buffers when its call
returns, so that nothing here has to sleep to be right.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import struct
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from httpcore_core._backends.auto import AutoBackend
from httpcore_core._exceptions import (
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)
from tests.concurrency import AsyncTaskGroup

BIG = 32 * 1024 * 1024  # more than the kernel's buffers of both ends together


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


class Pair:
    """``async with Pair(listener) as (stream, peer)``"""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener

    async def __aenter__(self) -> tuple[Any, socket.socket]:
        self.stream = await AutoBackend().connect_tcp(*self.listener.getsockname(), timeout=5)
        self.peer, _ = self.listener.accept()
        return self.stream, self.peer

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stream.aclose()
        self.peer.close()
        del self.stream


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def drain(peer: socket.socket) -> bytes:
    """Everything until the end, which must come."""
    peer.settimeout(5)
    return b"".join(iter(lambda: peer.recv(1 << 20), b""))


async def until(condition: Any) -> None:
    """Give the loop turns until `condition` holds."""
    backend = AutoBackend()
    deadline = backend.now() + 5
    while not condition():
        assert backend.now() < deadline
        await backend.sleep(0.001)


# Reading


async def test_read_returns_what_is_there_up_to_max_bytes(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        peer.sendall(b"hello world")
        assert await stream.read(5, timeout=5) == b"hello"
        assert await stream.read(1, timeout=5) == b" "
        assert await stream.read(100, timeout=5) == b"world"


async def test_read_returns_every_byte_in_order_whatever_the_sizes(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        sent = os.urandom(300_000)
        thread = threading.Thread(
            target=lambda: [peer.sendall(sent[at : at + 997]) for at in range(0, len(sent), 997)]
        )
        thread.start()
        got = b""
        sizes = [1, 7, 100_000, 3, 64, 5000]
        while len(got) < len(sent):
            data = await stream.read(sizes[len(got) % len(sizes)], timeout=5)
            assert data
            assert len(data) <= max(sizes)
            got += data
        thread.join()
        assert got == sent


async def test_read_gives_nothing_at_the_end_and_again(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        peer.sendall(b"bye")
        peer.shutdown(socket.SHUT_WR)
        assert await stream.read(100, timeout=5) == b"bye"
        assert await stream.read(100, timeout=5) == b""
        assert await stream.read(100, timeout=5) == b""
        assert stream.is_readable()
        await stream.write(b"half open")  # the other direction still works
        assert peer.recv(100) == b"half open"


async def test_read_gives_buffered_data_before_a_reset(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        peer.sendall(b"data")
        reset(peer)
        await AutoBackend().sleep(0)
        assert await stream.read(100, timeout=5) == b"data"
        for _ in range(2):
            with pytest.raises(ReadError, match=r"127.0.0.1 port \d+.*reset") as caught:
                await stream.read(100, timeout=5)
            assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_read_after_a_write_met_a_reset_is_an_error_and_no_end(
    listener: socket.socket,
) -> None:
    """The kernel tells of a reset once; a body that lasts until the end must not look whole."""
    async with Pair(listener) as (stream, peer):
        peer.sendall(b"data")
        reset(peer)
        with pytest.raises(WriteError) as caught:
            for _ in range(3):
                await stream.write(b"x")
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        assert await stream.read(100, timeout=5) == b"data"
        with pytest.raises(ReadError):
            await stream.read(100, timeout=5)


async def test_h6_answer_then_end_then_broken_pipe_can_be_read(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        peer.sendall(b"HTTP/1.1 413 Too Large\r\n\r\n")
        peer.shutdown(socket.SHUT_WR)
        await stream.write(b"x" * 10)
        peer.close()  # with unread data: a reset, after the end
        with pytest.raises(WriteError):
            for _ in range(3):
                await stream.write(b"x")
        assert (await stream.read(100, timeout=5)).startswith(b"HTTP/1.1 413")
        assert await stream.read(100, timeout=5) == b""


async def test_h6_answer_before_a_reset_survives_a_blocked_upload(listener: socket.socket) -> None:
    """The transport of asyncio finds the reset when it sends and closes; the answer stays ours."""
    async with Pair(listener) as (stream, peer):
        async with AsyncTaskGroup() as group:
            upload = group.start(stream.write, bytes(BIG), 5)
            await until(lambda: not _can_write(stream))
            peer.sendall(b"answer")
            reset(peer)
            with pytest.raises(WriteError):
                await upload.result()
        assert await stream.read(100, timeout=5) == b"answer"
        with pytest.raises(ReadError):
            await stream.read(100, timeout=5)


def _can_write(stream: Any) -> bool:
    import select

    return bool(select.select([], [stream.get_extra_info("socket")], [], 0)[1])


async def test_read_timeout_names_the_address_and_the_limit(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        backend = AutoBackend()
        begin = backend.now()
        with pytest.raises(ReadTimeout, match=r"127.0.0.1 port \d+") as caught:
            await stream.read(100, timeout=0.05)
        assert 0.045 <= backend.now() - begin < 0.5
        assert caught.value.limit == 0.05
        peer.sendall(b"late")
        assert await stream.read(100, timeout=5) == b"late"


async def test_read_timeouts_may_become_shorter_and_longer(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        backend = AutoBackend()
        for timeout in (30, 0.05, 0.1, 0.02):
            begin = backend.now()
            if timeout == 30:
                peer.sendall(b"x")
                await stream.read(1, timeout)
                continue
            with pytest.raises(ReadTimeout):
                await stream.read(1, timeout)
            assert timeout - 0.005 <= backend.now() - begin < timeout + 0.5


async def test_read_with_timeout_0_polls_once(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        with pytest.raises(ReadTimeout):
            await stream.read(100, timeout=0)
        peer.sendall(b"now")
        assert await stream.read(100, timeout=0) == b"now"
        peer.shutdown(socket.SHUT_WR)
        assert await stream.read(100, timeout=0) == b""


async def test_infinite_timeout_is_no_timeout(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        await stream.write(b"x", timeout=float("inf"))
        async with AsyncTaskGroup() as group:
            job = group.start(stream.read, 1, float("inf"))
            await AutoBackend().sleep(0)
            peer.sendall(b"y")
            assert await job.result() == b"y"


async def test_cancelled_read_loses_nothing(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        for sent in (False, True):
            async with AsyncTaskGroup() as group:
                job = group.start(stream.read, 100, 5)
                for _ in range(3):
                    await AutoBackend().sleep(0)
                if sent:
                    peer.sendall(b"kept")
                job.cancel()
        assert await stream.read(100, timeout=5) == b"kept"


async def test_two_readers_or_writers_are_told(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        async with AsyncTaskGroup() as group:
            reader = group.start(stream.read, 100, 5)
            writer = group.start(stream.write, bytes(BIG), 5)
            await until(lambda: not _can_write(stream))
            with pytest.raises(LocalProtocolError, match="already reading"):
                await stream.read(1, 5)
            with pytest.raises(LocalProtocolError, match="already writing"):
                await stream.write(b"x", 5)
            with pytest.raises(LocalProtocolError, match="already writing"):
                await stream.write_until_readable(b"x", 5)
            peer.sendall(b"answer")
            assert await reader.result() == b"answer"  # while the writer waits
            await stream.aclose()
            with pytest.raises(WriteError):
                await writer.result()


async def test_read_nowait_and_is_readable_agree(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        assert not stream.is_readable()
        assert not stream.get_extra_info("is_readable")
        assert stream.read_nowait(100) is None
        peer.sendall(b"abc")
        assert stream.is_readable()
        assert stream.read_nowait(2) == b"ab"
        assert stream.read_nowait(2) == b"c"
        assert stream.read_nowait(2) is None
        peer.shutdown(socket.SHUT_WR)
        assert stream.is_readable()
        assert stream.read_nowait(100) == b""
        assert stream.read_nowait(100) == b""


async def test_the_sender_is_held_up_while_nobody_reads(listener: socket.socket) -> None:
    """Backpressure: what the peer can send to one who does not read is bounded, by what we keep
    and the kernel's buffers; afterwards everything arrives."""
    async with Pair(listener) as (stream, peer):
        peer.setblocking(False)
        sent, idle = 0, 0
        while idle < 20:
            try:
                sent += peer.send(bytes(1 << 20))
                idle = 0
            except BlockingIOError:
                idle += 1
            await AutoBackend().sleep(0.001)
            assert sent < 64 << 20
        got = 0
        while got < sent:
            got += len(await stream.read(1 << 16, timeout=5))
        peer.setblocking(True)
        peer.sendall(b"more")
        assert await stream.read(100, timeout=5) == b"more"


# Writing


async def test_large_write_arrives_whole_while_the_peer_reads(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        body = os.urandom(1 << 20) * 8
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(drain(peer)))
        thread.start()
        await stream.write(body[:100], 5)
        await stream.write(body[100:], 5)
        await stream.write(b"", 5)
        await stream.aclose()
        thread.join()
        assert received[0] == body


async def test_write_timeout_when_the_peer_accepts_nothing(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, _):
        backend = AutoBackend()
        with pytest.raises(WriteTimeout, match=r"127.0.0.1 port \d+") as caught:
            await stream.write(bytes(BIG), timeout=0.2)
        assert caught.value.limit == 0.2
        begin = backend.now()
        with pytest.raises(WriteTimeout):
            await stream.write(bytes(BIG), timeout=0.2)
        assert 0.15 <= backend.now() - begin < 0.7
        begin = backend.now()
        with pytest.raises(WriteTimeout):
            await stream.write(bytes(BIG), timeout=0)
        assert backend.now() - begin < 0.1


async def test_write_goes_on_while_the_peer_accepts_something(listener: socket.socket) -> None:
    """The timeout is for each wait: 3 MB in 0.6 s are no problem for a limit of 0.3 s."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    async with Pair(listener) as (stream, peer):
        stream.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        size = 200_000
        async with AsyncTaskGroup() as group:
            writer = group.start(stream.write, bytes(size), 0.3)
            got = 0
            while got < size:
                await AutoBackend().sleep(0.05)
                got += len(peer.recv(20_000))
            await writer.result()


async def test_cancelled_write_leaves_a_prefix(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        body = os.urandom(1 << 20) * 32
        async with AsyncTaskGroup() as group:
            job = group.start(stream.write, body, 5)
            await until(lambda: not _can_write(stream))
            job.cancel()
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(drain(peer)))
        thread.start()
        await stream.write(b"after", timeout=5)
        await stream.aclose()
        thread.join()
        assert received[0].endswith(b"after")
        assert body.startswith(received[0][:-5])


async def test_write_until_readable_writes_all_to_a_silent_peer(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        body = os.urandom(1 << 20) * 8
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(drain(peer)))
        thread.start()
        assert await stream.write_until_readable(body, 5) == len(body)
        await stream.aclose()
        thread.join()
        assert received[0] == body


async def test_h6_write_until_readable_stops_at_an_answer(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        async with AsyncTaskGroup() as group:
            job = group.start(stream.write_until_readable, bytes(BIG), 5)
            await until(lambda: not _can_write(stream))
            assert not job.is_done()
            peer.sendall(b"413")
            written = await job.result()
        assert 0 < written < BIG
        assert await stream.read(100, 5) == b"413"
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(drain(peer)))
        thread.start()
        await stream.write(b"end", 5)
        await stream.aclose()
        thread.join()
        assert len(received[0]) == written + 3  # what was counted has been sent, and no more


async def test_h6_write_until_readable_writes_nothing_after_an_answer(
    listener: socket.socket,
) -> None:
    async with Pair(listener) as (stream, peer):
        peer.sendall(b"413")
        assert await stream.write_until_readable(b"body", 5) == 0
        assert await stream.read(100, 5) == b"413"
        peer.shutdown(socket.SHUT_WR)
        await until(stream.is_readable)
        assert await stream.write_until_readable(b"body", 5) == 0


async def test_write_until_readable_times_out_is_cancelled_and_fails(
    listener: socket.socket,
) -> None:
    async with Pair(listener) as (stream, _peer):
        with pytest.raises(WriteTimeout):
            await stream.write_until_readable(bytes(BIG), 0.1)
        async with AsyncTaskGroup() as group:
            job = group.start(stream.write_until_readable, bytes(BIG), 5)
            await AutoBackend().sleep(0.01)
            job.cancel()
        async with AsyncTaskGroup() as group:
            job = group.start(stream.write_until_readable, bytes(BIG), 5)
            await AutoBackend().sleep(0.01)
            await stream.aclose()
            with pytest.raises(WriteError):
                await job.result()


async def test_what_was_taken_is_what_arrives(listener: socket.socket) -> None:
    """Cancelled, timed out, cancelled before it begins: each goes on behind the last."""
    async with Pair(listener) as (stream, peer):
        body = os.urandom(1 << 20) * 32
        view = memoryview(body)
        done = 0
        for timeout in (0.02, None, 0.0):
            async with AsyncTaskGroup() as group:
                job = group.start(stream.write_until_readable, view[done:], timeout)
                if timeout is None:
                    for _ in range(5):
                        await AutoBackend().sleep(0)
                    job.cancel()
                    await job.task.wait()
                else:
                    with pytest.raises(WriteTimeout):
                        await job.result()
            assert stream.bytes_taken is not None
            done += stream.bytes_taken
        assert 0 < done < len(body)
        assert not stream.has_unsent
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(drain(peer)))
        thread.start()
        assert await stream.write_until_readable(view[done : done + 100], 5) == 100
        await stream.write_until_readable(b"", 5)
        await stream.aclose()
        thread.join()
        assert received[0] == body[: done + 100]


async def test_what_was_taken_is_not_known_after_an_error(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, _):
        with pytest.raises(WriteTimeout):
            await stream.write_until_readable(bytes(BIG), 0.02)
        assert stream.bytes_taken
        await stream.aclose()
        with pytest.raises(WriteError):
            await stream.write_until_readable(b"x", 5)
        assert stream.bytes_taken is None


@pytest.mark.parametrize("comes_first", ["reader", "writer"])
async def test_a_write_ends_when_another_task_has_read(
    listener: socket.socket, comes_first: str
) -> None:
    async with Pair(listener) as (stream, peer), AsyncTaskGroup() as group:
        for number in range(3):
            if comes_first == "reader":
                reader = group.start(stream.read, 100, 30)
            writer = group.start(stream.write_until_readable, bytes(BIG), 30)
            await until(lambda: stream._is_writing and not _can_write(stream))
            if comes_first == "writer":
                reader = group.start(stream.read, 100, 30)
                await AutoBackend().sleep(0.001)
            peer.sendall(b"%d" % number)
            assert await reader.result() == b"%d" % number
            assert await writer.result() < BIG


async def test_a_write_ends_when_another_task_has_read_without_waiting(
    listener: socket.socket,
) -> None:
    async with Pair(listener) as (stream, peer), AsyncTaskGroup() as group:
        writer = group.start(stream.write_until_readable, bytes(BIG), 30)
        await until(lambda: not _can_write(stream))
        peer.sendall(b"answer")
        assert stream.read_nowait(100) == b"answer"  # before the loop has looked
        assert await writer.result() < BIG


@pytest.mark.parametrize("way", ["cancelled", "timed out"])
async def test_a_reader_that_leaves_does_not_leave_a_writer_deaf(
    listener: socket.socket, way: str
) -> None:
    async with Pair(listener) as (stream, peer), AsyncTaskGroup() as group:
        writer = group.start(stream.write_until_readable, bytes(BIG), 30)
        await until(lambda: not _can_write(stream))
        reader = group.start(stream.read, 100, 0.01 if way == "timed out" else 30)
        if way == "timed out":
            with pytest.raises(ReadTimeout):
                await reader.result()
        else:
            await AutoBackend().sleep(0.01)
            reader.cancel()
            await reader.task.wait()
        peer.sendall(b"answer")
        assert await writer.result() < BIG
        assert await stream.read(100, 5) == b"answer"


# Closing


async def test_closing_is_seen_at_once_and_may_be_repeated(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        await stream.aclose()
        peer.setblocking(False)
        assert peer.recv(1) == b""  # no turn of the loop in between
        await stream.aclose()
        assert stream.abort()
        with pytest.raises(ReadError, match="closed"):
            await stream.read(1)
        with pytest.raises(ReadError, match="closed"):
            stream.read_nowait(1)
        with pytest.raises(WriteError, match="closed"):
            await stream.write(b"x")
        with pytest.raises(WriteError, match="closed"):
            await stream.write_until_readable(b"x")
        assert stream.is_readable()
        assert "closed" in repr(stream)


async def test_closing_does_not_wait_for_what_is_unsent(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, _):
        with pytest.raises(WriteTimeout):
            await stream.write(bytes(BIG), 0.02)
        begin = AutoBackend().now()
        await stream.aclose()
        assert AutoBackend().now() - begin < 0.2
        await until(lambda: stream.get_extra_info("socket").fileno() < 0)


async def test_abort_wakes_a_reader_and_a_writer(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, _):
        async with AsyncTaskGroup() as group:
            reader = group.start(stream.read, 1, 5)
            writer = group.start(stream.write, bytes(BIG), 5)
            await until(lambda: not _can_write(stream))
            if not stream.abort():  # it will be a reset: what was written has no room
                await stream.aclose()
            with pytest.raises(ReadError, match="closed"):
                await reader.result()
            with pytest.raises(WriteError, match="closed"):
                await writer.result()


async def test_abort_from_another_thread(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        async with AsyncTaskGroup() as group:
            reader = group.start(stream.read, 1, 5)
            await AutoBackend().sleep(0)
            thread = threading.Thread(target=stream.abort)
            thread.start()
            thread.join()
            peer.setblocking(False)
            assert peer.recv(1) == b""
            with pytest.raises(ReadError, match="closed"):
                await reader.result()
        await until(lambda: stream.get_extra_info("socket").fileno() < 0)


@pytest.mark.parametrize("way", ["abort", "aclose"])
def test_nothing_is_left_when_the_loop_ends_right_after_closing(
    run: Any, listener: socket.socket, way: str
) -> None:
    async def main() -> None:
        stream = await AutoBackend().connect_tcp(*listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"unread")
            if way == "abort":
                stream.abort()
            else:
                await stream.aclose()

    run(main)


def test_abort_after_the_loop_has_ended(flavour: str, run: Any, listener: socket.socket) -> None:
    async def main() -> Any:
        return await AutoBackend().connect_tcp(*listener.getsockname())

    with unclosed_at_the_end_of(flavour):
        stream = run(main)
    peer, _ = listener.accept()
    with peer:
        assert stream.abort()
        peer.settimeout(5)
        assert peer.recv(1) == b""
    assert stream.get_extra_info("socket").fileno() == -1


def test_p11_forget_after_the_loop_has_ended(
    flavour: str, run: Any, listener: socket.socket
) -> None:
    async def main() -> Any:
        return await AutoBackend().connect_tcp(*listener.getsockname())

    with unclosed_at_the_end_of(flavour):
        stream = run(main)
    peer, _ = listener.accept()

    async def another_loop() -> None:
        stream.forget()
        stream.forget()

    with peer:
        run(another_loop)
        peer.settimeout(5)
        assert peer.recv(1) == b""
    assert stream.get_extra_info("socket").fileno() == -1


@contextlib.contextmanager
def unclosed_at_the_end_of(flavour: str) -> Iterator[None]:
    """uvloop closes all transports when it is closed, and warns of each."""
    if flavour != "uvloop":
        yield
    else:
        import warnings

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "unclosed resource", ResourceWarning)
            yield


async def test_stream_of_another_loop_is_a_clear_error(
    flavour: str, listener: socket.socket
) -> None:
    """D16: never asyncio's or trio's own complaint."""
    from tests.flavours import run_async

    async with Pair(listener) as (stream, _):
        errors: list[BaseException] = []

        async def use() -> None:
            try:
                await stream.read(1, 5)
            except BaseException as exc:
                errors.append(exc)

        thread = threading.Thread(target=run_async, args=(flavour, use))
        thread.start()
        thread.join()
        assert [type(error) for error in errors] == [LocalProtocolError]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.parametrize("way", ["forget", "abort"])
async def test_p11_fork_child_lets_go_and_the_parent_goes_on(
    listener: socket.socket, way: str
) -> None:
    async with Pair(listener) as (stream, peer):
        child = os.fork()
        if not child:
            try:
                getattr(stream, way)()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)
        peer.setblocking(True)
        peer.sendall(b"still here")
        assert await stream.read(100, timeout=5) == b"still here"
        await stream.write(b"yes")
        assert peer.recv(100) == b"yes"


# Watching


@pytest.mark.parametrize("event", ["data", "end", "reset"])
async def test_p7_watch_notices_within_100_ms(listener: socket.socket, event: str) -> None:
    async with Pair(listener) as (stream, peer):
        backend = AutoBackend()
        calls: list[float] = []
        assert stream.watch(lambda: calls.append(backend.now()))
        await backend.sleep(0.01)
        assert not calls
        begin = backend.now()
        if event == "data":
            peer.sendall(b"unasked")
        elif event == "end":
            peer.close()
        else:
            reset(peer)
        await until(lambda: calls)
        assert calls[0] - begin < 0.1
        await backend.sleep(0.01)
        assert len(calls) == 1


async def test_p7_watch_of_a_long_idle_connection(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        backend = AutoBackend()
        calls: list[float] = []
        stream.watch(lambda: calls.append(backend.now()))
        await backend.sleep(0.08)
        begin = backend.now()
        peer.close()
        await until(lambda: calls)
        assert calls[0] - begin < 0.05


async def test_watch_sees_what_came_before_it(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        peer.sendall(b"early")
        await AutoBackend().sleep(0.01)
        calls: list[int] = []
        stream.watch(lambda: calls.append(1))
        await until(lambda: calls)


@pytest.mark.parametrize("idle", [0.0, 0.07])
async def test_watch_ends_when_told_and_reading_works(listener: socket.socket, idle: float) -> None:
    async with Pair(listener) as (stream, peer):
        backend = AutoBackend()
        calls: list[int] = []
        for _ in range(3):
            stream.watch(lambda: calls.append(1))
            await backend.sleep(idle)
            stream.watch(None)
            async with AsyncTaskGroup() as group:
                job = group.start(stream.read, 100, 5)
                await backend.sleep(0.001)
                peer.sendall(b"asked for")
                assert await job.result() == b"asked for"
        peer.close()
        await backend.sleep(0.07)
        assert not calls


async def test_closing_ends_watching(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        calls: list[int] = []
        stream.watch(lambda: calls.append(1))
        await AutoBackend().sleep(0.07)
        await stream.aclose()
        peer.close()
        await AutoBackend().sleep(0.01)
        assert not calls


async def test_i5_a_stream_that_failed_is_in_no_cycle_once_closed(
    listener: socket.socket,
) -> None:
    gc.collect()
    gc.disable()
    try:
        async with Pair(listener) as (stream, peer):
            reset(peer)
            for operation in (stream.write(b"x"), stream.read(1, 5)):
                with contextlib.suppress(ReadError, WriteError):
                    await operation
        reference = weakref.ref(stream)
        del stream, operation
        await AutoBackend().sleep(0.01)
        assert reference() is None
    finally:
        gc.enable()


# The rest


async def test_extra_info(listener: socket.socket) -> None:
    async with Pair(listener) as (stream, peer):
        sock = stream.get_extra_info("socket")
        assert sock.fileno() >= 0
        assert stream.get_extra_info("client_addr") == peer.getpeername() == sock.getsockname()
        assert stream.get_extra_info("server_addr") == listener.getsockname()
        assert stream.get_extra_info("ssl_object") is None
        assert stream.get_extra_info("nonsense") is None
        assert "127.0.0.1" in repr(stream)
        await stream.aclose()
        assert stream.get_extra_info("server_addr") == listener.getsockname()


async def test_call_later_calls_in_order_and_can_be_cancelled() -> None:
    backend = AutoBackend()
    calls: list[str] = []
    begin = backend.now()
    late = backend.call_later(0.03, lambda: calls.append("late"))
    early = backend.call_later(0.01, lambda: calls.append("early"))
    never = backend.call_later(0.02, lambda: calls.append("never"))
    assert early is not None
    assert late is not None
    assert never is not None
    never.cancel()
    await until(lambda: len(calls) == 2)
    assert calls == ["early", "late"]
    assert backend.now() - begin >= 0.028
    early.cancel()  # too late, and harmless


async def test_call_later_cancelled_leaves_nothing_running() -> None:
    handle = AutoBackend().call_later(3600, lambda: None)
    assert handle is not None
    await AutoBackend().sleep(0)
    handle.cancel()
    handle.cancel()
