"""Which transport a URL goes to: the patterns of `mounts`.

Rules of this file: values and pure functions. A pattern is ``scheme://host:port`` with parts left
out; its host is compared as `URL` has it, so that case, IDNA and a dot at the end make no
difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ._url_parsing import parse_host

if TYPE_CHECKING:
    from ._urls import URL

T = TypeVar("T")

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443, "ftp": 21}

_split = re.compile(
    r"([A-Za-z][A-Za-z0-9+.\-]*)://(\[[^\[\]/?#@]*\]|[^:\[\]/?#@]*)(?::([0-9]{1,5}))?/?"
).fullmatch


class URLPattern:
    """A set of URLs.

    ``all://``
        every URL; in front of a host, every scheme.
    ``http://``
        one scheme.
    ``all://example.com``, ``all://[::1]``
        one host; ``*`` is any.
    ``all://*.example.com``
        what is below a domain; with ``*example.com`` itself too.
    ``https://example.com:8443``
        one port; without it, all ports.

    Patterns sort the most specific first: port, then host, then scheme. Raises `ValueError`.
    """

    __slots__ = ("_key", "_kind", "host", "pattern", "port", "scheme")

    def __init__(self, pattern: str) -> None:
        if not isinstance(pattern, str):
            raise TypeError(f"a URL pattern is a str, not {type(pattern).__name__}")
        match = _split(pattern)
        if match is None:
            problem = (
                "it is scheme://host:port, where 'all' is any scheme, and the rest is optional"
            )
            raise ValueError(f"{_shown(pattern)} is not a URL pattern: {problem}")
        scheme, host, port = match.groups()
        self.pattern = pattern
        self.scheme = "" if scheme.lower() == "all" else scheme.lower()
        self.port = None if port is None else int(port)
        prefix = "*." if host.startswith("*.") else host[:1] if host[:1] == "*" else ""
        name = host.removeprefix(prefix)
        try:
            self.host = canonical_host(parse_host(name)) if name else ""
            if self.port == 0 or (self.port or 0) > 65535:
                raise ValueError("the port is not between 1 and 65535")
            if prefix == "*." and not name:
                raise ValueError("there is no domain behind '*.'")
        except ValueError as exc:
            raise ValueError(f"{_shown(pattern)} is not a URL pattern: {exc}") from exc
        self._kind = prefix if self.host else "*"
        specific = ("", "*.", "*").index(self._kind)
        self._key = (self.port is None, specific, -len(self.host), not self.scheme)

    def matches(self, url: URL) -> bool:
        if self.scheme and url.scheme != self.scheme:
            return False
        if self.host:
            host = canonical_host(url.host)
            if host == self.host:
                if self._kind == "*.":
                    return False
            elif not self._kind or not host.endswith(f".{self.host}"):
                return False
        return self.port is None or self.port == port_of(url)

    def __lt__(self, other: URLPattern) -> bool:
        return self._key < other._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, URLPattern) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str, str, int | None]:
        return self.scheme, self._kind, self.host, self.port

    def __repr__(self) -> str:
        return f"URLPattern({self.pattern!r})"


def sorted_mounts(mounts: Mapping[str, T] | None) -> list[tuple[URLPattern, T]]:
    """`mounts` as `pick` wants them. Raises `ValueError` and `TypeError`."""
    pairs = [(URLPattern(pattern), value) for pattern, value in (mounts or {}).items()]
    return sorted(pairs, key=lambda pair: pair[0])


def pick(mounts: Iterable[tuple[URLPattern, T]], url: URL) -> T | None:
    """What is mounted at the first pattern that `url` matches; None if there is none."""
    for pattern, value in mounts:
        if pattern.matches(url):
            return value
    return None


def canonical_host(host: str) -> str:
    """Without the dot at the end, which means the same host."""
    return host.removesuffix(".")


def port_of(url: URL) -> int | None:
    return DEFAULT_PORTS.get(url.scheme) if url.port is None else url.port


def _shown(pattern: str) -> str:
    """Credentials have no place in a pattern, but that is where they may be."""
    return "what is given" if "@" in pattern else repr(pattern[:80])
