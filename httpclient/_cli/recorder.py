"""What the core's trace says, as plain values that outlive the request.

Rules of this file: a `trace` function and what it keeps. Sockets, streams and errors are read when
their event comes and not kept; what to make of the events is for `timeline` and `verbose`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import httpcore_core
from httpcore_core import ByteStream

if TYPE_CHECKING:
    from .._request import Request

INTENDED = "client.request"
"""The one event that is not the core's: a request, before a connection is asked for."""

MAX_REQUEST_BODY = 65536
"""Bytes of a request's body that are kept for a HAR file; a longer one is left out."""


class Event(NamedTuple):
    """`at` is in seconds since the recorder was made; `info` has plain values only."""

    name: str
    at: float
    info: dict[str, Any]


class Recorder:
    """The function for the `trace` extension. `listener` is told of each event as it comes;
    `started_at` is the time of day, in seconds since the epoch, that `at` counts from."""

    def __init__(
        self,
        listener: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self.events: list[Event] = []
        self.started_at = time_of_day()
        self._listener = listener
        self._clock = clock
        self._zero = clock()

    def __call__(self, name: str, info: dict[str, Any]) -> None:
        event = Event(name, self._clock() - self._zero, plain(name, info))
        self.events.append(event)
        if self._listener is not None:
            self._listener(event)

    def note(self, request: Request) -> None:
        """A hook for requests: what is about to be sent, should nothing come of it."""
        sent = (request.method.encode("ascii"), request.url.raw, request.headers.raw)
        self(INTENDED, {"request": httpcore_core.Request(*sent, request.stream, {})})


def plain(name: str, info: dict[str, Any]) -> dict[str, Any]:
    """What is worth keeping of an event."""
    if name == INTENDED:
        return _request(info["request"])
    _, _, what = name.partition(".")
    step, _, stage = what.rpartition(".")
    if stage == "failed":
        error = info.get("exception")
        return {"error": type(error).__name__, "text": str(error)}
    if stage == "complete":
        reader = _RESULTS.get(step)
        return {} if reader is None else reader(info.get("return_value"))
    if step in ("send_request_headers", "send_request_body"):
        return _request(info["request"]) if step == "send_request_headers" else {}
    kept = ("host", "port", "address", "path", "server_hostname", "proxy", "target", "seconds")
    found = {key: _as_text(info[key]) for key in kept if key in info}
    if "origin" in info:
        found["origin"] = str(info["origin"])
    return found


def _as_text(value: Any) -> Any:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def _request(request: Any) -> dict[str, Any]:
    body = request.stream.content if isinstance(request.stream, ByteStream) else None
    return {
        "method": request.method,
        "url": url_of(request.url),
        "target": request.url[3],
        "headers": list(request.headers),
        "body": body if body is not None and len(body) <= MAX_REQUEST_BODY else None,
    }


def url_of(url: tuple[bytes, bytes, int | None, bytes]) -> str:
    """The URL of a request: put together from its parts, of which the target may be one already,
    as for a proxy that forwards it."""
    scheme, host, port, target = url
    if b"://" in target.partition(b"?")[0]:
        return target.decode("ascii", "replace")
    place = b"[%b]" % host if b":" in host and not host.startswith(b"[") else host
    if port is not None:
        place += b":%d" % port
    return (scheme + b"://" + place + target).decode("ascii", "replace")


# What the steps return


def _acquired(value: Any) -> dict[str, Any]:
    return {key: value[key] for key in ("queued", "reused", "connection_id")}


def _resolved(value: Any) -> dict[str, Any]:
    return {"addresses": [str(address.sockaddr[0]) for address in value]}


def _attempted(value: Any) -> dict[str, Any]:
    try:
        return {"address": value.getpeername()[0]}
    except (AttributeError, OSError):
        return {}


def _connected(value: Any) -> dict[str, Any]:
    server = value.get_extra_info("server_addr")
    if isinstance(server, tuple):
        return {"address": str(server[0]), "port": server[1]}
    return {"address": _as_text(server)}


def _secured(value: Any) -> dict[str, Any]:
    tls = value.get_extra_info("ssl_object")
    if tls is None:
        return {}
    cipher = tls.cipher()
    return {
        "version": tls.version(),
        "alpn": tls.selected_alpn_protocol(),
        "cipher": cipher[0] if cipher else None,
    }


def _head(value: Any) -> dict[str, Any]:
    version, status, reason, headers = value
    return {
        "version": _as_text(version),
        "status": status,
        "reason": reason or b"",
        "headers": list(headers),
    }


_RESULTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "acquire": _acquired,
    "resolve": _resolved,
    "connect_attempt": _attempted,
    "connect_tcp": _connected,
    "connect_unix_socket": _connected,
    "start_tls": _secured,
    "receive_response_headers": _head,
}
