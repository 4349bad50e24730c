"""Bodies of 100 MiB down and up: every byte right, and never many of them in memory at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from httpcore_core import ConnectionPool
from httpcore_core._backends.sync import SyncBackend
from tests.certificates import Certificates
from tests.concurrency import TaskGroup
from tests.interop.content import LARGE, MIB, Content, file_digest
from tests.interop.servers.apache import Apache
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import Server

from .asking import LIMITS, Pieces, ask, size_and_digest

pytestmark = pytest.mark.interop

PLAIN_AND_TLS = pytest.mark.parametrize("layer", ["plain", "tls"])


@pytest.fixture
def memory_is_bounded() -> Iterator[None]:
    """What Python allocates, which includes all buffers but the kernel's, stays below 8 MiB."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB, f"{peak / MIB:.1f} MiB at once"


@pytest.fixture
def pool_options(certificates: Certificates) -> dict[str, Any]:
    return {"ssl_context": certificates.client_context()}


@PLAIN_AND_TLS
def test_download(
    nginx: Nginx,
    content: Content,
    layer: str,
    pool_options: dict[str, Any],
    memory_is_bounded: None,
) -> None:
    with ConnectionPool(**pool_options) as pool:
        url = f"{nginx.url(layer)}/large.bin"
        with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
            assert response.status == 200
            size, digest = size_and_digest(response.stream)
        assert (size, digest) == (LARGE, content.digests[LARGE])
        assert pool.stats().idle == 1


def test_download_in_chunks(nginx: Nginx, content: Content, memory_is_bounded: None) -> None:
    with ConnectionPool() as pool:
        url = f"{nginx.url('plain')}/chunked/large.bin"
        with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
            assert (b"Transfer-Encoding", b"chunked") in response.headers
            size, digest = size_and_digest(response.stream)
        assert (size, digest) == (LARGE, content.digests[LARGE])
        assert pool.stats().idle == 1


@pytest.mark.parametrize(
    ("layer", "headers"),
    [
        ("plain", {"Content-Length": str(LARGE)}),
        ("tls", {"Content-Length": str(LARGE)}),
        ("plain", {}),
    ],
    ids=["plain", "tls", "chunked"],
)
def test_upload(
    nginx: Nginx,
    content: Content,
    layer: str,
    headers: dict[str, str],
    pool_options: dict[str, Any],
    memory_is_bounded: None,
) -> None:
    with ConnectionPool(**pool_options) as pool:
        url = f"{nginx.url(layer)}/upload/large"
        response = ask(pool, "PUT", url, headers, Pieces(LARGE))
        assert response.status == 201
        assert pool.stats().idle == 1
    path = nginx.uploads / "large"
    assert path.stat().st_size == LARGE
    assert file_digest(path) == content.digests[LARGE]
    path.unlink()


@PLAIN_AND_TLS
def test_upload_from_memory(
    apache: Apache, content: Content, layer: str, pool_options: dict[str, Any]
) -> None:
    body = (content.path / "medium.bin").read_bytes()
    with ConnectionPool(**pool_options) as pool:
        response = ask(pool, "PUT", f"{apache.url(layer)}/upload/medium", None, body)
        assert response.status == 201
        assert pool.stats().idle == 1
    path = apache.uploads / "medium"
    assert path.read_bytes() == body
    path.unlink()


@PLAIN_AND_TLS
def test_download_from_every_server(
    server: Server,
    content: Content,
    layer: str,
    pool_options: dict[str, Any],
    memory_is_bounded: None,
) -> None:
    """10 MiB, several times over one connection."""
    with ConnectionPool(**pool_options) as pool:
        for _ in range(2):
            url = f"{server.url(layer)}/medium.bin"
            with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
                size, digest = size_and_digest(response.stream)
            assert (size, digest) == (10 * MIB, content.digests[10 * MIB])
        assert pool.stats().opened == 1


@PLAIN_AND_TLS
def test_a_slow_reader_holds_the_server_up(
    nginx: Nginx, layer: str, pool_options: dict[str, Any], memory_is_bounded: None, settled: Any
) -> None:
    """What nobody has asked for yet is not read from the network."""
    with ConnectionPool(**pool_options) as pool:
        url = f"{nginx.url(layer)}/large.bin"
        with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
            received = 0
            for chunk in response.stream:
                SyncBackend().sleep(0.02)
                received += len(chunk)
                if received > MIB:
                    break
        settled(pool)
        assert pool.stats().idle == 0


@PLAIN_AND_TLS
def test_down_and_up_at_once(
    nginx: Nginx, content: Content, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    size = 10 * MIB

    def download(pool: ConnectionPool) -> None:
        url = f"{nginx.url(layer)}/medium.bin"
        with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
            assert size_and_digest(response.stream) == (size, content.digests[size])

    def upload(pool: ConnectionPool, number: int) -> None:
        url = f"{nginx.url(layer)}/upload/many-{number}"
        response = ask(pool, "PUT", url, None, Pieces(size))
        assert response.status == 201

    with ConnectionPool(max_connections=8, **pool_options) as pool:
        with TaskGroup() as group:
            for number in range(8):
                group.start(download, pool)
                group.start(upload, pool, number)
        settled(pool)
    for number in range(8):
        path = nginx.uploads / f"many-{number}"
        assert file_digest(path) == content.digests[size]
        path.unlink()
