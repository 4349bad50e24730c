"""Reading on a connection that many requests share: one for everyone.

One at a time reads. Who needs something that has not come takes the role of the reader if it is
free (`join`), and reads until something has come for him; who finds it taken is a follower and
waits for his event. The reader wakes those whom `receive_data` names. Whoever leaves, by success,
timeout or cancellation, sees to it that one of the followers takes the role over if it is free. A
read that is cancelled loses no data, so the reader may go at any time.
"""

from __future__ import annotations

from collections.abc import Callable

from .._backends.base import AsyncNetworkStream
from .._concurrency import AsyncEvent, Lock
from .._exceptions import ReadError, ReadTimeout, TransportError, may_go_on
from .._protocol.http2 import HTTP2Protocol, HTTP2Stream
from .._protocol.http2_keepalive import KeepAlive

READ_SIZE = 128 * 1024


class AsyncHTTP2Reader:
    """The part of a connection that reads. What is received is the protocol's to understand."""

    __slots__ = (
        "_followers",
        "_is_named",
        "_keepalive",
        "_limit",
        "_read_count",
        "_reader",
        "_reports",
        "_stream",
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
        self._followers: dict[AsyncEvent, HTTP2Stream | None] = {}
        self._reports: list[AsyncEvent] = []  # those who wait until somebody has read

    def join(self, stream: HTTP2Stream | None) -> AsyncEvent | None:
        """Take a place among those who wait, for `wait`. To be called with the lock, in the same
        section in which was seen that there is nothing for `stream`: or it might come between.
        None waits for the first SETTINGS."""
        if self._reader is None:
            self._reader = stream or self
            self._is_named = False
            return None
        turn = AsyncEvent()
        self._followers[turn] = stream
        if stream is not None:  # in a tunnel one may wait to read, and one to write
            stream.waiters = (*stream.waiters, turn)
        return turn

    async def wait(self, turn: AsyncEvent | None, deadline: float | None) -> None:
        """Wait until something may have changed for the stream. `turn` is what `join` returned.

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
            self._leave(turn)

    def _leave(self, turn: AsyncEvent | None) -> None:
        with self.lock:
            if turn is None:
                self._reader = None
                reports, self._reports = self._reports, []
            else:
                reports = []
                self._forget(turn)
            if self._reader is None and self._followers:
                heir = next(reversed(self._followers))  # somebody has to read
                self._forget(heir)
                reports.append(heir)
        for event in reports:
            event.set()

    def _forget(self, turn: AsyncEvent) -> None:
        stream = self._followers.pop(turn, None)
        if stream is not None:
            stream.waiters = tuple(other for other in stream.waiters if other is not turn)

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
                if self._stream.is_readable():
                    return 0.0  # the answer is there, and nobody has read it so far
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
        protocol = self.protocol
        has_ended = protocol.is_closed
        if has_ended:
            return
        if self._keepalive is not None:
            self._keepalive.heard(self.clock())
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
        events: list[AsyncEvent] = []
        for stream in streams:
            if stream.waiters:
                events += self._take_waiters(stream)
            if stream is self._reader:
                self._is_named = True
        if self._reports:
            events += self._reports
            self._reports = []
        return events

    def _wake_all(self) -> list[AsyncEvent]:
        self._is_named = True
        events = [*self._followers, *self._reports]
        for turn in self._followers.copy():
            self._forget(turn)
        self._reports = []
        return events

    def _take_waiters(self, stream: HTTP2Stream) -> tuple[AsyncEvent, ...]:
        turns, stream.waiters = stream.waiters, ()
        for turn in turns:
            self._followers.pop(turn, None)
        return turns

    def let_go(self, stream: HTTP2Stream) -> tuple[AsyncEvent, ...]:
        """The stream has been closed, perhaps while somebody waits for it: with the lock. Returns
        whom to wake. One who reads for all can only be woken by the answer to a PING."""
        if stream is self._reader:
            self._is_named = True
            self.protocol.ping()
        return self._take_waiters(stream)

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
            self._leave(None)

    # The connection has these

    def write_soon(self) -> None:
        """Have everything written that is queued, without waiting for it."""
        raise NotImplementedError

    def lost(self, error: TransportError) -> None:
        """The network has failed: so does every request, with `error`."""
        raise NotImplementedError

    def on_limit(self) -> None:
        """The number of streams that may be open has changed."""
        raise NotImplementedError

    def on_end(self) -> None:
        """Nothing more will be received."""
        raise NotImplementedError
