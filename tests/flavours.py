"""Runs async test code on asyncio, uvloop and trio, and holds each run to the same rules.

When the code returns, no task of its making may be alive and nothing may have been reported to the
event loop's exception handler: whatever a pool leaves behind or logs there is a failure.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import trio

T = TypeVar("T")

# uvloop does not exist for Windows; elsewhere it is one of the test dependencies.
PRESENT = ("asyncio", "trio") if sys.platform == "win32" else ("asyncio", "uvloop", "trio")
FLAVOURS = tuple(
    name for name in PRESENT if name in os.environ.get("TEST_FLAVOURS", "asyncio,uvloop,trio")
)
"""Those that tests run on; the environment may ask for fewer, where another run has them all."""

GRACE = 2.0
"""Seconds that background tasks have to end once the test has; they are not waited for further."""


def run_async(
    flavour: str, function: Callable[..., Coroutine[Any, Any, T]], /, *args: Any, **kwargs: Any
) -> T:
    """Run ``function(*args, **kwargs)`` to its end under `flavour` and return its result."""
    main = functools.partial(function, *args, **kwargs)
    if flavour == "trio":
        return trio.run(_in_trio, main)
    return _run_asyncio(main, _loop_factory(flavour))


def _loop_factory(flavour: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if flavour == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _run_asyncio(
    main: Callable[[], Coroutine[Any, Any, T]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> T:
    reported: list[dict[str, Any]] = []

    async def checked() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        result = await main()
        this = asyncio.current_task()
        deadline = loop.time() + GRACE
        while leftover := asyncio.all_tasks() - {this}:
            assert loop.time() < deadline, f"tasks left behind: {leftover}"
            await asyncio.sleep(0.001)
        return result

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result = runner.run(checked())
    assert not reported, f"reported to the event loop: {reported}"
    return result


async def _in_trio(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    living = trio.lowlevel.current_statistics().tasks_living
    result = await main()
    deadline = trio.current_time() + GRACE
    while (now_living := trio.lowlevel.current_statistics().tasks_living) > living:
        assert trio.current_time() < deadline, f"{now_living - living} trio tasks left behind"
        await trio.sleep(0.001)
    return result
