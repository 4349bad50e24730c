"""Options, parsed once at the edge and handed on as one value.

Rules of this file: values and their checks; nothing here acts. A wrong option is a `ValueError` or
`TypeError` where the pool is made; a wrong `timeout` extension comes with a request and is a
`LocalProtocolError`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ._exceptions import LocalProtocolError

if TYPE_CHECKING:
    import ssl

DEFAULT_MAX_HEADER_BYTES = 100 * 1024
"""A response head may be this long. nginx sends up to 8 KiB per line, curl accepts 300 KiB."""

DEFAULT_MAX_HEADER_COUNT = 1000
"""A response head may have this many fields. Go has no count limit, Apache's own is 100."""

DEFAULT_EXPECT_CONTINUE = 1.0
"""Seconds to wait for ``100 Continue`` before the body is sent anyway (RFC 9110, 10.1.1)."""


class Timeouts(NamedTuple):
    """Limits in seconds; None is no limit. `total` is one deadline over all the others."""

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None
    total: float | None = None


NO_TIMEOUTS = Timeouts()
_FIELDS = frozenset(Timeouts._fields)
_new_tuple = tuple.__new__
_LONGEST = sys.float_info.max  # what is longer, infinity or a very long int, no clock can add


def parse_timeouts(value: Any) -> Timeouts:
    """Check the `timeout` extension: a dictionary with any of the keys of `Timeouts`."""
    if not value:
        return NO_TIMEOUTS
    if not isinstance(value, dict):
        raise _bad_timeout(f"must be a dictionary, not {type(value).__name__}")
    for name, limit in value.items():
        if name not in _FIELDS:
            raise _bad_timeout(f"has the unknown key {name!r}")
        if limit is None or (type(limit) is float and 0.0 <= limit <= _LONGEST):
            continue
        if type(limit) is int and 0 <= limit <= _LONGEST:
            continue
        if isinstance(limit, bool) or not isinstance(limit, (int, float)):
            raise _bad_timeout(f"{name!r} must be a number of seconds or None, not {limit!r}")
        if not limit >= 0:
            raise _bad_timeout(f"{name!r} must not be negative or NaN, but is {limit!r}")
        if limit > _LONGEST:
            value = {**value, name: None}
    get = value.get
    # A named tuple's own constructor costs three times as much.
    return _new_tuple(
        Timeouts, (get("connect"), get("read"), get("write"), get("pool"), get("total"))
    )


def _bad_timeout(text: str) -> LocalProtocolError:
    return LocalProtocolError(f"the 'timeout' extension {text}", phase="request")


class _Options:
    """A value: checked when it is made, never changed, compared by its fields.

    A frozen dataclass is the same, but `dataclasses` takes with it half of what everything else
    takes to import that a request needs.
    """

    __slots__: tuple[str, ...] = ()

    def _fill(self, **fields: object) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.as_dict())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name!r}: {type(self).__name__} does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r}: {type(self).__name__} does not change")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.as_dict().values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"{type(self).__name__}({fields})"


def _restore(kind: type[_Options], fields: dict[str, Any]) -> _Options:
    """A copy, from a pickle or another one."""
    return kind(**fields)


class ConnectionOptions(_Options):
    """How one connection is made and how much it accepts."""

    __slots__ = (
        "http1_engine",
        "local_address",
        "max_header_bytes",
        "max_header_count",
        "resolver",
        "retries",
        "socket_options",
        "ssl_context",
        "uds",
    )

    ssl_context: ssl.SSLContext | None
    retries: int
    local_address: str | None
    uds: str | None
    socket_options: Iterable[Any] | None
    resolver: Callable[[str, int], Any] | None
    max_header_bytes: int
    max_header_count: int
    http1_engine: str

    def __init__(
        self,
        ssl_context: ssl.SSLContext | None = None,
        retries: int = 0,
        local_address: str | None = None,
        uds: str | None = None,
        socket_options: Iterable[Any] | None = None,
        resolver: Callable[[str, int], Any] | None = None,
        max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES,
        max_header_count: int = DEFAULT_MAX_HEADER_COUNT,
        http1_engine: str = "h11",  # chosen, not "auto" any more
    ) -> None:
        _check_count("retries", retries, 0)
        _check_count("max_header_bytes", max_header_bytes, 1)
        _check_count("max_header_count", max_header_count, 1)
        if socket_options is not None:  # an iterator would be empty at the second connection
            socket_options = list(socket_options)
        self._fill(
            ssl_context=ssl_context,
            retries=retries,
            local_address=local_address,
            uds=uds,
            socket_options=socket_options,
            resolver=resolver,
            max_header_bytes=max_header_bytes,
            max_header_count=max_header_count,
            http1_engine=http1_engine,
        )


class PoolLimits(_Options):
    """How many connections there may be and how long each lives; None is no limit."""

    __slots__ = (
        "keepalive_expiry",
        "max_connection_age",
        "max_connections",
        "max_connections_per_origin",
        "max_keepalive_connections",
    )

    max_connections: int | None
    max_connections_per_origin: int | None
    max_keepalive_connections: int | None
    keepalive_expiry: float | None
    max_connection_age: float | None

    def __init__(
        self,
        max_connections: int | None = 100,
        max_connections_per_origin: int | None = None,
        max_keepalive_connections: int | None = 20,
        keepalive_expiry: float | None = 5.0,
        max_connection_age: float | None = None,
    ) -> None:
        _check_count("max_connections", max_connections, 1)
        _check_count("max_connections_per_origin", max_connections_per_origin, 1)
        _check_count("max_keepalive_connections", max_keepalive_connections, 0)
        _check_seconds("keepalive_expiry", keepalive_expiry)
        _check_seconds("max_connection_age", max_connection_age)
        self._fill(
            max_connections=max_connections,
            max_connections_per_origin=max_connections_per_origin,
            max_keepalive_connections=max_keepalive_connections,
            keepalive_expiry=keepalive_expiry,
            max_connection_age=max_connection_age,
        )


def _check_count(name: str, value: int | None, least: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, but is {value}")


def _check_seconds(name: str, value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must not be negative or NaN, but is {value}")
