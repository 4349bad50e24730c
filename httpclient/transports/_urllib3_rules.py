"""What may be given to urllib3, what may be taken from it, and what its errors mean.

Rules of this file: pure; no I/O, no clock. urllib3 trusts its callers and its peers more than this
package does, so a request is checked before and the head of a response after: one `Host`, nothing
that ends a line early, framing that can be read in one way only. Whatever gets past that has the
next exchange on the connection begin in the middle of this one. Error texts name header fields,
never their values.
"""

from __future__ import annotations

import re
from email import errors
from http.client import HTTPException
from typing import Any, NamedTuple

from httpcore_core import (
    ByteStream,
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    Origin,
    PoolClosed,
    PoolTimeout,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TimeoutException,
    TransportError,
    UnsupportedProtocol,
    WriteError,
    WriteTimeout,
)

Headers = list[tuple[bytes, bytes]]

_SHORTEST, _LONGEST = 0.001, 2.0**31
"""Seconds. Zero is "do not wait at all" to a socket, and nothing that urllib3 accepts; more than 68
years are more than some clocks can count."""

_UNSUPPORTED = ("proxy", "trailers", "protocol")
"""Extensions without which another request would be sent than was meant."""

_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch  # RFC 9110, section 5.6.2
_find_illegal = re.compile(rb"[^\t\x20-\x7e\x80-\xff]").search  # RFC 9110, section 5.5
_is_chunked = re.compile(rb"chunked", re.IGNORECASE).fullmatch
_is_length = re.compile(rb"[0-9]{1,19}").fullmatch
_is_host = re.compile(rb"[A-Za-z0-9._\-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]").fullmatch
# The forms of a target in RFC 9112, section 3.2, but the one for CONNECT.
_is_target = re.compile(rb"(?:/|https?://)[\x21\x22\x24-\x7e]*|\*").fullmatch


class Limits(NamedTuple):
    """The `timeout` extension. Seconds, as urllib3 takes them; None is no limit."""

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None
    total: float | None = None


class Plan(NamedTuple):
    """A request that has passed every check. `content` is the body where it is in memory, else
    None; `length` is what Content-Length says."""

    method: str
    scheme: str
    host: str  # IPv6 in brackets
    port: int | None
    target: str
    origin: str
    headers: list[tuple[str, str]]
    content: bytes | None
    length: int | None
    limits: Limits
    sni_hostname: str | None

    @property
    def absolute_target(self) -> str:
        """As a proxy that forwards is to be asked: RFC 9112, section 3.2.2."""
        if self.target[0] != "/":
            return self.target
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.target}"


def refused(text: str) -> LocalProtocolError:
    return LocalProtocolError(text, phase="request")


# Requests


def plan_request(method: Any, url: Any, headers: Any, stream: Any, extensions: Any) -> Plan:
    """Check the arguments of `handle_request`. Raises `LocalProtocolError`."""
    try:
        for name in _UNSUPPORTED:
            if extensions.get(name) is not None:
                raise refused(f"the {name!r} extension is not possible with urllib3")
        if not _is_token(method) or method == b"CONNECT":
            raise refused("the method is not legal, or not possible with urllib3")
        scheme, host, port = _read_origin(url)
        target = _read_target(extensions.get("target", url[3]), method)
        length = _check_fields(headers)
        sni_hostname = extensions.get("sni_hostname")
        return Plan(
            method.decode("ascii"),
            scheme,
            host,
            port,
            target,
            str(Origin(url[0], url[1], port or (443 if scheme == "https" else 80))),
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
            _read_content(stream, length),
            length,
            _read_limits(extensions.get("timeout")),
            sni_hostname.decode("ascii") if isinstance(sni_hostname, bytes) else sni_hostname,
        )
    except (TypeError, ValueError, AttributeError, LookupError) as exc:
        raise refused(
            "a request is made of a bytes method, a URL tuple (scheme, host, port, target), "
            f"a list of pairs of bytes, a stream and a dict: {type(exc).__name__}"
        ) from exc


def _read_origin(url: Any) -> tuple[str, str, int | None]:
    scheme, host, port, _ = url
    if b":" in host and host[:1] != b"[":
        host = b"[%b]" % host
    if not _is_host(host):
        raise refused("illegal host")
    if port is not None and (type(port) is not int or not 0 < port < 65536):
        raise refused(f"illegal port {port!r}")
    return scheme.decode("ascii").lower(), host.decode("ascii"), port


def _read_target(target: bytes | str, method: bytes) -> str:
    raw = target.encode("ascii") if isinstance(target, str) else target
    if not _is_target(raw) or (raw == b"*" and method != b"OPTIONS"):
        raise refused("illegal target")
    return raw.decode("ascii")


def _check_fields(headers: Headers) -> int | None:
    """Returns the Content-Length, if there is one."""
    for name, value in headers:
        if not _is_token(name):
            raise refused("illegal header name")
        if _find_illegal(value) or value != value.strip():
            raise refused(f"the value of header {name!r} holds illegal characters")
    names = [name.lower() for name, _ in headers]
    if names.count(b"host") != 1:  # RFC 9112, section 3.2
        raise refused("a request needs exactly one Host header")
    framing = [n for n in names if n in (b"content-length", b"transfer-encoding")]
    if len(framing) > 1:  # RFC 9112, section 6.2
        raise refused("a request has one Content-Length or one Transfer-Encoding")
    for name, value in zip(names, [value for _, value in headers], strict=True):
        if name == b"content-length" and _is_length(value):
            return int(value)
        if name in framing and not (name == b"transfer-encoding" and _is_chunked(value)):
            raise refused(f"illegal {name.decode('ascii')}")
    return None


def _read_content(stream: Any, length: int | None) -> bytes | None:
    if stream is not None and not isinstance(stream, ByteStream):
        if isinstance(stream, (bytes, bytearray, memoryview, str)):
            raise refused("a body in memory must be wrapped: ByteStream(content)")
        if not hasattr(stream, "__iter__"):
            raise refused(f"the body has no __iter__: {type(stream).__name__}")
        return None
    content = b"" if stream is None else memoryview(stream.content).tobytes()
    if length is not None and length != len(content):
        raise refused(f"Content-Length is {length}, the body has {len(content)} bytes")
    return content


def _read_limits(value: Any) -> Limits:
    try:
        return Limits(*map(_seconds, Limits(**(value or {}))))
    except TypeError as exc:
        raise refused("the 'timeout' extension is a dictionary with limits in seconds") from exc


def _seconds(limit: Any) -> float | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit >= 0:
        raise refused(f"a limit in the 'timeout' extension is {limit!r}")
    return None if limit > _LONGEST else max(float(limit), _SHORTEST)


# Responses


_LINES_THAT_ARE_NO_FIELDS = (
    errors.FirstHeaderLineIsContinuationDefect,
    errors.MisplacedEnvelopeHeaderDefect,
    errors.MissingHeaderBodySeparatorDefect,
)


def check_parsed(answer: Any) -> None:
    """At a line that is no field the standard library takes the head for ended: what frames the
    body may be behind that. (Its parser, made for mail, finds fault with more than the lines.)"""
    for defect in getattr(getattr(answer, "msg", None), "defects", ()):
        if isinstance(defect, _LINES_THAT_ARE_NO_FIELDS):
            raise _broken("a line of the head is no header field")


def check_head(status: int, items: list[tuple[str, str]]) -> Headers:
    """The header fields as bytes. Raises `RemoteProtocolError`."""
    if status < 200:
        # urllib3 takes it for the final one, and what is, for the answer to the next request.
        raise _broken(f"urllib3 cannot go on after a response with status {status}")
    headers = [(n.encode("latin-1"), v.strip(" \t").encode("latin-1")) for n, v in items]
    framing = []
    for name, value in headers:
        if not _is_token(name) or _find_illegal(value):
            raise _broken("the response has an illegal header")
        if name.lower() == b"content-length":
            framing.append(_is_length(value))
        elif name.lower() == b"transfer-encoding":
            framing.append(_is_chunked(value))
    if len(framing) > 1 or None in framing:  # RFC 9112, section 6.3
        raise _broken("the length of the response can be read in several ways")
    return headers


def _broken(text: str) -> RemoteProtocolError:
    return RemoteProtocolError(text, phase="receive headers")


# Errors


def meaning(error: BaseException, phase: str) -> tuple[type[TransportError], str]:
    """Our class for an error of urllib3's, and the phase in which it happened; `phase` is what was
    known, with "connect" for as long as the connection has not been used."""
    from urllib3 import exceptions as theirs

    inner = wrapped_in(error)
    if isinstance(error, theirs.ProtocolError):
        return _broken_connection(inner, phase)
    if inner is not None and (
        isinstance(error, theirs.MaxRetryError)
        or (isinstance(error, theirs.ProxyError) and isinstance(inner, theirs.TimeoutError))
    ):
        return meaning(inner, phase)
    is_open = phase != "connect"
    table: list[tuple[type[BaseException], type[TransportError], str]] = [
        (theirs.EmptyPoolError, PoolTimeout, "pool"),
        (theirs.ClosedPoolError, PoolClosed, "pool"),
        (theirs.NewConnectionError, ConnectError, "connect"),
        (theirs.ConnectTimeoutError, ConnectTimeout, "connect"),
        # Also what the handshake of TLS, or a tunnel, ends with.
        (theirs.ReadTimeoutError, ReadTimeout if is_open else ConnectTimeout, phase),
        (theirs.TimeoutError, TimeoutException, phase),
        (theirs.SSLError, ReadError if is_open else ConnectError, phase if is_open else "tls"),
        (theirs.ProxyError, ProxyError, "proxy"),
        (theirs.InvalidHeader, RemoteProtocolError, "receive headers"),
        (theirs.IncompleteRead, RemoteProtocolError, phase),
        (theirs.InvalidChunkLength, RemoteProtocolError, phase),
        (theirs.URLSchemeUnknown, UnsupportedProtocol, "request"),
        (ValueError, LocalProtocolError, "request"),
    ]
    for kind, ours, when in table:
        if isinstance(error, kind):
            return ours, when
    return TransportError, phase


def _broken_connection(inner: BaseException | None, phase: str) -> tuple[type[TransportError], str]:
    if not isinstance(inner, OSError) or isinstance(inner, HTTPException):
        return RemoteProtocolError, phase
    if phase == "connect":
        return ConnectError, "tls"
    if isinstance(inner, TimeoutError):  # while reading it would have been a `ReadTimeoutError`
        return WriteTimeout, "send"
    return (WriteError if phase == "send" else ReadError), phase


def wrapped_in(error: BaseException) -> BaseException | None:
    """What urllib3 has made this error of."""
    last = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
    return last if isinstance(last, BaseException) else error.__cause__


def innermost(error: BaseException) -> BaseException:
    while (inner := wrapped_in(error)) is not None and inner is not error:
        error = inner
    return error
