"""Requests to an ASGI application in this process, streamed both ways.

Rules of this file: what the client holds, the transport and the bodies of its responses. How the
app's task and the client's go along together is in `_asgi_exchange`.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from httpcore_core import AsyncByteStream, ByteStream, Response

from ._apps import AppRequest
from ._asgi_exchange import ASGIApp, Exchange
from ._asgi_messages import build_scope
from ._configured import Configured
from .base import AsyncBaseTransport

DEFAULT_GRACE = 0.5
"""Seconds. Enough for an app that listens; one that does not has its `finally` to clean up."""


class ASGITransport(Configured, AsyncBaseTransport):
    """Sends each request to `app`, an ASGI 3 application, on asyncio and on trio.

    A response returns as soon as the app has sent its head; then the body can be read as it comes,
    while the request's body is still on its way. Reading to the end waits for the app's end, too.

    What the app raises is raised in the request, or while the body is read. Without
    `raise_app_exceptions` it is what it would be over a network: a response with the status 500, a
    `RemoteProtocolError` in the middle of the body, nothing after its end. `root_path` and `client`
    (host and port) go into the app's scope. `grace` is how many seconds the app may go on after a
    response was closed early; then it is cancelled. There are no lifespan events.

        client = AsyncClient(transport=ASGITransport(app), base_url="http://testserver")
    """

    def __init__(
        self,
        app: ASGIApp,
        raise_app_exceptions: bool = True,
        root_path: str = "",
        client: tuple[str, int] | None = ("127.0.0.1", 123),
        *,
        grace: float = DEFAULT_GRACE,
    ) -> None:
        self.app = app
        self.raise_app_exceptions = raise_app_exceptions
        self.root_path = root_path
        self.client = client
        self.grace = grace

    async def handle_async_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        request = AppRequest(method, url, headers, extensions)
        request.check_body(stream, "__aiter__")
        scope = build_scope(request, self.root_path, self.client)
        limits = extensions.get("timeout") or {}
        exchange = Exchange(request, stream, limits, self.raise_app_exceptions, self.grace)
        head = await exchange.begin(partial(self.app, scope))
        answer: dict[str, Any] = {"http_version": b"HTTP/1.1"}
        if head is None:
            return Response(500, [], ByteStream(), answer)
        return Response(head.status, head.headers, _Body(exchange, answer), answer)


class _Body(AsyncByteStream):
    """The body of a response. Only its owner refers to it: if it is dropped, that is noticed."""

    def __init__(self, exchange: Exchange, extensions: dict[str, Any]) -> None:
        self._exchange = exchange
        self._extensions = extensions
        self._is_over = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        try:
            chunk = await self._exchange.next_chunk()
        except BaseException:
            self._is_over = True
            raise
        if chunk is None:
            self._is_over = True
            if self._exchange.trailers:
                self._extensions["trailers"] = self._exchange.trailers
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """End the app, unless it has ended. May be called again."""
        self._is_over = True
        await self._exchange.close()

    def __del__(self) -> None:
        if self._exchange.drop():
            warnings.warn(
                f"a response of an app for {self._exchange.origin} was neither read nor closed",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
