"""The picture: one bar per row, its spread, and a mark at its target. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .report import Result, engine_of

_COLOURS = {"holds": "#2f855a", "missed": "#c05621", "": "#718096"}


def draw(results: Sequence[Result], about: dict[str, Any], path: Path) -> None:
    """Write a PNG (or what else the suffix of `path` says)."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = [result for result in results if not result.problem][::-1]
    figure, axes = pyplot.subplots(figsize=(10, 1.5 + 0.3 * len(shown)))
    for place, result in enumerate(shown):
        low, high = result.spread
        ratio = result.ratio
        axes.barh(place, ratio, height=0.6, color=_COLOURS[result.verdict])
        errors = [[max(ratio - low, 0.0)], [max(high - ratio, 0.0)]]
        axes.errorbar(ratio, place, xerr=errors, color="black", linewidth=0.8, capsize=2)
        if result.row.target is not None:
            target = result.row.target
            axes.plot([target, target], [place - 0.42, place + 0.42], color="black", linewidth=2)
    axes.set_yticks(range(len(shown)), [result.row.name for result in shown], fontsize=8)
    axes.axvline(1.0, color="grey", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_xticks([0.05, 0.1, 0.2, 0.5, 1, 2, 5], ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    axes.set_xlabel("CPU time, ours / peer (black line: target; whiskers: all rounds)")
    axes.set_title(
        f"Python {about['python']}, {about['cpus']} CPUs, engine {engine_of(results) or 'unknown'}",
        fontsize=10,
    )
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
