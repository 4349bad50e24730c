"""What is asked of an FTP server: from a request of HTTP to a plan of commands.

Rules of this file: pure; whatever is wrong with a request is found here, before any connection is
made. No part of it can become a command of its own: CR, LF and NUL are refused wherever they are.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple

from httpcore_core import (
    ConnectTimeout,
    LocalProtocolError,
    ReadTimeout,
    TimeoutException,
    TransportError,
    UnsupportedProtocol,
    WriteTimeout,
)

from ._limits import limit_of
from ._paths import path_segments

DEFAULT_PORT = 21

ANONYMOUS = (b"anonymous", b"anonymous@")
"""RFC 1635; what others send too, where the address of a person was once asked for."""

_FILE_METHODS = {b"GET": "get", b"HEAD": "head", b"PUT": "put", b"DELETE": "delete"}
_DIRECTORY_METHODS = {b"GET": "list", b"HEAD": "enter"}
# What FTP has no means to observe, and what must not be done otherwise (RFC 9110, 13.1 and 14.5).
_CONDITIONS = frozenset(
    (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"content-range")
)
_INJECTION = re.compile(rb"[\r\n\0]")
_TIMEOUTS: dict[str, type[TimeoutException]] = {
    "connect": ConnectTimeout,
    "read": ReadTimeout,
    "write": WriteTimeout,
}

Credentials = tuple[bytes, bytes]


class Plan(NamedTuple):
    """`action` is "get", "head", "list", "enter", "put" or "delete"; or none is, and `refusal` has
    the status that the request comes to, and `allow` the methods it could have had."""

    host: str
    port: int
    path: bytes
    action: str
    credentials: Credentials | None
    content_length: int | None
    refusal: int = 0
    allow: bytes = b""

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ftp://{host}:{self.port}"


def plan_request(
    method: bytes,
    url: tuple[bytes, bytes, int | None, bytes],
    headers: Iterable[tuple[bytes, bytes]],
) -> Plan:
    """Raises `LocalProtocolError`, `UnsupportedProtocol`."""
    scheme, host, port, target = url
    if scheme != b"ftp":
        raise UnsupportedProtocol(f"{scheme!r} is not the scheme ftp", phase="request")
    if not host or not host.isascii() or _INJECTION.search(host):
        raise LocalProtocolError("the URL has no host that could be one", phase="request")
    segments = path_segments(target)
    path = _argument(segments)
    said = {name.lower(): value for name, value in headers}
    actions = _FILE_METHODS if segments[-1] else _DIRECTORY_METHODS
    action = actions.get(method, "")
    refusal = 0 if action else 405
    if action in ("put", "delete") and not _CONDITIONS.isdisjoint(said):
        refusal = 501
    return Plan(
        host.decode("ascii").removeprefix("[").removesuffix("]"),
        DEFAULT_PORT if port is None else port,
        path,
        action,
        _basic(said.get(b"authorization", b"")),
        _length(said) if action == "put" else None,
        refusal,
        b", ".join(actions) if refusal == 405 else b"",
    )


def check_credentials(auth: tuple[str, str] | None) -> Credentials | None:
    """Those of a transport. Raises `TypeError`, `ValueError`; no text has them."""
    if auth is None:
        return None
    if not isinstance(auth, tuple) or len(auth) != 2 or not all(isinstance(a, str) for a in auth):
        raise TypeError("auth is a tuple of user name and password, both str")
    user, password = auth[0].encode("utf-8"), auth[1].encode("utf-8")
    if _INJECTION.search(user + password):
        raise ValueError("auth has CR, LF or NUL, which no command can have")
    return user, password


def _argument(segments: list[bytes]) -> bytes:
    """The path of a command: from the directory where the login leads (RFC 1738, section 3.2.2),
    or from the root if the URL has ``//`` or ``/%2F`` after the host."""
    path = b"/".join(segments)
    if _INJECTION.search(path):
        raise LocalProtocolError("the path has CR, LF or NUL", phase="request")
    if path.startswith((b"-", b" ")):  # some servers take it for options, or strip it
        path = b"./" + path
    return path.rstrip(b"/") or path[:1]


def _basic(value: bytes) -> Credentials | None:
    """Of an Authorization header with Basic (RFC 7617); FTP has no use for others."""
    scheme, _, encoded = value.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except binascii.Error:
        user, password = b"\0", b""
    if _INJECTION.search(user + password):
        text = "the Authorization header has no credentials that FTP could send"
        raise LocalProtocolError(text, phase="request")
    return user, password


def _length(said: dict[bytes, bytes]) -> int | None:
    value = said.get(b"content-length", b"").strip()
    if not value:
        return None
    if not value.isdigit() or len(value) > 18:
        raise LocalProtocolError("Content-Length is not a number", phase="request")
    return int(value)


class Limits:
    """The time limits of one request; `now` is a monotonic clock's."""

    def __init__(self, extensions: dict[str, object], now: float) -> None:
        self._limits = {name: limit_of(extensions, name) for name in _TIMEOUTS}
        self._total = limit_of(extensions, "total")
        self._deadline = None if self._total is None else now + self._total

    def left(self, name: str, now: float) -> float | None:
        """Seconds for the next wait to "connect", "read" or "write"; None for ever. Raises
        `TimeoutException` once the total is used up: a step that need not wait would not notice."""
        limit = self._limits[name]
        if self._deadline is None:
            return limit
        left = self._deadline - now
        if left <= 0.0:
            raise _TIMEOUTS[name]("the total deadline passed", limit=self._total)
        return left if limit is None else min(limit, left)

    def explain(self, exc: TransportError, now: float) -> None:
        """Name the limit that was meant."""
        if not isinstance(exc, TimeoutException) or self._deadline is None:
            return
        if now >= self._deadline - 0.01:  # timers may fire early: uvloop counts in milliseconds
            exc.message, exc.limit = "the total deadline passed", self._total
