"""What an application in this process is asked, and how it may answer: for WSGI and ASGI alike.

Rules of this file: pure values and checks. They are those that a connection and its peer would make
(RFC 9110, 9112), so that what is wrong shows with an application in the process as well. `refuse`
is whatever makes the error: ours before the app is called, the app's afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

from httpcore_core import LocalProtocolError, Origin, RemoteProtocolError, TransportError

Headers: TypeAlias = list[tuple[bytes, bytes]]
Refuse: TypeAlias = Callable[[str], TransportError]

DEFAULT_PORTS = {b"http": 80, b"https": 443}

# RFC 9110, sections 5.6.2 and 5.5 (with obs-text); a target is visible ASCII (RFC 9112, 3.2).
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(rb"[!-~]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")

_WITHOUT_BODY = frozenset((204, 304))  # RFC 9110, sections 15.3.5 and 15.4.5


class AppRequest:
    """The head of a request, from the arguments of `handle_request`; raises `LocalProtocolError`.

    `path` and `query` are as they would be sent; `port` is the scheme's own where there is none.
    """

    __slots__ = ("headers", "host", "length", "method", "origin", "path", "port", "query", "scheme")

    def __init__(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: Headers,
        extensions: dict[str, Any],
    ) -> None:
        scheme, host, port, target = url
        self.port = DEFAULT_PORTS.get(scheme) if port is None else port
        self.origin = str(Origin(scheme, host, self.port or 0))
        refuse = partial(LocalProtocolError, origin=self.origin, phase="request")
        target = extensions.get("target", target)
        if isinstance(target, str):
            target = target.encode("utf-8", "surrogatepass")  # and refuse it below
        if not (scheme.isascii() and host.isascii()):
            raise refuse("the scheme and the host must be ASCII")
        if not _TOKEN.fullmatch(method):
            raise refuse("the method is not a token")
        if not _TARGET.fullmatch(target):
            raise refuse("the target is empty or has characters that are not visible ASCII")
        self.method = method
        self.scheme = scheme.decode("ascii")
        self.host = host.strip(b"[]").decode("ascii")
        self.path, _, self.query = target.partition(b"?")
        self.headers = checked_fields(headers, refuse)
        self.length = BodyLength(content_length(self.headers, refuse), refuse)

    def check_body(self, stream: Any, iteration: str) -> None:
        """Whether it can be iterated over by the method `iteration`."""
        if not hasattr(stream, iteration):
            problem = f"the body has no {iteration}: {type(stream).__name__}"
            raise LocalProtocolError(problem, origin=self.origin, phase="request")

    def wrong_answer(self, problem: str, phase: str) -> RemoteProtocolError:
        """What to raise where the app broke the protocol."""
        return RemoteProtocolError(problem, origin=self.origin, phase=phase)


class AppHead:
    """The head of the response to `request`; raises `RemoteProtocolError`."""

    __slots__ = ("has_body", "headers", "length", "status")

    def __init__(self, request: AppRequest, status: int, fields: Iterable[Any]) -> None:
        refuse = partial(request.wrong_answer, phase="receive headers")
        if not 200 <= status <= 999:
            raise refuse(f"{status} is no status of a final response")
        self.status = status
        self.headers = checked_fields(fields, refuse)
        self.has_body = request.method != b"HEAD" and status not in _WITHOUT_BODY
        length = content_length(self.headers, refuse)
        self.length = BodyLength(length, partial(request.wrong_answer, phase="receive body"))


class BodyLength:
    """Counts a body against its Content-Length, where there is one (RFC 9112, section 6.3)."""

    __slots__ = ("_left", "_refuse")

    def __init__(self, length: int | None, refuse: Refuse) -> None:
        self._left = length
        self._refuse = refuse

    def add(self, size: int) -> None:
        """Another `size` bytes are about to be passed on."""
        if self._left is not None:
            if size > self._left:
                raise self._refuse("the body is longer than its Content-Length")
            self._left -= size

    def end(self) -> None:
        if self._left:
            raise self._refuse("the body is shorter than its Content-Length")


def checked_fields(fields: Iterable[Any], refuse: Refuse) -> Headers:
    """Header fields as a list of pairs, if each is legal. A value is never shown."""
    checked: Headers = []
    for field in fields:
        try:
            name, value = field
        except (TypeError, ValueError) as exc:
            raise refuse("a header field is not a pair of name and value") from exc
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise refuse("the name and the value of a header field must be bytes")
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise refuse(f"the header field {name[:80]!r} is illegal")
        checked.append((name, value))
    return checked


def content_length(headers: Headers, refuse: Refuse) -> int | None:
    """What the Content-Length says; the same may be said several times."""
    lengths = {value for name, value in headers if name.lower() == b"content-length"}
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise refuse("the Content-Length is not one number")
    return int(length)
