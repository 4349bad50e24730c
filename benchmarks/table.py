"""The results as text: the table for a terminal, and the one for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import Any

from .report import Result, engine_of

BEGIN = "<!-- results: written by python -m benchmarks --markdown -->"
END = "<!-- end of results -->"

_SCALES = {"us": 1e6, "ms": 1e3, "KiB": 1 / 1024}
_FIGURES = ("ratio", "interval", "wall", "busy", "target")
_HEAD = ("ours / peer", "ours", "peer", "", *_FIGURES, "", "measured")
_IS_TEXT = {0, 3, 9, 10}
_WALL_LEGEND = (
    "wall: the ratio of wall time. busy: CPU time of wall time, ours/peer; who is not busy waits "
    "for the server, or for others to leave the CPU."
)
_MARKDOWN_HEAD = """\
| | ours | peer | ratio | interval | target | |
|---|--:|--:|--:|:-:|--:|---|"""


class MarkersMissing(Exception):
    """A document does not say where the results go."""


def table(results: Sequence[Result], about: dict[str, Any]) -> str:
    """Everything, as text. CPU columns are medians for one operation."""
    cells = [_HEAD, *(_cells(result) for result in results if not result.problem)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_headline(about, engine_of(results)), _versions(about), ""]
    for line in cells:
        columns = enumerate(zip(line, widths, strict=True))
        padded = [cell.ljust(n) if at in _IS_TEXT else cell.rjust(n) for at, (cell, n) in columns]
        lines.append("  ".join(padded).rstrip())
    lines += ["", *_legend(results), _WALL_LEGEND, *_problems(results)]
    return "\n".join(lines) + "\n"


def markdown(results: Sequence[Result], about: dict[str, Any]) -> str:
    """The same for the documentation: in groups, and without what only a developer asks for."""
    lines = [f"{_headline(about, engine_of(results))}. {_versions(about)}.", "", _MARKDOWN_HEAD]
    shown = [result for result in results if not result.problem]
    for group, members in groupby(shown, lambda result: result.row.group):
        lines.append(f"| **{group}** | | | | | | |")
        for result in members:
            name, ours, peer, unit, ratio, interval, _, _, target, verdict, _ = _cells(result)
            figures = f"{ours} {unit} | {peer} {unit} | **{ratio}** | {interval}"
            lines.append(
                f"| {name} | {figures} | {target} | {verdict.replace('*', chr(92) + '*')} |"
            )
    lines += ["", *_as_list(_legend(results)), *_as_list(_problems(results))]
    return "\n".join(lines) + "\n"


def with_results(document: str, results: str) -> str:
    """`document` with `results` between its two markers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarkersMissing(f"no place for the results, between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{results}\n{END}{after}"


def _headline(about: dict[str, Any], engine: str | None) -> str:
    parts = [
        f"{about['implementation']} {about['python']}",
        about["system"],
        f"{about['cpus']} CPUs",
        *["servers and clients on CPUs of their own"] * about["own_cpus"],
        f"HTTP/1.1 engine: {engine or 'unknown'}",
    ]
    return ", ".join(parts)


def _versions(about: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in about["packages"].items() if version)


def _cells(result: Result) -> tuple[str, ...]:
    row = result.row
    low, high = result.interval
    verdict = f"{result.verdict}{' (close)' if result.is_close else ''}"
    if result.is_other_engine:
        verdict += " *"
    return (
        row.name,
        _figure(median(sample.value for sample in result.ours), row.unit),
        _figure(median(sample.value for sample in result.peer), row.unit),
        row.unit,
        f"{result.ratio:.3f}",
        f"{low:.2f} to {high:.2f}",
        *_wall(result),
        "" if row.target is None else f"{row.target:.2f}",
        verdict.strip(),
        ", ".join(filter(None, (result.python, result.engine))),
    )


def _wall(result: Result) -> tuple[str, str]:
    """The two columns that wall time is needed for; there is none where bytes are counted."""
    if result.row.unit == "KiB":
        return "", ""
    ours, peer = result.busy
    return f"{result.wall_ratio:.2f}", f"{ours:.0%}/{peer:.0%}"


def _figure(value: float, unit: str) -> str:
    scaled = value * _SCALES[unit]
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.3g}"


def _legend(results: Sequence[Result]) -> list[str]:
    lines = [
        "ratio: of CPU time (of bytes where the unit is KiB), the median of the rounds. interval: "
        "where that median lies, with 15 chances in 16 (with five rounds: all of them)."
    ]
    if any(result.is_other_engine for result in results):
        lines.append("*: the row is about the other HTTP/1.1 engine, which was not there.")
    targets = [result for result in results if result.verdict]
    held = [result for result in targets if result.verdict == "holds"]
    lines.append(f"{len(held)} of {len(targets)} targets hold.")
    for title, chosen in (
        ("missed", [r for r in targets if r.verdict == "missed" and not r.is_close]),
        ("close, more rounds could change the verdict", [r for r in targets if r.is_close]),
    ):
        if chosen:
            lines.append(f"{title}: {'; '.join(result.row.name for result in chosen)}")
    return lines


def _problems(results: Sequence[Result]) -> list[str]:
    return [f"{r.row.name}: not measured: {r.problem}" for r in results if r.problem]


def _as_list(lines: Sequence[str]) -> list[str]:
    return ["- " + line.replace("*", "\\*") for line in lines]
