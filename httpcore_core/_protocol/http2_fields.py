"""Header fields in HTTP/2 (RFC 9113, section 8): a request's written, a response's checked.

Rules of this file: pure functions between `RequestPlan` and lists of fields. What leaves has been
checked by `request` and is only put into HTTP/2's form; what arrives is checked here and nowhere
else. Error texts name header fields, never their values, which may be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from httpcore_core._exceptions import LocalProtocolError
from httpcore_core._models import Headers

from .http2_frames import ErrorCode, StreamFault
from .request import RequestPlan

# Section 8.2.1: a token (RFC 9110, section 5.6.2) without upper case.
_is_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
# As strict as in HTTP/1.1 (RFC 9110, section 5.5): no control character but HTAB inside. What is
# found in values joined by LF is an illegal character, or a blank at either end of one of them.
_find_illegal = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]|[\t ](?:\n|\Z)|(?:\A|\n)[\t ]").search
# Section 8.2.2: these belong to one connection of HTTP/1.1.
_CONNECTION_SPECIFIC = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_NOT_SENT = _CONNECTION_SPECIFIC | {b"host", b"http2-settings"}
_USUAL_REQUEST = (
    b"accept accept-charset accept-encoding accept-language cache-control content-encoding"
    b" content-length content-type date dnt expect if-match if-modified-since if-none-match"
    b" if-range if-unmodified-since origin pragma range referer traceparent user-agent via"
    b" x-forwarded-for x-request-id"
).split()
# Field names as people write them, to what is sent; nothing else has to be looked at.
_PLAIN: dict[bytes, bytes] = {
    spelling: name for name in _USUAL_REQUEST for spelling in (name, name.title())
}
_USUAL_RESPONSE = frozenset(
    b"accept-ranges access-control-allow-origin age allow alt-svc cache-control"
    b" content-disposition content-encoding content-language content-range"
    b" content-security-policy content-type date etag expires last-modified link location"
    b" pragma referrer-policy server set-cookie strict-transport-security vary via"
    b" x-content-type-options x-frame-options x-powered-by x-request-id".split()
)
SHORT_COOKIE = 20
"""Cookies below this are easy to guess from how well they compress; nghttp2 draws the line here."""


class Secret(tuple[bytes, bytes]):
    """A field that must not enter a compression table: RFC 7541, section 7.1.3."""

    __slots__ = ()


def request_fields(plan: RequestPlan, protocol: bytes | None = None) -> Headers:
    """The field section of `plan`, pseudo-header fields first (section 8.3.1).

    With `protocol` it is an extended CONNECT (RFC 8441, section 4) to the plan's target. Raises
    `LocalProtocolError` for what HTTP/2 cannot say.
    """
    if plan.upgrade:
        raise LocalProtocolError("HTTP/2 has no Upgrade: RFC 8441 has what takes its place")
    if plan.connect:  # section 8.5
        fields = [(b":method", b"CONNECT"), (b":authority", plan.target)]
    else:
        scheme, authority, path = _target(plan)
        fields = [
            (b":method", plan.method if protocol is None else b"CONNECT"),
            (b":scheme", scheme),
            (b":authority", authority),
            (b":path", path),
        ]
        if protocol is not None:
            fields.append((b":protocol", protocol))
    plain = _PLAIN.get
    for field in plan.headers:
        name = plain(field[0])
        if name is not None:
            fields.append((name, field[1]))
        else:
            fields += _rarer_field(field[0].lower(), field[1], plan)
    return fields


def _target(plan: RequestPlan) -> tuple[bytes, bytes, bytes]:
    """Scheme, authority and path. There is one authority: `Host` is not sent beside it."""
    target = plan.target
    if target[:1] == b"/" or target == b"*":
        host = next(value for name, value in plan.headers if name.lower() == b"host")
        return plan.origin.scheme, host, target
    scheme, _, rest = target.partition(b"://")  # RFC 9112, section 3.2.2: the target wins
    match = re.search(rb"[/?]", rest)
    at = len(rest) if match is None else match.start()
    path = rest[at:]
    if path[:1] != b"/":
        path = b"*" if plan.method == b"OPTIONS" and not path else b"/" + path
    return scheme.lower(), rest[:at], path


def _rarer_field(name: bytes, value: bytes, plan: RequestPlan) -> Headers:
    """What becomes of one field: one, or none if it is meant for an HTTP/1.1 connection."""
    if name in _NOT_SENT or name in _nominated(plan.headers):
        return []
    if name == b"te":  # section 8.2.2: this one value may be sent
        tokens = [token.strip() for token in value.lower().split(b",")]
        return [(name, b"trailers")] if b"trailers" in tokens else []
    if name in (b"authorization", b"proxy-authorization"):
        return [Secret((name, value))]
    if name == b"cookie" and len(value) < SHORT_COOKIE:
        return [Secret((name, value))]
    return [(name, value)]


def _nominated(headers: Headers) -> set[bytes]:
    """The fields that ``Connection`` names as its own (RFC 9110, section 7.6.1)."""
    tokens = {
        token.strip()
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.lower().split(b",")
    }
    return tokens - {b"te"}


def trailer_fields(trailers: Headers) -> Headers:
    """Trailers that have been checked, in the form in which they are sent."""
    return [(name.lower(), value) for name, value in trailers]


def _malformed(text: str) -> StreamFault:
    return StreamFault(ErrorCode.PROTOCOL_ERROR, f"malformed response: {text}")  # section 8.1.1


def read_head(received: Sequence[tuple[bytes, bytes]]) -> tuple[int, Headers, int | None]:
    """Status, header fields and Content-Length of a response (section 8.3.2)."""
    if not received or received[0][0] != b":status":
        raise _malformed("it does not begin with :status")
    status = received[0][1]
    if len(status) != 3 or not status.isdigit() or status < b"100" or status == b"101":
        raise _malformed(f"status {status[:40]!r}")  # section 8.6: no 101
    headers, length = _read_fields(received[1:])
    return int(status), headers, length


def read_trailers(received: Sequence[tuple[bytes, bytes]]) -> Headers:
    return _read_fields(received)[0]


def _read_fields(received: Sequence[tuple[bytes, bytes]]) -> tuple[Headers, int | None]:
    length: int | None = None
    headers: Headers = []
    for field in received:
        name, value = field
        headers.append((name, value))
        if name in _USUAL_RESPONSE:
            continue
        if name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > 19:
                raise _malformed("more than one content-length, or an illegal one")
            length = int(value)
        elif not _is_name(name):
            raise _malformed(f"the field name {name[:40]!r}")
        elif name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
            raise _malformed(f"the field {name!r}")
    values = b"\n".join([value for _, value in headers])
    if _find_illegal(values) or values.count(b"\n") != max(len(headers) - 1, 0):
        raise _malformed("an illegal character in the value of a header field")
    return headers, length
