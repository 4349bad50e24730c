"""Tracing: one stream of events for the `trace` extension and for `logging`.

An event is a name, ``{type}.{event}.started | complete | failed``, and a dictionary: the keyword
arguments, ``{"return_value": ...}`` or ``{"exception": ...}``. The types are `connection`, `pool`,
`proxy`, `http11` and `http2`; the logger of a type is ``httpcore_core.{type}``, at level DEBUG.

Drivers hold a tracer or None and compare with None before each step, so that a request which
nobody watches pays one comparison per step and no object. While nobody has imported `logging`,
nobody can have asked for logs, and so it is not imported here. Log lines carry no secrets: the
values of credential headers are masked here. The `trace` callable is the caller's own code and
sees the request it made.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar

from ._concurrency import call_back

if TYPE_CHECKING:
    import logging

T = TypeVar("T")
Info = dict[str, Any]

_KINDS = ("http11", "connection", "pool", "http2", "proxy")
_DEBUG = 10  # `logging.DEBUG`
_loggers: dict[str, logging.Logger] = {}  # empty until somebody has imported `logging`
_parent: logging.Logger  # of all of them
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
    logger = _loggers.get(name.partition(".")[0])
    if logger is not None and logger.isEnabledFor(_DEBUG):
        text = " ".join(f"{key}={_masked(value)!r}" for key, value in info.items())
        logger.debug("%s %s", name, text)


def _is_logged() -> bool:
    if not _loggers:
        if "logging" not in sys.modules:
            return False
        _find_loggers()
    http11, connection, pool, http2, proxy = _loggers.values()
    has_level = http11.level or connection.level or pool.level or http2.level or proxy.level
    if has_level or _parent.disabled:  # in neither case can one speak for all
        return any(logger.isEnabledFor(_DEBUG) for logger in _loggers.values())
    return _parent.isEnabledFor(_DEBUG)


def _find_loggers() -> None:
    import logging

    found = {kind: logging.getLogger(f"httpcore_core.{kind}") for kind in _KINDS}
    global _parent
    _parent = logging.getLogger("httpcore_core")
    _loggers.update(found)


class Tracer:
    """Sends events to the caller's `trace` function and to the log."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[str, Info], object] | None) -> None:
        self._callback = callback

    def emit(self, name: str, info: Info) -> None:
        _log(name, info)
        if self._callback is not None:
            call_back(self._callback, name, info)

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
            if result is None:
                return
            import inspect  # late: sync code has no use for it

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
                if isinstance(result, CoroutineType):
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
    # What is no dictionary is refused a moment later, by `plan_request`. The log is asked in any
    # case: that is how its loggers are found.
    callback = extensions.get("trace") if isinstance(extensions, dict) else None
    return Tracer(callback) if _is_logged() or callback is not None else None


def get_async_tracer(extensions: dict[str, Any]) -> AsyncTracer | None:
    callback = extensions.get("trace") if isinstance(extensions, dict) else None
    return AsyncTracer(callback) if _is_logged() or callback is not None else None
