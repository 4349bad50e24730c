"""How the text of a URL is taken apart, strictly, and put together again.

Rules of this file: pure functions. Splitting follows RFC 3986; what a browser does to
a URL (dot segments, percent-encoding, lower case, IDNA) is done here too. Where programs are known
to disagree about which host a text names, there is no guess: `InvalidURL`. International names are
left to `idna` (UTS 46, non-transitional, as browsers have it), addresses to `ipaddress`.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote

from ._exceptions import InvalidURL

MAX_LENGTH = 65536
"""Longer than any server accepts: nginx and Apache stop at 8 KiB, browsers at 2 MiB or 64 KiB."""

# The URL Standard's special schemes, but for "file": they have a host, and a path at least of "/".
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}

# RFC 3986, appendix B, with the scheme as section 3.1 has it.
_SPLIT = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.\-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?"
)
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")
# What browsers and `inet_aton` take for an IPv4 address, as "127.1" and "0x7f000001".
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Beside letters, digits and "_.-~": RFC 3986, 3.3 and 3.4, and what is encoded already.
USERINFO_SAFE = "!$&'()*+,;=%"
PATH_SAFE = "!$&'()*+,;=:@/%"
QUERY_SAFE = "!$&'()*+,;=:@/?%"


class Parts(NamedTuple):
    scheme: str
    userinfo: str | None
    host: str  # ASCII, no brackets
    port: int | None
    path: str
    query: str | None
    fragment: str | None
    has_authority: bool


def quoted(text: str, safe: str = "") -> str:
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError as exc:  # lone surrogates
        raise InvalidURL("the URL has text that cannot be written as UTF-8") from exc


def percent_encoded(text: str, safe: str) -> str:
    """Of a text in which some things are encoded already, the rest."""
    return quoted(_STRAY_PERCENT.sub("%25", text), safe)


def _without_dot_segments(path: str) -> str:
    """RFC 3986, section 5.2.4; an encoded dot is a dot, as it is to browsers."""
    if "." not in path and "%2" not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        plain = segment.replace("%2e", ".").replace("%2E", ".")
        if plain == "..":
            if len(kept) > 1:
                kept.pop()
        elif plain != ".":
            kept.append(segment)
    if plain in (".", ".."):
        kept.append("")
    return "/".join(kept)


def parse_host(host: str) -> str:
    if host.startswith("["):
        try:
            if "%" in host:
                raise ValueError("zone identifiers have no place in a URL")
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError as exc:
            raise InvalidURL(f"the host {host!r} is not an IPv6 address: {exc}") from exc
    name = host.lower()
    if not name.isascii():
        import idna

        try:
            name = idna.encode(name[:256], uts46=True).decode("ascii").lower()
        except UnicodeError as exc:  # IDNAError is one
            raise InvalidURL(f"the host {host!r} is not a legal international name") from exc
    if len(name.rstrip(".")) > 253:
        raise InvalidURL("the host is longer than 253 characters")
    if _NUMERIC.fullmatch(name):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError as exc:
            raise InvalidURL(f"the host {host!r} is not an IPv4 address: {exc}") from exc
    if not _HOST.fullmatch(name):
        raise InvalidURL(f"the host {host!r} is not a legal host name")
    return name


def encoded_userinfo(userinfo: str) -> str:
    """User name and password as they are sent; what is a delimiter of URLs is encoded."""
    user, colon, password = userinfo.partition(":")
    return percent_encoded(user, USERINFO_SAFE) + colon + percent_encoded(password, USERINFO_SAFE)


def _parse_userinfo(authority: str) -> tuple[str | None, str]:
    """User name and password as they are sent, and the rest. Programs disagree about which of two
    ``@`` ends them, and so about the host."""
    userinfo, at, rest = authority.partition("@")
    if not at:
        return None, authority
    if "@" in rest:
        raise InvalidURL("an '@' in a user name or password has to be written as %40")
    return encoded_userinfo(userinfo), rest


def parse_authority(authority: str) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise InvalidURL("what follows '//' is not a host with an optional port number")
    host, digits = match.groups()
    port = int(digits) if digits and len(digits) <= 5 else None
    if digits and (port is None or not 0 < port < 65536):
        raise InvalidURL("the port is not between 1 and 65535")
    return (parse_host(host) if host else ""), port


def parse(text: str) -> Parts:
    if len(text) > MAX_LENGTH:
        raise InvalidURL(f"the URL is longer than {MAX_LENGTH} characters")
    if _CONTROL.search(text) or text != text.strip():
        raise InvalidURL("the URL contains control characters, or blanks at an end")
    match = _SPLIT.fullmatch(text)
    assert match is not None  # after the check for control characters anything matches
    scheme, authority, path, query, fragment = match.groups()
    if "\\" in (authority or "") + path:
        raise InvalidURL("a backslash has no place in a URL")
    scheme = (scheme or "").lower()
    userinfo, host, port = None, "", None
    if authority is not None:
        userinfo, rest = _parse_userinfo(authority)
        host, port = parse_authority(rest)
    if (scheme in _DEFAULT_PORTS or userinfo is not None) and not host:
        raise InvalidURL(f"a URL with {scheme}: needs // and a host")
    if port is not None and (not host or port == _DEFAULT_PORTS.get(scheme)):
        port = None
    path = percent_encoded(path, PATH_SAFE)
    if authority is not None:
        path = _without_dot_segments(path) or ("/" if scheme in _DEFAULT_PORTS else "")
    return Parts(
        scheme,
        userinfo,
        host,
        port,
        path,
        None if query is None else percent_encoded(query, QUERY_SAFE),
        None if fragment is None else percent_encoded(fragment, QUERY_SAFE),
        authority is not None,
    )


def netloc(parts: Parts) -> str:
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    return host if parts.port is None else f"{host}:{parts.port}"


def unsplit(parts: Parts) -> str:
    text = f"{parts.scheme}:" if parts.scheme else ""
    if parts.has_authority:
        userinfo = "" if parts.userinfo is None else f"{parts.userinfo}@"
        text += f"//{userinfo}{netloc(parts)}"
    text += parts.path
    if parts.query is not None:
        text += f"?{parts.query}"
    return text if parts.fragment is None else f"{text}#{parts.fragment}"
