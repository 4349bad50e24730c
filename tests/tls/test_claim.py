"""Whose turn it is to send on a TLS stream, where its reader has something to say as well."""

from __future__ import annotations

import time
from typing import Any

from httpcore_core._backends.async_tls import AsyncTLSStream
from httpcore_core._backends.base import AsyncNetworkStream
from httpcore_core._concurrency import AsyncEvent
from tests.concurrency import AsyncTaskGroup


class Engine:
    """Encrypts nothing."""

    out = b""

    def readable(self) -> bool:
        return False

    def outgoing(self) -> bytes:
        out, self.out = self.out, b""
        return out

    def encrypt(self, plaintext: Any) -> None:
        self.out += bytes(plaintext)


class Network(AsyncNetworkStream):
    written = b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.written += buffer

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        self.written += buffer
        return len(buffer)

    def is_readable(self) -> bool:
        return False


async def test_a_writer_whose_turn_was_taken_waits_again() -> None:
    """An event that is set does not wait a second time: nobody else would ever run again."""
    network, engine = Network(), Engine()
    stream = AsyncTLSStream(network, engine, time.monotonic)  # type: ignore[arg-type]
    assert stream._claim()  # as the reader does, which has an answer to send
    async with AsyncTaskGroup() as group:
        writer = group.start(stream.write, b"data", 60.0)
        while stream._waiter is None:
            await AsyncEvent().wait(0.001)
        stream._give_up_claim()
        assert stream._claim()  # before the writer could
        while stream._waiter is None:
            await AsyncEvent().wait(0.001)
        assert network.written == b""
        stream._give_up_claim()
        await writer.result()
    assert network.written == b"data"
