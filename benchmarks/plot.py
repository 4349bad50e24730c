"""The picture: one bar per row from 1.0, where both cost the same, to its ratio. Needs matplotlib.

A bar to the left is a gain, one to the right a loss, on a logarithmic axis: half and double are
equally long. Colours, from Okabe and Ito's palette, are told apart by those who see few.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from .report import Result, engine_of

INK, PALE = "#1f2933", "#7b8794"
_COLOURS = {"holds": "#009e73", "missed": "#d55e00", "": "#9aa5b1"}
_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROW_HEIGHT = 0.235  # inches
HEADING = 1.35  # rows that the heading of a group takes


def draw(results: Sequence[Result], about: dict[str, Any], path: Path) -> None:
    """Write a PNG (or what else the suffix of `path` says)."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = [result for result in results if not result.problem]
    places, headings, height = _layout(shown)
    figure, axes = pyplot.subplots(figsize=(11, 1.9 + ROW_HEIGHT * height))
    for place, result in zip(places, shown, strict=True):
        _draw_row(axes, place, result)
    for place, title in headings:
        axes.text(
            -0.012, place, title, transform=axes.get_yaxis_transform(), ha="right", va="center",
            fontsize=9, fontweight="bold", color=INK,
        )  # fmt: skip
    axes.set_yticks(places, [result.row.name for result in shown], fontsize=8.5, color=INK)
    axes.set_ylim(height - 0.3, -0.7)
    _draw_axis(axes, shown)
    _draw_frame(figure, axes, about, shown)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, bbox_inches="tight", pad_inches=0.2, facecolor="white")
    pyplot.close(figure)


def _layout(shown: Sequence[Result]) -> tuple[list[float], list[tuple[float, str]], float]:
    """Where each bar goes, where the headings of the groups, and how far all of it reaches."""
    places: list[float] = []
    headings = []
    at = 0.0
    for title, members in groupby(shown, lambda result: result.row.group):
        headings.append((at, title))
        at += 1.0
        for _ in members:
            places.append(at)
            at += 1.0
        at += HEADING - 1.0
    return places, headings, at


def _draw_row(axes: Any, place: float, result: Result) -> None:
    ratio, (low, high) = result.ratio, result.interval
    colour = _COLOURS[result.verdict]
    axes.barh(place, ratio - 1.0, left=1.0, height=0.62, color=colour, alpha=0.9, zorder=2)
    axes.plot([low, high], [place, place], color=INK, linewidth=1.1, zorder=3)
    if result.row.target is not None:
        target = result.row.target
        axes.plot([target] * 2, [place - 0.38, place + 0.38], color=INK, linewidth=2.4, zorder=4)
    label = f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"
    axes.text(
        1.012, place, label, transform=axes.get_yaxis_transform(), ha="left", va="center",
        fontsize=8.5, fontweight="bold" if result.verdict else "normal",
        color=colour if result.verdict else PALE,
    )  # fmt: skip
    axes.text(
        1.062, place, _verdict(result), transform=axes.get_yaxis_transform(), ha="left",
        va="center", fontsize=8.5, color=colour,
    )  # fmt: skip


def _verdict(result: Result) -> str:
    if not result.verdict:
        return ""
    sign = "\N{LESS-THAN OR EQUAL TO}" if result.verdict == "holds" else ">"
    doubt = ", close" if result.is_close else ""
    return f"{sign} {result.row.target:.2f}{doubt}{' *' if result.is_other_engine else ''}"


def _draw_axis(axes: Any, shown: Sequence[Result]) -> None:
    """From the least of all that is drawn to the most, marked where people count."""
    values = [1.0]
    for result in shown:
        values += result.interval
        values += [] if result.row.target is None else [result.row.target]
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 1.15, max(values) * 1.15)
    low, high = axes.get_xlim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=9, color=INK)
    axes.tick_params(axis="x", top=True, labeltop=True, length=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.8, zorder=0)
    axes.axvline(1.0, color=INK, linewidth=1.0, zorder=3)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)


def _draw_frame(figure: Any, axes: Any, about: dict[str, Any], shown: Sequence[Result]) -> None:
    """Title and legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    python = f"{about['implementation']} {about['python']}"
    title = f"{python}, HTTP/1.1 engine: {engine_of(shown) or 'unknown'}"
    height = figure.get_figheight()
    axes.set_title(
        "CPU time of the client, ours / peer: left of 1 is less than the peer\n" + title,
        fontsize=11, color=INK, loc="left", x=-0.3, pad=24, linespacing=1.5,
    )  # fmt: skip
    handles = [
        Patch(color=_COLOURS["holds"], label="target holds"),
        Patch(color=_COLOURS["missed"], label="target missed"),
        Patch(color=_COLOURS[""], label="no target"),
        Line2D([], [], color=INK, linewidth=2.4, marker="", label="target"),
        Line2D([], [], color=INK, linewidth=1.1, marker="", label="interval of the median"),
    ]
    if any(result.is_other_engine for result in shown):
        handles.append(Line2D([], [], linestyle="", label="* meant for the other engine"))
    axes.legend(
        handles=handles, ncols=6, loc="upper left", bbox_to_anchor=(-0.3, -0.28 / height),
        frameon=False, fontsize=8.5, labelcolor=INK, handlelength=1.2, columnspacing=1.8,
    )  # fmt: skip
