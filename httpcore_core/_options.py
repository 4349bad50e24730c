"""Options, parsed once at the edge and handed on as one value.

Rules of this file: values and their checks; nothing here acts. A wrong option is a `ValueError` or
`TypeError` where the pool is made; a wrong `timeout` extension comes with a request and is a
`LocalProtocolError`.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
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


DEFAULT_STREAM_WINDOW = 1024 * 1024
DEFAULT_CONNECTION_WINDOW = 128 * 1024 * 1024
DEFAULT_MAX_CONCURRENT_STREAMS = 100
"""What servers commonly allow; RFC 9113, section 6.5.2, recommends no less."""

DEFAULT_PING_TIMEOUT = 20.0
"""Seconds. What gRPC waits."""


class Timeouts(NamedTuple):
    """Limits in seconds; None is no limit. `total` is one deadline over all the others."""

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None
    total: float | None = None


NO_TIMEOUTS = Timeouts()
_FIELDS = frozenset(Timeouts._fields)
_LONGEST = sys.float_info.max


def parse_timeouts(value: Any) -> Timeouts:
    """Check the `timeout` extension: a dictionary with any of the keys of `Timeouts`."""
    if value is None:
        return NO_TIMEOUTS
    if not isinstance(value, dict):
        raise _bad_timeout(f"must be a dictionary, not {type(value).__name__}")
    if not value:
        return NO_TIMEOUTS
    if not _FIELDS.issuperset(value):
        unknown = next(name for name in value if name not in _FIELDS)
        raise _bad_timeout(f"has the unknown key {unknown!r}")
    get = value.get
    limits = get("connect"), get("read"), get("write"), get("pool"), get("total")
    try:
        return _checked(*limits)
    except TypeError:  # what cannot be hashed is no number
        return _checked.__wrapped__(*limits)


@lru_cache(maxsize=256, typed=True)  # 1 and True are equal, and only one of them is a duration
def _checked(*limits: Any) -> Timeouts:
    """The same few limits come with every request."""
    for name, limit in zip(Timeouts._fields, limits, strict=True):
        if limit is None:
            continue
        if isinstance(limit, bool) or not isinstance(limit, (int, float)):
            what = type(limit).__name__
            raise _bad_timeout(f"{name!r} must be a number of seconds or None, not {what}")
        if not limit >= 0:
            raise _bad_timeout(f"{name!r} must not be negative or NaN")
    # No clock can add what is longer.
    return Timeouts(*[None if limit is None or limit > _LONGEST else limit for limit in limits])


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


class HTTP2Options(_Options):
    """What one HTTP/2 connection may use.

    `stream_window` (bytes) bounds what is kept of a response that nobody reads, and with the round
    trip how fast one can be: 1 MiB allows 160 Mbit/s over 50 ms. `connection_window` (bytes) bounds
    all unread responses of a connection together; the default is more than the streams' windows
    add up to, so that no number of slow readers can delay another. `max_concurrent_streams` is how
    many are opened even if the server allows more, and before it has said anything.
    `max_header_bytes` is the size of a field section as RFC 9113, section 6.5.2, counts it, with 32
    bytes for each field. After `ping_interval` seconds in which a waiting request has heard nothing
    a PING is sent, and `ping_timeout` seconds later the connection is given up; None sends none.
    """

    __slots__ = (
        "connection_window",
        "max_concurrent_streams",
        "max_frame_size",
        "max_header_bytes",
        "max_header_count",
        "ping_interval",
        "ping_timeout",
        "stream_window",
    )

    stream_window: int
    connection_window: int
    max_concurrent_streams: int
    max_header_bytes: int
    max_header_count: int
    max_frame_size: int
    ping_interval: float | None
    ping_timeout: float

    def __init__(
        self,
        stream_window: int = DEFAULT_STREAM_WINDOW,
        connection_window: int = DEFAULT_CONNECTION_WINDOW,
        max_concurrent_streams: int = DEFAULT_MAX_CONCURRENT_STREAMS,
        max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES,
        max_header_count: int = DEFAULT_MAX_HEADER_COUNT,
        max_frame_size: int = 2**14,
        ping_interval: float | None = None,
        ping_timeout: float = DEFAULT_PING_TIMEOUT,
    ) -> None:
        largest = 2**31 - 1
        _check_range("http2_stream_window", stream_window, 1, largest)
        # RFC 9113, section 6.9.2: it begins with 65,535 and only grows.
        _check_range("http2_connection_window", connection_window, 65535, largest)
        _check_range("http2_max_concurrent_streams", max_concurrent_streams, 1, largest)
        _check_range("max_header_bytes", max_header_bytes, 1, largest)
        _check_range("max_header_count", max_header_count, 1, largest)
        _check_range("max_frame_size", max_frame_size, 2**14, 2**24 - 1)  # section 6.5.2
        _check_seconds("http2_ping_interval", ping_interval)
        _check_seconds("http2_ping_timeout", ping_timeout)
        if ping_timeout is None:
            raise TypeError("http2_ping_timeout must be a number of seconds, not None")
        if ping_interval is not None and ping_interval <= 0.0:
            raise ValueError("http2_ping_interval must be more than 0; None sends no PING")
        self._fill(
            stream_window=stream_window,
            connection_window=connection_window,
            max_concurrent_streams=max_concurrent_streams,
            max_header_bytes=max_header_bytes,
            max_header_count=max_header_count,
            max_frame_size=max_frame_size,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
        )


class ConnectionOptions(_Options):
    """How one connection is made and how much it accepts."""

    __slots__ = (
        "http1",
        "http1_engine",
        "http2",
        "http2_options",
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
    http1: bool
    http2: bool
    http2_options: HTTP2Options | None

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
        http1: bool = True,
        http2: bool = False,
        http2_options: HTTP2Options | None = None,  # None: the defaults
    ) -> None:
        if not (http1 or http2):
            raise ValueError("http1 and http2 cannot both be off")
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
            http1=bool(http1),
            http2=bool(http2),
            http2_options=http2_options,
        )

    @property
    def alpn(self) -> tuple[str, ...]:
        """What our own TLS contexts offer, the preferred protocol first (RFC 7301)."""
        return ("h2",) * self.http2 + ("http/1.1",) * self.http1

    def problem_with(self, agreed_on_http2: bool) -> str | None:
        """Why a protocol that was agreed on by TLS cannot be spoken; None if it can."""
        if agreed_on_http2:
            if "h2" in sys.modules or importlib.util.find_spec("h2") is not None:
                return None
            install = "pip install 'httpcore-core[http2]'"
            return f"HTTP/2 was agreed on, by an ssl_context that offers it; it needs h2: {install}"
        return None if self.http1 else "the server did not agree to HTTP/2"

    def may_be_http2(self, scheme: bytes) -> bool:
        """Whether a connection may turn out to be HTTP/2: by ALPN, or because we know before
        (RFC 9113, section 3.3)."""
        return self.http2 and (scheme == b"https" or not self.http1)


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


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} must be an int from {least} to {most}, not {value!r}")


def _check_seconds(name: str, value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must not be negative or NaN, but is {value}")
