"""A small and correct HTTP/1.1 server for tests, on loopback, with a handful of routes.

    GET  /echo             what was received, as JSON: method, target, headers, length, sha256
    ANY  /bytes/N          N bytes with a Content-Length
    ANY  /chunked/N        N bytes in chunks of 1,000, then the trailer ``X-Trailer: end``
    ANY  /until-close/N    N bytes ended by the end of the connection
    ANY  /status/NNN       an empty response of that status
    ANY  /informational    103, then 200
    ANY  /close            200 with ``Connection: close``
    ANY  /early            413 as soon as the head is read, and the end of the connection
    ANY  /slow/SECONDS     200 after that time
    ANY  /drip/N           N bytes, one at a time, 10 ms apart
    ANY  /hang             200 after ``server.release()``

Rules of this file: what it sends is correct to the letter; broken servers are `ScriptedServer`s.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from .peer import Peer, ReceivedRequest
from .server import ScriptedServer

Header = tuple[bytes, bytes]
Handler = Callable[["Exchange"], None]


class Exchange:
    """A request whose head has been read, and the way to answer it."""

    def __init__(self, peer: Peer, head: ReceivedRequest) -> None:
        self.peer = peer
        self.head = head
        tokens = (head.header(b"connection") or b"").lower().replace(b" ", b"").split(b",")
        self.keep_alive = b"close" not in tokens and (
            head.version == b"HTTP/1.1" or b"keep-alive" in tokens
        )

    @property
    def argument(self) -> str:
        """The last part of the path."""
        return self.head.target.partition(b"?")[0].rpartition(b"/")[2].decode("ascii")

    def read(self) -> ReceivedRequest:
        return self.peer.read_body(self.head)

    def respond(
        self, body: bytes = b"", *, status: int = 200, headers: Sequence[Header] = ()
    ) -> None:
        """A whole response with a Content-Length."""
        bodiless = status < 200 or status in (204, 304)
        length = [] if bodiless else [(b"Content-Length", b"%d" % len(body))]
        self.send_head(status, [*headers, *length])
        if not bodiless and self.head.method != b"HEAD":
            self.peer.send(body)

    def send_head(self, status: int, headers: Sequence[Header] = ()) -> None:
        try:
            reason = HTTPStatus(status).phrase.encode("ascii")
        except ValueError:
            reason = b""
        lines = [b"HTTP/1.1 %d %b" % (status, reason)]
        lines += [name + b": " + value for name, value in headers]
        if not self.keep_alive and status >= 200:
            lines.append(b"Connection: close")
        self.peer.send(b"\r\n".join([*lines, b"", b""]))


def pattern(size: int) -> bytes:
    """`size` bytes whose order can be checked: 251 is prime, so no power of two repeats them."""
    block = bytes(range(251))
    return (block * (size // len(block) + 1))[:size]


def echo(exchange: Exchange) -> None:
    request = exchange.read()
    text = {
        "method": request.method.decode("latin-1"),
        "target": request.target.decode("latin-1"),
        "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in request.headers],
        "length": len(request.body),
        "sha256": hashlib.sha256(request.body).hexdigest(),
        "connection": exchange.peer.number,
    }
    body = json.dumps(text).encode()
    exchange.respond(body, headers=[(b"Content-Type", b"application/json")])


def sized(exchange: Exchange) -> None:
    exchange.read()
    exchange.respond(pattern(int(exchange.argument)))


def chunked(exchange: Exchange) -> None:
    exchange.read()
    body = pattern(int(exchange.argument))
    exchange.send_head(200, [(b"Transfer-Encoding", b"chunked"), (b"Trailer", b"X-Trailer")])
    if exchange.head.method == b"HEAD":
        return
    chunks = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    framed = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    exchange.peer.send(b"".join([*framed, b"0\r\nX-Trailer: end\r\n\r\n"]))


def until_close(exchange: Exchange) -> None:
    exchange.read()
    exchange.keep_alive = False
    exchange.send_head(200)
    if exchange.head.method != b"HEAD":
        exchange.peer.send(pattern(int(exchange.argument)))


def status(exchange: Exchange) -> None:
    exchange.read()
    exchange.respond(status=int(exchange.argument))


def informational(exchange: Exchange) -> None:
    exchange.read()
    exchange.send_head(103, [(b"Link", b"</style.css>; rel=preload")])
    exchange.respond(b"final")


def close(exchange: Exchange) -> None:
    exchange.read()
    exchange.keep_alive = False
    exchange.respond(b"closed")


def early(exchange: Exchange) -> None:
    exchange.keep_alive = False
    exchange.respond(b"too large", status=413)


def slow(exchange: Exchange) -> None:
    exchange.read()
    exchange.peer.pause(float(exchange.argument))
    exchange.respond(b"slow")


def drip(exchange: Exchange) -> None:
    exchange.read()
    size = int(exchange.argument)
    exchange.send_head(200, [(b"Content-Length", b"%d" % size)])
    if exchange.head.method != b"HEAD":
        exchange.peer.drip(pattern(size), interval=0.01)


def hang(exchange: Exchange) -> None:
    exchange.read()
    exchange.peer.hang()
    exchange.respond(b"released")


ROUTES: Mapping[str, Handler] = {
    "echo": echo,
    "bytes": sized,
    "chunked": chunked,
    "until-close": until_close,
    "status": status,
    "informational": informational,
    "close": close,
    "early": early,
    "slow": slow,
    "drip": drip,
    "hang": hang,
}


class HTTPServer(ScriptedServer):
    """Serves `ROUTES`, and `routes` of the caller's: first part of the path to handler."""

    def __init__(
        self,
        routes: Mapping[str, Handler] | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        path: str | None = None,
    ) -> None:
        super().__init__(self._talk, ssl_context=ssl_context, host=host, path=path)
        self._routes = {**ROUTES, **(routes or {})}

    def __enter__(self) -> HTTPServer:
        self.start()
        return self

    def _talk(self, peer: Peer) -> None:
        keep_alive = True
        while keep_alive:
            exchange = Exchange(peer, peer.read_head())
            route = exchange.head.target.partition(b"?")[0].split(b"/")[1:2]
            handler = self._routes.get(route[0].decode("ascii", "replace") if route else "")
            if handler is not None:
                handler(exchange)
            else:
                exchange.read()
                exchange.respond(b"no such route", status=404)
            keep_alive = exchange.keep_alive
        peer.half_close()  # the client's end is waited for: closing with unread data is a reset
