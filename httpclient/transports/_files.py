"""What a request gets from a file: the decisions of `FileTransport`.

Rules of this file: pure; the file has been looked at, the clock read. Preconditions are those of
RFC 9110, section 13, in the order of 13.2.2; ranges those of section 14. What a header says that is
not well-formed counts as not said.
"""

from __future__ import annotations

import datetime
import email.utils
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from ._paths import content_type

Headers = list[tuple[bytes, bytes]]

ALLOWED = (b"GET", b"HEAD")

_ENTITY_TAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')  # section 8.8.3
_RANGE = re.compile(rb"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
_HUGE = 10**18  # a million terabytes

# Windows: beside separators what opens something else than the file of that name: streams of NTFS
# and drives (":"), patterns, devices with and without an extension, and names whose end is cut off.
_NOT_ON_WINDOWS = re.compile(
    r'.*[\x00-\x1f<>:"|?*\\/].*|.*[. ]|(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])'
    r"[ ]*(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
_DRIVE = re.compile(r"[A-Za-z]:")


class Found(NamedTuple):
    """A regular file: its name, size in bytes, time of change in nanoseconds, and number."""

    name: str
    size: int
    modified: int
    inode: int = 0


class Answer(NamedTuple):
    """`length` bytes from `start` on are the body."""

    status: int
    headers: Headers
    start: int = 0
    length: int = 0


def refusal(status: int) -> Answer:
    """An answer without a body."""
    headers = [(b"Content-Length", b"0")]
    if status == 405:
        headers.insert(0, (b"Allow", b", ".join(ALLOWED)))
    return Answer(status, headers)


def names_of(segments: list[bytes], *, windows: bool, below_root: bool) -> list[str] | None:
    """The names that lead to the file, none empty, for joining to a root; None if there cannot be
    such a file. Without a root of the caller's, Windows has a drive in the first place."""
    try:  # elsewhere than on Windows a name may be any bytes
        names = [name.decode() if windows else os.fsdecode(name) for name in segments if name]
    except UnicodeDecodeError:
        return None
    if any("\0" in name for name in names):
        return None
    if not windows:
        return names
    drive = []
    if not below_root:
        if not names or not _DRIVE.fullmatch(names[0]):
            return None
        drive, names = [f"{names[0]}\\"], names[1:]
    return None if any(map(_NOT_ON_WINDOWS.fullmatch, names)) else drive + names


def answer(
    method: bytes, headers: Iterable[tuple[bytes, bytes]], file: Found, now: float
) -> Answer:
    """The answer to a GET or HEAD. `now` is the time of day, in seconds since 1970."""
    said = _joined(headers)
    tag = b'"%x-%x-%x"' % (file.inode, file.modified, file.size)
    seconds = file.modified // 10**9
    date = _http_date(min(seconds, int(now)))  # 8.8.2.1: not later than the answer
    about = [(b"ETag", tag)] + ([(b"Last-Modified", date)] if date else [])
    status = _precondition(said, tag, seconds)
    if status == 304:
        return Answer(304, about)
    if status == 412:
        return refusal(412)
    start, length = 0, file.size
    if method == b"GET" and b"range" in said and _if_range(said, tag, date):  # 14.2: of GET only
        wanted = _range(said[b"range"], file.size)
        if wanted == (0, 0):
            refused = refusal(416)
            return refused._replace(
                headers=[(b"Content-Range", b"bytes */%d" % file.size), *refused.headers]
            )
        if wanted is not None:
            start, length = wanted
            status = 206
            last = start + length - 1
            about.insert(0, (b"Content-Range", b"bytes %d-%d/%d" % (start, last, file.size)))
    described = [
        (b"Content-Type", content_type(file.name)),
        (b"Content-Length", b"%d" % length),
        (b"Accept-Ranges", b"bytes"),
        *about,
    ]
    return Answer(status, described, start, length if method == b"GET" else 0)


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """By their names in lower case, the lines of a name joined (RFC 9110, section 5.3)."""
    said: dict[bytes, bytes] = {}
    for name, value in headers:
        name = name.lower()
        said[name] = said[name] + b", " + value if name in said else value
    return said


def _precondition(said: dict[bytes, bytes], tag: bytes, seconds: int) -> int:
    """200 if the request is to be done, else 304 or 412 (RFC 9110, section 13.2.2)."""
    if b"if-match" in said:
        if not _lists(said[b"if-match"], tag, weak=False):
            return 412
    elif b"if-unmodified-since" in said:
        date = _timestamp(said[b"if-unmodified-since"])
        if date is not None and seconds > date:
            return 412
    if b"if-none-match" in said:
        if _lists(said[b"if-none-match"], tag, weak=True):
            return 304
    elif b"if-modified-since" in said:
        date = _timestamp(said[b"if-modified-since"])
        if date is not None and seconds <= date:
            return 304
    return 200


def _lists(value: bytes, tag: bytes, *, weak: bool) -> bool:
    """Whether `tag`, which is a strong one, is among those of `value` (section 8.8.3.2)."""
    if value.strip() == b"*":
        return True
    return any(
        found == tag or (weak and found == b"W/" + tag) for found in _ENTITY_TAG.findall(value)
    )


def _if_range(said: dict[bytes, bytes], tag: bytes, date: bytes) -> bool:
    """Whether Range counts (section 13.1.5)."""
    wanted = said.get(b"if-range", tag).strip()
    return wanted == tag or (wanted == date and bool(date))


def _range(value: bytes, size: int) -> tuple[int, int] | None:
    """Where the one range begins, and its length; that is 0 where the file has nothing of it. None
    for several, other units and nonsense, with which a server may send the whole (14.2)."""
    match = _RANGE.fullmatch(value.strip())
    if match is None:
        return None
    first, last = map(_number, match.groups())
    if first is None:
        if last is None:
            return None
        length = min(last, size)
        if last and not size:
            return None  # 14.1.2: satisfied, by an empty whole, which no Content-Range can tell
        return (size - length, length) if length else (0, 0)
    if last is None:
        last = max(first, size - 1)
    if last < first:
        return None
    return (first, min(last, size - 1) - first + 1) if first < size else (0, 0)


def _number(digits: bytes) -> int | None:
    digits = digits.lstrip(b"0") or digits[:1]
    if len(digits) > 18:
        return _HUGE
    return int(digits) if digits else None


def _http_date(seconds: int) -> bytes:
    """Empty for a time that has no such date."""
    try:
        return email.utils.formatdate(seconds, usegmt=True).encode("ascii")
    except (ValueError, OverflowError, OSError):
        return b""


def _timestamp(value: bytes) -> float | None:
    """A date in any of the three forms of RFC 9110, section 5.6.7; in seconds since 1970."""
    try:
        date = email.utils.parsedate_to_datetime(value.decode("ascii"))
        if date.tzinfo is None:  # as in asctime's form
            date = date.replace(tzinfo=datetime.UTC)
        return date.timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
