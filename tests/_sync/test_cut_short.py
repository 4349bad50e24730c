"""A body that was closed, or that failed, never passes for a whole one afterwards (N6, H3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from httpcore_core import ConnectionPool, ReadError, ReadTimeout, Response
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests._sync.http2 import prior
from tests.http2_server import HTTP2Server, Link
from tests.protocol.http2_peer import OK


def half(peer: Peer) -> None:
    """Two bytes of four, and no more."""
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
    peer.wait_for_end()


def half_in_frames(link: Link) -> None:
    request = link.next_request()
    link.send(link.peer.headers(request.id, OK), link.peer.data(request.id, b"ab"))
    link.wait_for_end()


@pytest.fixture(params=["http11", "http2"])
def half_served(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The protocol and the URL of a server that sends half a body."""
    server: Any = ScriptedServer(half) if request.param == "http11" else HTTP2Server(half_in_frames)
    with server:
        yield request.param, server.url


@pytest.fixture
def traced(request: pytest.FixtureRequest) -> dict[str, Any]:
    def trace(name: str, info: Any) -> None: ...

    return {"trace": trace}


def pool_for(protocol: str) -> ConnectionPool:
    return prior() if protocol == "http2" else ConnectionPool()


def fails(response: Response) -> None:
    """However it is read, and as often as one likes."""
    for _ in range(2):
        with pytest.raises(ReadError, match="not read to its end") as raised:
            response.stream.__iter__().__next__()
        assert raised.value.phase == "receive body"
        with pytest.raises(ReadError, match="not read to its end"):
            response.stream.read()


@pytest.mark.parametrize("is_traced", [False, True])
def test_n6_closed_between_two_pieces(
    half_served: tuple[str, str], is_traced: bool, traced: dict[str, Any], settled: Any
) -> None:
    protocol, url = half_served
    extensions = traced if is_traced else {}
    with pool_for(protocol) as pool:
        with pool.stream("GET", url, extensions=extensions) as response:
            body = response.stream.__iter__()
            assert body.__next__() == b"ab"
            response.stream.close()
            with pytest.raises(ReadError, match="not read to its end"):
                body.__next__()
            fails(response)
        settled(pool)


def test_n6_closed_before_anything_was_read(half_served: tuple[str, str]) -> None:
    protocol, url = half_served
    with pool_for(protocol) as pool:
        with pool.stream("GET", url) as response:
            pass
        fails(response)


@pytest.mark.parametrize("how", ["read", "iterate"])
def test_n6_after_a_timeout(half_served: tuple[str, str], how: str, settled: Any) -> None:
    protocol, url = half_served
    extensions = {"timeout": {"read": 0.1}}
    with pool_for(protocol) as pool:
        with pool.stream("GET", url, extensions=extensions) as response:
            with pytest.raises(ReadTimeout):
                if how == "read":
                    response.stream.read()
                else:
                    for piece in response.stream:
                        assert piece == b"ab"
            fails(response)
        settled(pool)


@pytest.mark.parametrize("how", ["read", "iterate"])
def test_a_whole_body_stays_whole(how: str) -> None:
    def whole(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
        peer.wait_for_end()

    with ScriptedServer(whole) as server:
        with ConnectionPool() as pool:
            with pool.stream("GET", server.url) as response:
                if how == "read":
                    assert response.stream.read() == b"ab"
                else:
                    assert [piece for piece in response.stream] == [b"ab"]
                response.stream.close()
                assert response.stream.read() == b""
                assert [piece for piece in response.stream] == []
