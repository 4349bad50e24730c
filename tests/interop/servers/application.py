"""What the ASGI servers serve: files of the directory ``content``, and echoes of several kinds.

    /204            no content
    /echo           what was sent, while it is being sent
    /digest         the size of what was sent, and its SHA-256
    /head?N         a head with N bytes in ``x-big``; says how many the request had there
    /limited/       413, for which nothing of the request's body is read

Rules of this file: it is copied beside the server and imported there; standard library only.
"""

from __future__ import annotations

import email.utils
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

CONTENT = Path("content").resolve()
PIECE = 256 * 1024


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    path = scope["path"]
    if path == "/204":
        await start(send, 204)
        await send({"type": "http.response.body"})
    elif path == "/echo":
        await echo(receive, send)
    elif path == "/digest":
        await digest(receive, send)
    elif path == "/head":
        await head(scope, send)
    elif path.startswith("/limited/"):
        await respond(send, 413, b"Too Large\n")
    else:
        await serve_file(scope, send, CONTENT / path[1:])


async def live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def start(send: Any, status: int, headers: dict[str, str] | None = None) -> None:
    fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": fields})


async def respond(
    send: Any, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    await start(send, status, {"content-length": str(len(body)), **(headers or {})})
    await send({"type": "http.response.body", "body": body})


async def body_of(receive: Any) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client has gone")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def echo(receive: Any, send: Any) -> None:
    await start(send, 200)
    async for piece in body_of(receive):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def digest(receive: Any, send: Any) -> None:
    size, seen = 0, hashlib.sha256()
    async for piece in body_of(receive):
        size += len(piece)
        seen.update(piece)
    await respond(send, 200, f"{size} {seen.hexdigest()}".encode())


async def head(scope: Any, send: Any) -> None:
    sent = dict(scope["headers"]).get(b"x-big", b"")
    big = "k" * int(scope["query_string"])
    await respond(send, 200, str(len(sent)).encode(), {"x-big": big})


async def serve_file(scope: Any, send: Any, path: Path) -> None:
    if not path.is_file():
        await respond(send, 404, b"not found\n")
        return
    status = path.stat()
    modified = email.utils.formatdate(status.st_mtime, usegmt=True)
    headers = {"last-modified": modified}
    if dict(scope["headers"]).get(b"if-modified-since") == modified.encode():
        await start(send, 304, headers)
        await send({"type": "http.response.body"})
        return
    await start(send, 200, {"content-length": str(status.st_size), **headers})
    if scope["method"] != "HEAD":
        with open(path, "rb") as file:
            while piece := file.read(PIECE):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})
