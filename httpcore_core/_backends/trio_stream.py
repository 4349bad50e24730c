"""A network stream on a non-blocking socket and trio's waiting for it.

Theory of operation:

A call first does what it can without waiting, and only then makes a cancel scope, if there is a
timeout, and waits. Whether the task has been cancelled is asked before the attempt: after it, data
would be lost. trio wants every call to let other tasks run; giving up the turn costs several times
what a `recv` does, so a stream does so at every 16th call that did not have to wait. A call with
timeout 0 neither waits nor checks: it also serves clean-up in a cancelled task.

An idle connection is watched by a system task, which costs as much to start as half a request.
So `watch` only notes the time, and one timer per stream, set again lazily, starts the task when
the stream has been idle for 50 ms; a busy one never gets there.

Closing. `shutdown` makes the peer see the end before `abort` returns, in any thread; the descriptor
is released in trio's thread after its waiters have been woken.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from .._exceptions import LocalProtocolError, ReadError, ReadTimeout, WriteError, WriteTimeout
from .base import AsyncNetworkStream
from .polling import POLLIN, wait_for
from .sockets import read_error, shut_down, stream_info, this_process, write_error
from .trio_timers import Timer, call_at, call_safely

if TYPE_CHECKING:
    import ssl

TURNS = 16
"""Calls that may end without waiting before other tasks get a turn."""

SEND_PIECE = 256 * 1024
"""Bytes sent at a time where an answer is watched for; other tasks may wait that long."""

WATCH_AFTER = 0.05
"""Seconds of idleness after which a connection is watched: half of what contract P7 grants."""


class TrioStream(AsyncNetworkStream):
    """A connected socket. Bound to the trio run in which it was made."""

    _watcher: Callable[[], None] | None = None
    _watch_from = 0.0
    _watch_timer: Timer | None = None
    _watch_scope: trio.CancelScope | None = None
    _error: OSError | None = None  # what reads raise after the last data
    _is_reading = False
    _is_writing = False
    _is_closed = False
    _taken = 0  # bytes of the buffer of `write_until_readable`
    _is_silent = False  # so far it has seen nothing to read, nor has anybody else
    _silence: trio.Nursery | None = None  # in which it waits for the peer to take or send something
    _ear: trio.CancelScope | None = None  # of the task that listens there
    _client_addr: Any = None
    _server_addr: Any = None
    _turns = 0

    def __init__(self, sock: socket.socket, peer: object) -> None:
        self._sock = sock
        self._peer = peer
        self._token = trio.lowlevel.current_trio_token()
        self._process = this_process()

    def __repr__(self) -> str:
        return f"<TrioStream [{self._peer}, {'closed' if self._is_closed else 'open'}]>"

    # Reading

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._is_reading:
            raise LocalProtocolError("another task is already reading")
        if self._watcher is not None:
            self.watch(None)
        may_wait = timeout is None or timeout > 0.0
        self._is_reading = True
        try:
            if may_wait:
                await self._take_turn()
            while (data := self._receive(max_bytes)) is None:
                if not may_wait or not await self._wait(trio.lowlevel.wait_readable, timeout):
                    text = f"reading from {self._peer} timed out"
                    raise ReadTimeout(text, limit=timeout)
            return data
        finally:
            self._is_reading = False
            if self._is_silent:  # served or not: nobody listens for the writer now
                self._end_silence()

    def read_nowait(self, max_bytes: int) -> bytes | None:
        if self._is_reading:
            raise LocalProtocolError("another task is already reading")
        data = self._receive(max_bytes)
        if self._is_silent and data is not None:
            self._end_silence()
        return data

    def _receive(self, max_bytes: int) -> bytes | None:
        """What has arrived, None if nothing has."""
        if self._is_closed:
            raise self._read_closed()
        try:
            data = self._sock.recv(max_bytes)
            if data:
                return data
        except (BlockingIOError, InterruptedError):
            if self._error is None:
                return None
        except OSError as exc:
            self._error = exc
        if self._is_closed:  # meanwhile, by another thread
            raise self._read_closed()
        if self._error is not None:
            raise read_error(self._error, self._peer) from self._error
        return b""

    def _read_closed(self) -> ReadError:
        return ReadError(f"reading from {self._peer} failed: the stream is closed")

    # Writing

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._is_writing:
            raise LocalProtocolError("another task is already writing")
        self._is_writing = True
        sent = 0
        try:
            if timeout is None or timeout > 0.0:
                await self._take_turn()
            sent = self._send(buffer) if buffer else 0
            if sent != len(buffer):
                rest = memoryview(buffer)[sent:]
                sent = 1  # or more: from here on it is not counted
                await self._write_rest(rest, timeout)
        except WriteError as exc:
            exc.bytes_written = sent
            raise
        finally:
            self._is_writing = False

    def write_nowait(self, buffer: bytes) -> int:
        if self._is_writing or self._process != os.getpid():
            return 0
        try:
            return self._send(buffer)
        except WriteError:
            return 0

    async def _write_rest(self, rest: memoryview, timeout: float | None) -> None:
        while rest:
            await self._wait_writable(timeout)
            rest = rest[self._send(rest) :]

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        if self._is_writing:
            raise LocalProtocolError("another task is already writing")
        self.bytes_taken, self._taken = None, 0
        self._is_writing = self._is_silent = True
        try:
            if timeout is None or timeout > 0.0:
                await self._take_turn()
            view = memoryview(buffer)
            if not self._send_while_silent(view):
                await self._write_while_silent(view, timeout)
            return self._taken
        except (WriteTimeout, trio.Cancelled):
            self.bytes_taken = self._taken
            raise
        finally:
            self._is_writing = self._is_silent = False

    def _send_while_silent(self, view: memoryview) -> bool:
        """Send without waiting; true when all is sent or there is something to read."""
        while self._taken < len(view) and self._is_silent:
            if self.is_readable() and not self._is_closed:
                break
            sent = self._send(view[self._taken : self._taken + SEND_PIECE])
            if not sent:
                return False
            self._taken += sent
        return True

    async def _write_while_silent(self, view: memoryview, timeout: float | None) -> None:
        """Go on after the kernel took nothing more. What ends the writing is the end of somebody's
        read, or a second task, which waits for something to read in the place of a reader."""
        error: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                self._silence = nursery
                if not self._is_reading:
                    nursery.start_soon(self._listen)
                try:
                    while not self._send_while_silent(view):
                        await self._wait_writable(timeout)
                except (WriteError, WriteTimeout) as exc:
                    error = exc  # kept out of the nursery's exception group
                finally:
                    self._silence = None
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise sole_error(group) from None
        if error is not None:
            raise error

    def _end_silence(self) -> None:
        self._is_silent = False
        if self._silence is not None:
            self._silence.cancel_scope.cancel()

    async def _listen(self) -> None:
        with trio.CancelScope() as self._ear:
            try:
                await trio.lowlevel.wait_readable(self._sock)
            except (trio.ClosedResourceError, trio.BusyResourceError, OSError, ValueError):
                return  # closed, or in use: somebody reads
            finally:
                self._ear = None
            self._end_silence()

    def _send(self, data: bytes | memoryview) -> int:
        """Give the kernel what it takes of `data`."""
        if self._is_closed:
            raise self._write_closed()
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as exc:
            # The kernel reports a reset once. Reads must not take for an end what was one; a
            # broken pipe, though, may follow a proper end.
            if not isinstance(exc, BrokenPipeError):
                self._error = exc
            raise write_error(exc, self._peer) from exc

    def _write_closed(self) -> WriteError:
        return WriteError(f"writing to {self._peer} failed: the stream is closed")

    async def _wait_writable(self, timeout: float | None) -> None:
        may_wait = timeout is None or timeout > 0.0
        if not may_wait or not await self._wait(trio.lowlevel.wait_writable, timeout):
            raise WriteTimeout(f"writing to {self._peer} timed out", limit=timeout)

    # Waiting

    async def _take_turn(self) -> None:
        self._turns += 1
        if self._turns < TURNS:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            self._turns = 0
            await trio.lowlevel.checkpoint()

    async def _wait(
        self, ready: Callable[[socket.socket], Awaitable[None]], timeout: float | None
    ) -> bool:
        """Wait until the socket is `ready` or closed under us; false if `timeout` passes first."""
        self._turns = 0
        if not self._is_in_its_run():
            raise LocalProtocolError("this connection belongs to another trio run")
        if self._ear is not None and ready is trio.lowlevel.wait_readable:
            self._ear.cancel()  # at once: its place, of which there is one, is free for a reader
        try:
            if timeout is None:
                await ready(self._sock)
            else:
                with trio.CancelScope(deadline=trio.current_time() + timeout) as scope:
                    await ready(self._sock)
                return not scope.cancelled_caught
        except trio.ClosedResourceError:
            pass  # the next look at the stream finds it closed
        except trio.BusyResourceError as exc:
            raise LocalProtocolError("another task is already using the socket") from exc
        return True

    def _is_in_its_run(self) -> bool:
        try:
            return trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            return False

    # Watching

    def watch(self, callback: Callable[[], None] | None) -> bool:
        self._watcher = callback
        if callback is not None:
            self._watch_from = trio.current_time() + WATCH_AFTER
            if self._watch_timer is None:
                self._watch_timer = call_at(self._watch_from, self._on_idle)
        elif self._watch_scope is not None:
            # Takes effect at once: the socket's place for a waiting reader is free again.
            self._watch_scope.cancel()
            self._watch_scope = None
        return True

    def _on_idle(self) -> None:
        self._watch_timer = None
        if self._watcher is None or self._watch_scope is not None:
            return
        if trio.current_time() < self._watch_from:  # used meanwhile
            self._watch_timer = call_at(self._watch_from, self._on_idle)
        else:
            self._watch_scope = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._wait_idle, self._watch_scope)

    async def _wait_idle(self, scope: trio.CancelScope) -> None:
        with scope:
            if scope.cancel_called:
                return  # before it could begin
            try:
                await trio.lowlevel.wait_readable(self._sock)
            except (trio.ClosedResourceError, trio.BusyResourceError, OSError, ValueError):
                return  # closed, or in use
        if self._watch_scope is scope:
            self._watch_scope = None
            watcher, self._watcher = self._watcher, None
            if watcher is not None:
                call_safely(watcher)

    # Closing

    async def aclose(self) -> None:
        self._shut(may_reset=False)

    def abort(self) -> bool:
        return self._shut(may_reset=True)

    def _shut(self, *, may_reset: bool) -> bool:
        if self._process != os.getpid():
            self.forget()  # the connection is our parent's
        elif not self._is_closed:
            self._is_closed = True
            shut_down(self._sock, may_reset)
            self._release_in_its_run()
        return True

    def forget(self) -> None:
        self._is_closed = True
        if self._process == os.getpid():
            self._release_in_its_run()  # which may be another thread's
        else:
            self._sock.close()

    def _release_in_its_run(self) -> None:
        if self._is_in_its_run():
            self._release()
            return
        try:
            self._token.run_sync_soon(self._release)
        except trio.RunFinishedError:
            self._sock.close()

    def _release(self) -> None:
        self._watcher = None
        self._error = None  # whose traceback may lead back to us
        if self._watch_timer is not None:
            self._watch_timer.cancel()
            self._watch_timer = None
        if self._watch_scope is not None:
            self._watch_scope.cancel()
            self._watch_scope = None
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    # The rest

    def is_readable(self) -> bool:
        return self._is_closed or self._error is not None or bool(wait_for(self._sock, POLLIN, 0))

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

        return await start_tls(self, ssl_context, server_hostname, timeout, trio.current_time)


def sole_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception that a nursery has wrapped. Ours raise nothing that is to be caught, so it is a
    cancellation, perhaps of several tasks, or an interrupt, which is the more important one."""
    leaves: list[BaseException] = []
    for exc in group.exceptions:
        leaves.append(sole_error(exc) if isinstance(exc, BaseExceptionGroup) else exc)
    others = [exc for exc in leaves if not isinstance(exc, trio.Cancelled)]
    return (others or leaves)[0]
