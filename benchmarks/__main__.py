"""The command line.

python -m benchmarks                        rows with a target, in short: under five minutes
python -m benchmarks --full                 all rows, longer and more rounds: half an hour
python -m benchmarks --rows 'sync / *'      some rows, by name; wildcards allowed
python -m benchmarks --list                 the rows there are

What the documentation shows is made by

python -m benchmarks --full --plot docs/images/performance.png --markdown docs/performance.md

A target that is missed is no failure: the exit code is not about it.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .measure import Plan, measure_row
from .report import Result, as_json, environment
from .rows import ROWS
from .servers import ROOT, ServerError, running_servers
from .table import MarkersMissing, markdown, table, with_results
from .variants import Row

RESULTS = ROOT / "benchmarks" / "results"
SHORT = Plan(rounds=5, seconds=0.2)
FULL = Plan(rounds=9, seconds=0.5)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ratios of CPU time against the peers."
    )
    add = parser.add_argument
    add("--full", action="store_true", help="all rows, longer, and more rounds")
    add("--rows", nargs="+", metavar="NAME", help="only rows with such names (wildcards allowed)")
    add("--list", action="store_true", help="list the rows and their targets")
    add("--rounds", type=int, help=f"rounds ({SHORT.rounds}; {FULL.rounds} with --full)")
    add("--seconds", type=float, help="about how long each variant is measured in each round")
    add("--requests", type=int, help="requests per round, in place of --seconds")
    add("--json", type=Path, help="where to write the samples", default=RESULTS / "latest.json")
    add("--plot", type=Path, help="where to draw the ratios", default=RESULTS / "latest.png")
    add("--markdown", type=Path, metavar="FILE", help="a document whose results to replace")
    return parser.parse_args(arguments)


def make_plan(options: argparse.Namespace) -> Plan:
    base = FULL if options.full else SHORT
    return Plan(options.rounds or base.rounds, options.seconds or base.seconds, options.requests)


def choose(patterns: Sequence[str] | None, *, full: bool) -> list[Row]:
    if not patterns:
        return [row for row in ROWS if full or row.target is not None]
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


def write(results: Sequence[Result], options: argparse.Namespace) -> None:
    """The table to standard output; the samples, the picture and the document to their files."""
    about = environment()
    print(table(results, about))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(as_json(results, about), indent=1) + "\n")
    print(f"samples: {options.json}")
    if options.markdown:
        document = options.markdown.read_text(encoding="utf-8")
        document = with_results(document, markdown(results, about))
        options.markdown.write_text(document, encoding="utf-8")
        print(f"table: {options.markdown}")
    try:
        from .plot import draw

        draw(results, about, options.plot)
        print(f"plot: {options.plot}")
    except ImportError:
        print("no plot: matplotlib is not installed")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    rows = choose(options.rows, full=options.full or options.list)
    if options.list or not rows:
        for row in rows or ROWS:
            print(row.name, "" if row.target is None else f"<= {row.target}")
        return 0 if rows else 2
    raise_descriptor_limit()
    # To be ended from outside must not leave servers behind: let it unwind, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        if options.markdown:  # better now than after minutes of measuring
            with_results(options.markdown.read_text(encoding="utf-8"), "")
        results = measure(rows, make_plan(options))
    except (ServerError, MarkersMissing, OSError) as exc:
        print(exc, file=sys.stderr)
        return 2
    write(results, options)
    return 1 if any(result.problem for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
