"""The interface between the HTTP/1.1 protocol object and what parses response heads for it.

An engine does one thing: it turns the bytes of one complete head into a `ResponseHead`. It keeps
no state between heads and decides nothing about bodies, so that one engine can stand in for
another. What parsers are known to disagree on has been checked on the raw bytes before, for every
engine alike: see `head`. Chunked bodies are decoded by `chunked`, so there, too, what is accepted
does not depend on the engine.
"""

from __future__ import annotations

from typing import Protocol

from .events import ResponseHead


class HeadParser(Protocol):
    """Parses `head`, which has passed `head.check`: it begins with ``HTTP/1.1 `` or ``HTTP/1.0 ``
    and ends with its only empty line; its lines end in CRLF, or all in a bare LF; no line is
    folded and none holds a control character but HTAB.

    Raises `RemoteProtocolError`, with the engine's own error as its cause, for: a status line
    that is not version, space, three digits from 100 up, and optionally space and reason; a field
    line without a colon, or whose name is not a token directly followed by the colon; more than
    one Transfer-Encoding or one that is not ``chunked``, whose value may come in lower case.
    """

    def __call__(self, head: bytes) -> ResponseHead: ...
