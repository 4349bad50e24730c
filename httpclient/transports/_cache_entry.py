"""What a cache knows: a request, as far as it matters, and a stored response.

Rules of this file: values with what follows from them alone; the time is passed in. Sections are
those of RFC 9111 unless another is named.

A stored response is found by the key of its URL, and then by its selector: the method, the names of
the request headers that it depends on, and a digest of their values. The digest is all that is kept
of a request, so that no credential is. `Authorization` is always one of those names, though for a
private cache the RFC asks for that only where Vary does: a transport may serve several users.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from httpcore_core import LocalProtocolError

from .._urls import URL
from ._cache_fields import (
    MAX_SECONDS,
    Directives,
    Headers,
    age_field,
    directives,
    first,
    http_date,
    members,
    values,
)

STORED_METHODS = frozenset((b"GET", b"HEAD"))

HEURISTIC_STATUSES = frozenset((200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501))
"""Cacheable by default (RFC 9110, section 15.1); 206 is not, as parts are never stored here."""

HEURISTIC_FRACTION = 0.1
"""Of the time since the last change (section 4.2.2, which calls this typical)."""

MAX_HEURISTIC = 86400.0
"""Seconds. RFC 7234 wanted a warning on what was taken for fresh longer than a day without the
server saying so; there are no such warnings any more. Firefox stops at a week."""

# A range, a condition of the caller's own, a change of protocol: not for a cache to answer.
_CALLERS_OWN = frozenset(
    (
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
        b"upgrade",
    )
)

_DEFAULT_PORTS = {b"http": (80, b":80"), b"https": (443, b":443")}


class Asked:
    """What a request wants of a cache. `has_body`: it sends more than its head."""

    def __init__(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: Headers,
        extensions: dict[str, Any],
        has_body: bool,
    ) -> None:
        """Raises `LocalProtocolError` for what are not the primitives of the transport API."""
        try:
            scheme, host, port, target = url
            self._fields: dict[bytes, bytes] = {}
            for name, value in headers:
                name, value = name.lower(), value.strip()
                known = self._fields.get(name)
                self._fields[name] = value if known is None else known + b", " + value
            self.method = method
            self.scheme = scheme.lower()
            default_port, suffix = _DEFAULT_PORTS.get(self.scheme, (None, b""))
            self._connection = (self.scheme, host.lower().strip(b"[]"), port or default_port)
            # The authority is what Host says, which need not be where the connection goes.
            self._authority = self._fields.get(b"host", b"").lower().removesuffix(suffix)
            self._target = extensions.get("target", target)
            self.key = self._key(self._target)
            self.directives = directives(headers)
        except (AttributeError, TypeError, ValueError) as exc:
            problem = "method, url, headers and extensions are not what the transport API has"
            raise LocalProtocolError(problem, phase="request") from exc
        if b"cache-control" not in self._fields and b"no-cache" in members(headers, b"pragma"):
            self.directives["no-cache"] = [None]  # RFC 7234, section 5.4
        storable = method in STORED_METHODS
        self.only_if_cached = storable and "only-if-cached" in self.directives
        self.uses_cache = (
            storable
            and not has_body
            and "no-store" not in self.directives
            and _CALLERS_OWN.isdisjoint(self._fields)
        )

    def _key(self, target: Any) -> bytes:
        return hashlib.sha256(repr((self._connection, self._authority, target)).encode()).digest()

    def selector(self, names: set[bytes], method: bytes | None = None) -> bytes:
        """What says for which requests a response is that depends on these headers."""
        return self._selector(method or self.method, b",".join(sorted(names | {b"authorization"})))

    def _selector(self, method: bytes, names: bytes) -> bytes:
        # The key is part of it: equal credentials do not look equal in the entries of two URLs.
        chosen = [(name, self._fields.get(name)) for name in names.split(b",")]
        digest = hashlib.sha256(repr((self.key, chosen)).encode()).hexdigest()
        return b"%s %s %s" % (method, names, digest.encode("ascii"))

    def accepts(self, selector: bytes) -> bool:
        """Whether the response with that selector is one for this request. (That to a GET answers
        a HEAD as well: RFC 9110, section 9.3.2.)"""
        method, _, rest = selector.partition(b" ")
        if method != self.method and (method, self.method) != (b"GET", b"HEAD"):
            return False
        return self._selector(method, rest.partition(b" ")[0]) == selector

    def related_key(self, reference: bytes) -> bytes | None:
        """The key of a URL, which may be relative, if its origin is that of this request."""
        try:
            _, host, port = self._connection
            netloc = b"[%s]" % host if b":" in host else host
            authority = self._authority or (b"%s:%d" % (netloc, port) if port else netloc)
            base = URL((self.scheme + b"://" + authority + self._target).decode("ascii"))
            url = base.join(reference.decode("utf-8", "surrogateescape")).raw
        except (TypeError, ValueError):  # InvalidURL is one of these
            return None
        return self._key(url[3]) if url[:3] == base.raw[:3] else None


@dataclass(frozen=True, repr=False)
class Entry:
    """A stored response. Times are in seconds since 1970: `requested` is when the request was sent,
    `received` when the head of the response arrived. `content` is as on the wire, encoded."""

    selector: bytes
    status: int
    headers: Headers
    requested: float
    received: float
    http_version: bytes | None = None
    reason_phrase: bytes | None = None
    content: bytes = b""

    def __repr__(self) -> str:
        return f"<Entry [{self.status}, {len(self.content)} bytes]>"

    @cached_property
    def directives(self) -> Directives:
        return directives(self.headers)

    @cached_property
    def date(self) -> float:
        """When the server made it, by the server's clock."""
        date = http_date(first(self.headers, b"date"))
        return self.received if date is None else date

    @property
    def order(self) -> float:
        """Of several that suit a request the latest is used (section 4)."""
        return min(self.date, self.received)

    @cached_property
    def lifetime(self) -> float:
        """For how many seconds it is fresh (sections 4.2.1 and 4.2.2)."""
        max_age = self.directives.seconds("max-age")
        if max_age is not None:
            return max_age
        expires = set(values(self.headers, b"expires"))
        if expires:
            end = http_date(expires.pop())
            return 0.0 if end is None or expires else max(end - self.date, 0.0)
        modified = http_date(first(self.headers, b"last-modified"))
        guessable = self.status in HEURISTIC_STATUSES or "public" in self.directives
        if modified is None or not guessable:
            return 0.0
        return min(max((self.date - modified) * HEURISTIC_FRACTION, 0.0), MAX_HEURISTIC)

    @cached_property
    def initial_age(self) -> float:
        """How old it was when it arrived (section 4.2.3)."""
        apparent = self.received - self.date
        corrected = age_field(self.headers) + self.received - self.requested
        return max(apparent, corrected, 0.0)

    def age(self, now: float) -> float:
        """Section 4.2.3. Once the clock has been set back nobody knows, and it is very old."""
        resident = now - self.received
        return self.initial_age + resident if resident >= 0 else float(MAX_SECONDS)

    @cached_property
    def validators(self) -> Headers:
        """The conditions by which the server is asked whether it is still good (4.3.1)."""
        pairs = ((b"If-None-Match", b"etag"), (b"If-Modified-Since", b"last-modified"))
        found = ((condition, first(self.headers, name)) for condition, name in pairs)
        return [(condition, value) for condition, value in found if value]
