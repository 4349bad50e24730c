"""The benchmarks' pure parts: ratios, verdicts, the table, the JSON, the choice of rows."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json

import pytest

from benchmarks.__main__ import FULL, SHORT, choose, make_plan, parse
from benchmarks.report import Result, Sample, as_json, engine_of, environment, table
from benchmarks.rows import ROWS, Row, Variant

OURS, PEER = Variant("sync:core"), Variant("sync:urllib3")
ABOUT = {
    "python": "3.13.0",
    "implementation": "CPython",
    "system": "Linux x86_64",
    "cpus": 2,
    "packages": {"h11": "0.16.0", "httptools": None},
}


def result(
    ours: list[float],
    peer: list[float],
    target: float | None = 1.0,
    **row: object,
) -> Result:
    return Result(
        dataclasses.replace(Row("us / them", OURS, PEER, target), **row),
        [Sample(value, value * 2) for value in ours],
        [Sample(value, value * 4) for value in peer],
        engine="h11",
    )


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # The machine was ten times slower in the second round, for both.
    measured = result([1.0, 20.0, 3.0], [2.0, 20.0, 2.0])
    assert measured.ratios == [0.5, 1.0, 1.5]
    assert measured.ratio == 1.0
    assert measured.spread == (0.5, 1.5)
    assert measured.wall_ratio == 0.5


@pytest.mark.parametrize(
    ("ratio", "target", "verdict"),
    [(0.9, 1.0, "holds"), (1.0, 1.0, "holds"), (1.1, 1.0, "missed"), (9.0, None, "")],
)
def test_a_target_holds_up_to_its_value(ratio: float, target: float | None, verdict: str) -> None:
    assert result([ratio], [1.0], target).verdict == verdict


def test_a_verdict_on_which_rounds_disagree_is_close() -> None:
    assert result([0.9, 0.9, 1.1], [1.0] * 3).is_close
    assert not result([0.8, 0.9, 1.0], [1.0] * 3).is_close
    assert not result([1.1, 1.2, 1.3], [1.0] * 3).is_close
    assert not result([0.9, 1.1], [1.0] * 2, None).is_close


def test_a_target_may_be_meant_for_another_engine() -> None:
    assert result([1.0], [1.0], engine="speed").is_other_engine
    assert not result([1.0], [1.0], engine="h11").is_other_engine
    assert not result([1.0], [1.0]).is_other_engine


def test_the_engine_is_that_of_any_row_that_knows() -> None:
    unknown = Result(Row("import", OURS, PEER))
    assert engine_of([unknown, result([1.0], [1.0])]) == "h11"
    assert engine_of([unknown]) is None


def test_the_table_shows_figures_targets_and_problems() -> None:
    results = [
        result([50e-6, 60e-6, 70e-6], [100e-6] * 3, 0.65, engine="speed"),
        result([0.0123] * 3, [0.01] * 3, 1.1, name="a download", unit="ms"),
        result([2048.0] * 3, [8192.0] * 3, None, name="memory", unit="KiB"),
        Result(Row("not there", OURS, PEER, 1.0), problem="No module named 'pycurl'"),
    ]
    text = table(results, ABOUT)
    lines = text.splitlines()
    assert lines[0] == "CPython 3.13.0, Linux x86_64, 2 CPUs, HTTP/1.1 engine: h11"
    assert lines[1] == "h11 0.16.0"
    assert [" ".join(line.split()) for line in lines[3:7]] == [
        "ours / peer ours peer ratio spread wall target",
        "us / them 60.00 100 us 0.600 0.50 to 0.70 0.30 0.65 holds (close) *",
        "a download 12.30 10.00 ms 1.230 1.23 to 1.23 0.61 1.10 missed",
        "memory 2.00 8.00 KiB 0.250 0.25 to 0.25",
    ]
    assert "1 targets hold, 1 are missed." in lines
    assert lines[-1] == "not there: not measured: No module named 'pycurl'"
    assert all(len(line) < 160 for line in lines)


def test_the_table_explains_only_what_is_in_it() -> None:
    text = table([result([0.5], [1.0])], ABOUT)
    assert "close" not in text
    assert "*" not in text


def test_the_json_holds_every_sample() -> None:
    written = json.loads(json.dumps(as_json([result([1.0, 2.0], [2.0, 2.0])], ABOUT)))
    assert written["environment"] == ABOUT
    (row,) = written["rows"]
    assert row["name"] == "us / them"
    assert row["ours"]["stack"] == "sync:core"
    assert row["ratio"] == 0.75
    assert row["spread"] == [0.5, 1.0]
    assert row["verdict"] == "holds"
    assert row["engine_used"] == "h11"
    assert row["samples"]["ours"] == [{"value": 1.0, "wall": 2.0}, {"value": 2.0, "wall": 4.0}]


def test_a_row_that_failed_is_written_with_its_problem() -> None:
    failed = Result(Row("us / them", OURS, PEER, 1.0), problem="it hangs")
    (row,) = as_json([failed], ABOUT)["rows"]
    assert row["problem"] == "it hangs"
    assert "ratio" not in row
    assert failed.verdict == ""
    assert not failed.is_close


def test_the_environment_is_plain_values() -> None:
    about = environment()
    assert json.loads(json.dumps(about)) == about
    assert about["packages"]["h11"]


def test_rows_have_unique_names_and_stacks_that_exist() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for variant in (variant for row in ROWS for variant in (row.ours, row.peer)):
        module, _, name = variant.stack.partition(":")
        stack = getattr(importlib.import_module(f"benchmarks.stacks.{module}"), name)
        inspect.signature(stack).bind(None, **variant.options)
        is_async = variant.runner in ("asyncio", "uvloop", "trio")
        assert inspect.iscoroutinefunction(stack) == is_async
        assert is_async or variant.concurrency == 1


def test_rows_are_chosen_by_part_of_their_name_or_wildcard() -> None:
    assert choose(None) == ROWS
    assert [row.name for row in choose(["pycurl"])] == ["sync / pycurl"]
    assert [row.name for row in choose(["*1 at once"])] == [
        "asyncio / aiohttp, 1 at once",
        "uvloop / aiohttp, 1 at once",
    ]
    assert choose(["no such row"]) == []


def test_options_override_the_plan() -> None:
    assert make_plan(parse([])) == SHORT
    assert make_plan(parse(["--full"])) == FULL
    assert SHORT.rounds >= 5
    plan = make_plan(parse(["--full", "--rounds", "3", "--requests", "7"]))
    assert (plan.rounds, plan.seconds, plan.count) == (3, FULL.seconds, 7)
