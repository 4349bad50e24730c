"""The client's TLS handshake over any network stream.

`tests/unasync.py` makes the sync twin of this file. Rules: bytes are moved between the network
stream and a `TLSEngine`; closing the stream when this fails is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

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
    from .._tls_engine import TLSEngine

Clock = Callable[[], float]

READ_SIZE = 256 * 1024
"""Bytes of ciphertext read at a time. Measured with AES-GCM: below 64 KiB the calls begin to show,
above 256 KiB the processor's caches."""


async def shake_hands(
    stream: AsyncNetworkStream, engine: TLSEngine, timeout: float | None, clock: Clock
) -> None:
    """All of it within `timeout` seconds of `clock`. Raises `ConnectError`, `ConnectTimeout`."""
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
