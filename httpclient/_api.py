"""Requests without a client of one's own: each opens and closes its connection.

Rules of this file: shortcuts to `Client`, nothing else. `options` are those of `Client.request`,
and `verify`, `cert`, `proxy`, `trust_env`, `http1`, `http2` those of `Client`.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from ._client import SendOptions
from ._sync.client import Client

if TYPE_CHECKING:
    from httpcore_core import Proxy

    from ._response import Response
    from ._urls import URL
    from .transports.http import CertTypes, VerifyTypes

_OF_THE_CLIENT = ("verify", "cert", "proxy", "trust_env", "http1", "http2")


class OnceOptions(SendOptions, total=False):
    """The keywords of a client's request, and those of the client that are for its connection."""

    verify: VerifyTypes
    cert: CertTypes | None
    proxy: Proxy | str | URL | None
    trust_env: bool
    http1: bool
    http2: bool


def _client(options: Any) -> tuple[Client, Any]:
    """A client with its part of `options`, and the rest of them."""
    own = {name: options.pop(name) for name in _OF_THE_CLIENT if name in options}
    return Client(**own), options


def request(method: str, url: URL | str, **options: Unpack[OnceOptions]) -> Response:
    """Send one request and read the whole response."""
    client, others = _client(options)
    with client:
        response: Response = client.request(method, url, **others)
        return response


def stream(method: str, url: URL | str, **options: Unpack[OnceOptions]) -> StreamOnce:
    """Send one request; a context manager within which the response can be streamed."""
    return StreamOnce(method, url, options)


class StreamOnce:
    """A client and one streamed response, closed together."""

    def __init__(self, method: str, url: URL | str, options: Any) -> None:
        self._client, others = _client(options)
        self._context = self._client.stream(method, url, **others)

    def __enter__(self) -> Response:
        try:
            return self._context.__enter__()
        except BaseException:
            self._client.close()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            self._context.__exit__(exc_type, exc_value, traceback)
        finally:
            self._client.close()


def get(url: URL | str, **options: Unpack[OnceOptions]) -> Response:
    return request("GET", url, **options)


def options(url: URL | str, **options: Unpack[OnceOptions]) -> Response:
    return request("OPTIONS", url, **options)


def head(url: URL | str, **options: Unpack[OnceOptions]) -> Response:
    return request("HEAD", url, **options)


def post(url: URL | str, **options: Unpack[OnceOptions]) -> Response:
    return request("POST", url, **options)


def put(url: URL | str, **options: Unpack[OnceOptions]) -> Response:
    return request("PUT", url, **options)


def patch(url: URL | str, **options: Unpack[OnceOptions]) -> Response:
    return request("PATCH", url, **options)


def delete(url: URL | str, **options: Unpack[OnceOptions]) -> Response:
    return request("DELETE", url, **options)
