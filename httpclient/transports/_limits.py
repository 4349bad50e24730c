"""The `timeout` extension, for transports that spend some of a request's time themselves.

Rules of this file: pure functions. Nothing is refused here: a limit that is none, such as a
negative one, counts as none and goes on to the transport underneath, which says what is wrong.
"""

from __future__ import annotations

import sys
from typing import Any


def limit_of(extensions: dict[str, Any], name: str) -> float | None:
    """The limit of that name in seconds, as `total`; None where there is none."""
    limits = extensions.get("timeout")
    limit = limits.get(name) if isinstance(limits, dict) else None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        return None
    return limit if 0 <= limit <= sys.float_info.max else None


def with_limits(extensions: dict[str, Any], **limits: float) -> dict[str, Any]:
    """A copy of `extensions` in which these limits, in seconds, stand for those of their names. One
    that is less than 0, because the time is up, becomes 0."""
    left = {name: max(limit, 0.0) for name, limit in limits.items()}
    return {**extensions, "timeout": {**(extensions.get("timeout") or {}), **left}}
