"""An HTTP/2 server on loopback that says, frame by frame, what a script tells it to.

    def script(link):
        request = link.next_request()
        link.send(link.peer.response(request.id, b"hello"))

    with HTTP2Server(script) as server:
        ...connect to ("127.0.0.1", server.port), by prior knowledge or, with a context, by ALPN...
    assert server.links[0].resets == {}

Connection number n runs script n, in a thread of its own; the last script serves all further ones.
Without scripts, all of them `serve` the routes of `tests.http2_routes`. `ssl_context` may be a
list, one for each connection; who does not agree on h2 there is served HTTP/1.1.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from httpcore_core.testing import peer as wire
from httpcore_core.testing.server import ScriptedServer
from tests.http2_link import Link
from tests.http2_request import (
    ENABLE_CONNECT_PROTOCOL,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    Request,
)
from tests.http2_routes import serve

__all__ = [
    "ENABLE_CONNECT_PROTOCOL",
    "INITIAL_WINDOW_SIZE",
    "MAX_CONCURRENT_STREAMS",
    "MAX_FRAME_SIZE",
    "HTTP2Server",
    "Link",
    "Request",
    "serve",
]

Script = Callable[[Link], object]


class HTTP2Server(ScriptedServer):
    """`settings` are sent at the start of each connection unless `greets` is false; `http1` is the
    answer to whoever speaks HTTP/1.1; `receive_buffer` is the size of the sockets', in bytes."""

    def __init__(
        self,
        *scripts: Script,
        settings: dict[int, int] | None = None,
        ssl_context: ssl.SSLContext | Sequence[ssl.SSLContext] | None = None,
        greets: bool = True,
        http1: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nHTTP/1.1",
        receive_buffer: int | None = None,
    ) -> None:
        super().__init__(self._talk)
        self.links: list[Link] = []
        self.settings = settings or {}
        self.greets = greets
        self.released = threading.Event()
        self._link_scripts = scripts or (serve,)
        one = isinstance(ssl_context, ssl.SSLContext)
        self._contexts: Sequence[Any] = [ssl_context] if one else ssl_context or [None]  # type: ignore[list-item,assignment]
        self._http1 = http1
        self._receive_buffer = receive_buffer

    def __enter__(self) -> HTTP2Server:
        self.start()
        if self._receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        return self

    @property
    def url(self) -> str:
        return f"http{'' if self._contexts[0] is None else 's'}://127.0.0.1:{self.port}"

    def link(self, number: int = 0, timeout: float = 30.0) -> Link:
        """The link of that number, for a thread of the test's own; waits for it."""
        self.wait_for_connection(number, timeout)
        deadline = time.monotonic() + timeout
        while len(self.links) <= number:
            assert time.monotonic() < deadline, f"there is no link {number}"
            time.sleep(0.001)
        return self.links[number]

    def context(self, number: int) -> ssl.SSLContext | None:
        contexts = self._contexts
        found: ssl.SSLContext | None = contexts[min(number, len(contexts) - 1)]
        return found

    def release(self) -> None:
        super().release()
        self.released.set()

    def stop(self) -> None:
        self.released.set()
        super().stop()

    @property
    def heads(self) -> list[Request]:
        """All requests, those of an earlier connection first."""
        return [request for link in list(self.links) for request in link.requests]

    @property
    def http2_connections(self) -> int:
        """Connections on which HTTP/2 was spoken."""
        return sum(bool(link.frames) for link in list(self.links))

    def _talk(self, connection: wire.Peer) -> None:
        link = Link(self, connection)
        self.links.append(link)
        try:
            link.handshake()
            if link.alpn == "http/1.1":
                self._speak_http1(link)
                return
            script = self._link_scripts[min(link.number, len(self._link_scripts) - 1)]
            script(link)
            if not link.closed:
                link.wait_for_end()
        except wire.ClientLeft:
            link.closed = True
            raise
        except AssertionError as exc:
            exc.add_note(f"on connection {link.number}, after {link.frames[-5:]}")
            raise

    def _speak_http1(self, link: Link) -> None:
        """Answers heads, each the same; bodies are not for this server."""
        received = bytearray()
        link.on_data = received.extend
        while True:
            link.wait_for(lambda: b"\r\n\r\n" in received)
            del received[: received.index(b"\r\n\r\n") + 4]
            link.send_raw(self._http1)
