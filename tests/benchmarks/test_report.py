"""What is made of samples: ratios, intervals, verdicts, the JSON."""

from __future__ import annotations

import json

import pytest

from benchmarks.report import as_json, engine_of, environment, outliers

from .results import ABOUT, failed, result


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # The machine was ten times slower in the second round, for both.
    measured = result([1.0, 20.0, 3.0], [2.0, 20.0, 2.0])
    assert measured.ratios == [0.5, 1.0, 1.5]
    assert measured.ratio == 1.0
    assert measured.interval == (0.5, 1.5)
    assert measured.wall_ratio == 0.5
    assert measured.busy == (0.5, 0.25)


@pytest.mark.parametrize(
    ("rounds", "left_out"), [(1, 0), (2, 0), (3, 0), (5, 0), (8, 0), (9, 1), (10, 1), (15, 3)]
)
def test_more_rounds_leave_out_more_at_either_end(rounds: int, left_out: int) -> None:
    assert outliers(rounds) == left_out


def test_the_interval_leaves_out_the_odd_round_of_many() -> None:
    ratios = [9.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 0.1]
    assert result(ratios, [1.0] * 9).interval == (1.1, 1.7)


@pytest.mark.parametrize(
    ("ratio", "target", "verdict"),
    [(0.9, 1.0, "holds"), (1.0, 1.0, "holds"), (1.1, 1.0, "missed"), (9.0, None, "")],
)
def test_a_target_holds_up_to_its_value(ratio: float, target: float | None, verdict: str) -> None:
    assert result([ratio], [1.0], target).verdict == verdict


def test_a_verdict_that_more_rounds_could_change_is_close() -> None:
    assert result([0.9, 0.9, 1.1], [1.0] * 3).is_close
    assert not result([0.8, 0.9, 1.0], [1.0] * 3).is_close
    assert not result([1.1, 1.2, 1.3], [1.0] * 3).is_close
    assert not result([0.9, 1.1], [1.0] * 2, None).is_close


def test_a_row_may_be_about_another_engine() -> None:
    assert result([1.0], [1.0], engine="httptools").is_other_engine
    assert not result([1.0], [1.0], engine="h11").is_other_engine
    assert not result([1.0], [1.0]).is_other_engine


def test_the_engine_of_all_is_that_of_rows_which_take_what_is_there() -> None:
    assert engine_of([result([1.0], [1.0]), result([1.0], [1.0], engine="httptools")]) == "h11"
    assert engine_of([failed("it hangs"), result([1.0], [1.0], engine="h11")]) is None


def test_the_json_holds_every_sample() -> None:
    written = json.loads(json.dumps(as_json([result([1.0, 2.0], [2.0, 2.0])], ABOUT)))
    assert written["environment"] == ABOUT
    (row,) = written["rows"]
    assert row["name"] == "us / them"
    assert row["ours"]["stack"] == "sync:core"
    assert row["ratio"] == 0.75
    assert row["busy"] == [0.5, 0.25]
    assert row["interval"] == row["spread"] == [0.5, 1.0]
    assert row["verdict"] == "holds"
    assert row["python"] == "CPython 3.13.0"
    assert row["engine_used"] == "h11"
    assert row["samples"]["ours"] == [{"value": 1.0, "wall": 2.0}, {"value": 2.0, "wall": 4.0}]


def test_a_row_that_failed_is_written_with_its_problem() -> None:
    hanging = failed("it hangs")
    (row,) = as_json([hanging], ABOUT)["rows"]
    assert row["problem"] == "it hangs"
    assert "ratio" not in row
    assert hanging.verdict == ""
    assert not hanging.is_close


def test_the_environment_is_plain_values() -> None:
    about = environment()
    assert json.loads(json.dumps(about)) == about
    assert about["packages"]["h11"]
    assert about.keys() == ABOUT.keys()
