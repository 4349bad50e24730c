"""Recordings of HTTP exchanges: what is kept of them, what is filtered out, and what matches.

Rules of this file: pure values. What is filtered is filtered here, before anything is written; the
names of what was are part of the recording, so that a request which is played back is filtered in
the same way before it is compared. The file is `_record_file.py`'s business.

An exchange is a dictionary, which is also what a `filter` function gets:

    {"request": {"method": "GET", "url": "https://example.org/", "headers": [("Host", "…"), …],
                 "body": ""},
     "response": {"status": 200, "reason_phrase": "OK", "http_version": "HTTP/1.1",
                  "headers": […], "body": "…"},
     "error": {"type": "ReadTimeout", "message": "…", …}}

with a response, an error, or, where the body broke off, both. A body is `str` if it is text in
UTF-8, otherwise `bytes`; with ``"truncated": True`` beside it, only its beginning is known. Heads
have one character for each byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias
from urllib.parse import unquote_plus

import httpcore_core
from httpcore_core import LocalProtocolError, ProxyError, Response, TransportError

from .. import _exceptions

URL: TypeAlias = tuple[bytes, bytes, int | None, bytes]
Exchange: TypeAlias = dict[str, Any]
Filter: TypeAlias = Callable[[Exchange], Exchange | None]

FILTERED = "[filtered]"

SECRET_HEADERS = (
    "api-key",
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-goog-api-key",
)
"""What `RecordTransport` filters if it is told nothing else."""

_URL_HEADERS = frozenset(("content-location", "location", "referer"))
_NO_BODY = frozenset((204, 304))  # RFC 9110, section 6.4.1
_find_control = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff]").search
_in_brackets = re.compile("<([^>]*)>")
_is_length = re.compile(rb"[0-9]{1,19}").fullmatch


class RecordingError(TransportError):
    """The recording cannot be read, or does not have what it is asked for."""


class UnexpectedRequest(RecordingError):
    """The request is not one of those that were recorded, or has been played already."""


ERRORS = {
    name: value
    for module in (httpcore_core, _exceptions)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, TransportError)
}
"""The errors that are played back as what they were; others as the nearest of their ancestors."""


class Filters:
    """What is not to be in a recording: the values of these headers and query parameters, and
    whatever the function `filter` takes out. Names in any case."""

    def __init__(
        self, headers: Iterable[str], query: Iterable[str], filter: Filter | None = None
    ) -> None:
        for names in (headers, query):
            if isinstance(names, (str, bytes)):
                raise TypeError("filters are collections of names, not one name")
        self.headers = frozenset(name.lower() for name in headers)
        self.query = frozenset(name.lower() for name in query)
        self._filter = filter

    def apply(self, exchange: Exchange) -> Exchange | None:
        """The exchange without it; changed in place. None if it is not to be recorded at all."""
        request = exchange["request"]
        request["url"] = self._url(request["url"])
        for part in (request, exchange.get("response", {})):
            if "headers" in part:
                part["headers"] = [(n, self._header(n.lower(), v)) for n, v in part["headers"]]
        return exchange if self._filter is None else self._filter(exchange)

    def _header(self, name: str, value: str) -> str:
        if name in self.headers:
            return FILTERED
        if name in _URL_HEADERS:
            return self._url(value)
        if name == "link":  # RFC 8288, section 3
            return _in_brackets.sub(lambda match: f"<{self._url(match[1])}>", value)
        return value

    def _url(self, url: str) -> str:
        return map_query(url, self._parameter) if self.query else url

    def _parameter(self, name: str, value: str) -> str:
        return FILTERED if unquote_plus(name).lower() in self.query else value


def map_query(url: str, change: Callable[[str, str], str]) -> str:
    """`url` with ``change(name, value)`` for the value of each query parameter."""
    url, hash_mark, fragment = url.partition("#")
    path, question_mark, query = url.partition("?")
    parts = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        parts.append(f"{name}={change(name, value)}" if equals else part)
    return f"{path}{question_mark}{'&'.join(parts)}{hash_mark}{fragment}"


def without_values(url: str) -> str:
    """`url` for an error text."""
    path, question_mark, query = url.partition("?")
    if not question_mark:
        return url
    named = [part.partition("=")[0] + "=…" if "=" in part else "…" for part in query.split("&")]
    return f"{path}?{'&'.join(named)}"


def request_of(
    method: bytes, url: URL, headers: Iterable[tuple[bytes, bytes]], extensions: dict[str, Any]
) -> dict[str, Any]:
    """The request part of an exchange, without the body. Raises `LocalProtocolError`."""
    try:
        return {
            "method": method.decode("latin-1"),
            "url": _url_text(url, extensions.get("target")),
            "headers": _header_text(headers),
        }
    except (AttributeError, TypeError, ValueError) as exc:
        problem = "the request does not consist of a transport's primitives"
        raise LocalProtocolError(problem, phase="request") from exc


def _url_text(url: URL, target: bytes | None) -> str:
    scheme, host, port, path = url
    if b":" in host and not host.startswith(b"["):
        host = b"[%b]" % host
    if port is not None and port != {b"http": 80, b"https": 443}.get(scheme.lower()):
        host += b":%d" % port
    text = scheme.lower() + b"://" + host.lower() + (path if target is None else target)
    return text.decode("latin-1")


def _header_text(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def body_text(body: bytes) -> str | bytes:
    """The body as text, if people can read it."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body
    return body if _find_control(text) else text


class Capture:
    """A body that passes by."""

    def __init__(self, content: bytes = b"", *, is_complete: bool = False) -> None:
        self._chunks = [content]
        self.size = len(content)
        self.is_complete = is_complete

    def restart(self) -> None:
        """It is sent again, from the beginning."""
        self._chunks.clear()
        self.size = 0
        self.is_complete = False

    def add(self, chunk: Any) -> None:
        if isinstance(chunk, (bytes, bytearray, memoryview)):  # others the transport will refuse
            self._chunks.append(bytes(chunk))
            self.size += len(chunk)

    def as_dict(self) -> dict[str, Any]:
        body = {"body": body_text(b"".join(self._chunks))}
        return body if self.is_complete else {**body, "truncated": True}


class Entry:
    """One exchange while it is being recorded."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.sent = Capture(is_complete=True)
        self.received = Capture()
        self._response: dict[str, Any] | None = None
        self._length: int | None = None
        self._error: dict[str, Any] | None = None

    def answered(self, response: Response) -> None:
        head: dict[str, Any] = {"status": response.status}
        for name in ("reason_phrase", "http_version"):
            value = response.extensions.get(name)
            if isinstance(value, bytes):
                head[name] = value.decode("latin-1")
        self._response = {**head, "headers": _header_text(response.headers)}
        self._length = _length(self.request["method"], response)

    def failed(self, error: TransportError) -> None:
        name = next(cls.__name__ for cls in type(error).__mro__ if cls in ERRORS.values())
        fields = {"origin": error.origin, "phase": error.phase, "limit": error.limit}
        if isinstance(error, ProxyError):
            fields["status"] = error.status
        given = {key: value for key, value in fields.items() if value is not None}
        self._error = {"type": name, "message": error.message, **given}

    def as_dict(self) -> Exchange | None:
        """The exchange so far; None if it has no outcome, as when it was cancelled."""
        if self._response is None and self._error is None:
            return None
        exchange: Exchange = {"request": {**self.request, **self.sent.as_dict()}}
        if self._response is not None:
            # Who reads may have stopped at the last byte, without being told that it is the last.
            if self.received.size == self._length:
                self.received.is_complete = True
            exchange["response"] = {**self._response, **self.received.as_dict()}
        if self._error is not None:
            exchange["error"] = dict(self._error)
        return exchange


def _length(method: str, response: Response) -> int | None:
    """The length of the body, where the head tells: RFC 9112, section 6.3."""
    if method == "HEAD" or response.status in _NO_BODY or response.status < 200:
        return 0
    lengths = [value for name, value in response.headers if name.lower() == b"content-length"]
    return int(lengths[0]) if len(lengths) == 1 and _is_length(lengths[0]) else None
