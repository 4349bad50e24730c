"""What a pool costs that is full of idle connections, or of requests that wait for one. Nothing
here touches a network.

`policy` is the decision alone, one acquire and one release; `request` a whole request through the
pool, over streams that answer at once. Both go round the origins in turn. `waiters` is the decision
where nothing is idle: one more request queues, and the longest waiting gets a connection.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import httpcore_core

from ..servers import Servers
from . import ours

One = Callable[[], None]

CONNECTIONS = 10
"""Those for which the waiters wait."""

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _policy(max_connections: int | None) -> Any:
    # Not a public name: what is measured is whether the decision itself takes constant time.
    from httpcore_core._protocol.pool import PoolPolicy

    return PoolPolicy(
        max_connections=max_connections,
        max_connections_per_origin=None,
        max_keepalive_connections=None,
        keepalive_expiry=3600.0,
        max_connection_age=None,
    )


def policy(servers: Servers, origins: int, per_origin: int) -> One:
    from httpcore_core._protocol.pool import Waiter

    decisions = _policy(max_connections=None)
    keys = [httpcore_core.Origin(b"http", b"h%d" % n, 80) for n in range(origins)]
    for key in keys:
        waiters = [Waiter(key) for _ in range(per_origin)]
        for waiter in waiters:
            decisions.acquire(waiter, 0.0)
            assert waiter.slot is not None
            decisions.connected(waiter.slot, 0.0)
        decisions.take_wake()
        for waiter in waiters:
            assert waiter.slot is not None
            decisions.release(waiter.slot, 0.0, reusable=True)
    turns = itertools.cycle(keys)

    def one() -> None:
        waiter = Waiter(next(turns))
        decisions.acquire(waiter, 1.0)
        assert waiter.slot is not None
        decisions.release(waiter.slot, 1.0, reusable=True)

    return one


def waiters(servers: Servers, waiting: int) -> One:
    from httpcore_core._protocol.pool import Waiter

    decisions = _policy(max_connections=CONNECTIONS)
    key = httpcore_core.Origin(b"http", b"h", 80)
    active: deque[Any] = deque()
    for _ in range(CONNECTIONS):
        waiter = Waiter(key)
        decisions.acquire(waiter, 0.0)
        decisions.connected(waiter.slot, 0.0)
        active.append(waiter.slot)
    decisions.take_wake()
    for _ in range(waiting):
        decisions.acquire(Waiter(key), 0.0)

    def one() -> None:
        decisions.acquire(Waiter(key), 1.0)
        decisions.release(active.popleft(), 1.0, reusable=True)
        (served,) = decisions.take_wake()
        assert served.slot is not None
        active.append(served.slot)

    return one


class _Echo(httpcore_core.NetworkStream):
    """A peer that has answered by the time it is asked."""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        return

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return _ANSWER

    def is_readable(self) -> bool:
        return False

    def abort(self) -> bool:
        return True

    def close(self) -> None:
        return


class _Echoes(httpcore_core.NetworkBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore_core.NetworkStream:
        return _Echo()


def request(servers: Servers, origins: int, per_origin: int) -> One:
    connections = ours(
        httpcore_core.ConnectionPool(
            max_connections=None,
            max_keepalive_connections=None,
            keepalive_expiry=3600.0,
            network_backend=_Echoes(),
        )
    )
    hosts = [b"h%d" % n for n in range(origins)]

    def start(host: bytes) -> Any:
        url = (b"http", host, None, b"/")
        content = httpcore_core.ByteStream(b"")
        return connections.handle_request(b"GET", url, [(b"Host", host)], content, {}).stream

    for host in hosts:
        for stream in [start(host) for _ in range(per_origin)]:
            stream.close()
    assert connections.stats().idle == origins * per_origin
    turns = itertools.cycle(hosts)

    def one() -> None:
        start(next(turns)).read()

    return one
