"""Connections that the server ends when it likes to: after so many requests, after so much time,
when it is reloaded (P5, P7). No idempotent request may fail for it."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import ConnectionPool, NetworkError, RemoteProtocolError, TransportError
from httpcore_core._backends.sync import SyncBackend
from tests.certificates import Certificates
from tests.concurrency import TaskGroup
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
def test_five_requests_per_connection(
    nginx: Nginx, name: str, pool_options: dict[str, Any], settled: Any
) -> None:
    with ConnectionPool(**pool_options) as pool:
        for number in range(1, 26):
            response = get(pool, f"{nginx.url(name)}/small.txt")
            assert response.extensions["connection"]["request_number"] == (number - 1) % 5 + 1
        assert pool.stats().opened == 5
        settled(pool)


@pytest.mark.parametrize("name", ["five", "tls_five"])
def test_five_requests_per_connection_ten_at_a_time(
    nginx: Nginx, name: str, pool_options: dict[str, Any], settled: Any
) -> None:
    ports = []

    def worker(pool: ConnectionPool) -> None:
        for _ in range(15):
            response = get(pool, f"{nginx.url(name)}/text.txt")
            assert response.content == TEXT
            ports.append(field(response, "X-Client-Port"))

    with ConnectionPool(max_connections=6, **pool_options) as pool:
        with TaskGroup() as group:
            for _ in range(10):
                group.start(worker, pool)
        settled(pool)
    assert len(ports) == 150
    assert max(ports.count(port) for port in ports) <= 5


def test_no_keep_alive_at_all(nginx: Nginx, settled: Any) -> None:
    with ConnectionPool() as pool:
        for number in (1, 2, 3):
            response = get(pool, f"{nginx.url('plain')}/gone")
            assert response.content == b"gone\n"
            assert (pool.stats().opened, pool.stats().idle) == (number, 0)


# After so much time


def test_p5_the_server_closed_the_idle_connection(
    nginx: Nginx, pool_options: dict[str, Any], settled: Any
) -> None:
    """It shows, so that even a POST goes to a fresh connection at once."""

    def worker(name: str, methods: str) -> None:
        paths = {"GET": "/small.txt", "POST": "/post"}
        with ConnectionPool(**pool_options) as pool:
            for method in methods.split():
                response = ask(pool, method, nginx.url(name) + paths[method])
                assert response.status == 200
                assert not response.extensions["connection"]["reused"]
                SyncBackend().sleep(1.15)
            pool.reap()
            assert pool.connections == []
            settled(pool)

    with TaskGroup() as group:
        for name in ("idle", "tls_idle"):
            for methods in ("GET POST", "POST GET"):
                group.start(worker, name, methods)


def test_p8_the_server_tells_its_limit(nginx: Nginx, settled: Any) -> None:
    with ConnectionPool() as pool:
        response = get(pool, f"{nginx.url('idle_told')}/small.txt")
        assert field(response, "Keep-Alive") == "timeout=1"
        (connection,) = pool.connections
        SyncBackend().sleep(1.0)
        response = ask(pool, "POST", f"{nginx.url('idle_told')}/post")
        assert response.status == 200
        assert not response.extensions["connection"]["reused"]
        assert connection.is_closed()


def test_p5_closed_at_the_very_moment_of_use(nginx: Nginx, settled: Any) -> None:
    """Idempotent requests succeed, whoever is first. A POST may fail, but with nothing unusual."""
    url = nginx.url("idle")
    failed: list[TransportError] = []
    posts_before = nginx.count_seen("POST")

    def worker(method: str, path: str, pause: float) -> None:
        with ConnectionPool() as pool:
            get(pool, f"{url}/small.txt")
            SyncBackend().sleep(pause)
            try:
                response = ask(pool, method, url + path)
                assert response.status == 200
            except TransportError as exc:
                failed.append(exc)
                assert method == "POST"
            settled(pool)

    with TaskGroup() as group:
        for step in range(40):
            group.start(worker, "GET", "/small.txt", 0.994 + step / 4000)
            group.start(worker, "POST", "/post", 0.994 + step / 4000)
    assert all(isinstance(exc, (NetworkError, RemoteProtocolError)) for exc in failed), failed
    answered = 40 - len(failed)
    wait_until(lambda: nginx.count_seen("POST") >= posts_before + answered, "all in nginx's log")
    assert nginx.count_seen("POST") <= posts_before + 40  # none was sent twice


# When it is reloaded


@pytest.mark.parametrize("layer", ["plain", "tls"])
def test_nginx_is_reloaded(
    own_nginx: Nginx, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    with ConnectionPool(**pool_options) as pool:
        answered, _ = reload_under_load(pool, own_nginx.url(layer), own_nginx.reload)
        settled(pool)
        assert answered > 50
        assert pool.stats().opened > 8  # those to the old processes went


@pytest.mark.parametrize("layer", ["plain", "tls"])
def test_haproxy_is_reloaded(
    own_haproxy: HAProxy, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    with ConnectionPool(**pool_options) as pool:
        answered, _ = reload_under_load(pool, own_haproxy.url(layer), own_haproxy.reload)
        settled(pool)
        assert answered > 50
        assert pool.stats().opened > 8
