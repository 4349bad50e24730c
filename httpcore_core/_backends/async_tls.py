"""TLS over any network stream: ours, a user's, or another TLS stream.

`tests/unasync.py` makes the sync twin of this file. Rules: bytes are moved between the network
stream and a `TLSEngine`, which knows the rest; no runtime and no socket is imported.

Theory of operation:

*Reading.* Plaintext that the engine can give costs no look at the network. Otherwise up to
`READ_SIZE` bytes of ciphertext are fed at a time. "Readable" always means that plaintext, the end
or an error is there: what arrives on the network may be a message of TLS's own, such as a session
ticket, and is taken in to find out.

*Sending.* A writer encrypts a piece and sends it; a reader may come upon something to send as well
(an answer to a key update). Records must leave in the order they were made, so one of the two at a
time holds the claim to send. A reader that does not get it leaves its bytes to the holder; a writer
waits, as its caller wants to be held back. The claim is a flag under a lock that is held for a
moment; an event is made only by a writer that has to wait. Before the claim is given up, the holder
looks once more for bytes, in the same locked section in which others find it taken.

*An answer to an unfinished upload.* `write_until_readable` may stop in the middle of a record. The
rest of the record stays in `_unsent` and is the next thing to be sent, by a later write, or by a
read which has to wait, as the peer may be waiting for it too. A read never waits for that alone.
So it is where it times out or is cancelled, if the network stream knows what it has taken. A piece
of plaintext that is encrypted is taken; none is encrypted while there is a rest of another. Where
somebody else reads, what stops the write is his to take in, and the write ends, whatever it was.

*Broken.* A write that fails otherwise leaves an unknown part of a record on the wire. Nothing may
follow it: later writes raise. Reading goes on.

*Closing* never waits: close_notify is sent if the network takes it at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._concurrency import AsyncEvent, Lock
from .._exceptions import (
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    TransportError,
    WriteError,
    WriteTimeout,
    may_go_on,
)
from .async_tls_handshake import READ_SIZE, Clock, shake_hands
from .base import AsyncNetworkStream

if TYPE_CHECKING:
    import ssl

    from .._tls_engine import TLSEngine

WRITE_SIZE = 128 * 1024  # measured as `READ_SIZE` was


async def start_tls(
    stream: AsyncNetworkStream,
    ssl_context: ssl.SSLContext,
    server_hostname: str | None = None,
    timeout: float | None = None,
    clock: Clock = time.monotonic,
) -> AsyncTLSStream:
    """Do the client's handshake over `stream`, as `shake_hands` describes."""
    engine = await shake_hands(stream, ssl_context, server_hostname, timeout, clock)
    return AsyncTLSStream(stream, engine, clock)


class AsyncTLSStream(AsyncNetworkStream):
    """The stream inside: plaintext on this side, ciphertext on `stream`, which it owns."""

    def __init__(self, stream: AsyncNetworkStream, engine: TLSEngine, clock: Clock) -> None:
        self._stream = stream
        self._engine = engine
        self._clock = clock
        self._lock = Lock()
        self._unsent = b""
        self._is_reading = self._is_writing = self._is_sending = False
        self._is_broken = self._is_closed = False
        self._has_fed = self._is_watched = False  # a reader, since `watch_reads`; by our caller
        self._waiter: AsyncEvent | None = None  # of the writer that waits for its turn to send
        self._watcher: Callable[[], None] | None = None
        # Whether None from its `read_nowait` means that nothing has arrived.
        self._can_pull = type(stream).read_nowait is not AsyncNetworkStream.read_nowait

    def __repr__(self) -> str:
        return f"<AsyncTLSStream over {self._stream!r}>"

    # Reading

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._begin_reading()
        try:
            data = self._engine.decrypt(max_bytes)
            if data is None:
                data = await self._receive(max_bytes, timeout)
            if not data and self._is_closed:  # the peer's answer to our own close_notify
                raise ReadError("reading failed: the stream was closed meanwhile")
            return data
        finally:
            self._is_reading = False

    def read_nowait(self, max_bytes: int) -> bytes | None:
        self._begin_reading()
        try:
            while (data := self._engine.decrypt(max_bytes)) is None:
                ciphertext = self._stream.read_nowait(READ_SIZE)
                if ciphertext is None:
                    break
                self._engine.feed(ciphertext)
                self._has_fed = True
            return data
        finally:
            self._is_reading = False

    async def _receive(self, max_bytes: int, timeout: float | None) -> bytes:
        """Read from the network until there is plaintext."""
        engine = self._engine
        deadline = None if timeout is None else self._clock() + timeout
        left = timeout
        try:
            while True:
                if self._unsent or engine.has_outgoing():
                    await self._answer(left)
                    if deadline is not None:
                        left = max(deadline - self._clock(), 0.0)
                await self._stream.read_to(engine.feed, READ_SIZE, left)
                self._has_fed = True
                data = engine.decrypt(max_bytes)
                if data is not None:
                    return data
                if deadline is not None:
                    left = max(deadline - self._clock(), 0.0)
        except (ReadTimeout, WriteTimeout) as exc:
            if exc.limit == timeout and isinstance(exc, ReadTimeout):
                raise
            raise ReadTimeout("reading from the TLS peer timed out", limit=timeout) from exc

    async def _answer(self, timeout: float | None) -> None:
        """Send what waits to be sent, as long as there is nothing to read."""
        may_wait = timeout is None or timeout > 0.0
        if may_wait and not self._is_broken and self._claim():
            try:
                await self._push(b"", timeout)
            except WriteError:
                pass  # reading will tell whether the peer has left something

    def _begin_reading(self) -> None:
        with self._lock:
            if self._is_closed:
                raise ReadError("reading failed: the stream is closed")
            if self._is_reading:
                raise LocalProtocolError("another task is already reading")
            self._is_reading = True

    def is_readable(self) -> bool:
        if self._is_closed or self._engine.readable():
            return True
        with self._lock:  # throughout, so that a reader in another thread comes before or after
            if self._is_reading:
                return False  # what arrives is taken in by whoever reads
            is_readable = self._stream.is_readable() and self._pull()
            self._stream.watch_reads()  # that read was ours
            return is_readable

    def _pull(self) -> bool:
        """Take in what has arrived on the network; true if there is something to read then."""
        try:
            while not self._engine.readable():
                ciphertext = self._stream.read_nowait(READ_SIZE)
                if ciphertext is None:
                    return not self._can_pull
                self._engine.feed(ciphertext)
        except TransportError as exc:
            self._engine.fail(exc)
        return True

    # Writing

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._begin_writing()
        try:
            view = buffer if len(buffer) <= WRITE_SIZE else memoryview(buffer)
            for start in range(0, len(view), WRITE_SIZE):
                if not self._claim():
                    await self._wait_for_claim(timeout)
                await self._send(view[start : start + WRITE_SIZE], timeout)
        finally:
            self._is_writing = False

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        self._begin_writing()
        self.bytes_taken = None
        if not self._is_watched:
            self._has_fed = False
            self._stream.watch_reads()
        view, done = memoryview(buffer), 0
        try:
            while done < len(view) or self.has_unsent:
                if self._has_fed or self.is_readable():
                    break
                if not self._claim():
                    await self._wait_for_claim(timeout)
                    self._give_up_claim()
                    break  # whoever had it was reading, and may have been served
                piece = view[:0] if self.has_unsent else view[done : done + WRITE_SIZE]
                done += len(piece)
                is_sent = await self._push(piece, timeout)
                if self._has_fed or (not is_sent and self._is_reading):
                    break  # somebody else has taken in what came, or will
            return done
        except BaseException as exc:
            if may_go_on(exc) and not self._is_broken:
                self.bytes_taken = done
            raise
        finally:
            self._is_writing = False

    def watch_reads(self) -> None:
        self._is_watched, self._has_fed = True, False
        self._stream.watch_reads()

    @property
    def has_unsent(self) -> bool:  # type: ignore[override]  # asked for, never set
        if self._is_broken or self._is_closed:
            return False  # nothing will be sent any more
        return bool(self._unsent) or self._engine.has_outgoing() or self._stream.has_unsent

    def write_nowait(self, buffer: bytes) -> int:
        if self._is_closed or self._is_broken or self._unsent or not self._claim():
            return 0
        try:
            self._engine.encrypt(buffer)
            ciphertext = self._engine.outgoing()
            self._unsent = ciphertext[self._stream.write_nowait(ciphertext) :]
            return len(buffer)  # as in `write_until_readable`: what is encrypted will be sent
        except TransportError:
            return 0
        finally:
            self._give_up_claim()

    def _begin_writing(self) -> None:
        if self._is_writing:
            raise LocalProtocolError("another task is already writing")
        if self._is_closed:
            raise WriteError("writing failed: the stream is closed")
        if self._is_broken:
            raise WriteError("writing failed: an earlier write was not finished")
        self._is_writing = True

    # Sending

    def _claim(self) -> bool:
        with self._lock:
            is_free = not self._is_sending
            self._is_sending = True
            return is_free

    async def _wait_for_claim(self, timeout: float | None) -> None:
        deadline = None if timeout is None else self._clock() + timeout
        while True:
            # A new event for each round: the claim may be taken between our waking and our turn,
            # and an event that is set does not wait again.
            turn = AsyncEvent()
            with self._lock:
                if not self._is_sending:
                    self._is_sending = True
                    break
                self._waiter = turn
            left = None if deadline is None else max(deadline - self._clock(), 0.0)
            if not await turn.wait(left):
                raise WriteTimeout("writing timed out", limit=timeout)
        if self._is_broken:
            self._give_up_claim()
            raise WriteError("writing failed: an earlier write was not finished")

    def _give_up_claim(self) -> None:
        with self._lock:
            self._is_sending = False
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set()

    def _next(self) -> bytes:
        """What is to be sent next; the claim is given up when there is nothing more."""
        with self._lock:
            ciphertext, self._unsent = self._unsent or self._engine.outgoing(), b""
            if ciphertext:
                return ciphertext
            self._is_sending = False
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set()
        return b""

    async def _send(self, plaintext: bytes | memoryview, timeout: float | None) -> None:
        """Encrypt `plaintext` and send everything. The caller has the claim, which is given up."""
        try:
            self._engine.encrypt(plaintext)
            while ciphertext := self._next():
                await self._stream.write(ciphertext, timeout)
        except BaseException:
            self._is_broken = True
            self._give_up_claim()
            raise

    async def _push(self, plaintext: bytes | memoryview, timeout: float | None) -> bool:
        """The same until there is something to read; false if something is left to send then."""
        stream, ciphertext = self._stream, b""
        try:
            self._engine.encrypt(plaintext)
            while True:
                if stream.has_unsent:  # as TLS within TLS may have
                    await stream.write_until_readable(b"", timeout)
                    if stream.has_unsent:
                        break
                if not (ciphertext := self._next()):
                    return True
                count = await stream.write_until_readable(ciphertext, timeout)
                self._unsent = ciphertext = ciphertext[count:]
                if ciphertext:
                    break
        except BaseException as exc:
            taken = stream.bytes_taken if may_go_on(exc) else None
            if taken is None:
                self._is_broken = True
            else:
                self._unsent = ciphertext[taken:] or self._unsent
            self._give_up_claim()
            raise
        self._give_up_claim()
        return False

    # Watching and closing

    def watch(self, callback: Callable[[], None] | None) -> bool:
        self._watcher = callback
        if callback is None:
            return self._stream.watch(None)
        is_watched = self._stream.watch(self._arrived)
        if is_watched and self._engine.readable():
            self._stream.watch(None)
            self._arrived()
        return is_watched

    def _arrived(self) -> None:
        watcher = self._watcher
        if watcher is None:
            return
        if self.is_readable() or not self._stream.watch(self._arrived):
            self._watcher = None
            watcher()

    async def aclose(self) -> None:
        self._say_goodbye()
        await self._stream.aclose()

    def close_nowait(self) -> bool:
        self._say_goodbye()
        return self._stream.close_nowait()

    def _say_goodbye(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._watcher = None
            if not (self._is_broken or self._unsent or self._is_sending):
                self._stream.write_nowait(self._engine.close_notify())

    def abort(self) -> bool:
        self._is_closed = True
        self._watcher = None
        return self._stream.abort()

    def forget(self) -> None:
        self._is_closed = True
        self._watcher = None
        self._stream.forget()

    # The rest

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._engine.ssl_object
        if info == "is_readable":
            return self.is_readable()
        return self._stream.get_extra_info(info)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncTLSStream:
        return await start_tls(self, ssl_context, server_hostname, timeout, self._clock)
