"""What a comparison is made of: `Variant`, one stack and how it is run, and `Row`, two of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Runner = Literal["sync", "asyncio", "uvloop", "trio", "value"]
Engine = Literal["httptools", "h11"]
"""What parses HTTP/1.1 for us. httptools comes with the extra ``speed``; h11 is always there."""


@dataclass(frozen=True)
class Variant:
    """One stack with its options, as a worker process runs it.

    `stack` is ``module:function`` in `benchmarks.stacks`. The runner ``value`` is for stacks that
    measure something else than the CPU time of this process, and return it.
    """

    stack: str
    runner: Runner = "sync"
    concurrency: int = 1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """`target`: the ratio ours / peer must not be above it; None: for information.

    `engine`: the HTTP/1.1 engine that the row is about; None where it does not matter.
    `rounds`: how many rounds stand for each round of the plan. Where single operations are long
    and differ a lot, many short rounds say more than a few long ones.
    """

    name: str
    group: str
    ours: Variant
    peer: Variant
    target: float | None = None
    engine: Engine | None = "httptools"
    unit: Literal["us", "ms", "KiB"] = "us"
    count: int | None = None  # operations per round, where it is not to be found by calibration
    rounds: int = 1
