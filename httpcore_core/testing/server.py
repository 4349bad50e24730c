"""A server on loopback that does exactly what a script says, connection by connection.

    def script(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhel")
        peer.reset()

    with ScriptedServer(script) as server:
        ...connect to ("127.0.0.1", server.port)...
    assert server.connections[0].ended == "reset"

Connection number n runs script n, in a thread of its own; the last script serves all further ones.
A script is a function of the `Peer`, or a list of such functions, as `scripts` has ready-made. One
that returns without closing leaves the connection open until the client ends it.

Rules of this file: leaving the ``with`` block always ends every thread and closes every socket,
whatever scripts are doing, and raises the first failed expectation of a script.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from .peer import Peer, ReceivedRequest

if TYPE_CHECKING:
    import ssl

Step: TypeAlias = Callable[[Peer], object]
Script: TypeAlias = Step | Sequence[Step]

PEAK_GRACE = 0.05
"""Seconds until a connection counts as one more than ever before."""

JOIN_LIMIT = 10.0
"""Seconds until a thread which does not end is reported; scripts that only use `Peer` end at once
when the server stops."""


class ScriptedServer:
    """`ssl_context` makes each connection begin with a TLS handshake; `path` is that of a unix
    domain socket to listen on instead of TCP."""

    def __init__(
        self,
        *scripts: Script,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str | None = None,
        backlog: int = 128,
    ) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.connections: list[Peer] = []
        self.errors: list[Exception] = []
        self.peak = 0  # the most connections that were open when one more was accepted
        self._scripts: list[Script] = list(scripts) or [[]]
        self._ssl_context = ssl_context
        self._backlog = backlog
        self._stopping = threading.Event()
        self._released = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    # What tests look at

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All whole requests, those of an earlier connection first."""
        return [request for peer in list(self.connections) for request in peer.requests]

    @property
    def open_connections(self) -> int:
        """How many connections the clients have not ended yet."""
        return self._open_among(len(self.connections))

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._ssl_context is None else 'https'}://{host}:{self.port}"

    def wait_for_connection(self, number: int = 0, timeout: float = 10.0) -> Peer:
        """Wait until connection `number` (from 0) has been accepted, and return it."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.connections) > number, timeout):
                raise AssertionError(f"connection {number} was not made in {timeout:g} s")
        return self.connections[number]

    def wait_until_done(self, timeout: float = 10.0) -> None:
        """Wait until every connection accepted so far has ended on both sides."""
        for peer in list(self.connections):
            if not peer.done.wait(timeout):
                raise AssertionError(f"connection {peer.number} has not ended in {timeout:g} s")

    def release(self) -> None:
        """Let all scripts that `hang`, and all that will, go on."""
        self._released.set()

    # Running

    def start(self) -> None:
        self._listener = self._listen()
        self._wake_read, self._wake_write = socket.socketpair()
        self._start_thread(self._accept)

    def stop(self) -> None:
        """End all scripts and close all sockets. May be called again."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._wake_write.send(b"\0")
        self._threads[0].join(JOIN_LIMIT)  # no connection is accepted from here on
        for peer in self.connections:
            peer.stop()
        for thread in self._threads:
            thread.join(JOIN_LIMIT)
        for sock in (self._listener, self._wake_read, self._wake_write):
            sock.close()
        if self.path is not None:
            os.unlink(self.path)
        alive = [thread.name for thread in self._threads if thread.is_alive()]
        if alive:
            raise AssertionError(f"scripts that do not end: {alive}")

    def __enter__(self) -> ScriptedServer:
        self.start()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.stop()
        if error is None and self.errors:
            raise self.errors[0]

    def _listen(self) -> socket.socket:
        if self.path is not None:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.path)
        else:
            listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            self.port = listener.getsockname()[1]
        listener.listen(self._backlog)
        return listener

    def _start_thread(self, target: Callable[..., None], *args: object) -> None:
        name = f"{type(self).__name__}-{len(self._threads)}"
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            ready = select.select([self._listener, self._wake_read], [], [])[0]
            if self._stopping.is_set():
                return
            if self._listener not in ready:
                continue
            sock, _ = self._listener.accept()
            try:
                peer = Peer(sock, len(self.connections), self._stopping, self._released)
            except OSError:  # reset before it was accepted
                sock.close()
                continue
            with self._changed:
                self.connections.append(peer)
                self._changed.notify_all()
            self._note_peak(peer.number)
            self._start_thread(self._serve, peer)

    def _open_among(self, first: int) -> int:
        return sum(not peer.has_left() for peer in self.connections[:first])

    def _note_peak(self, earlier: int) -> None:
        """An end that the client has sent may still be on its way, on a busy machine."""
        deadline = time.monotonic() + PEAK_GRACE
        while (count := self._open_among(earlier)) >= self.peak > 0:
            if time.monotonic() > deadline:
                break
            time.sleep(0.001)
        self.peak = max(self.peak, count + 1)

    def _serve(self, peer: Peer) -> None:
        script = self._scripts[min(peer.number, len(self._scripts) - 1)]

        def run(peer: Peer) -> None:
            if self._ssl_context is not None:
                peer.start_tls(self._ssl_context)
            for step in [script] if callable(script) else script:
                step(peer)

        error = peer.run(run)
        if error is not None:
            self.errors.append(error)
