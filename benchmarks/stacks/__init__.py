"""How each library makes one request.

A stack is a function that takes the `Servers` and its own options, sets up its library once, and
returns a function without arguments that does one operation and checks that it went well. It
imports its library itself: a worker process pays for nothing that it does not measure.
"""

from __future__ import annotations

from typing import Any

from ..servers import Servers

LIMIT = 30.0
"""Seconds: the time limit of every wait, in every stack. Nobody should run without."""

KEEPALIVE = 300.0
"""Seconds that an idle connection is kept, longer than any worker waits for its next turn."""

BODY_SIZE = 1024
"""Bytes of the small file."""

TRANSFER_SIZE = 100_000_000
"""Bytes of the large file and of an upload."""

LIMITS = {"connect": LIMIT, "read": LIMIT, "write": LIMIT, "pool": LIMIT}

_engines: list[str] = []


def note_engine(name: str) -> None:
    """The HTTP/1.1 engine that our pool, in this process or in one of its own, has chosen."""
    _engines.append(name)


def engine() -> str | None:
    """The one noted last; None if there is no pool of ours."""
    return _engines[-1] if _engines else None


def ours(pool: Any) -> Any:
    """`pool`, a pool of ours, whose engine is noted."""
    note_engine(pool.http1_engine)
    return pool


def tls_context(servers: Servers) -> Any:
    """The same for every stack: trust in the servers' authority, no ALPN."""
    import ssl

    return ssl.create_default_context(cafile=servers.authority)


def host_field(host: str, port: int) -> tuple[bytes, bytes]:
    return (b"Host", f"{host}:{port}".encode())


def small_headers(host: str, port: int) -> list[tuple[bytes, bytes]]:
    """What every stack sends with a small request, give or take what it adds by itself."""
    return [host_field(host, port), (b"Accept", b"*/*"), (b"User-Agent", b"benchmarks/1")]


def check(status: Any, body: Any, size: int = BODY_SIZE) -> None:
    if status != 200 or len(body) != size:
        raise RuntimeError(f"status {status} with {len(body)} bytes, not 200 with {size}")
