"""Proxies on loopback: correct ones, and the steps of which scripts make all others.

Most of them are proxy and origin in one: once the tunnel is open the same connection is served as
the origin would, over TLS of the origin's own where there is any. So names need not resolve, and a
whole chain of proxies is one script. Only a `Relay` connects to somebody else.

Rules of this file: what a correct proxy says is correct to the letter.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pytest

from httpcore_core import ConnectionPool, Proxy, TransportError
from httpcore_core.testing.http_server import ROUTES, Exchange, Handler, HTTPServer, pattern
from httpcore_core.testing.peer import Peer, ReceivedRequest
from httpcore_core.testing.server import ScriptedServer
from tests._sync.http2 import SOON, get, until
from tests.certificates import Certificates
from tests.hostile.case import check_error
from tests.http2_server import HTTP2Server, serve

Step: TypeAlias = Callable[[Peer], object]

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
GRANTED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"  # 127.0.0.1:8080

USER, PASSWORD = b"aladdin", b"open-sesame"
BASIC = b"Basic YWxhZGRpbjpvcGVuLXNlc2FtZQ=="
SECRETS = (PASSWORD, BASIC.split()[1])


def connect(answer: bytes = OPENED) -> Step:
    """Read a CONNECT request, which is recorded, and answer it."""

    def step(peer: Peer) -> None:
        request = peer.read_request()
        assert request.method == b"CONNECT", request.raw
        assert request.header(b"host") == request.target, request.raw
        peer.send(answer)

    return step


class Socks5:
    """A step: the handshake of RFC 1928, with user and password (RFC 1929) where `auth` is given.

    `asked` has type and text of the address, and the port, of each request; `users` whoever came.
    """

    def __init__(
        self,
        auth: tuple[bytes, bytes] | None = None,
        *,
        reply: bytes = GRANTED,
        drips: bool = False,
    ) -> None:
        self.asked: list[tuple[int, str, int]] = []
        self.users: list[tuple[bytes, bytes]] = []
        self.methods: list[bytes] = []
        self._auth = auth
        self._reply = reply
        self._drips = drips

    def __call__(self, peer: Peer) -> None:
        send = peer.drip if self._drips else peer.send
        version, count = peer.read_exactly(2)
        assert version == 5
        self.methods.append(peer.read_exactly(count))
        if self._auth is None:
            send(b"\x05\x00")
        else:
            assert 2 in self.methods[-1], "no user and password offered"
            send(b"\x05\x02")
            assert peer.read_exactly(1) == b"\x01"
            user = peer.read_exactly(peer.read_exactly(1)[0])
            self.users.append((user, peer.read_exactly(peer.read_exactly(1)[0])))
            assert self.users[-1] == self._auth
            send(b"\x01\x00")
        head = peer.read_exactly(4)
        assert head[:3] == b"\x05\x01\x00", head
        if head[3] == 3:
            host = peer.read_exactly(peer.read_exactly(1)[0]).decode("ascii")
        else:
            host = str(ipaddress.ip_address(peer.read_exactly({1: 4, 4: 16}[head[3]])))
        self.asked.append((head[3], host, int.from_bytes(peer.read_exactly(2), "big")))
        send(self._reply)


def forwarded(exchange: Exchange) -> None:
    """The route of targets in absolute form: what the origin would answer."""
    path = exchange.head.target.split(b"/", 3)[3]
    ROUTES[path.partition(b"/")[0].decode("ascii")](exchange)


class ProxyServer(HTTPServer):
    """Does `steps` on each connection and is the origin from there on. The first connections have
    scripts of their own, `failing`. Without steps it forwards."""

    def __init__(
        self,
        *steps: Step,
        failing: tuple[Step, ...] = (),
        proxy_context: ssl.SSLContext | None = None,
        origin_context: ssl.SSLContext | None = None,
        routes: Mapping[str, Handler] | None = None,
        host: str = "127.0.0.1",
        path: str | None = None,
    ) -> None:
        super().__init__(
            {"": forwarded, **(routes or {})}, ssl_context=proxy_context, host=host, path=path
        )
        self._steps = steps
        self._failing = failing
        self._origin_context = origin_context

    def __enter__(self) -> ProxyServer:
        self.start()
        return self

    def address(self, scheme: str = "http", userinfo: str = "") -> str:
        return f"{scheme}://{userinfo}{'@' if userinfo else ''}127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[bytes]:
        """Of all CONNECT requests."""
        return [request.target for request in self.requests if request.method == b"CONNECT"]

    def _talk(self, peer: Peer) -> None:
        if peer.number < len(self._failing):
            self._failing[peer.number](peer)
            return
        for step in self._steps:
            step(peer)
        if self._origin_context is not None:
            peer.start_tls(self._origin_context)
        super()._talk(peer)


class HTTP2ProxyServer(HTTP2Server):
    """The same for origins that speak HTTP/2."""

    def __init__(self, step: Step, *, script: Any = serve, **options: Any) -> None:
        super().__init__(script, **options)
        self._step = step

    def __enter__(self) -> HTTP2ProxyServer:
        self.start()
        return self

    def address(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}"

    def _talk(self, connection: Peer) -> None:
        self._step(connection)
        super()._talk(connection)


class Relay(ScriptedServer):
    """Does its step, connects to `port` on loopback, and moves bytes until either side ends."""

    def __init__(self, step: Step, port: int) -> None:
        super().__init__([step, self._relay])
        self._upstream = port

    def __enter__(self) -> Relay:
        self.start()
        return self

    def address(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}"

    def _relay(self, peer: Peer) -> None:
        with socket.create_connection(("127.0.0.1", self._upstream)) as upstream:
            thread = threading.Thread(target=self._back, args=(upstream, peer))
            thread.start()
            try:
                while data := peer.receive():
                    upstream.sendall(data)
                upstream.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            finally:
                if peer.ended != "FIN":
                    upstream.shutdown(socket.SHUT_RDWR)
                thread.join()

    @staticmethod
    def _back(upstream: socket.socket, peer: Peer) -> None:
        try:
            while data := upstream.recv(65536):
                peer.send(data)
            peer.half_close()
        except OSError:
            pass


# Failures

SHORT = {"connect": 0.3, "pool": 1.0, "read": SOON}
LONG = {"connect": SOON, "pool": 1.0, "read": SOON}


class Watch:
    """Collects events, and looks into each of them for credentials."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, info: dict[str, Any]) -> None:
        self.names.append(name)
        text = str({key: value for key, value in info.items() if key != "request"})
        assert not any(secret.decode() in text for secret in SECRETS), (name, text)


def failure(
    script: Step,
    scheme: str,
    certificates: Certificates,
    settled: Any,
    caplog: Any,
    limits: dict[str, float],
    url: str = "https://localhost/bytes/5",
) -> TransportError:
    """The error of a request whose proxy does what the script says; the next one works."""
    caplog.set_level(logging.DEBUG, "httpcore_core")
    step = Socks5((USER, PASSWORD)) if "socks" in scheme else connect()
    steps = () if url.startswith("http:") and "socks" not in scheme else (step,)
    tls = certificates.server_context()
    with ProxyServer(
        *steps, failing=(script,), origin_context=tls if url.startswith("https:") else None
    ) as server:
        proxy = Proxy(server.address(scheme), auth=(USER, PASSWORD))
        watch = Watch()
        with ConnectionPool(
            proxy=proxy,
            ssl_context=certificates.client_context(),
            max_connections=1,
            keepalive_expiry=None,
        ) as pool:
            started = time.monotonic()
            with pytest.raises(TransportError) as caught:
                pool.request("GET", url, extensions={"timeout": limits, "trace": watch})
            assert time.monotonic() - started < SOON - 1.0
            settled(pool)
            assert pool.connections == []
            until(lambda: not server.open_connections)
            assert get(pool, url) == pattern(5)
            settled(pool)
        server.release()
        server.wait_until_done()
        assert len(server.connections) == 2
    error = caught.value
    for secret in SECRETS:
        check_error(error, secret.decode())
        assert secret.decode() not in caplog.text
    assert any(name.endswith(".failed") for name in watch.names)
    assert not any(name.endswith(".complete") and "http11" in name for name in watch.names)
    return error


def sends(data: bytes, end: str = "") -> Step:
    """Sends it, and ends or goes on waiting."""

    def script(peer: Peer) -> None:
        try:
            peer.send(data)
        except OSError:  # it was enough for the client
            return
        ends(peer, end)

    return script


def ends(peer: Peer, end: str) -> None:
    if end == "fin":
        peer.half_close()
    elif end == "rst":
        peer.reset()
    else:
        peer.wait_for_end()


# Digest


class DigestGuard:
    """Whether a request has the right answer to a Digest challenge (RFC 7616, SHA-256)."""

    def __init__(self, nonce: bytes = b"abc") -> None:
        self.nonce = nonce
        self.counts: list[int] = []  # the nonce counts of right answers

    def challenge(self, body: bytes = b"who are you?", *more: bytes) -> bytes:
        """A whole response."""
        fields = b'realm="here", nonce="%b", qop="auth", algorithm=SHA-256' % self.nonce
        lines = [b"HTTP/1.1 407 Who?", b"Proxy-Authenticate: Digest " + fields, *more]
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])

    def admits(self, request: ReceivedRequest) -> bool:
        value = request.header(b"proxy-authorization")
        if value is None or not value.startswith(b"Digest "):
            return False
        pairs = re.findall(rb'(\w+)=(?:"([^"]*)"|([^\s,]+))', value)
        given = {name: quoted or token for name, quoted, token in pairs}
        secret = hashed(USER, b"here", PASSWORD)
        asked = hashed(request.method, request.target)
        nonce, count, cnonce = given[b"nonce"], given[b"nc"], given[b"cnonce"]
        expected = hashed(secret, nonce, count, cnonce, b"auth", asked)
        assert given[b"uri"] == request.target
        if nonce != self.nonce or given[b"response"] != expected:
            return False
        self.counts.append(int(count, 16))
        return True

    def connect(self, *more: bytes, body: bytes = b"who are you?") -> Step:
        """A step: refuse CONNECT on this connection until the answer is right. With the header
        ``Connection: close`` in `more` the connection is closed after a refusal."""

        def step(peer: Peer) -> None:
            while not self.admits(peer.read_request()):
                peer.send(self.challenge(body, *more))
                if more:
                    peer.half_close()
            peer.send(OPENED)

        return step


def hashed(*parts: bytes) -> bytes:
    return hashlib.sha256(b":".join(parts)).hexdigest().encode("ascii")
