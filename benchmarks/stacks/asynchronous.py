"""Small requests from many tasks, on asyncio (with its own loop or uvloop's) and on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..servers import SMALL, Servers
from . import KEEPALIVE, LIMIT, LIMITS, check, ours, small_headers, tls_context

AsyncOne = Callable[[], Awaitable[None]]


async def core(servers: Servers, pool: int, engine: str = "auto", tls: bool = False) -> AsyncOne:
    import httpcore_core

    connections = ours(
        httpcore_core.AsyncConnectionPool(
            ssl_context=tls_context(servers) if tls else None,
            max_connections=pool,
            max_keepalive_connections=pool,
            keepalive_expiry=KEEPALIVE,
            http1_engine=engine,
        )
    )
    scheme, port = (b"https", servers.tls_port) if tls else (b"http", servers.port)
    url = (scheme, servers.host.encode(), port, b"/small")

    async def one() -> None:
        status, _, stream, _ = await connections.handle_async_request(
            b"GET",
            url,
            small_headers(servers.host, port),
            httpcore_core.ByteStream(b""),
            {"timeout": LIMITS},
        )
        try:
            body = await stream.aread()
        finally:
            await stream.aclose()
        check(status, body)

    return one


async def bare_protocol(servers: Servers, pool: int) -> AsyncOne:
    """The floor: an asyncio.Protocol on each connection, which counts bytes and understands none.
    More tasks than connections wait in line."""
    import asyncio

    fields = small_headers(servers.host, servers.port)
    lines = [b"GET /small HTTP/1.1", *(b"%b: %b" % field for field in fields), b"", b""]
    message = b"\r\n".join(lines)
    loop = asyncio.get_running_loop()

    class Connection(asyncio.Protocol):
        received = b""
        waiter: asyncio.Future[bytes]

        def data_received(self, data: bytes) -> None:
            self.received += data
            head, _, body = self.received.partition(b"\r\n\r\n")
            if len(body) >= SMALL:
                self.received = b""
                self.waiter.set_result(head)

    idle: asyncio.LifoQueue[tuple[asyncio.Transport, Connection]] = asyncio.LifoQueue()
    for _ in range(pool):
        idle.put_nowait(await loop.create_connection(Connection, servers.host, servers.port))

    async def one() -> None:
        transport, connection = pair = await idle.get()
        connection.waiter = loop.create_future()
        transport.write(message)
        check(int((await connection.waiter)[9:12]), b"x" * SMALL)
        idle.put_nowait(pair)

    return one


async def httpcore2(servers: Servers, pool: int) -> AsyncOne:
    """As httpx uses it: a request object from bytes, the body read, the response closed."""
    import httpcore2

    connections = httpcore2.AsyncConnectionPool(
        max_connections=pool, max_keepalive_connections=pool, keepalive_expiry=KEEPALIVE
    )
    host, port = servers.host.encode(), servers.port

    async def one() -> None:
        request = httpcore2.Request(
            b"GET",
            httpcore2.URL(scheme=b"http", host=host, port=port, target=b"/small"),
            headers=small_headers(servers.host, port),
            extensions={"timeout": LIMITS},
        )
        response = await connections.handle_async_request(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        check(response.status, body)

    return one


async def aiohttp(servers: Servers, pool: int, tls: bool = False) -> AsyncOne:
    import aiohttp

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=tls_context(servers) if tls else True, limit=pool, keepalive_timeout=KEEPALIVE
        ),
        timeout=aiohttp.ClientTimeout(total=LIMIT),
        headers={"Accept": "*/*", "User-Agent": "benchmarks/1"},
    )
    url = servers.tls_url("/small") if tls else servers.url("/small")

    async def one() -> None:
        async with session.get(url) as response:
            check(response.status, await response.read())

    return one


async def pyreqwest(servers: Servers, pool: int) -> AsyncOne:
    from datetime import timedelta

    from pyreqwest.client import ClientBuilder

    limit = timedelta(seconds=LIMIT)
    builder = ClientBuilder().timeout(limit).pool_timeout(limit).max_connections(pool)
    session = builder.pool_max_idle_per_host(pool).no_proxy().build()
    url = servers.url("/small")

    async def one() -> None:
        response = await session.get(url).build().send()
        check(response.status, await response.bytes())

    return one
