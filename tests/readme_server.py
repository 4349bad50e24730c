"""The internet, as examples of README and docs see it: hypercorn in a thread, a proxy beside it.

    /             a small HTML page               /login        sets a cookie
    /old          a redirect to /new              /private      401, unless there is a password
    /digest       the same, with Digest           /compressed   text, with gzip
    /huge         gzip of 10 MB                   /events       three lines, one at a time
    /slow         a byte now and then             /cached       may be kept for a minute
    /status/NNN   that status                     /chat         a WebSocket that echoes
    all others    what was asked, as JSON

HTTP/1.1 and HTTP/2, plain and over TLS. The proxy opens tunnels, and forwards, to the same server.
"""

from __future__ import annotations

import asyncio
import email
import gzip
import json
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import hypercorn.asyncio
import hypercorn.config

from tests.certificates import Certificates

JOIN_LIMIT = 30.0
"""Seconds until a server that does not stop is reported."""

NAMES = ("example.com", "*.example.com", "*.example.org", "localhost")
PAGE = b"<!doctype html><title>Example</title>"
TEXT = b"Some text. " * 1000


class Internet:
    """`ports` has where to find what is asked for at a port of ``*.example.com``."""

    def __init__(self, certificates: Certificates, directory: Path) -> None:
        leaf = certificates.authority.issue_cert(*NAMES)
        self.certificate = str(directory / "www.pem")
        leaf.private_key_and_cert_chain_pem.write_to_path(self.certificate)
        self.ca_file = certificates.ca_file
        self.socket_path = str(directory / "s") if hasattr(socket, "AF_UNIX") else None

    def __enter__(self) -> Self:
        plain, secure, proxy = (socket.create_server(("127.0.0.1", 0)) for _ in range(3))
        names = {80: plain, 443: secure, 3128: proxy, 3129: proxy}
        self.ports = {port: listener.getsockname()[1] for port, listener in names.items()}
        config = hypercorn.config.Config()
        config.insecure_bind = [f"fd://{plain.detach()}"]
        if self.socket_path is not None:
            local = socket.socket(socket.AF_UNIX)
            local.bind(self.socket_path)
            local.listen()
            config.insecure_bind.append(f"fd://{local.detach()}")
        config.bind = [f"fd://{secure.detach()}"]
        config.certfile = config.keyfile = self.certificate
        config.loglevel = "ERROR"
        config.graceful_timeout = 1.0
        self._stop: Callable[[], object] | None = None
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(config, proxy), daemon=True)
        self._thread.start()
        assert self._is_running.wait(JOIN_LIMIT)
        return self

    def __exit__(self, *args: object) -> None:
        assert self._stop is not None
        self._stop()
        self._thread.join(JOIN_LIMIT)
        assert not self._thread.is_alive(), "the server does not stop"
        if self.socket_path is not None and os.path.exists(self.socket_path):
            os.unlink(self.socket_path)

    def _run(self, config: hypercorn.config.Config, proxy: socket.socket) -> None:
        asyncio.run(self._serve(config, proxy))

    async def _serve(self, config: hypercorn.config.Config, proxy: socket.socket) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        async with await asyncio.start_server(self._carry, sock=proxy):
            self._is_running.set()
            app: Any = application  # plain ASGI; hypercorn's types are closer than that
            await hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped.wait)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The proxy: a tunnel for CONNECT, or the request as it came, to the plain server."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, *_ = head.split()
            is_tunnel = method == b"CONNECT"
            port = self.ports[int(target.rpartition(b":")[2]) if is_tunnel else 80]
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                inner_writer.write(head)
            await asyncio.gather(_pipe(reader, inner_writer), _pipe(inner_reader, writer))
        writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


# The application


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "websocket":
        return await _echo(receive, send)
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = urlsplit(scope["path"]).path or "/"  # by a proxy a whole URL is asked for
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    status, fields, chunks, pause = _answer(path, scope, headers, body)
    content = b"".join(chunks)
    if not pause:
        fields["content-length"] = str(len(content))
        chunks = [content]
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    for chunk in chunks if scope["method"] != "HEAD" else []:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": b""})


Answer = tuple[int, dict[str, str], list[bytes], float]


def _answer(path: str, scope: Any, headers: dict[str, str], body: bytes) -> Answer:
    """Status, headers, the parts of the body, and seconds between these."""
    seen = json.dumps(_seen(path, scope, headers, body)).encode()
    as_json = {"content-type": "application/json"}
    as_text = {"content-type": "text/plain; charset=utf-8"}
    given = headers.get("authorization", "")
    if path == "/":
        return 200, {"content-type": "text/html; charset=utf-8"}, [PAGE], 0.0
    if path == "/old":
        return 302, {"location": "/new"}, [], 0.0
    if path == "/login":
        return 200, {**as_json, "set-cookie": "session=abc123; Path=/; HttpOnly"}, [seen], 0.0
    if path == "/private" and not given.startswith("Basic "):
        return 401, {"www-authenticate": 'Basic realm="private"'}, [], 0.0
    if path == "/digest" and not given.startswith("Digest "):
        challenge = 'Digest realm="private", nonce="abc", qop="auth", algorithm=SHA-256'
        return 401, {"www-authenticate": challenge}, [], 0.0
    if path == "/compressed":
        return 200, {**as_text, "content-encoding": "gzip"}, [gzip.compress(TEXT)], 0.0
    if path == "/huge":
        return 200, {"content-encoding": "gzip"}, [gzip.compress(bytes(10_000_000))], 0.0
    if path == "/events":
        return 200, as_text, [b"one\n", b"two\n", b"three\n"], 0.001
    if path == "/slow":
        return 200, as_text, [b"."] * 20, 0.05
    if path == "/cached":
        return 200, {**as_json, "cache-control": "max-age=60", "etag": '"1"'}, [seen], 0.0
    if path.startswith("/status/"):
        return int(path.rpartition("/")[2]), as_json, [seen], 0.0
    return 200, as_json, [seen], 0.0


def _seen(path: str, scope: Any, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    query = urlsplit(scope["path"]).query or scope["query_string"].decode()
    seen: dict[str, Any] = {
        "method": scope["method"],
        "path": path,
        "query": parse_qs(query, keep_blank_values=True),
        "http_version": scope["http_version"],
        "headers": headers,
        "size": len(body),
    }
    kind = headers.get("content-type", "")
    if kind == "application/json":
        seen["json"] = json.loads(body)
    elif kind == "application/x-www-form-urlencoded":
        seen["form"] = parse_qs(body.decode(), keep_blank_values=True)
    elif kind.startswith("multipart/form-data"):
        message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        seen["parts"] = [_part(part) for part in message.get_payload()]
    else:
        seen["body"] = body[:1000].decode("latin-1")
    return seen


def _part(part: Any) -> dict[str, Any]:
    return {
        "name": part.get_param("name", header="content-disposition"),
        "filename": part.get_filename(),
        "type": part.get_content_type(),
        "size": len(part.get_payload(decode=True)),
    }


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
