"""Connections that the server ends when it likes to: after so many requests, after so much time,
when it is reloaded (P5, P7). No idempotent request may fail for it."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool, NetworkError, RemoteProtocolError, TransportError
from httpcore_core._backends.auto import AutoBackend
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup
from tests.interop.content import TEXT
from tests.interop.servers.haproxy import HAProxy
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import wait_until

from .asking import ask, field, get
from .reloading import reload_under_load

pytestmark = pytest.mark.interop


@pytest.fixture
def pool_options(certificates: Certificates) -> dict[str, Any]:
    return {"ssl_context": certificates.client_context()}


# After so many requests


@pytest.mark.parametrize("name", ["five", "tls_five"])
async def test_five_requests_per_connection(
    nginx: Nginx, name: str, pool_options: dict[str, Any], settled: Any
) -> None:
    async with AsyncConnectionPool(**pool_options) as pool:
        for number in range(1, 26):
            response = await get(pool, f"{nginx.url(name)}/small.txt")
            assert response.extensions["connection"]["request_number"] == (number - 1) % 5 + 1
        assert pool.stats().opened == 5
        settled(pool)


@pytest.mark.parametrize("name", ["five", "tls_five"])
async def test_five_requests_per_connection_ten_at_a_time(
    nginx: Nginx, name: str, pool_options: dict[str, Any], settled: Any
) -> None:
    ports = []

    async def worker(pool: AsyncConnectionPool) -> None:
        for _ in range(15):
            response = await get(pool, f"{nginx.url(name)}/text.txt")
            assert response.content == TEXT
            ports.append(field(response, "X-Client-Port"))

    async with AsyncConnectionPool(max_connections=6, **pool_options) as pool:
        async with AsyncTaskGroup() as group:
            for _ in range(10):
                group.start(worker, pool)
        settled(pool)
    assert len(ports) == 150
    assert max(ports.count(port) for port in ports) <= 5


async def test_no_keep_alive_at_all(nginx: Nginx, settled: Any) -> None:
    async with AsyncConnectionPool() as pool:
        for number in (1, 2, 3):
            response = await get(pool, f"{nginx.url('plain')}/gone")
            assert response.content == b"gone\n"
            assert (pool.stats().opened, pool.stats().idle) == (number, 0)


# After so much time


async def test_p5_the_server_closed_the_idle_connection(
    nginx: Nginx, pool_options: dict[str, Any], settled: Any
) -> None:
    """It shows, so that even a POST goes to a fresh connection at once."""

    async def worker(name: str, methods: str) -> None:
        paths = {"GET": "/small.txt", "POST": "/post"}
        async with AsyncConnectionPool(**pool_options) as pool:
            for method in methods.split():
                response = await ask(pool, method, nginx.url(name) + paths[method])
                assert response.status == 200
                assert not response.extensions["connection"]["reused"]
                await AutoBackend().sleep(1.15)
            await pool.reap()
            assert pool.connections == []
            settled(pool)

    async with AsyncTaskGroup() as group:
        for name in ("idle", "tls_idle"):
            for methods in ("GET POST", "POST GET"):
                group.start(worker, name, methods)


async def test_p8_the_server_tells_its_limit(nginx: Nginx, settled: Any) -> None:
    async with AsyncConnectionPool() as pool:
        response = await get(pool, f"{nginx.url('idle_told')}/small.txt")
        assert field(response, "Keep-Alive") == "timeout=1"
        (connection,) = pool.connections
        await AutoBackend().sleep(1.0)
        response = await ask(pool, "POST", f"{nginx.url('idle_told')}/post")
        assert response.status == 200
        assert not response.extensions["connection"]["reused"]
        assert connection.is_closed()


async def test_p5_closed_at_the_very_moment_of_use(nginx: Nginx, settled: Any) -> None:
    """Idempotent requests succeed, whoever is first. A POST may fail, but with nothing unusual."""
    url = nginx.url("idle")
    failed: list[TransportError] = []
    posts_before = nginx.count_seen("POST")

    async def worker(method: str, path: str, pause: float) -> None:
        async with AsyncConnectionPool() as pool:
            await get(pool, f"{url}/small.txt")
            await AutoBackend().sleep(pause)
            try:
                response = await ask(pool, method, url + path)
                assert response.status == 200
            except TransportError as exc:
                failed.append(exc)
                assert method == "POST"
            settled(pool)

    async with AsyncTaskGroup() as group:
        for step in range(40):
            group.start(worker, "GET", "/small.txt", 0.994 + step / 4000)
            group.start(worker, "POST", "/post", 0.994 + step / 4000)
    assert all(isinstance(exc, (NetworkError, RemoteProtocolError)) for exc in failed), failed
    answered = 40 - len(failed)
    wait_until(lambda: nginx.count_seen("POST") >= posts_before + answered, "all in nginx's log")
    assert nginx.count_seen("POST") <= posts_before + 40  # none was sent twice


# When it is reloaded


@pytest.mark.parametrize("layer", ["plain", "tls"])
async def test_nginx_is_reloaded(
    own_nginx: Nginx, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    async with AsyncConnectionPool(**pool_options) as pool:
        answered, _ = await reload_under_load(pool, own_nginx.url(layer), own_nginx.reload)
        settled(pool)
        assert answered > 50
        assert pool.stats().opened > 8  # those to the old processes went


@pytest.mark.parametrize("layer", ["plain", "tls"])
async def test_haproxy_is_reloaded(
    own_haproxy: HAProxy, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    async with AsyncConnectionPool(**pool_options) as pool:
        answered, _ = await reload_under_load(pool, own_haproxy.url(layer), own_haproxy.reload)
        settled(pool)
        assert answered > 50
        assert pool.stats().opened > 8
