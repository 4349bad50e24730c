"""What a pool does when it finds itself in another event loop, or in another process.

Connections belong to the event loop that they were made in, and to one process. In another loop
those of the old one are forgotten, without touching either. A forked child forgets them at once,
before any of its finalisers can shut down what is still its parent's.
"""

from __future__ import annotations

import os
import weakref

from .._concurrency import Lock, is_held_here, is_running
from .._exceptions import LocalProtocolError
from .._line import Line
from .._options import PoolLimits
from .._protocol.pool import PoolPolicy, Slot
from .upkeep import PoolUpkeep

_UNUSED = object()
_FORKED = object()


class PoolContexts(PoolUpkeep):
    """The part of a pool that knows where it is; its state is the pool's."""

    _limits: PoolLimits

    def __init__(self) -> None:
        super().__init__()
        self._context: object = _UNUSED
        _pools.add(self)

    def _enter(self, context: object) -> None:
        """The pool is used in another event loop, or after a fork: start with no connections."""
        if is_held_here(self._lock):
            raise self._interrupted()
        with self._lock:
            if context is self._context:
                return  # another thread was faster
            if is_running(self._context):
                raise LocalProtocolError("the pool is in use in another running event loop")
            slots = self._policy.reset() if self._context is not _UNUSED else []
            self._now = self._backend.bound_now()
            self._start_over(context, slots)

    @staticmethod
    def _interrupted() -> LocalProtocolError:
        return LocalProtocolError("a finaliser cannot use the pool whose code it interrupts")

    def _after_fork(self) -> None:
        """In the child, at once: the connections are the parent's, down to the finalisers."""
        slots = self._policy.slots()
        if not self._lock.acquire(blocking=False):
            # It is held by a thread that the child does not have, perhaps half-way.
            self._policy = PoolPolicy(**self._limits.as_dict())
        else:
            self._policy.reset()
        self._lock = Lock()
        self._start_over(_FORKED, slots)

    def _start_over(self, context: object, slots: list[Slot]) -> None:
        self._context = context
        self._line = Line()  # of requests that wait for a connection
        self._timer = None
        self._dropped.clear()
        for slot in slots:
            if slot.connection is not None:
                slot.connection.forget()


_pools: weakref.WeakSet[PoolContexts] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
