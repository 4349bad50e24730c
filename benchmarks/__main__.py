"""The command line.

python -m benchmarks                        all rows, short: about four minutes
python -m benchmarks --full                 all rows, with longer rounds
python -m benchmarks --rows 'sync / *'      some rows, by name; wildcards allowed
python -m benchmarks --list                 the rows there are
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .measure import Plan, measure_row
from .report import Result, as_json, environment, table
from .rows import ROWS, Row
from .servers import ROOT, ServerError, running_servers

RESULTS = ROOT / "benchmarks" / "results"
SHORT = Plan(rounds=5, seconds=0.12)
FULL = Plan(rounds=9, seconds=1.0)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ratios of CPU time against the peers."
    )
    add = parser.add_argument
    add("--full", action="store_true", help="longer and more rounds")
    add("--rows", nargs="+", metavar="NAME", help="only rows with such names (wildcards allowed)")
    add("--list", action="store_true", help="list the rows and their targets")
    add("--rounds", type=int, help=f"rounds ({SHORT.rounds}; {FULL.rounds} with --full)")
    add("--seconds", type=float, help="about how long each variant is measured in each round")
    add("--requests", type=int, help="requests per round, in place of --seconds")
    add("--json", type=Path, help="where to write the samples", default=RESULTS / "latest.json")
    add("--plot", type=Path, help="where to draw the ratios", default=RESULTS / "latest.png")
    return parser.parse_args(arguments)


def make_plan(options: argparse.Namespace) -> Plan:
    base = FULL if options.full else SHORT
    return Plan(options.rounds or base.rounds, options.seconds or base.seconds, options.requests)


def choose(patterns: Sequence[str] | None) -> list[Row]:
    if not patterns:
        return ROWS
    return [row for row in ROWS if any(_matches(row.name, pattern) for pattern in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return pattern in name or fnmatch.fnmatchcase(name, pattern)


def raise_descriptor_limit() -> None:
    """A thousand connections need more descriptors than many systems give by default."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def measure(rows: Sequence[Row], plan: Plan) -> list[Result]:
    results = []
    with running_servers() as servers:
        for number, row in enumerate(rows, 1):
            result = measure_row(row, servers, plan)
            outcome = result.problem or f"{result.ratio:.3f}"
            print(f"[{number}/{len(rows)}] {row.name}: {outcome}", file=sys.stderr, flush=True)
            results.append(result)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    rows = choose(options.rows)
    if options.list or not rows:
        for row in rows or ROWS:
            print(row.name, "" if row.target is None else f"<= {row.target}")
        return 0 if rows else 2
    raise_descriptor_limit()
    try:
        results = measure(rows, make_plan(options))
    except ServerError as exc:
        print(exc, file=sys.stderr)
        return 2
    about = environment()
    print(table(results, about))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(as_json(results, about), indent=1) + "\n")
    print(f"samples: {options.json}")
    try:
        from .plot import draw

        draw(results, about, options.plot)
        print(f"plot: {options.plot}")
    except ImportError:
        print("no plot: matplotlib is not installed")
    return 1 if any(result.problem for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
