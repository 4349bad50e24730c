"""Response heads: where one ends, whether it may be parsed, how it frames the body.

Rules of this file: pure, and the same for every engine. Parsers disagree about sloppy heads, and
what two parsers read differently is how responses are smuggled. So sizes, versions and framing are
decided here, and an engine may only be used that refuses what `check_lines` does: llhttp does so
by itself, for h11 `check_lines` looks at the raw bytes first.

Line ends: a head in which every line ends in a bare LF is accepted (RFC 9112, section 2.2, lets
us); one that mixes bare LF and CRLF is refused, because that is what header injection looks like.
"""

from __future__ import annotations

import re

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._models import Headers

_find_blank_line = re.compile(rb"\n\r?\n").search
_find_timeout = re.compile(rb"(?:^|[,; \t])timeout[ \t]*=[ \t]*([0-9]{1,9})(?![0-9])").search
_MAX_LENGTH = 2**63 - 1
# All control characters but HTAB, LF and CR (RFC 9110, section 5.5), which are looked at apart.
_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])
_CR = 0x0D
_VERSIONS = (b"HTTP/1.1 ", b"HTTP/1.0 ")


def find_end(buffer: bytes | bytearray, start: int) -> int:
    """Where the head at the beginning of `buffer` ends, or -1. No blank line is before `start`.

    The first blank line counts. Where the first line ends in CRLF it is enough to look for one
    that does, too: a blank line of another kind before it means mixed line ends, refused anyway.
    """
    end = buffer.find(b"\r\n\r\n", start) + 4
    if end > 3 and buffer[buffer.find(b"\n") - 1] == _CR:
        return end
    match = _find_blank_line(buffer, start)
    return match.end() if match else -1


def check(head: bytes, max_bytes: int) -> None:
    """Refuse a complete head that is too large or not HTTP/1; raises `RemoteProtocolError`."""
    if not head.startswith(_VERSIONS):
        raise _not_http(head)
    if len(head) > max_bytes:
        raise _too_long(max_bytes)


def check_lines(head: bytes) -> None:
    """Refuse a head whose lines are ambiguous; raises `RemoteProtocolError`."""
    lines = head.count(b"\n")
    returns = head.count(b"\r")
    if returns and not returns == lines == head.count(b"\r\n"):  # RFC 9112, section 2.2
        raise RemoteProtocolError("bare CR, or mixed line ends, in the response head")
    if b"\n " in head or b"\n\t" in head:  # RFC 9112, section 5.2
        raise RemoteProtocolError("a folded line in the response head")
    if len(head.translate(None, _CONTROLS)) != len(head):  # RFC 9110, section 5.5
        raise RemoteProtocolError("a control character in the response head")


def check_incomplete(buffer: bytes | bytearray, eof: bool, max_bytes: int) -> None:
    """Refuse what cannot become a head any more, as early as it shows."""
    if not buffer:
        if eof:
            raise RemoteProtocolError("the server disconnected without sending a response")
        return
    if not (buffer.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(buffer)):
        raise _not_http(buffer)
    if len(buffer) > max_bytes:
        raise _too_long(max_bytes)
    if eof:
        raise RemoteProtocolError("the server disconnected inside the response head")


def _not_http(received: bytes | bytearray) -> RemoteProtocolError:
    return RemoteProtocolError(f"this is not an HTTP/1.1 response: {bytes(received[:40])!r}")


def _too_long(limit: int) -> RemoteProtocolError:
    return RemoteProtocolError(f"the response head is over {limit} bytes")


_LENGTH, _CODING, _CONNECTION, _KEEP_ALIVE = range(1, 5)
_SPECIAL = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"keep-alive": _KEEP_ALIVE,
}
_USUAL = (
    b"accept-ranges access-control-allow-origin age allow alt-svc cache-control"
    b" content-disposition content-encoding content-language content-range"
    b" content-security-policy content-type date etag expires last-modified link location"
    b" pragma referrer-policy server set-cookie strict-transport-security vary via"
    b" x-content-type-options x-frame-options x-powered-by x-request-id"
).split()
# Field names as servers write them: what is found here need not be brought to lower case first.
_IRRELEVANT = frozenset(
    spelling for name in _USUAL for spelling in (name, name.title(), name.replace(b"etag", b"ETag"))
)


class Framing:
    """The fields of one head that say how its body is framed and what follows it.

    `persists`: RFC 9112, section 9.3. `timeout`: what the server's ``Keep-Alive`` grants.
    """

    length: int | None = None
    chunked = False
    persists = True
    timeout: int | None = None

    def __init__(self, headers: Headers, version: bytes) -> None:
        """Raises `RemoteProtocolError` for what is illegal, ambiguous or unsupported."""
        close = False
        keep_alive = version == b"HTTP/1.1"
        for name, value in headers:
            if name in _IRRELEVANT:
                continue
            kind = _SPECIAL.get(name.lower())
            if kind is None:
                continue
            if kind == _LENGTH:  # RFC 9112, section 6.3, rule 5
                if self.length is not None:
                    raise RemoteProtocolError("the response has more than one Content-Length")
                self.length = _length(value)
            elif kind == _CONNECTION:
                if value != b"keep-alive":  # RFC 9110, section 7.6.1: a list, in any case
                    tokens = [token.strip() for token in value.lower().split(b",")]
                    close = close or b"close" in tokens
                    keep_alive = keep_alive or b"keep-alive" in tokens
                else:
                    keep_alive = True
            elif kind == _CODING:  # RFC 9112, section 6.1
                if self.chunked or value.lower() != b"chunked":
                    raise RemoteProtocolError(f"unsupported Transfer-Encoding {value[:40]!r}")
                self.chunked = True
            else:
                match = _find_timeout(value.lower())
                self.timeout = int(match[1]) if match else None
        if self.chunked:
            if self.length is not None:  # RFC 9112, section 6.3, rule 3: smuggling
                raise RemoteProtocolError("Content-Length and Transfer-Encoding in one response")
            if version == b"HTTP/1.0":  # RFC 9112, section 6.1, last paragraph
                raise RemoteProtocolError("Transfer-Encoding in an HTTP/1.0 response")
        self.persists = keep_alive and not close


def check_coding(headers: Headers) -> None:
    """Refuse what `Framing` would, where the message is not framed by it: 1xx, and CONNECT."""
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise RemoteProtocolError(f"unsupported Transfer-Encoding {codings[0][:40]!r}")


def _length(value: bytes) -> int:
    if value.isdigit() and len(value) < 20:  # so below 2**63 after the comparison
        length = int(value)
        if length <= _MAX_LENGTH:
            return length
    raise RemoteProtocolError(f"illegal Content-Length {value[:40]!r}")
