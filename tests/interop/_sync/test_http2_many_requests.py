"""Many requests over few connections, whatever the server's limits are: so many streams at once, so
many requests per connection (T3, T4, T7, T8). No idempotent request may fail for them.

How many requests "many" are is in the environment variable INTEROP_HTTP2_REQUESTS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from httpcore_core import ConnectionPool
from tests.certificates import Certificates
from tests.concurrency import TaskGroup
from tests.interop.content import NUMBERED
from tests.interop.origins import LimitedServers, Origin, origin_of
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import HTTP2_LAYERS

from .asking import get

pytestmark = pytest.mark.interop

LAYERS = pytest.mark.parametrize("layer", HTTP2_LAYERS)


def get_numbered(pool: ConnectionPool, origin: Origin, number: int) -> int:
    """The connection's number; the body is the one that was asked for."""
    number %= len(NUMBERED)
    response = get(pool, f"{origin.url}/numbered/{number}.txt")
    assert response.content == NUMBERED[number]
    assert response.extensions["http_version"] == b"HTTP/2"
    connection_id: int = response.extensions["connection"]["id"]
    return connection_id


def get_many(
    pool: ConnectionPool, origin: Origin, count: int, at_once: int
) -> list[int]:
    """By which connection each of the `count` responses came."""
    numbers = iter(range(count))
    connections: list[int] = []

    def worker(numbers: Iterator[int]) -> None:
        for number in numbers:
            connections.append(get_numbered(pool, origin, number))

    with TaskGroup() as group:
        for _ in range(at_once):
            group.start(worker, numbers)
    return connections


@pytest.mark.slow
def test_many_requests(
    origin: Origin, request_count: int, at_once: int, settled: Any
) -> None:
    """One connection is enough, or as many as the server's limit of requests calls for."""
    with ConnectionPool(**origin.options) as pool:
        connections = get_many(pool, origin, request_count, at_once)
        settled(pool)
        assert len(connections) == request_count
        assert pool.stats().opened == len(set(connections))
        assert len(set(connections)) <= origin.connections_for(at_once, request_count)
    settled(pool)


@LAYERS
def test_a_hundred_requests_per_connection(
    nginx: Nginx, certificates: Certificates, layer: str, settled: Any
) -> None:
    """nginx says GOAWAY with the hundredth."""
    origin = origin_of(certificates, nginx, layer, f"{layer}_hundred")
    with ConnectionPool(**origin.options) as pool:
        connections = get_many(pool, origin, 1000, at_once=10)
        settled(pool)
        assert len(connections) == 1000
        assert max(connections.count(number) for number in connections) <= 100


@LAYERS
@pytest.mark.parametrize("streams", [1, 128])
@pytest.mark.parametrize("name", ["nginx", "apache", "haproxy", "nghttpd", "hypercorn"])
def test_so_many_streams_at_once(
    limited_servers: LimitedServers, name: str, layer: str, streams: int, settled: Any
) -> None:
    """A further connection is opened where streams are short, up to the limit of connections."""
    origin = limited_servers.origin(name, layer, streams)
    with ConnectionPool(max_connections=10, **origin.options) as pool:
        connections = get_many(pool, origin, 200, at_once=200)
        settled(pool)
        assert len(connections) == 200
        assert len(set(connections)) <= 10
        if streams == 1:
            assert len(set(connections)) > 1


@LAYERS
def test_t7_one_stream_on_one_connection(
    limited_servers: LimitedServers, layer: str, settled: Any
) -> None:
    """Where there may be no further connection, requests wait for their turn."""
    origin = limited_servers.origin("nghttpd", layer, 1)
    with ConnectionPool(max_connections=1, **origin.options) as pool:
        connections = get_many(pool, origin, 200, at_once=40)
        settled(pool)
        assert len(set(connections)) == 1
