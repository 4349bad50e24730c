"""What the two clients share: configuration, and how a request is put together.

Rules of this file: no I/O. What sends and receives is in `_async/client.py`, and in the sync twin
that is made from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self, TypedDict

from httpcore_core import TransportError

from . import _redirects
from ._config import USER_AGENT, Default, Timeout, TimeoutTypes, count, timeout_limits
from ._content import Content
from ._decoding import charset_of
from ._exceptions import InvalidURL
from ._headers import Headers, HeaderTypes
from ._params import QueryParams, QueryParamTypes
from ._request import Request
from ._urls import URL, as_url

if TYPE_CHECKING:
    from ._auth import Auth, AuthTypes
    from ._cookies import Cookies, CookieTypes
    from ._environment import EnvironmentProxies
    from ._response import Response

EventHooks = Mapping[str, Iterable[Callable[[Any], Any]]]


class RequestOptions(TypedDict, total=False):
    """The keywords of `build_request`."""

    content: Content | None
    data: Mapping[str, Any] | None
    files: Any
    json: Any
    params: QueryParamTypes | None
    headers: HeaderTypes | None
    cookies: CookieTypes | None
    timeout: TimeoutTypes | Default
    extensions: dict[str, Any] | None


class SendOptions(RequestOptions, total=False):
    """The keywords of `request` and of the methods that are named for HTTP's."""

    auth: AuthTypes | Default | None
    follow_redirects: bool | Default


class BaseClient:
    """Defaults for every request, and the URL that relative ones start from."""

    _cookies: Cookies | None = None
    _owns_transport: bool
    _transport: Any

    def __init__(
        self,
        *,
        auth: AuthTypes | None,
        params: QueryParamTypes | None,
        headers: HeaderTypes | None,
        cookies: CookieTypes | None,
        timeout: TimeoutTypes,
        follow_redirects: bool,
        max_redirects: int,
        max_decoded: int | None,
        event_hooks: EventHooks | None,
        base_url: URL | str,
        trust_env: bool,
        default_encoding: str | Callable[[bytes], str],
    ) -> None:
        self.headers = headers
        self.base_url = base_url
        self.params = params
        self.auth = auth
        self.follow_redirects = follow_redirects
        self.max_redirects = count("max_redirects", max_redirects)
        self.max_decoded = None if max_decoded is None else count("max_decoded", max_decoded)
        self.trust_env = trust_env
        self.default_encoding = default_encoding
        if not callable(default_encoding) and charset_of(f";charset={default_encoding}") is None:
            raise ValueError(f"text cannot be decoded with {default_encoding!r}")
        self.event_hooks = event_hooks or {}
        self.timeout = timeout
        if cookies:
            self.cookies = cookies
        self._closed = False

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def base_url(self) -> URL:
        return self._base_url

    @base_url.setter
    def base_url(self, base_url: URL | str) -> None:
        self._base_url = URL(base_url)

    @property
    def headers(self) -> Headers:
        """What every request has, unless it has others of the same names. Who sets them keeps
        those of ours that the new ones do not name."""
        return self._headers

    @headers.setter
    def headers(self, headers: HeaderTypes | None) -> None:
        from ._content_coding import accept_encoding

        own = {"Accept": "*/*", "Accept-Encoding": accept_encoding(), "User-Agent": USER_AGENT}
        self._headers = Headers(own).merged(headers)

    @property
    def params(self) -> QueryParams:
        return self._params

    @params.setter
    def params(self, params: QueryParamTypes | None) -> None:
        self._params = QueryParams(params)

    @property
    def timeout(self) -> Timeout:
        """The limits in seconds for each phase of a request."""
        return Timeout(self._limits)

    @timeout.setter
    def timeout(self, timeout: TimeoutTypes) -> None:
        self._limits = timeout_limits(timeout)

    @property
    def auth(self) -> Auth | None:
        return self._auth

    @auth.setter
    def auth(self, auth: AuthTypes | None) -> None:
        self._auth = _loaded(auth)

    @property
    def cookies(self) -> Cookies:
        """The cookies that are sent where they belong, and those that servers have set."""
        cookies = self._cookies
        if cookies is None:
            from ._cookies import Cookies

            # One step, so that of two threads which come here at once neither loses its cookies.
            cookies = self.__dict__.setdefault("_cookies", Cookies())
        return cookies

    @cookies.setter
    def cookies(self, cookies: CookieTypes) -> None:
        from ._cookies import Cookies

        self._cookies = Cookies(cookies)

    @property
    def event_hooks(self) -> dict[str, list[Callable[[Any], Any]]]:
        """Functions that are called with each request before it is sent (``"request"``), and with
        each response before its body is read (``"response"``)."""
        return self._event_hooks

    @event_hooks.setter
    def event_hooks(self, hooks: EventHooks) -> None:
        unknown = set(hooks) - {"request", "response"}
        if unknown:
            raise ValueError(f"event_hooks has unknown keys: {', '.join(sorted(unknown))}")
        self._event_hooks = {key: list(hooks.get(key, ())) for key in ("request", "response")}

    def build_request(
        self,
        method: str | bytes,
        url: URL | str,
        *,
        content: Content | None = None,
        data: Mapping[str, Any] | None = None,
        files: Any = None,
        json: Any = None,
        params: QueryParamTypes | None = None,
        headers: HeaderTypes | None = None,
        cookies: CookieTypes | None = None,
        timeout: TimeoutTypes | Default = Default.CLIENT,
        extensions: dict[str, Any] | None = None,
    ) -> Request:
        """A request with the client's defaults filled in; `send` sends it. A `timeout` among the
        extensions goes before both the client's and the argument."""
        limits = self._limits
        if not isinstance(timeout, Default):
            limits = timeout_limits(timeout, limits)
        if self._params:
            params = self._params.merge(params)
        request = Request(
            method,
            self._absolute(as_url(url)),
            params=params,
            headers=self._headers.merged(headers) if headers else self._headers,
            cookies=self._merged_cookies(cookies),
            content=content,
            data=data,
            files=files,
            json=json,
            extensions={"timeout": dict(limits), **(extensions or {})},
        )
        if cookies:
            request._own_cookies = self._kept(cookies)
        return request

    def _kept(self, cookies: CookieTypes) -> CookieTypes:
        """What a redirect within the origin will need, so that it can be copied and pickled."""
        from ._cookies import Cookies

        return cookies if isinstance(cookies, (Cookies, Mapping)) else Cookies(cookies)

    def _absolute(self, url: URL) -> URL:
        """`url`, put behind the path of `base_url` if it is relative (so that ``/users`` stays
        below ``/v1``, unlike in `URL.join`)."""
        if url.scheme or not str(self._base_url):
            return url
        if url.host:
            raise InvalidURL("a URL that has a host needs a scheme")
        base = str(self._base_url).partition("?")[0].partition("#")[0].rstrip("/")
        reference = str(url)
        if reference.startswith(("?", "#")):
            return URL(base + reference)
        return URL(f"{base}/{reference.lstrip('/')}" if reference else str(self._base_url))

    def _merged_cookies(self, cookies: CookieTypes | None) -> CookieTypes | None:
        if not cookies:
            return self._cookies
        if not self._cookies:
            return cookies
        from ._cookies import Cookies

        merged = Cookies(self._cookies)
        merged.update(cookies)
        return merged

    # What the drivers ask

    def _loaded_mounts(self, mounts: Mapping[str, Any] | None, method: str) -> Any:
        if not mounts:
            return None
        if not isinstance(mounts, Mapping):
            raise TypeError(f"mounts maps patterns to transports, it is no {type(mounts).__name__}")
        for mounted in mounts.values():
            if mounted is not None:
                usable(mounted, method)
        from ._mounts import sorted_mounts

        return sorted_mounts({pattern: (mounted,) for pattern, mounted in mounts.items()})

    def _mounted(self, url: URL, mounts: Any) -> tuple[bool, Any]:
        """Whether something is mounted for `url`, and the transport; None for the client's own."""
        from ._mounts import pick

        match = pick(mounts, url)
        return (False, None) if match is None else (True, match[0])

    def _loaded_environment(self) -> EnvironmentProxies | None:
        """The proxies that the environment names, or None; the usual case costs a few look-ups."""
        if not any(name.lower().endswith("_proxy") for name in os.environ):
            return None
        from ._environment import environment_proxies

        return environment_proxies()

    def _auth_of(self, request: Request, auth: AuthTypes | Default | None) -> Auth | None:
        """What was given for the request; else the client's; else what the URL says."""
        if not isinstance(request, Request):
            raise TypeError(f"what is sent is a Request, not {type(request).__name__}")
        given = self._auth if isinstance(auth, Default) else _loaded(auth)
        if given is None and request.url.userinfo and auth is not None:
            from ._auth import BasicAuth

            return BasicAuth(request.url.username, request.url.password)
        return given

    def _renew_cookies(self, request: Request) -> None:
        """A response has set some before `request` is sent once more."""
        if request._has_made_cookie:
            del request.headers["Cookie"]
        cookies = self._merged_cookies(request._own_cookies)
        if cookies:
            request._set_cookies(cookies)

    def _redirect(self, response: Response) -> Request:
        return _redirects.next_request(response, self._merged_cookies)

    def _offer_redirect(self, response: Response) -> None:
        """What is not followed may be sent by hand, if it can."""
        try:
            response.next_request = _redirects.next_request(response, self._merged_cookies)
        except (TransportError, RuntimeError):
            response.next_request = None

    def __getstate__(self) -> dict[str, Any]:
        """A client pickles and copies as its configuration, and its cookies."""
        return self.__dict__ | {"_closed": False}

    def __copy__(self) -> Self:
        """With connections of its own, where they are not the caller's."""
        import copy

        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__getstate__())
        if self._owns_transport:
            twin._transport = copy.copy(self._transport)
        return twin


def usable(transport: Any, method: str) -> Any:
    """`transport`, if it has what a client of this kind calls."""
    if not callable(getattr(transport, method, None)):
        kind = type(transport).__name__
        raise TypeError(f"a transport of this client has the method {method}; {kind} has not")
    return transport


def time_left(extensions: dict[str, Any], started: float) -> dict[str, Any]:
    """A copy of `extensions` in which the `total` limit has begun at `started`: redirects and
    challenges do not begin it anew."""
    limits = extensions.get("timeout") or {}
    total = limits.get("total")
    if total is None:
        return dict(extensions)
    left = max(total - (perf_counter() - started), 0.0)
    return {**extensions, "timeout": {**limits, "total": left}}


def rest_of_total(request: Request, extensions: dict[str, Any], started: float) -> dict[str, Any]:
    """`time_left`, of which the request takes note for its errors: see `attach`."""
    rest = time_left(extensions, started)
    total, left = ((limits.get("timeout") or {}).get("total") for limits in (extensions, rest))
    request._total = left, total
    return rest


def spend_time(request: Request, started: float) -> None:
    """Send `request` within what is left of its `total` limit."""
    request.extensions = time_left(request.extensions, started)


def _loaded(auth: AuthTypes | None) -> Auth | None:
    if auth is None:
        return None
    from ._auth import build_auth

    return build_auth(auth)
