"""When a PING is due on a connection that has fallen silent, and when the peer counts as dead.

Rules of this file: times come as arguments; it sends nothing and waits for nothing. Whatever is
received is a sign of life, not only the answer to the PING: RFC 9113, section 6.7, asks for that
one to be sent ahead of other frames, but a peer may be in the middle of a long one.
"""

from __future__ import annotations


class KeepAlive:
    """`interval` and `timeout` are in seconds. Times are of one monotonic clock."""

    __slots__ = ("_due", "_interval", "_timeout", "is_asked")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._due = now + interval
        self.is_asked = False
        """A PING has been sent, and nothing has been received since."""

    @property
    def patience(self) -> float:
        """Seconds after which a peer is dead that takes no byte, not even those of a PING, and says
        nothing."""
        return self._interval + self._timeout

    def heard(self, now: float) -> None:
        self.is_asked = False
        self._due = now + self._interval

    def asked(self, now: float) -> None:
        self.is_asked = True
        self._due = now + self._timeout

    def left(self, now: float) -> float:
        """Seconds until a PING is due, or if one `is_asked`, until the peer counts as dead."""
        return max(self._due - now, 0.0)
