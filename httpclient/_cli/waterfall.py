"""The waterfall: a row for each phase of each request, with a bar where it was on the time line.

Rules of this file: from exchanges to something that `rich` prints; all of them share one time line.
What comes from a server is made safe before it becomes part of a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, Group
from rich.text import Text

from .secrets import without_userinfo
from .text import field_text, safe_line
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
    Phase,
)

_COLOURS = {
    QUEUE: "bright_black",
    PAUSE: "bright_black",
    DNS: "cyan",
    CONNECT: "blue",
    TLS: "magenta",
    PROXY: "yellow",
    PROXY_TLS: "magenta",
    UPLOAD: "bright_blue",
    FIRST_BYTE: "green",
    BODY: "bright_green",
}
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LABEL, _TIME = 10, 12
_MAX_BAR = 80


def waterfall(made: Sequence[Exchange], console: Console, show_secrets: bool = False) -> Group:
    """What to print on `console`, whose width and characters decide about the bars."""
    begin = min((exchange.start for exchange in made), default=0.0)
    end = max((exchange.end for exchange in made), default=0.0)
    scale = _Scale(begin, end, console.width, ascii_only=console.options.ascii_only)
    lines: list[Text] = []
    for exchange in made:
        lines.append(_heading(exchange, show_secrets, "->" if scale.ascii_only else "→"))
        lines += [scale.row(phase) for phase in exchange.phases]
        failed = next((phase for phase in exchange.phases if phase.error), None)
        if failed is not None:
            place = f"{failed.name:>{_LABEL}} "
            lines.append(Text(f"{place}{safe_line(str(failed.error))}", style="red"))
    lines.append(scale.total())
    return Group(*lines)


def _heading(exchange: Exchange, show_secrets: bool, arrow: str) -> Text:
    url = exchange.request.get("url", exchange.origin)
    if not show_secrets:
        url = field_text(without_userinfo(url.encode()))
    method = field_text(exchange.request.get("method", b""))
    text = Text(safe_line(f"{method} {url}".strip()), style="bold")
    response, connection = exchange.response, exchange.connection
    if response:
        status = f"{response['status']} {field_text(response['reason'])}".strip()
        text.append(f" {arrow} {safe_line(status)}")
    return text.append(f"  {', '.join(_notes(response, connection))}", style="not bold dim")


def _notes(response: dict[str, object], connection: dict[str, object]) -> Iterable[str]:
    if response:
        yield safe_line(str(response["version"]))
    if connection.get("address"):
        port = connection.get("port")
        place = str(connection["address"])
        yield place if port is None else f"{place} port {port}"
    if "reused" in connection:
        yield "reused" if connection["reused"] else "new connection"


class _Scale:
    """Turns times into columns."""

    def __init__(self, begin: float, end: float, width: int, *, ascii_only: bool) -> None:
        self.ascii_only = ascii_only
        self._begin = begin
        self._length = max(end - begin, 1e-9)
        self._width = max(10, min(width - _LABEL - _TIME - 4, _MAX_BAR))
        self._frame = "|" if ascii_only else "│"

    def row(self, phase: Phase) -> Text:
        start = (phase.start - self._begin) / self._length * self._width
        end = (phase.end - self._begin) / self._length * self._width
        bar = self._bar(start, end)
        style = "red" if phase.error else _COLOURS.get(phase.name, "")
        text = Text(f"{phase.name:>{_LABEL}} {self._frame}")
        text.append(f"{bar:<{self._width}}", style=style)
        return text.append(f"{self._frame} {_milliseconds(phase.seconds)}")

    def total(self) -> Text:
        text = f"{'total':>{_LABEL}}  {'':<{self._width}}  {_milliseconds(self._length)}"
        return Text(text, style="bold")

    def _bar(self, start: float, end: float) -> str:
        """From `start` to `end` in columns; never nothing, never beyond the frame. Its end is
        exact to an eighth, its beginning to a column."""
        first = min(int(start), self._width - 1)
        if self.ascii_only:
            last = min(max(round(end), first + 1), self._width)
            return " " * first + "#" * (last - first)
        eighths = min(max(1, round((end - first) * 8)), (self._width - first) * 8)
        return " " * first + "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:>{_TIME - 3},.2f} ms"
