"""Real proxies of every kind in front of every kind of origin (X1, X3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool, Response
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup
from tests.interop.content import MIB, SMALL, TEXT, Content, file_digest
from tests.interop.origins import Origin
from tests.interop.proxies import Way
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import wait_until
from tests.interop.servers.squid import Squid

from .asking import LIMITS, AsyncPieces, ask, field, get, size_and_digest

pytestmark = pytest.mark.interop


def came_through(response: Response) -> bool:
    """Whether nginx was connected to by somebody else."""
    ours = response.extensions["connection"]["local_address"]
    return field(response, "X-Client-Port") != str(ours[1])


async def test_x1_ordinary_requests(
    way: Way, origin_there: Origin, nginx: Nginx, settled: Any
) -> None:
    """Of all kinds, over one connection, where the proxy keeps it."""
    origin = origin_there
    version = b"HTTP/2" if "h2" in origin.layer else b"HTTP/1.1"
    async with AsyncConnectionPool(**origin.options) as pool:
        for _ in range(2):
            small = await get(pool, f"{origin.url}/small.txt")
            assert small.content == SMALL
            assert small.extensions["http_version"] == version
            assert came_through(small)
            text = await get(pool, f"{origin.url}/text.txt")
            assert text.content == TEXT
            head = await ask(pool, "HEAD", f"{origin.url}/text.txt")
            assert (head.status, head.content) == (200, b"")
            since = {"If-None-Match": field(small, "ETag")}
            same = await ask(pool, "GET", f"{origin.url}/small.txt", since)
            assert (same.status, same.content) == (304, b"")
            missing = await ask(pool, "GET", f"{origin.url}/missing.txt")
            assert missing.status == 404
            sent = await ask(pool, "PUT", f"{origin.url}/upload/proxied", None, TEXT)
            assert sent.status in (201, 204)
            assert (nginx.uploads / "proxied").read_bytes() == TEXT
        assert pool.stats().opened == 1 or not way.keeps_connections(origin.layer)
        settled(pool)
    (nginx.uploads / "proxied").unlink()
    settled(pool)


@pytest.mark.parametrize("way", ["squid-http", "squid-https-auth"], indirect=True)
async def test_origins_share_the_connection_that_forwards(
    way: Way, nginx: Nginx, settled: Any
) -> None:
    async with AsyncConnectionPool(proxy=way.proxy) as pool:
        for _ in range(2):
            for name in ("plain", "five"):
                assert (await get(pool, f"{nginx.url(name)}/small.txt")).content == SMALL
        assert pool.stats().opened == 1
        settled(pool)


async def test_each_request_its_own_way(
    nginx: Nginx, certificates: Certificates, way_named: Callable[[str], Way], settled: Any
) -> None:
    """Whatever differs has connections of its own, and each is used again."""
    names = ("squid-http", "squid-http-auth", "squid-https", "dante-socks5", "microsocks-socks5h")
    ways = [None, *[way_named(name).proxy for name in names]]
    async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
        for _ in range(2):
            for proxy in ways:
                response = await get(pool, f"{nginx.url('tls')}/small.txt", proxy=proxy)
                assert response.content == SMALL
                assert came_through(response) == (proxy is not None)
        assert pool.stats().opened == len(ways)
        settled(pool)


# Names


@pytest.mark.parametrize("way", ["squid-http", "squid-https-auth"], indirect=True)
async def test_f16_names_that_only_the_proxy_knows(
    way: Way, nginx: Nginx, certificates: Certificates
) -> None:
    """The origin is told of them, and its certificate is for them."""
    options: dict[str, Any] = {"ssl_context": certificates.client_context(), "proxy": way.proxy}
    async with AsyncConnectionPool(**options) as pool:
        for name in ("one.test", "two.test"):
            forwarded = await get(pool, f"{nginx.url('plain', name)}/small.txt")
            assert forwarded.content == SMALL
            response = await get(pool, f"{nginx.url('tls_names', name)}/small.txt")
            assert field(response, "X-Server-Name") == name


@pytest.mark.parametrize("way", ["dante-socks5", "microsocks-socks5-auth"], indirect=True)
async def test_f16_names_that_only_we_know(
    way: Way, nginx: Nginx, certificates: Certificates
) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]  # nobody listens at the first

    options: dict[str, Any] = {"ssl_context": certificates.client_context(), "proxy": way.proxy}
    async with AsyncConnectionPool(resolver=resolve, **options) as pool:
        for name in ("one.test", "two.test"):
            response = await get(pool, f"{nginx.url('tls_names', name)}/small.txt")
            assert field(response, "X-Server-Name") == name


# Who is told what


@pytest.mark.parametrize("way", ["squid-http-auth", "squid-http-digest"], indirect=True)
async def test_x3_each_is_told_what_is_meant_for_it(
    way: Way, squid: Squid, certificates: Certificates, settled: Any
) -> None:
    def answer(peer: Peer) -> None:
        while True:
            peer.read_request()
            peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    def told(origin: Any) -> list[tuple[str, str]]:
        return [("X-Told", str(origin))]

    before = len(squid.seen())
    headers = {"Authorization": "secret", "Cookie": "secret"}
    proxy = way.proxy_for(way.auth, headers=told)
    options: dict[str, Any] = {"ssl_context": certificates.client_context(), "proxy": proxy}
    with (
        ScriptedServer(answer) as plain,
        ScriptedServer(answer, ssl_context=certificates.server_context()) as tls,
    ):
        urls = [f"http://127.0.0.1:{plain.port}", f"https://127.0.0.1:{tls.port}"]
        async with AsyncConnectionPool(**options) as pool:
            for url in urls:
                response = await ask(pool, "GET", f"{url}/path", headers)
                assert response.status == 204
            settled(pool)
        for request in plain.requests + tls.requests:
            assert request.target == b"/path"
            assert request.header(b"Proxy-Authorization") is None
            assert request.header(b"Authorization") == request.header(b"Cookie") == b"secret"
        assert [request.header(b"X-Told") for request in tls.requests] == [None]
    wait_until(lambda: squid.seen(before)[-1].method == "CONNECT", "squid logs the tunnel")
    forwarded, tunnel = [seen for seen in squid.seen(before) if seen.status != "407"]
    assert forwarded == ("GET", f"{urls[0]}/path", "204", "user", "secret", urls[0])
    target = urls[1].removeprefix("https://")
    assert tunnel == ("CONNECT", target, "200", "user", "-", urls[1])


# Digest


@pytest.mark.parametrize("way", ["squid-http-digest"], indirect=True)
async def test_digest_with_nonces_that_become_stale(
    way: Way, squid: Squid, origin_there: Origin, settled: Any
) -> None:
    """Squid challenges the first request or tunnel, and every sixth."""
    before = len(squid.seen())
    async with AsyncConnectionPool(**origin_there.options) as pool:
        for _ in range(15):
            headers = {} if "h2" in origin_there.layer else {"Connection": "close"}
            response = await ask(pool, "GET", f"{origin_there.url}/small.txt", headers)
            assert (response.status, response.content) == (200, SMALL)
        settled(pool)
    wait_until(lambda: squid.seen(before)[-1].status == "200", "squid logs the last")
    challenges = [seen for seen in squid.seen(before) if seen.status == "407"]
    assert len(challenges) == (1 if "h2" in origin_there.layer else 3)


@pytest.mark.parametrize("way", ["squid-http-digest"], indirect=True)
async def test_digest_of_many_at_once(way: Way, origin_there: Origin, settled: Any) -> None:
    async def worker(pool: AsyncConnectionPool) -> None:
        for _ in range(5):
            response = await get(pool, f"{origin_there.url}/text.txt")
            assert response.content == TEXT

    async with AsyncConnectionPool(**origin_there.options) as pool:
        async with AsyncTaskGroup() as group:
            for _ in range(20):
                group.start(worker, pool)
        settled(pool)


# Large bodies


@pytest.mark.parametrize("way", ["squid-https", "tinyproxy-https", "dante-socks5"], indirect=True)
async def test_e12_large_bodies_both_ways(
    way: Way, origin_there: Origin, nginx: Nginx, content: Content, settled: Any
) -> None:
    """At the same time; to an origin over TLS it is TLS in TLS."""
    size = 10 * MIB

    async def download(pool: AsyncConnectionPool) -> None:
        url = f"{origin_there.url}/medium.bin"
        async with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
            assert response.status == 200
            assert await size_and_digest(response.stream) == (size, content.digests[size])

    async def upload(pool: AsyncConnectionPool) -> None:
        url = f"{origin_there.url}/upload/proxied"
        response = await ask(pool, "PUT", url, None, AsyncPieces(size))
        assert response.status in (201, 204)

    async with AsyncConnectionPool(**origin_there.options) as pool:
        async with AsyncTaskGroup() as group:
            group.start(download, pool)
            group.start(upload, pool)
        settled(pool)
    assert file_digest(nginx.uploads / "proxied") == content.digests[size]
    (nginx.uploads / "proxied").unlink()
