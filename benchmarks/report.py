"""From samples to ratios, verdicts, a table and JSON. Pure: nothing here measures anything."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal, NamedTuple

from .rows import Row

Verdict = Literal["holds", "missed", ""]

PACKAGES = (
    "httpcore-core",
    "httpclient",
    "h11",
    "httptools",
    "trio",
    "uvloop",
    "aiohttp",
    "httpcore",
    "httpcore2",
    "pycurl",
    "pyreqwest",
    "urllib3",
)

_SCALES = {"us": 1e6, "ms": 1e3, "KiB": 1 / 1024}


class Sample(NamedTuple):
    """One round of one variant: CPU seconds (or bytes) and wall seconds of one operation."""

    value: float
    wall: float


@dataclass
class Result:
    """The samples of one row, round by round, or the problem that prevented them.

    The two samples of a round were taken one right after the other, so the ratio of a round is
    less at the mercy of the machine's moods than either of them; the row's ratio is the median of
    the rounds' ratios, and its spread goes from the smallest to the largest.
    """

    row: Row
    ours: list[Sample] = field(default_factory=list)
    peer: list[Sample] = field(default_factory=list)
    engine: str | None = None  # of our HTTP/1.1: "h11" or "speed"
    problem: str = ""

    @property
    def ratios(self) -> list[float]:
        return [a.value / b.value for a, b in zip(self.ours, self.peer, strict=True)]

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.ratios), max(self.ratios)

    @property
    def wall_ratio(self) -> float:
        return median(a.wall / b.wall for a, b in zip(self.ours, self.peer, strict=True))

    @property
    def verdict(self) -> Verdict:
        if self.problem or self.row.target is None:
            return ""
        return "holds" if self.ratio <= self.row.target else "missed"

    @property
    def is_close(self) -> bool:
        """Whether some rounds say one thing and some the other."""
        if self.problem or self.row.target is None:
            return False
        low, high = self.spread
        return low <= self.row.target < high

    @property
    def is_other_engine(self) -> bool:
        """Whether the target is meant for another engine than the one that was measured."""
        engine = self.row.engine
        return engine is not None and self.engine is not None and engine != self.engine


def environment() -> dict[str, Any]:
    """What the figures depend on, beside the code."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def engine_of(results: Sequence[Result]) -> str | None:
    """The engine that our HTTP/1.1 has used in these rows; there is only one."""
    return next((result.engine for result in results if result.engine), None)


def as_json(results: Sequence[Result], about: dict[str, Any]) -> dict[str, Any]:
    return {"environment": about, "rows": [_row_as_json(result) for result in results]}


def _row_as_json(result: Result) -> dict[str, Any]:
    row = asdict(result.row)
    if result.problem:
        return row | {"problem": result.problem}
    return row | {
        "engine_used": result.engine,
        "ratio": result.ratio,
        "spread": list(result.spread),
        "wall_ratio": result.wall_ratio,
        "verdict": result.verdict or None,
        "samples": {
            name: [sample._asdict() for sample in samples]
            for name, samples in (("ours", result.ours), ("peer", result.peer))
        },
    }


def table(results: Sequence[Result], about: dict[str, Any]) -> str:
    """Everything, as text. CPU columns are medians for one operation."""
    lines = [_headline(about, engine_of(results)), ""]
    cells: list[tuple[str, ...]] = [
        ("ours / peer", "ours", "peer", "", "ratio", "spread", "wall", "target", "")
    ]
    cells += [_cells(result) for result in results if not result.problem]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        first, *others = (
            cell.ljust(width) if n in (0, 3, 8) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join((first, *others)).rstrip())
    lines += ["", *_legend(results)]
    lines += [f"{r.row.name}: not measured: {r.problem}" for r in results if r.problem]
    return "\n".join(lines) + "\n"


def _headline(about: dict[str, Any], engine: str | None) -> str:
    versions = [f"{name} {version}" for name, version in about["packages"].items() if version]
    return (
        f"{about['implementation']} {about['python']}, {about['system']}, {about['cpus']} CPUs, "
        f"HTTP/1.1 engine: {engine or 'unknown'}\n{', '.join(versions)}"
    )


def _cells(result: Result) -> tuple[str, ...]:
    row = result.row
    low, high = result.spread
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
        "" if row.unit == "KiB" else f"{result.wall_ratio:.2f}",
        "" if row.target is None else f"{row.target:.2f}",
        verdict,
    )


def _figure(value: float, unit: str) -> str:
    scaled = value * _SCALES[unit]
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.2f}"


def _legend(results: Sequence[Result]) -> list[str]:
    lines = ["ratio: of CPU time (of bytes where the unit is KiB); wall: of wall time."]
    if any(result.is_close for result in results):
        lines.append("close: the rounds do not agree on whether the target is met.")
    if any(result.is_other_engine for result in results):
        lines.append("*: the target is meant for the other HTTP/1.1 engine.")
    missed = sum(result.verdict == "missed" for result in results)
    held = sum(result.verdict == "holds" for result in results)
    lines.append(f"{held} targets hold, {missed} are missed.")
    return lines
