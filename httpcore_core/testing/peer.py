"""The server's end of one connection, for scripts that run in a thread of their own.

Rules of this file: blocking calls only, and each of them ends when the server stops. A client that
leaves ends its script quietly, and how it left is recorded; a client that sends something else
than the script expects is an error of the test.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from .server_tls import Layer, PlainLayer, TLSLayer

if TYPE_CHECKING:
    import ssl

READ_SIZE = 65536

Ended = Literal["FIN", "RST", "closed", "reset", "stopped"]
"""The client closed or reset the connection; the script closed or reset it; the server stopped."""


class ClientLeft(ConnectionError):
    """The client ended the connection before the script did."""


class Stopped(Exception):
    """The server is being stopped, and with it the script."""


class ReceivedRequest(NamedTuple):
    """A whole HTTP/1.1 request as the server read it; `raw` is every byte of it."""

    method: bytes
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    raw: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Peer:
    """One accepted connection. `ended` says how it ended, None while it is open; `received` is all
    the client sent, `requests` what `read_request` made of it; `truncated` says that the client
    ended TLS without close_notify; `error` keeps a failure of the socket or of TLS."""

    def __init__(
        self, sock: socket.socket, number: int, stopping: threading.Event, released: threading.Event
    ) -> None:
        self.number = number
        self.address = sock.getsockname()
        self.client_address = sock.getpeername()
        self.received = bytearray()
        self.requests: list[ReceivedRequest] = []
        self.ended: Ended | None = None
        self.error: Exception | None = None
        self.done = threading.Event()  # the script has run and the socket is closed
        self._socket = sock
        self._layer: Layer = PlainLayer(sock)
        self._lock = threading.Lock()
        self._stopping = stopping
        self._released = released
        self._awaited = released
        self._unread = bytearray()
        self._at_end = False
        self._raw = bytearray()

    # Reading

    def receive(self) -> bytes:
        """Whatever comes next; ``b""`` when the client has ended its side."""
        if self._unread:
            data = bytes(self._unread)
            self._unread.clear()
            return data
        return self._more()

    def read_exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._fill()
        return self._take(size)

    def read_until(self, end: bytes) -> bytes:
        """Up to and including `end`."""
        while (found := self._unread.find(end)) < 0:
            self._fill()
        return self._take(found + len(end))

    def expect(self, data: bytes) -> None:
        """These bytes come next."""
        while len(self._unread) < len(data) and data.startswith(self._unread):
            self._fill()
        if not self._unread.startswith(data):
            raise AssertionError(f"expected {data!r}, the client sent {bytes(self._unread)!r}")
        self._take(len(data))

    def expect_match(self, pattern: bytes) -> re.Match[bytes]:
        """Read until the regular expression is found; what is before it is read too."""
        while (match := re.search(pattern, bytes(self._unread), re.DOTALL)) is None:
            self._fill()
        self._take(match.end())
        return match

    def read_head(self) -> ReceivedRequest:
        """The head of a request; `body` is empty. Raises `ClientLeft` at the end."""
        self._raw.clear()
        lines = self.read_until(b"\r\n\r\n").split(b"\r\n")
        method, target, version = lines[0].split(b" ")
        pairs = (line.partition(b":") for line in lines[1:-2])
        headers = [(name, value.strip(b" \t")) for name, _, value in pairs]
        return ReceivedRequest(method, target, version, headers, b"", bytes(self._raw))

    def read_body(self, head: ReceivedRequest) -> ReceivedRequest:
        """The body that belongs to `head`; ``Expect: 100-continue`` is answered first. Returns the
        whole request, which is also recorded."""
        if (head.header(b"expect") or b"").lower() == b"100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if (head.header(b"transfer-encoding") or b"").lower() == b"chunked":
            body = self._read_chunked()
        else:
            body = self.read_exactly(int(head.header(b"content-length") or 0))
        request = head._replace(body=body, raw=bytes(self._raw))
        self.requests.append(request)
        return request

    def read_request(self) -> ReceivedRequest:
        """A whole HTTP/1.1 request."""
        return self.read_body(self.read_head())

    def wait_for_end(self) -> None:
        """Read until the client ends the connection."""
        while self.receive():
            pass

    def _read_chunked(self) -> bytes:
        body = bytearray()
        while size := int(self.read_until(b"\r\n").split(b";")[0], 16):
            body += self.read_exactly(size)
            self.expect(b"\r\n")
        while self.read_until(b"\r\n") != b"\r\n":
            pass
        return bytes(body)

    def _take(self, size: int) -> bytes:
        data = bytes(self._unread[:size])
        del self._unread[:size]
        self._raw += data
        return data

    def _fill(self) -> None:
        data = self._more()
        if not data:
            raise ClientLeft("the client ended the connection in the middle of the script")
        self._unread += data

    def _more(self) -> bytes:
        if self._at_end:
            return b""
        data = self._layer.receive()
        self._check_running()
        self.received += data
        if not data:
            self._at_end = True
            self._record("FIN")
        return data

    # Writing

    def send(self, data: bytes) -> None:
        self._layer.send(data)

    def drip(self, data: bytes, interval: float = 0.0) -> None:
        """One byte at a time, each in a segment of its own, `interval` seconds apart."""
        if self._socket.family != getattr(socket, "AF_UNIX", None):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for position in range(len(data)):
            self.send(data[position : position + 1])
            if interval:
                self.pause(interval)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Do a TLS handshake inside what there is, which may be TLS already."""
        self._layer = TLSLayer(self._layer, context, bytes(self._unread))
        self._unread.clear()

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        return self._layer.ssl_object

    def socket_option(self, level: int, option: int) -> int:
        return self._socket.getsockopt(level, option)

    @property
    def truncated(self) -> bool:
        return self._layer.truncated

    # Waiting

    def hang(self, until: threading.Event | None = None) -> None:
        """Do nothing until the event is set; without one, until ``server.release()``."""
        self._awaited = self._released if until is None else until
        self._check_running()
        self._awaited.wait()
        self._check_running()

    def pause(self, seconds: float) -> None:
        """Really wait. For tests of rates; those of order have `hang`."""
        self._stopping.wait(seconds)
        self._check_running()

    # Ending

    def half_close(self) -> None:
        """End our side (a FIN, after a close_notify on TLS) and go on reading."""
        self._layer.end()
        self._socket.shutdown(socket.SHUT_WR)

    def close(self, close_notify: bool = True) -> None:
        """Close both sides. On TLS without `close_notify` this is what a truncation looks like.
        If the client has sent what the script has not read, the system makes it a reset."""
        if close_notify:
            self._layer.end()
        self._record("closed")
        self._close_socket()

    def reset(self) -> None:
        """Close with a RST; on unix sockets the client sees an end of stream."""
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._record("reset")
        self._close_socket()

    def has_left(self) -> bool:
        """Whether the client has ended the connection, seen or not seen by the script."""
        with self._lock:
            if self.ended is not None or self._socket.fileno() < 0:
                return True
            if hasattr(select, "poll"):
                poll = select.poll()
                poll.register(self._socket, getattr(select, "POLLRDHUP", 0))
                if poll.poll(0):
                    return True
            if not select.select([self._socket], [], [], 0)[0]:
                return False
            try:
                # Without waiting: the script may have read it meanwhile.
                flags = socket.MSG_PEEK | getattr(socket, "MSG_DONTWAIT", 0)
                return not self._socket.recv(1, flags)
            except BlockingIOError:
                return False
            except OSError:
                return True

    def run(self, script: Callable[[Peer], object]) -> Exception | None:
        """Run the script to its end; if it leaves the connection open, wait for the client to end
        it. Returns an error of the test's own, not one of the network."""
        try:
            script(self)
            if self.ended is None:
                self.wait_for_end()
                if not self.truncated:
                    self._layer.end()  # the answer to the client's close_notify
        except (ClientLeft, Stopped):
            pass
        except OSError as exc:
            self.error = exc
            self._record("stopped" if self._stopping.is_set() else "RST")
        except Exception as exc:
            self._record("closed")
            return exc
        finally:
            self._record("stopped")  # only if nothing else has been
            self._close_socket()
            self.done.set()
        return None

    def stop(self) -> None:
        """Wake the script, wherever it waits. For the server, after it has set `stopping`."""
        self._awaited.set()
        with self._lock:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already

    def _check_running(self) -> None:
        if self._stopping.is_set():
            self._record("stopped")
            raise Stopped

    def _record(self, ended: Ended) -> None:
        if self.ended is None:
            self.ended = ended

    def _close_socket(self) -> None:
        with self._lock:
            self._socket.close()
