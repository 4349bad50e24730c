"""The rounds: commands to the worker processes, samples from them."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from . import affinity
from .report import Result, Sample
from .servers import ROOT, Servers
from .variants import Row, Variant

PATIENCE = 180.0
"""Seconds for one answer of a worker; then it hangs, and the row is given up."""

TURNS = 4
"""What each of many tasks does at least in a round, so that starting the tasks is not what is
measured."""


class WorkerError(Exception):
    """A worker cannot do what it is for: its library is missing, or has failed."""


@dataclass(frozen=True)
class Plan:
    """`seconds` is about how long one variant is measured in one round; `count`, if given, is the
    number of operations in place of it."""

    rounds: int
    seconds: float
    count: int | None = None


class Worker:
    """One variant in a process of its own."""

    def __init__(self, variant: Variant, process: subprocess.Popen[str]) -> None:
        self._variant = variant
        self._process = process
        self.engine: str | None = None
        self.python: str = self._answer()["python"]

    def measure(self, count: int) -> Sample:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.engine = answer["engine"]
        return Sample(answer["value"], answer["wall"])

    def count_for(self, row: Row, plan: Plan) -> int:
        """How many operations to make in one round. Finding out is the warm-up, too: it goes on
        until it has taken about as long as a round: what comes first is slower than the rest."""
        concurrency = self._variant.concurrency
        least = row.count or max(20, TURNS * concurrency)
        if plan.count is not None and row.count is None:
            least = max(plan.count, concurrency)
        sample = self.measure(least)
        if row.count is not None or plan.count is not None:
            return least
        count = least
        while sample.wall * count < 0.8 * plan.seconds:
            count = min(10 * count, 1 + int(plan.seconds / sample.wall))
            sample = self.measure(count)
        return max(least, int(plan.seconds / sample.wall))

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise WorkerError(f"{self._variant.stack} did not answer within {PATIENCE:.0f} seconds")
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process has ended"}
        problem = answer.get("missing") or answer.get("error")
        if problem:
            raise WorkerError(f"{self._variant.stack}: {problem}")
        return answer


@contextlib.contextmanager
def running_worker(variant: Variant, servers: Servers) -> Iterator[Worker]:
    arguments = [json.dumps(asdict(variant)), json.dumps(asdict(servers))]
    with affinity.client_cpu():
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
    with process:
        try:
            yield Worker(variant, process)
        finally:
            process.kill()


def measure_row(row: Row, servers: Servers, plan: Plan) -> Result:
    """Ours, peer, peer, ours, ours, peer ...: each is first as often as the other, so that neither
    gains when the machine slowly becomes faster or slower. A row whose worker fails comes back with
    the problem."""
    result = Result(row)
    try:
        with running_worker(row.ours, servers) as ours, running_worker(row.peer, servers) as peer:
            ours_count, peer_count = ours.count_for(row, plan), peer.count_for(row, plan)
            sides = [(ours, ours_count, result.ours), (peer, peer_count, result.peer)]
            for _ in range(plan.rounds * row.rounds):
                for worker, count, samples in sides:
                    samples.append(worker.measure(count))
                sides.reverse()
            result.python = ours.python
            result.engine, result.peer_engine = ours.engine, peer.engine
    except WorkerError as exc:
        result.problem = str(exc)
    return result
