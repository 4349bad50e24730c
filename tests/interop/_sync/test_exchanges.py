"""Ordinary requests to every server: reuse, framing, heads (contracts H2, H3, H9, P9)."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from httpcore_core import ConnectionPool, RemoteProtocolError
from tests.certificates import Certificates
from tests.concurrency import TaskGroup
from tests.interop.content import SMALL, TEXT, Content
from tests.interop.servers.apache import Apache
from tests.interop.servers.caddy import Caddy
from tests.interop.servers.haproxy import HAProxy
from tests.interop.servers.lighttpd import Lighttpd
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import Server

from .asking import LIMITS, Pieces, ask, field, get, size_and_digest

pytestmark = pytest.mark.interop

PLAIN_AND_TLS = pytest.mark.parametrize("layer", ["plain", "tls"])


@pytest.fixture
def pool_options(certificates: Certificates) -> dict[str, Any]:
    return {"ssl_context": certificates.client_context()}


@PLAIN_AND_TLS
def test_one_connection_is_used_again(
    server: Server, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    """As the server sees it, too."""
    path = "/cgi/port.sh" if server.program == "lighttpd" else "/small.txt"
    ports = set()
    with ConnectionPool(**pool_options) as pool:
        for number in range(20):
            response = get(pool, server.url(layer) + path)
            ports.add(field(response, "X-Client-Port") or response.content.decode())
            assert response.extensions["connection"]["reused"] == (number > 0)
        (connection,) = pool.connections
        assert connection.info().endswith("HTTP/1.1, IDLE, Request Count: 20")
        assert pool.stats().opened == 1
    settled(pool)
    local = response.extensions["connection"]["local_address"]
    assert ports == {str(local[1])}


@PLAIN_AND_TLS
def test_h3_responses_with_and_without_a_body_in_turn(
    server: Server, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    """HEAD, 304, 206, 416, 404: each ends where the next one begins."""
    url = f"{server.url(layer)}/small.txt"
    with ConnectionPool(**pool_options) as pool:
        for _ in range(3):
            whole = get(pool, url)
            assert whole.content == SMALL
            head = ask(pool, "HEAD", url)
            assert (head.status, head.content) == (200, b"")
            assert field(head, "Content-Length") in (str(len(SMALL)), None)
            same = ask(pool, "GET", url, {"If-None-Match": field(whole, "ETag")})
            assert (same.status, same.content) == (304, b"")
            part = ask(pool, "GET", url, {"Range": "bytes=2-6"})
            assert (part.status, part.content) == (206, SMALL[2:7])
            assert field(part, "Content-Range") == f"bytes 2-6/{len(SMALL)}"
            beyond = ask(pool, "GET", url, {"Range": "bytes=1000-"})
            assert beyond.status == 416
            missing = ask(pool, "GET", f"{server.url(layer)}/missing.txt")
            assert missing.status == 404
            missing = ask(pool, "HEAD", f"{server.url(layer)}/missing.txt")
            assert (missing.status, missing.content) == (404, b"")
        assert pool.stats().opened == 1
    settled(pool)


def test_h3_no_content(nginx: Nginx, haproxy: HAProxy, apache: Apache) -> None:
    with ConnectionPool() as pool:
        for server in (nginx, haproxy):
            for method in ("GET", "HEAD", "GET"):
                response = ask(pool, method, f"{server.url('plain')}/204")
                assert (response.status, response.content) == (204, b"")
        for expected in (201, 204, 204):
            response = ask(pool, "PUT", f"{apache.url('plain')}/upload/204", None, b"again")
            assert response.status == expected
        (apache.uploads / "204").unlink()
        assert pool.stats().opened == 3


def test_several_ranges(nginx: Nginx, apache: Apache) -> None:
    with ConnectionPool() as pool:
        for server in (nginx, apache):
            url = f"{server.url('plain')}/text.txt"
            response = ask(pool, "GET", url, {"Range": "bytes=0-9,1000-1009"})
            assert response.status == 206
            assert b"multipart/byteranges" in dict(response.headers)[b"Content-Type"]
            assert TEXT[:10] in response.content
            assert TEXT[1000:1010] in response.content


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("nginx", "/chunked/text.txt"),
        ("haproxy", "/chunked/text.txt"),
        ("apache", "/gzip/medium.bin"),
        ("caddy", "/gzip/text.txt"),
        ("lighttpd", "/cgi/slow.sh"),
    ],
)
@PLAIN_AND_TLS
def test_chunked_responses(
    request: pytest.FixtureRequest,
    content: Content,
    name: str,
    path: str,
    layer: str,
    pool_options: dict[str, Any],
) -> None:
    server = request.getfixturevalue(name)
    expected = {
        "/gzip/medium.bin": (content.path / "medium.bin").read_bytes(),
        "/cgi/slow.sh": b"one two",
    }.get(path, TEXT)
    with ConnectionPool(**pool_options) as pool:
        for _ in range(2):
            url = server.url(layer) + path
            response = ask(pool, "GET", url, {"Accept-Encoding": "gzip"})
            assert field(response, "Transfer-Encoding") == "chunked"
            body = response.content
            if field(response, "Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert body == expected
        assert pool.stats().opened == 1


@PLAIN_AND_TLS
def test_gzip_is_left_alone(server: Server, layer: str, pool_options: dict[str, Any]) -> None:
    with ConnectionPool(**pool_options) as pool:
        url = f"{server.url(layer)}/gzip/text.txt"
        response = ask(pool, "GET", url, {"Accept-Encoding": "gzip"})
        assert field(response, "Content-Encoding") == "gzip"
        assert len(response.content) < len(TEXT) / 2
        assert gzip.decompress(response.content) == TEXT


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 500_000])
@PLAIN_AND_TLS
def test_bodies_come_back_as_sent(
    caddy: Caddy, lighttpd: Lighttpd, layer: str, size: int, pool_options: dict[str, Any]
) -> None:
    """With a length and chunked, to two servers that echo."""
    whole = b"".join([piece for piece in Pieces(size)])
    with ConnectionPool(**pool_options) as pool:
        for url in (f"{caddy.url(layer)}/echo", f"{lighttpd.url(layer)}/cgi/echo.sh"):
            for body in (whole, Pieces(size)):
                response = ask(pool, "POST", url, None, body)
                assert response.status == 200, url
                assert response.content == whole, url
        assert pool.stats().opened == 2


def test_p9_closed_early(nginx: Nginx, caddy: Caddy, settled: Any) -> None:
    """The short rest of a body is read, the long one costs the connection."""
    with ConnectionPool() as pool:
        for server in (nginx, caddy):
            for path, opened in (("/small.txt", 1), ("/small.txt", 1), ("/large.bin", 1)):
                before = pool.stats().opened
                url = server.url("plain") + path
                with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
                    assert response.status == 200
                assert pool.stats().opened - before <= opened
            before = pool.stats().opened
            get(pool, f"{server.url('plain')}/small.txt")
            assert pool.stats().opened == before + 1
        settled(pool)
        assert pool.stats().opened == 4


# Heads


def test_a_large_response_head(nginx: Nginx) -> None:
    """90 KiB pass, 110 KiB are over the default limit, which can be raised."""
    with ConnectionPool() as pool:
        response = get(pool, f"{nginx.url('plain')}/head/90")
        assert field(response, "X-Big") == "k" * 90 * 1024
        get(pool, f"{nginx.url('plain')}/small.txt")
        assert pool.stats().opened == 1
        with pytest.raises(RemoteProtocolError, match="102400"):
            get(pool, f"{nginx.url('plain')}/head/110")
        get(pool, f"{nginx.url('plain')}/small.txt")
        assert pool.stats().opened == 2
    with ConnectionPool(max_header_bytes=200_000) as pool:
        response = get(pool, f"{nginx.url('plain')}/head/110")
        assert field(response, "X-Big") == "k" * 110 * 1024


@PLAIN_AND_TLS
def test_a_large_request_head(
    nginx: Nginx, apache: Apache, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    """What the server refuses, it says, and the response is returned."""
    with ConnectionPool(**pool_options) as pool:
        for server in (nginx, apache):
            url = f"{server.url(layer)}/small.txt"
            most = ask(pool, "GET", url, {"X-Big": "k" * 7900})
            assert (most.status, most.content) == (200, SMALL)
            refused = ask(pool, "GET", url, {"X-Big": "k" * 9000})
            assert refused.status == 400
            again = get(pool, url)
            assert again.content == SMALL
        settled(pool)


# HTTP/1.0


@PLAIN_AND_TLS
def test_h9_a_server_of_http_1_0(
    apache: Apache, content: Content, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    with ConnectionPool(**pool_options) as pool:
        for number in (1, 2):
            response = get(pool, f"{apache.url(layer)}/old/text.txt")
            assert response.extensions["http_version"] == b"HTTP/1.0"
            assert response.content == TEXT
            assert pool.stats().opened == number
        # The end of the body is the end of the connection.
        url = f"{apache.url(layer)}/old-zipped/medium.bin"
        response = ask(pool, "GET", url, {"Accept-Encoding": "gzip"})
        assert response.extensions["http_version"] == b"HTTP/1.0"
        assert field(response, "Content-Length") is None
        assert field(response, "Transfer-Encoding") is None
        medium = (content.path / "medium.bin").read_bytes()
        assert gzip.decompress(response.content) == medium
        settled(pool)
        assert pool.stats().idle == 0


# The pool as a whole


def test_unix_socket(nginx: Nginx, content: Content) -> None:
    with ConnectionPool(uds=nginx.socket_path) as pool:
        for _ in range(3):
            response = get(pool, "http://anything.test/text.txt")
            assert response.content == TEXT
            assert response.extensions["connection"]["remote_address"] == nginx.socket_path
        extensions = {"timeout": LIMITS}
        with pool.stream(
            "GET", "http://anything.test/medium.bin", extensions=extensions
        ) as response:
            size, digest = size_and_digest(response.stream)
        assert digest == content.digests[size]
        assert pool.stats().opened == 1


@pytest.mark.parametrize(
    ("name", "layer"), [("nginx", "plain"), ("nginx", "tls"), ("haproxy", "tls"), ("caddy", "tls")]
)
def test_p2_a_thousand_requests_fifty_at_a_time(
    request: pytest.FixtureRequest,
    name: str,
    layer: str,
    pool_options: dict[str, Any],
    settled: Any,
) -> None:
    """Through ten connections, and no request gets another one's response."""
    server = request.getfixturevalue(name)
    ports = set()

    def worker(pool: ConnectionPool, number: int) -> None:
        for step in range(20):
            start = 40 * number + step
            url = f"{server.url(layer)}/text.txt"
            response = ask(pool, "GET", url, {"Range": f"bytes={start}-{start + 999}"})
            assert (response.status, response.content) == (206, TEXT[start : start + 1000])
            ports.add(field(response, "X-Client-Port"))

    with ConnectionPool(max_connections=10, **pool_options) as pool:
        with TaskGroup() as group:
            for number in range(50):
                group.start(worker, pool, number)
        settled(pool)
        stats = pool.stats()
        assert stats.opened == len(ports) <= 10
        assert stats.reused == 1000 - stats.opened
