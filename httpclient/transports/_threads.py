"""Calls that may wait for a disk: made as they are by sync code, in a thread by async code.

Rules of this file: what differs between the two flavours and the async libraries, nothing else.
`Worker` is written by hand, not generated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)


class AsyncWorker:
    """The call goes on to its end, unheeded, if the task is cancelled meanwhile."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        import functools

        import sniffio

        call = functools.partial(function, *args, **kwargs)
        if sniffio.current_async_library() == "trio":
            import trio

            return await trio.to_thread.run_sync(call, abandon_on_cancel=True)
        import asyncio

        return await asyncio.to_thread(call)
