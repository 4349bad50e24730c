"""Reading and writing on one stream, by one task: data, ends, errors, time limits."""

from __future__ import annotations

import hashlib
import threading

from ..._exceptions import ReadError, ReadTimeout, WriteError, WriteTimeout
from .. import scripts
from ..http_server import pattern
from ..peer import Peer
from .base import LIMIT, Lapse, SuiteBase, check, expect_error, root_cause

LARGE = 10_000_000
MORE_THAN_BUFFERS_HOLD = 64_000_000


class StreamingSuite(SuiteBase):
    @check
    async def test_read_returns_what_there_is(self) -> None:
        """A read returns at most `max_bytes`, does not wait for more, and loses nothing."""
        with self.serve([scripts.send(b"abcdef"), scripts.hang()]) as server:
            stream = await self.connect(server)
            assert await stream.read(4, LIMIT) == b"abcd"
            assert await stream.read(100, LIMIT) == b"ef"
            await stream.aclose()
            server.release()

    @check
    async def test_read_to_gives_what_read_would(self) -> None:
        """At most `max_bytes` at a time, in order, the end as ``b""``; mixed with other reads."""
        with self.serve([scripts.send(pattern(LARGE)), scripts.close()]) as server:
            stream = await self.connect(server)
            digest = hashlib.sha256()
            pieces: list[bytes] = []
            sizes = (1, 100, 16 * 1024, 64 * 1024, 100_000, 1_000_000)
            for turn in range(LARGE):
                size = sizes[turn % len(sizes)]
                if turn % 4 == 3:
                    pieces.append(await stream.read(size, LIMIT))
                else:
                    await stream.read_to(lambda piece: pieces.append(bytes(piece)), size, LIMIT)
                assert sum(map(len, pieces)) <= size
                if pieces[-1] == b"":
                    break
                for piece in pieces:
                    digest.update(piece)
                pieces.clear()
            assert digest.digest() == hashlib.sha256(pattern(LARGE)).digest()
            await stream.aclose()

    @check
    async def test_end_of_stream(self) -> None:
        """After the peer's end every read returns ``b""``."""
        with self.serve([scripts.send(b"all"), scripts.close()]) as server:
            stream = await self.connect(server)
            assert await self.read_all(stream) == b"all"
            assert [await stream.read(10, LIMIT) for _ in range(3)] == [b"", b"", b""]
            assert stream.get_extra_info("is_readable")
            await stream.aclose()

    @check
    async def test_half_close(self) -> None:
        """When the peer has ended its side we can still write."""
        steps = [scripts.half_close(), scripts.expect(b"still here")]
        with self.serve(steps) as server:
            stream = await self.connect(server)
            assert await stream.read(10, LIMIT) == b""
            await stream.write(b"still here", LIMIT)
            await stream.aclose()
            await self.eventually(server.connections[0].done.is_set, "the peer sees our end")
            assert bytes(server.connections[0].received) == b"still here"

    @check
    async def test_write(self) -> None:
        """Writes arrive whole and in order; an empty one is nothing; other buffers work too."""
        with self.serve([]) as server:
            stream = await self.connect(server)
            for piece in (b"one ", b"", b"two ", bytearray(b"three "), memoryview(b"four")):
                await stream.write(piece, LIMIT)
            await stream.aclose()
            peer = server.wait_for_connection()
            await self.eventually(peer.done.is_set, "the peer sees our end")
            assert (bytes(peer.received), peer.ended) == (b"one two three four", "FIN")

    @check
    async def test_large_write_to_a_slow_reader(self) -> None:
        """10 MB arrive byte for byte although the peer does not read at first."""
        data, go = pattern(LARGE), threading.Event()
        digests: list[bytes] = []

        def script(peer: Peer) -> None:
            peer.hang(go)
            digests.append(hashlib.sha256(peer.read_exactly(LARGE)).digest())
            peer.send(b"ok")

        with self.serve(script) as server:
            stream = await self.connect(server)
            job = self.start(stream.write, data, LIMIT)
            server.wait_for_connection()
            go.set()
            await job.result()
            assert await self.read_exactly(stream, 2) == b"ok"
            assert digests == [hashlib.sha256(data).digest()]
            await stream.aclose()

    @check
    async def test_large_read(self) -> None:
        """10 MB are read byte for byte, in pieces of no more than what was asked for."""
        data = pattern(LARGE)
        with self.serve([scripts.send(data), scripts.close()]) as server:
            stream = await self.connect(server)
            received = bytearray()
            while piece := await stream.read(50_000, LIMIT):
                assert len(piece) <= 50_000
                received += piece
            assert received == data
            await stream.aclose()

    @check
    async def test_what_is_not_read_is_not_buffered_without_bound(self) -> None:
        """A peer that sends faster than we read is slowed down."""
        sent = [0]
        piece = bytes(1_000_000)

        def script(peer: Peer) -> None:
            while sent[0] < MORE_THAN_BUFFERS_HOLD:
                peer.send(piece)
                sent[0] += len(piece)
            peer.close()

        with self.serve(script) as server:
            stream = await self.connect(server)
            first = await stream.read(10, LIMIT)
            previous = -1
            while sent[0] != previous:  # until the peer has been at a standstill for a while
                previous = sent[0]
                await self.backend.sleep(0.1)
            assert sent[0] < MORE_THAN_BUFFERS_HOLD
            rest = 0
            while data := await stream.read(1_000_000, LIMIT):
                rest += len(data)
            assert len(first) + rest == MORE_THAN_BUFFERS_HOLD
            await stream.aclose()

    @check
    async def test_reset_while_reading(self) -> None:
        """A reset is a `ReadError` with its cause."""
        with self.serve([scripts.expect(b"x"), scripts.reset()]) as server:
            stream = await self.connect(server)
            await stream.write(b"x")
            error = await expect_error(ReadError, stream.read(10, LIMIT))
            assert isinstance(root_cause(error), OSError)
            await stream.aclose()

    @check
    async def test_data_before_a_reset(self) -> None:
        """What arrived before a reset is returned before the reset is raised."""
        steps = [scripts.expect(b"x"), scripts.send(b"last words"), scripts.reset()]
        with self.serve(steps) as server:
            stream = await self.connect(server)
            await stream.write(b"x")
            server.wait_for_connection().done.wait(LIMIT)
            assert await self.read_exactly(stream, 10) == b"last words"
            await expect_error(ReadError, stream.read(10, LIMIT))
            await stream.aclose()

    @check
    async def test_reset_while_writing(self) -> None:
        """Writing to a peer that has reset the connection is a `WriteError` with its cause."""
        with self.serve([scripts.expect(b"x"), scripts.reset()]) as server:
            stream = await self.connect(server)
            await stream.write(b"x")
            server.wait_for_connection().done.wait(LIMIT)
            error = await expect_error(WriteError, self._write_again_and_again(stream))
            assert isinstance(root_cause(error), OSError)
            await stream.aclose()

    async def _write_again_and_again(self, stream: object) -> None:
        for _ in range(100):  # the first write may be taken before the reset is noticed
            await stream.write(b"x" * 65536, LIMIT)  # type: ignore[attr-defined]  # a stream

    @check
    async def test_read_timeout(self) -> None:
        """`timeout` ends a read that nothing arrives for; later reads lose nothing."""
        with self.serve([scripts.hang(), scripts.send(b"late")]) as server:
            stream = await self.connect(server)
            for _ in range(2):
                with Lapse(0.1, 1.5):
                    error = await expect_error(ReadTimeout, stream.read(10, 0.1))
                    assert error.limit == 0.1
            server.release()
            assert await stream.read(10, LIMIT) == b"late"
            await stream.aclose()

    @check
    async def test_timeout_zero(self) -> None:
        """With timeout 0 a read returns what is there and does not wait; a write writes what the
        system takes at once."""
        with self.serve([scripts.expect(b"x"), scripts.send(b"there")]) as server:
            stream = await self.connect(server)
            with Lapse(0.0, 1.0):
                await expect_error(ReadTimeout, stream.read(10, 0))
            await stream.write(b"x", 0)
            await self.readable(stream)
            assert await stream.read(10, 0) == b"there"
            await stream.aclose()

    @check
    async def test_write_timeout(self) -> None:
        """`timeout` ends a write of which the peer takes nothing any more."""
        with self.serve([scripts.hang()]) as server:
            stream = await self.connect(server)
            with Lapse(0.2, 5.0):
                error = await expect_error(
                    WriteTimeout, stream.write(bytes(MORE_THAN_BUFFERS_HOLD), 0.2)
                )
                assert error.limit == 0.2
            with Lapse(0.0, 1.0):
                await stream.aclose()
            server.release()

    @check
    async def test_close(self) -> None:
        """Closing may be repeated; afterwards reading and writing fail as `ReadError` and
        `WriteError`. The peer sees an end, not a reset."""
        with self.serve([]) as server:
            stream = await self.connect(server)
            await stream.aclose()
            await stream.aclose()
            await expect_error(ReadError, stream.read(10, LIMIT))
            await expect_error(WriteError, stream.write(b"x", LIMIT))
            peer = server.wait_for_connection()
            await self.eventually(peer.done.is_set, "the peer sees our end")
            assert peer.ended == "FIN"

    @check
    async def test_is_readable(self) -> None:
        """True once data or the end has arrived, and not before."""
        steps = [scripts.expect(b"1"), scripts.send(b"data"), scripts.expect(b"2"), scripts.close()]
        with self.serve(steps) as server:
            stream = await self.connect(server)
            assert not stream.get_extra_info("is_readable")
            await stream.write(b"1")
            await self.readable(stream)
            assert await self.read_exactly(stream, 4) == b"data"
            assert not stream.get_extra_info("is_readable")
            await stream.write(b"2")
            await self.readable(stream)
            assert await stream.read(10, LIMIT) == b""
            await stream.aclose()
