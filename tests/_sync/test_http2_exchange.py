"""One request and its response over HTTP/2, with a real peer (T13, T14, H4, H5, H7, B09, B11)."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

import pytest
from hyperframe.frame import WindowUpdateFrame

from httpcore_core import (
    ConnectionPool,
    HTTP2Connection,
    SyncBackend,
    LocalProtocolError,
    Origin,
)
from httpcore_core.testing.http_server import pattern
from tests._sync.http2 import LIMITS, SOON, Chunks, get, h2_context, post, prior, send, until
from tests.concurrency import TaskGroup
from tests.http2_server import INITIAL_WINDOW_SIZE, HTTP2Server, Link
from tests.protocol.http2_peer import CANCEL, OK

CONTINUE = (b":status", b"100")


def test_a_request_and_its_response(settled: Any) -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            response = pool.request("GET", f"{server.url}/bytes/1000", headers={"X-A": "b"})
            assert (response.status, response.content) == (200, pattern(1000))
            assert dict(response.headers)[b"content-length"] == b"1000"
            assert response.extensions["http_version"] == b"HTTP/2"
            assert response.extensions["stream_id"] == 1
            assert "reason_phrase" not in response.extensions
            info = response.extensions["connection"]
            assert (info["request_number"], info["reused"], info["alpn"]) == (1, False, None)
            response = pool.request("GET", f"{server.url}/bytes/0")
            assert response.extensions["stream_id"] == 3
            again = response.extensions["connection"]
            assert (again["request_number"], again["reused"], again["id"]) == (2, True, info["id"])
            settled(pool)
            stats = pool.stats()
            assert (stats.opened, stats.reused, stats.idle) == (1, 1, 1)
        assert (b"x-a", b"b") in server.heads[0].headers
        until(server.connections[0].has_left)
    assert server.links[0].peak_streams == 1
    assert not server.links[0].torn


def test_over_tls_alpn_decides(certificates: Any) -> None:
    context = certificates.server_context(alpn=["h2", "http/1.1"])
    with HTTP2Server(ssl_context=context) as server:
        for protocols, expected in [(("h2", "http/1.1"), b"HTTP/2"), (("http/1.1",), b"HTTP/1.1")]:
            with ConnectionPool(
                http2=True, ssl_context=h2_context(certificates, *protocols)
            ) as pool:
                response = pool.request("GET", f"{server.url}/bytes/8")
                assert response.extensions["http_version"] == expected
                assert response.extensions["connection"]["alpn"] == protocols[0]
        assert server.http2_connections == 1


def test_a_pool_without_http2_speaks_http1_whatever_the_context_offers(
    certificates: Any,
) -> None:
    """N4: what a pool may speak is not only for the caller's context to say."""
    context = certificates.server_context(alpn=["http/1.1"])
    with HTTP2Server(ssl_context=context) as server:
        with ConnectionPool(ssl_context=h2_context(certificates)) as pool:
            assert get(pool, server.url) == b"HTTP/1.1"


def test_a_connection_of_ones_own() -> None:
    with HTTP2Server() as server:
        stream = SyncBackend().connect_tcp("127.0.0.1", server.port, timeout=SOON)
        origin = Origin(b"http", b"127.0.0.1", server.port)
        with HTTP2Connection(origin, stream, http2_stream_window=70_000) as connection:
            assert connection.is_available()
            assert connection.is_idle()
            assert not connection.is_closed()
            response = connection.request("GET", f"{server.url}/bytes/200000")
            assert response.content == pattern(200_000)
            with connection.stream("GET", f"{server.url}/endless") as response:
                assert response.status == 200
                assert connection.is_available()
                assert not connection.is_idle()
                assert str(server.port) in connection.info()
            until(lambda: server.links[0].resets)
            assert (connection.request("GET", f"{server.url}/bytes/1")).content == pattern(1)
            assert connection.is_idle()
        assert connection.is_closed()
        assert len(server.connections) == 1


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_bodies_in_memory_and_from_iterators_arrive_whole(size: int) -> None:
    body = pattern(size)
    pieces = [body[at : at + 50_000] for at in range(0, size, 50_000)]
    with HTTP2Server() as server:
        with prior() as pool:
            for content in (body, Chunks(*pieces)):
                response = post(pool, f"{server.url}/echo", content)
                text = json.loads(response.content)
                assert (text["length"], text["method"]) == (size, "POST")
                assert text["sha256"] == hashlib.sha256(body).hexdigest()
        assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "bytes/9"), ("GET", "status/204"), ("GET", "status/304")]
)
def test_no_body_after_head_204_and_304(method: str, path: str) -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            response = pool.request(method, f"{server.url}/{path}")
            assert response.content == b""
            assert get(pool, f"{server.url}/bytes/5") == pattern(5)
        assert server.links[0].resets == {}


def test_b11_header_names_go_in_lower_case_and_host_becomes_the_authority() -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            response = send(
                pool, server.port, b"/echo?q", (b"X-Mixed-Case", b"Kept"), (b"TE", b"trailers")
            )
            response.stream.read()
        headers = server.heads[0].headers
        assert [value for name, value in headers if name == b":path"] == [b"/echo?q"]
        assert [value for name, value in headers if name == b":scheme"] == [b"http"]
        authority = b"127.0.0.1:%d" % server.port
        assert [value for name, value in headers if name == b":authority"] == [authority]
        assert b"host" not in dict(headers)
        assert (b"x-mixed-case", b"Kept") in headers
        assert (b"te", b"trailers") in headers
        assert all(name == name.lower() for name, _ in headers)
        pseudo = [name.startswith(b":") for name, _ in headers]
        assert pseudo == sorted(pseudo, reverse=True)


@pytest.mark.parametrize(
    "header",
    [
        (b"Connection", b"keep-alive"),
        (b"Connection", b"X-Hop"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Upgrade", b"websocket"),
        (b"TE", b"gzip"),
        (b":path", b"/elsewhere"),
        (b"x", b"a\r\nb"),
        (b"x y", b"a"),
    ],
)
def test_b11_what_http2_cannot_carry_is_dropped_or_refused(
    header: tuple[bytes, bytes],
) -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            try:
                response = send(pool, server.port, b"/bytes/1", header)
                response.stream.read()
            except LocalProtocolError:
                assert not server.heads
            else:
                assert (header[0].lower(), header[1]) not in server.heads[0].headers
            assert get(pool, f"{server.url}/bytes/2") == pattern(2)
        assert server.heads[-1].path == b"/bytes/2"


def test_h8_a_stream_that_is_said_to_be_empty(settled: Any) -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            length = (b"Content-Length", b"0")
            how: dict[str, Any] = {"method": b"POST", "content": Chunks(b"")}
            response = send(pool, server.port, b"/echo", length, **how)
            assert b'"length": 0' in response.stream.read()
            assert 1 in server.links[0].peer.ended
            settled(pool)


@pytest.mark.parametrize("declared", [0, 2, 4])
def test_b09_h8_a_body_of_another_length_than_declared(declared: int, settled: Any) -> None:
    """The stream is reset, and the server never has a whole message; the connection goes on."""
    with HTTP2Server() as server:
        with prior() as pool:
            assert get(pool, f"{server.url}/bytes/1") == pattern(1)
            with pytest.raises(LocalProtocolError):
                send(
                    pool,
                    server.port,
                    b"/echo",
                    (b"Content-Length", b"%d" % declared),
                    method=b"POST",
                    content=Chunks(b"ab", b"c"),
                )
            settled(pool)
            assert get(pool, f"{server.url}/bytes/2") == pattern(2)
            until(lambda: 3 in server.links[0].resets)
        assert 3 not in server.links[0].peer.ended
        assert len(server.connections) == 1


def test_h4_informational_responses_go_to_the_callback() -> None:
    seen = []

    def informational(status: int, headers: list[tuple[bytes, bytes]]) -> None:
        seen.append((status, headers))

    with HTTP2Server() as server:
        with prior() as pool:
            for extensions in ({"informational": informational}, {}):
                response = pool.request(
                    "GET", f"{server.url}/informational", extensions=extensions
                )
                assert (response.status, response.content) == (200, b"final")
    assert seen == [(103, [(b"link", b"</style.css>; rel=preload")])]


def test_h5_the_body_waits_for_100_continue() -> None:
    def upload(pool: ConnectionPool, body: Chunks) -> Any:
        return pool.request(
            "POST",
            server.url,
            headers={"Expect": "100-continue", "Content-Length": "3"},
            content=body,
            extensions={"expect_continue": 30.0, "timeout": LIMITS},
        )

    def script(link: Link) -> None:
        first = link.next_request()
        assert first.header(b"expect") == b"100-continue"
        second_may_come.set()
        second = link.next_request()
        assert not link.peer.bodies[first.id]
        link.answer(second, b"meanwhile")
        link.send(link.peer.headers(first.id, CONTINUE))
        assert link.body(first.id) == b"abc"
        link.answer(first, b"done")

    second_may_come = threading.Event()
    with HTTP2Server(script) as server:
        with prior() as pool:
            with TaskGroup() as group:
                body = Chunks(b"abc")
                job = group.start(upload, pool, body)
                until(second_may_come.is_set)
                assert get(pool, server.url) == b"meanwhile"
                assert (job.result()).content == b"done"


def test_h5_a_final_answer_instead_of_100_means_no_body() -> None:
    def script(link: Link) -> None:
        request = link.next_request()
        link.answer(request, b"no")
        link.answer(link.next_request(), b"next")

    with HTTP2Server(script) as server:
        with prior() as pool:
            body = Chunks(b"abc")
            response = pool.request(
                "POST",
                server.url,
                headers={"Expect": "100-continue", "Content-Length": "3"},
                content=body,
                extensions={"expect_continue": 30.0, "timeout": LIMITS},
            )
            assert response.content == b"no"
            assert body.taken == 0
            assert get(pool, server.url) == b"next"
        assert not server.links[0].peer.bodies[1]
        assert len(server.connections) == 1


def test_h5_the_body_is_sent_when_no_100_comes_in_time() -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            response = pool.request(
                "POST",
                f"{server.url}/echo",
                headers={"Expect": "100-continue"},
                content=b"abc",
                extensions={"expect_continue": 0.05, "timeout": LIMITS},
            )
            assert json.loads(response.content)["length"] == 3


def test_h7_t13_trailers_are_there_at_the_end_of_the_body() -> None:
    with HTTP2Server() as server:
        with prior() as pool:
            with pool.stream("GET", f"{server.url}/chunked/3000") as response:
                assert not response.extensions.get("trailers")
                assert response.stream.read() == pattern(3000)
                assert response.extensions["trailers"] == [(b"x-trailer", b"end")]
            assert get(pool, f"{server.url}/bytes/1") == pattern(1)


def test_t14_the_options_reach_the_server() -> None:
    with HTTP2Server() as server:
        with prior(
            http2_stream_window=100_000,
            http2_connection_window=5_000_000,
            http2_max_concurrent_streams=2,
            max_header_bytes=20_000,
        ) as pool:
            with TaskGroup() as group:
                for number in range(10):
                    group.start(get, pool, f"{server.url}/bytes/{number}")
            assert get(pool, f"{server.url}/bytes/300000") == pattern(300_000)
        link = server.links[0]
        settings = link.frames[0].settings
        assert settings[INITIAL_WINDOW_SIZE] == 100_000
        assert settings[6] == 20_000
        assert settings[2] == 0  # no pushes
        updates = [found for found in link.frames if isinstance(found, WindowUpdateFrame)]
        assert (updates[0].stream_id, updates[0].window_increment) == (0, 5_000_000 - 65535)
        assert max(link.peak_streams for link in server.links) <= 2


@pytest.mark.parametrize(
    "options",
    [
        {"http2_stream_window": 0},
        {"http2_stream_window": 2**31},
        {"http2_connection_window": 1000},
        {"http2_max_concurrent_streams": 0},
        {"http2_ping_interval": -1.0},
        {"http2_ping_timeout": "20"},
    ],
)
def test_t14_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        prior(**options)


def test_the_steps_are_traced() -> None:
    names: list[str] = []
    with HTTP2Server() as server:
        with prior() as pool:
            for _ in range(2):
                extensions = {"trace": lambda name, info: names.append(name), "timeout": LIMITS}
                pool.request(
                    "POST", f"{server.url}/echo", content=b"x", extensions=extensions
                )
    steps = [
        "http2.send_connection_init",
        "http2.send_request_headers",
        "http2.send_request_body",
        "http2.receive_response_headers",
        "http2.receive_response_body",
        "http2.response_closed",
    ]
    for step in steps:
        expected = 1 if step == steps[0] else 2
        assert names.count(f"{step}.started") == expected, names
        assert names.count(f"{step}.complete") == expected, names
    assert not any(name.endswith(".failed") for name in names)


def test_a_head_in_many_frames_and_single_bytes() -> None:
    """CONTINUATION frames, padding, and segments of one byte make no difference."""

    def script(link: Link) -> None:
        request = link.next_request()
        peer = link.peer
        fields = [(b"x-%d" % number, b"y" * 100) for number in range(20)]
        head = peer.headers(request.id, OK, *fields, cut=50)
        link.drip(
            head + peer.data(request.id, b"abc", pad=7) + peer.data(request.id, b"", end=True)
        )
        link.answer(link.next_request(), b"next")

    with HTTP2Server(script) as server:
        with prior() as pool:
            with pool.stream("GET", server.url) as response:
                assert len(response.headers) == 20
                assert response.stream.read() == b"abc"
            assert get(pool, server.url) == b"next"
        assert CANCEL not in server.links[0].resets.values()


def test_two_requests_at_once_share_the_connection_out_of_order() -> None:
    def script(link: Link) -> None:
        link.answer(link.next_request(), b"warm")
        requests = [link.next_request() for _ in range(5)]
        for request in reversed(requests):
            link.send(link.peer.headers(request.id, OK))
        for part in (b"a", b"b"):
            for request in requests:
                link.send(link.peer.data(request.id, request.path + part))
        for request in reversed(requests):
            link.send(link.peer.data(request.id, b"", end=True))

    with HTTP2Server(script) as server:
        with prior() as pool:
            get(pool, server.url)
            with TaskGroup() as group:
                jobs = [group.start(get, pool, f"{server.url}/{number}") for number in range(5)]
                for number, job in enumerate(jobs):
                    assert job.result() == b"/%da/%db" % (number, number)
        assert len(server.connections) == 1
