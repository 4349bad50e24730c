"""Servers that break the protocol, end to end: T11, T13, and group C of the fault catalogue.

What each abuse leads to frame by frame is for `tests.protocol.test_http2_abuse`. Here: a connection
error fails every stream in flight with `RemoteProtocolError` and the next request works on a new
connection; a stream error fails one stream, and the connection goes on.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from httpcore_core import RemoteProtocolError
from tests._async.http2 import SOON, get, outcome, post, prior, until
from tests.concurrency import AsyncTaskGroup
from tests.http2_server import HTTP2Server, Link, Request
from tests.protocol.http2_peer import OK, fields, frame

Abuse = Callable[[Link, Request], bytes]


def continuation_flood(link: Link, request: Request) -> bytes:
    return frame(1, 0, request.id, link.peer.encoder.encode([OK])) + frame(9, 0, request.id) * 5000


def endless_block(link: Link, request: Request) -> bytes:
    piece = link.peer.encoder.encode([OK, (b"x", b"y" * 10_000)], huffman=False)
    return frame(1, 0, request.id, piece) + frame(9, 0, request.id, bytes([0]) * 10_000) * 60


def ping_flood(link: Link, request: Request) -> bytes:
    return link.peer.ping() * 20_000


def settings_flood(link: Link, request: Request) -> bytes:
    return frame(4, 0, 0, struct.pack(">HL", 4, 65535)) * 20_000


def empty_data_flood(link: Link, request: Request) -> bytes:
    return link.peer.headers(request.id, OK) + frame(0, 0, request.id) * 50_000


def reset_flood(link: Link, request: Request) -> bytes:
    return link.peer.reset(1, 8) * 50_000


CONNECTION_ERRORS: dict[str, Abuse] = {
    "C01 CONTINUATION flood": continuation_flood,
    "C01 a field block without an end": endless_block,
    "C02 SETTINGS flood": settings_flood,
    "C03 PING flood": ping_flood,
    "C04 empty DATA flood": empty_data_flood,
    "C05 RST_STREAM flood": reset_flood,
    "C08 bad index": lambda link, request: frame(1, 5, request.id, b"\xff\xff\xff\x7f"),
    "C09 connection window by nothing": lambda link, request: link.peer.window_update(0, 0),
    "C10 connection window overflow": lambda link, request: link.peer.window_update(0, 2**31 - 1),
    "C37 PUSH_PROMISE": lambda link, request: frame(5, 4, request.id, struct.pack(">L", 2)),
    "C37 HEADERS on an even stream": lambda link, request: link.peer.headers(2, OK),
    "C38 DATA on an idle stream": lambda link, request: link.peer.data(9999, b"x"),
    "C38 DATA on stream 0": lambda link, request: link.peer.data(0, b"x"),
    "C38 a frame too large": lambda link, request: frame(0, 0, request.id, bytes(20_000)),
    "C38 SETTINGS of five bytes": lambda link, request: frame(4, 0, 0, bytes(5)),
    "C38 PING of seven bytes": lambda link, request: frame(6, 0, 0, bytes(7)),
    "C38 all padding": lambda link, request: frame(0, 8, request.id, b"\x05abc"),
    "C38 a frame inside a field block": lambda link, request: (
        frame(1, 0, request.id, link.peer.encoder.encode([OK])) + link.peer.ping()
    ),
    "C38 CONTINUATION out of nothing": lambda link, request: frame(9, 4, request.id),
    "not HTTP/2 any more": lambda link, request: b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
async def test_t11_a_connection_error_fails_all_streams(name: str, settled: Any) -> None:
    def script(link: Link) -> None:
        requests = [link.next_request() for _ in range(3)]
        link.send_raw(CONNECTION_ERRORS[name](link, requests[1]))
        link.wait_for_end()

    with HTTP2Server(script, lambda link: link.answer_all()) as server:
        async with prior(max_connections=1) as pool:
            started = time.monotonic()
            async with AsyncTaskGroup() as group:
                jobs = [group.start(outcome, pool, server.url) for _ in range(3)]
                for job in jobs:
                    error = await job.result()
                    assert type(error) is RemoteProtocolError, repr(error)
                    assert str(server.port) in str(error)
            assert time.monotonic() - started < SOON
            settled(pool)
            assert pool.connections == []
            assert await get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 2
        assert server.peak == 1
        assert not server.links[0].torn


@pytest.mark.parametrize("name", ["C08 bad index", "C38 a frame too large", "C03 PING flood"])
async def test_t11_the_server_is_told_why(name: str) -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        link.send_raw(CONNECTION_ERRORS[name](link, request))
        link.wait_for(lambda: link.goaways)
        told.set()

    told = threading.Event()
    with HTTP2Server(script) as server:
        async with prior() as pool:
            assert isinstance(await outcome(pool, server.url), RemoteProtocolError)
            if name != "C03 PING flood":  # it may be gone before it has read all of its own flood
                await until(told.is_set)


async def test_c06_a_header_bomb_is_bounded(settled: Any) -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        encoder = link.peer.encoder
        block = encoder.encode([OK, (b"bomb", b"x" * 4000)], huffman=False)
        index = encoder.encode([(b"bomb", b"x" * 4000)])
        assert len(index) == 1
        link.send(link.peer.block(request.id, block + index * 10_000, end=True, cut=16384))
        link.answer_all()

    with HTTP2Server(script, lambda link: link.answer_all()) as server:
        async with prior(max_connections=1) as pool:
            error = await outcome(pool, server.url)
            assert isinstance(error, RemoteProtocolError), repr(error)
            settled(pool)
            assert await get(pool, f"{server.url}/next") == b"/next"


async def test_c05_interim_responses_are_bounded(settled: Any) -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        for _ in range(5000):
            link.send(link.peer.headers(request.id, (b":status", b"103")), flush=False)
        link.answer(request, b"never seen")
        link.answer_all()

    with HTTP2Server(script, lambda link: link.answer_all()) as server:
        async with prior(max_connections=1) as pool:
            error = await outcome(pool, server.url)
            assert isinstance(error, RemoteProtocolError), repr(error)
            settled(pool)
            assert await get(pool, f"{server.url}/next") == b"/next"


def head(*names_and_values: bytes, end: bool = True) -> Abuse:
    def build(link: Link, request: Request) -> bytes:
        return link.peer.headers(request.id, *fields(*names_and_values), end=end)

    return build


def with_data(*sizes: int, length: int, end: bool = True) -> Abuse:
    def build(link: Link, request: Request) -> bytes:
        peer = link.peer
        parts = [peer.headers(request.id, OK, (b"content-length", b"%d" % length))]
        for number, size in enumerate(sizes):
            last = end and number == len(sizes) - 1
            parts.append(peer.data(request.id, b"x" * size, end=last))
        return b"".join(parts)

    return build


def no_status(link: Link, request: Request) -> bytes:
    return link.peer.headers(request.id, (b"a", b"b"), end=True)


def raw_head(*pairs: tuple[bytes, bytes]) -> Abuse:
    return lambda link, request: link.peer.headers(request.id, *pairs, end=True)


STREAM_ERRORS: dict[str, Abuse] = {
    "C09 stream window by nothing": lambda link, request: link.peer.window_update(request.id, 0),
    "C10 stream window overflow": lambda link, request: link.peer.window_update(
        request.id, 2**31 - 1
    ),
    "C31 no status": no_status,
    "C31 status abc": raw_head((b":status", b"abc")),
    "C31 status 20": raw_head((b":status", b"20")),
    "C31 two statuses": raw_head(OK, OK),
    "C31 pseudo after regular": raw_head((b"a", b"b"), OK),
    "C31 unknown pseudo": raw_head(OK, (b":what", b"x")),
    "C32 upper case": raw_head(OK, (b"Name", b"x")),
    "C32 empty name": raw_head(OK, (b"", b"x")),
    "C32 CRLF in a value": raw_head(OK, (b"a", b"b\r\nc: d")),
    "C32 NUL in a name": raw_head(OK, (b"a\0", b"b")),
    "C33 connection": raw_head(OK, (b"connection", b"close")),
    "C33 transfer-encoding": raw_head(OK, (b"transfer-encoding", b"chunked")),
    "C34 more than declared": with_data(5, length=3),
    "C34 more than declared, later": with_data(3, 2, length=3),
    "C34 less than declared": with_data(5, length=30),
    "C34 nothing of what was declared": head(b":status: 200", b"content-length: 30"),
    "C34 two lengths": raw_head(OK, (b"content-length", b"1"), (b"content-length", b"2")),
    "C35 DATA before HEADERS": lambda link, request: link.peer.data(request.id, b"x"),
    "C35 trailers that do not end": lambda link, request: (
        link.peer.headers(request.id, OK) + link.peer.headers(request.id, (b"a", b"b"))
    ),
    "C35 trailers with pseudo": lambda link, request: (
        link.peer.headers(request.id, OK) + link.peer.headers(request.id, OK, end=True)
    ),
}


@pytest.mark.parametrize("name", STREAM_ERRORS)
async def test_t11_t13_a_stream_error_fails_one_stream(name: str, settled: Any) -> None:
    def script(link: Link) -> None:
        other = link.next_request()
        request = link.next_request()
        link.send(STREAM_ERRORS[name](link, request))
        link.reset_of(request.id)
        link.answer(other, b"other")
        link.answer_all()

    with HTTP2Server(script, lambda link: link.answer_all()) as server:
        async with prior(max_connections=1) as pool:
            async with AsyncTaskGroup() as group:
                other = group.start(outcome, pool, server.url)
                await until(lambda: server.heads)
                # Its request has ended: the server's reset is the only thing left to be said.
                with pytest.raises(RemoteProtocolError):
                    await post(pool, server.url)
                assert await other.result() == b"other"
            settled(pool)
            assert await get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


async def test_c38_late_frames_on_a_closed_stream_are_ignored() -> None:
    def script(link: Link) -> None:
        for _ in range(3):
            request = link.next_request()
            peer = link.peer
            link.send(peer.headers(request.id, OK), peer.data(request.id, b"abc"))
            link.reset_of(request.id)
            link.send(
                peer.data(request.id, b"late"),
                peer.window_update(request.id, 5),
                peer.headers(request.id, (b"late", b"trailer"), end=True),
                peer.reset(request.id, 8),
            )
        link.answer_all()

    with HTTP2Server(script) as server:
        async with prior() as pool:
            for _ in range(3):
                async with pool.stream("GET", server.url):
                    pass
            assert await get(pool, f"{server.url}/next") == b"/next"
        assert len(server.connections) == 1


async def test_c12_c13_strange_settings_do_no_harm() -> None:
    for settings in ({1: 2**32 - 1}, {1: 0}, {6: 1}, {0x9999: 5}, {5: 2**24 - 1}):
        with HTTP2Server(settings=settings) as server:
            async with prior() as pool:
                for number in range(3):
                    response = await pool.request(
                        "POST",
                        f"{server.url}/at-once/{number}",
                        headers={f"x-{n}": "y" * 50 for n in range(20)},
                        content=b"x" * 100_000,
                    )
                    assert response.status == 200
            assert len(server.connections) == 1
