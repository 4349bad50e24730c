"""An HTTP/1.1 server of the standard library's, in a thread, which says what it was asked."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import gzip
import http.server
import json
import ssl
import sys
import threading
import urllib.parse
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


class ExamplesHandler(Handler):
    """What the examples of HTTPX's documentation talk to: some paths of httpbin's, which answer as
    it does; any other says what it was asked."""

    def answer(self) -> None:
        path, _, query = self.path.partition("?")
        first, *rest = path.strip("/").split("/")
        self.args = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        content = self.body()
        named = getattr(self, f"at_{first.replace('-', '_')}", None)
        if named is None:
            self.json(self.echo(content))
        else:
            named(*rest)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def at_cookies(self, action: str = "") -> None:
        if action == "set":
            fields = [
                ("Set-Cookie", f"{name}={value}; Path=/") for name, value in self.args.items()
            ]
            return self.reply(302, b"", ("Location", "/cookies"), *fields)
        pairs = filter(None, self.headers.get("Cookie", "").split("; "))
        return self.json({"cookies": dict(pair.split("=", 1) for pair in pairs)})

    def at_redirect(self, number: str) -> None:
        left = int(number) - 1
        self.reply(302, b"", ("Location", f"/redirect/{left}" if left else "/get"))

    def at_status(self, status: str) -> None:
        self.reply(int(status), b"")

    def at_basic_auth(self, user: str, password: str) -> None:
        expected = base64.b64encode(f"{user}:{password}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {expected}":
            return self.json({"authenticated": True, "user": user})
        return self.reply(401, b"", ("WWW-Authenticate", 'Basic realm="Fake"'))

    def at_digest_auth(self) -> None:
        if self.headers.get("Authorization", "").startswith("Digest "):
            return self.json({"authenticated": True})
        challenge = 'Digest realm="me", nonce="n0", qop="auth", opaque="o", algorithm=SHA-256'
        return self.reply(401, b"", ("WWW-Authenticate", challenge))

    def at_token(self, token: str) -> None:
        """401 with a new token in its body, until that is what is presented."""
        is_fresh = self.headers.get("X-Authentication") == token
        self.json({"access_token": token}, 200 if is_fresh else 401)

    def at_gzip(self) -> None:
        content = gzip.compress(json.dumps({"gzipped": True}).encode())
        self.reply(200, content, ("Content-Encoding", "gzip"), ("Content-Type", "application/json"))

    def at_latin1(self, charset: str = "") -> None:
        kind = f"text/html; charset={charset}" if charset else "text/html"
        self.reply(200, "<p>Überblick</p>".encode("iso-8859-1"), ("Content-Type", kind))

    def at_bytes(self, number: str) -> None:
        self.reply(200, bytes(int(number)))

    def at_lines(self, number: str) -> None:
        self.reply(200, b"".join(b"line %d\n" % i for i in range(int(number))))

    def at_links(self) -> None:
        self.reply(200, b"", ("Link", '<https://h/?page=2>; rel="next"'))

    def echo(self, content: bytes) -> dict[str, Any]:
        kind = self.headers.get("Content-Type", "")
        form: dict[str, list[str]] = {}
        files: dict[str, list[Any]] = {}
        if kind == "application/x-www-form-urlencoded":
            form = urllib.parse.parse_qs(content.decode(), keep_blank_values=True)
        elif kind.startswith("multipart/form-data"):
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
            for part in message.iter_parts():
                name = str(part.get_param("name", header="content-disposition"))
                text = part.get_payload(decode=True).decode()
                if part.get_filename() is None:
                    form.setdefault(name, []).append(text)
                else:
                    file = [part.get_filename(), part.get_content_type(), text]
                    files.setdefault(name, []).append(file)
        return {
            "method": self.command,
            "target": self.path,
            "args": self.args,
            "headers": dict(self.headers.items()),
            "data": content.decode("latin-1"),
            "form": form,
            "files": files,
            "json": json.loads(content) if kind == "application/json" else None,
        }

    def json(self, value: Any, status: int = 200) -> None:
        self.reply(status, json.dumps(value).encode(), ("Content-Type", "application/json"))

    def reply(self, status: int, content: bytes, *fields: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Server(http.server.ThreadingHTTPServer):
    """`url` is where it is; `server_names` collects the names that TLS clients asked for."""

    context: ssl.SSLContext | None = None

    def __init__(self, context: ssl.SSLContext | None, handler: type[Handler] = Handler) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.context = context
        self.server_names: list[str | None] = []
        if context is not None:
            context.sni_callback = lambda socket, name, _: self.server_names.append(name)
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may leave whenever they want to; all else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            return super().finish_request(request, client_address)
        try:
            with self.context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)  # type: ignore[arg-type]  # a socket
        except (ssl.SSLError, ConnectionError):
            pass  # the client did not like the certificate, or left


@contextmanager
def serve(
    context: ssl.SSLContext | None = None, handler: type[Handler] = Handler
) -> Iterator[Server]:
    """A server that is closed, with all its connections, at the end. Clients close theirs before:
    the server waits for them."""
    with Server(context, handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
