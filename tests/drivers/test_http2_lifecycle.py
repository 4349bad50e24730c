"""HTTP/2 connections in threads, forks and event loops: P7, P11, P12, D13, D15, D16."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

from httpcore_core import (
    ConnectionPool,
    LocalProtocolError,
    TransportError,
)
from httpcore_core._concurrency import AsyncEvent
from httpcore_core.testing.http_server import pattern
from tests._async.http2 import GUARD, LIMITS, get, h2_context, prior, until
from tests.flavours import FLAVOURS, run_async
from tests.http2_server import MAX_CONCURRENT_STREAMS, HTTP2Server, Link

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


def sync_prior(**options: Any) -> ConnectionPool:
    return ConnectionPool(http1=False, http2=True, **options)


@contextmanager
def quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 3 * GUARD
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    stuck = sum(thread.is_alive() for thread in threads)
    assert not stuck, f"{stuck} threads do not end; errors: {errors}"
    if errors:
        raise errors[0]


@pytest.mark.parametrize(("limit", "connections"), [(100, 1), (5, 1), (5, 3), (1, 4)])
def test_p12_forty_threads_share_a_pool(limit: int, connections: int, settled: Any) -> None:
    def work(number: int) -> None:
        for turn in range(15):
            size = (number * 37 + turn * 101) % 5000
            response = pool.request(
                "GET", f"{server.url}/bytes/{size}", extensions={"timeout": LIMITS}
            )
            assert response.content == pattern(size)
            if turn % 5 == 0:
                with pool.stream("GET", f"{server.url}/endless") as response:
                    assert response.status == 200
            if turn % 5 == 2:
                body = pattern(20_000 + number)
                response = pool.request(
                    "POST", f"{server.url}/echo", content=body, extensions={"timeout": LIMITS}
                )
                assert b'"length": %d,' % len(body) in response.content

    with HTTP2Server(settings={MAX_CONCURRENT_STREAMS: limit}) as server:
        with sync_prior(max_connections=connections) as pool, quick_switches():
            in_threads(40, work)
            settled(pool)
        assert server.peak <= connections
        server.wait_until_done()
        assert not any(link.torn for link in server.links)


def test_p12_d13_threads_and_a_server_that_leaves_again_and_again(settled: Any) -> None:
    """Each connection ends after some requests, with GOAWAY or without; nothing is mixed up."""

    def script(link: Link) -> None:
        rng = random.Random(link.number)
        for _ in range(rng.randrange(10, 40)):
            request = link.next_request()
            if request.id not in link.resets:
                link.answer(request, request.path)
        if link.number % 2:
            link.send(link.peer.goaway(max(request.id for request in link.requests)))
            while link.has_request():
                request = link.next_request()
                link.answer(request, request.path)
        link.half_close()

    failures = []

    def work(number: int) -> None:
        for turn in range(20):
            path = f"/{number}-{turn}"
            try:
                response = pool.request("GET", server.url + path, extensions={"timeout": LIMITS})
                assert response.content == path.encode()
            except TransportError as exc:  # a connection that ends under the second attempt, too
                failures.append(exc)

    with HTTP2Server(script) as server:
        with sync_prior(max_connections=3) as pool, quick_switches():
            in_threads(20, work)
            settled(pool)
        assert server.peak <= 3
    assert len(failures) < 200


def test_p12_closing_the_pool_under_threads() -> None:
    def work(number: int) -> None:
        try:
            while True:
                response = pool.request(
                    "GET", f"{server.url}/bytes/{number}", extensions={"timeout": LIMITS}
                )
                assert response.content == pattern(number)
                counts[number] += 1
                if all(counts):
                    pool.close()
        except TransportError as exc:
            assert type(exc).__name__ == "PoolClosed", repr(exc)

    counts = [0] * 20
    with HTTP2Server() as server:
        with quick_switches():
            pool = sync_prior(max_connections=2)
            in_threads(20, work)
            pool.close()
        stats = pool.stats()
        assert (stats.active, stats.idle, stats.queued, stats.connecting) == (0, 0, 0, 0)


@needs_fork
@pytest.mark.parametrize("tls", [False, True])
def test_p11_d15_a_forked_child_starts_with_no_connections(tls: bool, certificates: Any) -> None:
    server_context = certificates.server_context(alpn=["h2"]) if tls else None
    with HTTP2Server(ssl_context=server_context) as server:
        pool = (
            ConnectionPool(http2=True, ssl_context=h2_context(certificates))
            if tls
            else sync_prior()
        )
        with pool:
            pool.request("GET", f"{server.url}/bytes/3")
            with pool.stream("GET", f"{server.url}/bytes/3000000") as response:
                url = f"{server.url}/bytes/7"
                assert in_child(lambda: pool.request("GET", url).content == pattern(7)) == 0
                assert response.stream.read() == pattern(3_000_000)
            response = pool.request("GET", f"{server.url}/bytes/3")
            assert response.content == pattern(3)
            assert response.extensions["connection"]["reused"]
        assert len(server.connections) == 2  # the parent's one, the child's one
        assert len(server.links[0].requests) == 3


@needs_fork
def test_d15_a_child_that_closes_what_it_inherited_harms_nobody() -> None:
    with HTTP2Server() as server:
        with sync_prior() as pool:
            with pool.stream("GET", f"{server.url}/bytes/3000000") as response:

                def child() -> bool:
                    response.stream.close()
                    pool.close()
                    return True

                assert in_child(child) == 0
                assert response.stream.read() == pattern(3_000_000)
        assert len(server.connections) == 1
        assert server.links[0].resets == {}


def in_child(work: Callable[[], bool]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads, from 3.12 on
        pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if work() else 2
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def leave_open(flavour: str, function: Callable[[], Any]) -> None:
    """Run and end with a connection still open; trio's tasks for it are none of our concern."""
    if flavour == "trio":
        trio.run(function)
    else:
        run_async(flavour, function)


@pytest.mark.parametrize("first", FLAVOURS)
@pytest.mark.parametrize("second", FLAVOURS)
@pytest.mark.parametrize("pings", [None, 0.05])
def test_p11_d16_the_same_pool_in_a_second_event_loop(
    first: str, second: str, pings: float | None
) -> None:
    async def request() -> bytes:
        return await get(pool, f"{server.url}/bytes/3")

    async def request_and_close() -> bytes:
        content = await request()
        await pool.aclose()
        return content

    pool = prior(max_connections=1, http2_ping_interval=pings)
    with HTTP2Server() as server, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed", ResourceWarning)
        leave_open(first, request)
        assert pool.stats().idle == 1
        assert run_async(second, request_and_close) == pattern(3)
        assert pool.stats().closed == {"forgotten": 1, "pool closed": 1}


def test_p11_two_running_loops_cannot_share_a_pool() -> None:
    pool = prior()

    async def main() -> None:
        async with pool.stream("GET", f"{server.url}/bytes/3000000") as response:

            def other() -> None:
                with pytest.raises(LocalProtocolError, match="another running event loop"):
                    asyncio.run(pool.request("GET", f"{server.url}/bytes/3"))
                done.set()

            threading.Thread(target=other).start()
            assert await asyncio.to_thread(done.wait, 10)
            assert await response.stream.aread() == pattern(3_000_000)
        await pool.aclose()

    done = threading.Event()
    with HTTP2Server() as server:
        asyncio.run(main())


async def test_p7_idle_connections_go_at_their_expiry_without_traffic() -> None:
    with HTTP2Server() as server:
        async with prior(keepalive_expiry=0.05) as pool:
            for _ in range(2):
                await get(pool, f"{server.url}/bytes/1")
                await until(lambda: not pool.connections)
            assert pool.stats().closed == {"expired": 2}
            await until(server.connections[0].has_left)


@pytest.mark.parametrize("how", ["FIN", "GOAWAY"])
async def test_p7_the_peers_end_closes_an_idle_connection_without_traffic(how: str) -> None:
    def script(link: Link) -> None:
        link.answer(link.next_request(), b"ok")
        link.wait_for(idle)
        if how == "FIN":
            link.close()
        else:
            link.send(link.peer.goaway(1))

    idle = threading.Event()
    with HTTP2Server(script) as server:
        async with prior(keepalive_expiry=None) as pool:
            await get(pool, server.url)
            await AsyncEvent().wait(0.2)  # idle for a while: the slower of trio's two ways
            assert pool.stats().idle == 1
            idle.set()
            await until(lambda: not pool.connections, 5.0)


async def test_p7_pings_of_the_peer_do_not_end_an_idle_connection() -> None:
    """Servers ping idle connections; and SETTINGS and WINDOW_UPDATE may come at any time."""

    def script(link: Link) -> None:
        link.answer(link.next_request(), b"ok")
        link.wait_for(idle)
        for _ in range(3):
            link.send(link.peer.ping(), link.peer.settings({}), link.peer.window_update(0, 5))
        said.set()
        link.answer_all()

    idle, said = threading.Event(), threading.Event()
    with HTTP2Server(script) as server:
        async with prior(keepalive_expiry=None) as pool:
            await get(pool, server.url)
            await AsyncEvent().wait(0.2)
            idle.set()
            await until(said.is_set)
            assert await get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1
