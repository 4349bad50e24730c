"""The core in other people's hands: unmodified clients of others that it is put underneath.

A test here is written once, as async code, and run in every `style`: "sync" is blocking code on the
sync client, in which nothing may ever wait for an event loop; the others are the flavours.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from httpcore_core.httpx import AsyncHTTPTransport, HTTPTransport
from tests.flavours import FLAVOURS, run_async

STYLES = ("sync", *FLAVOURS)


def every_style(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make ``async def test(style, ...)`` a test that runs in every style."""

    @pytest.mark.parametrize("style", STYLES)
    @functools.wraps(test)
    def run(style: str, **fixtures: Any) -> None:
        if style != "sync":
            return run_async(style, test, style, **fixtures)
        coroutine = test(style, **fixtures)
        try:
            coroutine.send(None)
        except StopIteration:
            return None
        raise AssertionError("sync code waited for an event loop")

    return run


async def settled(value: Any) -> Any:
    """What a method of either client returns, once it is there."""
    return await value if inspect.isawaitable(value) else value


class Caller:
    """An `httpx.Client` or `httpx.AsyncClient` with the core underneath, used in the same way."""

    def __init__(
        self, style: str, *, client_options: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self.is_sync = style == "sync"
        self.transport: Any = (HTTPTransport if self.is_sync else AsyncHTTPTransport)(**options)
        self.client: Any = (httpx.Client if self.is_sync else httpx.AsyncClient)(
            transport=self.transport, **(client_options or {})
        )

    async def __call__(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request and read the whole response."""
        response: httpx.Response = await settled(self.client.request(method, url, **options))
        return response

    async def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request; the response is still to be read."""
        request = self.client.build_request(method, url, **options)
        response: httpx.Response = await settled(self.client.send(request, stream=True))
        return response

    async def first(self, response: httpx.Response) -> bytes:
        """What the first turn of a loop over the response gets, which is then broken out of."""
        if self.is_sync:
            return next(response.iter_raw())
        chunks = response.aiter_raw()
        try:
            return await anext(chunks)
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]  # a generator

    async def read(self, response: httpx.Response) -> bytes:
        body: bytes = await settled(response.read() if self.is_sync else response.aread())
        return body

    async def close(self, response: httpx.Response) -> None:
        await settled(response.close() if self.is_sync else response.aclose())

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await settled(self.client.close() if self.is_sync else self.client.aclose())
