"""Ready-made steps for the scripts of `ScriptedServer`.

    ScriptedServer([read_request(), send(b"HTTP/1.1 200 OK\\r\\n\\r\\n"), close()])

Each is a method of `Peer` with its arguments filled in.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from .peer import Peer

Step: TypeAlias = Callable[[Peer], object]


def expect(data: bytes) -> Step:
    """The client sends exactly these bytes next."""
    return lambda peer: peer.expect(data)


def expect_match(pattern: bytes) -> Step:
    """Read until the regular expression is found."""
    return lambda peer: peer.expect_match(pattern)


def read_head() -> Step:
    """Read the head of a request."""
    return lambda peer: peer.read_head()


def read_request() -> Step:
    """Read a whole HTTP/1.1 request."""
    return lambda peer: peer.read_request()


def send(data: bytes) -> Step:
    return lambda peer: peer.send(data)


def drip(data: bytes, interval: float = 0.0) -> Step:
    """Send one byte at a time, `interval` seconds apart."""
    return lambda peer: peer.drip(data, interval)


def hang(until: threading.Event | None = None) -> Step:
    """Do nothing until the event is set, or until ``server.release()``."""
    return lambda peer: peer.hang(until)


def pause(seconds: float) -> Step:
    return lambda peer: peer.pause(seconds)


def start_tls(context: ssl.SSLContext) -> Step:
    return lambda peer: peer.start_tls(context)


def half_close() -> Step:
    """Send a FIN and go on reading."""
    return lambda peer: peer.half_close()


def close(close_notify: bool = True) -> Step:
    return lambda peer: peer.close(close_notify)


def reset() -> Step:
    """Send a RST."""
    return lambda peer: peer.reset()


def repeat(*steps: Step) -> Step:
    """Do the steps again and again, until the client ends the connection."""

    def run(peer: Peer) -> None:
        while peer.ended is None:
            for step in steps:
                step(peer)

    return run


def respond_to_each(response: bytes | Sequence[bytes]) -> Step:
    """Answer every request on the connection with the same bytes."""
    data = response if isinstance(response, bytes) else b"".join(response)
    return repeat(read_request(), send(data))
