"""One stream's troubles are no other's: early closes, early answers, slow readers (T1, T2, T5, T6).

After each of them the connection is used on."""

from __future__ import annotations

import hashlib
import socket
from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool
from httpcore_core._concurrency import AsyncEvent
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup
from tests.interop.content import MIB, SMALL, TEXT, Content, file_digest
from tests.interop.origins import Origin, fixture_name, origin_of
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import HTTP2_LAYERS

from .asking import LIMITS, AsyncPieces, ask, get, size_and_digest

pytestmark = pytest.mark.interop

LAYERS = pytest.mark.parametrize("layer", HTTP2_LAYERS)
SIZE = 20 * MIB


async def test_t1_two_hundred_responses_closed_early(origin: Origin, settled: Any) -> None:
    """Half of them before anything of their bodies is read, half after some of it."""
    async with AsyncConnectionPool(**origin.options) as pool:
        for number in range(200):
            url = f"{origin.url}/medium.bin"
            async with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
                assert response.status == 200
                if number % 2:
                    async for _ in response.stream:
                        break
        assert (await get(pool, f"{origin.url}/text.txt")).content == TEXT
        settled(pool)
        assert pool.stats().opened == 1


async def test_t1_closed_early_many_at_a_time(origin: Origin, settled: Any) -> None:
    """Forty, and no more than eight at HAProxy, which stalls now and then where many are reset
    (see `origin_of`), and at lighttpd, which on a busy machine refuses streams for longer than
    three attempts take."""
    at_once = 8 if origin.name in ("haproxy", "lighttpd") else 40

    async def worker(pool: AsyncConnectionPool) -> None:
        for _ in range(5):
            url = f"{origin.url}/medium.bin"
            async with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
                assert response.status == 200
            assert (await get(pool, f"{origin.url}/small.txt")).content == SMALL

    async with AsyncConnectionPool(**origin.options) as pool:
        async with AsyncTaskGroup() as group:
            for _ in range(at_once):
                group.start(worker, pool)
        settled(pool)
        assert pool.stats().opened <= origin.connections_for(at_once)


async def test_t6_slow_readers_delay_nobody(origin: Origin, content: Content, settled: Any) -> None:
    """Three responses are read no further until a hundred others have come and gone."""
    url = f"{origin.url}/medium.bin"

    async def slow(pool: AsyncConnectionPool, begun: AsyncEvent, others: AsyncEvent) -> None:
        size, digest = 0, hashlib.sha256()
        try:
            async with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
                async for chunk in response.stream:
                    size += len(chunk)
                    digest.update(chunk)
                    begun.set()
                    await others.wait(None)
        finally:
            begun.set()
        assert (size, digest.hexdigest()) == (10 * MIB, content.digests[10 * MIB])

    async def quick(pool: AsyncConnectionPool) -> None:
        for _ in range(10):
            assert (await get(pool, f"{origin.url}/text.txt")).content == TEXT

    pauses = [AsyncEvent() for _ in range(3)]  # an event is for one waiter
    async with AsyncConnectionPool(**origin.options) as pool:
        async with AsyncTaskGroup() as readers:
            try:
                for others in pauses:
                    begun = AsyncEvent()
                    readers.start(slow, pool, begun, others)
                    await begun.wait(None)
                async with AsyncTaskGroup() as group:
                    for _ in range(10):
                        group.start(quick, pool)
            finally:
                for others in pauses:
                    others.set()
        settled(pool)
        assert pool.stats().opened <= origin.connections_for(13)


REFUSING = ("nginx", "apache", "haproxy", "hypercorn", "granian")


@LAYERS
@pytest.mark.parametrize("name", REFUSING)
@pytest.mark.parametrize("framing", ["bytes", "length", "streamed"])
async def test_t5_too_large(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    name: str,
    layer: str,
    framing: str,
    settled: Any,
) -> None:
    """The response comes while the body is being sent, which then ends."""
    server = request.getfixturevalue(fixture_name(name, layer))
    origin = origin_of(certificates, server, layer)
    headers = {"Content-Length": str(SIZE)} if framing == "length" else {}
    async with AsyncConnectionPool(**origin.options) as pool:
        for _ in range(5):
            pieces = AsyncPieces(SIZE)
            body = bytes(SIZE) if framing == "bytes" else pieces
            response = await ask(pool, "PUT", f"{origin.url}/limited/body", headers, body)
            assert response.status == 413
            assert b"Too Large" in response.content
            assert pieces.given < SIZE
            settled(pool)
            assert (await get(pool, f"{origin.url}/small.txt")).content == SMALL
        # Hypercorn ends the connection, if it has answered before it has read all.
        assert name == "hypercorn" or pool.stats().opened == 1


@LAYERS
async def test_t5_others_upload_meanwhile(
    nginx: Nginx, certificates: Certificates, content: Content, layer: str, settled: Any
) -> None:
    """What one stream is refused costs another nothing: not the order, not the window.

    What is on its way when nginx refuses, in buffers of the kernel, nginx counts as a flood: from
    8 MiB on it ends the connection, with a GOAWAY that accuses nobody."""
    origin = origin_of(certificates, nginx, layer)
    small_buffer = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)]
    size = 10 * MIB

    async def refused(pool: AsyncConnectionPool) -> None:
        response = await ask(pool, "PUT", f"{origin.url}/limited/body", None, AsyncPieces(SIZE))
        assert response.status == 413

    async def accepted(pool: AsyncConnectionPool, number: int) -> None:
        url = f"{origin.url}/upload/beside-{number}"
        assert (await ask(pool, "PUT", url, None, AsyncPieces(size))).status == 201

    async with AsyncConnectionPool(**origin.options, socket_options=small_buffer) as pool:
        async with AsyncTaskGroup() as group:
            for number in range(4):
                group.start(accepted, pool, number)
                group.start(refused, pool)
        settled(pool)
        assert pool.stats().opened == 1
    for number in range(4):
        path = nginx.uploads / f"beside-{number}"
        assert file_digest(path) == content.digests[size]
        path.unlink()


@LAYERS
@pytest.mark.parametrize("name", ["nghttpd", "hypercorn", "granian"])
async def test_t12_both_ways_at_once(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    content: Content,
    name: str,
    layer: str,
    settled: Any,
) -> None:
    """Two of the servers echo while they are still being sent to."""
    server = request.getfixturevalue(fixture_name(name, layer))
    origin = origin_of(certificates, server, layer)
    size = 10 * MIB

    async def worker(pool: AsyncConnectionPool) -> None:
        async with pool.stream(
            "POST",
            f"{origin.url}/echo",
            content=AsyncPieces(size),
            extensions={"timeout": LIMITS},
        ) as response:
            assert await size_and_digest(response.stream) == (size, content.digests[size])

    async with AsyncConnectionPool(**origin.options) as pool:
        async with AsyncTaskGroup() as group:
            for _ in range(4):
                group.start(worker, pool)
        settled(pool)
        assert pool.stats().opened == 1
