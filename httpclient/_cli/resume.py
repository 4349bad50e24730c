"""Downloads that go on where an earlier one stopped: what to ask for, and what an answer is worth.

Rules of this file: pure. A part of a file may only be completed with the rest of the very same
bytes. So the server is asked for the rest *if* nothing has changed (RFC 9110, section 13.1.5), and
its answer is believed only if it says the same of itself as the first one did. In doubt the file
is fetched anew; that costs time, the other mistake costs the file.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.I | re.ASCII)
_STRONG_ETAG = re.compile(r'"[^"\x00-\x20\x7f]*"')

# What file systems reserve, or obey: separators, drives and streams, control characters.
_NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]')
_RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)
_MAX_NAME = 200


class Saved(NamedTuple):
    """What is kept beside a partial file: which URL it is from (a hash of it, for it may hold a
    token), and what tells its version."""

    url: str
    etag: str | None
    last_modified: str | None

    def to_json(self) -> str:
        return json.dumps(self._asdict())

    @property
    def validator(self) -> str:
        return self.etag or self.last_modified or ""


def url_hash(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()


def saved_from_json(text: str) -> Saved | None:
    """None for what is not ours."""
    try:
        saved = Saved(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
    values = [saved.etag, saved.last_modified]
    well_typed = isinstance(saved.url, str) and all(isinstance(v, str | None) for v in values)
    return saved if well_typed and saved.validator.isprintable() and saved.validator else None


def saved_from_response(url: str, headers: Mapping[str, str]) -> Saved | None:
    """What would let this response be continued; None if nothing does: no strong validator, or
    bytes that are not those on the wire."""
    if is_encoded(headers):
        return None
    etag = headers.get("ETag", "")
    saved = Saved(
        url_hash(url),
        etag if _STRONG_ETAG.fullmatch(etag) else None,
        _strong_date(headers),
    )
    return saved if saved.validator else None


def is_encoded(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")


def _strong_date(headers: Mapping[str, str]) -> str | None:
    """Last-Modified, if nothing can have changed since within its second (RFC 9110, 8.8.2.2)."""
    value = headers.get("Last-Modified", "")
    modified, now = _date(value), _date(headers.get("Date", ""))
    if modified is None or now is None or now - modified < timedelta(seconds=1):
        return None
    return value


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment if moment.tzinfo is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def range_headers(saved: Saved, size: int) -> list[tuple[str, str]]:
    """What to ask for once `size` bytes are there."""
    return [("Range", f"bytes={size}-"), ("If-Range", saved.validator)]


class Verdict(enum.Enum):
    """What to do with the answer to a request for the rest."""

    APPEND = "it is the rest"
    ANEW = "it is the whole: write it from the beginning"
    AGAIN = "it is neither: ask again, for the whole"
    REFUSE = "it is no part of the file at all"


class Answer(NamedTuple):
    """`total` is how long the whole file must be in the end, where that is known."""

    verdict: Verdict
    total: int | None = None


WHOLE = Answer(Verdict.ANEW)
"""What an answer is to a request that asked for the whole."""


def judge(status: int, headers: Mapping[str, str], saved: Saved, size: int) -> Answer:
    """The answer to a request with `range_headers`."""
    if status == 200:
        return Answer(Verdict.ANEW)
    if status == 416:  # there is less than we have, or nothing more: only the whole can tell
        return Answer(Verdict.AGAIN)
    if status != 206:
        return Answer(Verdict.REFUSE)
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None or is_encoded(headers) or not _is_same(headers, saved):
        return Answer(Verdict.AGAIN)
    if match[3] == "*":  # nobody could tell whether the rest is all there is to come
        return Answer(Verdict.AGAIN)
    first, last, total = map(int, match.groups())
    if first != size or not first <= last < total:
        return Answer(Verdict.AGAIN)
    return Answer(Verdict.APPEND, total)


def _is_same(headers: Mapping[str, str], saved: Saved) -> bool:
    """A 206 has the ETag that the 200 would have; Last-Modified it may leave out (15.3.7)."""
    if saved.etag is not None:
        return headers.get("ETag") == saved.etag
    return headers.get("Last-Modified", saved.last_modified) == saved.last_modified


def remote_name(url: str) -> str:
    """The last part of the URL's path, as the name of a file in the current directory; empty if
    there is none. Never anything that leads elsewhere."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    name = _NOT_IN_NAMES.sub("_", name).strip(" .")
    if _RESERVED_NAMES.fullmatch(name):
        name = f"_{name}"
    return name.encode("utf-8", "replace")[:_MAX_NAME].decode("utf-8", "ignore")
