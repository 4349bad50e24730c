"""What may be sent: every check on a request, made before any socket is opened.

Rules of this file: pure functions from the primitives to a `RequestPlan`, which is all that a
protocol needs to know of a request. Nothing is repaired: a request is legal or it is refused with
`LocalProtocolError`. Error texts name header fields, never their values, which may be secrets.

This is the hot path. The usual field names and methods are looked up in a table and everything
else is checked by one compiled expression, so that a request with six headers costs a few
microseconds.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, TypeAlias

from httpcore_core._exceptions import LocalProtocolError
from httpcore_core._models import URL, ByteStream, Extensions, Headers, Origin

from .origin import canonical_origin, origin_of, shown

__all__ = [
    "RequestPlan",
    "check_fields",
    "check_trailers",
    "framing_field",
    "origin_of",
    "plan_request",
]

Arguments: TypeAlias = tuple[bytes, URL, Headers, Any, Extensions]

# RFC 9110, section 5.6.2.
_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_split_token = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]").split
_find_illegal = re.compile(rb"[^\t\x20-\x7e\x80-\xff]").search
# RFC 9110, section 7.2: what `Host` may hold; RFC 3986, section 3.2.2, without the empty host.
_HOST = rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)"
_is_host_field = lru_cache(maxsize=1024)(re.compile(_HOST + rb"(?::[0-9]{0,5})?").fullmatch)
# RFC 9112, section 3.2: the four forms of a target. Looser than RFC 3986 in one point: every
# visible ASCII character but "#" passes, because browsers send most of them unescaped.
_is_origin_form = re.compile(rb"/[\x21\x22\x24-\x7e]*").fullmatch
_is_absolute_form = re.compile(
    rb"[Hh][Tt][Tt][Pp][Ss]?://" + _HOST + rb"(?::[0-9]{1,5})?(?:[/?][\x21\x22\x24-\x7e]*)?"
).fullmatch
_is_authority_form = re.compile(_HOST + rb":[0-9]{1,5}").fullmatch
# 19 digits hold any length below 2**63.
_is_length = re.compile(rb"[0-9]{1,19}").fullmatch

_ORDINARY, _HOST_FIELD, _LENGTH, _CODING, _CONNECTION, _EXPECT, _UPGRADE = range(7)
_SPECIAL = {
    b"host": _HOST_FIELD,
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"expect": _EXPECT,
    b"upgrade": _UPGRADE,
}
_USUAL = (
    b"accept accept-charset accept-encoding accept-language authorization cache-control"
    b" content-encoding content-type cookie date dnt if-match if-modified-since if-none-match"
    b" if-range if-unmodified-since keep-alive origin pragma proxy-authorization range referer te"
    b" traceparent user-agent via x-forwarded-for x-request-id"
).split()
# Field names as people write them, so that most requests are checked by look-up alone.
_KNOWN_NAMES: dict[bytes, int] = {
    spelling: _SPECIAL.get(name, _ORDINARY)
    for name in (*_SPECIAL, *_USUAL)
    for spelling in (name, name.title())
}

# RFC 9110, section 9.2.2: method to whether it is idempotent.
_KNOWN_METHODS: dict[bytes, bool] = {
    **dict.fromkeys((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"), True),
    **dict.fromkeys((b"POST", b"PATCH", b"CONNECT"), False),
}
_EXPECTS_CONTENT = frozenset((b"POST", b"PUT", b"PATCH"))  # RFC 9110, section 8.6
# RFC 9110, section 6.5.1: framing, routing and content format do not belong in trailers.
_NOT_IN_TRAILERS = frozenset(
    (
        *_SPECIAL,
        *(b"authorization", b"content-encoding", b"content-range", b"content-type"),
        *(b"max-forwards", b"proxy-authorization", b"te", b"trailer"),
    )
)


class RequestPlan:
    """A request that has passed every check, with what the protocols have to know of it.

    `headers` are those that will be sent, the framing field included where it was missing.
    `content_length` is None only for a chunked body. `body` is the whole body where it is in
    memory (``b""`` for none), else None. `trailers` is the caller's list, which may still be
    filled while the body is sent.

    What holds for most requests is said once, in the class; a plan says where it differs.
    """

    origin: Origin
    method: bytes
    target: bytes
    headers: Headers
    content_length: int | None = 0
    chunked: bool = False
    body: bytes | None = b""
    trailers: Headers | None = None
    expect_continue: bool = False
    upgrade: bool = False
    connect: bool = False
    protocol: bytes | None = None  # of an extended CONNECT: RFC 8441
    head: bool = False
    close: bool = False
    idempotent: bool = False
    replayable: bool = True

    def is_said_to_be_empty(self) -> bool:
        """Whether a stream has yet to prove that it is as empty as its Content-Length says."""
        return self.content_length == 0 and self.body is None

    def stream_has_ended(self) -> None:
        """With as much as was declared; what has proved to be empty can be sent again."""
        if self.is_said_to_be_empty():
            self.body, self.replayable = b"", True


def _refuse(text: str) -> LocalProtocolError:
    return LocalProtocolError(text, phase="request")


def plan_request(request: Arguments) -> RequestPlan:
    """Check `request`, a `Request` or the five arguments in its order, and lay out how to send it.

    Raises `LocalProtocolError`, and `UnsupportedProtocol` for schemes other than http and https.
    """
    try:
        method, url, headers, stream, extensions = request
        plan = RequestPlan()
        plan.origin = canonical_origin(url[0], url[1], url[2])
        plan.method = method
        idempotent = _KNOWN_METHODS.get(method)
        if idempotent:
            plan.idempotent = True
            plan.head = method == b"HEAD"
        elif idempotent is None and not _is_token(method):
            raise _refuse(f"illegal method {shown(method[:40])}")
        else:
            plan.connect = method == b"CONNECT"
        target = extensions.get("target", url[3]) if extensions else url[3]
        if extensions and "protocol" in extensions:
            _plan_protocol(plan, extensions["protocol"])
        if plan.connect or type(target) is not bytes or not _is_origin_form(target):
            target = _unusual_target(method, target)
        plan.target = target
        plan.headers = list(map(tuple, headers))  # type: ignore[arg-type]  # pairs, we shall see
        length = _read_fields(plan)
        _plan_body(plan, length, stream, extensions or {})
        return plan
    except (TypeError, ValueError, AttributeError, LookupError) as exc:
        raise _refuse(
            "a request is made of a bytes method, a URL tuple (scheme, host, port, target), "
            f"a list of pairs of bytes, a stream and a dict: {type(exc).__name__}"
        ) from exc


def _plan_protocol(plan: RequestPlan, protocol: bytes) -> None:
    """An extended CONNECT (RFC 8441, section 4): its target is a path, and a tunnel it is."""
    if not plan.connect:
        raise _refuse("the 'protocol' extension is for the method CONNECT")
    if type(protocol) is not bytes or not _is_token(protocol):
        raise _refuse("the 'protocol' extension must be a token, as b\"websocket\"")
    plan.protocol = protocol
    plan.connect = False


def _read_fields(plan: RequestPlan) -> bytes | None:
    """Check all header fields, note what they ask for; returns the Content-Length, if any."""
    hosts = 0
    length: bytes | None = None
    known = _KNOWN_NAMES.get
    for name, value in plan.headers:
        kind = known(name)
        if kind is None or type(name) is not bytes:  # a memoryview is found there, too
            kind = _kind(name)
        if type(value) is not bytes:  # what can be changed after it was checked
            raise _refuse(f"the value of header {name!r} is not bytes")
        if _find_illegal(value) or value != value.strip():  # `is_value`, without the call
            raise _refuse(f"the value of header {name!r} holds illegal characters")
        if not kind:
            continue
        if kind == _HOST_FIELD:
            hosts += 1
            if len(value) > 300 or not _is_host_field(value):
                raise _refuse(f"illegal Host {shown(value)}")
        elif kind == _CONNECTION:
            if value != b"keep-alive":
                plan.close |= b"close" in [token.strip() for token in value.lower().split(b",")]
        elif kind == _UPGRADE:
            plan.upgrade = True
        elif kind == _EXPECT:
            plan.expect_continue |= value.lower() == b"100-continue"
        elif kind == _LENGTH:
            if length is not None or not _is_length(value):
                raise _refuse("more than one Content-Length, or an illegal one")
            length = value
        elif plan.chunked or value.lower() != b"chunked":
            raise _refuse("the only Transfer-Encoding that can be sent is chunked, once")
        else:
            plan.chunked = True
    if hosts != 1:  # RFC 9112, section 3.2
        raise _refuse("a request needs exactly one Host header")
    if plan.chunked and length is not None:  # RFC 9112, section 6.2
        raise _refuse("Content-Length and Transfer-Encoding exclude each other")
    return length


def is_value(value: bytes) -> bool:
    """RFC 9110, section 5.5: visible characters, with spaces and tabs between them only."""
    return not _find_illegal(value) and value == value.strip()


def _kind(name: bytes) -> int:
    if not _is_token(name):
        start = _split_token(name, 1)[0]  # what comes after it is often the value: b"Name: value"
        raise _refuse(f"illegal header name, beginning with {start[:80]!r}")
    return _SPECIAL.get(name.lower(), _ORDINARY)


def _unusual_target(method: bytes, target: bytes | str) -> bytes:
    """Every form but the origin-form (RFC 9112, section 3.2), and targets given as text."""
    if isinstance(target, str):
        target = target.encode("ascii")
    if method == b"CONNECT":
        legal = bool(_is_authority_form(target)) and 0 < int(target.rpartition(b":")[2]) < 65536
    else:
        legal = bool(
            _is_origin_form(target)
            or _is_absolute_form(target)
            or (target == b"*" and method == b"OPTIONS")
        )
    if not legal:
        raise _refuse(f"illegal target for {method.decode('ascii')}: {shown(target)}")
    return bytes(target)


def _plan_body(
    plan: RequestPlan, length: bytes | None, stream: Any, extensions: dict[str, Any]
) -> None:
    """How the body is framed: RFC 9112, section 6, seen from the sender."""
    trailers = extensions.get("trailers")
    if trailers is not None:
        check_trailers(trailers)
        plan.trailers = trailers
    body = stream.content if type(stream) is ByteStream else _plan_stream(plan, stream)
    if type(body) is not bytes and isinstance(stream, ByteStream):
        body = _as_bytes(body)
    plan.body = body
    if length is None and not plan.chunked:
        if body == b"" and trailers is None and plan.method not in _EXPECTS_CONTENT:
            plan.expect_continue = False  # nothing would wait: RFC 9110, section 10.1.1
            return
        field = framing_field(plan.method, body, trailers)
        if field is not None:
            plan.headers.append(field)
            plan.chunked = field[1] == b"chunked"
    if plan.chunked:
        plan.content_length = None
    elif trailers is not None:
        raise _refuse("trailers need Transfer-Encoding: chunked")
    else:
        size = len(body or b"")
        plan.content_length = size if length is None else int(length)
        if body is not None and plan.content_length != size:
            raise _refuse(f"Content-Length is {plan.content_length}, the body has {size} bytes")

    if plan.content_length == 0:
        plan.expect_continue = False
        return
    if plan.method in (b"CONNECT", b"TRACE"):  # RFC 9110, sections 9.3.6 and 9.3.8
        raise _refuse(f"a {plan.method.decode('ascii')} request has no body")
    if not plan.expect_continue and extensions.get("expect_continue") is not None:
        plan.headers.append((b"Expect", b"100-continue"))
        plan.expect_continue = True


def _plan_stream(plan: RequestPlan, stream: Any) -> bytes | None:
    """Note what kind of body it is; returns it where it is in memory."""
    if stream is None:
        return b""
    if isinstance(stream, ByteStream):
        return stream.content
    if isinstance(stream, (bytes, bytearray, memoryview, str)):
        raise _refuse("a body in memory must be wrapped: ByteStream(content)")
    plan.replayable = bool(getattr(stream, "replayable", False))
    return None


def _as_bytes(content: Any) -> bytes:
    """The content of a `ByteStream` that is not bytes; copied, for it may be changed later."""
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    raise _refuse(f"a body in memory is bytes, not {type(content).__name__}")


def framing_field(
    method: bytes, body: bytes | None, trailers: Headers | None
) -> tuple[bytes, bytes] | None:
    """The field that frames a body (None: not in memory) which came without one."""
    if body is None or trailers is not None:
        return (b"Transfer-Encoding", b"chunked")
    if body or method in _EXPECTS_CONTENT:
        return (b"Content-Length", b"%d" % len(body))
    return None


def check_fields(fields: Headers, what: str) -> None:
    """Refuse fields whose name is no token (RFC 9110, section 5.1) or whose value is not legal."""
    for name, value in fields:
        if not _is_token(name) or not is_value(value):
            raise _refuse(f"illegal {what}")


def check_trailers(trailers: Headers) -> None:
    """Refuse trailer fields that are illegal or do not belong in trailers; and what is no list,
    for it would be looked at more than once."""
    if not isinstance(trailers, (list, tuple)):
        raise _refuse(f"trailers are a list of pairs of bytes, not {type(trailers).__name__}")
    try:
        check_fields(trailers, "trailer field")
        for name, _ in trailers:
            if name.lower() in _NOT_IN_TRAILERS:
                raise _refuse(f"{name!r} is not allowed in trailers")
    except (TypeError, ValueError, AttributeError) as exc:
        raise _refuse("trailers are a list of pairs of bytes") from exc
