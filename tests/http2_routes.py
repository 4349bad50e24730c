"""What the HTTP/2 server of the tests answers when no script says otherwise.

    ANY  /echo             what was received, as JSON: method, target, headers, length, sha256
    ANY  /bytes/N          N bytes with a content-length, once the request is whole
    ANY  /at-once/N        the same without waiting for the request's body
    ANY  /chunked/N        N bytes without a length, then the trailer ``x-trailer: end``
    ANY  /status/NNN       an empty response of that status
    ANY  /informational    103, then 200
    ANY  /slow/SECONDS     200 after that time
    ANY  /drip/N           N bytes, one at a time, 10 ms apart
    ANY  /endless          200 and bytes without end, as the windows allow
    ANY  /hang             200 after ``server.release()``
    ANY  /early            413 and RST_STREAM(NO_ERROR) as soon as the head is read

Rules of this file: what is sent is correct and keeps within the client's windows. A route is a
generator that yields what it waits for; all streams of a connection take turns, a frame each.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from httpcore_core.testing.http_server import pattern
from tests.http2_link import STEP, Link
from tests.http2_request import Request
from tests.protocol.http2_peer import NO_ERROR

Condition: TypeAlias = Callable[[], object]
Work: TypeAlias = Iterator[Condition]

FULL = 1 << 20
"""Bytes that wait for the network at most."""


class Exchange:
    """One request and the way to answer it."""

    def __init__(self, link: Link, request: Request) -> None:
        self.link = link
        self.request = request
        self.id = request.id
        self.argument = request.path.partition(b"?")[0].rpartition(b"/")[2].decode("ascii")
        self.bodiless = request.method == b"HEAD"

    def is_whole(self) -> bool:
        return self.id in self.link.peer.ended

    def is_over(self) -> bool:
        return self.id in self.link.resets

    def head(self, status: int, *fields: tuple[bytes, bytes], end: bool = False) -> None:
        block = self.link.peer.headers(self.id, (b":status", b"%d" % status), *fields, end=end)
        self.link.send(block, flush=False)

    def respond(self, body: bytes, status: int = 200, *fields: tuple[bytes, bytes]) -> Work:
        fields = (*fields, (b"content-length", b"%d" % len(body)))
        self.head(status, *fields, end=self.bodiless or not body)
        if body and not self.bodiless:
            yield from self.data(body)

    def data(self, body: bytes, *, end: bool = True) -> Work:
        at = 0
        while at < len(body):
            yield self.has_room
            size = min(len(body) - at, self.link.room(self.id), 16384)
            last = end and at + size == len(body)
            frame = self.link.peer.data(self.id, body[at : at + size], end=last)
            self.link.send(frame, flush=False)
            at += size

    def has_room(self) -> bool:
        return self.link.room(self.id) > 0 and self.link.unsent < FULL


def echo(exchange: Exchange) -> Work:
    yield exchange.is_whole
    request = exchange.request
    body = exchange.link.peer.bodies[exchange.id]
    text = {
        "method": request.method.decode("latin-1"),
        "target": request.path.decode("latin-1"),
        "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in request.headers],
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "connection": exchange.link.number,
    }
    yield from exchange.respond(json.dumps(text).encode())


def sized(exchange: Exchange) -> Work:
    yield exchange.is_whole
    yield from exchange.respond(pattern(int(exchange.argument)))


def at_once(exchange: Exchange) -> Work:
    yield from exchange.respond(pattern(int(exchange.argument)))


def chunked(exchange: Exchange) -> Work:
    yield exchange.is_whole
    exchange.head(200, (b"trailer", b"x-trailer"))
    yield from exchange.data(pattern(int(exchange.argument)), end=False)
    peer = exchange.link.peer
    exchange.link.send(peer.headers(exchange.id, (b"x-trailer", b"end"), end=True), flush=False)


def status(exchange: Exchange) -> Work:
    yield exchange.is_whole
    exchange.head(int(exchange.argument), end=True)


def informational(exchange: Exchange) -> Work:
    yield exchange.is_whole
    exchange.head(103, (b"link", b"</style.css>; rel=preload"))
    yield from exchange.respond(b"final")


def slow(exchange: Exchange) -> Work:
    yield exchange.is_whole
    deadline = time.monotonic() + float(exchange.argument)
    yield lambda: time.monotonic() >= deadline
    yield from exchange.respond(b"slow")


def drip(exchange: Exchange) -> Work:
    yield exchange.is_whole
    body = pattern(int(exchange.argument))
    exchange.head(200, (b"content-length", b"%d" % len(body)))
    for at in range(len(body)):
        deadline = time.monotonic() + 0.01
        yield lambda until=deadline: time.monotonic() >= until  # type: ignore[misc]
        yield from exchange.data(body[at : at + 1], end=at == len(body) - 1)


def endless(exchange: Exchange) -> Work:
    exchange.head(200)
    while True:
        yield from exchange.data(bytes(16384), end=False)


def hang(exchange: Exchange) -> Work:
    yield exchange.is_whole
    yield exchange.link.server.released.is_set
    yield from exchange.respond(b"released")


def early(exchange: Exchange) -> Work:
    yield from exchange.respond(b"too large", 413)
    if not exchange.is_whole():
        exchange.link.send(exchange.link.peer.reset(exchange.id, NO_ERROR), flush=False)


def missing(exchange: Exchange) -> Work:
    yield exchange.is_whole
    yield from exchange.respond(b"no such route", 404)


ROUTES: dict[str, Callable[[Exchange], Work]] = {
    "echo": echo,
    "bytes": sized,
    "at-once": at_once,
    "chunked": chunked,
    "status": status,
    "informational": informational,
    "slow": slow,
    "drip": drip,
    "endless": endless,
    "hang": hang,
    "early": early,
}


def serve(link: Link) -> None:
    """Answer every request of a connection, until the client ends it."""
    jobs: list[tuple[Exchange, Work, Condition]] = []
    while True:
        link.step(0.0 if any(ready() for _, _, ready in jobs) else STEP)
        while link.has_request():
            exchange = Exchange(link, link.next_request())
            name = exchange.request.path.partition(b"?")[0].split(b"/")[1:2]
            route = ROUTES.get(name[0].decode("latin-1") if name else "", missing)
            jobs.append((exchange, route(exchange), bool_true))
        jobs = [job for job in map(turn, jobs) if job is not None]


def bool_true() -> bool:
    return True


def turn(job: tuple[Exchange, Work, Condition]) -> Any:
    """One step of a route, if what it waits for has come; None when it has ended."""
    exchange, work, ready = job
    if exchange.is_over():
        work.close()  # type: ignore[attr-defined]
        return None
    if not ready():
        return job
    try:
        return exchange, work, next(work)
    except StopIteration:
        return None
