"""Where the time went: from trace events to requests, and from these to their phases.

Rules of this file: pure; times are seconds as the events have them. *Spans* are the events paired,
as deep as they are. *Phases* are what they come to for people, one after the other: waiting for a
connection is over when one is being made, and making one begins, to the eye, once the name is
resolved, although as events each contains the other. What did not end, because it failed or was
interrupted, ends with the last event there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .exit_codes import NO_LOOKUP, Lookup
from .recorder import INTENDED, Event

QUEUE, DNS, CONNECT, TLS, PROXY = "queue", "DNS", "connect", "TLS", "proxy"
PAUSE, UPLOAD, FIRST_BYTE, BODY = "pause", "upload", "first byte", "body"
PROXY_TLS = "proxy TLS"

_SIMPLE = {
    "connection.resolve": DNS,
    "connection.connect_tcp": CONNECT,
    "connection.connect_unix_socket": CONNECT,
    "connection.start_tls": TLS,
    "connection.retry": PAUSE,
    "proxy.connect": PROXY,
    "proxy.socks5_handshake": PROXY,
    "http.receive_response_body": BODY,
}


class Span(NamedTuple):
    """A step from its beginning to its end. `step` is as ``"connection.resolve"``, with ``http``
    for ``http11`` and ``http2``; `info` is what both events say; `error` is None if all is well."""

    step: str
    start: float
    end: float
    info: dict[str, Any]
    error: str | None = None


class Phase(NamedTuple):
    name: str
    start: float
    end: float
    error: str | None = None

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Exchange:
    """A request and what came of it; several make up a chain of redirects. What is None or empty
    has not come to pass, or was not said."""

    start: float
    end: float
    origin: str
    spans: Sequence[Span]
    phases: Sequence[Phase]
    request: dict[str, Any] = field(default_factory=dict)  # method, url, target, headers, body
    response: dict[str, Any] = field(default_factory=dict)  # version, status, reason, headers
    connection: dict[str, Any] = field(default_factory=dict)  # connection_id, reused, address, tls
    error: str | None = None


def exchanges(events: Sequence[Event]) -> list[Exchange]:
    """The requests that were made, in their order. Each begins by asking for a connection, or with
    a note of what it is to be."""
    asked = [n for n, event in enumerate(events) if event.name == "pool.acquire.started"]
    starts = [n - 1 if n and events[n - 1].name == INTENDED else n for n in asked]
    ends = [*starts[1:], len(events)] if starts else []
    made: dict[Any, dict[str, Any]] = {}  # what was said of a connection when it was made
    return [_exchange(events[a:b], made) for a, b in zip(starts, ends, strict=True)]


def _exchange(events: Sequence[Event], made: dict[Any, dict[str, Any]]) -> Exchange:
    found = spans(events)
    intended = events[0].info if events[0].name == INTENDED else {}
    steps = {span.step: span for span in found if span.error is None}  # the last of each
    connection: dict[str, Any] = {}
    for step in ("connection.connect_tcp", "connection.connect_unix_socket"):
        connection |= steps[step].info if step in steps else {}
    if "connection.start_tls" in steps:
        connection["tls"] = steps["connection.start_tls"].info
    if "pool.acquire" in steps:
        acquired = steps["pool.acquire"].info
        connection |= acquired
        connection = made.setdefault(acquired.get("connection_id"), connection) | acquired
    head = steps.get("http.receive_response_headers")
    return Exchange(
        start=events[0].at,
        end=events[-1].at,
        origin=next((span.info["origin"] for span in found if span.step == "pool.acquire"), ""),
        spans=found,
        phases=phases(found),
        request=next((span.info for span in found if span.step == _SENT), intended),
        response={} if head is None else head.info,
        connection=connection,
        error=next((span.error for span in reversed(found) if span.error), None),
    )


_SENT = "http.send_request_headers"


def spans(events: Sequence[Event]) -> list[Span]:
    """The events paired, in the order in which they began."""
    open_: list[tuple[int, str, Event]] = []
    done: list[tuple[int, Span]] = []
    for number, event in enumerate(events):
        step, _, stage = _common(event.name).rpartition(".")
        if stage == "started":
            open_.append((number, step, event))
            continue
        begun = _begun(open_, step, event)
        if begun is not None:
            open_.remove(begun)
            first = begun[2]
            info = first.info | event.info if stage == "complete" else first.info
            error = str(event.info.get("text")) if stage == "failed" else None
            done.append((begun[0], Span(step, first.at, event.at, info, error)))
    for number, step, event in open_:
        done.append((number, Span(step, event.at, events[-1].at, event.info, "not finished")))
    return [span for _, span in sorted(done, key=lambda item: item[0])]


def _common(name: str) -> str:
    kind, _, rest = name.partition(".")
    return f"http.{rest}" if kind in ("http11", "http2") else name


def _begun(
    open_: list[tuple[int, str, Event]], step: str, end: Event
) -> tuple[int, str, Event] | None:
    """The beginning that belongs to an end. Attempts to connect may overlap: there it is the one
    with the address that the end speaks of."""
    candidates = [item for item in open_ if item[1] == step]
    said = f"{end.info.get('address', '')} {end.info.get('text', '')} "
    for item in candidates:
        address = item[2].info.get("address")
        if address and f"{address} " in said:
            return item
    return candidates[0] if candidates else None


def phases(found: Sequence[Span]) -> list[Phase]:
    """What there was of queue, DNS, connect, TLS, proxy, upload, first byte and body, in order."""
    result = [*_queue(found)]
    lookups = [span for span in found if span.step == "connection.resolve"]
    for span in found:
        name = _SIMPLE.get(span.step)
        start = span.start
        if name == CONNECT:
            inner = [lookup for lookup in lookups if _within(lookup, span)]
            if any(lookup.error for lookup in inner):
                continue  # there was nothing to connect to
            start = max([start, *(lookup.end for lookup in inner)])
        elif name == TLS and any(s.step.startswith("proxy.") and s.start > start for s in found):
            name = PROXY_TLS
        if name is not None:
            result.append(Phase(name, start, span.end, span.error))
    return sorted([*result, *_sending(found)], key=lambda phase: phase.start)


def _within(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _queue(found: Sequence[Span]) -> Iterable[Phase]:
    for span in found:
        if span.step == "pool.acquire":
            inner = [s.start for s in found if s is not span and _within(s, span)]
            error = None if inner else span.error
            yield Phase(QUEUE, span.start, min([span.end, *inner]), error)


def _sending(found: Sequence[Span]) -> Iterable[Phase]:
    by_step = {span.step: span for span in found}
    head = by_step.get(_SENT)
    if head is None:
        return
    sent = by_step.get("http.send_request_body", head)
    yield Phase(UPLOAD, head.start, sent.end, sent.error)
    answer = by_step.get("http.receive_response_headers")
    if answer is not None:
        yield Phase(FIRST_BYTE, sent.end, answer.end, answer.error)


def last_lookup(events: Sequence[Event]) -> Lookup:
    """Whether the last name that was looked up was found, and whether it was a proxy's: any host
    but that of the URL is."""
    lookup, origin = NO_LOOKUP, ""
    for event in events:
        if event.name == "pool.acquire.started":
            lookup, origin = NO_LOOKUP, str(event.info.get("origin", ""))
        elif event.name == "connection.resolve.started":
            host = origin.partition("://")[2].rpartition(":")[0].strip("[]")
            lookup = Lookup(failed=False, of_proxy=event.info.get("host") != host)
        elif event.name == "connection.resolve.failed":
            lookup = lookup._replace(failed=True)
    return lookup
