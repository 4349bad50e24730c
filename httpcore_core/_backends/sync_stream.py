"""The stream of blocking code: a socket and `poll`.

Rules of this file: the socket is non-blocking for good; whatever waits, waits in `poll` with its
time left, so that no signal stretches it. (A blocking socket with SO_RCVTIMEO would save one system
call of the three that a small exchange takes, about half a microsecond, but would begin the whole
timeout again after every signal.)
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any

from .._concurrency import Event
from .._exceptions import LocalProtocolError, ReadError, ReadTimeout, WriteError, WriteTimeout
from . import sockets
from .base import NetworkStream
from .polling import CLOSED, MAX_POLL, POLLIN, POLLOUT, SelectPoll, make_poll, wait_for

if TYPE_CHECKING:
    import ssl

# Windows' `select` may sleep through the shutdown of its socket by another thread: look up often.
MAX_WAIT = MAX_POLL / 1000.0 if make_poll is not SelectPoll else 0.1


class SocketStream(NetworkStream):
    """A connected socket.

    Who may release the descriptor? Another thread may `abort` the stream at any moment, and a
    descriptor that is closed while someone is about to use it may by then be somebody else's. So
    `abort` marks the stream closed and shuts the socket down, which wakes whoever waits for it;
    the descriptor is closed by whoever comes last out of the reader, the writer and the aborter.
    Each sets its own mark before it looks at `_closed`, and looks at `_closed` after it has taken
    the mark back, while `abort` sets `_closed` before it looks at the marks: whatever the order,
    one of them sees the other, and closing twice does no harm.

    Marks are plain attributes: between testing one, setting it and entering ``try`` the
    interpreter neither switches threads nor delivers signals, so a KeyboardInterrupt cannot leave
    one set. They also tell when two readers or two writers meet, which is the caller's mistake.

    When something comes, `write_until_readable` shall end although another thread reads. But the
    system looks anew before it lets a poll return, and sleeps on if the other has been faster. So a
    reader that finds the mark of such a writer waits, before it takes anything, until the writer
    has left its poll, which it does as long as there is something to read. And it sets `_taken`
    before it looks for that mark, for a writer which was still on its way there: see `watch_reads`.
    """

    __slots__ = (
        "_client_addr",
        "_closed",
        "_error",
        "_more",
        "_peer",
        "_process",
        "_reading",
        "_seen",
        "_server_addr",
        "_shutting",
        "_sock",
        "_taken",
        "_watching",
        "_writing",
        "bytes_taken",
    )

    bytes_taken: int | None

    def __init__(self, sock: socket.socket, peer: object) -> None:
        self._sock = sock
        self._peer = peer
        self._process = sockets.this_process()
        self._client_addr = self._server_addr = None
        self._reading = self._writing = self._shutting = self._closed = False
        # Whether the last read filled its buffer, so that the next will hardly have to wait. What
        # it did not fill it has emptied: in a download, too, waiting first saves a call in vain.
        self._more = False
        # What broke the connection. It is never raised a second time: it would get for its context
        # what it had caused the first time, in a cycle.
        self._error: OSError | None = None
        self._watching = False  # the writer's mark: it waits for something to read, too
        self._seen: Event | None = None  # set once it does not any more
        self._taken: bool | None = None  # whether anyone has since `watch_reads`
        self.bytes_taken = None

    def __repr__(self) -> str:
        return f"<SocketStream {self._peer}>"

    # Reading

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._reading:
            raise LocalProtocolError("another thread is already reading")
        self._reading = True
        try:
            optimistic = self._more
            while not self._closed:
                if not optimistic and not self._wait(POLLIN, timeout):
                    raise ReadTimeout(f"reading from {self._peer} timed out", limit=timeout)
                if self._taken is False:
                    self._taken = True
                if self._watching and not self._let_writer_see():
                    optimistic = False
                    continue
                try:
                    data = self._sock.recv(max_bytes)
                except BlockingIOError:
                    optimistic = False
                    continue
                if data or not self._closed:
                    if not data and self._error is not None:
                        raise sockets.read_error(self._error, self._peer)
                    self._more = len(data) == max_bytes
                    return data
            raise ReadError(f"reading from {self._peer} failed: the stream is closed")
        except OSError as exc:
            self._error = exc
            raise sockets.read_error(exc, self._peer) from exc
        finally:
            self._reading = False
            if self._closed:
                self._release()

    def read_nowait(self, max_bytes: int) -> bytes | None:
        if self._reading:
            raise LocalProtocolError("another thread is already reading")
        self._reading = True
        try:
            if self._taken is False:
                self._taken = True
            if self._watching and not self._let_writer_see():
                return None
            data = b"" if self._closed else self._sock.recv(max_bytes)
            if not data and self._closed:
                raise ReadError(f"reading from {self._peer} failed: the stream is closed")
            if not data and self._error is not None:
                raise sockets.read_error(self._error, self._peer)
            return data
        except BlockingIOError:
            return None
        except OSError as exc:
            self._error = exc
            raise sockets.read_error(exc, self._peer) from exc
        finally:
            self._reading = False
            if self._closed:
                self._release()

    def _let_writer_see(self) -> bool:
        """False if there is nothing to see; else the writer has left its poll."""
        if not wait_for(self._sock, POLLIN, 0):
            return False
        seen = self._seen = Event()
        if self._watching:  # it looks for `_seen` after it has taken its mark back
            seen.wait(None)
        self._seen = None
        return True

    def is_readable(self) -> bool:
        if self._reading:
            return self._closed
        self._reading = True
        try:
            return self._closed or bool(wait_for(self._sock, POLLIN, 0))
        finally:
            self._reading = False
            if self._closed:
                self._release()

    # Writing

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._writing:
            raise LocalProtocolError("another thread is already writing")
        self._writing = True
        sent = 0
        try:
            if self._closed:
                raise self._write_closed()
            try:
                sent = self._sock.send(buffer) if buffer else 0
            except BlockingIOError:
                pass
            if sent < len(buffer):
                rest = memoryview(buffer)[sent:]
                sent = 1  # or more: from here on it is not counted
                self._write_rest(rest, timeout)
        except OSError as exc:
            raise self._write_failed(exc, sent) from exc
        finally:
            self._writing = False
            if self._closed:
                self._release()

    def write_nowait(self, buffer: bytes) -> int:
        if self._writing:
            return 0
        self._writing = True
        try:
            return 0 if self._closed else self._sock.send(buffer)
        except OSError:
            return 0
        finally:
            self._writing = False
            if self._closed:
                self._release()

    def _write_rest(self, rest: memoryview, timeout: float | None) -> None:
        while rest:
            if not self._wait(POLLOUT, timeout):
                raise self._write_timed_out(timeout)
            if self._closed:
                raise self._write_closed(None)
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                continue

    def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        if self._writing:
            raise LocalProtocolError("another thread is already writing")
        self.bytes_taken = None
        self._writing = self._watching = True
        try:
            if self._closed:
                raise self._write_closed()
            return self._write_while_silent(memoryview(buffer), timeout)
        except OSError as exc:
            raise self._write_failed(exc, 1) from exc
        finally:
            self._writing = self._watching = False
            seen = self._seen
            if seen is not None:
                seen.set()
            if self._closed:
                self._release()

    def _write_while_silent(self, rest: memoryview, timeout: float | None) -> int:
        total = len(rest)
        while rest and not self._taken:
            events = self._wait(POLLIN | POLLOUT, timeout)
            if not events:
                self.bytes_taken = total - len(rest)
                raise self._write_timed_out(timeout)
            if self._closed:
                raise self._write_closed(0 if total == len(rest) else None)
            if events[0][1] != POLLOUT:  # readable; so are errors and hang-ups
                break
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                continue
        return total - len(rest)

    def watch_reads(self) -> None:
        self._taken = False

    def _write_timed_out(self, timeout: float | None) -> WriteTimeout:
        return WriteTimeout(f"writing to {self._peer} timed out", limit=timeout)

    def _write_closed(self, sent: int | None = 0) -> WriteError:
        error = WriteError(f"writing to {self._peer} failed: the stream is closed")
        error.bytes_written = sent
        return error

    def _write_failed(self, exc: OSError, sent: int) -> WriteError:
        # The system tells of a reset once, and no read must take it for an end; a broken pipe,
        # though, may follow a proper end.
        if not isinstance(exc, BrokenPipeError):
            self._error = exc
        error = sockets.write_error(exc, self._peer)
        error.bytes_written = sent
        return error

    # Waiting

    def _wait(self, mask: int, timeout: float | None) -> list[tuple[int, int]]:
        """Wait for events and return them, none if nothing happens in time; something else that is
        true if the stream is closed meanwhile."""
        if timeout is not None and timeout <= MAX_WAIT:
            return wait_for(self._sock, mask, timeout * 1000.0 if timeout > 0.0 else 0)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._closed:
            left = MAX_WAIT if deadline is None else max(deadline - time.monotonic(), 0.0)
            events = wait_for(self._sock, mask, min(left, MAX_WAIT) * 1000.0)
            if events or left < MAX_WAIT:
                return events
        return CLOSED

    # Closing

    def close(self) -> None:
        self._shut(may_reset=False)

    def abort(self) -> bool:
        return self._shut(may_reset=True)

    def _shut(self, *, may_reset: bool) -> bool:
        if self._process != os.getpid():
            self.forget()  # the connection is our parent's
            return True
        if not self._closed:
            self._closed = self._shutting = True
            try:
                sockets.shut_down(self._sock, may_reset)
            finally:
                self._shutting = False
        self._release()
        return True

    def _release(self) -> None:
        if not (self._reading or self._writing or self._shutting):
            self._sock.close()

    def forget(self) -> None:
        # In a forked child whoever was reading or writing does not exist.
        self._closed = True
        self._sock.close()

    # Everything else

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        from .sync_tls import start_tls

        return start_tls(self, ssl_context, server_hostname, timeout, time.monotonic)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self.is_readable()
        return sockets.stream_info(self, info)
