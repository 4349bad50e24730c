"""Responses from a function: for tests, and for answers that need no server.

Rules of this file: the transport API on one side, the client's `Request` and `Response` on the
other; nothing of either is changed on the way.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpcore_core
from httpcore_core import LocalProtocolError

from .._exceptions import StreamClosed
from .._headers import Headers
from .._request import Request
from .._response import Response
from .._urls import URL
from ._configured import Configured
from .base import AsyncBaseTransport, BaseTransport

Handler: TypeAlias = Callable[[Request], Response] | Callable[[Request], Awaitable[Response]]


# Both bases have `request` and `stream`, conveniences on top of the transport API: sync ones here.
class MockTransport(Configured, BaseTransport, AsyncBaseTransport):  # type: ignore[misc]
    """Answers each request with what `handler(request)` returns, in sync and in async code.

    The handler gets a `Request` whose body has been read, and returns a `Response`, whose body may
    be a stream of the right kind; for async code it may be ``async def``. What it raises is raised
    in the request. Where the request's target is not that of its URL, as for ``OPTIONS *``, it is
    in the extension `target`. Pickles if the handler does.

        transport = MockTransport(lambda request: Response(200, json={"hello": request.url.path}))
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> httpcore_core.Response:
        response: Any = self.handler(_request(method, url, headers, stream.read(), extensions))
        if inspect.isawaitable(response):
            if inspect.iscoroutine(response):
                response.close()
            raise TypeError("the handler is async: it needs an AsyncClient")
        return _primitives(response, "__iter__")

    async def handle_async_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> httpcore_core.Response:
        body = await stream.aread()
        response: Any = self.handler(_request(method, url, headers, body, extensions))
        if inspect.isawaitable(response):
            response = await response
        return _primitives(response, "__aiter__")


def _request(
    method: bytes,
    url: tuple[bytes, bytes, int | None, bytes],
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    extensions: dict[str, Any],
) -> Request:
    scheme, host, port, target = url
    try:
        authority = (
            f"[{host.decode('ascii').strip('[]')}]" if b":" in host else host.decode("ascii")
        )
        authority += "" if port is None else f":{port}"
        path = target.decode("ascii") if target.startswith(b"/") else ""
        name = method.decode("ascii")
        parsed = URL(f"{scheme.decode('ascii')}://{authority}{path}")
    except UnicodeDecodeError as exc:
        raise LocalProtocolError("the method or the URL is not ASCII", phase="request") from exc
    if parsed.raw_path != target:
        extensions = {"target": target, **extensions}
    request = Request(name, parsed, content=body, extensions=extensions)
    request.method = name  # case and fields as given: a `Request` made by hand completes them
    request.headers = Headers(headers)
    return request


def _primitives(response: Any, iteration: str) -> httpcore_core.Response:
    if not isinstance(response, Response):
        raise TypeError(f"the handler returned {type(response).__name__}, not a Response")
    stream = response.stream
    if stream is None:
        raise StreamClosed("the handler returned a response that it had closed")
    if not hasattr(stream, iteration):
        kind = "sync" if iteration == "__iter__" else "async"
        if kind == "async":
            stream.close()
        raise TypeError(f"{type(stream).__name__} is no response body for {kind} code")
    # The extensions are the same dictionary: trailers appear in it when the body has been read.
    return httpcore_core.Response(
        response.status_code, response.headers.raw, stream, response.extensions
    )
