"""The process in which one variant runs: ``python -m benchmarks.worker VARIANT SERVERS``.

Both arguments are JSON. Each line of standard input is a number of operations; the answer is one
line of JSON, the CPU and wall time of one operation, or an ``error``. Some operations are made
before each measurement begins: connections which the wait has cost are there again, and so is what
the other worker, on the same CPU, has displaced from its caches.

Reading a command blocks the event loop, where there is one: nothing is running in it meanwhile.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from . import stacks
from .servers import Servers
from .variants import Variant

WARM_UP = 10

_answers: Any = None


def answer(**values: Any) -> None:
    _answers.write(json.dumps(values) + "\n")
    _answers.flush()


def commands() -> Iterator[int]:
    answer(python=f"{platform.python_implementation()} {platform.python_version()}")
    for line in sys.stdin:
        yield int(line)


class Stopwatch:
    """CPU time of this whole process, its threads included, and wall time."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def stop(self, count: int) -> None:
        cpu = time.process_time() - self._cpu
        wall = time.perf_counter() - self._wall
        answer(value=cpu / count, wall=wall / count, engine=stacks.engine())


def warm_up(count: int, concurrency: int = 1) -> int:
    """How many operations to make uncounted, before so many. A few are long transfers, to which
    what the first ones cost besides does not matter."""
    return max(WARM_UP, concurrency) if count >= WARM_UP else 0


def run_sync(one: Callable[[], None]) -> None:
    for count in commands():
        for _ in range(warm_up(count)):
            one()
        stopwatch = Stopwatch()
        for _ in range(count):
            one()
        stopwatch.stop(count)


def run_values(one: Callable[[], float]) -> None:
    """The stack measures by itself, in other processes."""
    for count in commands():
        before = time.perf_counter()
        values = sorted(one() for _ in range(count))
        wall = time.perf_counter() - before
        answer(value=values[count // 2], wall=wall / count, engine=stacks.engine())


Batch = Callable[[Callable[[], Awaitable[None]], int, int], Awaitable[Stopwatch]]
"""Makes so many operations, by so many tasks at once. The time runs when all of them are there: to
start a thousand tasks is neither ours nor the peer's work."""


async def run_async(prepare: Callable[[], Awaitable[Any]], batch: Batch, concurrency: int) -> None:
    one = await prepare()
    for count in commands():
        uncounted = warm_up(count, concurrency)
        if uncounted:
            await batch(one, uncounted, concurrency)
        stopwatch = await batch(one, count, concurrency)
        stopwatch.stop(count)


async def asyncio_batch(
    one: Callable[[], Awaitable[None]], count: int, concurrency: int
) -> Stopwatch:
    import asyncio

    turns = iter(range(count))
    start = asyncio.Event()

    async def client() -> None:
        await start.wait()
        for _ in turns:
            await one()

    tasks = [asyncio.create_task(client()) for _ in range(concurrency)]
    await asyncio.sleep(0)
    stopwatch = Stopwatch()
    start.set()
    await asyncio.gather(*tasks)
    return stopwatch


async def trio_batch(one: Callable[[], Awaitable[None]], count: int, concurrency: int) -> Stopwatch:
    import trio

    turns = iter(range(count))
    start = trio.Event()

    async def client() -> None:
        await start.wait()
        for _ in turns:
            await one()

    async with trio.open_nursery() as nursery:
        for _ in range(concurrency):
            nursery.start_soon(client)
        await trio.lowlevel.checkpoint()
        stopwatch = Stopwatch()
        start.set()
    return stopwatch


def run(variant: Variant, servers: Servers) -> None:
    module, _, name = variant.stack.partition(":")
    stack = getattr(importlib.import_module(f"benchmarks.stacks.{module}"), name)

    def prepare() -> Any:
        return stack(servers, **variant.options)

    if variant.runner == "sync":
        run_sync(prepare())
    elif variant.runner == "value":
        run_values(prepare())
    elif variant.runner == "trio":
        import trio

        trio.run(run_async, prepare, trio_batch, variant.concurrency)
    else:
        import asyncio

        factory = None
        if variant.runner == "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run_async(prepare, asyncio_batch, variant.concurrency))


def main() -> None:
    # What libraries print goes to standard error: standard output is for answers alone.
    global _answers
    _answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        run(Variant(**json.loads(sys.argv[1])), Servers(**json.loads(sys.argv[2])))
    except ImportError as exc:
        answer(missing=str(exc))
    except Exception as exc:
        answer(error=f"{type(exc).__name__}: {exc}")
        raise
    # Sockets that are still open close with the process; nobody waits for libraries to tidy up.
    _answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
