"""Mock network streams: the contract of `base` on top of a scripted peer.

Rules of this file: decisions are the peer's (`mock_script`), waits are the clock's (`mock_clock`).
Like real streams these may be closed while someone reads, and take one reader and one writer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._exceptions import ConnectTimeout, may_go_on
from .base import AsyncNetworkStream, NetworkStream
from .mock_clock import FOREVER, Timer, VirtualClock, Waiting, call_soon, play, play_async
from .mock_script import AcceptStep, Error, EventScript, MockPeer, ReadStep, play_event

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class MockSSLObject:
    """What ``get_extra_info("ssl_object")`` returns of a mock stream with TLS."""

    alpn: str
    server_hostname: str | None = None
    session_reused: bool = False

    def selected_alpn_protocol(self) -> str:
        return self.alpn

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)


class MockState:
    """What sync and async mock streams have in common: all but the waiting."""

    def __init__(
        self,
        buffer: Iterable[ReadStep] = (),
        http2: bool = False,
        *,
        accept: Iterable[AcceptStep] = (),
        handshake: Iterable[EventScript] = (),
        clock: VirtualClock | None = None,
    ) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.peer = MockPeer(buffer, accept, self.clock)
        self.peer.on_received = self._wake
        self.server_hostnames: list[str | None] = []  # of each handshake, in order
        self.server_addr: tuple[str, int] | str = ("127.0.0.1", 0)
        self.forgotten = False
        self._alpn = "h2" if http2 else "http/1.1"
        self._handshake = iter(handshake)
        self._ssl_object = MockSSLObject(self._alpn) if http2 else None
        self._waiting: list[Waiting] = []
        self._watcher: Callable[[], None] | None = None
        self._watch_timer: Timer | None = None

    # What tests look at

    @property
    def writes(self) -> list[bytes]:
        """What was written: an item for each write, or each part that the peer accepted of it."""
        return self.peer.writes

    @property
    def written(self) -> bytes:
        return b"".join(self.peer.writes)

    @property
    def is_closed(self) -> bool:
        return self.peer.closed

    def arrive(self, value: bytes | Error) -> None:
        """Let data, the end of the stream (``b""``) or an error arrive now, before what the
        script still has."""
        self.peer.put(value)
        self._wake()
        self._notify()

    # What the contract asks for

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._ssl_object
        if info == "is_readable":
            return self.is_readable()
        if info == "server_addr":
            return self.server_addr
        if info == "client_addr":
            return ("127.0.0.1", 50000)
        return None

    def is_readable(self) -> bool:
        return self.peer.is_readable()

    def read_nowait(self, max_bytes: int) -> bytes | None:
        if self.peer.closed or not self.peer.is_readable():
            return None
        return self.peer.take(max_bytes)

    def abort(self) -> bool:
        self._close()
        return True

    def forget(self) -> None:
        self.forgotten = True
        self._close()

    # Inside

    def _close(self) -> None:
        self.peer.closed = True
        self._unwatch()
        self._wake()

    def _wake(self) -> None:
        for waiting in self._waiting:
            waiting.wake()

    def _shake_hands(
        self, server_hostname: str | None, timeout: float | None
    ) -> Generator[float, None, int]:
        self.server_hostnames.append(server_hostname)
        expired = ConnectTimeout("the TLS handshake timed out", phase="tls", limit=timeout)
        try:
            yield from play_event(next(self._handshake, None), self.clock, timeout, expired)
        except BaseException:
            self._close()
            raise
        self._ssl_object = MockSSLObject(self._alpn, server_hostname)
        return 0

    def _set_watch(self, callback: Callable[[], None] | None) -> None:
        self._unwatch()
        self._watcher = callback
        arrival = self.peer.unasked_arrival()
        if callback is not None and arrival < FOREVER:
            seconds = arrival - self.clock.now()
            if seconds > 0.0:
                self._watch_timer = self.clock.call_later(seconds, self._notify)
            else:
                call_soon(self._notify)

    def _unwatch(self) -> None:
        self._watcher = None
        if self._watch_timer is not None:
            self._watch_timer.cancel()
            self._watch_timer = None

    def _notify(self) -> None:
        watcher = self._watcher
        self._unwatch()
        if watcher is not None:
            watcher()


class MockStream(MockState, NetworkStream):
    """A scripted connection, to be read by sync code."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return play(self.peer.read(max_bytes, timeout), self.clock)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        play(self.peer.write(buffer, timeout, until_readable=False), self.clock)

    def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        self.peer.taken = None
        try:
            return play(self.peer.write(buffer, timeout, until_readable=True), self.clock)
        finally:
            self.bytes_taken = self.peer.taken

    def close(self) -> None:
        self._close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> MockStream:
        play(self._shake_hands(server_hostname, timeout), self.clock)
        return self


class AsyncMockStream(MockState, AsyncNetworkStream):
    """A scripted connection, to be read by async code under asyncio or trio."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await play_async(self.peer.read(max_bytes, timeout), self.clock, self._waiting)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._write(buffer, timeout, False)

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        self.peer.taken = 0  # it may be cancelled before it begins
        try:
            return await self._write(buffer, timeout, True)
        except BaseException as exc:
            self.bytes_taken = self.peer.taken if may_go_on(exc) else None
            raise

    async def _write(self, buffer: bytes, timeout: float | None, until_readable: bool) -> int:
        steps = self.peer.write(buffer, timeout, until_readable)
        return await play_async(steps, self.clock, self._waiting)

    async def aclose(self) -> None:
        self._close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncMockStream:
        steps = self._shake_hands(server_hostname, timeout)
        await play_async(steps, self.clock, self._waiting)
        return self

    def watch(self, callback: Callable[[], None] | None) -> bool:
        self._set_watch(callback)
        return True
