"""A real server of WebSockets: hypercorn with a small ASGI application, in a thread.

    /echo      a WebSocket that returns each message, whole; to a request, the word "echo"
    /refused   403, and no WebSocket

It serves HTTP/1.1 and, by h2, HTTP/2, on one port in the clear and on one over TLS. Its sockets
listen before the thread starts, so nobody has to wait until it is ready.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

import hypercorn.asyncio
import hypercorn.config

from tests.certificates import Certificates

JOIN_LIMIT = 30.0
"""Seconds until a server that does not stop is reported."""


class WebSocketServer:
    """`url` and `tls_url` are without a path; `served` has one entry for each WebSocket and each
    request: its kind, the HTTP version and the client's port."""

    def __init__(self, certificates: Certificates) -> None:
        self.served: list[tuple[str, str, int]] = []
        self._certificates = certificates

    def __enter__(self) -> Self:
        plain, secure = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        self.url = f"http://127.0.0.1:{plain.getsockname()[1]}"
        self.tls_url = f"https://127.0.0.1:{secure.getsockname()[1]}"
        config = hypercorn.config.Config()
        config.insecure_bind = [f"fd://{plain.detach()}"]
        config.bind = [f"fd://{secure.detach()}"]
        config.certfile = config.keyfile = self._certificates.server_file
        config.loglevel = "ERROR"
        self._stop: Callable[[], object] | None = None
        self._error: BaseException | None = None
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(config,), daemon=True)
        self._thread.start()
        assert self._is_running.wait(JOIN_LIMIT)
        return self

    def __exit__(self, *args: object) -> None:
        assert self._stop is not None
        self._stop()
        self._thread.join(JOIN_LIMIT)
        assert not self._thread.is_alive(), "the server does not stop"

    def _run(self, config: hypercorn.config.Config) -> None:
        asyncio.run(self._serve(config))

    async def _serve(self, config: hypercorn.config.Config) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        self._is_running.set()
        app: Any = self._application  # plain ASGI; hypercorn's types are closer than that
        await hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped.wait)

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        self.served.append((scope["type"], scope["http_version"], scope["client"][1]))
        if scope["type"] == "http":
            await _answer(send)
        elif scope["path"] == "/echo":
            await _echo(receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})


async def _answer(send: Any) -> None:
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"echo"})


async def _echo(receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
