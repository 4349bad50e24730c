"""Very many requests at once through a proxy, and deadlines that end some of them (X1, P2).

How many requests "many" are is in the environment variable INTEROP_PROXY_REQUESTS.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from httpcore_core import ConnectionPool, TimeoutException
from tests.concurrency import TaskGroup
from tests.interop.content import NUMBERED, SMALL
from tests.interop.origins import Origin
from tests.interop.proxies import Way

from .asking import LIMITS, get

pytestmark = pytest.mark.interop

PATIENT = {**LIMITS, "pool": 60.0}
"""For those that wait while hundreds of others are served."""


def get_numbered(
    pool: ConnectionPool, origin: Origin, number: int, limits: dict[str, float]
) -> int:
    """The connection's number; the body is the one that was asked for."""
    number %= len(NUMBERED)
    response = get(pool, f"{origin.url}/numbered/{number}.txt", timeout=limits)
    assert response.content == NUMBERED[number]
    connection_id: int = response.extensions["connection"]["id"]
    return connection_id


@pytest.mark.parametrize("way", ["squid-http-auth", "dante-socks5h"], indirect=True)
@pytest.mark.parametrize("origin_there", ["plain", "tls", "tls_h2"], indirect=True)
def test_p2_a_thousand_requests_at_once(
    way: Way, origin_there: Origin, proxied_requests: int, settled: Any
) -> None:
    limits: dict[str, Any] = {"max_connections": 100, "max_keepalive_connections": 100}
    with ConnectionPool(**limits, **origin_there.options) as pool:
        with TaskGroup() as group:
            jobs = [
                group.start(get_numbered, pool, origin_there, number, PATIENT)
                for number in range(proxied_requests)
            ]
        connections = {job.result() for job in jobs}
        assert pool.stats().opened == len(connections) <= 100
        settled(pool)
    settled(pool)


@pytest.mark.parametrize("way", ["squid-http", "squid-https", "dante-socks5"], indirect=True)
def test_deadlines_at_any_moment(way: Way, origin_there: Origin, settled: Any) -> None:
    """About half of two hundred requests have too little time, and fail for that only."""
    rng = random.Random(f"{way.name} {origin_there.layer}")

    def hurried(pool: ConnectionPool, number: int, total: float) -> None:
        try:
            get_numbered(pool, origin_there, number, {"total": total})
        except TimeoutException as exc:
            assert exc.limit == total, exc

    with ConnectionPool(max_connections=20, **origin_there.options) as pool:
        with TaskGroup() as group:
            for number in range(200):
                if rng.random() < 0.5:
                    group.start(hurried, pool, number, rng.uniform(0.0, 0.1))
                else:
                    group.start(get_numbered, pool, origin_there, number, PATIENT)
        settled(pool)
        assert (get(pool, f"{origin_there.url}/small.txt")).content == SMALL
        settled(pool)
