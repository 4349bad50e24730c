"""HAR 1.2 (HTTP Archive): requests and responses in the form that browsers' developer tools open.

Rules of this file: pure; from exchanges to a dictionary for `json.dump`. Times are milliseconds,
-1 where something does not apply or is not known, as the format has it. Fields that begin with an
underscore are our own, which the format allows. Secrets are left out here, unless asked for.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from .._decoding import charset_of
from .._version import __version__
from .secrets import HIDDEN, Fields, without_secrets, without_userinfo
from .text import field_text
from .timeline import (
    BODY,
    CONNECT,
    DNS,
    FIRST_BYTE,
    PAUSE,
    PROXY,
    PROXY_TLS,
    QUEUE,
    TLS,
    UPLOAD,
    Exchange,
)

Entry = dict[str, Any]


class Content(NamedTuple):
    """A response's decoded body: its length, and all of it, or None where it was too long."""

    size: int
    body: bytes | None


NOTHING = Content(0, None)


def archive(
    made: Sequence[Exchange], content: Content, started_at: float, show_secrets: bool = False
) -> Entry:
    """The whole archive. `content` is the last response's; those before it, as redirects, are not
    read. `started_at` is when the exchanges' time begins, in seconds since the epoch."""
    answered = [number for number, exchange in enumerate(made) if exchange.response]
    last = answered[-1] if answered else None
    entries = [
        _entry(exchange, content if number == last else NOTHING, started_at, show_secrets)
        for number, exchange in enumerate(made)
    ]
    page = {
        "startedDateTime": _moment(started_at),
        "id": "page_1",
        "title": entries[0]["request"]["url"] if entries else "",
        "pageTimings": {"onContentLoad": -1, "onLoad": -1},
    }
    creator = {"name": "httpclient", "version": __version__}
    return {"log": {"version": "1.2", "creator": creator, "pages": [page], "entries": entries}}


def _moment(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entry(exchange: Exchange, content: Content, started_at: float, show_secrets: bool) -> Entry:
    timings = _timings(exchange)
    counted = (timings[name] for name in timings if name != "ssl")  # which is part of connect
    connection = exchange.connection
    entry: Entry = {
        "pageref": "page_1",
        "startedDateTime": _moment(started_at + exchange.start),
        "time": round(sum(value for value in counted if value > 0), 3),
        "request": _request(exchange, show_secrets),
        "response": _response(exchange, content, show_secrets),
        "cache": {},
        "timings": timings,
    }
    if connection.get("port") is not None:  # a unix socket has no address
        entry["serverIPAddress"] = connection["address"]
    if "connection_id" in connection:
        entry["connection"] = str(connection["connection_id"])
        entry["_reused"] = connection["reused"]
    if exchange.error is not None:
        entry["_error"] = exchange.error
    return entry


def _timings(exchange: Exchange) -> dict[str, float]:
    """Connecting includes what is said to a proxy, and TLS, which is told once more as `ssl`."""

    def of(*names: str) -> float:
        found = [phase.seconds for phase in exchange.phases if phase.name in names]
        return round(sum(found) * 1000, 3) if found else -1

    head = [span.end for span in exchange.spans if span.step == "http.receive_response_headers"]
    body = [phase.end for phase in exchange.phases if phase.name == BODY]
    return {
        "blocked": of(QUEUE, PAUSE),
        "dns": of(DNS),
        "connect": of(CONNECT, TLS, PROXY, PROXY_TLS),
        "ssl": of(TLS, PROXY_TLS),
        "send": max(of(UPLOAD), 0),
        "wait": max(of(FIRST_BYTE), 0),
        "receive": round((body[-1] - head[-1]) * 1000, 3) if body and head else 0,
    }


def _request(exchange: Exchange, show_secrets: bool) -> Entry:
    request = exchange.request
    fields: Fields = request.get("headers", [])
    url = request.get("url", f"{exchange.origin}/")
    body = request.get("body")
    length = _find(fields, b"content-length")
    result: Entry = {
        "method": request.get("method", b"").decode("ascii", "replace"),
        "url": url if show_secrets else field_text(without_userinfo(url.encode())),
        "httpVersion": exchange.response.get("version", ""),
        "cookies": _cookies(fields, b"cookie", show_secrets),
        "headers": _headers(fields, show_secrets),
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ],
        "headersSize": -1,
        "bodySize": int(length) if length and length.isdigit() else (0 if body == b"" else -1),
    }
    if body:
        kind = field_text(_find(fields, b"content-type") or b"")
        text = body.decode(charset_of(kind) or "utf-8", "replace")
        result["postData"] = {"mimeType": kind, "params": [], "text": text}
    return result


def _response(exchange: Exchange, content: Content, show_secrets: bool) -> Entry:
    """One that never came has the status 0, as browsers write it."""
    response = exchange.response
    fields: Fields = response.get("headers", [])
    kind = field_text(_find(fields, b"content-type") or b"")
    length = _find(fields, b"content-length")
    location = _find(fields if show_secrets else without_secrets(fields), b"location")
    return {
        "status": response.get("status", 0),
        "statusText": field_text(response.get("reason", b"")),
        "httpVersion": response.get("version", ""),
        "cookies": _cookies(fields, b"set-cookie", show_secrets),
        "headers": _headers(fields, show_secrets),
        "content": _content(content, kind),
        "redirectURL": field_text(location or b""),
        "headersSize": -1,
        "bodySize": int(length) if length and length.isdigit() else -1,
    }


def _content(content: Content, kind: str) -> Entry:
    result: Entry = {"size": content.size, "mimeType": kind or "x-unknown"}
    if content.body is None:
        return result
    try:
        result["text"] = content.body.decode(charset_of(kind) or "utf-8")
    except UnicodeError:
        result["text"] = base64.b64encode(content.body).decode("ascii")
        result["encoding"] = "base64"
    return result


def _find(fields: Fields, wanted: bytes) -> bytes | None:
    return next((value for name, value in fields if name.lower() == wanted), None)


def _headers(fields: Fields, show_secrets: bool) -> list[dict[str, str]]:
    shown = fields if show_secrets else without_secrets(fields)
    return [{"name": field_text(name), "value": field_text(value)} for name, value in shown]


def _cookies(fields: Fields, wanted: bytes, show_secrets: bool) -> list[dict[str, Any]]:
    """What the fields of that name say, as far as it can be read."""
    result = []
    for name, value in fields:
        if name.lower() == wanted:
            result += list(_parsed_cookies(field_text(value), show_secrets))
    return result


def _parsed_cookies(text: str, show_secrets: bool) -> Iterable[dict[str, Any]]:
    try:
        jar: SimpleCookie = SimpleCookie(text)
    except CookieError:
        return
    for name, morsel in jar.items():
        cookie: dict[str, Any] = {
            "name": name,
            "value": morsel.value if show_secrets else HIDDEN.decode(),
        }
        for key in ("path", "domain"):
            if morsel[key]:
                cookie[key] = morsel[key]
        cookie["httpOnly"] = bool(morsel["httponly"])
        cookie["secure"] = bool(morsel["secure"])
        yield cookie
