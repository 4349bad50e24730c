"""Idle connections, event loops, forks and threads: what lives longer than one request."""

from __future__ import annotations

import asyncio
import os
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
    AsyncConnectionPool,
    AsyncMockBackend,
    ConnectError,
    ConnectionPool,
    ConnectTimeout,
    LocalProtocolError,
    ReadError,
    RemoteProtocolError,
    WriteError,
)
from httpcore_core._concurrency import AsyncEvent
from httpcore_core._tls import session_store
from httpcore_core.testing import Delay
from httpcore_core.testing.http_server import HTTPServer, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.concurrency import AsyncTaskGroup
from tests.flavours import FLAVOURS, run_async

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await AsyncEvent().wait(0.001)


async def test_p7_idle_connections_go_at_their_expiry_without_traffic() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool(keepalive_expiry=0.05) as pool:
            for _ in range(2):
                await pool.request("GET", f"{server.url}/bytes/1")
                assert pool.stats().idle == 1
                await until(lambda: not pool.connections)
            assert pool.stats().closed == {"expired": 2}


async def test_p7_the_peers_fin_closes_an_idle_connection_without_traffic() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.hang(idle)
        peer.close()

    idle = threading.Event()
    with ScriptedServer(script) as server:
        async with AsyncConnectionPool(keepalive_expiry=None) as pool:
            await pool.request("GET", server.url)
            await AsyncEvent().wait(0.2)  # idle for a while: the slower of trio's two ways
            assert pool.stats().idle == 1
            idle.set()
            started = time.monotonic()
            await until(lambda: not pool.connections)
            assert time.monotonic() - started < 5.0
            assert pool.stats().closed == {"peer closed": 1}


async def test_p7_a_busy_connection_is_left_alone_by_timers() -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool(keepalive_expiry=0.02) as pool:
            await pool.request("GET", f"{server.url}/bytes/1")
            async with pool.stream("GET", f"{server.url}/drip/20") as response:
                assert await response.stream.aread() == pattern(20)
            await until(lambda: not pool.connections)


async def test_n1_an_adopted_dial_is_bounded_by_its_new_owners_limit(settled: Any) -> None:
    """The first request would dial for ever; the second takes the dial over, but not its limits."""
    names: list[str] = []

    async def second() -> None:
        limits = {"connect": 0.05}
        with pytest.raises(ConnectTimeout, match="limit 0.05 s"):
            await pool.request("GET", "http://example.com/", extensions={"timeout": limits})

    backend = AsyncMockBackend([OK], connect=[Delay(float("inf")), None])
    async with AsyncConnectionPool(network_backend=backend, max_connections=1) as pool:
        async with AsyncTaskGroup() as group:
            extensions = {"trace": lambda name, info: names.append(name)}
            first = group.start(request_with, pool, extensions)
            await until(lambda: pool.stats().connecting == 1)
            job = group.start(second)
            await until(lambda: pool.stats().queued == 1)
            first.cancel()
            await job.result()
        settled(pool)
        assert names[-1] == "connection.connect_tcp.failed"  # and nothing of what came after
        assert (await pool.request("GET", "http://example.com/")).content == b"ok"


async def request_with(pool: AsyncConnectionPool, extensions: dict[str, Any]) -> None:
    await pool.request("GET", "http://example.com/", extensions=extensions)


@contextmanager
def unclosed_is_no_news() -> Iterator[None]:
    """A loop that ends with connections open may say so; that is what these tests are about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed", ResourceWarning)
        yield


def leave_open(flavour: str, function: Callable[[], Any]) -> None:
    """Run and end with a connection still open; trio's tasks for it are none of our concern."""
    if flavour == "trio":
        trio.run(function)
    else:
        run_async(flavour, function)


@pytest.mark.parametrize("first", FLAVOURS)
@pytest.mark.parametrize("second", FLAVOURS)
def test_p11_the_same_pool_in_a_second_event_loop(first: str, second: str) -> None:
    async def request() -> bytes:
        return (await pool.request("GET", f"{server.url}/bytes/3")).content

    async def request_and_close() -> bytes:
        content = await request()
        await pool.aclose()
        return content

    pool = AsyncConnectionPool(max_connections=1)
    with HTTPServer() as server, unclosed_is_no_news():
        leave_open(first, request)
        assert pool.stats().idle == 1
        assert run_async(second, request_and_close) == pattern(3)
        assert pool.stats().closed == {"forgotten": 1, "pool closed": 1}


def test_p11_two_running_loops_cannot_share_a_pool() -> None:
    pool = AsyncConnectionPool()

    async def main() -> None:
        await pool.request("GET", f"{server.url}/bytes/3")

        def other() -> None:
            with pytest.raises(LocalProtocolError, match="another running event loop"):
                asyncio.run(pool.request("GET", f"{server.url}/bytes/3"))
            done.set()

        threading.Thread(target=other).start()
        assert await asyncio.to_thread(done.wait, 10)
        assert (await pool.request("GET", f"{server.url}/bytes/3")).content == pattern(3)
        await pool.aclose()

    done = threading.Event()
    with HTTPServer() as server:
        asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("tls", [False, True])
def test_p11_a_forked_child_starts_with_no_connections(tls: bool, certificates: Any) -> None:
    server_context = certificates.server_context() if tls else None
    client_context = certificates.client_context() if tls else None
    with HTTPServer(ssl_context=server_context) as server:
        with ConnectionPool(ssl_context=client_context) as pool:
            pool.request("GET", f"{server.url}/bytes/3")
            with pool.stream("GET", f"{server.url}/bytes/300000") as response:
                status = in_child(lambda: pool.request("GET", f"{server.url}/echo").status == 200)
                assert status == 0
                assert response.stream.read() == pattern(300_000)
            response = pool.request("GET", f"{server.url}/bytes/3")
            assert response.content == pattern(3)
            assert response.extensions["connection"]["reused"]
        assert len(server.connections) == 2  # the parent's one, the child's one


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p11_a_forked_child_of_async_code(flavour: str) -> None:
    async def main() -> None:
        async with AsyncConnectionPool() as pool:
            await pool.request("GET", f"{server.url}/bytes/3")

            async def in_new_loop() -> bool:
                ok = (await pool.request("GET", f"{server.url}/bytes/3")).content == pattern(3)
                await pool.aclose()
                return ok

            def child() -> bool:
                results = []
                thread = threading.Thread(target=lambda: results.append(asyncio.run(in_new_loop())))
                thread.start()
                thread.join()
                return results == [True]

            assert in_child(child) == 0
            response = await pool.request("GET", f"{server.url}/bytes/3")
            assert response.extensions["connection"]["reused"]

    with HTTPServer() as server:
        run_async(flavour, main)
        assert len(server.connections) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_p11_a_pool_that_was_never_made_is_in_nobodys_way() -> None:
    kept = []  # with the error also the pool is
    with HTTPServer() as server, ConnectionPool() as first, ConnectionPool() as second:
        pools = (first, second)
        for pool in pools:
            pool.request("GET", f"{server.url}/bytes/3")
        for _ in range(5):
            with pytest.raises(ValueError, match="max_connections") as raised:
                ConnectionPool(max_connections=-5)
            kept.append(raised.value)
        assert in_child(lambda: not any(pool.connections for pool in pools)) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_p11_a_fork_while_another_thread_files_a_tls_session(certificates: Any) -> None:
    context = certificates.client_context()
    store = session_store(context)
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        with ConnectionPool(ssl_context=context) as pool:
            pool.request("GET", f"{server.url}/bytes/3")
            assert len(store) == 1

            def child() -> bool:
                assert len(store) == 0  # they are the parent's
                return pool.request("GET", f"{server.url}/bytes/3").status == 200

            with store._lock:  # as it would
                assert in_child(child) == 0
            assert len(store) == 1


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


def test_p12_forty_threads_share_a_pool(settled: Any) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(15):
                size = (number * 37 + turn * 101) % 5000
                response = pool.request("GET", f"{server.url}/bytes/{size}")
                assert response.content == pattern(size)
                if turn % 5 == 0:
                    with pool.stream("GET", f"{server.url}/bytes/100000"):
                        pass
        except BaseException as exc:
            errors.append(exc)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with HTTPServer() as server:
            with ConnectionPool(max_connections=8) as pool:
                threads = [threading.Thread(target=work, args=(n,)) for n in range(40)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                settled(pool)
            assert server.peak <= 8
    finally:
        sys.setswitchinterval(interval)
    assert not errors


def test_d04_d05_a_timeout_and_a_release_at_the_same_instant(settled: Any) -> None:
    from httpcore_core import PoolTimeout

    outcomes = {"served": 0, "timed out": 0}

    def waiter() -> None:
        try:
            limits = {"pool": 0.002}
            pool.request("GET", f"{server.url}/bytes/1", extensions={"timeout": limits})
            outcomes["served"] += 1
        except PoolTimeout:
            outcomes["timed out"] += 1

    with HTTPServer() as server:
        with ConnectionPool(max_connections=1) as pool:
            for turn in range(200):
                with pool.stream("GET", f"{server.url}/bytes/1") as response:
                    thread = threading.Thread(target=waiter)
                    thread.start()
                    time.sleep(0.0015 + turn % 10 * 0.0001)
                    response.stream.read()
                thread.join()
                settled(pool)
    assert sum(outcomes.values()) == 200


async def test_d07_breaking_out_of_a_body_is_clean(settled: Any) -> None:
    with HTTPServer() as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            for _ in range(3):
                async with pool.stream("GET", f"{server.url}/bytes/3000000") as response:
                    async for _ in response.stream:
                        break
                settled(pool)


async def test_d07_a_response_closed_while_another_task_reads_it(settled: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc")
        peer.wait_for_end()

    async def read(stream: Any) -> None:
        with pytest.raises(ReadError):
            await stream.aread()

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool() as pool:
            async with pool.stream("GET", server.url) as response:
                async with AsyncTaskGroup() as group:
                    job = group.start(read, response.stream)
                    await AsyncEvent().wait(0.02)
                    await response.stream.aclose()
                    await job.result()
            settled(pool)
            assert pool.connections == []


async def test_a_pool_survives_a_server_that_always_dies(settled: Any) -> None:
    with ScriptedServer(lambda peer: peer.reset()) as server:
        async with AsyncConnectionPool(max_connections=2) as pool:
            for _ in range(20):
                with pytest.raises((ConnectError, RemoteProtocolError, ReadError, WriteError)):
                    await pool.request("GET", server.url)
                settled(pool)
                assert pool.connections == []
