"""What the requests on one connection must not do to each other, in the rarer courses of things."""

from __future__ import annotations

import gc
import time
import warnings
from typing import Any

import pytest

from httpcore_core import (
    SyncByteStream,
    HTTP2Connection,
    NetworkStream,
    ByteStream,
    Origin,
    TimeoutException,
)
from httpcore_core._backends.sync import SyncBackend
from httpcore_core._concurrency import Event
from httpcore_core.testing.http_server import pattern
from tests._sync.http2 import LIMITS, SOON, Chunks, get, prior, send, until
from tests.concurrency import TaskGroup
from tests.http2_server import HTTP2Server, Link
from tests.protocol.http2_peer import OK


def test_an_upload_goes_on_while_its_response_is_read(settled: Any) -> None:
    """An early 200, a window that opens bit by bit, and an answer only when everything is there."""

    def script(link: Link) -> None:
        link.grants = False
        request = link.next_request()
        link.send(link.peer.headers(request.id, OK))
        granted = 65535
        while granted < 200_000:
            link.wait_for(lambda size=granted: len(link.peer.bodies[request.id]) >= size)
            more = link.peer.window_update(0, 20_000)
            link.send(link.peer.window_update(request.id, 20_000), more)
            granted += 20_000
        body = link.body(request.id)
        link.send(link.peer.data(request.id, b"%d" % len(body), end=True))

    length = (b"content-length", b"200000")
    with HTTP2Server(script) as server:
        with prior() as pool:
            content = ByteStream(bytes(200_000))
            response = send(pool, server.port, b"/", length, method=b"POST", content=content)
            assert response.stream.read() == b"200000"
            settled(pool)


def test_a_body_may_be_another_response_of_the_same_new_origin(settled: Any) -> None:
    """While it is asked for its first bytes nobody reads the server's SETTINGS for the others."""

    class Body(SyncByteStream):
        def __iter__(self) -> Any:
            return self._read()

        def _read(self) -> Any:
            url = f"{server.url}/bytes/1000"
            with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
                for chunk in response.stream:
                    yield bytes(chunk)

    with HTTP2Server() as server:
        with prior() as pool:
            extensions = {"timeout": LIMITS}
            url = f"{server.url}/echo"
            response = pool.request("POST", url, content=Body(), extensions=extensions)
            assert b'"length": 1000' in response.content
            settled(pool)
        assert len(server.connections) == 1


def test_n2_total_ends_an_upload_that_never_waits() -> None:
    class Slow(Chunks):
        def __next__(self) -> bytes:
            Event().wait(0.05)
            return b"x"

    with HTTP2Server() as server:
        with prior() as pool:
            started = time.monotonic()
            with pytest.raises(TimeoutException, match="total"):
                extensions = {"timeout": {"total": 0.3}}
                url = f"{server.url}/echo"
                pool.request("POST", url, content=Slow(), extensions=extensions)
            assert time.monotonic() - started < SOON


def test_n2_total_ends_a_download_that_never_waits() -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            extensions = {"timeout": {"total": 0.3}}
            with pytest.raises(TimeoutException, match="total"):
                url = f"{server.url}/endless"
                with pool.stream("GET", url, extensions=extensions) as response:
                    for _ in response.stream:
                        Event().wait(0.01)


@pytest.mark.parametrize("goaway", [False, True])
def test_p13_a_dropped_response_makes_room_for_another_origin(goaway: bool) -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        last = [link.peer.goaway(request.id)] if goaway else []
        link.send(link.peer.headers(request.id, OK), link.peer.data(request.id, b"x"), *last)

    with HTTP2Server(script) as server, HTTP2Server() as other:
        with prior(max_connections=1) as pool:
            response = send(pool, server.port, b"/")
            with TaskGroup() as group:
                job = group.start(get, pool, f"{other.url}/bytes/5")
                until(lambda: pool.stats().queued == 1)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    del response
                    gc.collect()
                assert job.result() == pattern(5)


def test_t10_an_answer_that_nobody_has_read_yet_is_a_sign_of_life() -> None:
    def script(link: Link) -> None:
        first = link.next_request()
        link.send(link.peer.headers(first.id, OK), link.peer.data(first.id, b"one "))
        link.next_request()
        link.wait_for(lambda: link.pings)
        link.send(link.peer.data(first.id, b"two", end=True))

    with HTTP2Server(script) as server:
        with prior(http2_ping_interval=0.1, http2_ping_timeout=0.2) as pool:
            response = send(pool, server.port, b"/")
            with pytest.raises(TimeoutException):
                get(pool, f"{server.url}/other", read=0.15)
            Event().wait(0.5)  # the caller is busy with what he has
            assert response.stream.read() == b"one two"


class ShyStream(NetworkStream):
    """Takes nothing for so many times: it may, while somebody else is reading."""

    def __init__(self, stream: NetworkStream) -> None:
        self._stream = stream
        self.refusals = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def write_nowait(self, buffer: bytes) -> int:
        return 0 if self.refusals else self._stream.write_nowait(buffer)

    def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        if self.refusals:
            self.refusals -= 1
            return 0
        return self._stream.write_until_readable(buffer, timeout)

    def close(self) -> None:
        self._stream.close()


@pytest.mark.parametrize("refusals", [1, 3])
def test_c42_a_writer_goes_on_where_the_peer_waits_for_what_is_left(refusals: int) -> None:
    """A reader that hears nothing must not hold up the write that the peer is waiting for."""

    def script(link: Link) -> None:
        first, second = link.next_request(), link.next_request()
        link.answer(second, b"second")
        link.answer(first, b"first")

    with HTTP2Server(script) as server:
        stream = ShyStream(SyncBackend().connect_tcp("127.0.0.1", server.port, 5.0))
        origin = Origin(b"http", b"127.0.0.1", server.port)
        with HTTP2Connection(origin, stream) as connection:
            with TaskGroup() as group:
                job = group.start(get, connection, server.url)
                until(lambda: len(server.heads) == 1)
                stream.refusals = refusals
                assert get(connection, server.url) == b"second"
                assert job.result() == b"first"
