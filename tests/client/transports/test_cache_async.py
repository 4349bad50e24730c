"""What only async code does to a cache: tasks that are cancelled, and storages that block."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import httpclient as httpx
from httpclient.transports.cache import AsyncCacheTransport, MemoryStorage, SQLiteStorage
from httpcore_core import AutoBackend
from httpcore_core._concurrency import AsyncEvent
from tests.concurrency import AsyncTaskGroup

URL = (b"http", b"example.org", None, b"/")
FRESH = (b"Cache-Control", b"max-age=60")
LIMIT = 30.0
"""Seconds after which a test that hangs fails."""


class Body(httpx.AsyncByteStream):
    """One chunk; and the end when `go_on` is set."""

    def __init__(self) -> None:
        self.reached, self.go_on = AsyncEvent(), AsyncEvent()
        self.closed = 0
        self.started = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if not self.started:
            self.started = True
            return b"chunk"
        self.reached.set()
        await self.go_on.wait(LIMIT)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1


class Server(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.bodies: list[Body] = []

    async def handle_async_request(self, *request: Any) -> Any:
        self.bodies.append(Body())
        return 200, [FRESH], self.bodies[-1], {}


async def ask(transport: AsyncCacheTransport, method: bytes) -> Any:
    return await transport.handle_async_request(method, URL, [], httpx.ByteStream(), {})


async def read(transport: AsyncCacheTransport, method: bytes = b"GET") -> bytes:
    response = await ask(transport, method)
    try:
        return b"".join([chunk async for chunk in response.stream])
    finally:
        await response.stream.aclose()


async def test_cancelled_in_the_body_stores_nothing() -> None:
    server, storage = Server(), MemoryStorage()
    transport = AsyncCacheTransport(server, storage=storage)
    async with AsyncTaskGroup() as group:
        job = group.start(read, transport)
        while not server.bodies:
            await checkpoint()
        await server.bodies[0].reached.wait(LIMIT)
        job.cancel()
    assert server.bodies[0].closed == 1
    assert repr(storage) == "<MemoryStorage [0 entries, 0 bytes]>"


async def checkpoint() -> None:
    await AutoBackend().sleep(0)


class Gate(MemoryStorage):
    """A storage that blocks in the method `name` until `go_on` is set."""

    blocking = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.threads: set[int] = set()
        method = getattr(self, name)

        def gated(*arguments: Any) -> Any:
            self.threads.add(threading.get_ident())
            self.reached.set()
            assert self.go_on.wait(LIMIT)
            return method(*arguments)

        setattr(self, name, gated)


async def arrived(gate: Gate) -> None:
    while not gate.reached.is_set():
        await checkpoint()


async def open_body(server: Server) -> None:
    """Let the body come to its end as soon as there is one."""
    while not server.bodies:
        await checkpoint()
    server.bodies[0].go_on.set()


@pytest.mark.parametrize("name", ["get", "set"])
async def test_storage_that_blocks_does_not_block_the_event_loop(name: str) -> None:
    server, gate = Server(), Gate(name)
    transport = AsyncCacheTransport(server, storage=gate)
    async with AsyncTaskGroup() as group:
        job = group.start(read, transport)
        if name == "set":
            await open_body(server)
        await arrived(gate)  # in the event loop that would wait for this one
        gate.go_on.set()
        await open_body(server)
        assert await job.result() == b"chunk"
    assert threading.get_ident() not in gate.threads
    assert server.bodies[0].closed == 1
    assert (await ask(transport, b"GET")).extensions["cache"]["status"] == "hit"


@pytest.mark.parametrize("name", ["get", "set", "delete"])
async def test_cancelled_while_the_storage_blocks(name: str) -> None:
    server, gate = Server(), Gate(name)
    transport = AsyncCacheTransport(server, storage=gate)
    async with AsyncTaskGroup() as group:
        job = group.start(read, transport, b"PUT" if name == "delete" else b"GET")
        if name == "set":
            await open_body(server)
        await arrived(gate)
        job.cancel()
    gate.go_on.set()
    assert all(body.closed == 1 for body in server.bodies)
    assert len(server.bodies) == (name != "get")


async def test_many_tasks_share_a_file(tmp_path: Path) -> None:
    with SQLiteStorage(tmp_path / "cache", max_bytes=5000) as storage:
        server = Server()
        transport = AsyncCacheTransport(server, storage=storage)

        async def work(number: int) -> None:
            for step in range(5):
                target = b"/%d" % ((number + step) % 7)
                response = await transport.handle_async_request(
                    b"GET", (*URL[:3], target), [], httpx.ByteStream(), {}
                )
                for body in server.bodies:
                    body.go_on.set()
                assert await response.stream.aread() == b"chunk"

        async with AsyncTaskGroup() as group:
            for number in range(8):
                group.start(work, number)
        assert all(body.closed == 1 for body in server.bodies)
        assert len(server.bodies) < 40
