"""Opening a tunnel through a SOCKS5 proxy: RFC 1928, and RFC 1929 for user and password.

Rules of this file: bytes in, bytes out; no I/O, no clock. Messages are written and read by
`socksio`, which wants whole ones: where one ends is found out here. The interface is that of
`Tunnel`; a connection has one attempt, and a SOCKS proxy never asks for another.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING

from socksio import ProtocolError as SOCKSError
from socksio.socks5 import (
    SOCKS5AType,
    SOCKS5AuthMethod,
    SOCKS5AuthMethodsRequest,
    SOCKS5AuthReply,
    SOCKS5Command,
    SOCKS5CommandRequest,
    SOCKS5UsernamePasswordReply,
    SOCKS5UsernamePasswordRequest,
)

from httpcore_core._exceptions import ProxyError, ReadError, TransportError

from .origin import authority, canonical_origin
from .tunnel import broken_off

if TYPE_CHECKING:
    from httpcore_core._proxy import Proxy

_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}
"""RFC 1928, section 6."""

_ABOUT_THE_ADDRESS = frozenset((1, 3, 4, 5, 6, 8))
"""Replies after which another address of the same origin may still be reached."""

_NAME = 3
_ADDRESS_SIZES = {1: 4, 4: 16}
"""Types of addresses, and the sizes of those that are no names: RFC 1928, section 5."""


_VERSION, _AUTH_VERSION = 5, 1


class SOCKS5Tunnel:
    """One tunnel on its way. `host` is an IP address, or the name that the proxy is to resolve."""

    event = "proxy.socks5_handshake"
    needs_connection = False

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        # What a resolver of the caller's says is checked as the host of a URL is.
        origin = canonical_origin(b"http", host.encode("ascii", "replace"), port)
        self.target = authority(origin)
        self._proxy = proxy
        self._host = origin.host.decode("ascii")
        self._port = port
        self._buffer = b""
        self._version = _VERSION  # the first byte of the next message
        self._take: Callable[[bytes], bytes] = self._take_method  # what it is, and our answer
        self.is_open = False
        self.answer: str | None = None  # the address from which the proxy reaches the origin
        self.leftover = b""

    def begin(self) -> bytes:
        """The first bytes: the ways in which we can authenticate."""
        methods = [SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if self._proxy.auth is not None:
            methods.append(SOCKS5AuthMethod.USERNAME_PASSWORD)
        return SOCKS5AuthMethodsRequest(methods).dumps()

    def receive(self, data: bytes) -> bytes:
        """Take what the proxy sent, ``b""`` for its end; returns what to write next, if anything.

        Raises `ProxyError`.
        """
        if not data:
            text = "it closed the connection in the middle of the handshake"
            raise self._error(text) from ReadError("the end of the stream")
        self._buffer += data
        if self._buffer[0] != self._version:  # at once: it may be HTTP text, or anything
            raise self._error("it does not speak SOCKS5")
        size = self._size()
        if len(self._buffer) < size:
            return b""
        message, rest = self._buffer[:size], self._buffer[size:]
        self._buffer = b""
        try:
            following = self._take(message)
        except SOCKSError as exc:
            raise self._error(f"it does not speak SOCKS5 ({exc})") from exc
        if self.is_open:
            self.leftover = rest
        elif rest:
            raise self._error("it answered before it was asked")
        return following

    def _size(self) -> int:
        """Of the message that comes next, as far as that can be told yet."""
        if self._take != self._take_reply:
            return 2
        if len(self._buffer) > 1 and self._buffer[1]:
            return 2  # a refusal: what follows is of no consequence
        if len(self._buffer) < 5:
            return 5
        kind = self._buffer[3]
        if kind == _NAME:
            return 7 + self._buffer[4]
        if kind not in _ADDRESS_SIZES:
            raise self._error(f"it answered with an unknown type of address ({kind})")
        return 6 + _ADDRESS_SIZES[kind]

    # The three messages of the proxy

    def _take_method(self, message: bytes) -> bytes:
        """RFC 1928, section 3."""
        method, auth = SOCKS5AuthReply.loads(message).method, self._proxy.auth
        if method == SOCKS5AuthMethod.NO_AUTH_REQUIRED:
            return self._ask()
        if method == SOCKS5AuthMethod.USERNAME_PASSWORD and isinstance(auth, tuple):
            self._version, self._take = _AUTH_VERSION, self._take_verdict
            return SOCKS5UsernamePasswordRequest(*auth).dumps()
        if method == SOCKS5AuthMethod.NO_ACCEPTABLE_METHODS:
            offered = "user and password" if auth else "a client without user and password"
            raise self._error(f"it does not accept {offered}")
        raise self._error("it chose a way to authenticate that was not offered")

    def _take_verdict(self, message: bytes) -> bytes:
        """RFC 1929, section 2."""
        if not SOCKS5UsernamePasswordReply.loads(message).success:
            raise self._error("it does not accept the user and password")
        return self._ask()

    def _ask(self) -> bytes:
        """RFC 1928, section 4."""
        self._version, self._take = _VERSION, self._take_reply
        try:
            address = ipaddress.ip_address(self._host)
        except ValueError:
            kind, packed = SOCKS5AType.DOMAIN_NAME, self._host.encode("ascii")
        else:
            packed = address.packed
            kind = SOCKS5AType.IPV4_ADDRESS if address.version == 4 else SOCKS5AType.IPV6_ADDRESS
        return SOCKS5CommandRequest(SOCKS5Command.CONNECT, kind, packed, self._port).dumps()

    def _take_reply(self, message: bytes) -> bytes:
        """RFC 1928, section 6. Where the proxy reaches the origin from is of no consequence."""
        code = message[1]
        if code:
            error = self._error(_REPLIES.get(code, f"unknown reply {code}"))
            error.socks_reply = code
            raise error
        address, port = message[4:-2], int.from_bytes(message[-2:], "big")
        if message[3] == _NAME:
            host = ascii(address[1:].decode("latin-1"))[1:-1]
        else:
            host = str(ipaddress.ip_address(address))
        self.answer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.is_open = True
        return b""

    def failed(self, error: TransportError) -> TransportError:
        """What to raise where reading or writing met `error`."""
        return broken_off(self._proxy, error)

    def _error(self, text: str) -> ProxyError:
        target = self.target.decode("ascii")
        return ProxyError(f"the proxy {self._proxy} did not connect to {target}: {text}")


def may_try_another(error: ProxyError) -> bool:
    """Whether another address of the origin may still be reached."""
    return error.socks_reply in _ABOUT_THE_ADDRESS
