"""Every phase has its limit, and `total` is one deadline over all of them (N1, N2, D03, G01)."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from httpcore_core import (
    SyncByteStream,
    ConnectionPool,
    ConnectTimeout,
    PoolTimeout,
    ReadTimeout,
    TimeoutException,
    WriteTimeout,
)
from httpcore_core._concurrency import Event
from httpcore_core.testing.http_server import HTTPServer
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer

SOON = 10.0
"""Seconds within which a limit of a fraction of a second must show; generous for slow machines."""


@contextmanager
def blackhole() -> Iterator[int]:
    """A port of loopback that accepts no connection and refuses none: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def silent(peer: Peer) -> None:
    peer.read_request()
    peer.hang()


def dripping(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    peer.drip(bytes(1000), 0.02)


def dripping_head(peer: Peer) -> None:
    peer.read_request()
    peer.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000, 0.02)


def reading_nothing(peer: Peer) -> None:
    peer.read_head()
    peer.hang()


class Endless(SyncByteStream):
    """A body that never ends; nothing of it can be sent twice."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return bytes(100_000)


class Slow(SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        Event().wait(0.02)
        return b"x"


def fails(
    error: type[TimeoutException],
    url: str,
    limits: dict[str, float],
    *,
    pool: ConnectionPool | None = None,
    content: Any = None,
    method: str = "GET",
) -> TimeoutException:
    """The request fails with `error`, in time, and the pool is none the worse for it."""
    started = time.monotonic()
    with ConnectionPool(max_connections=1) as own_pool:
        used = pool or own_pool
        with pytest.raises(TimeoutException) as caught:
            used.request(method, url, content=content, extensions={"timeout": limits})
        assert used.stats().queued == used.stats().connecting == 0
        assert own_pool.stats().active == 0
    assert type(caught.value) is error, caught.value
    assert time.monotonic() - started < SOON
    assert caught.value.limit == next(iter(limits.values()))
    assert f"limit {caught.value.limit:g} s" in str(caught.value)
    assert str(caught.value).startswith(url[: url.index("/", 9)])
    return caught.value


@pytest.mark.parametrize("name", ["connect", "total"])
def test_connecting_takes_too_long(name: str) -> None:
    with blackhole() as port:
        exc = fails(ConnectTimeout, f"http://127.0.0.1:{port}/", {name: 0.1})
        assert exc.phase == "connect"


@pytest.mark.parametrize("name", ["connect", "total"])
def test_the_tls_handshake_takes_too_long(name: str, client_ssl_context: Any) -> None:
    with ScriptedServer(lambda peer: peer.hang()) as server:
        with ConnectionPool(ssl_context=client_ssl_context) as pool:
            url = f"https://127.0.0.1:{server.port}/"
            exc = fails(ConnectTimeout, url, {name: 0.1}, pool=pool)
            assert exc.phase == "tls"
            assert pool.connections == []


@pytest.mark.parametrize("name", ["read", "total"])
def test_no_answer(name: str) -> None:
    with ScriptedServer(silent) as server:
        exc = fails(ReadTimeout, f"{server.url}/", {name: 0.1})
        assert exc.phase == "receive headers"


@pytest.mark.parametrize("name", ["write", "total"])
def test_the_server_reads_nothing(name: str) -> None:
    with ScriptedServer(reading_nothing) as server:
        exc = fails(
            WriteTimeout, f"{server.url}/", {name: 0.2}, method="POST", content=Endless()
        )
        assert exc.phase == "send"
        fails(
            WriteTimeout, f"{server.url}/", {name: 0.2}, method="POST", content=bytes(30_000_000)
        )


@pytest.mark.parametrize("name", ["pool", "total"])
def test_no_connection_becomes_free(name: str) -> None:
    with HTTPServer() as server:
        with ConnectionPool(max_connections=1) as pool:
            with pool.stream("GET", f"{server.url}/bytes/1"):
                exc = fails(PoolTimeout, f"{server.url}/", {name: 0.1}, pool=pool)
                assert exc.phase == "pool"


@pytest.mark.parametrize("script", [dripping, dripping_head])
def test_n2_a_slow_drip_ends_at_the_total_deadline(script: Any) -> None:
    with ScriptedServer(script) as server:
        phase = "receive body" if script is dripping else "receive headers"
        exc = fails(ReadTimeout, f"{server.url}/", {"total": 0.3, "read": 0.2})
        assert exc.phase == phase
        assert "total" in str(exc)


def test_n2_a_slow_upload_ends_at_the_total_deadline() -> None:
    with ScriptedServer(lambda peer: peer.wait_for_end()) as server:
        exc = fails(
            WriteTimeout, f"{server.url}/", {"total": 0.3}, method="POST", content=Slow()
        )
        assert exc.phase == "send"


def test_n2_retries_end_at_the_total_deadline() -> None:
    from httpcore_core import ConnectError

    started = time.monotonic()
    with ConnectionPool(retries=100) as pool:
        with pytest.raises(ConnectError):
            timeout = {"total": 0.4}
            pool.request("GET", "http://127.0.0.1:9/", extensions={"timeout": timeout})
    assert time.monotonic() - started < SOON


def test_a_read_limit_counts_from_the_last_byte() -> None:
    with HTTPServer() as server:
        with ConnectionPool() as pool:
            url = f"{server.url}/drip/30"
            response = pool.request("GET", url, extensions={"timeout": {"read": 5.0}})
            assert len(response.content) == 30


def test_infinite_and_missing_limits_are_none() -> None:
    with HTTPServer() as server:
        with ConnectionPool() as pool:
            limits = {"read": float("inf"), "connect": None, "total": 1e9, "pool": 60}
            pool.request("GET", f"{server.url}/echo", extensions={"timeout": limits})


def test_a_connection_that_timed_out_is_not_used_again() -> None:
    with ScriptedServer(silent) as server:
        with ConnectionPool(max_connections=1) as pool:
            for _ in range(2):
                fails(ReadTimeout, f"{server.url}/", {"read": 0.05}, pool=pool)
                assert pool.connections == []
        assert len(server.connections) == 2


def test_a_tls_context_that_cannot_verify(server_ssl_context: ssl.SSLContext) -> None:
    from httpcore_core import ConnectError

    with HTTPServer(ssl_context=server_ssl_context) as server:
        with ConnectionPool() as pool:
            with pytest.raises(ConnectError, match="certificate") as caught:
                pool.request("GET", f"{server.url}/")
            assert caught.value.__cause__ is not None
            assert pool.stats().active == 0
