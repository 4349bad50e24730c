"""Ordinary requests over HTTP/2: heads and bodies of all sizes, with and without a body (T13)."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import ConnectionPool, NetworkError, RemoteProtocolError, TransportError
from tests.certificates import Certificates
from tests.concurrency import TaskGroup
from tests.interop.content import SMALL, TEXT
from tests.interop.origins import Origin, fixture_name, offering_http2, origin_of
from tests.interop.servers.haproxy import HAProxy
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import HTTP2_LAYERS

from .asking import Pieces, ask, field, get

pytestmark = pytest.mark.interop

LAYERS = pytest.mark.parametrize("layer", HTTP2_LAYERS)


def test_one_connection_carries_all(origin: Origin, settled: Any) -> None:
    with ConnectionPool(**origin.options) as pool:
        for number in range(20):
            response = get(pool, f"{origin.url}/text.txt")
            assert response.content == TEXT
            assert response.extensions["http_version"] == b"HTTP/2"
            assert response.extensions["stream_id"] == 2 * number + 1
            assert response.extensions["connection"]["reused"] == (number > 0)
            expected = "h2" if origin.layer == "tls_h2" else None
            assert response.extensions["connection"]["alpn"] == expected
        assert pool.stats().opened == 1
        settled(pool)


def test_h3_responses_with_and_without_a_body_in_turn(origin: Origin, settled: Any) -> None:
    url = f"{origin.url}/small.txt"
    with ConnectionPool(**origin.options) as pool:
        for _ in range(3):
            whole = get(pool, url)
            assert whole.content == SMALL
            head = ask(pool, "HEAD", url)
            assert (head.status, head.content) == (200, b"")
            assert field(head, "Content-Length") in (str(len(SMALL)), None)
            since = {"If-Modified-Since": field(whole, "Last-Modified")}
            same = ask(pool, "GET", url, since)
            assert (same.status, same.content) == (304, b"")
            missing = ask(pool, "GET", f"{origin.url}/missing.txt")
            assert missing.status == 404
            missing = ask(pool, "HEAD", f"{origin.url}/missing.txt")
            assert (missing.status, missing.content) == (404, b"")
            empty = get(pool, f"{origin.url}/numbered/0.txt")
            assert empty.content == b""
        assert pool.stats().opened == 1
        settled(pool)


def test_h3_no_content(origin: Origin, settled: Any) -> None:
    if origin.name == "nghttpd":
        return  # has nothing but files and echoes
    path = "/cgi/204.sh" if origin.name == "lighttpd" else "/204"
    with ConnectionPool(**origin.options) as pool:
        for method in ("GET", "HEAD", "GET"):
            response = ask(pool, method, origin.url + path)
            assert (response.status, response.content) == (204, b"")
        assert pool.stats().opened == 1
        settled(pool)


# Bodies that are sent

ECHOES = {"lighttpd": "/cgi/echo.sh"} | dict.fromkeys(
    ("caddy", "nghttpd", "hypercorn", "granian"), "/echo"
)
"""The others keep what they are sent by PUT, and give it back."""


def there_and_back(
    pool: ConnectionPool, origin: Origin, name: str, content: Any, size: int
) -> bytes:
    if origin.name in ECHOES:
        # lighttpd starts no script before it knows the length.
        headers = {"Content-Length": str(size)} if origin.name == "lighttpd" else {}
        response = ask(pool, "POST", origin.url + ECHOES[origin.name], headers, content)
    else:
        url = f"{origin.url}/upload/{name}"
        response = ask(pool, "PUT", url, None, content)
        assert response.status in (201, 204)
        response = ask(pool, "GET", url)
    assert response.status == 200
    return response.content


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 1_000_000])
def test_bodies_come_back_as_sent(origin: Origin, size: int, settled: Any) -> None:
    """From memory, and streamed."""
    whole = b"".join([piece for piece in Pieces(size)])
    with ConnectionPool(**origin.options) as pool:
        assert there_and_back(pool, origin, "memory", whole, size) == whole
        assert there_and_back(pool, origin, "stream", Pieces(size), size) == whole
        assert pool.stats().opened == 1
        settled(pool)


def test_twenty_bodies_at_once_come_back_as_sent(origin: Origin, settled: Any) -> None:
    sizes = [1000 + number * 20_000 for number in range(20)]

    def worker(pool: ConnectionPool, size: int) -> None:
        whole = b"".join([piece for piece in Pieces(size)])
        content = whole if size % 40_000 == 1000 else Pieces(size)
        assert there_and_back(pool, origin, f"many-{size}", content, size) == whole

    with ConnectionPool(**origin.options) as pool:
        with TaskGroup() as group:
            for size in sizes:
                group.start(worker, pool, size)
        assert pool.stats().opened <= origin.connections_for(len(sizes))
        settled(pool)


# Heads


@LAYERS
def test_a_large_response_head(
    nginx: Nginx, certificates: Certificates, layer: str, settled: Any
) -> None:
    """90 KiB pass, 110 KiB are over the default limit, which can be raised. Either way the
    connection can be used for the next request."""
    origin = origin_of(certificates, nginx, layer)
    with ConnectionPool(**origin.options) as pool:
        for _ in range(3):
            response = get(pool, f"{origin.url}/head/90")
            assert field(response, "x-big") == "k" * 90 * 1024
            with pytest.raises(RemoteProtocolError, match="102400"):
                get(pool, f"{origin.url}/head/110")
            assert (get(pool, f"{origin.url}/small.txt")).content == SMALL
        settled(pool)
    with ConnectionPool(max_header_bytes=200_000, **origin.options) as pool:
        response = get(pool, f"{origin.url}/head/110")
        assert field(response, "x-big") == "k" * 110 * 1024


@pytest.mark.parametrize("name", ["hypercorn", "granian"])
@LAYERS
def test_large_heads_both_ways(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    name: str,
    layer: str,
    settled: Any,
) -> None:
    """Of several frames each."""
    server = request.getfixturevalue(fixture_name(name, layer))
    origin = origin_of(certificates, server, layer)
    with ConnectionPool(**origin.options) as pool:
        for size in (10, 16_384, 40_000, 10):
            response = ask(pool, "GET", f"{origin.url}/head?{size}", {"X-Big": "q" * size})
            assert response.status == 200
            assert field(response, "x-big") == "k" * size
            assert response.content == str(size).encode()
        assert pool.stats().opened == 1
        settled(pool)


def test_a_request_head_that_the_server_refuses(origin: Origin, settled: Any) -> None:
    """By a response or by an error, but what comes next is not touched by it."""
    with ConnectionPool(**origin.options) as pool:
        for _ in range(3):
            try:
                response = ask(
                    pool, "GET", f"{origin.url}/small.txt", {"X-Big": "k" * 20_000}
                )
            except TransportError as exc:
                assert isinstance(exc, (RemoteProtocolError, NetworkError))
            else:
                assert response.status in (200, 400, 413, 431)
            assert (get(pool, f"{origin.url}/small.txt")).content == SMALL
        settled(pool)


@LAYERS
def test_h7_trailers(
    request: pytest.FixtureRequest, certificates: Certificates, layer: str
) -> None:
    server = request.getfixturevalue(fixture_name("nghttpd", layer))
    origin = origin_of(certificates, server, layer)
    with ConnectionPool(**origin.options) as pool:
        for path, expected in (("/small.txt", SMALL), ("/text.txt", TEXT)):
            response = get(pool, origin.url + path)
            assert response.content == expected
            assert response.extensions["trailers"] == [(b"x-trailer", b"the end")]
        assert pool.stats().opened == 1


@LAYERS
def test_h4_early_hints(haproxy: HAProxy, certificates: Certificates, layer: str) -> None:
    origin = origin_of(certificates, haproxy, layer, f"{layer}_hints")
    with ConnectionPool(**origin.options) as pool:
        for _ in range(2):
            hints = []

            def note(status: int, headers: Any, hints: list[Any] = hints) -> None:
                hints.append((status, sorted(value for name, value in headers)))

            response = get(pool, f"{origin.url}/", informational=note)
            assert response.content == b"hinted"
            assert field(response, "link") is None
            style, script = b"</style.css>; rel=preload; as=style", b"</script.js>; rel=preload"
            assert hints == [(103, [script + b"; as=script", style])]
        assert pool.stats().opened == 1


# Servers that turn out not to speak it


@pytest.mark.parametrize("name", ["nginx", "apache", "haproxy", "caddy"])
def test_t8_http_1_1_by_alpn(
    request: pytest.FixtureRequest, certificates: Certificates, name: str, settled: Any
) -> None:
    """HAProxy and Apache were not told to negotiate at all. The requests do not queue up behind
    one connection."""
    server = request.getfixturevalue(name)
    context = offering_http2(certificates)

    def worker(pool: ConnectionPool) -> None:
        for _ in range(5):
            response = get(pool, f"{server.url('tls')}/text.txt")
            assert response.content == TEXT
            assert response.extensions["http_version"] == b"HTTP/1.1"
            assert "stream_id" not in response.extensions
            assert response.extensions["connection"]["alpn"] in ("http/1.1", None)

    with ConnectionPool(ssl_context=context, http2=True, max_connections=10) as pool:
        with TaskGroup() as group:
            for _ in range(20):
                group.start(worker, pool)
        settled(pool)
        assert 1 < pool.stats().opened <= 10


def test_both_protocols_in_one_pool(
    nginx: Nginx, certificates: Certificates, settled: Any
) -> None:
    context = offering_http2(certificates)
    versions = {"tls": b"HTTP/1.1", "tls_h2": b"HTTP/2", "plain": b"HTTP/1.1"}
    with ConnectionPool(ssl_context=context, http2=True) as pool:
        for _ in range(3):
            for name, version in versions.items():
                response = get(pool, f"{nginx.url(name)}/small.txt")
                assert response.extensions["http_version"] == version
        assert pool.stats().opened == 3
        settled(pool)
