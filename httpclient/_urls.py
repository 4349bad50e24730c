"""URLs: immutable values, parsed strictly into the four-tuple of the transport API.

Rules of this file: a value. How texts are taken apart, and refused, is in `_url_parsing`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urljoin

from ._exceptions import InvalidURL
from ._params import QueryParams, QueryParamTypes
from ._url_parsing import (
    PATH_SAFE,
    QUERY_SAFE,
    SCHEME,
    Parts,
    encoded_userinfo,
    netloc,
    parse,
    parse_authority,
    parse_host,
    percent_encoded,
    quoted,
    unsplit,
)


def _checked(kind: str, value: Any, *types: type) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool)):
        names = " or ".join(kind.__name__ for kind in types)
        raise TypeError(f"the {kind} of a URL is {names}, not {type(value).__name__}")
    return value


def _text(kind: str, value: Any) -> str:
    value = _checked(kind, value, str, bytes)
    try:
        return value.decode("ascii") if isinstance(value, bytes) else value
    except UnicodeDecodeError as exc:
        raise InvalidURL(f"the {kind} of a URL is ASCII, where it is given as bytes") from exc


def _with_secret(userinfo: str | None, kind: str, value: Any) -> str | None:
    """User name and password with another of them; an empty password is none."""
    user, _, password = (userinfo or "").partition(":")
    encoded = quoted(_checked(kind, value, str))
    if kind == "username":
        user = encoded
    else:
        password = encoded
    return (f"{user}:{password}" if password else user) or None


def _query_of(params: QueryParamTypes) -> str | None:
    try:
        return str(QueryParams(params)) or None
    except UnicodeError as exc:
        raise InvalidURL("the parameters have text that cannot be written as UTF-8") from exc


def _replaced(parts: Parts, changes: dict[str, Any]) -> str:
    """The text with other parts; none of them can become a piece of its neighbour."""
    given = parts._asdict()
    for kind, value in changes.items():
        if kind == "scheme":
            if not SCHEME.fullmatch(_text(kind, value)):
                raise InvalidURL("the scheme is not a letter with letters, digits, '+', '-', '.'")
            given[kind] = _text(kind, value).lower()
        elif kind == "host":
            host = _text(kind, value)
            given[kind] = parse_host(f"[{host}]" if ":" in host and host[0] != "[" else host)
        elif kind == "port":
            given[kind] = None if value is None else _checked(kind, value, int)
            if value is not None and not 0 < value < 65536:
                raise InvalidURL("the port is not between 1 and 65535")
        elif kind == "netloc":
            given["host"], given["port"] = parse_authority(_text(kind, value))
        elif kind == "userinfo":
            given[kind] = encoded_userinfo(_text(kind, value)) or None
        elif kind in ("username", "password"):
            given["userinfo"] = _with_secret(given["userinfo"], kind, value)
        elif kind == "path":
            given[kind] = percent_encoded(_checked(kind, value, str), PATH_SAFE)
        elif kind == "raw_path":
            path, mark, query = _text(kind, value).partition("?")
            given["path"] = percent_encoded(path, PATH_SAFE)
            given["query"] = percent_encoded(query, QUERY_SAFE) if mark else None
        elif kind in ("query", "fragment"):
            encoded = None if value is None else percent_encoded(_text(kind, value), QUERY_SAFE)
            given[kind] = encoded
        elif kind == "params":
            given["query"] = _query_of(value)
        else:
            raise TypeError(f"a URL has no part {kind!r}")
    if not given["host"] and (given["userinfo"] or given["port"]):
        raise InvalidURL("a user, a password or a port has no place in a URL without a host")
    given["has_authority"] = parts.has_authority or bool(given["host"])
    if given["has_authority"] and given["path"] and not given["path"].startswith("/"):
        given["path"] = "/" + given["path"]
    elif not given["has_authority"]:
        first, _, rest = given["path"].partition("/")
        if (not first and rest.startswith("/")) or (":" in first and not given["scheme"]):
            raise InvalidURL("without a host this path would be read as something else")
    return unsplit(Parts(**given))


class URL:
    """An immutable URL, or a relative reference to one.

    `host` is ASCII, as it is sent: an international name shows as ``xn--…``, an IPv6 address
    without brackets. `port` is None where it is the scheme's own. Keywords replace parts, as in
    `copy_with`. Raises `InvalidURL`.
    """

    __slots__ = ("_netloc", "_parts", "_raw", "_text")

    _parts: Parts
    _text: str

    def __init__(self, url: str | URL = "", **parts: Any) -> None:
        self._netloc: bytes | None = None  # these two, once somebody has asked
        self._raw: tuple[bytes, bytes, int | None, bytes] | None = None
        if isinstance(url, URL):
            self._parts, self._text = url._parts, url._text
        elif isinstance(url, str):
            self._parts = parse(url)
            self._text = unsplit(self._parts)
        else:
            raise TypeError(f"a URL is a str or a URL, not {type(url).__name__}")
        if parts:
            self._text = _replaced(self._parts, parts)
            self._parts = parse(self._text)
            self._text = unsplit(self._parts)

    @property
    def scheme(self) -> str:
        return self._parts.scheme

    @property
    def raw_scheme(self) -> bytes:
        return self._parts.scheme.encode("ascii")

    @property
    def userinfo(self) -> bytes:
        """User name and password as they are in the URL: ``b"user:pass%20word"``."""
        return (self._parts.userinfo or "").encode("ascii")

    @property
    def username(self) -> str:
        return unquote((self._parts.userinfo or "").partition(":")[0])

    @property
    def password(self) -> str:
        return unquote((self._parts.userinfo or "").partition(":")[2])

    @property
    def host(self) -> str:
        return self._parts.host

    @property
    def raw_host(self) -> bytes:
        return self._parts.host.encode("ascii")

    @property
    def port(self) -> int | None:
        return self._parts.port

    @property
    def netloc(self) -> bytes:
        """Host and, where it is not the scheme's own, port: what the Host header says."""
        if self._netloc is None:
            self._netloc = netloc(self._parts).encode("ascii")
        return self._netloc

    @property
    def path(self) -> str:
        """The path with percent-encoding undone, for reading."""
        return unquote(self._parts.path)

    @property
    def query(self) -> bytes:
        """The query as it is sent, without its question mark."""
        return (self._parts.query or "").encode("ascii")

    @property
    def params(self) -> QueryParams:
        """The query as names and values."""
        return QueryParams(self._parts.query)

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
        if self._raw is None:
            parts = self._parts
            scheme, host = parts.scheme.encode("ascii"), parts.host.encode("ascii")
            self._raw = (scheme, host, parts.port, self.raw_path)
        return self._raw

    @property
    def origin(self) -> tuple[str, str, int | None]:
        """Scheme, host and port: what has to be equal for a secret to go along (RFC 6454)."""
        parts = self._parts
        return parts.scheme, parts.host, parts.port

    @property
    def is_absolute_url(self) -> bool:
        return bool(self._parts.scheme and self._parts.host)

    @property
    def is_relative_url(self) -> bool:
        return not self.is_absolute_url

    def copy_with(self, **parts: Any) -> URL:
        """A copy with other parts: `scheme`, `username`, `password`, `userinfo` (bytes), `host`,
        `port`, `netloc` (bytes), `path`, `query` (bytes), `raw_path` (bytes), `fragment`,
        `params` (which replace the query)."""
        return URL(self, **parts)

    def copy_set_param(self, key: str, value: Any = None) -> URL:
        return self.copy_with(params=self.params.set(key, value))

    def copy_add_param(self, key: str, value: Any = None) -> URL:
        return self.copy_with(params=self.params.add(key, value))

    def copy_remove_param(self, key: str) -> URL:
        return self.copy_with(params=self.params.remove(key))

    def copy_merge_params(self, params: QueryParamTypes) -> URL:
        return self.copy_with(params=self.params.merge(params))

    def join(self, url: str | URL) -> URL:
        """Resolve a reference against this URL (RFC 3986, section 5)."""
        return URL(urljoin(self._text, URL(url)._text))

    def redacted(self) -> str:
        """The text for messages and logs: without the password."""
        userinfo = self._parts.userinfo
        if userinfo is None or ":" not in userinfo:
            return self._text
        hidden = userinfo.partition(":")[0] + ":[secure]"
        return unsplit(self._parts._replace(userinfo=hidden))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"URL({self.redacted()!r})"

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


def as_url(url: str | URL) -> URL:
    """`url`, as a URL. What is short and has no secrets, as a query or a password may be, is
    remembered."""
    if isinstance(url, str) and len(url) <= 1024 and "?" not in url and "@" not in url:
        return _remembered(url)
    return url if isinstance(url, URL) else URL(url)


_remembered = lru_cache(maxsize=128)(URL)
