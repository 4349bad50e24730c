"""Waiting for sockets in blocking code: `poll`, and who has a poll object.

Rules of this file: descriptors and events, nothing about what is sent. `select.poll` it is, because
`select.select` cannot take descriptors above 1,023, and something with the same methods where there
is no `poll` (Windows, whose `select` has no such limit).
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

POLLIN: int = getattr(select, "POLLIN", 1)
POLLOUT: int = getattr(select, "POLLOUT", 4)
MAX_POLL = 2**31 - 1
"""The longest that `poll` takes, in milliseconds: 24 days."""


class SelectPoll:
    """The part of `select.poll` that we use."""

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}

    def register(self, fd: int, mask: int) -> None:
        self._masks[fd] = mask

    def unregister(self, fd: int) -> None:
        del self._masks[fd]

    def poll(self, milliseconds: float | None = None) -> list[tuple[int, int]]:
        readers = [fd for fd, mask in self._masks.items() if mask & POLLIN]
        writers = [fd for fd, mask in self._masks.items() if mask & POLLOUT]
        seconds = None if milliseconds is None else milliseconds / 1000.0
        # A refused connection is reported as "exceptional" on Windows.
        ready = select.select(readers, writers, writers, seconds)
        events: dict[int, int] = {}
        for fds, mask in zip(ready, (POLLIN, POLLOUT, POLLOUT), strict=True):
            for fd in fds:
                events[fd] = events.get(fd, 0) | mask
        return list(events.items())


make_poll: Callable[[], Any] = getattr(select, "poll", SelectPoll)

CLOSED = [(-1, 0)]
"""The events of a socket that was closed meanwhile."""

# Of descriptors that nobody waits for any more: the number, the events, the poll object.
_spare_polls: list[tuple[int, int, Any]] = []


def wait_for(sock: socket.socket, mask: int, milliseconds: float) -> list[tuple[int, int]]:
    """Wait for events of one socket, or for the time to pass; a closed one has them at once.

    A poll object is 320 bytes, too many for each idle connection to have one. It knows numbers, not
    files, so any will do for any socket: whoever waits borrows one, for himself alone. The last to
    be given back is the first to be lent, and so has mostly been used for the same socket.
    """
    fd = sock.fileno()
    if fd < 0:
        return CLOSED
    try:
        last_fd, last_mask, poll = _spare_polls.pop()
    except IndexError:
        poll = make_poll()
        poll.register(fd, mask)
    else:
        if last_fd != fd or last_mask != mask:
            poll.unregister(last_fd)
            poll.register(fd, mask)
    events: list[tuple[int, int]] = poll.poll(milliseconds)
    _spare_polls.append((fd, mask, poll))
    return events


def readable_poll(sock: socket.socket | int) -> Any:
    """Something whose ``poll(0)`` tells whether `sock` has anything to read."""
    poll = make_poll()
    poll.register(sock, POLLIN)
    return poll
