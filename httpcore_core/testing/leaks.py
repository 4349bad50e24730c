"""Finds what code leaves behind: file descriptors, threads, tasks, streams, places in a pool.

    with LeakChecker() as leaks:
        pool = leaks.watch(ConnectionPool())
        ...
    # AssertionError: left behind: a descriptor: 11 socket:[123]; a thread: ...

Use ``async with`` in async code: tasks are counted only then, and those about to end are let to.

Rules of this file: it looks from outside and closes nothing. What is about to end gets `grace`
seconds; the check ends as soon as nothing is left.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Any, TypeVar

import sniffio

from .._backends.mock_clock import checkpoint

T = TypeVar("T")

_FD_DIRECTORY = "/proc/self/fd"


def open_descriptors() -> set[str]:
    """The process's descriptors with what they are; empty where the system does not tell."""
    found: set[str] = set()
    try:
        names = os.listdir(_FD_DIRECTORY)
    except OSError:
        return found
    for name in names:
        try:
            target = os.readlink(f"{_FD_DIRECTORY}/{name}")
        except OSError:
            continue  # the one that listed the directory
        if target != os.devnull:  # libuv keeps one open in each loop, in reserve
            found.add(f"{name} {target}")
    return found


def living_tasks() -> set[Any]:
    """The tasks of the running event loop; empty outside of one."""
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return set()
    if library == "trio":
        return _trio_tasks()
    import asyncio

    return set(asyncio.all_tasks())


def _trio_tasks() -> set[Any]:
    import trio

    root = trio.lowlevel.current_root_task()
    found: set[Any] = set()
    unseen = [root]
    while unseen:
        task = unseen.pop()
        if task is not None:
            found.add(task)
            unseen += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


class LeakChecker:
    """`watch` adds pools and mock backends; with `collect`, garbage is collected first, so that
    only what is still referenced counts."""

    def __init__(self, *, collect: bool = True, grace: float = 2.0) -> None:
        self.collect = collect
        self.grace = grace
        self._watched: list[Any] = []

    def watch(self, thing: T) -> T:
        """Also check this: a pool must have nothing active, connecting or queued at the end, a
        mock backend no stream open. Returns `thing`."""
        self._watched.append(thing)
        return thing

    def leaks(self) -> list[str]:
        """What is left now, in words."""
        found = [f"a descriptor: {fd}" for fd in sorted(open_descriptors() - self._descriptors)]
        found += [
            f"a thread: {thread.name}"
            for thread in threading.enumerate()
            if thread not in self._threads
        ]
        found += [f"a task: {task!r}" for task in living_tasks() - self._tasks]
        for thing in self._watched:
            found += self._in_use(thing)
        return found

    @staticmethod
    def _in_use(thing: Any) -> list[str]:
        if hasattr(thing, "open_streams"):
            count = thing.open_streams
            return [f"{count} open streams of {type(thing).__name__}"] if count else []
        stats = thing.stats()
        numbers = {name: getattr(stats, name) for name in ("active", "connecting", "queued")}
        used = [f"{count} {name}" for name, count in numbers.items() if count]
        return [f"in {thing!r}: {', '.join(used)}"] if used else []

    def _begin(self) -> None:
        self._descriptors = open_descriptors()
        self._threads = set(threading.enumerate())
        self._tasks = living_tasks()

    def _left(self) -> list[str]:
        found = self.leaks()
        if found and self.collect:
            gc.collect()
            found = self.leaks()
        return found

    @staticmethod
    def _report(found: list[str]) -> None:
        if found:
            raise AssertionError(f"left behind: {'; '.join(found)}")

    def __enter__(self) -> LeakChecker:
        self._begin()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is not None:
            return
        deadline = time.monotonic() + self.grace
        while (found := self._left()) and time.monotonic() < deadline:
            time.sleep(0.001)
        self._report(found)

    async def __aenter__(self) -> LeakChecker:
        self._begin()
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if error is not None:
            return
        deadline = time.monotonic() + self.grace
        while (found := self._left()) and time.monotonic() < deadline:
            await checkpoint()
        self._report(found)
