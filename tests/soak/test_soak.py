"""Many requests with random cancellations, resets and timeouts; at the end nothing is left.

The number of requests per test is in the environment variable SOAK_REQUESTS; the seed of the run
is printed when it fails, and may be given in SOAK_SEED.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool, ConnectionPool, TimeoutException, TransportError
from httpcore_core._concurrency import AsyncEvent
from httpcore_core.testing.http_server import Exchange, HTTPServer, pattern
from tests.concurrency import AsyncTaskGroup
from tests.flavours import FLAVOURS, run_async

REQUESTS = int(os.environ.get("SOAK_REQUESTS", "2000"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.randrange(1, 10**9)
WORKERS = 40
LIMIT = 10


def reset(exchange: Exchange) -> None:
    """Dies at once, after the head, or in the body."""
    peer = exchange.peer
    point = len(exchange.head.target) % 3
    if point == 1:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    if point == 2:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(5000))
    peer.reset()
    exchange.keep_alive = False


def cut(exchange: Exchange) -> None:
    """Answers well and then closes a connection that it had promised to keep."""
    exchange.read()
    exchange.respond(b"cut")
    exchange.keep_alive = False
    exchange.peer.close()


Limits = dict[str, float]
ROUTES: dict[str, Any] = {"reset": reset, "cut": cut}


class Plan:
    """What one worker does next, drawn from its own generator."""

    def __init__(self, worker: int, url: str) -> None:
        self._random = random.Random(SEED * 1000 + worker)
        self._url = url

    def __iter__(self) -> Plan:
        return self

    def __next__(self) -> tuple[str, str, bytes | None, dict[str, float]]:
        """How to read the response, the URL, the content, the limits."""
        rng = self._random
        path = rng.choice(
            [f"bytes/{rng.randrange(3000)}"] * 8
            + ["bytes/200000", "chunked/5000", "until-close/500", "cut", "status/204", "echo"]
            + ["reset", "reset/x", "reset/xx", "slow/0.02", "drip/20", "early"]
        )
        limits = {"pool": 60.0, "read": 30.0, "connect": 30.0}
        if rng.random() < 0.1:
            limits[rng.choice(["read", "total", "pool"])] = rng.choice([0.0, 0.001, 0.01])
        content = bytes(rng.randrange(200_000)) if rng.random() < 0.1 else None
        how = rng.choice(["whole"] * 5 + ["abandon", "some"])
        return how, f"{self._url}/{path}", content, limits


def check_content(url: str, content: bytes) -> None:
    kind, _, size = url.rpartition("/")[0].rpartition("/")[2], "", url.rpartition("/")[2]
    if kind in ("bytes", "chunked", "until-close", "drip"):
        assert content == pattern(int(size)), url


def check_error(exc: TransportError) -> None:
    """Short limits are meant to be met; the long ones mean that something hangs."""
    limit = exc.limit if isinstance(exc, TimeoutException) else None
    assert limit is None or limit < 1.0, (SEED, repr(exc), str(exc))


def check_pool(pool: Any, server: HTTPServer) -> None:
    stats = pool.stats()
    numbers = (stats.active, stats.connecting, stats.queued, stats.closing)
    assert numbers == (0, 0, 0, 0), (SEED, stats)
    assert stats.opened == stats.idle + sum(stats.closed.values()), (SEED, stats)
    assert server.peak <= LIMIT, SEED


@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_soak_of_async_code(flavour: str) -> None:
    done = {"ok": 0, "failed": 0, "cancelled": 0}

    async def one(
        pool: AsyncConnectionPool,
        how: str,
        url: str,
        content: bytes | None,
        limits: dict[str, float],
    ) -> None:
        method = "GET" if content is None else "POST"
        extensions = {"timeout": limits}
        try:
            async with pool.stream(method, url, content=content, extensions=extensions) as response:
                if how == "whole":
                    body = await response.stream.aread()
                    if response.status == 200:
                        check_content(url, body)
                elif how == "some":
                    async for _ in response.stream:
                        break
            done["ok"] += 1
        except TransportError as exc:
            check_error(exc)
            done["failed"] += 1

    async def worker(pool: AsyncConnectionPool, number: int, url: str) -> None:
        rng = random.Random(SEED + number)
        for _, plan in zip(range(REQUESTS // WORKERS), Plan(number, url), strict=False):
            if rng.random() < 0.1:
                async with AsyncTaskGroup() as group:
                    job = group.start(one, pool, *plan)
                    await AsyncEvent().wait(rng.choice([0.0, 0.0005, 0.002, 0.01]))
                    job.cancel()
                    done["cancelled"] += 1
            else:
                await one(pool, *plan)

    async def main() -> None:
        async with AsyncConnectionPool(max_connections=LIMIT) as pool:
            async with AsyncTaskGroup() as group:
                for number in range(WORKERS):
                    group.start(worker, pool, number, server.url)
            check_pool(pool, server)
            response = await pool.request("GET", f"{server.url}/bytes/5")
            assert response.content == pattern(5)
        check_pool(pool, server)

    with HTTPServer(ROUTES) as server:
        run_async(flavour, main)
    assert done["ok"] > REQUESTS / 3, (SEED, done)
    assert done["failed"], (SEED, done)


@pytest.mark.slow
def test_soak_of_forty_threads() -> None:
    errors: list[BaseException] = []
    done = {"ok": 0, "failed": 0}

    def one(
        pool: ConnectionPool, how: str, url: str, content: bytes | None, limits: Limits
    ) -> None:
        method = "GET" if content is None else "POST"
        try:
            extensions = {"timeout": limits}
            with pool.stream(method, url, content=content, extensions=extensions) as response:
                if how == "whole":
                    body = response.stream.read()
                    if response.status == 200:
                        check_content(url, body)
                elif how == "some":
                    for _ in response.stream:
                        break
            done["ok"] += 1
        except TransportError as exc:
            check_error(exc)
            done["failed"] += 1

    def worker(number: int) -> None:
        try:
            for _, plan in zip(range(REQUESTS // WORKERS), Plan(number, server.url), strict=False):
                one(pool, *plan)
        except BaseException as exc:
            errors.append(exc)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with HTTPServer(ROUTES) as server:
            with ConnectionPool(max_connections=LIMIT) as pool:
                threads = [threading.Thread(target=worker, args=(n,)) for n in range(WORKERS)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                check_pool(pool, server)
                assert pool.request("GET", f"{server.url}/bytes/5").content == pattern(5)
            check_pool(pool, server)
    finally:
        sys.setswitchinterval(interval)
    assert not errors, (SEED, errors)
    assert done["ok"] > REQUESTS / 3, (SEED, done)
    assert done["failed"], (SEED, done)
