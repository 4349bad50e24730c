"""What lies between a scripted HTTP/2 server and the network: a socket, with or without TLS.

Rules of this file: nothing of HTTP, and no waiting but in `pump`, which reads while it writes.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Literal

from httpcore_core.testing.peer import ClientLeft


class Wire:
    """A socket, with or without TLS, written to and read from by one thread without blocking."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self.reading = True
        self.ended: Literal["", "FIN", "RST"] = ""
        self.ssl_object: ssl.SSLObject | None = None
        self._socket = sock
        self._is_up = context is None
        self._outgoing = bytearray()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self._from_network, self._to_network = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.ssl_object = context.wrap_bio(
                self._from_network, self._to_network, server_side=True
            )

    @property
    def unsent(self) -> int:
        return len(self._outgoing)

    def handshake(self, wait: Callable[[], None]) -> None:
        while self.ssl_object is not None:
            try:
                self.ssl_object.do_handshake()
            except ssl.SSLWantReadError:
                self._encrypted()
                if self.ended:
                    raise ClientLeft("the client left during the handshake") from None
                wait()
            except ssl.SSLError as exc:
                self._encrypted()
                self.pump(0)
                raise ClientLeft(f"no handshake: {exc}") from exc
            else:
                self._encrypted()
                self._is_up = True
                return

    def send(self, data: bytes) -> None:
        if self.ssl_object is None:
            self._outgoing += data
        elif data:
            self.ssl_object.write(data)
            self._encrypted()

    def end(self) -> None:
        """A close_notify, where there is TLS."""
        if self.ssl_object is not None:
            try:
                self.ssl_object.unwrap()
            except ssl.SSLError:
                pass
            self._encrypted()

    def pump(self, timeout: float) -> bytes:
        """Write what the network takes, and return what has arrived within `timeout`."""
        if data := self._decrypted():  # it came with the end of the handshake
            return data
        events = select.POLLIN if self.reading and not self.ended else 0
        if self._outgoing and self.ended != "RST":
            events |= select.POLLOUT
        if not events:
            time.sleep(timeout)
            return b""
        poll = select.poll()
        poll.register(self._socket, events)
        ready = dict(poll.poll(timeout * 1000)).get(self._socket.fileno(), 0)
        if not ready:
            return b""
        try:
            if events & select.POLLOUT and ready & ~select.POLLIN:
                del self._outgoing[: self._socket.send(self._outgoing[:262144])]
            if events & select.POLLIN and ready & ~select.POLLOUT:
                return self._read()
        except BlockingIOError:
            pass
        except OSError:
            self.ended = "RST"
        return b""

    def _read(self) -> bytes:
        data = self._socket.recv(262144)
        if not data:
            self.ended = "FIN"
        if self.ssl_object is None or not data:
            return data
        self._from_network.write(data)
        return self._decrypted()

    def _decrypted(self) -> bytes:
        found: list[bytes] = []
        if self.ssl_object is None or not self._is_up or not self._from_network.pending:
            return b""
        try:
            while piece := self.ssl_object.read(65536):
                found.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:  # a close_notify, or worse: the client says no more
            self.ended = self.ended or "FIN"
        return b"".join(found)

    def _encrypted(self) -> None:
        self._outgoing += self._to_network.read()
