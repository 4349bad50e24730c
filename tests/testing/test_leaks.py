"""`LeakChecker` finds what is left, says what it is, and lets what is about to end do so."""

from __future__ import annotations

import socket
import threading
from collections import namedtuple

import pytest

from httpcore_core._backends.mock import AsyncMockBackend, MockBackend
from httpcore_core._concurrency import AsyncEvent, spawn_async
from httpcore_core.testing import LeakChecker
from httpcore_core.testing.leaks import open_descriptors


@pytest.mark.skipif(not open_descriptors(), reason="the system does not tell")
def test_a_descriptor() -> None:
    with socket.socket() as sock:
        sock.close()
        with pytest.raises(AssertionError, match=r"left behind: a descriptor: \d+ socket:"):
            with LeakChecker(grace=0.0):
                sock.__init__()  # type: ignore[misc]  # opens it again


def test_a_thread_that_ends_in_time_and_one_that_does_not() -> None:
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="straggler")
    with pytest.raises(AssertionError, match="left behind: a thread: straggler"):
        with LeakChecker(grace=0.0):
            thread.start()
    with LeakChecker():
        other = threading.Thread(target=go_on.wait)
        other.start()
        go_on.set()
    thread.join()


def test_streams_of_a_mock_backend() -> None:
    with pytest.raises(AssertionError, match="1 open streams of MockBackend"):
        with LeakChecker(grace=0.0) as leaks:
            leaks.watch(MockBackend([])).connect_tcp("a", 1)


def test_what_a_pool_has_in_use() -> None:
    Stats = namedtuple("Stats", "active connecting queued idle")

    class Pool:
        numbers = Stats(1, 0, 2, 3)

        def stats(self) -> Stats:
            return self.numbers

        def __repr__(self) -> str:
            return "<Pool>"

    pool = Pool()
    with pytest.raises(AssertionError, match="in <Pool>: 1 active, 2 queued"):
        with LeakChecker(grace=0.0) as leaks:
            leaks.watch(pool)
    with LeakChecker() as leaks:
        leaks.watch(pool)
        pool.numbers = Stats(0, 0, 0, 5)


def test_an_error_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        with LeakChecker() as leaks:
            leaks.watch(MockBackend([])).connect_tcp("a", 1)
            raise ZeroDivisionError


async def test_a_task() -> None:
    event = AsyncEvent()

    async def straggler() -> None:
        await event.wait(None)

    task = None
    with pytest.raises(AssertionError, match="left behind: a task: .*"):
        async with LeakChecker(grace=0.0):
            task = spawn_async(straggler)
    event.set()
    assert task is not None
    await task.wait()


async def test_a_task_that_is_about_to_end() -> None:
    async def short() -> None: ...

    async with LeakChecker() as leaks:
        spawn_async(short)
        stream = await leaks.watch(AsyncMockBackend([])).connect_tcp("a", 1)
        await stream.aclose()
