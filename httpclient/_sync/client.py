"""The client: sends what `BaseClient` puts together through a transport.

Rules of this file: decisions about requests belong into the shared modules; here bytes and
responses are passed on, errors learn which request they belong to, and whatever was opened is
closed on every way out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

import httpcore_core
from httpcore_core import LocalProtocolError, PoolClosed, TransportError, UnsupportedProtocol

from .._client import BaseClient, EventHooks, RequestOptions, SendOptions, rest_of_total, usable
from .._concurrency import call_back
from .._config import (
    DEFAULT_LIMITS,
    DEFAULT_MAX_DECODED,
    DEFAULT_MAX_REDIRECTS,
    DEFAULT_TIMEOUT,
    Default,
    Limits,
    TimeoutTypes,
)
from .._exceptions import TooManyRedirects, attach
from .._request import Request
from .._response import Response
from .._response_head import REDIRECTS
from ..transports.http import HTTPTransport, CertTypes, VerifyTypes

if TYPE_CHECKING:
    from httpcore_core import Proxy

    from .._auth import Auth, AuthTypes
    from .._cookies import CookieTypes
    from .._headers import HeaderTypes
    from .._params import QueryParamTypes
    from .._urls import URL
    from ..transports.base import BaseTransport


class Client(BaseClient):
    """Makes requests; keeps connections, cookies and defaults from one to the next.

    Of every request: `auth`, `params`, `headers`, `cookies`, `timeout` (seconds for each phase),
    `follow_redirects` and at most `max_redirects` of them, `max_decoded` (bytes that a body may
    become when its content coding is undone), `event_hooks`, `base_url`, `default_encoding` (of
    text whose charset is not said).

    Of the network: `verify` is True for the usual certificate authorities, or an `ssl.SSLContext`,
    which with `http2` has to offer that itself; `cert` is the client's own certificate. With
    `http2` HTTP/2 is spoken to servers that can, over TLS; without `http1` to all. `proxy` is the
    URL of a proxy, or a `Proxy`; with `trust_env` environment variables may name one, and
    certificate authorities. A `transport` passed in replaces all that, and `mounts` does for the
    URLs that its patterns match; they are used but not closed, they stay the caller's.
    """

    def __init__(
        self,
        *,
        auth: AuthTypes | None = None,
        params: QueryParamTypes | None = None,
        headers: HeaderTypes | None = None,
        cookies: CookieTypes | None = None,
        verify: VerifyTypes = True,
        cert: CertTypes | None = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        proxy: Proxy | str | URL | None = None,
        mounts: Mapping[str, BaseTransport | None] | None = None,
        timeout: TimeoutTypes = DEFAULT_TIMEOUT,
        follow_redirects: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        max_redirects: int = DEFAULT_MAX_REDIRECTS,
        max_decoded: int | None = DEFAULT_MAX_DECODED,
        event_hooks: EventHooks | None = None,
        base_url: URL | str = "",
        transport: BaseTransport | None = None,
        default_encoding: str | Callable[[bytes], str] = "utf-8",
    ) -> None:
        super().__init__(
            auth=auth,
            params=params,
            headers=headers,
            cookies=cookies,
            timeout=timeout,
            follow_redirects=follow_redirects,
            max_redirects=max_redirects,
            max_decoded=max_decoded,
            event_hooks=event_hooks,
            base_url=base_url,
            trust_env=trust_env,
            default_encoding=default_encoding,
        )
        self._owns_transport = transport is None
        self._is_proxied = transport is None and proxy is not None
        if transport is None:
            transport = HTTPTransport(
                verify=verify,
                cert=cert,
                trust_env=trust_env,
                http1=http1,
                http2=http2,
                limits=limits,
                proxy=proxy,
            )
        self._transport = usable(transport, "handle_request")
        self._mounts = self._loaded_mounts(mounts, "handle_request")
        uses_environment = trust_env and self._owns_transport and proxy is None
        self._environment = self._loaded_environment() if uses_environment else None

    # Requests

    def request(
        self,
        method: str,
        url: URL | str,
        *,
        auth: AuthTypes | Default | None = Default.CLIENT,
        follow_redirects: bool | Default = Default.CLIENT,
        **options: Unpack[RequestOptions],
    ) -> Response:
        """Send a request and read the whole response. `options` are those of `build_request`:
        content, data, files, json, params, headers, cookies, timeout, extensions."""
        request = self.build_request(method, url, **options)
        return self.send(request, auth=auth, follow_redirects=follow_redirects)

    def stream(
        self,
        method: str,
        url: URL | str,
        *,
        auth: AuthTypes | Default | None = Default.CLIENT,
        follow_redirects: bool | Default = Default.CLIENT,
        **options: Unpack[RequestOptions],
    ) -> StreamContext:
        """The same as a context manager, within which the body can be streamed."""
        request = self.build_request(method, url, **options)
        return StreamContext(self, request, auth, follow_redirects)

    def send(
        self,
        request: Request,
        *,
        stream: bool = False,
        auth: AuthTypes | Default | None = Default.CLIENT,
        follow_redirects: bool | Default = Default.CLIENT,
    ) -> Response:
        """Send a request. With `stream` the caller reads the body and closes the response."""
        if isinstance(follow_redirects, Default):
            follow_redirects = self.follow_redirects
        started = perf_counter()
        loaded = self._auth_of(request, auth)
        if loaded is None:
            response = self._follow(request, follow_redirects, [], started)
        else:
            response = self._authenticate(request, loaded, follow_redirects, started)
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response

    def _authenticate(
        self, request: Request, auth: Auth, follow_redirects: bool, started: float
    ) -> Response:
        """Send what the flow of `auth` asks for until it is content. What comes from another
        origin, to which redirects have led, it does not see: its answer would be a secret given
        away."""
        history: list[Response] = []
        flow = auth.sync_auth_flow(request)
        try:
            request = flow.__next__()
            while True:
                response = self._follow(request, follow_redirects, history, started)
                try:
                    if response.url.origin != request.url.origin:
                        return response
                    try:
                        request = flow.send(response)
                    except StopIteration:
                        return response
                    if b"set-cookie" in response.headers.names():
                        self._renew_cookies(request)
                except BaseException:
                    response.close()
                    raise
                response.close()
                history = [*response.history, response]
        finally:
            flow.close()

    def _follow(
        self, request: Request, follow_redirects: bool, history: list[Response], started: float
    ) -> Response:
        """Send, and follow redirects. The bodies of those are not read: they may have no end."""
        redirects = 0
        while True:
            for hook in self._event_hooks["request"]:
                call_back(hook, request)
            response = self._send(request, started, is_first=not history)
            try:
                response.history = history
                for hook in self._event_hooks["response"]:
                    call_back(hook, response)
                if response.status_code not in REDIRECTS or not response.has_redirect_location:
                    return response
                if not follow_redirects:
                    self._offer_redirect(response)
                    return response
                if redirects >= self.max_redirects:
                    text = f"there were more than {self.max_redirects} redirects"
                    raise TooManyRedirects(text, phase="receive headers")
                request = self._redirect(response)
            except BaseException as exc:
                if isinstance(exc, TransportError):
                    attach(exc, request)
                response.close()
                raise
            response.close()
            history = [*history, response]
            redirects += 1

    def _send(self, request: Request, started: float, *, is_first: bool) -> Response:
        """Send one request; what comes back has to be closed."""
        try:
            transport, is_mounted = self._transport_of(request)
            extensions = dict(request.extensions)
            if "timeout" not in extensions:  # a `Request` that this client has not built
                extensions["timeout"] = dict(self._limits)
            if not is_first:
                extensions = rest_of_total(request, extensions, started)
            if is_mounted and self._is_proxied and transport is self._transport:
                extensions.setdefault("proxy", None)  # what is mounted is None
            elif self._environment is not None and not is_mounted:
                proxy = self._environment.proxy_for(request.url)
                if proxy is not None:
                    extensions.setdefault("proxy", proxy)
            status, headers, stream, extensions = transport.handle_request(
                request.method.encode("ascii"),
                request.url.raw,
                request.headers.raw,
                request.stream,
                extensions,
            )
        except TransportError as exc:
            attach(exc, request)
            raise
        response = Response(
            status,
            headers=headers,
            stream=stream,
            request=request,
            extensions=extensions,
            default_encoding=self.default_encoding,
        )
        response._started = started
        response._max_decoded = self.max_decoded
        if b"set-cookie" in response.headers.names():
            self.cookies.extract_cookies(response)
        return response

    def _transport_of(self, request: Request) -> tuple[BaseTransport, bool]:
        """The transport for a request that can be sent, and whether a mount says so."""
        if self._closed:
            raise PoolClosed("the client has been closed", phase="request")
        if not request.url.scheme:
            problem = "the URL has no scheme, such as http:// or https://"
            raise UnsupportedProtocol(problem, phase="request")
        if not isinstance(request.stream, httpcore_core.SyncByteStream):
            problem = f"{type(request.stream).__name__} is not a body for {type(self).__name__}"
            raise LocalProtocolError(problem, phase="request")
        is_mounted, mounted = False, None
        if self._mounts:
            is_mounted, mounted = self._mounted(request.url, self._mounts)
        return (self._transport if mounted is None else mounted), is_mounted

    def get(self, url: URL | str, **options: Unpack[SendOptions]) -> Response:
        return self.request("GET", url, **options)

    def options(self, url: URL | str, **options: Unpack[SendOptions]) -> Response:
        return self.request("OPTIONS", url, **options)

    def head(self, url: URL | str, **options: Unpack[SendOptions]) -> Response:
        return self.request("HEAD", url, **options)

    def post(self, url: URL | str, **options: Unpack[SendOptions]) -> Response:
        return self.request("POST", url, **options)

    def put(self, url: URL | str, **options: Unpack[SendOptions]) -> Response:
        return self.request("PUT", url, **options)

    def patch(self, url: URL | str, **options: Unpack[SendOptions]) -> Response:
        return self.request("PATCH", url, **options)

    def delete(self, url: URL | str, **options: Unpack[SendOptions]) -> Response:
        return self.request("DELETE", url, **options)

    # Closing

    def close(self) -> None:
        """Close the connections; requests raise `PoolClosed` from now on."""
        self._closed = True
        if self._owns_transport:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


class StreamContext:
    """Sends on entry and closes the response on exit. A class, because an async generator that
    is cancelled or dropped needs the event loop once more."""

    def __init__(
        self,
        client: Client,
        request: Request,
        auth: AuthTypes | Default | None,
        follow_redirects: bool | Default,
    ) -> None:
        self._client = client
        self._request = request
        self._auth = auth
        self._follow_redirects = follow_redirects

    def __enter__(self) -> Response:
        self._response = self._client.send(
            self._request, stream=True, auth=self._auth, follow_redirects=self._follow_redirects
        )
        return self._response

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._response.close()
