"""Sixteen large bodies at once over one connection, every byte right (T12).

How large they are is in the environment variable INTEROP_HTTP2_MIB, for one server per direction;
the others have 10 MiB. What is in memory is bounded by the windows, not by that."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup
from tests.interop.content import MIB, Content, digest_of, file_digest
from tests.interop.origins import Origin, fixture_name, origin_of
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import HTTP2_LAYERS

from .asking import LIMITS, AsyncPieces, ask, size_and_digest

pytestmark = [pytest.mark.interop, pytest.mark.slow]

LAYERS = pytest.mark.parametrize("layer", HTTP2_LAYERS)
AT_ONCE = 16
STREAM_WINDOW = 256 * 1024


async def test_t12_downloads(
    origin: Origin, content: Content, body_mib: int, memory_below: Any, settled: Any
) -> None:
    size = body_mib * MIB if (origin.name, origin.layer) == ("nginx", "tls_h2") else 10 * MIB
    path = {10 * MIB: "/medium.bin", 100 * MIB: "/large.bin"}[size]

    async def worker(pool: AsyncConnectionPool) -> None:
        url = origin.url + path
        async with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
            assert response.status == 200
            assert await size_and_digest(response.stream) == (size, content.digests[size])

    options = {"http2_stream_window": STREAM_WINDOW, **origin.options}
    with memory_below(3 * AT_ONCE * STREAM_WINDOW):
        async with AsyncConnectionPool(**options) as pool:
            async with AsyncTaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.start(worker, pool)
            settled(pool)
            assert pool.stats().opened <= origin.connections_for(AT_ONCE)


@LAYERS
@pytest.mark.parametrize("name", ["hypercorn", "granian"])
async def test_t12_uploads(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    name: str,
    layer: str,
    body_mib: int,
    memory_below: Any,
    settled: Any,
) -> None:
    """No two of the same size."""
    server = request.getfixturevalue(fixture_name(name, layer))
    origin = origin_of(certificates, server, layer)
    largest = body_mib * MIB if (name, layer) == ("granian", "tls_h2") else 10 * MIB

    async def worker(pool: AsyncConnectionPool, size: int) -> None:
        response = await ask(pool, "POST", f"{origin.url}/digest", None, AsyncPieces(size))
        assert response.content.decode() == f"{size} {digest_of(size)}"

    with memory_below(12 * MIB):
        async with AsyncConnectionPool(**origin.options) as pool:
            async with AsyncTaskGroup() as group:
                for number in range(AT_ONCE):
                    group.start(worker, pool, largest - 1001 * number)
            settled(pool)
            assert pool.stats().opened == 1


@LAYERS
async def test_t12_uploads_to_files(
    nginx: Nginx, certificates: Certificates, content: Content, layer: str, settled: Any
) -> None:
    """nginx, with the small windows that it grants."""
    origin = origin_of(certificates, nginx, layer)
    size = 10 * MIB

    async def worker(pool: AsyncConnectionPool, number: int) -> None:
        url = f"{origin.url}/upload/h2-{number}"
        assert (await ask(pool, "PUT", url, None, AsyncPieces(size))).status == 201

    async with AsyncConnectionPool(**origin.options) as pool:
        async with AsyncTaskGroup() as group:
            for number in range(AT_ONCE):
                group.start(worker, pool, number)
        settled(pool)
        assert pool.stats().opened == 1
    for number in range(AT_ONCE):
        path = nginx.uploads / f"h2-{number}"
        assert file_digest(path) == content.digests[size]
        path.unlink()
