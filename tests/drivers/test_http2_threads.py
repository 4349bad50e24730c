"""What threads that share an HTTP/2 connection must not do to each other (P12): here one of them is
held up between two steps, where it rarely is by itself, and another one goes on."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from httpcore_core import ConnectionPool, HTTP2Connection, PoolTimeout, RemoteProtocolError
from httpcore_core._sync.http2_exchange import HTTP2Exchange
from tests._async.http2 import GUARD, LIMITS, SOON
from tests.concurrency import TaskGroup
from tests.http2_server import (
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    HTTP2Server,
    Link,
)
from tests.protocol.http2_peer import OK


def prior(**options: Any) -> ConnectionPool:
    return ConnectionPool(http1=False, http2=True, **options)


def ask(pool: ConnectionPool, url: str, /, content: bytes = b"", **limits: float) -> bytes:
    extensions = {"timeout": {**LIMITS, **limits}}
    method = "POST" if content else "GET"
    return pool.request(method, url, content=content, extensions=extensions).content


class Attempt:
    """A request in a thread of its own, which is to end in `PoolTimeout` while others go on."""

    def __init__(self, pool: ConnectionPool, url: str, /, **limits: float) -> None:
        self._args = (pool, url)
        self._limits = limits
        self._given_up = threading.Event()

    def run(self) -> None:
        try:
            with pytest.raises(PoolTimeout):
                ask(*self._args, **self._limits)
        finally:
            self._given_up.set()

    def is_given_up_soon(self) -> bool:
        return self._given_up.wait(SOON)


def test_p15_one_has_read_the_end_and_the_pool_has_not_heard_of_it(
    monkeypatch: pytest.MonkeyPatch, settled: Any
) -> None:
    """Another one, who is to wait for the connection's SETTINGS, waits no longer than he may."""

    def script(link: Link) -> None:
        link.next_request()
        link.close()

    def on_end(connection: HTTP2Connection) -> None:
        ended.set()
        assert told.wait(GUARD)
        tell(connection)

    tell = HTTP2Connection.on_end
    monkeypatch.setattr(HTTP2Connection, "on_end", on_end)
    ended, told = threading.Event(), threading.Event()
    with HTTP2Server(script, greets=False) as server, prior() as pool:
        attempt = Attempt(pool, server.url, pool=1.0)
        with pytest.raises(RemoteProtocolError), TaskGroup() as group:
            group.start(ask, pool, server.url)
            assert ended.wait(GUARD)
            rider = group.start(attempt.run)
            in_time = attempt.is_given_up_soon()
            told.set()
        rider.result()
        assert in_time
        assert len(server.connections) == 1
        settled(pool)


def test_p15_one_who_rode_and_has_to_queue_is_woken_late(
    monkeypatch: pytest.MonkeyPatch, settled: Any
) -> None:
    """He has seen the SETTINGS himself and queues already when he is told that he has to."""

    def script(link: Link) -> None:
        request = link.next_request()
        asked.set()
        assert riding.wait(GUARD)
        link.send(link.peer.settings({MAX_CONCURRENT_STREAMS: 1}))
        link.wait_for(answer)
        link.answer(request, b"ok")
        link.answer_all()

    def settle_soon(pool: ConnectionPool) -> None:
        if not known.is_set():
            known.set()
            assert queues.wait(GUARD)
        actually_settle(pool)

    def await_settings(connection: HTTP2Connection, due: float | None) -> None:
        riding.set()
        actually_await(connection, due)
        assert known.wait(GUARD)

    def queue(pool: ConnectionPool, *args: Any) -> None:
        queues.set()
        actually_queue(pool, *args)

    actually_settle = ConnectionPool._settle_soon
    actually_await = HTTP2Connection.await_settings
    actually_queue = ConnectionPool._queue
    monkeypatch.setattr(ConnectionPool, "_settle_soon", settle_soon)
    monkeypatch.setattr(HTTP2Connection, "await_settings", await_settings)
    monkeypatch.setattr(ConnectionPool, "_queue", queue)
    asked, riding, known, queues, answer = (threading.Event() for _ in range(5))
    with HTTP2Server(script, greets=False) as server, prior(max_connections=1) as pool:
        attempt = Attempt(pool, server.url, pool=1.0)
        with TaskGroup() as group:
            first = group.start(ask, pool, server.url)
            assert asked.wait(GUARD)
            group.start(attempt.run)
            in_time = attempt.is_given_up_soon()
            answer.set()
            assert first.result() == b"ok"
        assert in_time
        settled(pool)


def test_t12_a_window_opens_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload is stuck while its response goes on; before it waits, another thread reads that it
    may go on, and finds nobody who waits for that."""

    def script(link: Link) -> None:
        link.grants = False
        waiting = link.next_request()
        ready.set()
        request = link.next_request()
        link.wait_for(lambda: len(link.peer.bodies[request.id]) == 3000)
        link.send(link.peer.headers(request.id, OK))
        link.wait_for(stuck)
        link.send(link.peer.window_update(request.id, 3000))
        body = link.body(request.id)
        link.send(link.peer.data(request.id, b"%d" % len(body), end=True))
        link.answer(waiting)

    def next_event(
        exchange: HTTP2Exchange, deadline: float | None, *, uploading: bool = False
    ) -> Any:
        if uploading and not stuck.is_set():
            stuck.set()
            while exchange._connection.protocol.is_blocked(exchange.stream):
                time.sleep(0.001)
        return actually_next(exchange, deadline, uploading=uploading)

    actually_next = HTTP2Exchange.next_event
    monkeypatch.setattr(HTTP2Exchange, "next_event", next_event)
    ready, stuck = threading.Event(), threading.Event()
    with HTTP2Server(script, settings={INITIAL_WINDOW_SIZE: 3000}) as server, prior() as pool:
        with TaskGroup() as group:
            group.start(ask, pool, f"{server.url}/reads-for-both")
            assert ready.wait(GUARD)
            assert ask(pool, server.url, bytes(6000), read=SOON) == b"6000"
