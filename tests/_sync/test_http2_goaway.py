"""Requests that the server did not process, and connections that end (T3, T4, P5, P6, C20-C26)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from httpcore_core import (
    SyncByteStream,
    ConnectionPool,
    NetworkError,
    RemoteProtocolError,
    TransportError,
)
from httpcore_core.testing.http_server import pattern
from tests._sync.http2 import LIMITS, Chunks, get, outcome, post, prior, until
from tests.concurrency import TaskGroup
from tests.http2_server import HTTP2Server, Link
from tests.protocol.http2_peer import (
    ENHANCE_YOUR_CALM,
    NO_ERROR,
    OK,
    REFUSED_STREAM,
)

EVERYTHING = 2**31 - 1


def answer_all(link: Link) -> None:
    link.answer_all()


class Replayable(SyncByteStream):
    """A body of the caller's that can be sent again."""

    replayable = True

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.started = 0

    def __iter__(self) -> Any:
        self.started += 1
        return Chunks(*self.chunks)


def test_t3_streams_up_to_the_last_id_finish_and_others_go_elsewhere(settled: Any) -> None:
    def first(link: Link) -> None:
        requests = [link.next_request() for _ in range(5)]
        link.send(link.peer.goaway(requests[2].id))
        link.wait_for(new_one_served)
        for request in requests[:3]:
            link.answer(request, request.path)

    new_one_served = threading.Event()
    with HTTP2Server(first, answer_all) as server:
        with prior() as pool:
            with TaskGroup() as group:
                jobs = [group.start(outcome, pool, f"{server.url}/{n}") for n in range(5)]
                until(lambda: len(server.heads) >= 7)
                assert get(pool, f"{server.url}/new") == b"/new"
                new_one_served.set()
                for number, job in enumerate(jobs):
                    assert job.result() == b"/%d" % number
            settled(pool)
            until(server.connections[0].has_left)
            assert pool.stats().idle == 1
        assert len(server.connections) == 2
        ones, others = server.links
        assert len(ones.requests) == 5
        assert {request.path for request in others.requests} == {
            b"/new",
            *(request.path for request in ones.requests[3:]),
        }


@pytest.mark.parametrize("last", ["this", "all", "two steps"])
@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_t3_c23_a_goaway_beside_the_response_does_not_harm_it(
    last: str, size: int, place: str
) -> None:
    """In the same segment as the response, or in pieces of one or seven bytes."""

    def script(link: Link) -> None:
        request = link.next_request()
        peer = link.peer
        goaway = peer.goaway(request.id if last == "this" else EVERYTHING)
        if last == "two steps":
            goaway += peer.goaway(request.id)
        parts = [peer.headers(request.id, OK), peer.data(request.id, b"content", end=True)]
        parts.insert({"before": 0, "between": 1, "after": 2}[place], goaway)
        if size:
            link.drip(b"".join(parts), size=size)
        else:
            link.send(*parts)
        answer_all(link)

    with HTTP2Server(script, answer_all) as server:
        with prior() as pool:
            assert get(pool, server.url) == b"content"
            assert get(pool, f"{server.url}/next") == b"/next"
        # The one GOAWAY that may be late is the one after the response.
        assert len(server.connections) == 2 or (size and place == "after")


def test_t3_a_long_body_goes_on_after_goaway(settled: Any) -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        link.send(link.peer.headers(request.id, OK))
        link.send_body(request.id, pattern(100_000), end=False)
        link.send(link.peer.goaway(request.id))
        link.send_body(request.id, pattern(3_000_000))

    with HTTP2Server(script, answer_all) as server:
        with prior(max_connections=2) as pool:
            with pool.stream("GET", server.url) as response:
                assert get(pool, f"{server.url}/one") in (b"/one",)
                assert response.stream.read() == pattern(100_000) + pattern(3_000_000)
            settled(pool)
            assert get(pool, f"{server.url}/two") == b"/two"
            until(server.connections[0].has_left)


@pytest.mark.parametrize("how", ["goaway", "refused"])
@pytest.mark.parametrize("kind", ["empty", "in memory", "replayable", "proved empty"])
def test_t3_t4_p6_c20_what_was_not_processed_is_sent_again_in_full(
    how: str, kind: str, settled: Any
) -> None:
    """A POST, even: the server says that it has done nothing with it."""
    body = b"" if "empty" in kind else pattern(200_000)

    def refuse(link: Link) -> None:
        request = link.next_request()
        if kind == "proved empty":
            assert link.body(request.id) == b""
        elif body:  # some of it has been sent
            link.wait_for(lambda: link.peer.bodies[request.id])
        if how == "goaway":
            link.send(link.peer.goaway(0))
        else:
            link.send(link.peer.reset(request.id, REFUSED_STREAM))
            take(link)

    def take(link: Link) -> None:
        request = link.next_request()
        received.append(link.body(request.id))
        link.answer(request, b"done")

    received: list[bytes] = []
    with HTTP2Server(refuse, take) as server:
        with prior() as pool:
            kinds = {"replayable": Replayable(body[:100], body[100:]), "proved empty": Chunks()}
            length = {"Content-Length": "0"} if kind == "proved empty" else None
            how_long: dict[str, Any] = {"headers": length, "extensions": {"timeout": LIMITS}}
            content: Any = kinds.get(kind, body)
            response = pool.request("POST", server.url, content=content, **how_long)
            assert response.content == b"done"
            settled(pool)
        assert received == [body]
        assert len(server.heads) == 2


@pytest.mark.parametrize("how", ["goaway", "refused"])
def test_t3_t4_p6_a_one_shot_body_that_has_started_is_not_sent_again(
    how: str, settled: Any
) -> None:
    def refuse(link: Link) -> None:
        request = link.next_request()
        link.wait_for(lambda: link.peer.bodies[request.id])
        if how == "goaway":
            link.send(link.peer.goaway(0))
            refused.set()
        else:
            link.send(link.peer.reset(request.id, REFUSED_STREAM))
            refused.set()
            answer_all(link)

    refused = threading.Event()
    with HTTP2Server(refuse, answer_all) as server:
        with prior(max_connections=1) as pool:
            body = Chunks(b"first", refused.is_set, b"second", b"third")
            with pytest.raises(RemoteProtocolError):
                post(pool, server.url, body)
            settled(pool)
            assert get(pool, f"{server.url}/next") == b"/next"
        posts = [request for request in server.heads if request.method == b"POST"]
        assert len(posts) == 1
        assert posts[0].id not in server.links[0].peer.ended


@pytest.mark.parametrize("how", ["goaway", "refused"])
def test_p6_a_one_shot_body_that_has_not_started_is_sent_elsewhere(how: str) -> None:
    def refuse(link: Link) -> None:
        request = link.next_request()
        if how == "goaway":
            link.send(link.peer.goaway(0))
        else:
            link.send(link.peer.reset(request.id, REFUSED_STREAM))
            take(link)

    def take(link: Link) -> None:
        request = link.next_request()
        link.send(link.peer.headers(request.id, (b":status", b"100")))
        received.append(link.body(request.id))
        link.answer(request, b"done")

    received: list[bytes] = []
    with HTTP2Server(refuse, take) as server:
        with prior() as pool:
            response = pool.request(
                "POST",
                server.url,
                headers={"Expect": "100-continue"},
                content=Chunks(b"one", b"shot"),
                extensions={"expect_continue": 30.0, "timeout": LIMITS},
            )
            assert response.content == b"done"
        assert received == [b"oneshot"]


@pytest.mark.parametrize("how", ["goaway", "refused"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_c21_refused_for_ever_is_bounded(how: str, method: str, settled: Any) -> None:
    def refuse(link: Link) -> None:
        while True:
            request = link.next_request()
            if how == "goaway":
                link.send(link.peer.goaway(0))
            else:
                link.send(link.peer.reset(request.id, REFUSED_STREAM))

    with HTTP2Server(refuse) as server:
        with prior(max_connections=2) as pool:
            for turn in range(1, 3):
                with pytest.raises(RemoteProtocolError):
                    pool.request(method, server.url, extensions={"timeout": LIMITS})
                settled(pool)
                assert 2 * turn <= len(server.heads) <= 3 * turn
        assert len(server.connections) <= 6


def test_c20_many_streams_refused_at_once_all_succeed(settled: Any) -> None:
    def refuse(link: Link) -> None:
        link.answer(link.next_request(), b"warm")
        requests = [link.next_request() for _ in range(10)]
        for request in requests:
            link.send(link.peer.reset(request.id, REFUSED_STREAM))
        link.answer_all()

    with HTTP2Server(refuse, answer_all) as server:
        with prior(max_connections=2) as pool:
            get(pool, server.url)
            with TaskGroup() as group:
                jobs = [group.start(outcome, pool, f"{server.url}/{n}") for n in range(10)]
                for number, job in enumerate(jobs):
                    assert job.result() == b"/%d" % number
            settled(pool)


def test_c24_a_goaway_with_an_error_tells_why(settled: Any) -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        debug = b"go\r\naway\x00\xff" + b"x" * 10_000
        link.send(link.peer.goaway(request.id, ENHANCE_YOUR_CALM, debug))
        link.half_close()

    with HTTP2Server(script, answer_all) as server:
        with prior(max_connections=1) as pool:
            with pytest.raises(RemoteProtocolError, match="ENHANCE_YOUR_CALM") as caught:
                post(pool, server.url)
            text = str(caught.value)
            assert "away" in text
            assert text.isprintable()
            assert len(text) < 1000
            settled(pool)
            assert pool.connections == []
            assert get(pool, f"{server.url}/next") == b"/next"


def test_t3_a_goaway_while_idle_is_noticed_before_use() -> None:
    def script(link: Link) -> None:
        link.answer(link.next_request(), b"first")
        link.wait_for(idle)
        link.send(link.peer.goaway(1, NO_ERROR))
        said.set()

    idle, said = threading.Event(), threading.Event()
    with HTTP2Server(script, answer_all) as server:
        with prior() as pool:
            assert get(pool, server.url) == b"first"
            idle.set()
            until(said.is_set)
            body = Chunks(b"one", b"shot")
            assert (post(pool, f"{server.url}/next", body)).content == b"/next"
        assert len(server.connections) == 2
        assert len(server.links[0].requests) == 1


def test_p5_c26_a_connection_closed_while_idle_is_noticed_before_use() -> None:
    def script(link: Link) -> None:
        link.answer(link.next_request(), b"ok")
        link.wait_for(lambda: link.is_acked)
        link.close()
        closed.set()

    closed = threading.Event()
    with HTTP2Server(script) as server:
        with prior() as pool:
            for _ in range(3):
                assert (post(pool, server.url)).content == b"ok"
                until(closed.is_set)
                closed.clear()
        assert len(server.connections) == 3


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_p5_c26_a_connection_that_dies_with_streams_in_flight(end: str, settled: Any) -> None:
    """On a reused connection: what is idempotent and has no answer goes elsewhere, once."""

    def script(link: Link) -> None:
        link.answer(link.next_request(), b"warm")
        while len(link.requests) < 4:
            request = link.next_request()
            if request.path == b"/begun":
                link.send(link.peer.headers(request.id, OK), link.peer.data(request.id, b"abc"))
        if end == "FIN":
            link.close()
        else:
            link.reset()

    def fetch(pool: ConnectionPool, path: str) -> Any:
        try:
            return get(pool, f"{server.url}/{path}")
        except TransportError as exc:
            return exc.with_traceback(None)

    with HTTP2Server(script, answer_all) as server:
        with prior() as pool:
            get(pool, server.url)
            with TaskGroup() as group:
                begun = group.start(fetch, pool, "begun")
                until(lambda: len(server.heads) == 2)
                silent = group.start(fetch, pool, "silent")
                posted = group.start(outcome, pool, f"{server.url}/posted")
                assert silent.result() == b"/silent"
                for job in (begun, posted):
                    assert isinstance(job.result(), (RemoteProtocolError, NetworkError))
            settled(pool)
        assert [request.path for request in server.links[1].requests] == [b"/silent"]


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_p5_a_fresh_connection_that_dies_is_final(end: str, settled: Any) -> None:
    def script(link: Link) -> None:
        link.next_request()
        if end == "FIN":
            link.close()
        else:
            link.reset()

    with HTTP2Server(script, answer_all) as server:
        with prior(max_connections=1) as pool:
            with pytest.raises((RemoteProtocolError, NetworkError)):
                pool.request("GET", server.url, extensions={"timeout": LIMITS})
            settled(pool)
            assert pool.connections == []
            assert len(server.connections) == 1
            assert get(pool, f"{server.url}/next") == b"/next"
