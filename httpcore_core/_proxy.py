"""What a proxy is: where it listens, how it is let in on TLS, what it is told of us.

Rules of this file: a value, and its checks. Everything about a proxy is checked when the `Proxy` is
made, before any socket is opened. Credentials appear in no text: neither `repr` nor an error.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias
from urllib.parse import unquote_to_bytes

from ._exceptions import LocalProtocolError, TransportError
from ._models import DEFAULT_PORTS, Headers, Origin
from ._protocol.engine import require_socks
from ._protocol.origin import canonical_origin
from ._protocol.proxy_auth import BasicProxyAuth, ProxyAuth
from ._protocol.request import check_fields

if TYPE_CHECKING:
    import ssl

Text: TypeAlias = str | bytes
ProxyHeaders: TypeAlias = (
    Mapping[str, Text]
    | Mapping[bytes, Text]
    | Iterable[tuple[Text, Text]]
    | Callable[[Origin], Any | Awaitable[Any]]
)
ProxyTypes: TypeAlias = "Proxy | str | bytes"

PORTS = {b"http": 80, b"https": 443, b"socks5": 1080, b"socks5h": 1080}

# RFC 3986, appendix B. The user name ends at the first colon, the userinfo at the last "@".
_split = re.compile(
    rb"([A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<info>.*)@)?"
    rb"(?P<host>\[[^\[\]@/?#]*\]|[^:\[\]@/?#]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.DOTALL,
).fullmatch
_find_control = re.compile(rb"[\x00-\x1f\x7f]").search

# What a proxy's own headers may not be: they would frame, route or end the request.
_RESERVED = frozenset(
    b"connection content-length expect host keep-alive te trailer transfer-encoding upgrade".split()
)


class Proxy:
    """A proxy server, and how it is to be spoken to.

    `url` is ``http://``, ``https://``, ``socks5://`` (names are resolved here) or ``socks5h://``
    (names are resolved by the proxy), with host and port; percent-encoded credentials may come
    before an ``@``. The ports are 80, 443 and 1080 where none is given.

    `auth` is a pair of user and password, text in ASCII or bytes. To an HTTP proxy they are sent
    at once (Basic, RFC 7617); for other schemes it may be a `ProxyAuth`.

    `headers`, a mapping or pairs, go to an HTTP proxy with every CONNECT and every request that it
    forwards, never to an origin. A callable is given the `Origin` to be reached and returns them
    anew for each; in async code it may be ``async def``.

    `ssl_context` is for the connection to an ``https`` proxy; it must not offer HTTP/2. None is the
    usual one. Raises `ValueError` and `TypeError`; `ImportError` for SOCKS without the extra
    ``socks``.
    """

    __slots__ = ("_hash", "_identity", "auth", "headers", "origin", "ssl_context")

    origin: Origin  # the scheme, host and port of the proxy itself
    auth: ProxyAuth | tuple[bytes, bytes] | None  # the pair for SOCKS only
    headers: tuple[tuple[bytes, bytes], ...] | Callable[[Origin], Any]
    ssl_context: ssl.SSLContext | None
    _identity: tuple[Any, ...]
    _hash: int

    def __init__(
        self,
        url: Text,
        auth: tuple[Text, Text] | ProxyAuth | None = None,
        headers: ProxyHeaders | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        origin, credentials = _parse(url)
        if credentials is not None:
            if auth is not None:
                raise ValueError("the proxy has credentials both in its URL and in `auth`")
            auth = credentials
        is_socks = origin.scheme not in DEFAULT_PORTS
        if is_socks:
            require_socks()
        if is_socks and headers is not None:
            raise ValueError("a SOCKS proxy takes no headers")
        if ssl_context is not None and origin.scheme != b"https":
            raise ValueError("only an https:// proxy has an ssl_context")
        made_auth = _socks_auth(auth) if is_socks else _http_auth(auth)
        fields = headers if callable(headers) else tuple(_static_fields(headers))
        self._fill((origin, made_auth, fields, ssl_context))

    def _fill(self, identity: tuple[Any, ...]) -> None:
        values = (*identity, identity, hash(identity))
        names = ("origin", "auth", "headers", "ssl_context", "_identity", "_hash")
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name!r}: a Proxy does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r}: a Proxy does not change")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._identity,)

    def __eq__(self, other: object) -> bool:
        """Two proxies are one if no connection to either would have to be kept from the other."""
        return isinstance(other, Proxy) and self._identity == other._identity

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return str(self.origin)

    def __repr__(self) -> str:
        return f"<Proxy ['{self.origin}']>"

    @property
    def is_socks(self) -> bool:
        return self.origin.scheme not in DEFAULT_PORTS

    @property
    def resolves_names(self) -> bool:
        """Whether the proxy is given names, so that none is looked up here."""
        return self.origin.scheme != b"socks5"


def _restore(identity: tuple[Any, ...]) -> Proxy:
    """A copy, from a pickle or another one."""
    proxy = Proxy.__new__(Proxy)
    proxy._fill(identity)
    return proxy


def as_proxy(value: Any) -> Proxy | None:
    """`value` as an option gives it: a `Proxy`, a URL or None."""
    return value if value is None or isinstance(value, Proxy) else Proxy(value)


def proxy_extension(value: Any) -> Proxy | None:
    """`as_proxy` for the `proxy` extension. Raises `LocalProtocolError`."""
    try:
        return as_proxy(value)
    except (TypeError, ValueError, ImportError) as exc:
        raise LocalProtocolError(f"the 'proxy' extension: {exc}", phase="request") from exc


def _parse(url: Any) -> tuple[Origin, tuple[bytes, bytes] | None]:
    if not isinstance(url, (str, bytes)):
        raise TypeError(f"a proxy is a URL or a Proxy, not {type(url).__name__}")
    raw = _encode(url, "the proxy's URL")
    match = _split(raw)
    if match is None:
        raise ValueError("a proxy's URL is scheme://host:port, with nothing behind it")
    scheme, host, port = match[1].lower(), match["host"], match["port"]
    if scheme not in PORTS:
        names = ", ".join(name.decode() for name in PORTS)
        raise ValueError(f"the scheme of a proxy is one of {names}, not {scheme[:20].decode()!r}")
    if b"%" in host:  # a host has none, but credentials that were encoded as a whole have
        raise ValueError("the host in the proxy's URL is not legal")
    try:
        place = canonical_origin(b"http", host, PORTS[scheme] if port is None else int(port))
    except TransportError as exc:
        raise ValueError(f"the proxy's URL: {exc.message}") from exc
    origin = Origin(scheme, place.host, place.port)
    if match["info"] is None:
        return origin, None
    user, _, password = match["info"].partition(b":")
    return origin, (unquote_to_bytes(user), unquote_to_bytes(password))


def _encode(value: Any, what: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{what} must be str or bytes, not {type(value).__name__}")
    if not value.isascii():
        raise ValueError(f"{what} given as str must be ASCII: encode it and pass bytes")
    return value.encode("ascii")


def _pair(auth: Any) -> tuple[bytes, bytes]:
    if not isinstance(auth, tuple) or len(auth) != 2:
        raise TypeError("the proxy's auth is a pair of user and password")
    user, password = (_encode(part, "the proxy's user and password") for part in auth)
    if _find_control(user) or _find_control(password):
        raise ValueError("the proxy's user and password must not hold control characters")
    return user, password


def _http_auth(auth: Any) -> ProxyAuth | None:
    if auth is None or isinstance(auth, ProxyAuth):
        return auth
    return BasicProxyAuth(*_pair(auth))


def _socks_auth(auth: Any) -> tuple[bytes, bytes] | None:
    """RFC 1929, section 2: each has a length of one byte."""
    if auth is None:
        return None
    user, password = _pair(auth)
    if not 0 < len(user) < 256 or not 0 < len(password) < 256:
        raise ValueError("a SOCKS proxy's user and password have 1 to 255 bytes each")
    return user, password


# Headers


def proxy_fields(headers: Any) -> Headers:
    """The proxy's headers as they are sent, checked. Raises `LocalProtocolError`."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    try:
        fields = [
            (_encode(name, "a proxy header's name"), _encode(value, "a proxy header"))
            for name, value in pairs
        ]
        check_fields(fields, "proxy header")
    except LocalProtocolError as exc:
        exc.phase = "proxy"
        raise
    except (TypeError, ValueError) as exc:
        raise LocalProtocolError(f"the proxy's headers: {exc}", phase="proxy") from exc
    for name, _ in fields:
        if name.lower() in _RESERVED:
            text = f"{name!r} cannot be a header for the proxy"
            raise LocalProtocolError(text, phase="proxy")
    return fields


def _static_fields(headers: Any) -> Headers:
    try:
        return proxy_fields(headers)
    except LocalProtocolError as exc:
        raise ValueError(exc.message) from exc
