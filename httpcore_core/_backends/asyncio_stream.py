"""A network stream on an asyncio transport, for every event loop that has them.

Theory of operation (what the transport does to us is in `asyncio_protocol`):

Reading what is there returns at once, without a future or a copy. Only a read that finds nothing
makes a future.

Writing. We send on the socket ourselves while the transport holds nothing, which tells at once what
the kernel took and what is wrong. What the kernel does not take goes to the transport in pieces;
its buffer limit is 0, so that `pause_writing` means that it holds bytes and `resume_writing` that
it does not. A write that is cancelled leaves in the transport, whole, what it put there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._exceptions import LocalProtocolError, ReadError, ReadTimeout, WriteError, WriteTimeout
from .asyncio_protocol import CLOCK_STEP, PIECE, SocketProtocol, give_back
from .base import AsyncNetworkStream, Sink
from .polling import readable_poll
from .sockets import read_error, stream_info, write_error

if TYPE_CHECKING:
    import ssl

WRITE_PIECE = 64 * 1024
"""Bytes given to the transport at a time: the default limit of asyncio's transports."""

SEND_PIECE = 256 * 1024
"""Bytes sent at a time where an answer is watched for."""

SEND_LIMIT = 1024 * 1024
"""Bytes that the kernel may take at a stretch before other tasks get a turn."""

SMALL = 16 * 1024
"""Chunks below this size are joined when several are waiting."""


class AsyncIOStream(SocketProtocol, AsyncNetworkStream):
    """A connected socket. Only the loop in which it was made can use it."""

    def __repr__(self) -> str:
        state = "closed" if self._is_closed or self._is_lost else "open"
        return f"<AsyncIOStream [{self._peer}, {state}]>"

    # Reading

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._reader is not None:
            raise LocalProtocolError("another task is already reading")
        if not self._received and not self._is_ended:
            if timeout is not None and timeout <= 0.0:
                data = self.read_nowait(max_bytes)
                if data is None:
                    raise self._read_timed_out(timeout)
                return data
            loop = self._loop
            if asyncio.get_running_loop() is not loop:
                raise self._wrong_loop()
            waiter = self._reader = loop.create_future()
            if timeout is None:
                self._deadline = 0.0
            else:
                self._deadline = deadline = loop.time() + timeout
                if deadline < self._timer_at:
                    self._start_timer(timeout, deadline)
            try:
                while True:
                    if not await waiter:
                        raise self._read_timed_out(timeout)
                    if self._has_arrived():
                        break
                    waiter = self._reader = loop.create_future()  # somebody else was faster
            finally:
                self._reader = None
        return self._take(max_bytes) if self._received else self._end()

    async def read_to(self, sink: Sink, max_bytes: int, timeout: float | None = None) -> None:
        if timeout is not None and timeout <= 0.0:
            sink(await self.read(max_bytes, timeout))
            return
        await self.read(0, timeout)  # which waits, takes nothing, and raises what is to be raised
        held = self._held
        if held is None or self._is_closed:
            sink(self._take(max_bytes) if self._received else self._end())
            return
        stop = min(self._offset + max_bytes, self._held_size)
        sink(held[self._offset : stop])
        if self._held is held:  # else it has closed the stream
            self._read_up_to(stop, held)

    def read_nowait(self, max_bytes: int) -> bytes | None:
        if self._received:
            return self._take(max_bytes)
        if self._is_ended:
            return self._end()
        # The loop looks at the socket once per iteration, we look now.
        try:
            data = self._sock.recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as exc:
            self._error = exc
            self._is_ended = True
            return self._end()
        if not data:
            self._is_eof = self._is_ended = True
        if self._wants_readable:
            self._end_write()
        return data

    def _has_arrived(self) -> bool:
        return bool(self._received or self._is_ended)

    def _read_timed_out(self, timeout: float | None) -> ReadTimeout:
        return ReadTimeout(f"reading from {self._peer} timed out", limit=timeout)

    def _end(self) -> bytes:
        """What a read comes to when there will be no more data."""
        if self._is_closed:
            raise ReadError(f"reading from {self._peer} failed: the stream is closed")
        if self._error is not None:
            raise read_error(self._error, self._peer)
        if self._is_eof:
            return b""
        raise ReadError(f"reading from {self._peer} failed: the event loop has closed it")

    def _take(self, max_bytes: int) -> bytes:
        if self._is_closed:
            return self._end()
        if self._held is not None:
            return self._take_held(self._held, max_bytes)
        chunks = self._chunks
        data = chunks[0]
        if len(chunks) > 1 or self._offset or len(data) > max_bytes:
            data = self._take_part(max_bytes)
        else:
            chunks.clear()
            self._received = 0
        if self._is_paused and not self._received:
            self._resume_reading()
        return data

    def _take_held(self, held: memoryview, max_bytes: int) -> bytes:
        stop = min(self._offset + min(max_bytes, PIECE), self._held_size)
        data = held[self._offset : stop].tobytes()
        self._read_up_to(stop, held)
        return data

    def _read_up_to(self, stop: int, held: memoryview) -> None:
        self._offset = stop
        if stop < self._held_size:
            return
        self._held, self._offset = None, 0
        self._received -= self._held_size
        give_back(held)
        if self._is_paused and not self._received:
            self._resume_reading()

    def _take_part(self, max_bytes: int) -> bytes:
        chunks, start = self._chunks, self._offset
        data = chunks[0]
        if len(chunks) > 1 and len(data) - start < SMALL:
            chunks[0] = data[start:]
            data, start = b"".join(chunks), 0
            self._chunks = chunks = [data]
            self._received = len(data)
        stop = start + max_bytes
        if stop < len(data):
            self._offset = stop
            return data[start:stop]
        del chunks[0]
        self._offset = 0
        self._received -= len(data)
        return data[start:] if start else data

    def _resume_reading(self) -> None:
        if self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    # Writing

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._is_writing:
            raise LocalProtocolError("another task is already writing")
        if not self._is_full and len(buffer) <= SEND_LIMIT:
            try:
                sent = self._send(buffer)
            except WriteError as exc:
                exc.bytes_written = 0
                raise
            if sent == len(buffer):
                return
            await self._write(memoryview(buffer)[sent:], timeout, False)
        else:
            await self._write(memoryview(buffer), timeout, False)

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        if self._is_writing:
            raise LocalProtocolError("another task is already writing")
        self.bytes_taken = None
        return await self._write(memoryview(buffer), timeout, True)

    def write_nowait(self, buffer: bytes) -> int:
        if self._is_writing or self._is_full or self._process != os.getpid():
            return 0
        try:
            return self._send(buffer)
        except WriteError:
            return 0

    async def _write(self, view: memoryview, timeout: float | None, until_readable: bool) -> int:
        """Write `view`; return how much of it, which is all or what came `until_readable`."""
        done = stretch = 0
        self._is_writing = True
        self._wants_readable = until_readable
        try:
            while done < len(view) or self._is_full:
                if until_readable and not self._is_closed and self._has_become_readable():
                    break
                if self._is_full:
                    await self._wait_writable(timeout, until_readable)
                    stretch = 0
                    continue
                if stretch >= SEND_LIMIT:
                    await asyncio.sleep(0)
                    stretch = 0
                piece = view[done : done + (SEND_PIECE if until_readable else SEND_LIMIT)]
                sent = self._send(piece)
                done += sent
                stretch += sent
                if sent < len(piece) and self._transport is not None:
                    piece = view[done : done + WRITE_PIECE]
                    self._transport.write(piece)
                    done += len(piece)
        except (WriteTimeout, asyncio.CancelledError):
            self.bytes_taken = done
            raise
        finally:
            self._is_writing = self._wants_readable = False
        return done

    def _has_become_readable(self) -> bool:
        """Whether something has come since the write began, or before. Another task may have read
        it meanwhile."""
        return not self._wants_readable or self.is_readable()

    def _send(self, data: bytes | memoryview) -> int:
        """Give the kernel what it takes of `data`."""
        if self._is_closed or self._is_lost:
            raise self._write_failed()
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as exc:
            self._failed(exc)
            raise write_error(exc, self._peer) from exc

    def _write_failed(self) -> WriteError:
        if self._error is not None and not self._is_closed:
            return write_error(self._error, self._peer)
        return WriteError(f"writing to {self._peer} failed: the stream is closed")

    async def _wait_writable(self, timeout: float | None, until_readable: bool) -> None:
        """Wait until the transport holds nothing or, `until_readable`, something has come; as long
        as it makes some progress."""
        if asyncio.get_running_loop() is not self._loop:
            raise self._wrong_loop()
        if timeout is not None and timeout <= 0.0:
            raise WriteTimeout(f"writing to {self._peer} timed out", limit=timeout)
        loop, transport = self._loop, self._transport
        assert transport is not None
        left, since = transport.get_write_buffer_size(), loop.time()
        tick = None if timeout is None else min(timeout / 4, 0.25)
        try:
            while True:
                waiter = self._writer = loop.create_future()
                timer = None if tick is None else loop.call_later(tick, _expire, waiter)
                try:
                    resumed = await waiter
                finally:
                    if timer is not None:
                        timer.cancel()
                if self._is_closed or self._is_lost:
                    raise self._write_failed()
                if resumed or (until_readable and not self._wants_readable):
                    return
                before, left = left, transport.get_write_buffer_size()
                if left < before:
                    since = loop.time()
                elif timeout is not None and loop.time() - since >= timeout - CLOCK_STEP:
                    raise WriteTimeout(f"writing to {self._peer} timed out", limit=timeout)
        finally:
            self._writer = None

    # The rest

    def is_readable(self) -> bool:
        if self._received or self._is_ended or self._sock.fileno() < 0:
            return True
        poll = self._poll
        if poll is None:  # an object of our own costs less than a new one each time
            poll = self._poll = readable_poll(self._sock)
        return bool(poll.poll(0))

    def watch(self, callback: Callable[[], None] | None) -> bool:
        self._watcher = callback
        if callback is not None:
            if self._room is not None:
                self._give_room_back()
            if self._received or self._is_ended:
                self._loop.call_soon(self._arrived)
        return True

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self.is_readable()
        return stream_info(self, info)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncNetworkStream:
        from .async_tls import start_tls

        return await start_tls(self, ssl_context, server_hostname, timeout, self._loop.time)


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
