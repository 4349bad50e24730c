"""Proxies behind proxies: `AsyncTunnelBackend` with real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool, AsyncTunnelBackend, ConnectError, ProxyError
from tests.certificates import Certificates
from tests.interop.content import MIB, SMALL, TEXT, Content
from tests.interop.proxies import Way, origin_behind
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.process import wait_until
from tests.interop.servers.squid import Squid

from .asking import LIMITS, ask, field, get, size_and_digest

pytestmark = pytest.mark.interop

CHAINS = [
    "tinyproxy-http squid-http",
    "tinyproxy-https-auth squid-https-auth",
    "squid-http microsocks-socks5h",
    "squid-https-auth dante-socks5",
    "dante-socks5h squid-http-digest",
    "squid-http squid-http-auth",
    "squid-https dante-socks5h microsocks-socks5-auth tinyproxy-https",
]
"""The first is the one that we connect to."""

Waybill = Callable[[str], tuple[list[Way], Any]]


@pytest.fixture
def chain(way_named: Callable[[str], Way]) -> Waybill:
    """The ways of a chain, and the network in which the last of them is reached."""

    def make(names: str) -> tuple[list[Way], Any]:
        ways = [way_named(name) for name in names.split()]
        backend = None
        for way in ways[:-1]:
            backend = AsyncTunnelBackend(way.proxy, network_backend=backend)
        return ways, backend

    return make


@pytest.mark.parametrize("names", CHAINS)
@pytest.mark.parametrize("layer", ["plain", "tls", "tls_h2", "h2c"])
async def test_x1_ordinary_requests(
    chain: Waybill,
    nginx: Nginx,
    certificates: Certificates,
    names: str,
    layer: str,
    settled: Any,
) -> None:
    ways, backend = chain(names)
    origin = origin_behind(certificates, ways[-1], nginx, layer)
    async with AsyncConnectionPool(network_backend=backend, **origin.options) as pool:
        for _ in range(2):
            small = await get(pool, f"{origin.url}/small.txt")
            assert small.content == SMALL
            ours = small.extensions["connection"]["local_address"]
            assert field(small, "X-Client-Port") != str(ours[1])
            text = await get(pool, f"{origin.url}/text.txt")
            assert text.content == TEXT
            head = await ask(pool, "HEAD", f"{origin.url}/text.txt")
            assert (head.status, head.content) == (200, b"")
            sent = await ask(pool, "PUT", f"{origin.url}/upload/proxied", None, TEXT)
            assert sent.status in (201, 204)
            assert (nginx.uploads / "proxied").read_bytes() == TEXT
        assert pool.stats().opened == 1 or not ways[-1].keeps_connections(layer)
        settled(pool)
    (nginx.uploads / "proxied").unlink()


async def test_each_proxy_of_a_chain_is_told_of_the_next(
    chain: Waybill, squid: Squid, nginx: Nginx, certificates: Certificates
) -> None:
    """And of nobody's credentials but those for itself, as squid sees it, which is there twice."""
    (_, second, last), backend = chain("squid-http-auth dante-socks5h squid-http")
    before = len(squid.seen())
    origin = origin_behind(certificates, last, nginx, "tls")
    async with AsyncConnectionPool(network_backend=backend, **origin.options) as pool:
        await get(pool, f"{origin.url}/small.txt")
    targets = [url.partition("://")[2] for url in (second.url, origin.url)]
    expected = {(targets[0], "user"), (targets[1], "-")}

    def is_logged() -> bool:  # as may be, only now, what earlier tests have left open
        return expected <= {(each.target, each.user) for each in squid.seen(before)}

    wait_until(is_logged, "squid logs both tunnels")


@pytest.mark.parametrize("names", ["squid-https tinyproxy-https", "tinyproxy-https dante-socks5"])
async def test_a_large_body(
    chain: Waybill,
    nginx: Nginx,
    certificates: Certificates,
    content: Content,
    names: str,
    settled: Any,
) -> None:
    """In the first case through TLS in TLS in TLS."""
    ways, backend = chain(names)
    origin = origin_behind(certificates, ways[-1], nginx, "tls")
    async with AsyncConnectionPool(network_backend=backend, **origin.options) as pool:
        url = f"{origin.url}/medium.bin"
        async with pool.stream("GET", url, extensions={"timeout": LIMITS}) as response:
            size, digest = await size_and_digest(response.stream)
        assert (size, digest) == (10 * MIB, content.digests[10 * MIB])
        settled(pool)


# Links that break


@pytest.mark.parametrize("layer", ["plain", "tls"])
async def test_a_first_proxy_that_does_not_know_us(
    way_named: Callable[[str], Way], nginx: Nginx, certificates: Certificates, layer: str
) -> None:
    first, second = way_named("squid-http-auth"), way_named("squid-https")
    backend = AsyncTunnelBackend(first.proxy_for(("user", "wrong")))
    origin = origin_behind(certificates, second, nginx, layer)
    async with AsyncConnectionPool(network_backend=backend, **origin.options) as pool:
        with pytest.raises(ProxyError, match=first.url) as raised:
            await get(pool, f"{origin.url}/small.txt")
        assert raised.value.status == 407


@pytest.mark.parametrize("name", ["squid-http", "tinyproxy-https", "dante-socks5h"])
async def test_a_second_proxy_that_is_not_there(
    way_named: Callable[[str], Way],
    nginx: Nginx,
    name: str,
    refusing_port: int,
    settled: Any,
) -> None:
    first = way_named(name)
    second = f"http://localhost:{refusing_port}"
    backend = AsyncTunnelBackend(first.proxy)
    async with AsyncConnectionPool(network_backend=backend, proxy=second) as pool:
        for layer in ("plain", "tls"):
            with pytest.raises(ProxyError, match=first.url) as raised:
                await get(pool, f"{nginx.url(layer)}/small.txt")
            assert (raised.value.status, raised.value.socks_reply) != (None, None)
            settled(pool)


async def test_a_second_proxy_that_refuses(
    way_named: Callable[[str], Way], squid: Squid, settled: Any
) -> None:
    backend = AsyncTunnelBackend(way_named("tinyproxy-http").proxy)
    second = way_named("squid-http")
    async with AsyncConnectionPool(network_backend=backend, proxy=second.proxy) as pool:
        with pytest.raises(ProxyError, match=f"{second.url} refused") as raised:
            await get(pool, f"https://localhost:{squid.closed_port}/")
        assert raised.value.status == 403
        settled(pool)


async def test_without_a_proxy_of_its_own(
    way_named: Callable[[str], Way],
    nginx: Nginx,
    certificates: Certificates,
    refusing_port: int,
    settled: Any,
) -> None:
    """A pool in a network behind a proxy; errors of the network are the network's."""
    context = certificates.client_context()
    for name in ("squid-https-auth", "dante-socks5h"):
        backend = AsyncTunnelBackend(way_named(name).proxy)
        async with AsyncConnectionPool(network_backend=backend, ssl_context=context) as pool:
            for layer in ("plain", "tls"):
                for _ in range(2):
                    response = await get(pool, f"{nginx.url(layer, 'localhost')}/small.txt")
                    assert response.content == SMALL
            assert pool.stats().opened == 2
            with pytest.raises((ProxyError, ConnectError)):
                await get(pool, f"http://localhost:{refusing_port}/")
            settled(pool)
