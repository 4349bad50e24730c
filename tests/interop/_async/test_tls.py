"""TLS as real servers speak it: versions, names, client certificates, sessions (N5, N8, N9)."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool, ConnectError, NetworkError, ReadError
from tests.certificates import Certificates
from tests.interop.content import SMALL
from tests.interop.servers.apache import Apache
from tests.interop.servers.caddy import Caddy
from tests.interop.servers.haproxy import HAProxy
from tests.interop.servers.nginx import NAMES, Nginx
from tests.interop.servers.process import Server

from .asking import ask, field, get

pytestmark = pytest.mark.interop

CLOSE = {"Connection": "close"}


def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.mark.parametrize(("name", "version"), [("tls12", "TLSv1.2"), ("tls13", "TLSv1.3")])
async def test_servers_of_one_version(
    nginx: Nginx, certificates: Certificates, name: str, version: str
) -> None:
    async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
        response = await get(pool, f"{nginx.url(name)}/small.txt")
        assert response.extensions["connection"]["tls_version"] == version
        assert field(response, "X-Protocol") == version


async def test_no_common_version(nginx: Nginx, certificates: Certificates, settled: Any) -> None:
    import ssl

    context = certificates.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with AsyncConnectionPool(ssl_context=context) as pool:
        with pytest.raises(ConnectError, match="protocol version"):
            await get(pool, f"{nginx.url('tls13')}/small.txt")
        await get(pool, f"{nginx.url('tls12')}/small.txt")
        settled(pool)


async def test_alpn_is_what_the_caller_set(server: Server, certificates: Certificates) -> None:
    context = certificates.client_context()
    context.set_alpn_protocols(["http/1.1"])
    async with AsyncConnectionPool(ssl_context=context) as pool:
        response = await get(pool, f"{server.url('tls')}/small.txt")
        # HAProxy and Apache were not told to negotiate.
        assert response.extensions["connection"]["alpn"] in ("http/1.1", None)
        assert response.content == SMALL


async def test_n5_names_that_the_certificate_does_not_have(
    server: Server, certificates: Certificates, settled: Any
) -> None:
    context = certificates.client_context()
    async with AsyncConnectionPool(ssl_context=context, resolver=loopback) as pool:
        with pytest.raises(ConnectError, match=r"elsewhere\.test"):
            await get(pool, f"{server.url('tls', 'elsewhere.test')}/small.txt")
        with pytest.raises(ConnectError, match=r"elsewhere\.test"):
            await get(pool, f"{server.url('tls')}/small.txt", sni_hostname="elsewhere.test")
        settled(pool)
        await get(pool, f"{server.url('tls', 'localhost')}/small.txt")


async def test_n5_nobody_vouches_for_the_server(server: Server, settled: Any) -> None:
    async with AsyncConnectionPool() as pool:
        with pytest.raises(ConnectError, match="was not accepted"):
            await get(pool, f"{server.url('tls')}/small.txt")
        settled(pool)


# Several names at one address


async def test_sni_chooses_the_certificate(nginx: Nginx, certificates: Certificates) -> None:
    context = certificates.client_context()
    async with AsyncConnectionPool(ssl_context=context, resolver=loopback) as pool:
        for _ in range(2):
            for name in NAMES:
                response = await get(pool, f"{nginx.url('tls_names', name)}/small.txt")
                assert field(response, "X-Server-Name") == name
                stream = response.extensions["network_stream"]
                certificate = stream.get_extra_info("ssl_object").getpeercert()
                assert certificate["subjectAltName"] == (("DNS", name),)
        assert pool.stats().opened == len(NAMES)


async def test_sni_hostname_chooses_the_certificate(
    nginx: Nginx, certificates: Certificates
) -> None:
    """One address, several names: a connection is only used again under its own."""
    async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
        for _ in range(2):
            for name in NAMES:
                url = f"{nginx.url('tls_names')}/small.txt"
                response = await ask(pool, "GET", url, {"Host": name}, sni_hostname=name)
                assert response.status == 200
                assert field(response, "X-Server-Name") == name
        assert pool.stats().opened == len(NAMES)


# Client certificates


@pytest.mark.parametrize("name", ["tls12_client", "tls13_client"])
async def test_n9_client_certificate_accepted(
    apache: Apache, haproxy: HAProxy, certificates: Certificates, name: str
) -> None:
    context = certificates.client_context(client_certificate=True)
    async with AsyncConnectionPool(ssl_context=context) as pool:
        for server in (apache, haproxy):
            for _ in range(2):
                await get(pool, f"{server.url(name)}/small.txt")


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("tls12_client", ConnectError, "handshake failure"),
        ("tls13_client", ReadError, "certificate required"),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_e14_client_certificate_missing(
    apache: Apache,
    haproxy: HAProxy,
    certificates: Certificates,
    name: str,
    error: type[NetworkError],
    text: str,
    size: int,
    settled: Any,
) -> None:
    """In TLS 1.3 the server's refusal comes after the handshake has succeeded for the client."""
    async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
        for server in (apache, haproxy):
            for _ in range(3):
                with pytest.raises(error, match=text):
                    await ask(pool, "PUT", f"{server.url(name)}/small.txt", None, bytes(size))
                settled(pool)
        assert pool.stats().idle == 0


async def test_client_certificate_that_nginx_asks_for(
    nginx: Nginx, certificates: Certificates
) -> None:
    """nginx answers over HTTP where it is missing."""
    for has_certificate, expected in ((False, (400, "NONE")), (True, (200, "SUCCESS"))):
        context = certificates.client_context(client_certificate=has_certificate)
        async with AsyncConnectionPool(ssl_context=context) as pool:
            response = await ask(pool, "GET", f"{nginx.url('tls_client')}/small.txt")
            assert (response.status, field(response, "X-Verified")) == expected


# Sessions


@pytest.mark.parametrize("name", ["tls", "tls12", "tls12_cache", "tls13"])
async def test_n8_sessions_are_resumed(nginx: Nginx, certificates: Certificates, name: str) -> None:
    """As nginx sees it: ``r`` for a resumed session, ``.`` for a new one."""
    async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
        seen = ""
        for _ in range(4):
            response = await ask(pool, "GET", f"{nginx.url(name)}/small.txt", CLOSE)
            seen += field(response, "X-Session-Reused") or "?"
        assert seen == ".rrr"
        assert pool.stats().opened == 4


async def test_n8_sessions_are_resumed_as_haproxy_sees_it(
    haproxy: HAProxy, certificates: Certificates
) -> None:
    async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
        seen = ""
        for _ in range(4):
            response = await ask(pool, "GET", f"{haproxy.url('tls')}/small.txt", CLOSE)
            seen += field(response, "X-Session-Reused") or "?"
        assert seen == "0111"


async def test_n8_sessions_are_resumed_as_we_see_it(
    caddy: Caddy, certificates: Certificates
) -> None:
    async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
        seen = []
        for _ in range(4):
            url = f"{caddy.url('tls')}/small.txt"
            async with pool.stream("GET", url, headers=CLOSE) as response:
                await response.stream.aread()
                stream = response.extensions["network_stream"]
                seen.append(stream.get_extra_info("ssl_object").session_reused)
        assert seen == [False, True, True, True]


async def test_sessions_stay_with_their_names(nginx: Nginx, certificates: Certificates) -> None:
    context = certificates.client_context()
    async with AsyncConnectionPool(ssl_context=context, resolver=loopback) as pool:
        for expected in (".", "r"):
            for name in NAMES:
                url = f"{nginx.url('tls_names', name)}/small.txt"
                response = await ask(pool, "GET", url, CLOSE)
                assert field(response, "X-Session-Reused") == expected
