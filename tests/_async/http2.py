"""What the tests of HTTP/2 share: pools, requests and bodies; the servers are `tests.http2_server`.

Rules of this file: whatever waits here fails after `GUARD` seconds.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from httpcore_core import AsyncByteStream, AsyncConnectionPool, ByteStream, Response, TransportError
from httpcore_core._concurrency import AsyncEvent

GUARD = 30.0
"""Seconds: far more than anything takes, and less than the test's own limit."""

SOON = 10.0
"""Seconds within which a limit of a fraction of a second must show; generous for slow machines."""

LIMITS = {"pool": GUARD, "connect": GUARD, "read": GUARD, "write": GUARD}


def prior(**options: Any) -> AsyncConnectionPool:
    """A pool that speaks HTTP/2 to ``http://`` origins by prior knowledge."""
    return AsyncConnectionPool(http1=False, http2=True, **options)


def h2_context(certificates: Any, *protocols: str) -> ssl.SSLContext:
    """A client's context that offers h2, as the caller of a pool has to have it."""
    context: ssl.SSLContext = certificates.client_context()
    context.set_alpn_protocols(list(protocols or ("h2", "http/1.1")))
    return context


async def until(condition: Callable[[], object], limit: float = GUARD) -> None:
    """Let the others run until `condition` holds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"did not come about in {limit:g} s"
        await AsyncEvent().wait(0.001)


async def get(pool: AsyncConnectionPool, url: str, /, **timeout: float) -> bytes:
    response = await pool.request("GET", url, extensions={"timeout": {**LIMITS, **timeout}})
    assert response.status == 200
    return response.content


async def post(
    pool: AsyncConnectionPool, url: str, content: Any = b"x", /, **timeout: float
) -> Any:
    limits = {**LIMITS, **timeout}
    return await pool.request("POST", url, content=content, extensions={"timeout": limits})


async def outcome(
    pool: AsyncConnectionPool, url: str, content: Any = b"x", trace: Any = None
) -> Any:
    """The body of the response to a POST, which is never sent twice by chance, or the error."""
    extensions = {"timeout": LIMITS, "trace": trace}
    try:
        response = await pool.request("POST", url, content=content, extensions=extensions)
        return response.content
    except TransportError as exc:
        return exc.with_traceback(None)


class Begun:
    """A trace callback that counts the requests which have asked the pool for a connection."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, name: str, info: dict[str, Any]) -> None:
        self.count += name == "pool.acquire.started"


async def send(
    pool: Any,
    port: int,
    target: bytes,
    *headers: tuple[bytes, bytes],
    method: bytes = b"GET",
    content: Any = None,
    scheme: bytes = b"http",
    **extensions: Any,
) -> Response:
    """The primitive; the body is left unread."""
    extensions.setdefault("timeout", LIMITS)
    response: Response = await pool.handle_async_request(
        method,
        (scheme, b"127.0.0.1", port, target),
        [(b"Host", b"127.0.0.1:%d" % port), *headers],
        ByteStream(b"") if content is None else content,
        extensions,
    )
    return response


class Chunks(AsyncByteStream):
    """A one-shot body that says how far it was read. A chunk may be an exception to raise, or a
    condition to wait for."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = list(chunks)
        self.taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while self.chunks:
            chunk = self.chunks.pop(0)
            if isinstance(chunk, BaseException):
                raise chunk
            if isinstance(chunk, bytes):
                self.taken += 1
                return chunk
            await until(chunk)
        raise StopAsyncIteration


class Endless(AsyncByteStream):
    """A body without an end, as nothing else could fill every buffer on the way."""

    def __init__(self) -> None:
        self.taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.taken += 1
        return bytes(65536)


async def until_stuck(body: Endless) -> None:
    """Wait until nothing of the body is taken any more."""
    calm = 0
    while calm < 40:
        taken = body.taken
        await AsyncEvent().wait(0.005)
        calm = calm + 1 if taken and body.taken == taken else 0
