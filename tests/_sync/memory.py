"""A network stream that ends in memory, at a TLS server whose every move the test decides."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from httpcore_core import NetworkStream, ConnectError, ReadError, ReadTimeout, WriteTimeout
from httpcore_core._tls_engine import TLSEngine


class Interrupted(BaseException):
    """Stands for a cancellation, at a step that the test chooses."""


class MemoryStream(NetworkStream):
    """`engine` is the server. Nothing here ever waits: where a real stream would, the timeout has
    passed. `step` is how many bytes one read returns at most, `room` how many the network takes
    until the test makes more, `interrupt_at` the number of the call to interrupt. `has_unsent` says
    that the next call of `write_until_readable` sends something else first."""

    tells = False  # what it has taken when `write_until_readable` fails
    has_unsent = False

    def __init__(self, context: ssl.SSLContext, step: int = 1 << 20) -> None:
        self.engine = TLSEngine(context, server_side=True)
        self.step = step
        self.room = 1 << 40
        self.interrupt_at = 0
        self.is_cancelled_when_full = False
        self.calls = 0
        self.timeouts: list[float | None] = []
        self.received = bytearray()
        self.raw_received = bytearray()
        self.arrived = bytearray()
        self.has_ended = False  # the server's side
        self.error: ReadError | None = None
        self.refusal = ""  # what the client's alert said
        self.on_write: Callable[[], None] | None = None
        self.closed: list[str] = []  # how
        self.can_abort = True
        self.watcher: Callable[[], None] | None = None
        self._is_up = False

    # What the server does

    def say(self, data: bytes) -> None:
        self.engine.encrypt(data)
        self.flush()

    def end(self) -> None:
        self.arrived += self.engine.close_notify()
        self.has_ended = True
        self._notify()

    def flush(self) -> None:
        self.arrived += self.engine.outgoing()
        self._notify()

    def cut(self) -> None:
        """End without a word of TLS."""
        self.has_ended = True
        self._notify()

    def _notify(self) -> None:
        watcher, self.watcher = self.watcher, None
        if watcher is not None:
            watcher()

    # What the client sees

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._count(timeout)
        data = self.read_nowait(max_bytes)
        if data is None:
            assert timeout is not None, "this would wait for ever"
            raise ReadTimeout("the network is silent", limit=timeout)
        return data

    def read_nowait(self, max_bytes: int) -> bytes | None:
        size = min(max_bytes, self.step)
        data = bytes(self.arrived[:size])
        del self.arrived[:size]
        if data:
            return data
        if self.error is not None:
            raise self.error
        return b"" if self.has_ended else None

    def is_readable(self) -> bool:
        return bool(self.arrived) or self.has_ended or self.error is not None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._count(timeout)
        if self._take(buffer) < len(buffer):
            raise WriteTimeout("the network is full", limit=timeout)

    def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        self.bytes_taken = 0 if self.tells else None
        self._count(timeout)
        self.has_unsent = False
        if self.is_readable():
            return 0
        count = self._take(buffer)
        if count < len(buffer) and not self.is_readable():
            self.bytes_taken = count if self.tells else None
            if self.is_cancelled_when_full:
                raise Interrupted
            raise WriteTimeout("the network is full", limit=timeout)
        return count

    def write_nowait(self, buffer: bytes) -> int:
        return self._take(buffer)

    def _count(self, timeout: float | None) -> None:
        self.calls += 1
        self.timeouts.append(timeout)
        if self.calls == self.interrupt_at:
            raise Interrupted

    def _take(self, buffer: bytes) -> int:
        data = bytes(buffer[: self.room])
        self.room -= len(data)
        self.raw_received += data
        if data:
            self.engine.feed(data)
        if data and not self._is_up:
            try:
                self._is_up = self.engine.handshake()
            except ConnectError as exc:
                self.refusal = str(exc)
            self.flush()
        if self._is_up:
            while plaintext := self.engine.decrypt(1 << 20):
                self.received += plaintext
        if self.on_write is not None:
            self.on_write()
        return len(data)

    def watch(self, callback: Callable[[], None] | None) -> bool:
        self.watcher = callback
        return True

    def close(self) -> None:
        self.closed.append("closed")

    def abort(self) -> bool:
        if self.can_abort:
            self.closed.append("aborted")
        return self.can_abort

    def forget(self) -> None:
        self.closed.append("forgotten")


class BareStream(NetworkStream):
    """The same with the required methods only, as a user's own backend may have it."""

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, timeout)

    def close(self) -> None:
        self.stream.close()

    def get_extra_info(self, info: str) -> object:
        return self.stream.is_readable() if info == "is_readable" else None
