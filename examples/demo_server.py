"""A real server for the demonstration: hypercorn with a small ASGI application, in a thread.

It serves the same application over plain HTTP and over TLS, with a certificate that is made on the
spot. Its sockets listen before the thread starts, so nobody has to wait until it is ready.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import hypercorn.asyncio
import hypercorn.config
import trustme

HELLO = b"Hello from a real server.\n"
DRIPS = [b"%03d " % number * 2000 for number in range(8)]
PAUSE = 0.002  # seconds between two drips

Message = dict[str, Any]


async def application(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """``/`` greets, ``/drip`` sends its body bit by bit, ``/echo`` returns what was uploaded."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answers = {"/": [HELLO], "/drip": DRIPS, "/echo": [body]}
    chunks = answers.get(scope["path"])
    status, chunks = (200, chunks) if chunks is not None else (404, [b"Not here.\n"])
    headers = [(b"content-type", b"text/plain")]
    if len(chunks) == 1:
        headers.append((b"content-length", b"%d" % len(chunks[0])))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for chunk in chunks:
        if len(chunks) > 1:
            await asyncio.sleep(PAUSE)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Server:
    """``with Server() as server``: `http` and `https` are its URLs, `ssl_context` trusts it, and
    `http2_context` offers HTTP/2 besides."""

    def __enter__(self) -> Self:
        authority = trustme.CA()
        self.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.ssl_context)
        self.http2_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.http2_context.set_alpn_protocols(["h2", "http/1.1"])
        authority.configure_trust(self.http2_context)
        plain, secure = _listener(), _listener()
        self.http = f"http://localhost:{plain.getsockname()[1]}"
        self.https = f"https://localhost:{secure.getsockname()[1]}"

        self._files = tempfile.TemporaryDirectory()
        certificate = Path(self._files.name) / "certificate.pem"
        key = Path(self._files.name) / "key.pem"
        leaf = authority.issue_cert("localhost", "127.0.0.1")
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))

        config = hypercorn.config.Config()
        config.bind = [f"fd://{secure.detach()}"]
        config.insecure_bind = [f"fd://{plain.detach()}"]
        config.certfile, config.keyfile = str(certificate), str(key)
        config.loglevel = "ERROR"
        config.graceful_timeout = 1.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(config,))
        self._thread.start()
        return self

    def _run(self, config: hypercorn.config.Config) -> None:
        async def stopped() -> None:
            await asyncio.to_thread(self._stopped.wait)

        app: Any = application  # ours is plain ASGI; hypercorn's types are closer than that
        asyncio.run(hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped))

    def __exit__(self, *args: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._files.cleanup()


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.listen(100)
    return listener
