"""Calling what the user gave us, a plain function or a coroutine function, in two flavours.

Rules of this file: pairs of the same name, one with the suffix ``_async``; nothing else differs
between the flavours here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def call_back(function: Callable[[Any], Any], value: Any) -> None:
    result = function(value)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(f"{function!r} is for async code; a sync client cannot wait for it")


async def call_back_async(function: Callable[[Any], Any], value: Any) -> None:
    result = function(value)
    if inspect.isawaitable(result):
        await result
