"""Flow control with a real peer: T6, T9, T12, C14 to C16, C42."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    ReadTimeout,
    RemoteProtocolError,
    WriteTimeout,
)
from httpcore_core.testing.http_server import pattern
from tests._sync.http2 import SOON, Chunks, Endless, get, outcome, post, prior, until
from tests.concurrency import TaskGroup
from tests.http2_server import INITIAL_WINDOW_SIZE, HTTP2Server, Link, serve
from tests.protocol.http2_peer import CANCEL, FLOW_CONTROL_ERROR, OK, STREAM_CLOSED

HUGE = 2**31 - 1


def warm(link: Link) -> None:
    """Until the server's SETTINGS have come, windows are of the default size: with the response
    to a first request they have."""
    link.answer(link.next_request(), b"warm")


def upload(pool: ConnectionPool, url: str, body: bytes) -> None:
    text = json.loads((post(pool, url, body)).content)
    assert text["sha256"] == hashlib.sha256(body).hexdigest()


def download(pool: ConnectionPool, url: str, size: int) -> None:
    assert get(pool, f"{url}/bytes/{size}") == pattern(size)


@pytest.mark.parametrize("window", [65535, 1 << 20])
def test_t6_a_slow_reader_delays_nobody_and_is_bounded(window: int) -> None:
    with HTTP2Server() as server:
        with prior(http2_stream_window=window, max_connections=1) as pool:
            with pool.stream("GET", f"{server.url}/endless") as slow:
                assert slow.status == 200
                download(pool, server.url, 4_000_000)
                link = server.links[0]
                until(lambda: link.windows[1] == 0)
                assert 1 not in link.peer.granted  # not a byte more than the stream's window
                with TaskGroup() as group:
                    for _ in range(3):
                        group.start(download, pool, server.url, 1_000_000)
                assert link.windows[1] == 0
                read = 0
                for chunk in slow.stream:  # and when it does read, it gets more
                    read += len(chunk)
                    if read > 3 * window:
                        break
        assert len(server.connections) == 1


def test_t6_many_slow_readers_at_once() -> None:
    with HTTP2Server() as server:
        with prior(http2_stream_window=65535, max_connections=1) as pool:
            with pool.stream("GET", f"{server.url}/endless"):
                with pool.stream("GET", f"{server.url}/endless"):
                    with pool.stream("GET", f"{server.url}/endless"):
                        download(pool, server.url, 1_000_000)


def test_t12_sixteen_uploads_and_downloads_at_once_are_exact(settled: Any) -> None:
    with HTTP2Server() as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                for number in range(16):
                    size = 2_000_000 + number
                    group.start(upload, pool, f"{server.url}/echo", pattern(size))
                    group.start(download, pool, server.url, size)
            settled(pool)
        assert len(server.connections) == 1


@pytest.mark.slow
def test_t12_sixteen_large_uploads_and_downloads() -> None:
    """The environment variable HTTP2_MIB says how large."""
    body = pattern(int(os.environ.get("HTTP2_MIB", "5")) << 20)
    with HTTP2Server() as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                for _ in range(16):
                    group.start(upload, pool, f"{server.url}/echo", body)
                    group.start(download, pool, server.url, len(body))


@pytest.mark.parametrize("what", ["stream", "connection", "settings"])
@pytest.mark.parametrize("kind", ["in memory", "from an iterator"])
def test_t12_an_upload_resumes_as_the_window_opens(what: str, kind: str) -> None:
    """The link fails if a byte comes that the windows do not allow."""
    body = pattern(100_000)

    def script(link: Link) -> None:
        link.grants = False
        warm(link)
        peer = link.peer
        request = link.next_request()
        sent = 65535 if what == "connection" else 1000
        if what == "connection":
            link.send(peer.window_update(request.id, HUGE - 65535))
        else:
            link.send(peer.window_update(0, HUGE - 65535))
        for more in (1, 999, 3, 20_000, 100_000):
            link.wait_for(lambda: len(peer.bodies[request.id]) == sent)  # noqa: B023
            if what == "settings":
                link.send(peer.settings({INITIAL_WINDOW_SIZE: sent + more}))
            else:
                link.send(peer.window_update(0 if what == "connection" else request.id, more))
            sent = min(sent + more, len(body))
        assert link.body(request.id) == body
        link.answer(request, b"all")

    initial = 65535 if what == "connection" else 1000
    with HTTP2Server(script, settings={INITIAL_WINDOW_SIZE: initial}) as server:
        with prior() as pool:
            get(pool, server.url)
            pieces = [body[at : at + 30_000] for at in range(0, len(body), 30_000)]
            response = post(
                pool, server.url, body if kind == "in memory" else Chunks(*pieces)
            )
            assert response.content == b"all"


def test_c14_a_window_lowered_in_the_middle_below_zero() -> None:
    body = pattern(50_000)

    def script(link: Link) -> None:
        link.grants = False
        warm(link)
        peer = link.peer
        request = link.next_request()
        link.wait_for(lambda: len(peer.bodies[request.id]) == 10_000)
        link.send(peer.settings({INITIAL_WINDOW_SIZE: 0}))  # the stream's window: -10,000
        link.wait_for(lambda: link.is_acked)
        link.send(peer.window_update(request.id, 10_000))  # 0
        link.send(peer.window_update(request.id, 5))
        link.wait_for(lambda: len(peer.bodies[request.id]) == 10_005)
        link.send(peer.settings({INITIAL_WINDOW_SIZE: 65535}))
        assert link.body(request.id) == body
        link.answer(request, b"all")

    with HTTP2Server(script, settings={INITIAL_WINDOW_SIZE: 10_000}) as server:
        with prior() as pool:
            get(pool, server.url)
            assert (post(pool, server.url, body)).content == b"all"


def test_c15_a_window_that_never_opens_ends_at_the_limit(settled: Any) -> None:
    def script(link: Link) -> None:
        warm(link)
        stuck = link.next_request()
        link.answer(link.next_request(), b"meanwhile")
        assert link.reset_of(stuck.id) == CANCEL
        link.answer_all()

    with HTTP2Server(script, settings={INITIAL_WINDOW_SIZE: 0}) as server:
        with prior(max_connections=1) as pool:
            get(pool, server.url)
            started = time.monotonic()
            with TaskGroup() as group:
                job = group.start(post_within, pool, server.url)
                until(lambda: len(server.heads) == 2)
                assert get(pool, server.url) == b"meanwhile"
                with pytest.raises((WriteTimeout, ReadTimeout)) as caught:
                    job.result()
                assert caught.value.limit == 0.3
                assert time.monotonic() - started < SOON
            settled(pool)
            assert get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


def post_within(pool: ConnectionPool, url: str) -> None:
    post(pool, url, bytes(100_000), write=0.3, read=0.3)


@pytest.mark.parametrize("what", ["stream", "connection"])
def test_c16_more_data_than_our_window_is_the_servers_error(what: str, settled: Any) -> None:
    """Nobody reads the one response, while the other is waited for; so nothing is granted anew."""

    def script(link: Link) -> None:
        a = link.next_request()
        link.send(link.peer.headers(a.id, OK))
        b = link.next_request()
        for _ in range(10):
            link.send(link.peer.data(a.id, bytes(16384)), flush=False)
        link.send(link.peer.response(b.id, b"other"))
        link.wait_for(lambda: a.id in link.resets or link.goaways)

    sizes = {"stream": (65535, 1 << 20), "connection": (1 << 20, 65535)}[what]
    with HTTP2Server(script, serve) as server:
        with prior(
            http2_stream_window=sizes[0], http2_connection_window=sizes[1], max_connections=1
        ) as pool:
            with pool.stream("POST", server.url, content=b"x") as response:
                other = outcome(pool, server.url)
                assert other == b"other" or isinstance(other, RemoteProtocolError)
                with pytest.raises(RemoteProtocolError):
                    response.stream.read()
            settled(pool)
            until(lambda: server.links[0].closed or server.links[0].resets)
            if what == "connection":
                download(pool, server.url, 10)
        codes = {*server.links[0].resets.values(), *server.links[0].goaways}
        assert codes
        assert codes <= {FLOW_CONTROL_ERROR, STREAM_CLOSED}  # of the stream, and what came after


def test_c42_who_reads_delivers_the_window_of_who_waits_to_write() -> None:
    """A has no window, B reads: B's reads bring A's WINDOW_UPDATE, and A must hear of it."""

    def script(link: Link) -> None:
        warm(link)
        a = link.next_request()
        b = link.next_request()
        link.send(link.peer.headers(b.id, OK), link.peer.data(b.id, b"b"))
        link.wait_for(b_reads)
        link.send(link.peer.window_update(a.id, 100_000))
        assert len(link.body(a.id)) == 100_000
        link.answer(a, b"a")
        link.wait_for(a_is_done)
        link.send(link.peer.data(b.id, b"b", end=True))

    def read_b() -> None:
        with pool.stream("GET", server.url) as response:
            b_reads.set()
            assert response.stream.read() == b"bb"

    b_reads, a_is_done = threading.Event(), threading.Event()
    with HTTP2Server(script, settings={INITIAL_WINDOW_SIZE: 0}) as server:
        with prior(max_connections=1) as pool:
            get(pool, server.url)
            with TaskGroup() as group:
                a = group.start(outcome, pool, server.url, bytes(100_000))
                until(lambda: len(server.heads) == 2)
                b = group.start(read_b)
                assert a.result() == b"a"
                a_is_done.set()
                b.result()
        assert len(server.connections) == 1


def test_c42_who_waits_to_write_delivers_what_others_read() -> None:
    """The other way round: A, who waits for a window, is first; B's whole answer comes meanwhile;
    then B leaves, and A still hears of its window."""

    def script(link: Link) -> None:
        warm(link)
        a = link.next_request()
        for _ in range(3):
            b = link.next_request()
            link.answer(b, pattern(200_000))
        link.wait_for(b_is_done)
        link.send(link.peer.window_update(a.id, 100_000))
        link.body(a.id)
        link.answer(a, b"a")

    b_is_done = threading.Event()
    with HTTP2Server(script, settings={INITIAL_WINDOW_SIZE: 0}) as server:
        with prior(max_connections=1) as pool:
            get(pool, server.url)
            with TaskGroup() as group:
                a = group.start(outcome, pool, server.url, bytes(100_000))
                until(lambda: len(server.heads) == 2)
                for _ in range(3):
                    assert get(pool, server.url) == pattern(200_000)
                b_is_done.set()
                assert a.result() == b"a"


def test_t9_a_write_that_times_out_leaves_whole_frames(settled: Any) -> None:
    """The peer reads nothing for a while. Who ran out of time is reset, the others go on."""

    def script(link: Link) -> None:
        link.send(link.peer.window_update(0, HUGE - 65535))
        warm(link)
        other = link.next_request()
        stuck = link.next_request()
        link.reading = False
        while not timed_out.is_set():
            link.step()
        link.reading = True
        assert link.reset_of(stuck.id) == CANCEL
        link.answer(other, b"other")
        link.answer_all()

    timed_out = threading.Event()
    settings = {INITIAL_WINDOW_SIZE: HUGE}
    with HTTP2Server(script, settings=settings, receive_buffer=20_000) as server:
        with prior(max_connections=1) as pool:
            get(pool, server.url)
            with TaskGroup() as group:
                other = group.start(get, pool, f"{server.url}/other")
                until(lambda: len(server.heads) == 2)
                started = time.monotonic()
                with pytest.raises(WriteTimeout) as caught:
                    post(pool, server.url, Endless(), write=0.3)
                assert caught.value.limit == 0.3
                assert time.monotonic() - started < SOON
                timed_out.set()
                assert other.result() == b"other"
            settled(pool)
            assert get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1
        assert not server.links[0].torn


def test_both_ends_write_and_neither_waits_for_the_other() -> None:
    """A large upload whose answer is as large and comes before it has been read."""
    with HTTP2Server(settings={INITIAL_WINDOW_SIZE: 1 << 20}, receive_buffer=20_000) as server:
        with prior() as pool:
            with TaskGroup() as group:
                for _ in range(4):
                    group.start(upload, pool, f"{server.url}/echo", pattern(5_000_000))
                    group.start(download, pool, server.url, 5_000_000)
        assert len(server.connections) == 1
