"""Options of the client, checked at the edge.

Rules of this file: values and their checks. Limits go on as the `timeout` extension of the core,
so that they reach every transport.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import TypeAlias

from ._version import __version__

DEFAULT_TIMEOUT = 5.0
"""Seconds for each phase, as in HTTPX. curl and requests wait for ever, Go's client too."""

USER_AGENT = f"python-httpclient/{__version__}"

TimeoutTypes: TypeAlias = float | tuple[float | None, ...] | Mapping[str, float | None] | None

_PHASES = ("connect", "read", "write", "pool")


class Default(enum.Enum):
    """Marks an argument that was not given, where None has a meaning."""

    CLIENT = "the client's own"


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
