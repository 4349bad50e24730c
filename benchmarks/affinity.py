"""Servers and clients on CPUs of their own, where the system lets us choose.

The scheduler likes to move a light client onto the CPU of the server that wakes it, and away again:
one loop then costs two or three times as much as a moment ago, for reasons that are neither ours
nor the peer's. So the servers get the first CPU that we are allowed to use and the workers the
last one. The two workers of a row take turns, they never need it at the same time.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

if sys.platform == "linux":

    def _allowed() -> list[int]:
        return sorted(os.sched_getaffinity(0))

    def _allow(cpus: list[int]) -> None:
        os.sched_setaffinity(0, cpus)

else:

    def _allowed() -> list[int]:
        return []

    def _allow(cpus: list[int]) -> None:
        return


def are_apart() -> bool:
    """Whether servers and clients will run on different CPUs."""
    return len(_allowed()) > 1


@contextlib.contextmanager
def server_cpu() -> Iterator[None]:
    """Processes that are started in here run on the servers' CPU, and so do their children."""
    with _on(0):
        yield


@contextlib.contextmanager
def client_cpu() -> Iterator[None]:
    """Processes that are started in here run on the clients' CPU, and so do their children."""
    with _on(-1):
        yield


@contextlib.contextmanager
def _on(place: int) -> Iterator[None]:
    cpus = _allowed()
    if len(cpus) < 2:
        yield
        return
    # A child inherits it from its first instruction on, whatever it may start at once.
    _allow([cpus[place]])
    try:
        yield
    finally:
        _allow(cpus)
