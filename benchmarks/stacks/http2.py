"""HTTP/2 over TLS: small requests one at a time and many at once on one connection, and downloads
of 100 MB."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from ..servers import Servers
from . import KEEPALIVE, LIMITS, TRANSFER_SIZE, check, ours, small_headers, tls_context

One = Callable[[], None]
AsyncOne = Callable[[], Awaitable[None]]


def _context(servers: Servers) -> ssl.SSLContext:
    context: ssl.SSLContext = tls_context(servers)
    context.set_alpn_protocols(["h2"])
    return context


def _url(servers: Servers, path: bytes) -> tuple[bytes, bytes, int, bytes]:
    return (b"https", servers.host.encode(), servers.http2_port, path)


def core(servers: Servers) -> One:
    import httpcore_core

    context = _context(servers)
    pool = ours(
        httpcore_core.ConnectionPool(ssl_context=context, keepalive_expiry=KEEPALIVE, http2=True)
    )
    url = _url(servers, b"/small")

    def one() -> None:
        status, _, stream, _ = pool.handle_request(
            b"GET",
            url,
            small_headers(servers.host, servers.http2_port),
            httpcore_core.ByteStream(b""),
            {"timeout": LIMITS},
        )
        try:
            body = stream.read()
        finally:
            stream.close()
        check(status, body)

    return one


def h2_alone(servers: Servers) -> One:
    """The floor: `h2` as it comes, fields as bytes, on a TLS socket."""
    request = _H2(servers)

    def one() -> None:
        body = b"".join(request.get(b"/small"))
        check(request.status, body)

    return one


class _H2:
    """One connection of `h2` on a blocking socket."""

    def __init__(self, servers: Servers) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        sock = socket.create_connection((servers.host, servers.http2_port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = _context(servers).wrap_socket(sock, server_hostname=servers.host)
        self._authority = f"{servers.host}:{servers.http2_port}".encode()
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.initiate_connection()
        self.status = 0

    def get(self, path: bytes) -> Iterator[bytes]:
        from h2.events import DataReceived, ResponseReceived, StreamEnded

        h2 = self._h2
        number = h2.get_next_available_stream_id()
        fields = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", self._authority),
            (b":path", path),
            (b"accept", b"*/*"),
            (b"user-agent", b"benchmarks/1"),
        ]
        h2.send_headers(number, fields, end_stream=True)
        ended = False
        while not ended:
            self._sock.sendall(h2.data_to_send())
            for event in h2.receive_data(self._sock.recv(65536)):
                if isinstance(event, ResponseReceived):
                    self.status = int(dict(event.headers)[b":status"])
                elif isinstance(event, DataReceived):
                    yield event.data
                    h2.acknowledge_received_data(event.flow_controlled_length, number)
                elif isinstance(event, StreamEnded):
                    ended = True


async def async_core(servers: Servers, pool: int) -> AsyncOne:
    import httpcore_core

    connections = ours(
        httpcore_core.AsyncConnectionPool(
            ssl_context=_context(servers),
            max_connections=pool,
            keepalive_expiry=KEEPALIVE,
            http2=True,
        )
    )
    url = _url(servers, b"/small")

    async def one() -> None:
        status, _, stream, _ = await connections.handle_async_request(
            b"GET",
            url,
            small_headers(servers.host, servers.http2_port),
            httpcore_core.ByteStream(b""),
            {"timeout": LIMITS},
        )
        try:
            body = await stream.aread()
        finally:
            await stream.aclose()
        check(status, body)

    return one


def _httpcore2_pool(servers: Servers, kind: str, pool: int = 10) -> Any:
    import httpcore2

    return getattr(httpcore2, kind)(
        ssl_context=_context(servers),
        max_connections=pool,
        max_keepalive_connections=pool,
        keepalive_expiry=KEEPALIVE,
        http1=False,
        http2=True,
    )


def _httpcore2_request(servers: Servers, path: bytes) -> Any:
    import httpcore2

    host, port = servers.host, servers.http2_port
    return httpcore2.Request(
        b"GET",
        httpcore2.URL(scheme=b"https", host=host.encode(), port=port, target=path),
        headers=small_headers(host, port),
        extensions={"timeout": LIMITS},
    )


async def async_httpcore2(servers: Servers, pool: int) -> AsyncOne:
    connections = _httpcore2_pool(servers, "AsyncConnectionPool", pool)

    async def one() -> None:
        response = await connections.handle_async_request(_httpcore2_request(servers, b"/small"))
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        check(response.status, body)

    return one


def httpcore2(servers: Servers) -> One:
    connections = _httpcore2_pool(servers, "ConnectionPool")

    def one() -> None:
        response = connections.handle_request(_httpcore2_request(servers, b"/small"))
        try:
            body = response.read()
        finally:
            response.close()
        check(response.status, body)

    return one


def _check_size(size: int) -> None:
    if size != TRANSFER_SIZE:
        raise RuntimeError(f"{size} bytes came, not {TRANSFER_SIZE}")


def download_core(servers: Servers) -> One:
    import httpcore_core

    context = _context(servers)
    pool = ours(
        httpcore_core.ConnectionPool(ssl_context=context, keepalive_expiry=KEEPALIVE, http2=True)
    )
    url = _url(servers, b"/large")

    def one() -> None:
        _, _, stream, _ = pool.handle_request(
            b"GET",
            url,
            small_headers(servers.host, servers.http2_port),
            httpcore_core.ByteStream(b""),
            {"timeout": LIMITS},
        )
        try:
            _check_size(sum(map(len, stream)))
        finally:
            stream.close()

    return one


def download_httpcore2(servers: Servers) -> One:
    connections = _httpcore2_pool(servers, "ConnectionPool")

    def one() -> None:
        response = connections.handle_request(_httpcore2_request(servers, b"/large"))
        try:
            _check_size(sum(map(len, response.iter_stream())))
        finally:
            response.close()

    return one


async def async_download_core(servers: Servers) -> AsyncOne:
    import httpcore_core

    pool = ours(
        httpcore_core.AsyncConnectionPool(
            ssl_context=_context(servers), keepalive_expiry=KEEPALIVE, http2=True
        )
    )
    url = _url(servers, b"/large")

    async def one() -> None:
        _, _, stream, _ = await pool.handle_async_request(
            b"GET",
            url,
            small_headers(servers.host, servers.http2_port),
            httpcore_core.ByteStream(b""),
            {"timeout": LIMITS},
        )
        try:
            size = 0
            async for chunk in stream:
                size += len(chunk)
        finally:
            await stream.aclose()
        _check_size(size)

    return one


async def async_download_httpcore2(servers: Servers) -> AsyncOne:
    connections = _httpcore2_pool(servers, "AsyncConnectionPool")

    async def one() -> None:
        response = await connections.handle_async_request(_httpcore2_request(servers, b"/large"))
        try:
            size = 0
            async for chunk in response.aiter_stream():
                size += len(chunk)
        finally:
            await response.aclose()
        _check_size(size)

    return one
