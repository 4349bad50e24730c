"""Responses that end before their end, and what that costs the others: nothing (T1, T2, T5)."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    ReadError,
    RemoteProtocolError,
    TransportError,
)
from httpcore_core._concurrency import Event
from httpcore_core.testing.http_server import pattern
from tests._sync.http2 import (
    SOON,
    Chunks,
    Endless,
    get,
    h2_context,
    post,
    prior,
    send,
    until,
)
from tests.concurrency import TaskGroup
from tests.http2_server import INITIAL_WINDOW_SIZE, HTTP2Server, Link, Request
from tests.protocol.http2_peer import (
    CANCEL,
    HTTP_1_1_REQUIRED,
    INTERNAL_ERROR,
    NO_ERROR,
    OK,
)


def test_t1_c29_two_hundred_early_closes_reset_their_streams(settled: Any) -> None:
    with HTTP2Server() as server:
        with prior(max_connections=1) as pool:
            for _ in range(200):
                with pool.stream("GET", f"{server.url}/endless") as response:
                    assert response.status == 200
            settled(pool)
            link = server.links[0]
            until(lambda: len(link.resets) == 200)
            assert set(link.resets.values()) == {CANCEL}
            assert get(pool, f"{server.url}/bytes/5", pool=1.0) == pattern(5)
            until(lambda: link.open_streams == 0)
        assert len(server.connections) == 1


def test_t1_closing_before_the_body_has_begun() -> None:
    """A head and nothing more; then a whole short body that nobody reads."""

    def script(link: Link) -> None:
        head_only = link.next_request()
        link.send(link.peer.headers(head_only.id, OK))
        assert link.reset_of(head_only.id) == CANCEL
        link.answer_all()

    with HTTP2Server(script) as server:
        with prior() as pool:
            with pool.stream("GET", server.url):
                pass
            for _ in range(3):
                with pool.stream("GET", f"{server.url}/whole"):
                    pass
            assert get(pool, f"{server.url}/last") == b"/last"
        assert len(server.connections) == 1


def test_t2_c30_fifty_abandoned_bodies_leave_the_window_whole() -> None:
    whole = 1 << 20
    with HTTP2Server() as server:
        with prior(http2_stream_window=1 << 18, http2_connection_window=whole) as pool:
            for turn in range(50):
                with pool.stream("GET", f"{server.url}/bytes/4000000") as response:
                    if turn % 2:
                        for _ in response.stream:
                            break
            assert get(pool, f"{server.url}/bytes/4000000") == pattern(4_000_000)
            link = server.links[0]
            # What has been granted again is all but the last part, at most a half of it.
            until(lambda: link.window >= whole // 2)
        assert len(server.connections) == 1


def test_c30_padding_counts_and_is_granted_again() -> None:
    def script(link: Link) -> None:
        for _ in range(20):
            request = link.next_request()
            link.send(link.peer.headers(request.id, OK))
            for _ in range(40):
                size = 256
                link.wait_for(lambda: link.room(request.id) >= size)  # noqa: B023
                link.send(link.peer.data(request.id, b"x", pad=254), flush=False)
            link.send(link.peer.data(request.id, b"", end=True))

    with HTTP2Server(script) as server:
        with prior(http2_stream_window=2000, http2_connection_window=65535) as pool:
            for _ in range(20):
                assert get(pool, server.url) == b"x" * 40
        assert len(server.connections) == 1


@pytest.mark.parametrize("content", ["in memory", "from an iterator"])
@pytest.mark.parametrize("says", ["no error", "nothing"])
def test_t5_c28_an_early_answer_to_an_upload_is_a_success(content: str, says: str) -> None:
    """The window is closed; the answer comes at once, and so does the end of the upload."""

    def script(link: Link) -> None:
        request = link.next_request()
        peer = link.peer
        link.send(
            peer.headers(request.id, (b":status", b"413")),
            peer.data(request.id, b"too large", end=True),
            peer.reset(request.id, NO_ERROR) if says == "no error" else b"",
        )
        if says == "nothing":
            link.wait_for(lambda: request.id in link.resets or request.id in peer.ended)
        link.answer_all()

    with HTTP2Server(script, settings={INITIAL_WINDOW_SIZE: 1000}) as server:
        with prior(max_connections=1) as pool:
            started = time.monotonic()
            body: Any = bytes(1_000_000) if content == "in memory" else Endless()
            response = post(pool, server.url, body)
            assert (response.status, response.content) == (413, b"too large")
            assert time.monotonic() - started < SOON
            assert get(pool, f"{server.url}/next") == b"/next"
            response = post(pool, f"{server.url}/upload", b"again")
            assert response.content == b"/upload"
        assert len(server.connections) == 1


def test_t5_an_early_answer_in_parts() -> None:
    """The head first, the body when it has been seen, the reset after both."""
    seen = threading.Event()

    def script(link: Link) -> None:
        request = link.next_request()
        link.send(link.peer.headers(request.id, (b":status", b"413")))
        link.wait_for(seen)
        link.send(link.peer.data(request.id, b"too large", end=True))
        link.send(link.peer.reset(request.id, NO_ERROR))
        link.answer_all()

    with HTTP2Server(script) as server:
        with prior() as pool:
            with pool.stream("POST", server.url, content=Endless()) as response:
                assert response.status == 413
                seen.set()
                assert response.stream.read() == b"too large"
            assert get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


@pytest.mark.parametrize("code", [INTERNAL_ERROR, CANCEL, 99])
@pytest.mark.parametrize("after_head", [False, True])
def test_c27_a_reset_stream_fails_alone(code: int, after_head: bool, settled: Any) -> None:
    def script(link: Link) -> None:
        other = link.next_request()
        request = link.next_request()
        if after_head:
            link.send(link.peer.headers(request.id, OK), link.peer.data(request.id, b"abc"))
        link.send(link.peer.reset(request.id, code))
        link.answer(other, b"other")
        link.answer_all()

    with HTTP2Server(script) as server:
        with prior() as pool:
            with TaskGroup() as group:
                other = group.start(get, pool, server.url)
                until(lambda: server.heads)
                with pytest.raises(RemoteProtocolError, match="reset"):
                    post(pool, server.url)
                assert other.result() == b"other"
            settled(pool)
            assert get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


def test_c27_http_1_1_required_is_retried_over_http1(certificates: Any) -> None:
    def script(link: Link) -> None:
        while True:
            link.send(link.peer.reset(link.next_request().id, HTTP_1_1_REQUIRED))

    contexts = [
        certificates.server_context(alpn=["h2", "http/1.1"]),
        certificates.server_context(alpn=["http/1.1"]),
    ]
    with HTTP2Server(script, ssl_context=contexts) as server:
        with ConnectionPool(http2=True, ssl_context=h2_context(certificates)) as pool:
            for content in (b"", b"in memory"):
                response = post(pool, server.url, content)
                assert response.content == b"HTTP/1.1"
                assert response.extensions["http_version"] == b"HTTP/1.1"
        assert server.http2_connections == 1


def test_c27_http_1_1_required_where_there_is_no_http1(settled: Any) -> None:
    def script(link: Link) -> None:
        link.send(link.peer.reset(link.next_request().id, HTTP_1_1_REQUIRED))
        link.answer_all()

    with HTTP2Server(script) as server:
        with prior() as pool:
            with pytest.raises(RemoteProtocolError, match="HTTP_1_1_REQUIRED"):
                post(pool, server.url)
            settled(pool)
            assert get(pool, f"{server.url}/next") == b"/next"


def test_d07_breaking_out_of_a_body_is_clean(settled: Any) -> None:
    with HTTP2Server() as server:
        with prior(max_connections=1) as pool:
            for _ in range(3):
                with pool.stream("GET", f"{server.url}/endless") as response:
                    for _ in response.stream:
                        break
                settled(pool)
            until(lambda: list(server.links[0].resets.values()) == [CANCEL] * 3)
        assert len(server.connections) == 1


def test_d07_a_response_closed_while_another_task_reads_it(settled: Any) -> None:
    def read(stream: Any) -> None:
        with pytest.raises(ReadError):
            stream.read()
        failed.set()

    def script(link: Link) -> None:
        request = link.next_request()
        link.send(link.peer.headers(request.id, OK), link.peer.data(request.id, b"abc"))
        link.answer_all()

    failed = threading.Event()
    with HTTP2Server(script) as server:
        with prior() as pool:
            with pool.stream("GET", server.url) as response:
                with TaskGroup() as group:
                    job = group.start(read, response.stream)
                    Event().wait(0.02)
                    response.stream.close()
                    job.result()
            assert failed.is_set()
            settled(pool)
            assert get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


@pytest.mark.parametrize("before", [0, 1, 3])
def test_d09_the_bodys_own_exception_comes_out_and_resets_the_stream(
    before: int, settled: Any
) -> None:
    with HTTP2Server() as server:
        with prior(max_connections=1) as pool:
            assert get(pool, f"{server.url}/bytes/1") == pattern(1)
            body = Chunks(*[b"chunk"] * before, ZeroDivisionError("mine"))
            with pytest.raises(ZeroDivisionError, match="mine"):
                post(pool, f"{server.url}/echo", body)
            settled(pool)
            assert get(pool, f"{server.url}/bytes/2") == pattern(2)
            link = server.links[0]
            until(lambda: link.open_streams == 0)
        assert len(server.connections) == 1
        assert not [
            head for head in link.requests if head.method == b"POST" and is_whole(link, head)
        ]


def is_whole(link: Link, request: Request) -> bool:
    return request.id in link.peer.ended


def test_p13_d08_a_dropped_response_is_reclaimed(settled: Any) -> None:
    with HTTP2Server() as server:
        with prior(max_connections=1, http2_max_concurrent_streams=1) as pool:
            for _ in range(3):
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    response = send(pool, server.port, b"/endless")
                    del response
                    gc.collect()
                assert any(w.category is ResourceWarning for w in caught)
                assert pool.stats().active == 0
            assert get(pool, f"{server.url}/bytes/10", pool=5.0) == pattern(10)
            settled(pool)
        for link in server.links:
            until(lambda link=link: link.open_streams == 0 or link.ended)


def test_p13_a_dropped_response_wakes_who_waits_for_its_stream() -> None:
    with HTTP2Server() as server:
        with prior(max_connections=1, http2_max_concurrent_streams=1) as pool:
            response = send(pool, server.port, b"/endless")
            with TaskGroup() as group:
                job = group.start(get, pool, f"{server.url}/bytes/10")
                until(lambda: pool.stats().queued == 1)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    del response
                    gc.collect()
                assert job.result() == pattern(10)


def test_p13_dropped_responses_do_not_touch_the_others() -> None:
    with HTTP2Server() as server:
        with prior(max_connections=1) as pool:
            with pool.stream("GET", f"{server.url}/bytes/3000000") as kept:
                for _ in range(5):
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        response = send(pool, server.port, b"/endless")
                        del response
                        gc.collect()
                assert kept.stream.read() == pattern(3_000_000)


def test_a_reset_after_the_whole_response_changes_nothing() -> None:
    """Section 8.1: NO_ERROR after a whole response, in one segment; any other code as well."""

    def script(link: Link) -> None:
        for code in (NO_ERROR, CANCEL, INTERNAL_ERROR):
            request = link.next_request()
            link.send(link.peer.response(request.id, b"whole"), link.peer.reset(request.id, code))

    with HTTP2Server(script) as server:
        with prior() as pool:
            for _ in range(3):
                assert get(pool, server.url) == b"whole"
        assert len(server.connections) == 1


@pytest.mark.parametrize("size", [5, 300_000])
def test_what_arrived_before_a_reset_can_still_be_read(size: int) -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        link.send(link.peer.headers(request.id, OK))
        link.send(link.peer.body(request.id, pattern(size), end=False))
        link.send(link.peer.reset(request.id, INTERNAL_ERROR))
        link.answer_all()

    received = b""
    with HTTP2Server(script) as server:
        with prior() as pool:
            with pytest.raises(TransportError):
                with pool.stream("GET", server.url) as response:
                    for chunk in response.stream:
                        received += chunk
            assert pattern(size).startswith(received)
            assert get(pool, f"{server.url}/next") == b"/next"
