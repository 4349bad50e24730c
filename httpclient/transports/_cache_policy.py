"""The decisions of a private HTTP cache: what is stored, what may be served, what is outdated.

Rules of this file: pure; the time is passed in, nothing is sent or stored. Sections are those of
RFC 9111 unless another is named. Headers are whatever a server sent: no function here raises
because of them, and doubt is decided in favour of asking the server.

Why not a library: hishel's state machine reads the clock itself, and knows neither the Age header
nor most request directives nor stale-if-error; cachecontrol's belongs to requests and urllib3, and
knows less. With either most of this would still have to be written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from httpcore_core import (
    ByteStream,
    NetworkError,
    ProxyError,
    RemoteProtocolError,
    Response,
    TimeoutException,
)

from ._cache_entry import HEURISTIC_STATUSES, Asked, Entry
from ._cache_fields import (
    MAX_SECONDS,
    Headers,
    date_field,
    directives,
    first,
    members,
    number,
    values,
    vary_names,
)

SAFE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))  # RFC 9110, section 9.2.1

UNDERSTOOD_STATUSES = HEURISTIC_STATUSES | {302, 303, 307}
"""Those for which all is done that RFC 9110 asks of a cache: what `must-understand` is about."""

FAILURE_STATUSES = frozenset((500, 502, 503, 504))  # RFC 5861, section 4
FAILURES = (NetworkError, TimeoutException, RemoteProtocolError, ProxyError)
"""What counts as a server that cannot be reached."""

# Section 3.1, with those that RFC 9110, section 7.6.1 has messages lose on their way.
_NOT_STORED = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

# Section 3.2: they describe the stored body, which a 304 does not replace.
_NOT_UPDATED = frozenset((b"content-encoding", b"content-length", b"content-range"))


def make_entry(
    asked: Asked,
    status: int,
    headers: Headers,
    extensions: dict[str, Any],
    requested: float,
    received: float,
) -> Entry:
    """A response as it would be stored, but for its content."""
    return Entry(
        asked.selector(vary_names(headers) or set()),
        status,
        _storable_headers(headers, received),
        requested,
        received,
        extensions.get("http_version"),
        extensions.get("reason_phrase"),
    )


def _storable_headers(headers: Headers, received: float) -> Headers:
    unwanted = _NOT_STORED | members(headers, b"connection")
    kept = [field for field in headers if field[0].lower() not in unwanted]
    if not values(kept, b"date"):  # RFC 9110, section 6.6.1
        kept.append(date_field(received))
    return kept


def is_storable(status: int, headers: Headers, entry: Entry) -> bool:
    """Section 3, for a response to GET or HEAD, as received and as it would be stored; and whether
    there is any use in it."""
    if status < 200 or status in (206, 304) or vary_names(headers) is None:
        return False
    said = directives(headers)
    if "must-understand" in said:  # section 5.2.2.3: then no-store is for those who do not
        if status not in UNDERSTOOD_STATUSES:
            return False
    elif "no-store" in said:
        return False
    explicit = not said.keys().isdisjoint(("max-age", "private", "public"))
    if not explicit and status not in HEURISTIC_STATUSES and not values(headers, b"expires"):
        return False
    useful = entry.lifetime > entry.initial_age or entry.validators
    return bool(useful or said.seconds("stale-if-error"))


def assess(asked: Asked, entry: Entry, now: float) -> str | None:
    """Whether the entry answers the request at once (section 4.2): "hit" if it is fresh, "stale" if
    it is not but the request takes it, None if the server has to be asked."""
    wants, said = asked.directives, entry.directives
    if "no-cache" in wants or "no-cache" in said:  # with names, too: section 5.2.2.4 allows that
        return None
    age = entry.age(now)
    fresh = age < entry.lifetime
    # RFC 8246: a reload, which is max-age=0, is not for these; but only over https.
    immutable = fresh and "immutable" in said and asked.scheme == b"https"
    limit = wants.seconds("max-age")
    if limit is not None and not immutable and (age > limit or limit == 0):
        return None
    if fresh:
        spare = wants.seconds("min-fresh", invalid=MAX_SECONDS) or 0
        return "hit" if age + spare < entry.lifetime else None
    allowed = wants.seconds("max-stale", bare=MAX_SECONDS)
    if allowed is None or "min-fresh" in wants or "must-revalidate" in said:
        return None
    return "stale" if age - entry.lifetime <= allowed else None


def allows_stale_if_error(asked: Asked, entry: Entry, now: float) -> bool:
    """RFC 5861, section 4. What the response allows does not go beyond what the request takes; what
    the request allows itself does."""
    wants, said = asked.directives, entry.directives
    if "no-cache" in wants or "no-cache" in said or "must-revalidate" in said:
        return False
    limits = [wants.seconds("stale-if-error")]
    if wants.keys().isdisjoint(("max-age", "min-fresh")):
        limits.append(said.seconds("stale-if-error"))
    staleness = entry.age(now) - entry.lifetime
    return any(limit is not None and staleness <= limit for limit in limits)


def judge(
    asked: Asked, entry: Entry | None, validated: bool, status: int, headers: Headers, now: float
) -> str:
    """What a response means for the entry that there was (section 4.3.3): "new" if it takes its
    place, "confirmed" or "mistaken" if it is a 304, "failed" if the stale entry is better than it.
    `validated`: the entry's conditions were sent."""
    if entry is None:
        return "new"
    if status == 304 and validated:
        return "confirmed" if _is_about(entry, headers) else "mistaken"
    if status in FAILURE_STATUSES and allows_stale_if_error(asked, entry, now):
        return "failed"
    return "new"


def _is_about(entry: Entry, headers: Headers) -> bool:
    """Whether a 304 is about this entry (section 4.3.4)."""
    tag = first(headers, b"etag")
    if tag is not None:
        return tag.removeprefix(b"W/") == (first(entry.headers, b"etag") or b"").removeprefix(b"W/")
    modified = first(headers, b"last-modified")
    return modified in (None, first(entry.headers, b"last-modified"))


def freshened(
    asked: Asked, entry: Entry, headers: Headers, requested: float, received: float
) -> Entry:
    """The entry with the headers of a 304 (section 3.2)."""
    update = [
        field
        for field in _storable_headers(headers, received)
        if field[0].lower() not in _NOT_UPDATED
    ]
    replaced = {name.lower() for name, _ in update} | {b"age"}
    merged = [field for field in entry.headers if field[0].lower() not in replaced] + update
    method = entry.selector.partition(b" ")[0]  # of a GET's entry, which a HEAD may confirm
    selector = asked.selector(vary_names(merged) or set(), method)
    return replace(entry, selector=selector, headers=merged, requested=requested, received=received)


def expected_length(asked: Asked, status: int, headers: Headers) -> int | None:
    """How long the body has to be to be whole (section 3.3); None where nobody says."""
    lengths = set(values(headers, b"content-length"))
    if asked.method == b"HEAD" or status == 204 or len(lengths) != 1:
        return None
    return number(lengths.pop().decode("latin-1"))


def contradicts(asked: Asked, entry: Entry, status: int, headers: Headers) -> bool:
    """Whether the answer to a HEAD shows that a GET would not give what is stored (4.3.5)."""
    if asked.method != b"HEAD" or status != 200 or not entry.selector.startswith(b"GET "):
        return False
    names = (b"etag", b"last-modified", b"content-length")
    said = ((first(headers, name), first(entry.headers, name)) for name in names)
    return any(new is not None and new != old for new, old in said)


def outdated_keys(asked: Asked, status: int, headers: Headers) -> list[bytes]:
    """The keys of all that a response to an unsafe method has made invalid (section 4.4)."""
    if asked.method in SAFE_METHODS or not 200 <= status < 400:
        return []
    names = (b"location", b"content-location")
    references = [value for name in names for value in values(headers, name)]
    related = [asked.related_key(reference) for reference in references]
    return [asked.key, *(key for key in related if key is not None)]


def answer(asked: Asked, entry: Entry, status: str, now: float) -> Response:
    """The entry as a response. `status` is what the `cache` extension says."""
    age = int(entry.age(now))
    headers = list(entry.headers)
    if status != "revalidated":  # section 4; then it would say that the server was not asked (5.1)
        headers = [field for field in headers if field[0].lower() != b"age"]
        headers.append((b"Age", str(age).encode("ascii")))
    extensions: dict[str, Any] = {"cache": {"status": status, "age": age}}
    if entry.http_version is not None:
        extensions["http_version"] = entry.http_version
    if entry.reason_phrase is not None:
        extensions["reason_phrase"] = entry.reason_phrase
    content = b"" if asked.method == b"HEAD" else entry.content
    return Response(entry.status, headers, ByteStream(content), extensions)


def not_in_cache() -> Response:
    """What `only-if-cached` gets where there is nothing (section 5.2.1.7)."""
    extensions = {
        "http_version": b"HTTP/1.1",
        "reason_phrase": b"Gateway Timeout",
        "cache": {"status": "miss", "age": None},
    }
    return Response(504, [(b"Content-Length", b"0")], ByteStream(), extensions)
