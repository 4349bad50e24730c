"""P1, D01, D21 through proxies: cancelled at every await point, a request leaves nothing behind.

By enumeration, as in `test_cancellation`: on the way to the proxy, in its handshake, in that of the
origin, and in the exchange. After each cancellation the numbers are zero, the proxy is left with no
connection that the pool does not know, and the next request works in a pool of one place.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from httpcore_core import (
    AsyncConnectionPool,
    AsyncHTTPConnection,
    AsyncTunnelBackend,
    ConnectionPool,
    DigestProxyAuth,
    Origin,
    PoolClosed,
    Proxy,
    SyncBackend,
    TransportError,
    TunnelBackend,
)
from httpcore_core.testing.cancel import CancelStep, InterruptStep, interrupt_at_every_operation
from httpcore_core.testing.http_server import pattern
from httpcore_core.testing.scripts import start_tls
from tests._async.http2 import GUARD, LIMITS, get, h2_context, until
from tests._async.proxies import (
    PASSWORD,
    USER,
    DigestGuard,
    HTTP2ProxyServer,
    ProxyServer,
    Socks5,
    connect,
)
from tests._async.test_proxy_credentials import Guarded
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup
from tests.drivers.test_cancellation import check_numbers, every_step, upload
from tests.drivers.test_http2_cancellation import checkpoint
from tests.flavours import FLAVOURS, run_async

PATH = "chunked/30000"
PLAIN, TLS = f"http://origin.test/{PATH}", f"https://localhost/{PATH}"
NEXT = {"timeout": {**LIMITS, "pool": 5.0}}

flavours = pytest.mark.parametrize("flavour", FLAVOURS)


class Way:
    """A way through a proxy: its server, and the options of a pool that goes it."""

    def __init__(self, name: str, certificates: Certificates) -> None:
        self.name = name
        self.certificates = certificates
        self.url = PLAIN if name.startswith("forward") or name == "socks-plain" else TLS

    def server(self) -> AbstractContextManager[Any]:
        context = self.certificates.server_context()
        socks = Socks5((USER, PASSWORD))
        if self.name == "forward":
            return ProxyServer()
        if self.name == "forward-https":
            return ProxyServer(proxy_context=context)
        if self.name.startswith("forward-digest"):
            return ProxyServer(routes={"": Guarded(closes=self.name.endswith("closes"))})
        if self.name == "socks-plain":
            return ProxyServer(socks)
        if self.name == "connect-http2":
            h2 = self.certificates.server_context(alpn=["h2"])
            return HTTP2ProxyServer(connect(), ssl_context=h2)
        steps: list[Any] = {
            "connect": [connect()],
            "connect-callable": [connect()],
            "connect-digest": [DigestGuard().connect()],
            "connect-digest-closes": [DigestGuard().connect(b"Connection: close")],
            "https": [start_tls(context), connect()],
            "socks": [socks],
            "chain": [socks, start_tls(context), connect()],
        }[self.name]
        return ProxyServer(*steps, origin_context=context)

    def options(self, server: Any) -> dict[str, Any]:
        """Anew for each pool: what a `DigestProxyAuth` has learned would spare a step."""
        scheme = {"https": "https", "forward-https": "https"}.get(self.name, "http")
        client = self.certificates.client_context()
        options: dict[str, Any] = {
            "ssl_context": client,
            "max_connections": 1,
            "keepalive_expiry": None,
        }
        auth: Any = (USER, PASSWORD)
        headers: Any = None
        if "socks" in self.name:
            return options | {"proxy": Proxy(server.address("socks5h"), auth=auth)}
        if "digest" in self.name:
            auth = DigestProxyAuth(USER, PASSWORD)
        if self.name == "connect-callable":
            headers = callable_headers
        if self.name == "connect-http2":
            options |= {"ssl_context": h2_context(self.certificates), "http2": True}
        address = "https://localhost:3128" if self.name == "chain" else server.address(scheme)
        own = client if address.startswith("https") else None
        return options | {"proxy": Proxy(address, auth, headers, own)}

    def outer(self, server: Any) -> Proxy:
        """The first proxy of the chain."""
        return Proxy(server.address("socks5h"), auth=(USER, PASSWORD))

    def pool(self, server: Any) -> AsyncConnectionPool:
        options = self.options(server)
        if self.name == "chain":
            options["network_backend"] = AsyncTunnelBackend(self.outer(server))
        return AsyncConnectionPool(**options)

    def connection(self, server: Any) -> AsyncHTTPConnection:
        options = self.options(server)
        del options["max_connections"], options["keepalive_expiry"]
        if self.name == "chain":
            options["network_backend"] = AsyncTunnelBackend(self.outer(server))
        tls = self.url == TLS
        origin = Origin(b"https", b"localhost", 443) if tls else Origin(b"http", b"origin.test", 80)
        return AsyncHTTPConnection(origin, **options)


async def callable_headers(origin: Origin) -> dict[str, str]:
    await checkpoint()
    return {"X-For": str(origin)}


WAYS = (
    "forward",
    "forward-https",
    "forward-digest",
    "forward-digest-closes",
    "connect",
    "connect-callable",
    "connect-digest",
    "connect-digest-closes",
    "connect-http2",
    "https",
    "socks-plain",
    "socks",
    "chain",
)
ways = pytest.mark.parametrize("name", WAYS)


async def download(pool: Any, url: str, trace: Any = None) -> bytes:
    extensions = {"timeout": LIMITS, "trace": trace}
    async with pool.stream("GET", url, extensions=extensions) as response:
        assert response.status == 200
        return b"".join([chunk async for chunk in response.stream])


@flavours
@ways
def test_p1_d01_a_whole_exchange(flavour: str, name: str, certificates: Certificates) -> None:
    way = Way(name, certificates)
    with way.server() as server:

        async def scenario(step: CancelStep) -> None:
            pool = way.pool(server)
            await step.run(download, pool, way.url)
            check_numbers(pool)
            await until(lambda: server.open_connections == pool.stats().idle)
            response = await pool.request("GET", way.url, extensions=NEXT)
            assert response.content == pattern(30_000)
            check_numbers(pool)
            await pool.aclose()
            check_numbers(pool)
            await until(lambda: not server.open_connections)

        assert every_step(flavour, scenario) >= 1
        assert server.peak <= 1


@flavours
@pytest.mark.parametrize("name", [name for name in WAYS if name != "forward-digest-closes"])
def test_p1_d01_every_step_of_the_way(flavour: str, name: str, certificates: Certificates) -> None:
    """A pool dials in a task of its own, a connection in that of the request: here each wait for
    the network is a step. Cancelled on the way, it has nothing open when that is over."""
    way = Way(name, certificates)
    with way.server() as server:

        async def scenario(step: CancelStep) -> None:
            connection = way.connection(server)
            await step.run(download, connection, way.url)
            if connection.is_closed():
                await until(lambda: not server.open_connections)
            await connection.aclose()
            await until(lambda: not server.open_connections)
            assert connection.is_closed()

        assert every_step(flavour, scenario) >= 1


@flavours
@pytest.mark.parametrize(
    "name", ["forward", "forward-digest-closes", "connect-digest-closes", "socks", "chain"]
)
def test_p1_d01_at_every_event(flavour: str, name: str, certificates: Certificates) -> None:
    """The request is cancelled while its dial, or its exchange, is at that event."""
    way = Way(name, certificates)

    async def cancelled_at(number: int, server: Any) -> bool:
        events: list[str] = []

        async def trace(event: str, info: object) -> None:
            events.append(event)
            if len(events) == number:
                jobs[0].cancel()
            await checkpoint()

        pool = way.pool(server)
        jobs: list[Any] = []
        async with AsyncTaskGroup() as group:
            jobs.append(group.start(download, pool, way.url, trace))
            await jobs[0].task.wait()
        check_numbers(pool)
        await until(lambda: server.open_connections == pool.stats().idle)
        response = await pool.request("GET", way.url, extensions=NEXT)
        assert response.content == pattern(30_000)
        await pool.aclose()
        check_numbers(pool)
        return len(events) >= number

    with way.server() as server:
        count = 1
        while run_async(flavour, cancelled_at, count, server):
            count += 1
        assert count > 12
        server.wait_until_done()
        assert server.peak <= 1


@flavours
@pytest.mark.parametrize("name", ["forward", "connect", "socks"])
def test_p1_d01_an_upload(flavour: str, name: str, certificates: Certificates) -> None:
    way = Way(name, certificates)
    with way.server() as server:

        async def scenario(step: CancelStep) -> None:
            pool = way.pool(server)
            await step.run(upload, pool, way.url)
            check_numbers(pool)
            assert (await pool.request("GET", way.url, extensions=NEXT)).status == 200
            await pool.aclose()
            check_numbers(pool)

        assert every_step(flavour, scenario) >= 1


@flavours
@pytest.mark.parametrize("name", ["forward", "connect", "https", "socks", "connect-http2"])
def test_p1_d01_while_another_request_waits(
    flavour: str, name: str, certificates: Certificates
) -> None:
    """Either of them may be the one that dials for both; the other one is served."""
    way = Way(name, certificates)
    with way.server() as server:

        async def scenario(step: CancelStep) -> None:
            pool = way.pool(server)
            others: list[Any] = []

            async def start() -> None:
                others.extend(group.start(get, pool, way.url) for _ in range(2))

            async with AsyncTaskGroup() as group:
                group.start(start)
                await step.run(download, pool, way.url)
                await until(lambda: others)
                for job in others:
                    assert await job.result() == pattern(30_000)
            check_numbers(pool)
            await pool.aclose()
            check_numbers(pool)
            await until(lambda: not server.open_connections)

        assert every_step(flavour, scenario) >= 1
        assert server.peak <= 1


@flavours
@pytest.mark.parametrize("name", ["connect-digest-closes", "chain"])
def test_p10_closed_at_every_event(flavour: str, name: str, certificates: Certificates) -> None:
    """Somebody closes the pool while the tunnel is made."""
    way = Way(name, certificates)

    async def closed_at(number: int, server: Any) -> bool:
        events: list[str] = []

        async def trace(event: str, info: object) -> None:
            events.append(event)
            if len(events) == number:
                closing.append(group.start(pool.aclose))
            await checkpoint()

        pool = way.pool(server)
        closing: list[Any] = []
        async with AsyncTaskGroup() as group:
            job = group.start(download, pool, way.url, trace)
            try:
                assert await job.result() == pattern(30_000)
            except PoolClosed:
                assert closing
            for other in closing:
                await other.result()
        check_numbers(pool)
        await pool.aclose()
        assert pool.connections == []
        await until(lambda: not server.open_connections)
        return bool(closing)

    with way.server() as server:
        count = 1
        while run_async(flavour, closed_at, count, server):
            count += 1
        assert count > 12


@flavours
def test_p1_a_tunnel_backend_used_alone(flavour: str, certificates: Certificates) -> None:
    with ProxyServer(connect(), origin_context=certificates.server_context()) as server:

        async def dial() -> None:
            backend = AsyncTunnelBackend(server.address())
            stream = await backend.connect_tcp("localhost", 443, GUARD)
            try:
                stream = await stream.start_tls(certificates.client_context(), "localhost", GUARD)
            finally:
                await stream.aclose()

        async def scenario(step: CancelStep) -> None:
            await step.run(dial)
            await until(lambda: not server.open_connections)

        assert every_step(flavour, scenario) >= 1


# Sync


def sync_get(pool: ConnectionPool, url: str) -> bytes:
    return pool.request("GET", url, extensions=NEXT).content


def sync_get_or_fail(pool: ConnectionPool, url: str) -> None:
    """HTTP/2 writes in the background, too: where that is hit, this request only fails."""
    try:
        sync_get(pool, url)
    except TransportError:
        pass


# An operation of a background thread may be hit: what it raises there is not what comes out.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", [name for name in WAYS if name != "connect-callable"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_d21_sync_code_is_interrupted_at_every_operation(
    name: str, error: type[BaseException], certificates: Certificates
) -> None:
    way = Way(name, certificates)
    with way.server() as server:

        def scenario(step: InterruptStep) -> None:
            backend: Any = step.wrap(SyncBackend())
            if name == "chain":
                backend = TunnelBackend(way.outer(server), network_backend=backend)
            pool = ConnectionPool(**way.options(server), network_backend=backend)
            step.run(sync_get_or_fail if name == "connect-http2" else sync_get, pool, way.url)
            wait_for(lambda: not pool.stats().closing)
            check_numbers(pool)
            wait_for(lambda: server.open_connections == pool.stats().idle)
            if not step.interrupted:
                step.run(pool.close)
                pool.close()
                return
            assert sync_get(pool, way.url) == pattern(30_000)
            pool.close()
            check_numbers(pool)
            wait_for(lambda: not server.open_connections)

        assert interrupt_at_every_operation(scenario, error=error) >= 6


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
