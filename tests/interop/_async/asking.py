"""Short ways to ask and to send, all with a time limit, so that no server can hold up the run."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from httpcore_core import AsyncByteStream, AsyncConnectionPool, Response
from tests.interop.content import pieces

LIMITS = {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 30.0}


async def ask(
    pool: AsyncConnectionPool,
    method: str,
    url: str,
    headers: Any = None,
    content: Any = None,
    **extensions: Any,
) -> Response:
    """The response, with its body read."""
    return await pool.request(
        method, url, headers=headers, content=content, extensions={"timeout": LIMITS, **extensions}
    )


async def get(pool: AsyncConnectionPool, url: str, **extensions: Any) -> Response:
    response = await ask(pool, "GET", url, **extensions)
    assert response.status == 200, response
    return response


def field(response: Response, name: str) -> str | None:
    """The value of the response's header of that name, which is there once at most."""
    key = name.lower().encode("ascii")
    values = [value for header, value in response.headers if header.lower() == key]
    assert len(values) < 2, values
    return values[0].decode("ascii") if values else None


class AsyncPieces(AsyncByteStream):
    """A body of `size` bytes that is never there as a whole; `given` of them were asked for."""

    def __init__(self, size: int) -> None:
        self.given = 0
        self._pieces = pieces(size)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            self.given += len(piece)
            return piece
        raise StopAsyncIteration


async def size_and_digest(stream: Any) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    async for chunk in stream:
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()
