"""Streams as tunnels: CONNECT, extended CONNECT (RFC 8441), and `network_stream` (T13)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    LocalProtocolError,
    NetworkError,
    ReadTimeout,
    RemoteProtocolError,
    TransportError,
    WriteTimeout,
)
from httpcore_core.testing.http_server import pattern
from tests._sync.http2 import SOON, get, h2_context, prior, send, until
from tests.concurrency import TaskGroup
from tests.http2_server import ENABLE_CONNECT_PROTOCOL, INITIAL_WINDOW_SIZE, HTTP2Server, Link
from tests.protocol.http2_peer import INTERNAL_ERROR, OK

SETTINGS = {ENABLE_CONNECT_PROTOCOL: 1}


def connect(pool: ConnectionPool, port: int, scheme: bytes = b"http") -> Any:
    """An extended CONNECT for /chat. A server must have said first that it takes it."""
    return send(pool, port, b"/chat", method=b"CONNECT", scheme=scheme, protocol=b"websocket")


def read_exactly(stream: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data), timeout=SOON)
        assert piece
        data += piece
    return data


def echo(link: Link) -> None:
    """Accepts tunnels, of which it echoes all bytes; answers everything else."""
    seen: dict[int, int] = {}
    while True:
        link.step()
        while link.has_request():
            request = link.next_request()
            if request.method == b"CONNECT":
                seen[request.id] = 0
                link.send(link.peer.headers(request.id, OK))
            else:
                link.answer(request, request.path)
        for number in list(seen):
            body = link.peer.bodies[number]
            if number in link.resets:
                del seen[number]
                continue
            if len(body) > seen[number]:
                new = bytes(body[seen[number] :])
                seen[number] = len(body)
                link.send_body(number, new, end=False)
            if number in link.peer.ended:
                link.send(link.peer.data(number, b"", end=True))
                del seen[number]


@pytest.mark.parametrize("tls", [False, True])
def test_t13_extended_connect_carries_bytes_both_ways(
    tls: bool, certificates: Any, settled: Any
) -> None:
    context = certificates.server_context(alpn=["h2"]) if tls else None
    with HTTP2Server(echo, settings=SETTINGS, ssl_context=context) as server:
        pool = (
            ConnectionPool(http2=True, ssl_context=h2_context(certificates))
            if tls
            else prior()
        )
        with pool:
            assert get(pool, f"{server.url}/first") == b"/first"
            response = connect(pool, server.port, b"https" if tls else b"http")
            assert response.status == 200
            stream = response.extensions["network_stream"]
            for message in (b"hello", b"x" * 100_000, b"!"):
                stream.write(message, timeout=SOON)
                assert read_exactly(stream, len(message)) == message
            assert get(pool, f"{server.url}/meanwhile") == b"/meanwhile"
            assert pool.stats().active == 1
            stream.close()
            response.stream.close()
            settled(pool)
            assert get(pool, f"{server.url}/next") == b"/next"
            link = server.links[0]
            until(lambda: link.open_streams == 0)
        assert len(server.connections) == 1
        headers = link.requests[1].headers
        assert dict(headers)[b":path"] == b"/chat"
        assert dict(headers)[b":scheme"] == (b"https" if tls else b"http")
        assert dict(headers)[b":protocol"] == b"websocket"
        assert dict(headers)[b":authority"] == b"127.0.0.1:%d" % server.port
        assert b"content-length" not in dict(headers)


def test_t13_closing_only_the_response_ends_the_tunnel(settled: Any) -> None:
    with HTTP2Server(echo, settings=SETTINGS) as server:
        with prior(max_connections=1) as pool:
            get(pool, server.url)
            for _ in range(3):
                response = connect(pool, server.port)
                response.stream.close()
                settled(pool)
            until(lambda: server.links[0].open_streams == 0)
            assert get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


def test_t13_an_extended_connect_as_the_first_request() -> None:
    """It may not be sent before the server's SETTINGS have said that it may."""
    with HTTP2Server(echo, settings=SETTINGS) as server:
        with prior() as pool:
            response = connect(pool, server.port)
            stream = response.extensions["network_stream"]
            stream.write(b"hello")
            assert read_exactly(stream, 5) == b"hello"
            stream.close()
            response.stream.close()


def test_t13_a_server_without_extended_connect(settled: Any) -> None:
    with HTTP2Server(echo) as server:
        with prior() as pool:
            for _ in range(2):
                with pytest.raises(LocalProtocolError):
                    connect(pool, server.port)
                settled(pool)
                assert get(pool, f"{server.url}/next") == b"/next"
        assert all(request.method != b"CONNECT" for request in server.heads)


def test_t13_a_tunnel_that_is_refused_is_a_plain_response(settled: Any) -> None:
    def script(link: Link) -> None:
        link.answer(link.next_request(), b"first")
        request = link.next_request()
        link.send(link.peer.headers(request.id, (b":status", b"403")))
        link.send(link.peer.data(request.id, b"forbidden", end=True))
        link.answer_all()

    with HTTP2Server(script, settings=SETTINGS) as server:
        with prior() as pool:
            get(pool, server.url)
            response = connect(pool, server.port)
            assert response.status == 403
            assert response.stream.read() == b"forbidden"
            settled(pool)
            assert get(pool, f"{server.url}/next") == b"/next"


def test_t13_the_servers_end_and_its_reset() -> None:
    def script(link: Link) -> None:
        link.answer(link.next_request(), b"first")
        ending = link.next_request()
        link.send(link.peer.headers(ending.id, OK), link.peer.data(ending.id, b"bye", end=True))
        resetting = link.next_request()
        link.send(link.peer.headers(resetting.id, OK), link.peer.data(resetting.id, b"bye"))
        link.wait_for(read)
        link.send(link.peer.reset(resetting.id, INTERNAL_ERROR))
        link.answer_all()

    read = threading.Event()
    with HTTP2Server(script, settings=SETTINGS) as server:
        with prior() as pool:
            get(pool, server.url)
            response = connect(pool, server.port)
            stream = response.extensions["network_stream"]
            assert read_exactly(stream, 3) == b"bye"
            assert stream.read(100, timeout=SOON) == b""
            stream.close()
            response.stream.close()
            response = connect(pool, server.port)
            stream = response.extensions["network_stream"]
            assert read_exactly(stream, 3) == b"bye"
            read.set()
            with pytest.raises((RemoteProtocolError, NetworkError)):
                stream.read(100, timeout=SOON)
            with pytest.raises(TransportError):
                stream.write(b"x" * 100, timeout=SOON)
            stream.close()
            response.stream.close()
            assert get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


def test_t13_the_limits_of_time_of_a_tunnel() -> None:
    def script(link: Link) -> None:
        link.grants = False
        link.answer(link.next_request(), b"first")
        request = link.next_request()
        link.send(link.peer.headers(request.id, OK))
        link.wait_for(timed_out)
        link.send(link.peer.data(request.id, b"late"))
        link.answer_all()

    timed_out = threading.Event()
    settings = {**SETTINGS, INITIAL_WINDOW_SIZE: 1000}
    with HTTP2Server(script, settings=settings) as server:
        with prior() as pool:
            get(pool, server.url)
            response = connect(pool, server.port)
            stream = response.extensions["network_stream"]
            with pytest.raises(ReadTimeout):
                stream.read(100, timeout=0.05)
            timed_out.set()
            assert read_exactly(stream, 4) == b"late"
            with pytest.raises(WriteTimeout):
                stream.write(bytes(5000), timeout=0.1)
            stream.close()
            response.stream.close()
            assert get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


def test_t13_tunnels_are_exact_and_share_the_connection() -> None:
    def talk(pool: ConnectionPool, seed: int) -> None:
        response = connect(pool, server.port)
        stream = response.extensions["network_stream"]
        data = pattern(300_000 + seed)
        for at in range(0, len(data), 40_000):
            stream.write(data[at : at + 40_000], timeout=SOON)
            piece = data[at : at + 40_000]
            assert read_exactly(stream, len(piece)) == piece
        stream.close()
        response.stream.close()

    with HTTP2Server(echo, settings=SETTINGS) as server:
        with prior(max_connections=1) as pool:
            get(pool, server.url)
            with TaskGroup() as group:
                for seed in range(8):
                    group.start(talk, pool, seed)
        assert len(server.connections) == 1


def test_t13_a_plain_connect() -> None:
    with HTTP2Server(echo) as server:
        with prior() as pool:
            response = send(pool, server.port, b"example.com:443", method=b"CONNECT")
            assert response.status == 200
            stream = response.extensions["network_stream"]
            stream.write(b"hello")
            assert read_exactly(stream, 5) == b"hello"
            stream.close()
            response.stream.close()
            assert get(pool, f"{server.url}/next") == b"/next"
        headers = dict(server.heads[0].headers)
        assert (headers[b":method"], headers[b":authority"]) == (b"CONNECT", b"example.com:443")
        assert b":path" not in headers
        assert b":scheme" not in headers


def test_t13_the_network_stream_of_a_response_is_never_the_shared_socket() -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            with pool.stream("GET", f"{server.url}/bytes/300000") as response:
                stream = response.extensions["network_stream"]
                with pytest.raises(TransportError):
                    stream.write(b"these bytes are no frame", timeout=1.0)
                get(pool, f"{server.url}/bytes/5")
            stream.close()  # too late to harm anything
            assert get(pool, f"{server.url}/bytes/5") == pattern(5)
        assert len(server.connections) == 1
        assert not server.links[0].torn
