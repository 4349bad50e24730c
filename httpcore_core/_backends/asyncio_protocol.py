"""The side of an asyncio stream that its event loop sees: what the transport calls, and closing.

Theory of operation:

Receiving. The transport pushes: `data_received` keeps the loop's own `bytes` objects and wakes
whoever waits for them. Above `READ_LIMIT` bytes the transport is paused. What was received is
delivered before the error or the end that came after it.

Timeouts of reads share one timer per stream, which is not cancelled when data comes: when it goes
off it looks at the deadline of the read that waits *now*, and is set again if that is later.

Closing. `shutdown` on the socket makes the peer see the end before `abort` returns, in any thread;
the transport is aborted by its own loop, which closes the descriptor in its next iteration.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, cast

from .._exceptions import LocalProtocolError
from .sockets import shut_down

READ_LIMIT = 256 * 1024
"""Bytes that wait to be read before the transport is paused: what asyncio reads at a time."""

CLOCK_STEP = 0.002
"""Timers may go off this much too early: uvloop counts in milliseconds."""


class SocketProtocol(asyncio.Protocol):
    """A connected socket in the hands of an asyncio transport. Bound to the loop that was running
    when it was made."""

    _transport: asyncio.Transport | None = None
    _reader: asyncio.Future[bool] | None = None  # the read that waits; true: something came
    _writer: asyncio.Future[bool] | None = None  # the write that waits; true: it may go on
    _watcher: Callable[[], None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _timer_at = 0.0
    _deadline = 0.0
    _received = 0  # bytes in _chunks, with those before _offset
    _offset = 0  # bytes of the first chunk that have been read
    _error: Exception | None = None  # what a read raises once the chunks are used up
    _is_eof = False  # the peer has ended its side
    _is_lost = False  # the transport is gone
    _poll: Any = None
    _is_told = True  # the peer knows of our end, or will not know before the socket is closed
    _closing: asyncio.Future[bool] | None = None
    _is_closed = False  # by us
    _is_paused = False  # reading
    _is_full = False  # the transport holds unsent bytes
    _is_writing = False
    _wants_readable = False  # the write that waits goes on when something comes

    def __init__(self, sock: socket.socket, peer: object) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._addresses: dict[str, Any] = {}
        self._peer = peer
        self._process = os.getpid()
        self._chunks: list[bytes] = []

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._received += len(data)
        if self._received > READ_LIMIT and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._arrived()

    def eof_received(self) -> bool:
        if self._error is None:
            self._is_eof = True
        self._arrived()
        return True  # the transport stays open: we may still have something to send

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._is_closed:
            self._failed(exc)
            if not self._is_eof and self._error is None:
                self._error = exc
        self._is_lost = True
        self._is_full = False
        self._transport = None
        self._stop_timer()
        self._arrived()
        self._resume(self._writer)
        self._resume(self._closing)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._resume(self._writer)

    def _arrived(self) -> None:
        self._resume(self._reader)
        if self._wants_readable:
            self._resume(self._writer)
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher()

    @staticmethod
    def _resume(waiter: asyncio.Future[bool] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    def _failed(self, exc: Exception) -> None:
        """Sending or receiving has failed: remember it for reads, and take what the kernel has
        received, since a transport that fails to send closes the socket with an answer in it.

        The kernel reports a reset once. Later reads must not take for an end what was one. A broken
        pipe, though, may follow a proper end.
        """
        if not self._is_eof and not isinstance(exc, BrokenPipeError):
            self._error = exc
        try:
            while self._received < 4 * READ_LIMIT:
                data = self._sock.recv(READ_LIMIT)
                if not data:
                    self._is_eof = self._error is None
                    break
                self._chunks.append(data)
                self._received += len(data)
        except OSError:
            pass  # nothing more, or the loop has closed the socket already

    def _is_ended(self) -> bool:
        return self._is_eof or self._is_lost or self._is_closed or self._error is not None

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise LocalProtocolError("this connection belongs to another event loop")

    # The timer of reads

    def _start_timer(self, timeout: float) -> None:
        self._deadline = deadline = self._loop.time() + timeout
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(timeout, self._on_timer)
        self._timer_at = deadline

    def _on_timer(self) -> None:
        self._timer = None
        if self._reader is None or not self._deadline:
            return  # nobody waits, or without a limit; the next one to wait sets it again
        left = self._deadline - self._loop.time()
        if left > CLOCK_STEP:
            self._start_timer(left)
        elif not self._reader.done():
            self._reader.set_result(False)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Closing

    async def aclose(self) -> None:
        if not self._shut(may_reset=False):
            # After an `abort` with a reset, which the peer sees at the next turn of the loop.
            self._closing = self._loop.create_future()
            await self._closing

    def abort(self) -> bool:
        return self._shut(may_reset=True)

    def _shut(self, *, may_reset: bool) -> bool:
        if self._process != os.getpid():
            self.forget()  # the connection is our parent's
        elif not self._is_closed:
            self._is_closed = True
            self._watcher = None
            self._is_told = shut_down(self._sock, may_reset)
            try:
                if asyncio._get_running_loop() is self._loop:
                    self._release()
                else:
                    self._loop.call_soon_threadsafe(self._release)
            except RuntimeError:  # the loop is closed
                self._disown()
        return self._is_told or self._is_lost

    def _release(self) -> None:
        self._stop_timer()
        self._chunks = []
        self._error = None  # whose traceback may lead back to us
        if self._transport is not None:
            self._transport.abort()
        self._resume(self._reader)
        self._resume(self._writer)

    def forget(self) -> None:
        if self._process == os.getpid() and not self._loop.is_closed():
            self.abort()  # the loop may go on, and would stumble over a closed descriptor
            return
        self._is_closed = True
        self._disown()

    def _disown(self) -> None:
        """Release the descriptor without the loop, which is closed or another process's."""
        self._reader = self._writer = self._timer = self._watcher = None
        transport, self._transport = self._transport, None
        if transport is None or self._sock.fileno() < 0:
            return
        # asyncio's own transports warn when they are collected unclosed, and have no public method
        # that closes them without asking their loop; this is the last step of their closing.
        close = getattr(transport, "_call_connection_lost", None)
        if close is not None:
            close(None)
        elif not self._loop.is_closed():
            # A descriptor that uvloop will close by number. The socket goes, the number stays.
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, self._sock.fileno(), inheritable=False)
            os.close(null)
