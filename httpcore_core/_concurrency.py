"""The pairs in which sync, asyncio and trio differ, outside the network backends.

`Event`/`AsyncEvent`   one waiter, one wake-up, from any thread
`spawn`/`spawn_async`  work that may outlive the request which started it; in sync it runs in place
`detach`/`detach_async` the same where it may wait and nobody waits for it: in sync in a thread
`shielded`/`shielded_async`   awaits something to its end, whatever is cancelled meanwhile
`notify`/`call_back_async`       calls a function that the caller handed in

The async half serves asyncio and trio; which of them runs is asked (sniffio) where an object is
made, and objects are made only when something has to wait. Neither library is imported unless it
is already running.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, Any

import sniffio

if TYPE_CHECKING:
    import asyncio

    import trio

Lock = threading.RLock
"""Guards plain state in both flavours. Held for pure code only, never across an `await`.

It is never taken twice on purpose. But the cycle collector may run in the middle of pure code, and
what it ends may call us again, as a generator does with a response in a ``with`` block. See
`is_held_here`."""


def is_held_here(lock: Any) -> bool:
    """Whether this thread holds the lock: a finaliser asks, which may have interrupted its owner,
    and must neither wait for it nor change what it guards."""
    return bool(lock._is_owned())


class Event:
    """Set once, by anyone; waited for by one thread. A bare lock, because a finaliser may set it in
    the middle of the wait, where a `threading.Event` holds a lock of its own."""

    __slots__ = ("_is_set", "_lock")

    def __init__(self) -> None:
        self._is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        if not self._is_set:
            self._is_set = True
            self._lock.release()

    set_soon = set

    def wait(self, timeout: float | None) -> bool:
        """Wait until set; false if `timeout` seconds pass first."""
        if self._is_set:
            return True
        if timeout is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX))


class Task:
    """What `spawn` started: in sync code, something that is over already."""

    __slots__ = ()

    def cancel(self) -> None:
        """Nothing is left to cancel."""

    def wait(self) -> None:
        """Nothing is left to wait for."""

    def is_over(self) -> bool:
        return True


def spawn(work: Callable[..., None], *args: Any) -> Task:
    work(*args)
    return Task()


def detach(work: Callable[..., None], *args: Any) -> None:
    """Run ``work(*args)`` in a thread of its own. It must keep its errors to itself."""
    threading.Thread(target=work, args=args, name="httpcore_core", daemon=True).start()


def soon(context: object, work: Callable[[], None]) -> None:
    """`detach` from a finaliser, which may run anywhere, also when the interpreter ends."""
    try:
        detach(work)
    except RuntimeError:
        pass  # no thread can be started any more


def shielded(work: Callable[..., None], *args: Any) -> None:
    work(*args)


# `asyncio._get_running_loop`, once something has been made in asyncio: an import statement for a
# module that is there already takes as long as all the rest of making an event.
_running_loop: Callable[[], asyncio.AbstractEventLoop | None] | None = None


def _in_trio() -> bool:
    name = sniffio.thread_local.name  # what sniffio looks at first: trio's, while it is running
    if name is not None:
        return name == "trio"
    if _running_loop is not None and _running_loop() is not None:
        return False
    try:
        return sniffio.current_async_library() == "trio"
    except sniffio.AsyncLibraryNotFoundError:
        return False  # a callback of asyncio's loop: no task is running there


def _asyncio_loop() -> asyncio.AbstractEventLoop:
    global _running_loop
    import asyncio

    _running_loop = asyncio._get_running_loop
    return asyncio.get_running_loop()


class AsyncEvent:
    """Set once, by anyone in any thread; waited for by one task."""

    __slots__ = ("_thread", "_trio", "_trio_token", "future", "is_set")

    future: asyncio.Future[None] | None  # of asyncio
    _trio: trio.Event | None

    def __init__(self) -> None:
        self.is_set = False
        self._thread = threading.get_ident()
        self._trio = None
        loop = None
        if _running_loop is not None and sniffio.thread_local.name is None:  # no call if it is so
            loop = _running_loop()
        if loop is None and _in_trio():
            import trio

            self.future = None
            self._trio = trio.Event()
            self._trio_token = trio.lowlevel.current_trio_token()
        else:
            self.future = (loop or _asyncio_loop()).create_future()

    def set(self) -> None:
        if threading.get_ident() != self._thread:
            self.set_soon()
            return
        self.is_set = True
        try:
            if self.future is not None:
                if not self.future.done():
                    self.future.set_result(None)
            elif self._trio is not None:
                self._trio.set()
        except RuntimeError:
            pass  # the loop has ended, and whoever waited in it with it (trio's error is one too)

    def set_soon(self) -> None:
        """Set from a finaliser, which may run in the middle of the event loop's own code."""
        self.is_set = True
        try:
            if self._trio is not None:
                self._trio_token.run_sync_soon(self._trio.set)
            elif self.future is not None:
                self.future.get_loop().call_soon_threadsafe(self._resolve)
        except RuntimeError:
            pass  # as above

    def _resolve(self) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    async def wait(self, timeout: float | None) -> bool:
        """Wait until set; false if `timeout` seconds pass first."""
        if self.is_set:
            return True
        if timeout is not None and timeout <= 0.0:
            return False
        future = self.future
        if future is None:
            return await self._wait_in_trio(timeout)
        if timeout is None or timeout == inf:
            await future
            return self.is_set
        timer = future.get_loop().call_later(timeout, self._resolve)
        try:
            await future
        finally:
            timer.cancel()
        return self.is_set

    async def _wait_in_trio(self, timeout: float | None) -> bool:
        import trio

        assert self._trio is not None
        with trio.move_on_after(inf if timeout is None else timeout):
            await self._trio.wait()
        return self.is_set


class AsyncTask:
    """Work in the background, in the order of `cancel` and `wait`; both may be called often."""

    __slots__ = ("_cancel", "_done")

    def __init__(self, cancel: Callable[[], object], done: AsyncEvent) -> None:
        self._cancel = cancel
        self._done = done

    def cancel(self) -> None:
        self._cancel()

    async def wait(self) -> None:
        """Wait until the work has ended, also where the caller is being cancelled."""
        if not self._done.is_set:
            await shielded_async(self._done.wait, None)

    def is_over(self) -> bool:
        return self._done.is_set


# asyncio keeps only weak references to its tasks; these are ours until they end.
_asyncio_tasks: set[asyncio.Task[Any]] = set()


def spawn_async(work: Callable[..., Awaitable[None]], *args: Any) -> AsyncTask:
    """Run ``work(*args)`` in the background. It must keep its errors to itself; cancellation
    (ours, or that of a loop which ends) reaches it as in any task."""
    done = AsyncEvent()
    if _in_trio():
        import contextvars

        import trio

        scope = trio.CancelScope()

        async def run_in_trio() -> None:
            try:
                with scope:
                    await work(*args)
            finally:
                done.set()

        trio.lowlevel.spawn_system_task(run_in_trio, context=contextvars.copy_context())
        return AsyncTask(scope.cancel, done)

    import asyncio

    async def run_in_asyncio() -> None:
        await work(*args)

    task = asyncio.get_running_loop().create_task(run_in_asyncio())
    _asyncio_tasks.add(task)

    def ended(task: asyncio.Task[None]) -> None:
        _asyncio_tasks.discard(task)
        done.set()

    task.add_done_callback(ended)
    return AsyncTask(task.cancel, done)


def detach_async(work: Callable[..., Awaitable[None]], *args: Any) -> None:
    """`spawn_async` for what nobody will cancel or wait for."""
    spawn_async(work, *args)


def soon_async(context: Any, work: Callable[[], Awaitable[None]]) -> None:
    """Have ``work()`` run by the event loop that a backend's `context()` named; from a finaliser,
    which may run in any thread and in the middle of the loop's own code."""
    schedule = getattr(context, "call_soon_threadsafe", None)  # asyncio's loops have it
    schedule = schedule or getattr(context, "run_sync_soon", None)  # and trio's tokens this
    try:
        if schedule is not None:
            schedule(spawn_async, work)
    except RuntimeError:
        pass  # the loop has ended


async def shielded_async(work: Callable[..., Awaitable[Any]], *args: Any) -> None:
    """Await ``work(*args)`` to its end; a cancellation that arrives meanwhile comes after it."""
    if _in_trio():
        import trio

        with trio.CancelScope(shield=True):
            await work(*args)
        return

    import asyncio

    async def run() -> None:
        await work(*args)

    task = asyncio.get_running_loop().create_task(run())
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # retrieved: the cancellation is what the caller learns of
        try:
            raise cancelled
        finally:
            del cancelled  # its traceback has this frame: no cycle
    task.result()


def call_back(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that the caller of a request handed in; returns its result. Raises
    `TypeError` if it is ``async def``: nobody would notice that it does nothing."""
    result = function(*args)
    if result is not None and hasattr(result, "__await__"):
        if hasattr(result, "close"):  # a coroutine, which warns if it is never run
            result.close()
        raise TypeError(f"{function!r} is for async code; sync code cannot wait for it")
    return result


async def call_back_async(function: Callable[..., Any], *args: Any) -> Any:
    """The same in async code, where it may be plain or ``async def``."""
    import inspect  # late: sync code has no use for it

    result = function(*args)
    return await result if inspect.isawaitable(result) else result


def is_running(context: Any) -> bool:
    """Whether the event loop that a backend's `context()` named is still running."""
    running = getattr(context, "is_running", None)  # asyncio's loops have it
    if running is not None:
        return bool(running())
    run_sync_soon = getattr(context, "run_sync_soon", None)  # and trio's tokens this
    if run_sync_soon is None:
        return False
    try:
        run_sync_soon(_nothing)
    except RuntimeError:
        return False  # the run has finished
    return True


def _nothing() -> None:
    """What a trio run is asked to do, to see whether it does anything."""
