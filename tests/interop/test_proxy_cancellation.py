"""Requests through real proxies that are cancelled at any moment; sync code has none (X1, P3)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool
from httpcore_core._concurrency import AsyncEvent
from tests.concurrency import AsyncTaskGroup

from ._async.asking import get
from .content import NUMBERED, SMALL
from .origins import Origin
from .proxies import Way

pytestmark = pytest.mark.interop

REQUESTS = 200
LONGEST = 0.2
"""Seconds until a request is cancelled, at most: about as many as all of them take."""


@pytest.mark.parametrize(
    "way",
    [
        "squid-http",
        "squid-https-auth",
        "tinyproxy-https",
        "dante-socks5h",
        "microsocks-socks5-auth",
    ],
    indirect=True,
)
async def test_cancelled_at_any_moment(way: Way, origin_there: Origin, settled: Any) -> None:
    """A random half of them; the others are answered, and so is whoever comes next."""
    rng = random.Random(f"{way.name} {origin_there.layer}")
    url = origin_there.url

    async def get_numbered(pool: AsyncConnectionPool, number: int) -> None:
        number %= len(NUMBERED)
        response = await get(pool, f"{url}/numbered/{number}.txt")
        assert response.content == NUMBERED[number]

    async def cancelled(pool: AsyncConnectionPool, number: int, moment: float) -> None:
        async with AsyncTaskGroup() as group:
            job = group.start(get_numbered, pool, number)
            await AsyncEvent().wait(moment)
            job.cancel()

    async with AsyncConnectionPool(max_connections=20, **origin_there.options) as pool:
        async with AsyncTaskGroup() as group:
            for number in range(REQUESTS):
                if rng.random() < 0.5:
                    group.start(cancelled, pool, number, rng.uniform(0.0, LONGEST))
                else:
                    group.start(get_numbered, pool, number)
        settled(pool)
        assert (await get(pool, f"{url}/small.txt")).content == SMALL
        settled(pool)
    settled(pool)
