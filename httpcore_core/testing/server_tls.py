"""What lies between a script and its socket: nothing, TLS, or TLS within TLS.

Rules of this file: blocking calls; a TLS layer works on any other layer, which is why it is made
of memory buffers rather than of a wrapped socket. It also leaves out close_notify on demand.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import socket

T = TypeVar("T")

READ_SIZE = 65536


class Layer(Protocol):
    truncated: bool  # the client ended TLS without close_notify

    @property
    def ssl_object(self) -> ssl.SSLObject | None: ...

    def receive(self) -> bytes: ...

    def send(self, data: bytes) -> None: ...

    def end(self) -> None:
        """Say that nothing more will be sent, where the layer has words for it."""


class PlainLayer:
    """The socket itself."""

    ssl_object: ssl.SSLObject | None = None

    def __init__(self, sock: socket.socket) -> None:
        self.truncated = False
        self._socket = sock

    def receive(self) -> bytes:
        return self._socket.recv(READ_SIZE)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end(self) -> None:
        """A socket says it with its FIN, which is for the owner of the socket to send."""


class TLSLayer:
    """TLS, as the server of it, inside another layer; the handshake is done when it is made."""

    def __init__(self, lower: Layer, context: ssl.SSLContext, received: bytes = b"") -> None:
        self.truncated = False
        self._lower = lower
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._incoming.write(received)
        self.ssl_object: ssl.SSLObject = context.wrap_bio(
            self._incoming, self._outgoing, server_side=True
        )
        self._run(self.ssl_object.do_handshake)

    def receive(self) -> bytes:
        try:
            return self._run(lambda: self.ssl_object.read(READ_SIZE))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError:
            self.truncated = True
            return b""

    def send(self, data: bytes) -> None:
        if data:
            self._run(lambda: self.ssl_object.write(data))

    def end(self) -> None:
        try:
            self.ssl_object.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLError):
            pass  # the client's own close_notify is not waited for
        self._flush()

    def _run(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                self._flush()  # the alert
                raise
            else:
                self._flush()
                return result

    def _feed(self) -> None:
        data = self._lower.receive()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._lower.send(data)
