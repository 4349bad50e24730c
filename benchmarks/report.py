"""From samples to ratios, verdicts and JSON. Pure: nothing here measures anything."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import comb
from statistics import median
from typing import Any, Literal, NamedTuple

from . import affinity
from .variants import Row

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

DOUBT = 1 / 16
"""How often the interval of a row may miss what would be the median of very many rounds. It is what
the smallest and the largest of five rounds give."""


class Sample(NamedTuple):
    """One round of one variant: CPU seconds (or bytes) and wall seconds of one operation."""

    value: float
    wall: float


@dataclass
class Result:
    """The samples of one row, round by round, or the problem that prevented them.

    The two samples of a round were taken one right after the other, so the ratio of a round is
    less at the mercy of the machine's moods than either of them. The row's ratio is the median of
    the rounds' ratios. Its `interval` comes from their order alone, whatever their distribution.
    """

    row: Row
    ours: list[Sample] = field(default_factory=list)
    peer: list[Sample] = field(default_factory=list)
    python: str = ""  # implementation and version, as the workers have reported it
    engine: str | None = None  # the one of our HTTP/1.1, likewise; None if we were not asked
    peer_engine: str | None = None  # the same where the peer is ours, too
    problem: str = ""

    @property
    def ratios(self) -> list[float]:
        return [a.value / b.value for a, b in zip(self.ours, self.peer, strict=True)]

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """Where the ratio would be found with many more rounds: see `outliers`."""
        ordered = sorted(self.ratios)
        left_out = outliers(len(ordered))
        return ordered[left_out], ordered[-1 - left_out]

    @property
    def wall_ratio(self) -> float:
        return median(a.wall / b.wall for a, b in zip(self.ours, self.peer, strict=True))

    @property
    def busy(self) -> tuple[float, float]:
        """The CPU's share of the wall time, ours and the peer's. A client that is below 1 waits for
        the server, under load too: it then wakes up for few responses at a time, which costs more
        of them than when it finds many."""
        ours, peer = (
            median(sample.value / sample.wall for sample in side) for side in (self.ours, self.peer)
        )
        return ours, peer

    @property
    def verdict(self) -> Verdict:
        if self.problem or self.row.target is None:
            return ""
        return "holds" if self.ratio <= self.row.target else "missed"

    @property
    def is_close(self) -> bool:
        """Whether more rounds could change the verdict."""
        if self.problem or self.row.target is None:
            return False
        low, high = self.interval
        return low <= self.row.target < high

    @property
    def is_other_engine(self) -> bool:
        """Whether the row is about another engine than the one that was measured."""
        return None not in (self.row.engine, self.engine) and self.row.engine != self.engine


def outliers(rounds: int) -> int:
    """How many rounds at either end the interval for the median leaves out.

    A round is below the true median as often as above it, so the number of those below is that of
    the heads of as many coins: the interval is too high, or too low, only if it was nearly all
    heads or nearly all tails.
    """
    left_out, chance = 0, 2 * 0.5**rounds
    while left_out + 1 < rounds / 2:
        chance += 2 * comb(rounds, left_out + 1) * 0.5**rounds
        if chance > DOUBT:
            break
        left_out += 1
    return left_out


def environment() -> dict[str, Any]:
    """What the figures depend on, beside the code."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "own_cpus": affinity.are_apart(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def engine_of(results: Sequence[Result]) -> str | None:
    """The engine of all rows that do not ask for one: ``httptools``, or what is left without it."""
    return next((r.engine for r in results if r.engine and r.row.engine == "httptools"), None)


def as_json(results: Sequence[Result], about: dict[str, Any]) -> dict[str, Any]:
    return {"environment": about, "rows": [_row_as_json(result) for result in results]}


def _row_as_json(result: Result) -> dict[str, Any]:
    row = asdict(result.row)
    if result.problem:
        return row | {"problem": result.problem}
    return row | {
        "python": result.python,
        "engine_used": result.engine,
        "engine_used_by_peer": result.peer_engine,
        "ratio": result.ratio,
        "interval": list(result.interval),
        "spread": [min(result.ratios), max(result.ratios)],
        "wall_ratio": result.wall_ratio,
        "busy": None if result.row.unit == "KiB" else list(result.busy),
        "verdict": result.verdict or None,
        "is_close": result.is_close,
        "samples": {
            name: [sample._asdict() for sample in samples]
            for name, samples in (("ours", result.ours), ("peer", result.peer))
        },
    }
