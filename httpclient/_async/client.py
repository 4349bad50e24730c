"""The client: sends what `BaseClient` puts together through a transport.

Rules of this file: decisions about requests belong into the shared modules; here bytes and
responses are passed on, errors learn which request they belong to, and whatever was opened is
closed on every way out.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpcore_core
from httpcore_core import LocalProtocolError, PoolClosed, TransportError, UnsupportedProtocol

from .._client import BaseClient
from .._config import DEFAULT_TIMEOUT, TimeoutTypes
from .._exceptions import attach
from .._models import Request, Response
from ..transports.http import AsyncHTTPTransport

if TYPE_CHECKING:
    import ssl

    from httpcore_core import Proxy

    from .._headers import HeaderTypes
    from .._urls import URL
    from ..transports.base import AsyncBaseTransport


class AsyncClient(BaseClient):
    """Makes requests; keeps connections, headers and limits from one to the next.

    `verify` is True for the usual certificate authorities, or an `ssl.SSLContext`, which with
    `http2` has to offer that itself. With `http2` HTTP/2 is spoken to servers that can, over TLS;
    without `http1` to all. `proxy` is the URL of a proxy, or a `Proxy`. A `transport` passed in
    replaces the network; it is used but not closed, it stays the caller's.
    """

    def __init__(
        self,
        *,
        headers: HeaderTypes | None = None,
        timeout: TimeoutTypes = DEFAULT_TIMEOUT,
        base_url: URL | str = "",
        verify: ssl.SSLContext | bool = True,
        http1: bool = True,
        http2: bool = False,
        proxy: Proxy | str | None = None,
        transport: AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(headers=headers, timeout=timeout, base_url=base_url)
        self._owns_transport = transport is None
        if transport is None:
            transport = AsyncHTTPTransport(verify=verify, http1=http1, http2=http2, proxy=proxy)
        self._transport = transport

    async def request(self, method: str, url: URL | str, **options: Any) -> Response:
        """Send a request and read the whole response. `options` are those of `build_request`:
        content, json, headers, timeout, extensions."""
        return await self.send(self.build_request(method, url, **options))

    def stream(self, method: str, url: URL | str, **options: Any) -> AsyncStreamContext:
        """The same as a context manager, within which the body can be streamed."""
        return AsyncStreamContext(self, self.build_request(method, url, **options))

    async def send(self, request: Request, *, stream: bool = False) -> Response:
        """Send a request. With `stream` the caller reads the body and closes the response."""
        try:
            response = await self._send(request)
        except TransportError as exc:
            attach(exc, request)
            raise
        if not stream:
            await response.aread()
        return response

    async def _send(self, request: Request) -> Response:
        if self._closed:
            raise PoolClosed("the client has been closed", phase="request")
        if not request.url.scheme:
            problem = "the URL has no scheme, such as http:// or https://"
            raise UnsupportedProtocol(problem, phase="request")
        if not isinstance(request.stream, httpcore_core.AsyncByteStream):
            problem = f"{type(request.stream).__name__} is not a body for {type(self).__name__}"
            raise LocalProtocolError(problem, phase="request")
        status, headers, stream, extensions = await self._transport.handle_async_request(
            request.method.encode("ascii"),
            request.url.raw,
            request.headers.raw,
            request.stream,
            dict(request.extensions),
        )
        return Response(
            status, headers=headers, stream=stream, request=request, extensions=extensions
        )

    async def get(self, url: URL | str, **options: Any) -> Response:
        return await self.request("GET", url, **options)

    async def options(self, url: URL | str, **options: Any) -> Response:
        return await self.request("OPTIONS", url, **options)

    async def head(self, url: URL | str, **options: Any) -> Response:
        return await self.request("HEAD", url, **options)

    async def post(self, url: URL | str, **options: Any) -> Response:
        return await self.request("POST", url, **options)

    async def put(self, url: URL | str, **options: Any) -> Response:
        return await self.request("PUT", url, **options)

    async def patch(self, url: URL | str, **options: Any) -> Response:
        return await self.request("PATCH", url, **options)

    async def delete(self, url: URL | str, **options: Any) -> Response:
        return await self.request("DELETE", url, **options)

    async def aclose(self) -> None:
        """Close the connections; requests raise `PoolClosed` from now on."""
        self._closed = True
        if self._owns_transport:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


class AsyncStreamContext:
    """Sends on entry and closes the response on exit. A class, because an async generator that
    is cancelled or dropped needs the event loop once more."""

    def __init__(self, client: AsyncClient, request: Request) -> None:
        self._client = client
        self._request = request

    async def __aenter__(self) -> Response:
        self._response = await self._client.send(self._request, stream=True)
        return self._response

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._response.aclose()
