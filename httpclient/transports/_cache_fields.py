"""The header fields that a cache reads: Cache-Control, Age, Vary, dates.

Rules of this file: pure functions over lists of headers. None of them raises, whatever the bytes;
what is not as its grammar has it is read to the safe side, which is always that of asking the
server again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from typing import TypeAlias

Headers: TypeAlias = list[tuple[bytes, bytes]]

MAX_SECONDS = 2**31
"""What a number of seconds too large to count stands for (RFC 9111, section 1.2.2)."""

MAX_VARY = 32
"""More names in one Vary are taken for ``*``: nobody has that many reasons to answer otherwise."""

_LONGEST_DATE = 64  # bytes; the longest of the three forms has 33 (RFC 9110, section 5.6.7)
_MALFORMED = "?"  # stands for an argument, and is none that any directive has

_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_unescape = re.compile(r"\\(.)", re.DOTALL).sub

# A directive, its argument as a string or as a token, and whether the list goes on properly behind
# it. Where it does not, the argument is not trusted, but what follows is still looked at: it may
# be a "no-store". The possessive star keeps a string without an end linear.
_find_directives = re.compile(
    r'([^\s,;="]+)(?:=(?:"((?:[^"\\]|\\.)*+)"|([^\s,;"]*)))?(\s*(?:,|$))?', re.ASCII | re.DOTALL
).finditer


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The values of all fields of that name, which is lower case."""
    return [value.strip() for field, value in headers if field.lower() == name]


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of the first field of that name."""
    found = values(headers, name)
    return found[0] if found else None


def members(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> set[bytes]:
    """The members of a list of tokens, in lower case."""
    parts = (part.strip() for value in values(headers, name) for part in value.split(b","))
    return {part.lower() for part in parts if part}


class Directives(dict[str, list[str | None]]):
    """Those of Cache-Control: for each name, in lower case, the arguments it was given."""

    def seconds(self, name: str, *, invalid: int = 0, bare: int | None = None) -> int | None:
        """The argument of `name`; None where the directive is missing. `invalid` stands for what is
        no number, and for several that differ; `bare` for no argument, if that is allowed."""
        found = set(self.get(name, ()))
        if not found:
            return None
        argument = found.pop()
        if found:
            return invalid
        if argument is None:
            return invalid if bare is None else bare
        seconds = number(argument)
        return invalid if seconds is None else seconds


def directives(headers: Iterable[tuple[bytes, bytes]]) -> Directives:
    """Parse Cache-Control (RFC 9111, section 5.2)."""
    found = Directives()
    for value in values(headers, b"cache-control"):
        for name, string, token, end in _groups(value.decode("latin-1")):
            argument = token if string is None else _unescape(r"\1", string)
            found.setdefault(name.lower(), []).append(_MALFORMED if end is None else argument)
    return found


def _groups(text: str) -> Iterable[tuple[str, str | None, str | None, str | None]]:
    for match in _find_directives(text):
        name, string, token, end = match.groups()
        yield name, string, token, end


def number(text: str) -> int | None:
    """Of seconds (RFC 9111, section 1.2.2) or bytes; None for what is no such number."""
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text.lstrip("0")[:11] or "0"), MAX_SECONDS)  # Python limits the digits of `int`


def age_field(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """RFC 9111, section 5.1: of several values the first counts, and an illegal one does not."""
    text = (first(headers, b"age") or b"").partition(b",")[0].strip()
    return number(text.decode("latin-1")) or 0


def http_date(value: bytes | None) -> float | None:
    """Seconds since 1970, or None for what is no date (RFC 9110, section 5.6.7)."""
    if value is None or len(value) > _LONGEST_DATE:
        return None
    try:
        parsed = parsedate_to_datetime(value.decode("ascii"))
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def date_field(seconds: float) -> tuple[bytes, bytes]:
    """A Date header."""
    return b"Date", formatdate(seconds, usegmt=True).encode("ascii")


def vary_names(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes] | None:
    """What Vary names, in lower case; None where nothing that is known of a request selects the
    response (RFC 9111, section 4.1)."""
    names = members(headers, b"vary")
    if len(names) > MAX_VARY or b"*" in names or not all(map(_is_token, names)):
        return None
    return names
