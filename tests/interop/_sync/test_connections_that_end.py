"""Connections that the server ends when it likes to: after so many requests, after so much time,
when it is reloaded (P5, P7). No idempotent request may fail for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from httpcore_core import ConnectionPool, NetworkError, RemoteProtocolError, TransportError
from httpcore_core._backends.sync import SyncBackend
from tests.certificates import Certificates
from tests.concurrency import TaskGroup
from tests.interop.content import SMALL, TEXT
from tests.interop.servers.haproxy import HAProxy
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import wait_until

from .asking import ask, field, get

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


class Reloads(threading.Thread):
    """Reload a server three times, while the test goes on."""

    def __init__(self, reload: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._reload = reload
        self.is_over = False
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(3):
                time.sleep(0.15)  # some load first
                self._reload()
            time.sleep(0.15)
        except BaseException as exc:
            self.error = exc
        finally:
            self.is_over = True


def reload_under_load(pool: ConnectionPool, url: str, reload: Callable[[], None]) -> int:
    """How many requests were answered meanwhile. Each is idempotent; none may fail."""
    answered = []

    def worker(number: int, reloads: Reloads) -> None:
        while not reloads.is_over:
            response = get(pool, f"{url}/small.txt")
            assert response.content == SMALL
            response = get(pool, f"{url}/text.txt")
            assert response.content == TEXT
            response = ask(pool, "PUT", f"{url}/upload/{number}", None, SMALL)
            assert response.status in (201, 204)
            answered.append(number)

    reloads = Reloads(reload)
    reloads.start()
    try:
        with TaskGroup() as group:
            for number in range(8):
                group.start(worker, number, reloads)
    finally:
        reloads.join()
    assert reloads.error is None, reloads.error
    return len(answered) * 3


@pytest.mark.parametrize("layer", ["plain", "tls"])
def test_nginx_is_reloaded(
    own_nginx: Nginx, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    with ConnectionPool(**pool_options) as pool:
        answered = reload_under_load(pool, own_nginx.url(layer), own_nginx.reload)
        settled(pool)
        assert answered > 50
        assert pool.stats().opened > 8  # those to the old processes went


@pytest.mark.parametrize("layer", ["plain", "tls"])
def test_haproxy_is_reloaded(
    own_haproxy: HAProxy, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    with ConnectionPool(**pool_options) as pool:
        answered = reload_under_load(pool, own_haproxy.url(layer), own_haproxy.reload)
        settled(pool)
        assert answered > 50
        assert pool.stats().opened > 8
