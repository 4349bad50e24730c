"""Cookies in a `http.cookiejar.CookieJar`, by the rules of RFC 6265bis and not by the jar's own.

Rules of this file: it is imported when there is a cookie and not before, because `http.cookiejar`
costs tens of milliseconds. Only the public face of a jar is used, so that any will do, but for its
policy, which has none. The caller holds a lock and knows the time.

*Rules.* Those of `_cookie_rules` hold for every jar. A policy that its owner gave it may refuse
more; one that is a plain `DefaultCookiePolicy` is asked for its lists of domains only, as the rest
of it is what RFC 6265bis replaces.

*In the jar* a cookie for a domain and all below it has `domain_specified`, and a dot in front if a
server has set it; one for a host alone has neither. One that is for every host, which only the user
can set, has no domain.

*Bounds* are for what servers set, oldest first; what the user has put into the jar stays.
"""

from __future__ import annotations

import copy
import http.cookiejar
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from httpcore_core import LocalProtocolError

from ._cookie_rules import (
    Place,
    Scope,
    SetCookie,
    is_address,
    parse_set_cookie,
    path_matches,
    place_of,
    scope_of,
)
from ._urls import URL

MAX_PER_DOMAIN = 180
MAX_COOKIES = 3000
"""Both as in Chrome; RFC 6265bis, section 6.1, asks for 50 and 3000 at least."""


class Cookie(http.cookiejar.Cookie):
    """The library's cookie with a `repr` that keeps the secret."""

    created: float | None = None  # when a server set it first; None for the user's

    def __repr__(self) -> str:
        return f"<Cookie {self.name!r} for {self.domain or 'all hosts'}{self.path}>"

    __str__ = __repr__


class Jar(http.cookiejar.CookieJar):
    """The library's jar with a `repr` that keeps the secrets."""

    def __repr__(self) -> str:
        return f"<Jar {list(self)!r}>"

    __str__ = __repr__


def make_cookie(
    name: str, value: str, scope: Scope, said: SetCookie | None = None, created: float | None = None
) -> Cookie:
    rest: dict[str, Any] = {}
    if said is not None and said.http_only:
        rest["HTTPOnly"] = None  # as the library spells it where it saves cookies
    if said is not None and said.same_site:
        rest["SameSite"] = said.same_site
    cookie = Cookie(
        version=0,
        name=name,
        value=value,
        port=None,
        port_specified=False,
        domain=scope.domain,
        domain_specified=not scope.host_only,
        domain_initial_dot=scope.domain.startswith("."),
        path=scope.path,
        path_specified=True,
        secure=said is not None and said.secure,
        expires=None if said is None else said.expires,
        discard=said is None or said.expires is None,
        comment=None,
        comment_url=None,
        rest=rest,
    )
    cookie.created = created
    return cookie


def policy_of(jar: http.cookiejar.CookieJar) -> Any:
    return getattr(jar, "_policy", None)


# Into the jar


def store(jar: http.cookiejar.CookieJar, url: URL, headers: list[bytes], now: float) -> None:
    """Keep what the Set-Cookie `headers` of a response from `url` set and may set."""
    place = place_of(url)
    by_name: defaultdict[str, dict[tuple[str, str], Any]] = defaultdict(dict)
    for stored in jar:
        by_name[stored.name][stored.domain, stored.path] = stored
    gone: list[Any] = []
    for header in headers:
        said = parse_set_cookie(header, now)
        scope = None if said is None else scope_of(said, place)
        if said is None or scope is None:
            continue
        same = by_name[said.name]
        if not place.secure and any(_is_shielded(cookie, scope) for cookie in same.values()):
            continue
        if not scope.host_only:
            scope = scope._replace(domain=f".{scope.domain}")
        old = same.pop((scope.domain, scope.path), None)
        if said.expires is not None and said.expires <= now:
            gone += [] if old is None else [old]
            continue
        created = getattr(old, "created", None) or now
        cookie = make_cookie(said.name, said.value, scope, said, created)
        if _set(jar, cookie, url):
            same[scope.domain, scope.path] = cookie
    everything = [cookie for cookies in by_name.values() for cookie in cookies.values()]
    remove(jar, gone + _excess(everything, now))


def _is_shielded(cookie: Any, scope: Scope) -> bool:
    """Whether `cookie` must not be replaced or hidden by one that came over plain HTTP: RFC
    6265bis, section 5.7, step 16."""
    if not cookie.secure or not path_matches(scope.path, cookie.path):
        return False
    domain = cookie.domain.removeprefix(".")
    return bool(
        domain == scope.domain
        or domain.endswith(f".{scope.domain}")
        or scope.domain.endswith(f".{domain}")
    )


def _set(jar: http.cookiejar.CookieJar, cookie: Cookie, url: URL) -> bool:
    """Into the jar, if its own policy has nothing against it."""
    policy = policy_of(jar)
    if type(policy) is not http.cookiejar.DefaultCookiePolicy:
        jar.set_cookie_if_ok(cookie, _LibraryRequest(url))  # type: ignore[arg-type]  # as documented
    elif policy.netscape and _has_listed(policy, cookie.domain):
        jar.set_cookie(cookie)
    else:
        return False
    return True


def _has_listed(policy: http.cookiejar.DefaultCookiePolicy, domain: str) -> bool:
    return not policy.is_blocked(domain) and not policy.is_not_allowed(domain)


def _excess(cookies: list[Any], now: float) -> list[Any]:
    """What has expired, and what is too much: RFC 6265bis, section 5.7, at its end."""
    gone: list[Any] = []
    by_domain: defaultdict[str, list[Any]] = defaultdict(list)
    for cookie in cookies:
        if cookie.is_expired(int(now)):
            gone.append(cookie)
        elif getattr(cookie, "created", None) is not None:
            by_domain[cookie.domain.removeprefix(".")].append(cookie)
    kept: list[Any] = []
    for group in by_domain.values():
        excess = max(0, len(group) - MAX_PER_DOMAIN)
        if excess:
            group.sort(key=lambda cookie: (cookie.secure, cookie.created))
        gone += group[:excess]
        kept += group[excess:]
    excess = max(0, len(kept) - MAX_COOKIES)
    if excess:
        kept.sort(key=lambda cookie: cookie.created)
    return gone + kept[:excess]


def remove(jar: http.cookiejar.CookieJar, cookies: Iterable[Any]) -> None:
    """Take cookies out of the jar, and the places in it that nothing is left in, which the jar
    would keep."""
    emptied = set()
    for cookie in cookies:
        _clear(jar, cookie.domain, cookie.path, cookie.name)
        emptied.add((cookie.domain, cookie.path))
    if not emptied:
        return
    used = {(cookie.domain, cookie.path) for cookie in jar}
    domains = {domain for domain, _ in used}
    for domain, path in emptied - used:
        if domain in domains:
            _clear(jar, domain, path)
    for domain in {domain for domain, _ in emptied} - domains:
        _clear(jar, domain)


def _clear(jar: http.cookiejar.CookieJar, *key: str) -> None:
    try:
        jar.clear(*key)
    except KeyError:  # somebody else was faster
        pass


# Out of the jar


def matching(
    jar: http.cookiejar.CookieJar, url: URL, now: float, *, with_unscoped: bool
) -> list[Any]:
    """The cookies to send to `url`, in the order of RFC 6265bis, section 5.8.3; `with_unscoped`
    those among them that the user has set for every host."""
    place = place_of(url)
    hosts = _names_above(place.host)
    found = [
        cookie
        for cookie in jar
        if cookie.domain in hosts and _applies(cookie, place) and (cookie.domain or with_unscoped)
    ]
    expired = [cookie for cookie in found if cookie.is_expired(int(now))]
    if expired:
        remove(jar, expired)
        found = [cookie for cookie in found if not cookie.is_expired(int(now))]
    found = [cookie for cookie in found if _may_return(policy_of(jar), cookie, url)]
    found.sort(key=lambda cookie: (-len(cookie.path), getattr(cookie, "created", None) or 0))
    return found


def _names_above(host: str) -> set[str]:
    """The domains of all cookies that may be for `host`."""
    names = {"", host, f".{host}"}
    while not is_address(host) and "." in host:
        host = host.partition(".")[2]
        names |= {host, f".{host}"}
    return names


def _applies(cookie: Any, place: Place) -> bool:
    """Whether a cookie with a domain that fits is for this place."""
    return (
        (cookie.domain_specified or cookie.domain in ("", place.host))
        and (place.secure or not cookie.secure)
        and path_matches(place.path, cookie.path)
    )


def _may_return(policy: Any, cookie: Any, url: URL) -> bool:
    """Whether the jar's own policy has nothing against it. What is not public of that is asked
    through a jar with nothing else in it."""
    if type(policy) is http.cookiejar.DefaultCookiePolicy:
        return policy.netscape and _has_listed(policy, cookie.domain)
    request: Any = _LibraryRequest(url)
    probe = copy.copy(cookie)
    if probe.domain == url.host:  # where the library would have put it
        host = f"[{url.host}]" if ":" in url.host else url.host
        probe.domain = host if "." in host else f"{host}.local"
    jar = http.cookiejar.CookieJar(policy)
    jar.set_cookie(probe)
    jar.add_cookie_header(request)
    return bool(request.sent)


def header_of(cookies: list[Any]) -> bytes:
    """The value of `Cookie`, of the same bytes that servers have sent. Raises
    `LocalProtocolError`."""
    pairs = [
        f"{cookie.name}={cookie.value}" if cookie.name and cookie.value is not None
        # The library takes a value without a name for a name without a value.
        else (cookie.name or cookie.value or "")
        for cookie in cookies
    ]  # fmt: skip
    try:
        return "; ".join(pairs).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        pass
    raise LocalProtocolError("a cookie holds what cannot be written as UTF-8", phase="request")


class _LibraryRequest:
    """What `http.cookiejar` wants to see of a request, by its documentation."""

    unverifiable = False

    def __init__(self, url: URL) -> None:
        self.type = url.scheme
        self.host = self.origin_req_host = url.netloc.decode("ascii")
        self._url = f"{self.type}://{self.host}{url.raw_path.decode('ascii')}"
        self.sent: list[str] = []

    def get_full_url(self) -> str:
        return self._url

    def has_header(self, name: str) -> bool:
        return False

    def get_header(self, name: str, default: str | None = None) -> str | None:
        return default

    def header_items(self) -> list[tuple[str, str]]:
        return []

    def add_unredirected_header(self, name: str, value: str) -> None:
        self.sent.append(value)
