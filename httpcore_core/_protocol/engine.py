"""The interface between the HTTP/1.1 protocol object and what parses response heads for it.

Rules of this file: it names the engines and imports none before it is chosen, since only one of
them is needed and an import takes longer than many requests.

An engine does one thing: it turns the bytes of one complete head into a `ResponseHead`. It keeps
no state between heads and decides nothing about bodies, so that one engine can stand in for
another: what one refuses, all do. Where a head ends and how it frames the body is decided in
`head`, and chunked bodies are decoded by `chunked`, for every engine alike.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Protocol

from .events import ResponseHead

ENGINES = ("auto", "h11", "httptools")
"""What `choose_engine` takes. h11 is always installed, httptools with the extra "speed"."""


class HeadParser(Protocol):
    """Parses `head`, which has passed `head.check`: it begins with ``HTTP/1.1 `` or ``HTTP/1.0 ``
    and ends with its first empty line. Its lines end in CRLF, or all in a bare LF.

    Raises `RemoteProtocolError` for: line ends of both kinds, or a bare CR; a folded line; a
    control character but HTAB; a status line that is not version, space, three digits from 100 up,
    and optionally space and reason; a field line without a colon, or whose name is not a token
    directly followed by the colon; more than one Content-Length, or one that is not one decimal
    number. It may do so for a Transfer-Encoding that is repeated or unknown, as the caller will;
    the value of a known one may come in lower case. Where the error is the parser's own, it is the
    cause.
    """

    def __call__(self, head: bytes) -> ResponseHead: ...


def choose_engine(name: str) -> tuple[str, HeadParser]:
    """Return the engine in use for `name`, one of `ENGINES`, and its parser; cheap when repeated.

    "auto" is httptools where that can be imported, else h11. Raises `ImportError` for "httptools"
    where it cannot, `ValueError` for an unknown name and `TypeError` for what is no name.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of an engine is a str, not {type(name).__name__}")
    return _load(name)


@functools.cache
def _load(name: str) -> tuple[str, HeadParser]:
    if name not in ENGINES:
        raise ValueError(f"unknown HTTP/1.1 engine {name!r}; choose from: {', '.join(ENGINES)}")
    if name != "h11":
        try:
            from . import httptools_engine
        except ImportError as exc:
            if name == "httptools":
                raise ImportError(
                    "httptools is missing or too old: pip install 'httpcore-core[speed]'",
                    name="httptools",
                ) from exc
        else:
            return "httptools", httptools_engine.parse_head
    from . import h11_engine

    return "h11", h11_engine.parse_head


def require_http2() -> None:
    """Raise `ImportError` where HTTP/2 is asked for and `h2`, its engine, is not installed."""
    if importlib.util.find_spec("h2") is None:
        raise ImportError("HTTP/2 needs h2: pip install 'httpcore-core[http2]'", name="h2")


def require_socks() -> None:
    """Raise `ImportError` where a SOCKS proxy is asked for and `socksio` is not installed."""
    if importlib.util.find_spec("socksio") is None:
        raise ImportError("SOCKS needs socksio: pip install 'httpcore-core[socks]'", name="socksio")
