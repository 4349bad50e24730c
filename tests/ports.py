"""Ports for servers that are to listen at a given one: a number that several addresses share, or
that a configuration has to name before anything listens."""

from __future__ import annotations

import os
import random
import socket

PORTS = range(20000, 32000)
"""Below the ports that systems give to outgoing connections, which come and go all the time. Of
pytest-xdist's workers each has its own: a port is free until a server listens, moments later."""
_worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
PORTS = PORTS[int(_worker) :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]

_given: set[int] = set()


def free_port() -> int:
    """One that nobody listens at, and that has not been given to anyone who has yet to listen."""
    while True:
        port = random.choice(PORTS)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
