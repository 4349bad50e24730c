"""A stream that many write to in turn: what is left of a write that was not finished, and how the
next one goes on behind it."""

from __future__ import annotations

import functools
import select
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ..._exceptions import WriteTimeout
from ..http_server import pattern
from ..peer import Peer
from .base import LIMIT, SuiteBase, check, expect_error, has_default
from .streaming import MORE_THAN_BUFFERS_HOLD

MORE = 1_000_000
"""Bytes that are written when the peer reads again."""


class Link:
    """A stream whose peer does not read until it is told how much there will be."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.stream: Any = None
        self.peer: Any = None
        self.size = 0
        self.answering = threading.Event()
        self.reading = threading.Event()

    def serve(self, contexts: list[Any], peer: Peer) -> None:
        self.peer = peer
        for context in contexts:
            peer.start_tls(context)
        peer.send(b"!")  # all that TLS has to say first has arrived with it
        peer.hang(self.answering)
        peer.send(b"answer")
        peer.hang(self.reading)
        peer.read_exactly(self.size)
        peer.send(b"ok")

    def is_full(self) -> bool:
        sock = self.stream.get_extra_info("socket")
        return not select.select([], [sock], [], 0)[1]

    async def go_on(self, data: bytes, taken: int) -> bytes:
        """Write some more behind what was taken; return what there should be on the other side."""
        whole = data[: taken + MORE]
        self.size = len(whole)
        self.answering.set()
        self.reading.set()
        while taken < len(whole):
            if self.stream.is_readable():
                await self.stream.read(6, LIMIT)  # the answer
            taken += await self.stream.write_until_readable(whole[taken:], LIMIT)
        while self.stream.has_unsent and not self.stream.is_readable():
            await self.stream.write_until_readable(b"", LIMIT)
        return whole


class _LinkSuite(SuiteBase):
    @asynccontextmanager
    async def link(self, layers: int) -> AsyncIterator[Link]:
        pairs = [self.tls_contexts() for _ in range(layers)]
        link = Link(layers)
        script = functools.partial(link.serve, [server for server, _ in pairs])
        with self.serve(script) as server:
            link.stream = await self.connect(server)
            for _, client in pairs:
                link.stream = await link.stream.start_tls(client, self.server_hostname, LIMIT)
            assert await self.read_exactly(link.stream, 1) == b"!"
            yield link
            await link.stream.aclose()
            link.answering.set()
            link.reading.set()

    async def finish(self, link: Link, data: bytes) -> None:
        """Go on where the stream says, and see whether it is right; a stream need not know."""
        taken = link.stream.bytes_taken
        if taken is None:
            return
        assert 0 < taken < len(data)
        whole = await link.go_on(data, taken)
        tail = b""
        while not tail.endswith(b"ok"):
            tail += await link.stream.read(10, LIMIT)
        assert not link.stream.has_unsent
        await link.stream.aclose()
        await self.eventually(link.peer.done.is_set, "the peer sees our end")
        assert link.peer.received == whole
        assert not link.peer.truncated


class ResumingSuite(_LinkSuite):
    @check
    async def test_a_write_goes_on_after_a_timeout(self) -> None:
        """`bytes_taken` tells how much of a buffer was taken before `write_until_readable` timed
        out: what is written from there on arrives right behind it. Or it is None."""
        await self._time_out(0)

    @check
    async def test_a_write_goes_on_after_a_timeout_on_tls(self) -> None:
        """The same on TLS, where a record may have been cut in two."""
        await self._time_out(1)

    @check
    async def test_a_write_goes_on_after_a_timeout_on_tls_within_tls(self) -> None:
        """The same on TLS within TLS, where it may have been one of either."""
        await self._time_out(2)

    async def _time_out(self, layers: int) -> None:
        data = pattern(MORE_THAN_BUFFERS_HOLD)
        async with self.link(layers) as link:
            call = link.stream.write_until_readable(data, 0.2)
            assert (await expect_error(WriteTimeout, call)).limit == 0.2
            if link.stream.bytes_taken is not None:  # and again, from there
                rest = data[link.stream.bytes_taken :]
                first = link.stream.bytes_taken
                await expect_error(WriteTimeout, link.stream.write_until_readable(rest, 0.01))
                assert link.stream.bytes_taken is not None
                link.stream.bytes_taken += first
            await self.finish(link, data)

    @check
    async def test_a_served_read_ends_a_write(self) -> None:
        """A write that waits returns how much it has written once somebody else's read, begun
        before it, has got what came."""
        await self._serve_read(0, self._read_then_write)

    @check
    async def test_a_served_read_ends_a_write_on_tls(self) -> None:
        """The same on TLS."""
        await self._serve_read(1, self._read_then_write)

    @check
    async def test_a_served_read_ends_a_write_on_tls_within_tls(self) -> None:
        """The same on TLS within TLS."""
        await self._serve_read(2, self._read_then_write)

    @check
    async def test_a_read_that_begins_during_a_write(self) -> None:
        """The same with a read that begins while the write waits."""
        await self._serve_read(0, self._write_then_read)

    @check
    async def test_a_read_that_begins_during_a_write_on_tls(self) -> None:
        """The same on TLS."""
        await self._serve_read(1, self._write_then_read)

    async def _serve_read(self, layers: int, start: Callable[[Link, bytes], Any]) -> None:
        data = pattern(MORE_THAN_BUFFERS_HOLD)
        async with self.link(layers) as link:
            if has_default(link.stream, "write_until_readable"):
                return  # it writes everything, whatever comes
            reader, writer = await start(link, data)
            link.answering.set()
            assert await reader.result() == b"answer"
            count = await writer.result()
            link.stream.bytes_taken = count  # to check what was counted in the same way
            await self.finish(link, data)

    async def _read_then_write(self, link: Link, data: bytes) -> Any:
        reader = self.start(link.stream.read, 100, LIMIT)
        writer = self.start(link.stream.write_until_readable, data, 3 * LIMIT)
        await self.eventually(link.is_full, "the network takes nothing more")
        return reader, writer

    async def _write_then_read(self, link: Link, data: bytes) -> Any:
        writer = self.start(link.stream.write_until_readable, data, 3 * LIMIT)
        await self.eventually(link.is_full, "the network takes nothing more")
        return self.start(link.stream.read, 100, LIMIT), writer


class CancelledWriteSuite(_LinkSuite):
    """For async backends."""

    @check
    async def test_a_write_goes_on_after_a_cancellation(self) -> None:
        """`bytes_taken` tells how much was taken before `write_until_readable` was cancelled."""
        await self._cancel(0)

    @check
    async def test_a_write_goes_on_after_a_cancellation_on_tls(self) -> None:
        """The same on TLS."""
        await self._cancel(1)

    @check
    async def test_a_write_goes_on_after_a_cancellation_on_tls_within_tls(self) -> None:
        """The same on TLS within TLS."""
        await self._cancel(2)

    async def _cancel(self, layers: int) -> None:
        data = pattern(MORE_THAN_BUFFERS_HOLD)
        async with self.link(layers) as link:
            job = self.start(link.stream.write_until_readable, data)
            await self.eventually(link.is_full, "the network takes nothing more")
            job.cancel()
            await job.wait()
            await self.finish(link, data)
