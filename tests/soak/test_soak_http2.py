"""Many requests over HTTP/2 with random cancellations, early ends, resets and GOAWAYs; at the end
nothing is left: no stream, no slot, no window.

The number of requests per test is in the environment variable SOAK_REQUESTS; the seed of the run
is printed when it fails, and may be given in SOAK_SEED.
"""

from __future__ import annotations

import collections
import random
import sys
import threading
import time
from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool, ConnectionPool, TransportError
from httpcore_core._concurrency import AsyncEvent
from httpcore_core.testing.http_server import pattern
from tests.concurrency import AsyncTaskGroup
from tests.flavours import FLAVOURS, run_async
from tests.http2_link import STEP, Link
from tests.http2_routes import ROUTES, Exchange, bool_true, missing, turn
from tests.http2_server import HTTP2Server
from tests.soak.test_soak import REQUESTS, SEED, WORKERS, check_content, check_error

LIMIT = 5
WINDOW = 4 * 1024 * 1024
CODES = {"refused": 7, "internal": 2, "cancel": 8, "none": 0}
OPTIONS: dict[str, Any] = {
    "http1": False,
    "http2": True,
    "max_connections": LIMIT,
    "http2_stream_window": 64 * 1024,
    "http2_connection_window": WINDOW,
}


def disturbed(link: Link) -> None:
    """Serve, but reset one stream in fifty, and say GOAWAY to one connection in two hundred."""
    rng = random.Random(SEED * 1000 + link.number)
    jobs: list[Any] = []
    last = 1 << 31
    while True:
        link.step(0.0 if any(ready() for _, _, ready in jobs) else STEP)
        while link.has_request():
            exchange = Exchange(link, link.next_request())
            number, dice = exchange.id, rng.random()
            if dice < 0.005 and last == 1 << 31:
                last = max(number - rng.choice([0, 2, 4]), 0)
                link.send(link.peer.goaway(last), flush=False)
            if number > last:
                continue
            if 0.01 < dice < 0.03:
                code = CODES[rng.choice(list(CODES))]
                link.send(link.peer.reset(number, code), flush=False)
                continue
            name = exchange.request.path.partition(b"?")[0].split(b"/")[1].decode("ascii")
            jobs.append((exchange, ROUTES.get(name, missing)(exchange), bool_true))
        jobs = [job for job in map(turn, jobs) if job is not None]


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
        how = rng.choice(["whole"] * 5 + ["abandon", "some"])
        paths = [f"bytes/{rng.randrange(3000)}"] * 8
        paths += ["bytes/200000", "chunked/5000", "status/204", "echo", "informational"]
        paths += ["slow/0.02", "drip/20", "early", "at-once/3000"]
        if how != "whole":
            paths += ["endless"] * 3
        limits = {"pool": 60.0, "read": 30.0, "write": 30.0, "connect": 30.0}
        if rng.random() < 0.1:
            limits[rng.choice(["read", "total", "pool"])] = rng.choice([0.0, 0.001, 0.01])
        content = bytes(rng.randrange(200_000)) if rng.random() < 0.1 else None
        return how, f"{self._url}/{rng.choice(paths)}", content, limits


def check(pool: Any, server: HTTP2Server) -> None:
    stats = pool.stats()
    numbers = (stats.active, stats.connecting, stats.queued, stats.closing)
    assert numbers == (0, 0, 0, 0), (SEED, stats)
    assert stats.opened == stats.idle + sum(stats.closed.values()), (SEED, stats)
    assert server.peak <= LIMIT, SEED
    for connection in pool.connections:
        protocol = connection.open_connection.protocol
        assert not protocol.open_streams, SEED
        assert not protocol._blocked, SEED
        assert not protocol._streams, SEED


def windows(pool: Any) -> set[int]:
    """What servers may send, or will have been told that they may."""
    found = set()
    for connection in pool.connections:
        protocol = connection.open_connection.protocol
        found.add(protocol._window + protocol._consumed)
    return found


def note(done: collections.Counter[str], exc: TransportError) -> None:
    check_error(exc)
    done["failed"] += 1


@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_soak_of_async_code_over_http2(flavour: str) -> None:
    done: collections.Counter[str] = collections.Counter()

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
            note(done, exc)

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
        async with AsyncConnectionPool(**OPTIONS) as pool:
            async with AsyncTaskGroup() as group:
                for number in range(WORKERS):
                    group.start(worker, pool, number, server.url)
            check(pool, server)
            deadline = time.monotonic() + 30.0
            while windows(pool) != {WINDOW}:
                assert time.monotonic() < deadline, (SEED, windows(pool))
                await AsyncEvent().wait(0.01)
                await pool.request("GET", f"{server.url}/status/204", extensions={"timeout": LONG})
            check(pool, server)

    with HTTP2Server(disturbed) as server:
        run_async(flavour, main)
    assert done["ok"] > REQUESTS / 3, (SEED, done)
    assert done["failed"], (SEED, done)


LONG = {"read": 30.0, "pool": 30.0, "connect": 30.0}


@pytest.mark.slow
def test_soak_of_forty_threads_over_http2() -> None:
    errors: list[BaseException] = []
    done: collections.Counter[str] = collections.Counter()

    def one(
        pool: ConnectionPool, how: str, url: str, content: bytes | None, limits: dict[str, float]
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
            note(done, exc)

    def worker(number: int) -> None:
        try:
            for _, plan in zip(range(REQUESTS // WORKERS), Plan(number, server.url), strict=False):
                one(pool, *plan)
        except BaseException as exc:
            errors.append(exc)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with HTTP2Server(disturbed) as server:
            with ConnectionPool(**OPTIONS) as pool:
                threads = [threading.Thread(target=worker, args=(n,)) for n in range(WORKERS)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert not errors, (SEED, errors)
                check(pool, server)
                content = pool.request("GET", f"{server.url}/at-once/5", extensions={}).content
                assert content == pattern(5)
    finally:
        sys.setswitchinterval(interval)
    assert done["ok"] > REQUESTS / 3, (SEED, done)
    assert done["failed"], (SEED, done)
