"""What every test is held to: it ends, it closes what it opened, it talks to loopback only.

These look at the process from outside and know nothing of the package.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FD_DIRECTORY = next((path for path in ("/proc/self/fd", "/dev/fd") if os.path.isdir(path)), None)

GRACE = 5.0
"""Seconds until an open descriptor counts as leaked: a server's thread may be about to close it."""


def open_descriptors() -> dict[int, str]:
    """The process's file descriptors, with what they are where the system tells."""
    if FD_DIRECTORY is None:
        return {}
    found = {}
    for name in os.listdir(FD_DIRECTORY):
        try:
            target = os.readlink(f"{FD_DIRECTORY}/{name}")
        except OSError:
            try:
                status = os.fstat(int(name))
            except OSError:
                continue  # the one that listed the directory
            target = f"{status.st_mode:o} {status.st_ino}"
        found[int(name)] = target
    return found


@contextmanager
def no_leaked_descriptors() -> Iterator[None]:
    """Fail if descriptors are open at the end that were not at the beginning."""
    before = open_descriptors()
    yield
    deadline = time.monotonic() + GRACE
    leaked = _new(before)
    while leaked and time.monotonic() < deadline:
        gc.collect()
        leaked = _new(before)
        if leaked:
            time.sleep(0.005)
    assert not leaked, f"descriptors left open: {leaked}"


def _new(before: dict[int, str]) -> dict[int, str]:
    now = open_descriptors()
    return {number: target for number, target in now.items() if before.get(number) != target}


def allow_loopback_only() -> None:
    """From now on, connecting to or resolving anything else raises in this process."""
    sys.addaudithook(_audit)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    assert _is_local(host), f"{event}: tests may only talk to loopback, not to {host!r}"


def _is_local(host: str | bytes | None) -> bool:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""
    # .invalid never resolves (RFC 6761), which is what tests of failing resolution need.
    if text in ("", "localhost") or text.rstrip(".").endswith((".localhost", ".invalid")):
        return True
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    # The unspecified address is what servers bind to; resolving it asks nobody.
    return (mapped or address).is_loopback or address.is_unspecified
