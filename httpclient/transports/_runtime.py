"""Tasks and waiting, for asyncio and trio: the pairs in which the two differ.

`current_runtime()` is the one that is running. Its `spawn` starts work which may outlive the task
that started it, with a copy of its context variables; whoever spawns ends it, too. In trio that is
a system task, for which an error would be the end of the whole run: in both, it is kept for the
owner instead.

Rules of this file: no knowledge of HTTP or ASGI. A runtime is imported where it is running already.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import sniffio

if TYPE_CHECKING:
    import asyncio

    import trio

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Event(Protocol):
    """`asyncio.Event` or `trio.Event`."""

    def set(self) -> None: ...
    def is_set(self) -> bool: ...
    async def wait(self) -> object: ...


class Signal:
    """Wakes all who wait for it at that moment; they look at the state before they wait again."""

    __slots__ = ("_event", "_runtime")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._event = runtime.event()

    def send(self) -> None:
        self._event.set()
        self._event = self._runtime.event()

    async def wait(self, seconds: float = inf) -> bool:
        """False if so many seconds pass first."""
        return await self._runtime.wait(self._event, seconds)


class Task:
    """What was spawned. `error` is what it raised, but for a cancellation."""

    __slots__ = ("_cancel", "_cancel_soon", "_runtime", "ended", "error")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._cancel: Callable[[], object] | None = None
        self._cancel_soon: Callable[[Callable[[], object]], object]
        self.ended = runtime.event()
        self.error: BaseException | None = None

    def take_error(self) -> BaseException | None:
        """For the one who raises it: here it would be part of a reference cycle."""
        error, self.error = self.error, None
        return error

    def cancel(self) -> None:
        """Once only: another time would be for what it does to clean up."""
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()

    def has_ended(self) -> None:
        self._cancel = None  # asyncio's task keeps its last cancellation, and that its frames
        self.ended.set()

    async def end(self) -> None:
        """Cancel it and wait for its end, also where the caller is being cancelled."""
        if not self.ended.is_set():
            self.cancel()
            await self._runtime.wait_shielded(self.ended)

    def cancel_soon(self) -> None:
        """Cancel it from a finaliser, which may run in any thread, and after the event loop."""
        try:
            self._cancel_soon(self.cancel)
        except RuntimeError:
            pass  # the loop has ended, and the task with it


class Runtime(Protocol):
    def now(self) -> float:
        """Seconds on the clock that `wait` goes by."""

    def event(self) -> Event: ...

    async def wait(self, event: Event, seconds: float = inf) -> bool:
        """Wait until it is set; false if so many seconds pass first."""

    async def wait_shielded(self, event: Event) -> None:
        """Wait until it is set; a cancellation that arrives meanwhile comes after it."""

    def spawn(self, work: Work, ended: Callable[[], None]) -> Task:
        """Run ``work()`` in the background, and call `ended` after its end."""


def current_runtime() -> Runtime:
    name = sniffio.current_async_library()
    if name == "trio":
        return TrioRuntime()
    if name == "asyncio":
        return AsyncIORuntime()
    raise RuntimeError(f"{name} is neither asyncio nor trio")


# asyncio keeps only weak references to its tasks; these are ours until they end.
_asyncio_tasks: set[asyncio.Task[None]] = set()


class AsyncIORuntime:
    def __init__(self) -> None:
        import asyncio

        self._asyncio = asyncio
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        return self._loop.time()

    def event(self) -> asyncio.Event:
        return self._asyncio.Event()

    async def wait(self, event: Event, seconds: float = inf) -> bool:
        if seconds == inf:
            await event.wait()
        elif seconds > 0.0 and not event.is_set():
            try:
                async with self._asyncio.timeout(seconds):
                    await event.wait()
            except TimeoutError:
                pass  # unless it was set at the same time
        return event.is_set()

    async def wait_shielded(self, event: Event) -> None:
        cancelled: asyncio.CancelledError | None = None
        while not event.is_set():
            try:
                await event.wait()
            except self._asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled  # its traceback has this frame: no cycle

    def spawn(self, work: Work, ended: Callable[[], None]) -> Task:
        handle = Task(self)

        async def run() -> None:
            try:
                await work()
            except self._asyncio.CancelledError:
                raise
            except BaseException as exc:
                handle.error = exc

        def done(task: asyncio.Task[None]) -> None:  # also of a task that never came to run
            _asyncio_tasks.discard(task)
            handle.has_ended()
            ended()

        task = self._loop.create_task(run())
        handle._cancel = task.cancel
        handle._cancel_soon = self._loop.call_soon_threadsafe
        _asyncio_tasks.add(task)
        task.add_done_callback(done)
        return handle


class TrioRuntime:
    def __init__(self) -> None:
        import trio

        self._trio = trio

    def now(self) -> float:
        return self._trio.current_time()

    def event(self) -> trio.Event:
        return self._trio.Event()

    async def wait(self, event: Event, seconds: float = inf) -> bool:
        if seconds > 0.0 and not event.is_set():
            with self._trio.move_on_after(seconds):
                await event.wait()
        return event.is_set()

    async def wait_shielded(self, event: Event) -> None:
        with self._trio.CancelScope(shield=True):
            await event.wait()

    def spawn(self, work: Work, ended: Callable[[], None]) -> Task:
        import contextvars

        handle = Task(self)
        scope = self._trio.CancelScope()

        async def run() -> None:
            try:
                with scope:
                    await work()
            except self._trio.Cancelled:
                raise  # not ours: the whole run ends
            except BaseException as exc:
                handle.error = exc
            finally:
                handle.has_ended()
                ended()

        lowlevel = self._trio.lowlevel
        handle._cancel = scope.cancel
        handle._cancel_soon = lowlevel.current_trio_token().run_sync_soon
        lowlevel.spawn_system_task(run, context=contextvars.copy_context())
        return handle
