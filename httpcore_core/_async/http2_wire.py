"""Reading and writing on a connection that many requests share.

Theory of operation
===================

*The lock* guards the protocol object and the marks below. It is held for a moment, and for pure
code only; nobody waits for the network with it.

*Reading.* One at a time reads, for everyone. Who needs something that has not come takes the role
of the reader if it is free (`join`), and reads until something has come for him; who finds it taken
is a follower and waits for his event. The reader wakes those whom `receive_data` names. Whoever
leaves, by success, timeout or cancellation, sees to it that one of the followers takes the role
over if it is free. A read that is cancelled loses no data, so the reader may go at any time.

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

from .._backends.base import AsyncNetworkStream, may_go_on
from .._concurrency import AsyncEvent, Lock, detach_async
from .._exceptions import ReadError, ReadTimeout, TransportError, WriteError, WriteTimeout
from .._protocol.http2 import HTTP2Protocol, HTTP2Stream
from .._protocol.http2_keepalive import KeepAlive

READ_SIZE = 128 * 1024


class AsyncHTTP2Wire:
    """The part of a connection that moves bytes. What they say is the protocol's to know."""

    __slots__ = (
        "_broken",
        "_followers",
        "_is_named",
        "_is_writing",
        "_keepalive",
        "_limit",
        "_out",
        "_read_count",
        "_reader",
        "_reports",
        "_stream",
        "_writers",
        "clock",
        "lock",
        "protocol",
    )

    def __init__(
        self,
        stream: AsyncNetworkStream,
        protocol: HTTP2Protocol,
        keepalive: KeepAlive | None,
        clock: Callable[[], float],
    ) -> None:
        self.lock = Lock()
        self.protocol = protocol
        self._stream = stream
        self.clock = clock
        self._keepalive = keepalive
        self._limit: int | None = None  # as the pool knows it
        self._reader: object = None  # the stream that reads for all, or another one that does
        self._read_count = 0
        self._is_named = False  # something has come for the reader
        self._followers: dict[object, AsyncEvent] = {}
        self._out: bytes | memoryview = b""  # taken from the protocol, and still to be written
        self._is_writing = False
        self._writers: list[AsyncEvent] = []  # those who wait for the role
        self._reports: list[AsyncEvent] = []  # those who wait until somebody has read
        self._broken: WriteError | None = None  # nothing can be written any more

    # Reading

    def join(self, stream: object) -> AsyncEvent | None:
        """Take a place among those who wait, for `wait`: a stream, or whatever else is woken by
        the first SETTINGS only. To be called with the lock, in the same
        section in which was seen that there is nothing for `stream`: or it might come between."""
        if self._reader is None:
            self._reader = stream
            self._is_named = False
            return None
        turn = self._followers[stream] = AsyncEvent()
        return turn

    async def wait(self, stream: object, turn: AsyncEvent | None, deadline: float | None) -> None:
        """Wait until something may have changed for `stream`. `turn` is what `join` returned.

        Raises `ReadTimeout` at the deadline. What else goes wrong, the protocol will tell.
        """
        try:
            if turn is None:
                await self._read_until_named(deadline)
            else:
                left = None if deadline is None else max(deadline - self.clock(), 0.0)
                if not await turn.wait(left):
                    raise ReadTimeout("nothing was received in time")
        finally:
            self._leave(stream, turn)

    def _leave(self, stream: object, turn: AsyncEvent | None) -> None:
        with self.lock:
            if turn is None:
                self._reader = None
                reports, self._reports = self._reports, []
            else:
                self._followers.pop(stream, None)
                reports = []
            if self._reader is None and self._followers:
                reports.append(self._followers.popitem()[1])  # somebody has to read
        for event in reports:
            event.set()

    async def _read_until_named(self, deadline: float | None) -> None:
        while not (self._is_named or self.protocol.is_closed):
            left = None if deadline is None else max(deadline - self.clock(), 0.0)
            budget = left if self._keepalive is None else self._keep_alive(self._keepalive, left)
            try:
                await self._read(budget)
            except ReadTimeout:
                if left is not None and (budget == left or left <= 0.0):
                    raise

    async def _read(self, budget: float | None) -> None:
        """Read once, for all. A read that is cancelled has taken nothing; one that is interrupted,
        by a signal, may have taken bytes that nobody will ever see."""
        try:
            self.receive(await self._stream.read(READ_SIZE, budget))
        except ReadTimeout:
            raise
        except TransportError as exc:
            self.lost(exc)
        except BaseException as exc:
            if not may_go_on(exc):
                self.lost(ReadError("a read was interrupted"))
            raise

    def _keep_alive(self, keepalive: KeepAlive, left: float | None) -> float:
        """See whether the peer is alive, if it has said nothing for long; returns for how long to
        read, at most `left` seconds."""
        now = self.clock()
        if keepalive.left(now) <= 0.0:
            if keepalive.is_asked:
                self.lost(ReadError("the server did not answer a PING in time"))
                return 0.0
            with self.lock:
                self.protocol.ping()
            keepalive.asked(now)
            self.write_soon()
        silence = keepalive.left(now)
        return silence if left is None else min(left, silence)

    def receive(self, data: bytes) -> None:
        """Hand what was read to the protocol, and wake those for whom something has come."""
        if self._keepalive is not None:
            self._keepalive.heard(self.clock())
        protocol = self.protocol
        with self.lock:
            self._read_count += 1
            had_settings = protocol.has_settings
            events = self._wake(protocol.receive_data(data))
            if protocol.has_settings and not had_settings:
                events += self._wake_all()
            has_output = protocol.has_data_to_send
        for event in events:
            event.set()
        if has_output:
            self.write_soon()
        if protocol.is_closed:
            self.on_end()
        elif protocol.stream_limit != self._limit and (
            protocol.has_settings or protocol.is_retiring
        ):
            self.on_limit()

    def _wake(self, streams: list[HTTP2Stream]) -> list[AsyncEvent]:
        events = []
        for stream in streams:
            turn = self._followers.pop(stream, None)
            if turn is not None:
                events.append(turn)
            elif stream is self._reader:
                self._is_named = True
        if self._reports:
            events += self._reports
            self._reports = []
        return events

    def _wake_all(self) -> list[AsyncEvent]:
        self._is_named = True
        events = [*self._followers.values(), *self._reports]
        self._followers.clear()
        self._reports = []
        return events

    def let_go(self, stream: HTTP2Stream) -> AsyncEvent | None:
        """The stream has been closed, perhaps while somebody waits for it: with the lock. Returns
        whom to wake. One who reads for all can only be woken by the answer to a PING."""
        if stream is self._reader:
            self._is_named = True
            self.protocol.ping()
        return self._followers.pop(stream, None)

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

    def pull(self) -> None:
        """Take in what has arrived already, without waiting; not if somebody else is reading."""
        with self.lock:
            if self._reader is not None:
                return
            self._reader = self
        try:
            while not self.protocol.is_closed and self._stream.is_readable():
                data = self._stream.read_nowait(READ_SIZE)
                if data is None:
                    break
                self.receive(data)
        except TransportError as exc:
            self.lost(exc)
        except BaseException:
            self.lost(ReadError("a read was interrupted"))
            raise
        finally:
            self._leave(self, None)

    # Writing

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
        except BaseException:
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
            data, seen = self._out, self._read_count
            try:
                budget = self._write_budget(limit, deadline)
                count = await stream.write_until_readable(data, budget)  # type: ignore[arg-type]
            except WriteError as exc:
                self._write_failed(exc)
                return
            except BaseException as exc:
                self._keep_rest(data, exc)
                raise
            self._out = b"" if count == len(data) else memoryview(data)[count:]
            if self._out or stream.has_unsent:
                await self._let_read(seen, limit, deadline)

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
            await turn.wait(self._write_budget(limit, deadline))
            return
        try:
            await self._read(0.0)
        except ReadTimeout:
            pass  # it was a message of TLS's own
        finally:
            self._leave(self, None)

    # The connection has these: the number of streams has changed; nothing more will be received

    def on_limit(self) -> None:
        raise NotImplementedError

    def on_end(self) -> None:
        raise NotImplementedError
