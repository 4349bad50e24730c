"""A stream in several hands: reader and writer at once, misuse, aborting, watching, cancelling."""

from __future__ import annotations

import threading
from typing import Any

from ..._exceptions import LocalProtocolError, NetworkError, ReadError
from .. import scripts
from ..http_server import pattern
from ..peer import Peer
from ..server import ScriptedServer
from .base import LIMIT, Lapse, SuiteBase, check, expect_error, has_default
from .connecting import deaf_port
from .streaming import LARGE, MORE_THAN_BUFFERS_HOLD


def echo(peer: Peer) -> None:
    while data := peer.receive():
        peer.send(data)


class SharingSuite(SuiteBase):
    @check
    async def test_reading_and_writing_at_once(self) -> None:
        """One task reads while another writes: 10 MB each way, of which neither end holds all."""
        data = pattern(LARGE)
        with self.serve(echo) as server:
            stream = await self.connect(server)
            job = self.start(stream.write, data, LIMIT)
            assert await self.read_exactly(stream, LARGE) == data
            await job.result()
            await stream.aclose()

    @check
    async def test_two_readers(self) -> None:
        """The second reader gets a `LocalProtocolError`; the first is not disturbed."""
        refused = threading.Event()
        with self.serve([scripts.hang(refused), scripts.send(b"data")]) as server:
            await self._read_twice(await self.connect(server), refused)

    @check
    async def test_two_readers_on_tls(self) -> None:
        """The same on TLS, where a read may have to write too."""
        server_context, client = self.tls_contexts()
        refused = threading.Event()
        steps = [scripts.hang(refused), scripts.send(b"data")]
        with self.serve(steps, ssl_context=server_context) as server:
            stream = await self.connect(server)
            stream = await stream.start_tls(client, self.server_hostname, LIMIT)
            await self._read_twice(stream, refused)

    async def _read_twice(self, stream: Any, refused: threading.Event) -> None:
        async def read() -> object:
            try:
                return await stream.read(10, LIMIT)
            except LocalProtocolError:
                refused.set()
                return "refused"

        jobs = [self.start(read) for _ in range(2)]
        assert {await job.result() for job in jobs} == {b"data", "refused"}
        await stream.aclose()

    @check
    async def test_two_writers(self) -> None:
        """The second writer gets a `LocalProtocolError`; what the first writes arrives whole."""
        refused = threading.Event()

        async def write(stream: Any, byte: bytes) -> bytes:
            try:
                await stream.write(byte * MORE_THAN_BUFFERS_HOLD, LIMIT)
            except LocalProtocolError:
                refused.set()
                return b""
            return byte

        with self.serve([scripts.hang(refused)]) as server:
            stream = await self.connect(server)
            jobs = [self.start(write, stream, byte) for byte in (b"1", b"2")]
            written = b"".join([await job.result() for job in jobs])
            assert len(written) == 1
            await stream.aclose()
            peer = server.wait_for_connection()
            await self.eventually(peer.done.is_set, "the peer has read everything")
            assert peer.received == written * MORE_THAN_BUFFERS_HOLD

    @check
    async def test_abort_ends_a_read(self) -> None:
        """`abort` from elsewhere makes a read fail with `ReadError`; the peer sees an end."""
        with self.serve([]) as server:
            stream = await self.connect(server)
            peer = server.wait_for_connection()
            job = self.start(stream.read, 10, LIMIT)
            if stream.abort():
                assert peer.has_left()  # at once: its place may be taken by another connection
            else:  # a stream may say that it cannot
                await stream.aclose()
            with Lapse(0.0, LIMIT / 2):
                await expect_error(ReadError, job.result())
            await self.eventually(peer.has_left, "the peer sees the end of the connection")
            await stream.aclose()

    @check
    async def test_abort_ends_a_write(self) -> None:
        """`abort` from elsewhere makes a write that waits fail, also while it is in progress."""
        with self.serve([scripts.hang()]) as server:
            stream = await self.connect(server)
            job = self.start(stream.write, bytes(MORE_THAN_BUFFERS_HOLD), LIMIT)
            if not stream.abort():
                await stream.aclose()
            with Lapse(0.0, LIMIT / 2):
                await expect_error(NetworkError, job.result())
            await stream.aclose()
            server.release()

    @check
    async def test_early_answer_stops_a_write(self) -> None:
        """`write_until_readable` returns how much was written when an answer arrives, though the
        peer has stopped reading. (A stream with the default writes on until the peer is back.)"""

        def script(peer: Peer) -> None:
            peer.read_exactly(1_000_000)
            peer.send(b"enough")
            peer.hang()

        with self.serve(script) as server:
            stream = await self.connect(server)
            if has_default(stream, "write_until_readable"):
                server.release()
            with Lapse(0.0, LIMIT / 2):
                written = await stream.write_until_readable(bytes(MORE_THAN_BUFFERS_HOLD), LIMIT)
            if not has_default(stream, "write_until_readable"):
                assert 1_000_000 <= written < MORE_THAN_BUFFERS_HOLD
            assert await self.read_exactly(stream, 6) == b"enough"
            await stream.aclose()
            server.release()

    @check
    async def test_write_until_readable_without_an_answer(self) -> None:
        """`write_until_readable` writes everything when nothing arrives."""
        with self.serve([]) as server:
            stream = await self.connect(server)
            assert await stream.write_until_readable(pattern(LARGE), LIMIT) == LARGE
            await stream.aclose()
            peer = server.wait_for_connection()
            await self.eventually(peer.done.is_set, "the peer has read everything")
            assert peer.received == pattern(LARGE)

    @check
    async def test_read_nowait(self) -> None:
        """`read_nowait` returns what has arrived or None, and takes nothing from later reads."""
        with self.serve([scripts.expect(b"x"), scripts.send(b"abc"), scripts.close()]) as server:
            stream = await self.connect(server)
            assert stream.read_nowait(10) is None
            await stream.write(b"x")
            await self.readable(stream)
            first = stream.read_nowait(2)
            assert first in (b"ab", b"a", None)
            assert (first or b"") + await self.read_all(stream) == b"abc"
            await stream.aclose()

    @check
    async def test_watching(self) -> None:
        """A stream that can be watched tells once when the peer ends an idle connection, and then
        is read as ever; one that is no longer watched tells nothing."""
        told: list[str] = []
        with self.serve([scripts.expect(b"x"), scripts.send(b"data"), scripts.close()]) as server:
            stream = await self.connect(server)
            stream.watch(lambda: told.append("stopped"))
            stream.watch(None)
            if stream.watch(lambda: told.append("arrived")):
                await stream.write(b"x")
                await self.eventually(lambda: told, "the watcher is told")
                assert await self.read_all(stream) == b"data"
                assert told == ["arrived"]
            await stream.aclose()


class CancellingSuite(SuiteBase):
    """For async backends: what a cancelled operation leaves behind."""

    @check
    async def test_cancelled_read_loses_nothing(self) -> None:
        """What arrives after, or while, a read is cancelled is there for the next one."""
        with self.serve([scripts.hang(), scripts.send(b"data")]) as server:
            await self._cancel_reads(await self.connect(server), server)

    @check
    async def test_cancelled_read_on_tls_loses_nothing(self) -> None:
        """The same on TLS, where half a record may have arrived."""
        server_context, client = self.tls_contexts()
        steps = [scripts.hang(), scripts.send(b"data")]
        with self.serve(steps, ssl_context=server_context) as server:
            stream = await self.connect(server)
            stream = await stream.start_tls(client, self.server_hostname, LIMIT)
            await self._cancel_reads(stream, server)

    async def _cancel_reads(self, stream: Any, server: ScriptedServer) -> None:
        for release in (False, True):
            job = self.start(stream.read, 10)
            await self.let_others_run()
            if release:
                server.release()
            job.cancel()
            await job.wait()
        first = job.value or b""  # the data may have been faster than the cancellation
        assert first + await self.read_exactly(stream, 4 - len(first)) == b"data"
        await stream.aclose()

    @check
    async def test_cancelled_write_can_be_closed(self) -> None:
        """After a cancelled write the stream can be closed at once."""
        with self.serve([scripts.hang()]) as server:
            stream = await self.connect(server)
            job = self.start(stream.write, bytes(MORE_THAN_BUFFERS_HOLD))
            await self.let_others_run()
            job.cancel()
            await job.wait()
            with Lapse(0.0, LIMIT / 2):
                await stream.aclose()
            server.release()

    @check
    async def test_cancelled_connect(self) -> None:
        """A cancelled connection attempt ends at once and leaves no socket."""
        with deaf_port() as port, Lapse(0.0, LIMIT / 2):
            job = self.start(self.backend.connect_tcp, "127.0.0.1", port)
            await self.let_others_run()
            job.cancel()
            await job.wait()

    @check
    async def test_cancelled_handshake(self) -> None:
        """A cancelled TLS handshake ends at once; closing leaves no socket."""
        _, client = self.tls_contexts()
        with self.serve([scripts.hang()]) as server, Lapse(0.0, LIMIT / 2):
            stream = await self.connect(server)
            job = self.start(stream.start_tls, client, self.server_hostname)
            await self.let_others_run()
            job.cancel()
            await job.wait()
            await stream.aclose()
            server.release()

    @check
    async def test_cancelled_sleep(self) -> None:
        """A cancelled sleep ends at once."""
        with Lapse(0.0, LIMIT / 2):
            job = self.start(self.backend.sleep, 3600.0)
            await self.let_others_run()
            job.cancel()
            await job.wait()
