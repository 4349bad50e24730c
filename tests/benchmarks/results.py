"""Results as measurements make them, for the tests of what is made of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.report import Result, Sample
from benchmarks.variants import Row, Variant

OURS, PEER = Variant("sync:core"), Variant("sync:urllib3")
ROW = Row("us / them", "Requests", OURS, PEER, 1.0, engine=None)
ABOUT = {
    "python": "3.13.0",
    "implementation": "CPython",
    "system": "Linux x86_64",
    "cpus": 2,
    "own_cpus": True,
    "packages": {"h11": "0.16.0", "httptools": None},
}


def result(ours: list[float], peer: list[float], target: float | None = 1.0, **row: Any) -> Result:
    return Result(
        dataclasses.replace(ROW, target=target, **row),
        [Sample(value, value * 2) for value in ours],
        [Sample(value, value * 4) for value in peer],
        python="CPython 3.13.0",
        engine="h11",
    )


def failed(problem: str, name: str = "not there") -> Result:
    return Result(dataclasses.replace(ROW, name=name), problem=problem)
