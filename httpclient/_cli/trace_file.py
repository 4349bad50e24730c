"""Trace files: every step of a request in the Trace Event Format of Chrome, which Perfetto
(ui.perfetto.dev) and ``chrome://tracing`` open.

Rules of this file: pure; from exchanges to a dictionary for `json.dump`. Times are microseconds.
Each request is a track of its own, on which steps lie within each other; attempts to connect may
overlap, and so each has its track. Secrets are left out here, unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .secrets import Fields, without_secrets, without_userinfo
from .text import field_text
from .timeline import Exchange, Span

PROCESS = 1

_ATTEMPT = "connection.connect_attempt"
_TRACKS = 100  # track numbers for each request: its own, then its attempts


def trace_events(made: Sequence[Exchange], show_secrets: bool = False) -> dict[str, Any]:
    """The whole file."""
    events = [_name("process_name", 0, "httpclient")]
    for number, exchange in enumerate(made, 1):
        track = number * _TRACKS
        events.append(_name("thread_name", track, _title(exchange, show_secrets)))
        attempts = 0
        for span in exchange.spans:
            at = track
            if span.step == _ATTEMPT:
                attempts += 1
                at = track + attempts
                events.append(_name("thread_name", at, f"attempt {attempts}"))
            events.append(_event(span, at, show_secrets))
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _name(what: str, track: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": PROCESS, "tid": track, "args": {"name": name}}


def _title(exchange: Exchange, show_secrets: bool) -> str:
    method = exchange.request.get("method", b"").decode("ascii", "replace")
    url = exchange.request.get("url", exchange.origin)
    if not show_secrets:
        url = field_text(without_userinfo(url.encode()))
    return f"{method} {url}".strip()


def _event(span: Span, track: int, show_secrets: bool) -> dict[str, Any]:
    """A complete event: name, begin and length in one."""
    category, _, name = span.step.partition(".")
    details = {key: _shown(key, value, show_secrets) for key, value in span.info.items()}
    details.pop("body", None)
    if span.error is not None:
        details["error"] = span.error
    return {
        "name": name,
        "cat": category,
        "ph": "X",
        "ts": round(span.start * 1_000_000, 1),
        "dur": round((span.end - span.start) * 1_000_000, 1),
        "pid": PROCESS,
        "tid": track,
        "args": details,
    }


def _shown(key: str, value: Any, show_secrets: bool) -> Any:
    if key == "headers":
        fields: Fields = value if show_secrets else without_secrets(value)
        return [f"{field_text(name)}: {field_text(content)}" for name, content in fields]
    if isinstance(value, str) and key in ("url", "proxy") and not show_secrets:
        return field_text(without_userinfo(value.encode()))
    if isinstance(value, bytes):
        return field_text(value if show_secrets else without_userinfo(value))
    return value
