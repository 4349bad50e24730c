"""How many streams and connections: T7, T8, P2, P15, C18, C19."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    ConnectError,
    PoolTimeout,
    TimeoutException,
    TransportError,
)
from httpcore_core.testing.http_server import HTTPServer, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests._sync.http2 import SOON, Begun, get, h2_context, outcome, prior, until
from tests.concurrency import TaskGroup
from tests.http2_server import MAX_CONCURRENT_STREAMS, HTTP2Server, Link, Request


def test_t7_at_the_limit_a_further_connection_is_opened(settled: Any) -> None:
    with HTTP2Server(settings={MAX_CONCURRENT_STREAMS: 2}) as server:
        with prior(max_connections=3) as pool:
            with TaskGroup() as group:
                jobs = [group.start(get, pool, f"{server.url}/hang") for _ in range(8)]
                until(lambda: len(server.heads) == 6)
                until(lambda: pool.stats().queued == 2)
                assert [link.open_streams for link in server.links] == [2, 2, 2]
                server.release()
                for job in jobs:
                    assert job.result() == b"released"
            settled(pool)
        assert len(server.connections) == server.peak == 3
        assert [link.peak_streams for link in server.links] == [2, 2, 2]


def test_t7_not_more_connections_than_an_origin_may_have() -> None:
    with HTTP2Server(settings={MAX_CONCURRENT_STREAMS: 1}) as server:
        with prior(max_connections=10, max_connections_per_origin=2) as pool:
            with TaskGroup() as group:
                for number in range(30):
                    group.start(get, pool, f"{server.url}/bytes/{number}")
        assert server.peak <= 2
        assert len(server.heads) == 30


def test_t7_a_limit_of_one_from_the_start(settled: Any) -> None:
    with HTTP2Server(settings={MAX_CONCURRENT_STREAMS: 1}) as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                for number in range(20):
                    group.start(expect, pool, f"{server.url}/bytes/{number}", pattern(number))
            settled(pool)
        assert len(server.connections) == 1
        assert server.links[0].peak_streams == 1
        assert len(server.heads) == 20


def expect(pool: ConnectionPool, url: str, content: bytes) -> None:
    assert get(pool, url) == content


@pytest.mark.parametrize("limit", [0, 1])
def test_t7_c18_a_limit_lowered_in_flight_and_raised_again(limit: int, settled: Any) -> None:
    """Three are in flight when the limit falls, three more come; nobody is forgotten."""

    def script(link: Link) -> None:
        requests = [link.next_request() for _ in range(3)]
        link.send(link.peer.settings({MAX_CONCURRENT_STREAMS: limit}))
        link.wait_for(lambda: link.is_acked)
        lowered.set()
        link.wait_for(queued)
        for request in requests:
            link.answer(request, request.path)
        link.wait_for(raise_it)
        link.send(link.peer.settings({MAX_CONCURRENT_STREAMS: 2}))
        link.answer_all()

    lowered, queued, raise_it = (threading.Event() for _ in range(3))
    with HTTP2Server(script, lambda link: link.answer_all()) as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                first = [group.start(outcome, pool, f"{server.url}/{n}") for n in range(3)]
                until(lowered.is_set)
                then = [group.start(outcome, pool, f"{server.url}/{n}") for n in range(3, 6)]
                until(lambda: pool.stats().queued == 3)
                queued.set()
                for number, job in enumerate(first):
                    assert job.result() == b"/%d" % number
                raise_it.set()
                for number, job in enumerate(then, 3):
                    assert job.result() == b"/%d" % number
            settled(pool)
        assert server.peak == 1


def test_t7_a_limit_lowered_to_one_stays_and_the_queue_drains(settled: Any) -> None:
    def script(link: Link) -> None:
        requests = [link.next_request() for _ in range(10)]
        link.send(link.peer.settings({MAX_CONCURRENT_STREAMS: 1}))
        link.wait_for(lambda: link.is_acked)
        lowered.set()
        link.wait_for(queued)
        for request in requests:
            link.answer(request, request.path)
        link.answer_all()

    lowered, queued = threading.Event(), threading.Event()
    with HTTP2Server(script) as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                jobs = [group.start(outcome, pool, f"{server.url}/{n}") for n in range(10)]
                until(lowered.is_set)
                jobs += [group.start(outcome, pool, f"{server.url}/{n}") for n in range(10, 20)]
                until(lambda: pool.stats().queued == 10)
                queued.set()
                for number, job in enumerate(jobs):
                    assert job.result() == b"/%d" % number
            settled(pool)
        assert len(server.connections) == 1


def test_t7_a_limit_of_nothing_from_the_start_opens_no_storm(settled: Any) -> None:
    """No stream may ever be opened: that ends in a timeout, not in connections without end."""
    with HTTP2Server(settings={MAX_CONCURRENT_STREAMS: 0}) as server:
        with prior(max_connections=2) as pool:
            started = time.monotonic()
            for _ in range(3):  # a connection's first request goes before the limit is known
                with pytest.raises(TransportError):
                    get(pool, f"{server.url}/hang", pool=0.3, read=0.3)
            assert time.monotonic() - started < SOON
            settled(pool)
        assert len(server.connections) <= 6


def test_c19_a_limit_that_goes_up_and_down_under_load(settled: Any) -> None:
    limits = [1, 5, 0, 100, 3, 0, 1, 50]

    def script(link: Link) -> None:
        pending: list[Request] = []
        changed, count = time.monotonic(), 0
        while True:
            link.step()
            while link.has_request():
                pending.append(link.next_request())
                count += 1
            if count >= 5 or (not pending and time.monotonic() - changed > 0.02):
                limit = limits[len(link.frames) % len(limits)]
                link.send(link.peer.settings({MAX_CONCURRENT_STREAMS: limit}), flush=False)
                changed, count = time.monotonic(), 0
            while pending:
                request = pending.pop()
                if request.id not in link.resets:
                    link.answer(request, request.path)

    with HTTP2Server(script) as server:
        with prior(max_connections=2) as pool:
            with TaskGroup() as group:
                jobs = [group.start(outcome, pool, f"{server.url}/{n}") for n in range(200)]
                for number, job in enumerate(jobs):
                    assert job.result() == b"/%d" % number
            settled(pool)
        assert server.peak <= 2


def test_t8_many_at_once_open_one_connection(certificates: Any, settled: Any) -> None:
    context = certificates.server_context(alpn=["h2", "http/1.1"])
    with HTTP2Server(ssl_context=context) as server:
        with ConnectionPool(http2=True, ssl_context=h2_context(certificates)) as pool:
            with TaskGroup() as group:
                for number in range(100):
                    group.start(expect, pool, f"{server.url}/bytes/{number}", pattern(number))
            settled(pool)
            assert pool.stats().opened == 1
        assert len(server.connections) == 1
        assert len(server.heads) == 100


def test_t8_by_prior_knowledge_too() -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            with TaskGroup() as group:
                for number in range(50):
                    group.start(expect, pool, f"{server.url}/bytes/{number}", pattern(number))
        assert len(server.connections) == 1


def test_t8_an_origin_that_turns_out_http1_is_not_serialised(
    certificates: Any, settled: Any
) -> None:
    with HTTPServer(ssl_context=certificates.server_context(alpn=["http/1.1"])) as server:
        with ConnectionPool(http2=True, ssl_context=h2_context(certificates)) as pool:
            with TaskGroup() as group:
                jobs = [group.start(get, pool, f"{server.url}/hang") for _ in range(20)]
                until(lambda: len(server.requests) == 20)  # each on a connection of its own
                server.release()
                for job in jobs:
                    assert job.result() == b"released"
            settled(pool)
        assert len(server.connections) == 20


def test_t8_and_not_more_than_the_pool_may_have(certificates: Any, settled: Any) -> None:
    with HTTPServer(ssl_context=certificates.server_context(alpn=["http/1.1"])) as server:
        with ConnectionPool(
            http2=True, ssl_context=h2_context(certificates), max_connections=3
        ) as pool:
            with TaskGroup() as group:
                for number in range(20):
                    group.start(expect, pool, f"{server.url}/bytes/{number}", pattern(number))
            settled(pool)
        assert server.peak <= 3
        assert len(server.requests) == 20


def test_t8_p16_a_dial_that_fails_fails_nobody_for_ever(
    certificates: Any, settled: Any
) -> None:
    def one(pool: ConnectionPool, url: str) -> str:
        try:
            get(pool, url)
        except ConnectError as exc:
            return type(exc).__name__
        return "ok"

    def answer_with_text(peer: Peer) -> None:
        peer.receive()
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.close()

    with ScriptedServer(answer_with_text) as plain:
        for url in (f"https://127.0.0.1:{plain.port}/", "https://127.0.0.1:9/"):
            with ConnectionPool(
                http2=True, ssl_context=h2_context(certificates), max_connections=2
            ) as pool:
                with TaskGroup() as group:
                    jobs = [group.start(one, pool, url) for _ in range(10)]
                    assert {job.result() for job in jobs} == {"ConnectError"}
                settled(pool)
                assert pool.connections == []


def test_t8_who_waits_for_a_connection_that_dies_tries_for_himself(settled: Any) -> None:
    def dies(link: Link) -> None:
        link.next_request()
        link.wait_for(others)
        link.close()

    def greet_and_answer(link: Link) -> None:
        link.send(link.peer.settings())
        link.answer_all()

    others = threading.Event()
    begun = Begun()
    with HTTP2Server(dies, greet_and_answer, greets=False) as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                first = group.start(outcome, pool, server.url)
                until(lambda: server.heads)
                jobs = [
                    group.start(outcome, pool, f"{server.url}/{n}", b"x", begun) for n in range(10)
                ]
                until(lambda: begun.count == 10)
                others.set()
                assert isinstance(first.result(), TransportError)
                for number, job in enumerate(jobs):
                    assert job.result() == b"/%d" % number
            settled(pool)
        assert len(server.connections) == 2
        assert len(server.links[0].requests) == 1


def test_t8_no_settings_for_a_while_is_no_deadlock(settled: Any) -> None:
    """The first request goes at once, before the server has said a word; the others after it."""

    def script(link: Link) -> None:
        first = link.next_request()
        link.wait_for(others)
        assert not link.has_request()
        link.send(link.peer.settings({MAX_CONCURRENT_STREAMS: 2}))
        link.answer(first, first.path)
        link.answer_all()

    others = threading.Event()
    begun = Begun()
    with HTTP2Server(script, greets=False) as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                jobs = [
                    group.start(outcome, pool, f"{server.url}/{n}", b"x", begun) for n in range(10)
                ]
                until(lambda: server.heads and begun.count == 10)
                others.set()
                for number, job in enumerate(jobs):
                    assert job.result() == b"/%d" % number
            settled(pool)
        assert server.links[0].peak_streams <= 2


@pytest.mark.parametrize("limits", [{"pool": 0.2}, {"connect": 0.2}, {"total": 0.2}])
def test_p15_the_wait_for_settings_is_bounded_too(
    limits: dict[str, float], settled: Any
) -> None:
    """The first request waits for its answer; whether others may go beside it nobody knows."""

    def script(link: Link) -> None:
        request = link.next_request()
        link.wait_for(over)
        link.send(link.peer.settings(), link.peer.response(request.id, b"done"))

    over = threading.Event()
    with HTTP2Server(script, greets=False) as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                first = group.start(outcome, pool, server.url)
                until(lambda: server.heads)
                started = time.monotonic()
                with pytest.raises(TimeoutException) as caught:
                    pool.request("GET", server.url, extensions={"timeout": limits})
                assert caught.value.limit == 0.2
                assert time.monotonic() - started < SOON
                over.set()
                assert first.result() == b"done"
            settled(pool)


def test_p2_never_more_connections_than_allowed_whatever_happens(settled: Any) -> None:
    def one(pool: ConnectionPool, number: int) -> None:
        if number % 3 == 0:
            with pool.stream("GET", f"{server.url}/endless"):
                pass
        else:
            expect(pool, f"{server.url}/bytes/{number}", pattern(number))

    with HTTP2Server(settings={MAX_CONCURRENT_STREAMS: 3}) as server:
        with prior(max_connections=4) as pool:
            with TaskGroup() as group:
                for number in range(90):
                    group.start(one, pool, number)
            settled(pool)
        assert server.peak <= 4


@pytest.mark.parametrize("limit", [0.0, 0.2])
def test_p15_the_pool_timeout_bounds_the_wait_for_a_stream(
    limit: float, settled: Any
) -> None:
    with HTTP2Server(settings={MAX_CONCURRENT_STREAMS: 1}) as server:
        with prior(max_connections=1) as pool:
            with TaskGroup() as group:
                job = group.start(get, pool, f"{server.url}/hang")
                until(lambda: server.heads)
                started = time.monotonic()
                with pytest.raises(PoolTimeout) as caught:
                    get(pool, f"{server.url}/bytes/1", pool=limit)
                assert limit - 0.01 <= time.monotonic() - started < SOON
                assert str(caught.value).startswith(f"http://127.0.0.1:{server.port}: pool: ")
                assert caught.value.limit == limit
                assert pool.stats().queued == 0
                server.release()
                assert job.result() == b"released"
            settled(pool)
            assert get(pool, f"{server.url}/bytes/1", pool=1.0) == pattern(1)
        assert len(server.heads) == 2
