"""The client's TLS handshake over any network stream.

`tests/unasync.py` makes the sync twin of this file. Rules: bytes are moved between the network
stream and a `TLSEngine`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .._concurrency import shielded_async
from .._exceptions import (
    ConnectError,
    ConnectTimeout,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)
from .base import AsyncNetworkStream

if TYPE_CHECKING:
    import ssl

    from .._tls_engine import TLSEngine

Clock = Callable[[], float]

READ_SIZE = 512 * 1024
"""Bytes of ciphertext read at a time: as much as the event loop has received, see `READ_LIMIT` of
`asyncio_protocol`. Blocking sockets cost the same from 256 to 512 KiB."""


async def shake_hands(
    stream: AsyncNetworkStream,
    ssl_context: ssl.SSLContext,
    server_hostname: str | None,
    timeout: float | None,
    clock: Clock,
) -> TLSEngine:
    """All of it within `timeout` seconds of `clock`.

    Raises `ConnectError` and `ConnectTimeout`, or `LocalProtocolError` for a server name that TLS
    cannot send; `stream` is closed then, as it is on cancellation.
    """
    from .._tls_engine import TLSEngine

    engine: TLSEngine | None = None
    try:
        engine = TLSEngine(ssl_context, server_hostname)
        await _shake_hands(stream, engine, timeout, clock)
    except BaseException:
        if engine is not None and engine.has_outgoing():
            stream.write_nowait(engine.outgoing())  # the alert that says why
        if not stream.abort():
            await shielded_async(stream.aclose)
        raise
    return engine


async def _shake_hands(
    stream: AsyncNetworkStream, engine: TLSEngine, timeout: float | None, clock: Clock
) -> None:
    deadline = None if timeout is None else clock() + timeout
    left = timeout
    try:
        while not engine.handshake():
            if engine.has_outgoing():
                await stream.write(engine.outgoing(), left)
            if deadline is not None:
                left = max(deadline - clock(), 0.0)
            engine.feed(await stream.read(READ_SIZE, left))
            if deadline is not None:
                left = max(deadline - clock(), 0.0)
        if engine.has_outgoing():
            await stream.write(engine.outgoing(), left)
    except (ReadTimeout, WriteTimeout) as exc:
        text = "the TLS handshake timed out"
        raise ConnectTimeout(text, phase="tls", limit=timeout) from exc
    except (ReadError, WriteError) as exc:
        text = f"the connection broke during the TLS handshake: {exc.message}"
        raise ConnectError(text, phase="tls") from exc
