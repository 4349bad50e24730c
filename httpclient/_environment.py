"""Proxies from the environment, which a client with `trust_env` obeys.

Rules of this file: nothing is read but the mapping that is passed in, and nothing is checked before
it is needed, so that a variable that nobody asked for does no harm. Only environment variables
count: the settings of macOS and Windows are not looked at. No value of a variable appears in a
text, because it may hold a password. (``SSL_CERT_FILE``, ``SSL_CERT_DIR`` and ``SSLKEYLOGFILE`` are
obeyed where the context is made, by `httpcore_core.default_ssl_context`.)

The variables are those of curl: ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, in
lower case or else in upper case; an empty one is none. ``HTTP_PROXY`` is ignored where
``REQUEST_METHOD`` is set, because in a CGI script it is the client's ``Proxy`` header
(CVE-2016-5385).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from httpcore_core import LocalProtocolError

from ._mounts import canonical_host, port_of
from ._url_parsing import parse_host

if TYPE_CHECKING:
    from ._urls import URL

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_KINDS = {"http": "http", "ws": "http", "https": "https", "wss": "https"}

_split_entries = re.compile(r"[\s,]+").split
# An address with colons has a port only behind brackets.
_split_port = re.compile(r"(\[[^\[\]]*\]|[^:\[\]/?#@]*)(?::([0-9]{1,5}))?").fullmatch


class NoProxy:
    """What ``no_proxy`` names, separated by commas or blanks:

    - ``*``, everything;
    - ``example.com``, that host and all below it; ``.example.com`` or ``*.example.com``, only what
      is below it;
    - an IPv4 or IPv6 address, or a range of them such as ``10.0.0.0/8``; names are not looked up
      to find out whether they are in it;
    - each but a range with a port, such as ``example.com:8080`` or ``[::1]:8080``.

    What is none of these is logged and ignored.
    """

    def __init__(self, text: str) -> None:
        self._everything = False
        self._hosts: set[tuple[str, int | None]] = set()
        self._below: set[tuple[str, int | None]] = set()
        self._networks: list[_Network] = []
        for number, entry in enumerate(filter(None, _split_entries(text)), 1):
            try:
                self._add(entry)
            except ValueError:  # InvalidURL is one
                import logging

                logging.getLogger("httpclient").debug("entry %d of no_proxy is ignored", number)

    def _add(self, entry: str) -> None:
        if entry == "*":
            self._everything = True
            return
        if "/" in entry:
            network = entry.replace("[", "").replace("]", "")
            self._networks.append(ipaddress.ip_network(network, strict=False))
            return
        match = _split_port(f"[{entry}]" if entry.count(":") > 1 and "[" not in entry else entry)
        if match is None:
            raise ValueError("neither a host nor an address")
        host, digits = match.groups()
        port = None if digits is None else int(digits)
        name = host.removeprefix("*").removeprefix(".")
        canonical = canonical_host(parse_host(name))
        address = _address(canonical)
        key = str(address or canonical), port
        self._below.add(key)
        if name == host:
            self._hosts.add(key)

    def bypasses(self, url: URL) -> bool:
        """Whether `url` is to be reached without a proxy."""
        if self._everything:
            return True
        host, port = canonical_host(url.host), port_of(url)
        address = _address(host)
        if address is not None:
            host = str(address)
            if any(address in network for network in self._networks):
                return True
        if _has(self._hosts, host, port):
            return True
        while address is None and "." in host:
            host = host.partition(".")[2]
            if _has(self._below, host, port):
                return True
        return False


def _has(keys: set[tuple[str, int | None]], host: str, port: int | None) -> bool:
    return (host, None) in keys or (host, port) in keys


def _address(host: str) -> _Address | None:
    """An IPv4 address in IPv6 clothes is what it is to the one that connects."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address


class EnvironmentProxies:
    """The proxy for each URL; false if there is none for any."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        variables = dict(environ)  # on Windows this has all names in upper case
        self._proxies: dict[str, tuple[str, str]] = {}
        for kind in ("http", "https", "all"):
            name = _name_in(variables, f"{kind}_proxy")
            if name is None or (name == "HTTP_PROXY" and "REQUEST_METHOD" in variables):
                continue
            value = variables[name].strip()
            if value:
                self._proxies[kind] = name, value if "://" in value else f"http://{value}"
        exceptions = _name_in(variables, "no_proxy")
        self.no_proxy = NoProxy(variables[exceptions] if exceptions else "")
        self._checked: set[str] = set()

    def proxy_for(self, url: URL) -> str | None:
        """The URL of the proxy for `url`; None to connect directly, as to what is not HTTP.

        Raises `LocalProtocolError` if the variable does not hold the URL of a proxy, and
        `ImportError` if the proxy needs an extra."""
        kind = _KINDS.get(url.scheme)
        found = self._proxies.get(kind or "") or self._proxies.get("all")
        if kind is None or found is None or self.no_proxy.bypasses(url):
            return None
        name, proxy = found
        if name not in self._checked:
            problem = _problem_of(proxy)
            if problem is not None:
                text = f"the environment variable {name} is not the URL of a proxy: {problem}"
                raise LocalProtocolError(text, phase="proxy")
            self._checked.add(name)
        return proxy

    def __bool__(self) -> bool:
        return bool(self._proxies)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self._proxies.values())
        return f"<EnvironmentProxies [{names}]>"


def _name_in(variables: Mapping[str, str], name: str) -> str | None:
    return next((each for each in (name, name.upper()) if each in variables), None)


def _problem_of(proxy: str) -> str | None:
    """What is wrong with the URL. Where there may be credentials, nothing is quoted from it."""
    from httpcore_core import Proxy

    try:
        Proxy(proxy)
    except (TypeError, ValueError) as exc:
        return "it is malformed (not shown, it may hold credentials)" if "@" in proxy else str(exc)
    return None


def environment_proxies(environ: Mapping[str, str] = os.environ) -> EnvironmentProxies:
    """The proxies that the environment names now."""
    return EnvironmentProxies(environ)
