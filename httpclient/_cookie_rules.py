"""What a Set-Cookie header says, and for whom: RFC 6265bis, sections 5.1, 5.6 and 5.7.

Rules of this file: pure functions, without clock, jar or I/O. Nothing here raises, whatever a
server sends: a cookie that breaks a rule is None. Hosts are as `URL.host` has them: lower case,
ASCII, addresses without brackets. Of the public suffixes (names below which anybody may register,
so that a cookie for all of them would reach strangers) the library `publicsuffixlist` knows all;
without it a short list has to do.
"""

from __future__ import annotations

import datetime
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ._urls import URL

MAX_SIZE = 4096
"""Bytes of name and value together: RFC 6265bis, section 5.6. Browsers have the same."""

MAX_ATTRIBUTE_SIZE = 1024
"""Bytes of an attribute's value: RFC 6265bis, section 5.6. A longer one is ignored."""

MAX_AGE = 400 * 24 * 3600
"""Seconds that a cookie lives at most: RFC 6265bis, section 5.5, and Chrome."""

_BLANK = b" \t"
_find_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_is_number = re.compile(rb"-?[0-9]+").fullmatch
_is_ipv4 = re.compile(r"(?:[0-9]+\.){3}[0-9]+").fullmatch


class Place(NamedTuple):
    """Where a response came from, or where a request goes."""

    secure: bool
    host: str
    path: str  # as it is sent, without the query


class SetCookie(NamedTuple):
    """A Set-Cookie header. What it does not say, or says illegally, is empty."""

    name: str
    value: str
    domain: str  # without the dot in front
    path: str
    expires: int | None  # seconds since 1970
    secure: bool
    http_only: bool
    same_site: str


class Scope(NamedTuple):
    """The hosts and paths that a cookie is for."""

    domain: str
    host_only: bool
    path: str


def place_of(url: URL) -> Place:
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return Place(url.scheme in ("https", "wss"), url.host, path if path[:1] == "/" else "/")


def parse_set_cookie(header: bytes, now: float) -> SetCookie | None:
    """Section 5.6. Quotes are part of the value, and the last of equal attributes counts."""
    if _find_control(header):
        return None
    pair, *attributes = header.split(b";")
    name, equals, value = pair.partition(b"=")
    if not equals:
        name, value = b"", pair
    name, value = name.strip(_BLANK), value.strip(_BLANK)
    if not (name or value) or len(name) + len(value) > MAX_SIZE:
        return None
    given: dict[bytes, bytes] = {}
    times: dict[bytes, int] = {}
    for attribute in attributes:
        key, _, content = attribute.partition(b"=")
        key, content = key.strip(_BLANK).lower(), content.strip(_BLANK)
        if len(content) > MAX_ATTRIBUTE_SIZE:
            continue
        given[key] = content
        moment = _MOMENTS[key](content, now) if key in _MOMENTS else None
        if moment is not None:
            times[key] = moment
    path = given.get(b"path", b"")
    return SetCookie(
        name=decode(name),
        value=decode(value),
        domain=decode(given.get(b"domain", b"").removeprefix(b".").lower()),
        path=decode(path) if path.startswith(b"/") else "",
        expires=times.get(b"max-age", times.get(b"expires")),
        secure=b"secure" in given,
        http_only=b"httponly" in given,
        same_site=decode(given.get(b"samesite", b"")),
    )


def decode(value: bytes) -> str:
    """Text from which the same bytes can be made again, UTF-8 or not."""
    return value.decode("utf-8", "surrogateescape")


# Times


def _parse_max_age(content: bytes, now: float) -> int | None:
    """Section 5.6.2. There is nothing to overflow: no number is longer than an attribute."""
    if not _is_number(content):
        return None
    seconds = int(content)
    return int(now) + min(seconds, MAX_AGE) if seconds > 0 else 0


def _parse_expires(content: bytes, now: float) -> int | None:
    """Section 5.6.1."""
    moment = parse_date(content)
    return None if moment is None else min(moment, int(now) + MAX_AGE)


_MOMENTS = {b"max-age": _parse_max_age, b"expires": _parse_expires}

_split_date = re.compile(rb"[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+").split
_match_time = re.compile(rb"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])").match
_match_day = re.compile(rb"([0-9]{1,2})(?![0-9])").match
_match_year = re.compile(rb"([0-9]{2,4})(?![0-9])").match
_MONTHS = b"jan feb mar apr may jun jul aug sep oct nov dec".split()


def parse_date(text: bytes) -> int | None:
    """Seconds since 1970: section 5.1.1, which finds the parts of a date in any order."""
    clock = day = month = year = None
    for token in _split_date(text):
        if clock is None and (match := _match_time(token)):
            clock = match.groups()
        elif day is None and (match := _match_day(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _match_year(token)):
            year = int(match[1])
    if clock is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    try:
        hour, minute, second = map(int, clock)
        date = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    except ValueError:  # the 30th of February, 24:00:00
        return None
    return int(date.timestamp()) if year >= 1601 else None


# Hosts and paths


def is_address(host: str) -> bool:
    return ":" in host or _is_ipv4(host) is not None


def domain_matches(host: str, domain: str) -> bool:
    """Section 5.1.3: the same, or a subdomain."""
    return host == domain or (host.endswith(f".{domain}") and not is_address(host))


def path_matches(path: str, cookie_path: str) -> bool:
    """Section 5.1.4: the same, or below it."""
    if not path.startswith(cookie_path):
        return False
    return len(path) == len(cookie_path) or cookie_path[-1:] == "/" or path[len(cookie_path)] == "/"


def default_path(path: str) -> str:
    """Section 5.1.4: that of the directory."""
    return path[: path.rfind("/")] or "/"


def scope_of(cookie: SetCookie, place: Place) -> Scope | None:
    """For whom the cookie is that this place has set, if it may: section 5.7, steps 5 to 23."""
    if not place.host or (cookie.secure and not place.secure):
        return None
    host_only = not cookie.domain
    if cookie.domain:
        if cookie.domain.strip("[]") == place.host and is_address(place.host):
            host_only = True
        elif not domain_matches(place.host, cookie.domain):
            return None
        elif is_public_suffix(cookie.domain):
            if cookie.domain != place.host:
                return None
            host_only = True
    if not _keeps_promises(cookie, host_only):
        return None
    domain = place.host if host_only else cookie.domain
    return Scope(domain, host_only, cookie.path or default_path(place.path))


def _keeps_promises(cookie: SetCookie, host_only: bool) -> bool:
    """What the name promises has to be true: section 5.4. Servers read a cookie without a name as
    if its value were the name, so that must neither hold a promise nor look like a pair."""
    name = cookie.name.lower()
    if not name:
        is_promise = cookie.value.lower().startswith(("__secure-", "__host-"))
        return not is_promise and "=" not in cookie.value
    if name.startswith("__host-"):
        return cookie.secure and host_only and cookie.path == "/"
    return cookie.secure or not name.startswith("__secure-")


def is_public_suffix(domain: str) -> bool:
    """Whether anybody may register names below `domain`. A dot at the end changes nothing."""
    name = domain.removesuffix(".")
    if "." not in name:
        return True
    suffixes = _suffix_list()
    if suffixes is not None:
        return bool(suffixes.is_public(name))
    label, _, rest = name.rpartition(".")
    return name in _PUBLIC or (label in _SECOND_LEVEL and len(rest) == 2)


@cache
def _suffix_list() -> Any:
    """Built when first needed, which takes some 50 ms; None without the library."""
    try:
        from publicsuffixlist import PublicSuffixList
    except ImportError:
        return None
    return PublicSuffixList()


# As `http.cookiejar` has it with `strict_domain`: below a country, these are nobody's own.
_SECOND_LEVELS = """
    ac aero biz cat co com coop edu eu gov info int jobs mil mobi museum name net org pro travel
"""

# Further second levels of the largest countries, and the large hosts of other people's sites.
_SUFFIXES = """
    ad.jp ed.jp go.jp gr.jp lg.jp ne.jp or.jp go.kr ne.kr or.kr pe.kr re.kr
    ltd.uk me.uk nhs.uk plc.uk police.uk sch.uk id.au asn.au firm.in gen.in ind.in nic.in res.in
    gen.nz geek.nz govt.nz iwi.nz school.nz gv.at or.at gob.mx gob.ar gob.es nom.es web.za
    amplifyapp.com appspot.com azurewebsites.net blogspot.com cloudfront.net elasticbeanstalk.com
    firebaseapp.com fly.dev github.io gitlab.io herokuapp.com netlify.app ngrok.io onrender.com
    pages.dev readthedocs.io run.app s3.amazonaws.com surge.sh vercel.app web.app workers.dev
"""
_SECOND_LEVEL = frozenset(_SECOND_LEVELS.split())
_PUBLIC = frozenset(_SUFFIXES.split())
