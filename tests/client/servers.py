"""An HTTP/1.1 server of the standard library's, in a thread, which says what it was asked."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with a JSON object of method, target, headers and body. ``/status/NNN`` has that
    status, ``/chunks`` sends four chunks, ``/cut`` half of its body, ``/hang`` only its beginning
    until the client leaves."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.body()
        if self.path == "/hang":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"begin")
            self.close_connection = True
            self.rfile.read(1)
            return
        if self.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in (b"one\r", b"\ntwo", b"\nthr", b"ee"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
            return
        seen = {
            "method": self.command,
            "target": self.path,
            "headers": [[name, value] for name, value in self.headers.items()],
            "body": body.decode("latin-1"),
        }
        content = json.dumps(seen).encode()
        status = int(self.path[8:]) if self.path.startswith("/status/") else 200
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) * (2 if self.path == "/cut" else 1)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.close_connection |= self.path == "/cut"

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class Server(http.server.ThreadingHTTPServer):
    """`url` is where it is; `server_names` collects the names that TLS clients asked for."""

    context: ssl.SSLContext | None = None

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context
        self.server_names: list[str | None] = []
        if context is not None:
            context.sni_callback = lambda socket, name, _: self.server_names.append(name)
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_port}/"

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            return super().finish_request(request, client_address)
        try:
            with self.context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)  # type: ignore[arg-type]  # a socket
        except (ssl.SSLError, ConnectionError):
            pass  # the client did not like the certificate, or left


@contextmanager
def serve(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server that is closed, with all its connections, at the end. Clients close theirs before:
    the server waits for them."""
    with Server(context) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
