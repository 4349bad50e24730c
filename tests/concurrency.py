"""Several requests at once, in words that mean the same before and after the sync conversion.

`AsyncTaskGroup` runs its tasks in asyncio or trio, `TaskGroup` in threads. Both wait for all of
their tasks at the end of the `with` block and then raise the first error that nobody took with
`Job.result`. Only the async one can cancel.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

from httpcore_core._concurrency import AsyncEvent, AsyncTask, Event, spawn_async


class Job:
    """One started call; `result` waits for it, and returns what it returned or raises its error."""

    def __init__(self) -> None:
        self._done = Event()
        self._value: Any = None
        self.error: BaseException | None = None

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self._value = function(*args)
        except BaseException as exc:
            self.error = exc
        finally:
            self._done.set()

    def is_done(self) -> bool:
        return self._done.wait(0)

    def result(self) -> Any:
        self._done.wait(None)
        return _take(self)


class TaskGroup:
    """``with TaskGroup() as group: job = group.start(function, *args)``"""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._threads: list[threading.Thread] = []

    def start(self, function: Callable[..., Any], *args: Any) -> Job:
        job = Job()
        thread = threading.Thread(target=job.run, args=(function, args), daemon=True)
        self.jobs.append(job)
        self._threads.append(thread)
        thread.start()
        return job

    def __enter__(self) -> TaskGroup:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        for thread in self._threads:
            thread.join()
        if error is None:
            _raise_first(self.jobs)


class AsyncJob:
    """The async twin of `Job`."""

    task: AsyncTask

    def __init__(self) -> None:
        self._is_started = self._is_done = False
        self._waiters: list[AsyncEvent] = []
        self._value: Any = None
        self.error: BaseException | None = None

    async def run(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self._is_started = True
        try:
            self._value = await function(*args)
        except BaseException as exc:
            self.error = exc
            if not isinstance(exc, Exception):
                raise  # a cancellation belongs to the runtime
        finally:
            self._end()

    def _end(self) -> None:
        self._is_done = True
        for waiter in self._waiters:
            waiter.set()

    def is_done(self) -> bool:
        return self._is_done

    def cancel(self) -> None:
        self.task.cancel()
        if not self._is_started:
            self._end()  # asyncio does not run a task at all that is cancelled this early

    async def result(self) -> Any:
        if not self._is_done:
            waiter = AsyncEvent()
            self._waiters.append(waiter)
            await waiter.wait(None)
        return _take(self)


class AsyncTaskGroup:
    """``async with AsyncTaskGroup() as group: job = group.start(function, *args)``"""

    def __init__(self) -> None:
        self.jobs: list[AsyncJob] = []

    def start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> AsyncJob:
        job = AsyncJob()
        job.task = spawn_async(job.run, function, args)
        self.jobs.append(job)
        return job

    async def __aenter__(self) -> AsyncTaskGroup:
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        for job in self.jobs:
            if error is not None:
                job.cancel()
            await job.task.wait()
        if error is None:
            _raise_first(self.jobs)


def _take(job: Job | AsyncJob) -> Any:
    error, job.error = job.error, None
    if error is not None:
        raise error
    return job._value


def _raise_first(jobs: list[Job] | list[AsyncJob]) -> None:
    for job in jobs:
        if isinstance(job.error, Exception):
            raise job.error
