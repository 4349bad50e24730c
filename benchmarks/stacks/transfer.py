"""Bodies of 100 MB, whose pieces are counted and dropped."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

from ..servers import Servers
from . import KEEPALIVE, LIMIT, LIMITS, TRANSFER_SIZE, host_field, ours, tls_context

One = Callable[[], None]
AsyncOne = Callable[[], Awaitable[None]]

RECEIVE_SIZE = 256 * 1024
"""What the bare socket asks for: as much as ours does in the middle of a long body."""


def _check_size(size: int) -> None:
    if size != TRANSFER_SIZE:
        raise RuntimeError(f"{size} bytes came, not {TRANSFER_SIZE}")


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """A response's head, and what came with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(RECEIVE_SIZE)
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def download_bare(servers: Servers) -> One:
    sock = socket.create_connection((servers.host, servers.port))

    def one() -> None:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: %b\r\n\r\n" % servers.host.encode())
        size = len(_read_head(sock)[1])
        while size < TRANSFER_SIZE:
            size += len(sock.recv(RECEIVE_SIZE))
        _check_size(size)

    return one


def download_core(servers: Servers) -> One:
    import httpcore_core

    pool = ours(httpcore_core.ConnectionPool(keepalive_expiry=KEEPALIVE))
    url = (b"http", servers.host.encode(), servers.port, b"/large")
    headers = [host_field(servers.host, servers.port)]

    def one() -> None:
        _, _, stream, _ = pool.handle_request(
            b"GET", url, headers, httpcore_core.ByteStream(b""), {"timeout": LIMITS}
        )
        try:
            _check_size(sum(map(len, stream)))
        finally:
            stream.close()

    return one


async def download_core_tls(servers: Servers) -> AsyncOne:
    import httpcore_core

    pool = ours(
        httpcore_core.AsyncConnectionPool(
            ssl_context=tls_context(servers), keepalive_expiry=KEEPALIVE
        )
    )
    url = (b"https", servers.host.encode(), servers.tls_port, b"/large")
    headers = [host_field(servers.host, servers.tls_port)]

    async def one() -> None:
        _, _, stream, _ = await pool.handle_async_request(
            b"GET", url, headers, httpcore_core.ByteStream(b""), {"timeout": LIMITS}
        )
        try:
            size = 0
            async for chunk in stream:
                size += len(chunk)
        finally:
            await stream.aclose()
        _check_size(size)

    return one


async def download_aiohttp_tls(servers: Servers) -> AsyncOne:
    import aiohttp

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls_context(servers), keepalive_timeout=KEEPALIVE),
        timeout=aiohttp.ClientTimeout(sock_read=LIMIT, sock_connect=LIMIT),
    )
    url = servers.tls_url("/large")

    async def one() -> None:
        async with session.get(url) as response:
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
        _check_size(size)

    return one


def upload_bare(servers: Servers) -> One:
    sock = socket.create_connection((servers.host, servers.upload_port))
    body = bytes(TRANSFER_SIZE)
    lines = f"PUT / HTTP/1.1\r\nHost: {servers.host}\r\nContent-Length: {len(body)}\r\n\r\n"
    head = lines.encode()

    def one() -> None:
        sock.sendall(head)
        sock.sendall(body)
        if b" 200 " not in _read_head(sock)[0]:
            raise RuntimeError("the upload failed")

    return one


def upload_core(servers: Servers) -> One:
    import httpcore_core

    pool = ours(httpcore_core.ConnectionPool(keepalive_expiry=KEEPALIVE))
    url = (b"http", servers.host.encode(), servers.upload_port, b"/")
    headers = [host_field(servers.host, servers.upload_port)]
    body = httpcore_core.ByteStream(bytes(TRANSFER_SIZE))

    def one() -> None:
        status, _, stream, _ = pool.handle_request(b"PUT", url, headers, body, {"timeout": LIMITS})
        stream.close()
        if status != 200:
            raise RuntimeError("the upload failed")

    return one
