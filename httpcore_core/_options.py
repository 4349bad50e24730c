"""Options, parsed once at the edge and handed on as one value.

Rules of this file: values and their checks; nothing here acts. A wrong option is a `ValueError` or
`TypeError` where the pool is made; a wrong `timeout` extension comes with a request and is a
`LocalProtocolError`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

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


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How one connection is made and how much it accepts."""

    ssl_context: ssl.SSLContext | None = None
    retries: int = 0
    local_address: str | None = None
    uds: str | None = None
    socket_options: Iterable[Any] | None = None
    resolver: Callable[[str, int], Any] | None = None
    max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES
    max_header_count: int = DEFAULT_MAX_HEADER_COUNT
    http1_engine: str = "h11"  # chosen, not "auto" any more

    def __post_init__(self) -> None:
        _check_count("retries", self.retries, 0)
        _check_count("max_header_bytes", self.max_header_bytes, 1)
        _check_count("max_header_count", self.max_header_count, 1)
        if self.socket_options is not None:  # an iterator would be empty at the second connection
            object.__setattr__(self, "socket_options", list(self.socket_options))


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections there may be and how long each lives; None is no limit."""

    max_connections: int | None = 100
    max_connections_per_origin: int | None = None
    max_keepalive_connections: int | None = 20
    keepalive_expiry: float | None = 5.0
    max_connection_age: float | None = None

    def __post_init__(self) -> None:
        _check_count("max_connections", self.max_connections, 1)
        _check_count("max_connections_per_origin", self.max_connections_per_origin, 1)
        _check_count("max_keepalive_connections", self.max_keepalive_connections, 0)
        _check_seconds("keepalive_expiry", self.keepalive_expiry)
        _check_seconds("max_connection_age", self.max_connection_age)


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
