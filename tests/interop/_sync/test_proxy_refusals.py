"""What real proxies say where they do not do as they are asked, and what becomes of it (X2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from httpcore_core import (
    ConnectionPool,
    ConnectError,
    ConnectTimeout,
    Proxy,
    ProxyError,
    RemoteProtocolError,
    TransportError,
)
from tests.certificates import Certificates
from tests.interop.content import SMALL
from tests.interop.origins import Origin
from tests.interop.proxies import WAYS, Way
from tests.interop.servers.dante import Dante
from tests.interop.servers.nginx import Nginx
from tests.interop.servers.squid import REALM, Squid

from .asking import ask, field, get

pytestmark = pytest.mark.interop

ASKING = [name for name in WAYS if name.count("-") == 2]
HTTP_WAYS = [name for name in WAYS if "-http" in name]
SOCKS_WAYS = [name for name in WAYS if "-socks" in name]


# Credentials


@pytest.mark.parametrize("way", ASKING, indirect=True)
@pytest.mark.parametrize("origin_there", ["plain", "tls"], indirect=True)
def test_f01_wrong_credentials(way: Way, origin_there: Origin, settled: Any) -> None:
    """Nothing of the failure is left to those who have the right ones."""
    url = f"{origin_there.url}/small.txt"
    with ConnectionPool(**origin_there.options) as pool:
        for proxy in (way.proxy_for(way.wrong_auth), way.proxy_for(None)):
            if way.forwards(origin_there.layer):
                response = ask(pool, "GET", url, proxy=proxy)
                # tinyproxy asks again as an origin would.
                assert response.status in (407, 401)
            else:
                with pytest.raises(ProxyError) as raised:
                    get(pool, url, proxy=proxy)
                assert raised.value.status in ((None,) if way.is_socks else (407, 401))
                assert "wrong" not in f"{raised.value} {raised.value!r}"
                assert bool(raised.value.headers) == bool(raised.value.body) != way.is_socks
            settled(pool)
        assert (get(pool, url)).content == SMALL
        settled(pool)


@pytest.mark.parametrize("layer", ["plain", "tls"])
def test_basic_where_digest_is_asked_for(
    squid: Squid, nginx: Nginx, certificates: Certificates, layer: str, settled: Any
) -> None:
    proxy = Proxy(squid.url("digest"), ("user", "secret"))
    options: dict[str, Any] = {"ssl_context": certificates.client_context(), "proxy": proxy}
    with ConnectionPool(**options) as pool:
        url = f"{nginx.url(layer)}/small.txt"
        if layer == "plain":
            response = ask(pool, "GET", url)
            status, headers, body = response.status, response.headers, response.content
        else:
            with pytest.raises(ProxyError, match="407 Proxy Authentication Required") as raised:
                get(pool, url)
            error = raised.value
            assert error.status is not None
            status, headers, body = error.status, error.headers, error.body
        assert status == 407
        fields = dict(headers)
        assert fields[b"Proxy-Authenticate"].startswith(b'Digest realm="%b"' % REALM.encode())
        assert len(body) == int(fields[b"Content-Length"])
        settled(pool)


# Targets


@pytest.mark.parametrize("way", ["squid-http", "squid-https-auth"], indirect=True)
def test_x2_a_port_that_squid_does_not_connect_to(
    way: Way, squid: Squid, certificates: Certificates, settled: Any
) -> None:
    options: dict[str, Any] = {"ssl_context": certificates.client_context(), "proxy": way.proxy}
    place = f"localhost:{squid.closed_port}"
    with ConnectionPool(**options) as pool:
        with pytest.raises(ProxyError, match=f"refused to connect to {place}: 403") as raised:
            get(pool, f"https://{place}/")
        error = raised.value
        assert error.status == 403
        fields = dict(error.headers)
        assert fields[b"X-Squid-Error"] == b"ERR_ACCESS_DENIED 0"
        assert len(error.body) == int(fields[b"Content-Length"])
        assert place.encode() in error.body
        settled(pool)
        response = ask(pool, "GET", f"http://{place}/")
        assert (response.status, field(response, "X-Squid-Error")) == (403, "ERR_ACCESS_DENIED 0")
        settled(pool)


@pytest.mark.parametrize("way", ["dante-socks5", "dante-socks5h"], indirect=True)
def test_x2_a_port_that_dante_does_not_connect_to(
    way: Way, dante: Dante, settled: Any
) -> None:
    with ConnectionPool(proxy=way.proxy) as pool:
        for scheme in ("http", "https"):
            with pytest.raises(ProxyError, match="not allowed by its rules") as raised:
                get(pool, f"{scheme}://localhost:{dante.closed_port}/")
            assert raised.value.socks_reply == 2
            settled(pool)


@pytest.mark.parametrize("way", HTTP_WAYS, indirect=True)
def test_x2_an_origin_that_is_not_there(way: Way, refusing_port: int, settled: Any) -> None:
    status = {"squid": 503, "tinyproxy": 500}[way.server.program]
    place = f"localhost:{refusing_port}"
    with ConnectionPool(proxy=way.proxy) as pool:
        for _ in range(2):
            response = ask(pool, "GET", f"http://{place}/")
            assert response.status == status
            assert response.content
            with pytest.raises(ProxyError, match=f"refused to connect to {place}") as raised:
                get(pool, f"https://{place}/")
            assert raised.value.status == status
            assert raised.value.body
            settled(pool)


@pytest.mark.parametrize("way", SOCKS_WAYS, indirect=True)
def test_x2_an_origin_that_is_not_there_behind_socks(
    way: Way, refusing_port: int, settled: Any
) -> None:
    place = f"{way.host}:{refusing_port}"
    with ConnectionPool(proxy=way.proxy) as pool:
        for scheme in ("http", "https"):
            with pytest.raises(ProxyError, match="connection refused") as raised:
                get(pool, f"{scheme}://{place}/")
            assert raised.value.socks_reply == 5
            settled(pool)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
def test_a_proxy_that_is_not_there(
    nginx: Nginx, scheme: str, refusing_port: int, settled: Any
) -> None:
    proxy = f"{scheme}://127.0.0.1:{refusing_port}"
    with ConnectionPool(proxy=proxy) as pool:
        for layer in ("plain", "tls"):
            with pytest.raises(ConnectError, match=f"the proxy {proxy}"):
                get(pool, f"{nginx.url(layer)}/small.txt")
            settled(pool)


# TLS


@pytest.mark.parametrize("way", ["squid-https", "tinyproxy-https"], indirect=True)
@pytest.mark.parametrize("layer", ["plain", "tls"])
def test_f10_nobody_vouches_for_the_proxy(
    way: Way, nginx: Nginx, certificates: Certificates, layer: str, settled: Any
) -> None:
    """Whom the origin's context trusts does not count."""
    options: dict[str, Any] = {"ssl_context": certificates.client_context(), "proxy": way.url}
    with ConnectionPool(**options) as pool:
        with pytest.raises(ConnectError, match=f"the proxy {way.url}: .* was not accepted"):
            get(pool, f"{nginx.url(layer)}/small.txt")
        settled(pool)


@pytest.mark.parametrize("way", ["squid-https", "tinyproxy-https"], indirect=True)
def test_f10_another_name_than_the_certificate_has(
    way: Way, nginx: Nginx, settled: Any
) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    url = way.url.replace("127.0.0.1", "proxy.test")
    with ConnectionPool(proxy=Proxy(url, **way.options), resolver=resolve) as pool:
        with pytest.raises(ConnectError, match=rf"the proxy {url}: .*proxy\.test"):
            get(pool, f"{nginx.url('plain')}/small.txt")
        settled(pool)


@pytest.mark.parametrize("way", ["squid-https", "tinyproxy-https", "dante-socks5"], indirect=True)
def test_e12_nobody_vouches_for_the_origin(
    way: Way, nginx: Nginx, certificates: Certificates, settled: Any
) -> None:
    """Whom the proxy's context trusts does not count."""
    with ConnectionPool(proxy=way.proxy) as pool:
        with pytest.raises(ConnectError, match="was not accepted") as raised:
            get(pool, f"{nginx.url('tls')}/small.txt")
        assert "the proxy" not in str(raised.value)
        settled(pool)


# Proxies taken for what they are not


@pytest.fixture
def mistaken(way_named: Callable[[str], Way], certificates: Certificates) -> Callable[..., Any]:
    """Options for a pool that speaks `scheme` to what does not."""

    def options(name: str, scheme: str) -> dict[str, Any]:
        url = f"{scheme}://{way_named(name).url.partition('://')[2]}"
        context = certificates.client_context()
        proxy = Proxy(url, ssl_context=context if scheme == "https" else None)
        return {"ssl_context": context, "proxy": proxy}

    return options


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("squid-http", "https"),
        ("squid-https", "http"),
        ("tinyproxy-https", "http"),
        ("dante-socks5", "http"),
        ("dante-socks5", "https"),
        ("microsocks-socks5", "http"),
        ("microsocks-socks5", "https"),
    ],
)
def test_f11_another_protocol(
    nginx: Nginx, mistaken: Callable[..., Any], name: str, scheme: str, settled: Any
) -> None:
    options = mistaken(name, scheme)
    with ConnectionPool(**options) as pool:
        for layer in ("plain", "tls"):
            expected: type[TransportError] = ConnectError
            if scheme == "http":
                expected = RemoteProtocolError if layer == "plain" else ProxyError
            with pytest.raises(expected) as raised:
                get(pool, f"{nginx.url(layer)}/small.txt")
            assert layer == "plain" or f"the proxy {options['proxy']}" in str(raised.value)
            settled(pool)


@pytest.mark.parametrize(
    ("name", "scheme"), [("squid-http", "socks5"), ("tinyproxy-http", "https")]
)
def test_f14_another_protocol_that_waits_for_more(
    nginx: Nginx, mistaken: Callable[..., Any], name: str, scheme: str, settled: Any
) -> None:
    options = mistaken(name, scheme)
    with ConnectionPool(**options) as pool:
        for layer in ("plain", "tls"):
            url = f"{nginx.url(layer)}/small.txt"
            with pytest.raises(ConnectTimeout, match=f"the proxy {options['proxy']}"):
                ask(pool, "GET", url, timeout={"connect": 0.2})
            settled(pool)
