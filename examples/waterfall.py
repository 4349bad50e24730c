"""Where the time of one request went, drawn from its `trace` events.

`Recorder` is the function for the `trace` extension; `draw` makes lines of text from what it saw.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

EIGHTHS = " ▏▎▍▌▋▊▉█"


class Phase(NamedTuple):
    name: str
    start: float
    end: float


class Recorder:
    """Notes when each event came."""

    def __init__(self) -> None:
        self.events: list[tuple[str, float]] = []

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        kind, _, step = event.partition(".")
        if kind in ("http11", "http2"):  # which have the same steps
            event = f"http.{step}"
        self.events.append((event, time.perf_counter()))

    def first(self, *prefixes: str) -> float | None:
        return next((at for name, at in self.events if name.startswith(prefixes)), None)

    def last(self, *prefixes: str) -> float | None:
        return next((at for name, at in reversed(self.events) if name.startswith(prefixes)), None)

    def phases(self) -> list[Phase]:
        """What there was of queue, resolve, connect, proxy, TLS, send, wait and body, in order.

        Waiting in the queue ends where connecting begins, and connecting begins, for the eye,
        where the name has been resolved: both contain the other as events.
        """
        resolved = self.last("connection.resolve.complete")
        bounds = [
            (
                "queue",
                self.first("pool.acquire.started"),
                self.first("connection.", "pool.acquire.complete"),
            ),
            ("resolve", self.first("connection.resolve.started"), resolved),
            (
                "connect",
                resolved or self.first("connection.connect_"),
                self.last("connection.connect_tcp.complete", "connection.connect_unix_socket.c"),
            ),
            ("proxy", self.first("proxy."), self.last("proxy.")),
            (
                "TLS",
                self.first("connection.start_tls.started"),
                self.last("connection.start_tls.complete"),
            ),
            (
                "send",
                self.first("http.send_request_headers.started"),
                self.last("http.send_request_body.complete"),
            ),
            (
                "wait",
                self.last("http.send_request_body.complete"),
                self.last("http.receive_response_headers.complete"),
            ),
            (
                "body",
                self.first("http.receive_response_body.started"),
                self.last("http.receive_response_body.complete"),
            ),
        ]
        return [
            Phase(name, start, end)
            for name, start, end in bounds
            if start is not None and end is not None
        ]


def draw(phases: list[Phase], width: int = 48) -> list[str]:
    """One line for each phase: its name, a bar where it was on the time line, milliseconds."""
    begin = min(phase.start for phase in phases)
    total = max(phase.end for phase in phases) - begin
    lines = []
    for name, start, end in phases:
        bar = _bar((start - begin) / total * width, (end - begin) / total * width)
        lines.append(f"{name:>8} │{bar:<{width}}│ {(end - start) * 1000:8.2f} ms")
    return [*lines, f"{'':>8}  {'':<{width}}  {total * 1000:8.2f} ms"]


def _bar(start: float, end: float) -> str:
    """Blocks from `start` to `end` in columns; the end is exact to an eighth."""
    first = int(start)
    eighths = max(1, round((end - first) * 8))
    bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
    return " " * first + bar
