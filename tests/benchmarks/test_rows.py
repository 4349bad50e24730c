"""The rows there are, the choice among them, and what the command line makes of its options."""

from __future__ import annotations

import importlib
import inspect

from benchmarks.__main__ import FULL, SHORT, choose, make_plan, parse
from benchmarks.rows import ROWS
from benchmarks.variants import Variant


def stack_of(variant: Variant) -> object:
    module, _, name = variant.stack.partition(":")
    return getattr(importlib.import_module(f"benchmarks.stacks.{module}"), name)


def test_rows_have_unique_names_and_stacks_that_exist() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for variant in (variant for row in ROWS for variant in (row.ours, row.peer)):
        stack = stack_of(variant)
        assert callable(stack)
        inspect.signature(stack).bind(None, **variant.options)
        is_async = variant.runner in ("asyncio", "uvloop", "trio")
        assert inspect.iscoroutinefunction(stack) == is_async
        assert is_async or variant.concurrency == 1


def test_groups_are_not_scattered() -> None:
    groups = [row.group for row in ROWS]
    assert groups == sorted(groups, key=groups.index)


def test_rows_about_an_engine_force_it_and_others_do_not() -> None:
    for row in ROWS:
        assert row.ours.options.get("engine", "auto") == ("h11" if row.engine == "h11" else "auto")
    assert [row.name for row in ROWS if row.engine == "h11"] == [
        "sync / h11 alone",
        "asyncio, h11 / aiohttp, 20 at once",
    ]


def test_rows_are_chosen_by_part_of_their_name_or_wildcard() -> None:
    assert choose(None, full=True) == ROWS
    assert choose(None, full=False) == [row for row in ROWS if row.target is not None]
    assert [row.name for row in choose(["pycurl"], full=False)] == ["sync / pycurl"]
    assert [row.name for row in choose(["* aiohttp, 1 at once"], full=False)] == [
        "asyncio / aiohttp, 1 at once",
        "uvloop / aiohttp, 1 at once",
    ]
    assert choose(["no such row"], full=True) == []


def test_options_override_the_plan() -> None:
    assert make_plan(parse([])) == SHORT
    assert make_plan(parse(["--full"])) == FULL
    assert SHORT.rounds >= 5
    plan = make_plan(parse(["--full", "--rounds", "3", "--requests", "7"]))
    assert (plan.rounds, plan.seconds, plan.count) == (3, FULL.seconds, 7)
