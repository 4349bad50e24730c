"""Cancels or interrupts code at every point where it can be, one after the other.

    async def scenario(step):
        pool = AsyncConnectionPool(network_backend=AsyncMockBackend([...]))
        await step.run(pool.request, "GET", "http://example.com/")  # cancelled in here
        assert pool.stats().active == 0                             # and all is well
        await pool.aclose()

    cancel_at_every_step(scenario, library="trio")

The scenario runs again and again, each time in a new event loop: first cancelled at the first await
that really suspends, then at the second, until the call gets to its end uncancelled. For sync code
`interrupt_at_every_operation` raises at each network operation, before it and after it:

    def scenario(step):
        pool = ConnectionPool(network_backend=step.wrap(MockBackend([...])))
        step.run(pool.request, "GET", "http://example.com/")

Rules of this file: enumeration, never chance. Both functions return the number of steps, so that
a test can tell that it has tested something.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Literal

import sniffio

from .._backends.base import NetworkBackend
from .faults import FaultBackend, Faults

if TYPE_CHECKING:
    import asyncio

__all__ = ["CancelStep", "InterruptStep", "cancel_at_every_step", "interrupt_at_every_operation"]

MAX_STEPS = 10_000

Scenario = Callable[["CancelStep"], Coroutine[Any, Any, object]]
SyncScenario = Callable[["InterruptStep"], object]


class CancelStep:
    """One run of a scenario: `run` cancels what it awaits at its `number`-th suspension.

    `completed` says whether it got to its end before; then `result` is what it returned. An error
    of the call's own is raised by `run`, as ever.
    """

    def __init__(self, number: int, limit: float) -> None:
        self.number = number
        self.completed = False
        self.cancelled = False
        self.result: Any = None
        self._limit = limit
        self._suspensions = 0
        self._must_not_swallow = True

    async def run(self, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> bool:
        """Await ``function(*args, **kwargs)``; return false if it was cancelled."""

        async def call() -> None:
            self.result = await function(*args, **kwargs)
            self.completed = True

        if sniffio.current_async_library() == "trio":
            await self._run_trio(call)
        else:
            await self._run_asyncio(call)
        if self.completed and self.cancelled and self._must_not_swallow:
            raise AssertionError(f"the cancellation at step {self.number} was swallowed")
        return self.completed

    async def _run_asyncio(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import asyncio

        async def counted() -> None:
            task = asyncio.current_task()
            assert task is not None
            await _Counted(call(), lambda: self._suspended(task.cancel))

        task = asyncio.get_running_loop().create_task(counted())
        done, _ = await asyncio.wait([task], timeout=self._limit)
        if not done:
            raise AssertionError(f"does not end when cancelled at step {self.number}")
        if not task.cancelled():
            task.result()

    async def _run_trio(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import trio

        # A cancelled scope cancels whatever is awaited in it from then on, and nothing else: code
        # that awaits nothing more, or only what is shielded, does complete.
        self._must_not_swallow = False
        scope = trio.CancelScope()
        this_task = trio.lowlevel.current_task()
        suspended = self._suspended

        class Instrument(trio.abc.Instrument):
            def after_task_step(self, task: trio.lowlevel.Task) -> None:
                if task is this_task:
                    suspended(scope.cancel)

        with scope:
            instrument = Instrument()
            trio.lowlevel.add_instrument(instrument)
            try:
                with trio.fail_after(self._limit):
                    await call()
            finally:
                trio.lowlevel.remove_instrument(instrument)

    def _suspended(self, cancel: Callable[[], object]) -> None:
        self._suspensions += 1
        if self._suspensions == self.number:
            self.cancelled = True
            cancel()


class _Counted:
    """Awaits a coroutine, and tells each time before it suspends."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], suspended: Callable[[], None]) -> None:
        self._coroutine = coroutine
        self._suspended = suspended

    def __await__(self) -> Generator[Any, Any, None]:
        resume: Callable[[Any], Any] = self._coroutine.send
        value: Any = None
        while True:
            try:
                awaited = resume(value)
            except StopIteration:
                return
            self._suspended()
            try:
                value = yield awaited
                resume = self._coroutine.send
            except BaseException as exc:
                value = exc
                resume = self._coroutine.throw


def cancel_at_every_step(
    scenario: Scenario,
    *,
    library: Literal["asyncio", "trio"] = "asyncio",
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    limit: float = 10.0,
) -> int:
    """Run `scenario` with a new `CancelStep` each time, until its call is not cancelled any more.

    A call that does not end within `limit` seconds of real time fails. `loop_factory` is for other
    event loops of asyncio.
    """
    for number in range(1, MAX_STEPS):
        step = CancelStep(number, limit)
        try:
            _run(scenario, step, library, loop_factory)
        except BaseException as exc:
            exc.add_note(f"cancelled at step {number} under {library}")
            raise
        if not step.cancelled:
            return number - 1
    raise AssertionError(f"does not come to an end within {MAX_STEPS} steps")


def _run(
    scenario: Scenario,
    step: CancelStep,
    library: str,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    if library == "trio":
        import trio

        trio.run(scenario, step)
        return
    import asyncio

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario(step))


class InterruptStep:
    """One run of a sync scenario, which is interrupted at one network operation.

    `interrupted` says whether it was; then `run` has returned false and `error` is what came out.
    """

    def __init__(self, number: int, after: bool, error: type[BaseException]) -> None:
        self.faults = Faults()
        self.interrupted = False
        self.error: BaseException | None = None
        self.result: Any = None
        self._kind = error
        self.faults.at(number, self._interrupt, after=after)

    def _interrupt(self) -> None:
        self.interrupted = True
        raise self._kind("interrupted by the test")

    def wrap(self, backend: NetworkBackend) -> FaultBackend:
        """The backend whose operations are counted."""
        return FaultBackend(backend, self.faults)

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Call ``function(*args, **kwargs)``; return false if the interruption came out of it."""
        try:
            self.result = function(*args, **kwargs)
        except self._kind as exc:
            if not self.interrupted:
                raise
            self.error = exc
            return False
        return True


def interrupt_at_every_operation(
    scenario: SyncScenario, *, error: type[BaseException] = KeyboardInterrupt
) -> int:
    """Run `scenario` with a new `InterruptStep` each time, until nothing is interrupted."""
    points = ((number, after) for number in itertools.count(1) for after in (False, True))
    for count, (number, after) in enumerate(points):
        step = InterruptStep(number, after, error)
        try:
            scenario(step)
        except BaseException as exc:
            exc.add_note(f"interrupted {'after' if after else 'before'} operation {number}")
            raise
        if not step.interrupted:
            return count
        if count == MAX_STEPS:
            break
    raise AssertionError(f"does not come to an end within {MAX_STEPS} steps")
