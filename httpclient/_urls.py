"""URLs: strict parsing into the four-tuple of the transport API.

Rules of this file: a value and pure functions. Splitting follows RFC 3986; what a browser does to
a URL (dot segments, percent-encoding, lower case, IDNA) is done here too. Where programs are known
to disagree about which host a text names, there is no guess: `InvalidURL`. International names are
left to `idna` (UTS 46, non-transitional, as browsers have it), addresses to `ipaddress`.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urljoin

from ._exceptions import InvalidURL

MAX_LENGTH = 65536
"""Longer than any server accepts: nginx and Apache stop at 8 KiB, browsers at 2 MiB or 64 KiB."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 3986, appendix B, with the scheme as section 3.1 has it.
_SPLIT = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.\-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?"
)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")
# What browsers and `inet_aton` take for an IPv4 address, as "127.1" and "0x7f000001".
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Beside letters, digits and "_.-~": RFC 3986, 3.3 and 3.4, and what is encoded already.
_PATH_SAFE = "!$&'()*+,;=:@/%"
_QUERY_SAFE = "!$&'()*+,;=:@/?%"


class _Parts(NamedTuple):
    scheme: str
    host: str  # ASCII, no brackets
    port: int | None
    path: str
    query: str | None
    fragment: str | None
    has_authority: bool


def _percent_encoded(text: str, safe: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=safe)


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


def _parse_host(host: str) -> str:
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


def _parse_authority(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise InvalidURL("a user name or password in a URL is not supported")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise InvalidURL("what follows '//' is not a host with an optional port number")
    host, digits = match.groups()
    port = int(digits) if digits and len(digits) <= 5 else None
    if digits and (port is None or not 0 < port < 65536):
        raise InvalidURL("the port is not between 1 and 65535")
    return (_parse_host(host) if host else ""), port


def _parse(text: str) -> _Parts:
    """What is short and has no query, which may be a secret, is remembered."""
    return (_parse_anew if len(text) > 1024 or "?" in text else _parse_cached)(text)


def _parse_anew(text: str) -> _Parts:
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
    host, port = _parse_authority(authority) if authority is not None else ("", None)
    if scheme in _DEFAULT_PORTS and not host:
        raise InvalidURL(f"a URL with {scheme}: needs // and a host")
    if port is not None and (not host or port == _DEFAULT_PORTS.get(scheme)):
        port = None
    path = _percent_encoded(path, _PATH_SAFE)
    if authority is not None:
        path = _without_dot_segments(path) or ("/" if scheme in _DEFAULT_PORTS else "")
    return _Parts(
        scheme,
        host,
        port,
        path,
        None if query is None else _percent_encoded(query, _QUERY_SAFE),
        None if fragment is None else _percent_encoded(fragment, _QUERY_SAFE),
        authority is not None,
    )


_parse_cached = lru_cache(maxsize=128)(_parse_anew)


def _netloc(parts: _Parts) -> str:
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    return host if parts.port is None else f"{host}:{parts.port}"


def _unsplit(parts: _Parts) -> str:
    text = f"{parts.scheme}:" if parts.scheme else ""
    if parts.has_authority:
        text += f"//{_netloc(parts)}"
    text += parts.path
    if parts.query is not None:
        text += f"?{parts.query}"
    return text if parts.fragment is None else f"{text}#{parts.fragment}"


class URL:
    """An immutable URL, or a relative reference to one.

    `host` is ASCII, as it is sent: an international name shows as ``xn--…``, an IPv6 address
    without brackets. `port` is None where it is the scheme's own. Raises `InvalidURL`.
    """

    __slots__ = ("_parts", "_text")

    _parts: _Parts
    _text: str

    def __init__(self, url: str | URL) -> None:
        if isinstance(url, URL):
            self._parts, self._text = url._parts, url._text
            return
        if not isinstance(url, str):
            raise TypeError(f"a URL is a str or a URL, not {type(url).__name__}")
        self._parts = _parse(url)
        self._text = _unsplit(self._parts)

    @property
    def scheme(self) -> str:
        return self._parts.scheme

    @property
    def host(self) -> str:
        return self._parts.host

    @property
    def port(self) -> int | None:
        return self._parts.port

    @property
    def netloc(self) -> str:
        """Host and, where it is not the scheme's own, port: what the Host header says."""
        return _netloc(self._parts)

    @property
    def path(self) -> str:
        """The path with percent-encoding undone, for reading."""
        return unquote(self._parts.path)

    @property
    def query(self) -> bytes:
        """The query as it is sent, without its question mark."""
        return (self._parts.query or "").encode("ascii")

    @property
    def fragment(self) -> str:
        return unquote(self._parts.fragment or "")

    @property
    def raw_path(self) -> bytes:
        """Path and query as they are sent: the request target."""
        query = self._parts.query
        text = self._parts.path if query is None else f"{self._parts.path}?{query}"
        return text.encode("ascii")

    @property
    def raw(self) -> tuple[bytes, bytes, int | None, bytes]:
        """``(scheme, host, port or None, target)``, as the transport API has it."""
        parts = self._parts
        return parts.scheme.encode("ascii"), parts.host.encode("ascii"), parts.port, self.raw_path

    @property
    def is_absolute_url(self) -> bool:
        return bool(self._parts.scheme and self._parts.host)

    def join(self, url: str | URL) -> URL:
        """Resolve a reference against this URL (RFC 3986, section 5)."""
        return URL(urljoin(self._text, URL(url)._text))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"URL({self._text!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (str, URL)):
            return NotImplemented
        try:
            return self._text == URL(other)._text
        except InvalidURL:
            return False

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        return URL, (self._text,)
