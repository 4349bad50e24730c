"""Options of the client, checked at the edge.

Rules of this file: values and their checks. Limits go on as the `timeout` extension of the core,
so that they reach every transport.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from ._version import __version__

DEFAULT_TIMEOUT = 5.0
"""Seconds for each phase, as in HTTPX. curl and requests wait for ever, Go's client too."""

DEFAULT_MAX_REDIRECTS = 20

DEFAULT_MAX_DECODED = 2**30
"""Bytes that one body may become when its content coding is undone: 1 GiB."""

USER_AGENT = f"python-httpclient/{__version__}"

TimeoutTypes: TypeAlias = float | tuple[float | None, ...] | Mapping[str, float | None] | None

_PHASES = ("connect", "read", "write", "pool")


class Default(enum.Enum):
    """Marks an argument that was not given, where None has a meaning."""

    CLIENT = "the client's own"


USE_CLIENT_DEFAULT = Default.CLIENT


class Timeout(Mapping[str, float | None]):
    """Limits in seconds for each phase of a request, None for no limit: one for all, and others
    for some, as in ``Timeout(10.0, connect=60.0)``. `total` is one limit over the whole request,
    from the queue to the last byte of the body."""

    __slots__ = ("_limits",)

    def __init__(self, timeout: TimeoutTypes = DEFAULT_TIMEOUT, **limits: float | None) -> None:
        self._limits = timeout_limits(limits, timeout_limits(timeout))

    @property
    def connect(self) -> float | None:
        return self._limits["connect"]

    @property
    def read(self) -> float | None:
        return self._limits["read"]

    @property
    def write(self) -> float | None:
        return self._limits["write"]

    @property
    def pool(self) -> float | None:
        return self._limits["pool"]

    @property
    def total(self) -> float | None:
        return self._limits.get("total")

    def as_dict(self) -> dict[str, float | None]:
        """The `timeout` extension."""
        return dict(self._limits)

    def __getitem__(self, phase: str) -> float | None:
        return self._limits[phase]

    def __iter__(self) -> Iterator[str]:
        return iter(self._limits)

    def __len__(self) -> int:
        return len(self._limits)

    def __repr__(self) -> str:
        limits = ", ".join(f"{name}={limit}" for name, limit in self._limits.items())
        return f"Timeout({limits})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Timeout, (self.as_dict(),)


class Limits(NamedTuple):
    """How many connections there may be, and how many seconds an idle one is kept; None for no
    limit."""

    max_connections: int | None = None
    max_keepalive_connections: int | None = None
    keepalive_expiry: float | None = 5.0


DEFAULT_LIMITS = Limits(max_connections=100, max_keepalive_connections=20)


def count(name: str, value: int) -> int:
    """`value`, if it can be how many there may be of something."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"{name} must not be negative, but is {value}")
    return value


def timeout_limits(
    timeout: TimeoutTypes, default: Mapping[str, float | None] | None = None
) -> dict[str, float | None]:
    """The `timeout` extension for a number of seconds (each phase), None (no limits), a tuple
    (connect, read, write, pool; what is left out is unlimited), or a mapping, which changes the
    limits it names and may have `total`. Zero means: only what can be done without waiting.
    """
    limits: dict[str, float | None] = dict.fromkeys(_PHASES)
    if isinstance(timeout, Mapping):
        limits |= dict.fromkeys(_PHASES, DEFAULT_TIMEOUT) if default is None else default
        unknown = set(timeout) - {*_PHASES, "total"}
        if unknown:
            raise ValueError(f"timeout has unknown keys: {', '.join(sorted(map(str, unknown)))}")
        limits |= timeout
    elif isinstance(timeout, tuple):
        if not 2 <= len(timeout) <= len(_PHASES):
            raise ValueError(f"a timeout tuple has 2 to 4 limits, not {len(timeout)}")
        limits |= zip(_PHASES, timeout, strict=False)
    else:
        limits = dict.fromkeys(_PHASES, timeout)
    for name, limit in limits.items():
        _check_limit(name, limit)
    return limits


def _check_limit(name: str, limit: float | None) -> None:
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        kind = type(limit).__name__
        raise TypeError(f"the {name} timeout is a number of seconds or None, not {kind}")
    if math.isnan(limit) or limit < 0:
        raise ValueError(f"the {name} timeout must not be negative or NaN, but is {limit!r}")
