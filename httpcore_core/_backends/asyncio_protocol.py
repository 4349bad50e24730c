"""The side of an asyncio stream that its event loop sees: what the transport calls, and closing.

Theory of operation:

Receiving. The transport pushes, into buffers of ours: asyncio would allocate 256 KiB for every
small answer, which costs three system calls and a page fault wherever malloc takes such a size from
the system. Buffers are lent: a stream takes one when the transport asks, and gives it back as soon
as what came into it has been copied out, so that idle streams have none. A small piece is copied at
once. A large one stays where it is until it is read, in pieces that malloc has at hand; the
transport gets another buffer meanwhile. Above `READ_LIMIT` bytes the transport is paused. What was
received is delivered before the error or the end that came after it.

Timeouts of reads share one timer per stream, which is not cancelled when data comes: when it goes
off it looks at the deadline of the read that waits *now*, and is set again if that is later.

Closing. `shutdown` on the socket makes the peer see the end before `abort` returns, in any thread;
the transport is aborted by its own loop, which closes the descriptor in its next iteration.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from collections.abc import Callable
from typing import Any, cast

from .._exceptions import LocalProtocolError
from .sockets import shut_down, this_process

READ_LIMIT = 512 * 1024
"""Bytes that are received at a time. The transport is paused when more of them than that wait to be
read, so that one stream holds up to twice as many. A download costs a tenth less than with the 256
KiB that asyncio itself reads, as it takes fewer turns of the event loop. The kernel may keep
several times as much for each socket."""

PIECE = 64 * 1024
"""Bytes of a large buffer that one read copies out. Objects twice that size are mapped and unmapped
by glibc's malloc one by one, at a page fault for each 4 KiB."""

SPARE_LIMIT = 4
"""Buffers that are kept while no stream needs them. A loop that calls `get_buffer` when there is
something to receive, as all known ones do, needs one, and one for each large download."""

_spare: list[memoryview] = []

_NEVER = float("inf")

CLOCK_STEP = 0.002
"""Timers may go off this much too early: uvloop counts in milliseconds."""


class SocketProtocol(asyncio.BufferedProtocol):
    """A connected socket in the hands of an asyncio transport. Bound to the loop that was running
    when it was made."""

    _transport: asyncio.Transport | None = None
    _reader: asyncio.Future[bool] | None = None  # the read that waits; true: something came
    _writer: asyncio.Future[bool] | None = None  # the write that waits; true: it may go on
    _watcher: Callable[[], None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _timer_at = _NEVER
    _deadline = 0.0
    _room: memoryview | None = None  # the buffer that the transport receives into
    _held: memoryview | None = None  # the buffer whose first _held_size bytes come before _chunks
    _held_size = 0
    _received = 0  # bytes in _held and in _chunks, with those before _offset
    _offset = 0  # bytes of _held, or else of the first chunk, that have been read
    _is_ended = False  # there will be no more data: one of the four below
    _error: Exception | None = None  # what a read raises once the chunks are used up
    _is_eof = False  # the peer has ended its side
    _is_lost = False  # the transport is gone
    _poll: Any = None
    _client_addr: Any = None
    _server_addr: Any = None
    _is_told = True  # the peer knows of our end, or will not know before the socket is closed
    _closing: asyncio.Future[bool] | None = None
    _is_closed = False  # by us
    _is_paused = False  # reading
    _is_full = False  # the transport holds unsent bytes
    _is_writing = False
    _wants_readable = False  # the present write ends when something comes; false once it has

    def __init__(self, sock: socket.socket, peer: object) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._peer = peer
        self._process = this_process()
        self._chunks: list[bytes] = []

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        room = self._room
        if room is None:
            try:
                room = _spare.pop()
            except IndexError:
                room = _new_buffer()
            self._room = room
        return room

    def buffer_updated(self, nbytes: int) -> None:
        room = self._room
        assert room is not None
        self._room = None
        if nbytes <= PIECE or self._received:
            data = room[:nbytes].tobytes()
            give_back(room)
            self.data_received(data)
        else:
            self._held, self._held_size = room, nbytes
            self._received = nbytes
            self._arrived()

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._received += len(data)
        if self._received > READ_LIMIT and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(True)
        if self._watcher is not None or self._wants_readable:
            self._arrived()

    def eof_received(self) -> bool:
        if self._error is None:
            self._is_eof = self._is_ended = True
        if self._room is not None:
            give_back(self._room)
            self._room = None
        self._arrived()
        return True  # the transport stays open: we may still have something to send

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._is_closed:
            self._failed(exc)
            if not self._is_eof and self._error is None:
                self._error = exc
        self._is_lost = self._is_ended = True
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
            self._end_write()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher()

    def _end_write(self) -> None:
        """Something has come that the present write ends for, whoever reads it."""
        self._wants_readable = False
        self._resume(self._writer)

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
            self._is_ended = True
        try:
            while self._received < 4 * READ_LIMIT:
                data = self._sock.recv(READ_LIMIT)
                if not data:
                    self._is_eof = self._error is None
                    self._is_ended = True
                    break
                self._chunks.append(data)
                self._received += len(data)
        except OSError:
            pass  # nothing more, or the loop has closed the socket already

    def _wrong_loop(self) -> LocalProtocolError:
        return LocalProtocolError("this connection belongs to another event loop")

    # The timer of reads

    def _start_timer(self, timeout: float, deadline: float) -> None:
        """Go off at `deadline`, which is `timeout` seconds from now and sooner than so far."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(timeout, self._on_timer)
        self._timer_at = deadline

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, _NEVER
        if self._reader is None or not self._deadline:
            return  # nobody waits, or without a limit; the next one to wait sets it again
        left = self._deadline - self._loop.time()
        if left > CLOCK_STEP:
            if left < _NEVER:
                self._start_timer(left, self._deadline)
        elif not self._reader.done():
            self._reader.set_result(False)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, _NEVER

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
            self._is_closed = self._is_ended = True
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
        self._drop_received()
        self._error = None  # whose traceback may lead back to us
        if self._transport is not None:
            self._transport.abort()
        self._resume(self._reader)
        self._resume(self._writer)

    def _drop_received(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            give_back(held)
        self._give_room_back()
        self._chunks = []
        self._received = self._offset = 0

    def _give_room_back(self) -> None:
        """The buffer that the transport asked for, where nothing came into it after all. No loop
        runs anything else between asking and receiving."""
        room, self._room = self._room, None
        if room is not None:
            give_back(room)

    def forget(self) -> None:
        if self._process == os.getpid() and not self._loop.is_closed():
            self.abort()  # the loop may go on, and would stumble over a closed descriptor
            return
        self._is_closed = self._is_ended = True
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


@functools.cache
def _settle_malloc() -> None:
    """Once per process: glibc's malloc begins by mapping what is larger than 128 KiB and by
    returning what is free above that, so that a download meets a page fault for every 4 KiB, which
    may double its cost. Once something larger has been freed it takes up to that size from its
    heap, and keeps twice as much there. So free something; its memory is never touched."""
    bytes(4 * READ_LIMIT)


def _new_buffer() -> memoryview:
    buffer = bytearray(READ_LIMIT)
    _settle_malloc()
    return memoryview(buffer)


def give_back(buffer: memoryview) -> None:
    """Keep a buffer, whose contents are not needed any more, for the next stream."""
    if len(_spare) < SPARE_LIMIT:
        _spare.append(buffer)
