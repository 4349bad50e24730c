"""Every way through a proxy, and every kind of origin behind it, as values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from httpcore_core import DigestProxyAuth, Proxy, ProxyAuth
from tests.certificates import Certificates

from .origins import Origin, origin_of
from .servers.process import Server
from .servers.squid import PASSWORD, USER

WAYS = (
    "squid-http",
    "squid-http-auth",
    "squid-http-digest",
    "squid-https",
    "squid-https-auth",
    "tinyproxy-http",
    "tinyproxy-http-auth",
    "tinyproxy-https",
    "tinyproxy-https-auth",
    "dante-socks5",
    "dante-socks5h",
    "microsocks-socks5",
    "microsocks-socks5-auth",
    "microsocks-socks5h",
    "microsocks-socks5h-auth",
)
"""The program, how it is spoken to, and what it is told of us, if anything."""

LAYERS = ("plain", "tls", "tls_h2", "h2c")
"""Names of ports: HTTP/1.1 and HTTP/2, in the clear and over TLS."""

CREDENTIALS = (USER, PASSWORD)
EASY_CREDENTIALS = ("user", "pass.word")
"""For tinyproxy, whose settings cannot hold others."""


class Way(NamedTuple):
    """`url` has no credentials; `auth` are those which are accepted. `host` is what the proxy is to
    know the origin by."""

    name: str
    server: Server
    url: str
    auth: tuple[str, str] | ProxyAuth | None
    options: dict[str, Any]
    host: str

    @property
    def proxy(self) -> Proxy:
        return self.proxy_for(self.auth)

    def proxy_for(self, auth: tuple[str, str] | ProxyAuth | None, **more: Any) -> Proxy:
        return Proxy(self.url, auth, **self.options, **more)

    @property
    def wrong_auth(self) -> tuple[str, str] | ProxyAuth:
        return DigestProxyAuth("user", "wrong") if "digest" in self.name else ("user", "wrong")

    @property
    def is_socks(self) -> bool:
        return self.url.startswith("socks")

    def forwards(self, layer: str) -> bool:
        """Whether the proxy is sent the requests to such an origin themselves."""
        return layer == "plain" and not self.is_socks

    def keeps_connections(self, layer: str) -> bool:
        """tinyproxy ends those on which it has forwarded a request; squid may end one on which it
        has challenged an upload."""
        return not (
            self.forwards(layer)
            and (self.server.program == "tinyproxy" or isinstance(self.auth, DigestProxyAuth))
        )


def way_through(certificates: Certificates, name: str, present: Callable[[str], Any]) -> Way:
    """`present` gives the servers, by the names of their fixtures."""
    program, scheme, *told = name.split("-")
    auth: tuple[str, str] | ProxyAuth | None = None
    options: dict[str, Any] = {}
    if told:
        auth = EASY_CREDENTIALS if program == "tinyproxy" else CREDENTIALS
    if told == ["digest"]:
        auth = DigestProxyAuth(*CREDENTIALS)
    if scheme == "https":
        options["ssl_context"] = certificates.client_context()

    # squid has a port for each; the others are processes of their own, where they ask who it is.
    server: Server = present(f"{program}_auth" if told and program != "squid" else program)
    if program == "squid":
        port = "_".join((["tls"] if scheme == "https" else []) + told) or "plain"
        url = server.url(port)
    elif scheme == "https":
        url = present("proxy_front").url("_".join(["tls", program, *told]))
    else:
        url = f"{scheme}://{server.url('proxy').partition('://')[2]}"
    # It connects to the first address of a name only, which need not be the one of nginx.
    host = "127.0.0.1" if program == "microsocks" else "localhost"
    return Way(name, server, url, auth, options, host)


def origin_behind(certificates: Certificates, way: Way, server: Server, layer: str) -> Origin:
    """Nobody but a ``socks5`` proxy's client may look up the origin's name."""
    options: dict[str, Any] = {"ssl_context": certificates.client_context()}
    if "h2" in layer:
        options = origin_of(certificates, server, layer).options
    options.update(proxy=way.proxy, resolver=resolver_for(way))
    return Origin(server, layer, server.url(layer, way.host), options)


def resolver_for(way: Way) -> Callable[[str, int], list[str]]:
    def resolve(host: str, port: int) -> list[str]:
        is_ours = way.url.startswith("socks5:") or host == "127.0.0.1"  # which is no name
        assert is_ours, f"{host} is the proxy's to look up"
        return ["127.0.0.1"]

    return resolve
