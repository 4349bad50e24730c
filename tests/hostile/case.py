"""One hostile exchange and the look at what is left of it: the invariants of the fault catalogue.

`Client` is a pool of either colour behind one face, so that each case is written once and runs on
sync, asyncio, uvloop and trio.
"""

from __future__ import annotations

import inspect
import logging
import pickle
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import httpcore_core
from httpcore_core import AsyncConnectionPool, ConnectionPool, Request, TransportError
from httpcore_core.testing import AsyncFaultBackend, FaultBackend, Faults
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.flavours import FLAVOURS, run_async

KINDS = ("sync", *FLAVOURS)
SECRET = "hunter2"
SECRETS = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"}
HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhealthy"
LIMITS = {"connect": 4.0, "read": 4.0, "write": 4.0, "pool": 1.0}
PUBLIC = {getattr(httpcore_core, name) for name in httpcore_core.__all__}


def drive(kind: str, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """Run ``function(*args)`` on a flavour; sync code is a coroutine that never waits."""
    if kind != "sync":
        return run_async(kind, function, *args)
    try:
        function(*args).send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("sync code waited")


async def done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Body:
    """A one-shot body of both colours. `before` is called ahead of each chunk after the first."""

    def __init__(self, *chunks: bytes, before: Callable[[], object] | None = None) -> None:
        self.chunks = list(chunks)
        self.taken = 0
        self.before = before

    def _next(self, stop: type[Exception]) -> bytes:
        if not self.chunks:
            raise stop
        if self.taken and self.before is not None:
            self.before()
        self.taken += 1
        return self.chunks.pop(0)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._next(StopIteration)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return self._next(StopAsyncIteration)


class Client:
    """A pool with room for one connection, which it would keep for ever."""

    def __init__(self, kind: str, *, read_size: int | None = None, **options: Any) -> None:
        self.kind = kind
        options = {"max_connections": 1, "keepalive_expiry": None, **options}
        faults = Faults(read_size=read_size)
        if kind == "sync":
            if read_size is not None:
                from httpcore_core import SyncBackend

                options["network_backend"] = FaultBackend(SyncBackend(), faults)
            self.pool: Any = ConnectionPool(**options)
        else:
            if read_size is not None:
                from httpcore_core import AutoBackend

                options["network_backend"] = AsyncFaultBackend(AutoBackend(), faults)
            self.pool = AsyncConnectionPool(**options)

    async def request(self, method: str, url: str, **arguments: Any) -> Any:
        extensions = {"timeout": LIMITS, **arguments.pop("extensions", {})}
        headers = {**SECRETS, **arguments.pop("headers", {})}
        return await done(
            self.pool.request(method, url, headers=headers, extensions=extensions, **arguments)
        )

    async def send(self, request: Request) -> Any:
        """The primitive; the body is left unread."""
        if self.kind == "sync":
            return httpcore_core.Response(*self.pool.handle_request(*request))
        return httpcore_core.Response(*await self.pool.handle_async_request(*request))

    async def read(self, response: Any) -> bytes:
        stream = response.stream
        body: bytes = await done(stream.read() if self.kind == "sync" else stream.aread())
        return body

    async def close(self, thing: Any = None) -> None:
        thing = self.pool if thing is None else thing
        await done(thing.close() if self.kind == "sync" else thing.aclose())


class Log(logging.Handler):
    """Everything that the package logs while it is open, at DEBUG."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"

    def __enter__(self) -> Log:
        logger = logging.getLogger("httpcore_core")
        self._level = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)
        return self

    def __exit__(self, *args: object) -> None:
        logger = logging.getLogger("httpcore_core")
        logger.removeHandler(self)
        logger.setLevel(self._level)


def check_error(error: BaseException, secret: str = SECRET) -> None:
    """I2 and I9: one of ours, exported, picklable, with no secret in it or in its causes."""
    assert isinstance(error, TransportError), repr(error)
    assert type(error) in PUBLIC, repr(error)
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied)) == (type(error), str(error))
    assert error.phase, repr(error)
    link: BaseException | None = error
    seen: list[BaseException] = []
    while link is not None:
        assert not any(link is other for other in seen), "a cycle of causes"
        seen.append(link)
        assert secret not in f"{link} {link!r}", repr(link)
        link = link.__cause__ or link.__context__


async def outcome(call: Awaitable[Any]) -> Any:
    """``(status, body)``, or the error, after the checks that hold for each."""
    started = time.monotonic()
    try:
        response = await call
    except TransportError as error:
        check_error(error)
        return error
    finally:
        assert time.monotonic() - started < 3.5  # I1; every limit is 4 s, so nothing ran into it
    return response.status, response.content


def answering(*parts: bytes, end: str = "", size: int | None = None) -> Callable[[Peer], None]:
    """A script: read a request, send the parts in pieces of `size`, then end."""

    def script(peer: Peer) -> None:
        peer.read_request()
        data = b"".join(parts)
        if size == 1:
            peer.drip(data)
        else:
            for start in range(0, len(data), size or len(data) or 1):
                peer.send(data[start : start + (size or len(data))])
        ending(peer, end)

    return script


def ending(peer: Peer, end: str) -> None:
    if end == "fin":
        peer.half_close()
    elif end == "rst":
        peer.reset()


def healthy(peer: Peer) -> None:
    while peer.ended is None:
        peer.read_request()
        peer.send(HEALTHY)


async def check_afterwards(
    client: Client, server: ScriptedServer, *, connections: int, **arguments: Any
) -> None:
    """I3 to I6: the next request works, on a connection the server sees as new."""
    response = await client.request("GET", server.url, **arguments)
    assert (response.status, response.content) == (200, b"healthy")
    assert len(server.connections) == connections
    await client.close()
    stats = client.pool.stats()
    assert (stats.active, stats.connecting, stats.queued, stats.idle) == (0, 0, 0, 0), stats
    assert stats.opened == sum(stats.closed.values())
    server.wait_until_done()
    assert server.peak == 1
