"""Tracing: one stream of events for the `trace` extension and for `logging`.

An event is a name, ``{type}.{event}.started | complete | failed``, and a dictionary: the keyword
arguments, ``{"return_value": ...}`` or ``{"exception": ...}``. The types are `connection`, `pool`
and `http11`; the logger of a type is ``httpcore_core.{type}``, at level DEBUG.

Drivers hold a tracer or None and compare with None before each step, so that a request which
nobody watches pays one comparison per step and no object. Log lines carry no secrets: the values
of credential headers are masked here. The `trace` callable is the caller's own code and sees the
request it made.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from logging import DEBUG
from typing import Any, TypeVar

T = TypeVar("T")
Info = dict[str, Any]

_LOGGERS = {
    kind: logging.getLogger(f"httpcore_core.{kind}") for kind in ("connection", "pool", "http11")
}
_CONNECTION_LOG, _POOL_LOG, _HTTP11_LOG = _LOGGERS.values()
_SECRET_HEADERS = frozenset(
    (b"authorization", b"cookie", b"proxy-authorization", b"set-cookie", b"set-cookie2")
)


def _masked(value: Any) -> Any:
    """`value` with credential headers masked; header lists stand alone or inside a tuple."""
    if isinstance(value, tuple) and len(value) == 4 and isinstance(value[3], list):
        return (*value[:3], _masked(value[3]))
    if isinstance(value, list):
        return [_masked_field(item) for item in value]
    return value


def _masked_field(item: Any) -> Any:
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], bytes):
        return (item[0], b"[secure]") if item[0].lower() in _SECRET_HEADERS else item
    return item


def _log(name: str, info: Info) -> None:
    logger = _LOGGERS[name.partition(".")[0]]
    if logger.isEnabledFor(logging.DEBUG):
        text = " ".join(f"{key}={_masked(value)!r}" for key, value in info.items())
        logger.debug("%s %s", name, text)


_logs_connection = _CONNECTION_LOG.isEnabledFor
_logs_pool = _POOL_LOG.isEnabledFor
_logs_http11 = _HTTP11_LOG.isEnabledFor


def _is_logged() -> bool:
    return _logs_http11(DEBUG) or _logs_connection(DEBUG) or _logs_pool(DEBUG)


class Tracer:
    """Sends events to the caller's `trace` function and to the log."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[str, Info], object] | None) -> None:
        self._callback = callback

    def emit(self, name: str, info: Info) -> None:
        _log(name, info)
        if self._callback is not None:
            self._callback(name, info)

    def run(self, name: str, info: Info, step: Callable[..., T], *args: Any) -> T:
        """Call ``step(*args)`` between its `started` and its `complete` or `failed` event."""
        self.emit(f"{name}.started", info)
        try:
            value = step(*args)
        except BaseException as exc:
            self.emit(f"{name}.failed", {"exception": exc})
            raise
        self.emit(f"{name}.complete", {"return_value": value})
        return value

    def run_always(self, name: str, info: Info, step: Callable[..., None], *args: Any) -> None:
        """`run` for cleaning up: `step` is called whatever the caller's function raises."""
        try:
            self.emit(f"{name}.started", info)
        finally:
            step(*args)
        self.emit(f"{name}.complete", {"return_value": None})


class AsyncTracer:
    """The same for async code, where the caller's function may be plain or ``async def``."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[str, Info], object] | None) -> None:
        self._callback = callback

    async def emit(self, name: str, info: Info) -> None:
        _log(name, info)
        if self._callback is not None:
            result = self._callback(name, info)
            if inspect.isawaitable(result):
                await result

    async def run(self, name: str, info: Info, step: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await ``step(*args)`` between its `started` and its `complete` or `failed` event."""
        await self.emit(f"{name}.started", info)
        try:
            value = await step(*args)
        except Exception as exc:
            await self.emit(f"{name}.failed", {"exception": exc})
            raise
        except BaseException as exc:  # cancelled: nothing may be awaited any more
            _log(f"{name}.failed", {"exception": exc})
            if self._callback is not None:
                result = self._callback(f"{name}.failed", {"exception": exc})
                if inspect.iscoroutine(result):
                    result.close()
            raise
        await self.emit(f"{name}.complete", {"return_value": value})
        return value

    async def run_always(
        self, name: str, info: Info, step: Callable[..., Awaitable[None]], *args: Any
    ) -> None:
        """`run` for cleaning up: `step` is called whatever the caller's function raises, and
        wherever it is cancelled."""
        try:
            await self.emit(f"{name}.started", info)
        finally:
            await step(*args)
        await self.emit(f"{name}.complete", {"return_value": None})


def get_tracer(extensions: dict[str, Any]) -> Tracer | None:
    # What is no dictionary is refused a moment later, by `plan_request`.
    callback = extensions.get("trace") if isinstance(extensions, dict) else None
    return Tracer(callback) if callback is not None or _is_logged() else None


def get_async_tracer(extensions: dict[str, Any]) -> AsyncTracer | None:
    callback = extensions.get("trace") if isinstance(extensions, dict) else None
    return AsyncTracer(callback) if callback is not None or _is_logged() else None
