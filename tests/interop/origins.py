"""Every server that speaks HTTP/2, over TLS and with prior knowledge, as one kind of value."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tests.certificates import Certificates

from .servers.asgi import Granian, Hypercorn
from .servers.haproxy import HAProxy
from .servers.nghttpd import Nghttpd
from .servers.process import HTTP2_LAYERS, Server

SERVERS = (
    "nginx",
    "apache",
    "haproxy",
    "caddy",
    "lighttpd",
    "h2o",
    "nghttpd",
    "hypercorn",
    "granian",
)

ONE_PORT_EACH = ("nghttpd", "granian")
"""Those whose ports are processes of their own: fixtures named as ``granian_h2c``."""

REQUESTS_PER_CONNECTION = {"nginx": 1000, "lighttpd": 1000}
"""After which they say GOAWAY: a default of nginx, a setting of ours for lighttpd."""

STREAMS_AT_ONCE = {"lighttpd": 8}
"""Those that are content with fewer than a hundred."""


class Origin(NamedTuple):
    """`url` has neither path nor slash; `options` are for a pool that shall speak HTTP/2."""

    server: Server
    layer: str
    url: str
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return self.server.program

    def connections_for(self, at_once: int, count: int = 0) -> int:
        """How many connections so many requests at once, or in a row, call for."""
        at_a_time = math.ceil(at_once / STREAMS_AT_ONCE.get(self.name, 100))
        one_by_one = math.ceil(count / REQUESTS_PER_CONNECTION.get(self.name, math.inf))
        return max(at_a_time, one_by_one)


def offering_http2(certificates: Certificates) -> ssl.SSLContext:
    context = certificates.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def origin_of(certificates: Certificates, server: Server, layer: str, port: str = "") -> Origin:
    """`port` is its name, if another than `layer`."""
    options: dict[str, Any] = (
        {"ssl_context": offering_http2(certificates), "http2": True}
        if layer == "tls_h2"
        else {"http1": False, "http2": True}
    )
    if server.program == "haproxy":
        # 2.6 stalls now and then with streams that have larger windows, where many are reset: its
        # `show fd` tells of streams to be sent (send_cnt) and no wish to write (sub=1), while all
        # windows are open and we read.
        options["http2_stream_window"] = 65535
    if server.program == "lighttpd":  # speaks both protocols wherever it listens
        port = {"tls_h2": "tls", "h2c": "plain"}[layer]
    return Origin(server, layer, server.url(port or layer), options)


def fixture_name(name: str, layer: str) -> str:
    return f"{name}_{layer}" if name in ONE_PORT_EACH and layer != "tls_h2" else name


def every_origin(names: tuple[str, ...] = SERVERS) -> list[str]:
    """The parameters of the fixture `origin`."""
    return [f"{name}-{layer}" for name in names for layer in HTTP2_LAYERS]


class LimitedServers:
    """Servers by how many streams they allow at once, each started when it is first asked for."""

    def __init__(
        self,
        certificates: Certificates,
        content: Path,
        files_path: str,
        present: Callable[[str], Server],
    ) -> None:
        self._certificates = certificates
        self._content = content
        self._files_path = files_path
        self._present = present
        self._started: dict[tuple[str, str, int], Server] = {}
        self._stack = ExitStack()

    def origin(self, name: str, layer: str, streams: int) -> Origin:
        if name in ("nginx", "apache"):  # have a port for each limit
            return origin_of(self._certificates, self._present(name), layer, f"{layer}_{streams}")
        key = (name, layer if name in ONE_PORT_EACH else "", streams)
        if key not in self._started:
            self._started[key] = self._stack.enter_context(self._make(name, layer, streams))
        return origin_of(self._certificates, self._started[key], layer)

    def _make(self, name: str, layer: str, streams: int) -> Server:
        if name == "haproxy":
            return HAProxy(self._certificates, self._files_path, streams)
        if name == "nghttpd":
            return Nghttpd(self._certificates, self._content, layer, streams)
        if name == "granian":
            return Granian(self._certificates, self._content, layer, streams)
        assert name == "hypercorn", name
        return Hypercorn(self._certificates, self._content, streams)

    def stop(self) -> None:
        self._stack.close()
