"""Small requests, one at a time, in blocking code."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from ..servers import Servers
from . import BODY_SIZE, KEEPALIVE, LIMIT, LIMITS, check, ours, small_headers

One = Callable[[], None]


def core(servers: Servers, engine: str = "auto") -> One:
    import httpcore_core

    pool = ours(httpcore_core.ConnectionPool(keepalive_expiry=KEEPALIVE, http1_engine=engine))
    url = (b"http", servers.host.encode(), servers.port, b"/small")

    def one() -> None:
        status, _, stream, _ = pool.handle_request(
            b"GET",
            url,
            small_headers(servers.host, servers.port),
            httpcore_core.ByteStream(b""),
            {"timeout": LIMITS},
        )
        try:
            body = stream.read()
        finally:
            stream.close()
        check(status, body)

    return one


def client(servers: Servers) -> One:
    import httpclient

    session = httpclient.Client(timeout=LIMIT)
    # As it comes, with a pool that it makes itself: only its insides say which engine that has.
    transport: Any = session._transport
    ours(transport._pool)
    url = servers.url("/small")

    def one() -> None:
        response = session.get(url)
        check(response.status_code, response.content)

    return one


def _httpcore(servers: Servers, library: Any) -> One:
    """As httpx uses it: a request object from bytes, the body read, the response closed."""
    pool = library.ConnectionPool(keepalive_expiry=KEEPALIVE)
    host, port = servers.host.encode(), servers.port

    def one() -> None:
        request = library.Request(
            b"GET",
            library.URL(scheme=b"http", host=host, port=port, target=b"/small"),
            headers=small_headers(servers.host, port),
            extensions={"timeout": LIMITS},
        )
        response = pool.handle_request(request)
        try:
            body = response.read()
        finally:
            response.close()
        check(response.status, body)

    return one


def httpcore2(servers: Servers) -> One:
    import httpcore2

    return _httpcore(servers, httpcore2)


def httpcore(servers: Servers) -> One:
    import httpcore

    return _httpcore(servers, httpcore)


def pycurl(servers: Servers) -> One:
    """As a library on top of it does: everything is said anew for each request, the connection is
    kept, and the response's fields are taken apart. A handle that always asks the same costs a
    quarter less."""
    from io import BytesIO

    import pycurl

    curl = pycurl.Curl()
    url = servers.url("/small")

    def one() -> None:
        body = BytesIO()
        lines: list[bytes] = []
        curl.reset()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.TIMEOUT, int(LIMIT))
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.CUSTOMREQUEST, "GET")
        curl.setopt(pycurl.HTTPHEADER, ["Accept: */*", "User-Agent: benchmarks/1"])
        curl.setopt(pycurl.HEADERFUNCTION, lines.append)
        curl.setopt(pycurl.WRITEDATA, body)
        curl.perform()
        fields = [line.rstrip().split(b": ", 1) for line in lines[1:-1]]
        assert fields
        check(curl.getinfo(pycurl.RESPONSE_CODE), body.getvalue())

    return one


def pyreqwest(servers: Servers) -> One:
    from datetime import timedelta

    from pyreqwest.client import SyncClientBuilder

    session = SyncClientBuilder().timeout(timedelta(seconds=LIMIT)).no_proxy().build()
    url = servers.url("/small")

    def one() -> None:
        response = session.get(url).build().send()
        check(response.status, response.bytes())

    return one


def urllib3(servers: Servers) -> One:
    import urllib3

    pool = urllib3.PoolManager(timeout=LIMIT, retries=False)
    url = servers.url("/small")

    def one() -> None:
        response = pool.request("GET", url)
        check(response.status, response.data)

    return one


def h11_alone(servers: Servers) -> One:
    """The least that a client on h11 can do: no pool, no limits, no checks of its own."""
    import h11

    sock = socket.create_connection((servers.host, servers.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = h11.Connection(h11.CLIENT)

    def one() -> None:
        headers = small_headers(servers.host, servers.port)
        request = h11.Request(method=b"GET", target=b"/small", headers=headers)
        sock.sendall(
            (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")
        )
        status, chunks = 0, []
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(sock.recv(65536))
            elif isinstance(event, h11.Data):
                chunks.append(bytes(event.data))
            elif isinstance(event, h11.Response):
                status = event.status_code
            else:
                break
        connection.start_next_cycle()
        check(status, b"".join(chunks))

    return one


def bare_socket(servers: Servers) -> One:
    """The floor: the bytes of one request out, those of its response in, nothing understood."""
    sock = socket.create_connection((servers.host, servers.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fields = small_headers(servers.host, servers.port)
    lines = [b"GET /small HTTP/1.1", *(b"%b: %b" % field for field in fields), b"", b""]
    message = b"\r\n".join(lines)

    def one() -> None:
        sock.sendall(message)
        received = b""
        while b"\r\n\r\n" not in received:
            received += sock.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        while len(body) < BODY_SIZE:
            body += sock.recv(65536)
        check(int(head[9:12]), body)

    return one
