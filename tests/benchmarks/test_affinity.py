"""Servers and clients on CPUs of their own, where there are two."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks import affinity

SHOW = "import os; print(*sorted(os.sched_getaffinity(0)))"


def cpus_of_a_child() -> list[int]:
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, check=True)
    return [int(cpu) for cpu in done.stdout.split()]


@pytest.mark.skipif(not affinity.are_apart(), reason="needs two CPUs and the right to choose")
def test_children_inherit_a_cpu_and_we_keep_all() -> None:
    before = cpus_of_a_child()
    with affinity.server_cpu():
        assert cpus_of_a_child() == before[:1]
    with affinity.client_cpu():
        assert cpus_of_a_child() == before[-1:]
    assert cpus_of_a_child() == before


def test_nothing_is_chosen_where_there_is_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affinity, "_allowed", lambda: [3])
    monkeypatch.setattr(affinity, "_allow", lambda cpus: pytest.fail(f"{cpus} were chosen"))
    assert not affinity.are_apart()
    with affinity.server_cpu(), affinity.client_cpu():
        pass
