"""Mock network backends: canned reads, recorded writes, and faults at scripted moments.

    MockBackend([b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n", b"ok"])

Each item of the list is what one read returns; ``b""``, or the end of the list, is the end of the
stream. An item may also be an exception (or its class), which that read raises, a `Delay`, or an
`Arrived`. Further scripts say what the peer accepts of our writes (`accept`: a number of bytes, an
exception, a `Delay`, in order), and how each connection attempt (`connect`) and each TLS handshake
of a stream (`handshake`) goes: None, an exception, a `Delay`, or a list of these.

Rules of this file: nothing here really waits. Delays and time limits are kept on a virtual clock,
which a wait moves on, and which tests move with ``backend.clock.advance(seconds)``. An async
operation is one checkpoint of the library that runs it, and more only where it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Self, TypeVar

from .._exceptions import ConnectError, ConnectTimeout
from .base import (
    AsyncNetworkBackend,
    NetworkBackend,
    SocketOption,
    TimerHandle,
)
from .mock_clock import VirtualClock, play, play_async
from .mock_script import AcceptStep, Arrived, Delay, EventScript, ReadStep, play_event
from .mock_stream import AsyncMockStream, MockSSLObject, MockState, MockStream

__all__ = [
    "Arrived",
    "AsyncMockBackend",
    "AsyncMockStream",
    "Connect",
    "Delay",
    "MockBackend",
    "MockSSLObject",
    "MockStream",
    "Script",
    "VirtualClock",
]


@dataclass(frozen=True)
class Script:
    """All that one connection does, where a list of reads is not enough."""

    reads: Sequence[ReadStep] = ()
    accept: Sequence[AcceptStep] = ()
    handshake: Sequence[EventScript] = ()
    http2: bool = False


class Connect(NamedTuple):
    """The arguments of a connection attempt; `path` is set for unix domain sockets."""

    host: str | None
    port: int | None
    path: str | None
    timeout: float | None
    local_address: str | None
    socket_options: list[SocketOption] | None


_Stream = TypeVar("_Stream", bound=MockState)


class _MockConnector(Generic[_Stream]):
    """What sync and async mock backends have in common: all but the waiting."""

    _stream_class: type[_Stream]

    def __init__(
        self,
        buffer: Iterable[ReadStep] = (),
        http2: bool = False,
        *,
        connect: Iterable[EventScript] = (),
        accept: Iterable[AcceptStep] = (),
        handshake: Iterable[EventScript] = (),
        clock: VirtualClock | None = None,
    ) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.connects: list[Connect] = []
        self.streams: list[_Stream] = []
        self.sleeps: list[float] = []
        self._every = Script(list(buffer), list(accept), list(handshake), http2)
        self._scripts: Iterator[Script] | None = None
        self._attempts = iter(list(connect))

    @classmethod
    def scripted(
        cls,
        scripts: Iterable[Script | Iterable[ReadStep]],
        *,
        connect: Iterable[EventScript] = (),
        clock: VirtualClock | None = None,
    ) -> Self:
        """A backend whose connections take these scripts in turn. A connection more than there
        are scripts is refused."""
        backend = cls(connect=connect, clock=clock)
        backend._scripts = iter(
            [script if isinstance(script, Script) else Script(list(script)) for script in scripts]
        )
        return backend

    @property
    def open_streams(self) -> int:
        """How many of the streams have been neither closed nor forgotten."""
        return sum(not stream.is_closed for stream in self.streams)

    def now(self) -> float:
        return self.clock.now()

    def _connect(self, attempt: Connect) -> Generator[float, None, _Stream]:
        self.connects.append(attempt)
        expired = ConnectTimeout("connecting timed out", phase="connect", limit=attempt.timeout)
        yield from play_event(next(self._attempts, None), self.clock, attempt.timeout, expired)
        script = self._every if self._scripts is None else next(self._scripts, None)
        if script is None:
            raise ConnectError("the mock backend has no script for another connection")
        stream = self._stream_class(
            script.reads,
            script.http2,
            accept=script.accept,
            handshake=script.handshake,
            clock=self.clock,
        )
        stream.server_addr = attempt.path or (attempt.host or "", attempt.port or 0)
        self.streams.append(stream)
        return stream

    def _sleep(self, seconds: float) -> Generator[float, None, None]:
        self.sleeps.append(seconds)
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            yield until


class MockBackend(_MockConnector[MockStream], NetworkBackend):
    """A backend for sync code whose connections are scripted; see the module's text.

    `connects` has the arguments of each attempt, `streams` each stream made, `sleeps` each pause,
    `open_streams` the number of streams still open, `clock` the time.
    """

    _stream_class = MockStream

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> MockStream:
        options = None if socket_options is None else list(socket_options)
        attempt = Connect(host, port, None, timeout, local_address, options)
        return play(self._connect(attempt), self.clock)

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> MockStream:
        options = None if socket_options is None else list(socket_options)
        return play(self._connect(Connect(None, None, path, timeout, None, options)), self.clock)

    def sleep(self, seconds: float) -> None:
        play(self._sleep(seconds), self.clock)


class AsyncMockBackend(_MockConnector[AsyncMockStream], AsyncNetworkBackend):
    """The same for async code, under asyncio or trio."""

    _stream_class = AsyncMockStream

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncMockStream:
        options = None if socket_options is None else list(socket_options)
        attempt = Connect(host, port, None, timeout, local_address, options)
        return await play_async(self._connect(attempt), self.clock, [])

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncMockStream:
        options = None if socket_options is None else list(socket_options)
        attempt = Connect(None, None, path, timeout, None, options)
        return await play_async(self._connect(attempt), self.clock, [])

    async def sleep(self, seconds: float) -> None:
        await play_async(self._sleep(seconds), self.clock, [])

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle | None:
        return self.clock.call_later(seconds, callback)
