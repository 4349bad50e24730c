"""Writing on a connection that many requests share, beside whoever reads for all.

Theory of operation
===================

*The lock* guards the protocol object and the marks of both halves. It is held for a moment, and for
pure code only; nobody waits for the network with it. Reading is in `http2_reader`.

*Writing.* Bytes belong to the connection from the moment they are queued, not to the request that
they are about. Who has queued something and finds the role of the writer free, writes until nothing
is left, his own and others'; who finds it taken waits until it is free again, or leaves it at that
if he need not wait (`write_soon`). A writer that is cancelled or out of time may stop in the middle
of a frame. The stream says how much it took (`bytes_taken`); the rest is kept, and written in the
background, because somebody else may be waiting for the answer to it. Where the stream does not
know, the connection is of no use any more.

*Both.* A peer may refuse to read until we do. So whoever has to wait in writing stops when there is
something to read, and reads it if nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable

from .._backends.base import AsyncNetworkStream
from .._concurrency import AsyncEvent, detach_async
from .._exceptions import ReadTimeout, TransportError, WriteError, WriteTimeout, may_go_on
from .._protocol.http2 import HTTP2Protocol
from .._protocol.http2_keepalive import KeepAlive
from .http2_reader import AsyncHTTP2Reader

LET_READ = 0.01
"""Seconds for which a writer that has stopped lets somebody else read before it goes on."""


class AsyncHTTP2Wire(AsyncHTTP2Reader):
    """The part of a connection that moves bytes. What they say is the protocol's to know."""

    __slots__ = ("_broken", "_is_writing", "_out", "_writers")

    def __init__(
        self,
        stream: AsyncNetworkStream,
        protocol: HTTP2Protocol,
        keepalive: KeepAlive | None,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(stream, protocol, keepalive, clock)
        self._out: bytes | memoryview = b""  # taken from the protocol, and still to be written
        self._is_writing = False
        self._writers: list[AsyncEvent] = []  # those who wait for the role
        self._broken: WriteError | None = None  # nothing can be written any more

    async def flush(self, limit: float | None, deadline: float | None) -> None:
        """Have everything written that is queued. `limit`, in seconds, bounds each wait, and
        `deadline` all of them. Raises `WriteTimeout`, `WriteError`."""
        while True:
            with self.lock:
                if self._broken is not None or not self._has_output():
                    return
                if not self._is_writing:
                    self._is_writing = True
                    break
                turn = AsyncEvent()
                self._writers.append(turn)
            try:
                if not await turn.wait(self._write_budget(limit, deadline)):
                    raise WriteTimeout("the connection took nothing more in time", limit=limit)
            except BaseException:
                with self.lock:
                    if turn in self._writers:
                        self._writers.remove(turn)
                self.write_soon()  # it may have been our turn
                raise
        try:
            await self._write_out(limit, deadline)
        except BaseException as exc:
            if not (may_go_on(exc) or isinstance(exc, TransportError)):
                self.lost(WriteError("a write was interrupted"))
            if self._stop_writing():
                self.write_soon()  # others may depend on what is left
            raise

    def _has_output(self) -> bool:
        return bool(self._out or self.protocol.has_data_to_send or self._stream.has_unsent)

    def _write_budget(self, limit: float | None, deadline: float | None) -> float | None:
        if deadline is None:
            return limit
        left = max(deadline - self.clock(), 0.0)
        return left if limit is None else min(limit, left)

    def write_soon(self) -> None:
        """Have everything written that is queued, without waiting for it."""
        if self._start_writing() and not self._write_now():
            detach_async(self._write_rest)

    def _start_writing(self) -> bool:
        with self.lock:
            if self._is_writing or self._broken is not None or not self._has_output():
                return False
            self._is_writing = True
            return True

    def _write_now(self) -> bool:
        """Write what the network takes at once; true if that was all, and the role is free."""
        while True:
            with self.lock:
                data = self._out = self._out or self.protocol.data_to_send()
                if not data and not self._stream.has_unsent:
                    self._is_writing = False
                    writers, self._writers = self._writers, []
                    break
            count = self._stream.write_nowait(data) if data else 0  # type: ignore[arg-type]
            self._out = b"" if count == len(data) else memoryview(data)[count:]
            if self._out or self._stream.has_unsent:
                return False
        for event in writers:
            event.set()
        return True

    async def _write_out(self, limit: float | None, deadline: float | None) -> None:
        """Write until nothing is left, and give the role back; it is still ours after an error."""
        stream = self._stream
        while not self._write_now():
            if self.protocol.is_closed:
                self._write_failed(WriteError("the server has closed the connection"))
                return
            data, seen = self._out, self._read_count
            try:
                budget = self._write_budget(limit, deadline)
                count = await self._write_some(data, budget)
            except WriteError as exc:
                self._write_failed(exc)
                return
            except BaseException as exc:
                self._keep_rest(data, exc)
                raise
            self._out = b"" if count == len(data) else memoryview(data)[count:]
            if self._out or stream.has_unsent:
                await self._let_read(seen, limit, deadline)

    async def _write_some(self, data: bytes | memoryview, budget: float | None) -> int:
        """Write until there is something to read; with PINGs, for no longer than a living peer
        would take neither to accept nor to say anything."""
        stream, keepalive = self._stream, self._keepalive
        if keepalive is None or (budget is not None and budget <= keepalive.patience):
            return await stream.write_until_readable(data, budget)  # type: ignore[arg-type]
        try:
            return await stream.write_until_readable(data, keepalive.patience)  # type: ignore[arg-type]
        except WriteTimeout as exc:
            if stream.bytes_taken:
                return stream.bytes_taken
            text = "the server neither took nor said anything, for longer than a PING may take"
            raise WriteError(text) from exc

    def _keep_rest(self, data: bytes | memoryview, exc: BaseException) -> None:
        """A write has ended early: whoever goes on does so behind what was taken."""
        taken = self._stream.bytes_taken if may_go_on(exc) else None
        if taken is None:
            self._out = b""
            self.lost(WriteError("a write was given up in the middle"))
        else:
            self._out = memoryview(data)[taken:]

    def _stop_writing(self) -> bool:
        """Give the role back; true if nobody waits for it."""
        with self.lock:
            self._is_writing = False
            writers, self._writers = self._writers, []
        for event in writers:
            event.set()
        return not writers

    async def _write_rest(self) -> None:
        """Write in the background what nobody waits for."""
        try:
            await self._write_out(None, None)
        except BaseException as exc:
            self._stop_writing()
            if not isinstance(exc, TransportError):
                raise  # cancelled, with the event loop

    def _write_failed(self, error: WriteError) -> None:
        """The peer takes nothing more. It may have said why, before; who reads will find out."""
        with self.lock:
            self._broken = error
            self._out = b""
            is_read = self._reader is not None
        self._stop_writing()
        if not is_read:
            self.pull()
            self.lost(error)

    async def _let_read(self, seen: int, limit: float | None, deadline: float | None) -> None:
        """There is something to read, which may be why the peer takes nothing: read it, or wait
        until whoever reads has done so; if somebody has since `seen`, there is nothing to do."""
        with self.lock:
            turn = None
            if self._reader is None:
                self._reader = self
            elif self._read_count != seen:
                return
            else:
                turn = AsyncEvent()
                self._reports.append(turn)
        if turn is not None:
            # Not for long: the peer may say nothing before it has what is left to be written.
            left = self._write_budget(limit, deadline)
            await turn.wait(LET_READ if left is None else min(left, LET_READ))
            return
        try:
            await self._read(0.0)
        except ReadTimeout:
            pass  # it was a message of TLS's own
        finally:
            self._leave(None)

    def lost(self, error: TransportError) -> None:
        """The network has failed: so does every request, with `error`."""
        with self.lock:
            was_closed = self.protocol.is_closed
            self._out = b""
            events = self._wake(self.protocol.connection_lost(error)) + self._wake_all()
            events += self._writers
            self._writers = []
        for event in events:
            event.set()
        if not was_closed:
            self.on_end()
