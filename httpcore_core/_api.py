"""One-shot requests, for the interactive prompt and for scripts: a pool for one request."""

from __future__ import annotations

from types import TracebackType

from ._models import Extensions, Response
from ._protocol.build import Content, HeaderTypes, URLTypes
from ._sync.pool import ConnectionPool
from ._sync.transport import ResponseContext


def request(
    method: str | bytes,
    url: URLTypes,
    *,
    headers: HeaderTypes = None,
    content: Content = None,
    extensions: Extensions | None = None,
) -> Response:
    """Send one request on a connection of its own and read the whole response.

    Raises `TransportError`.
    """
    with ConnectionPool() as pool:
        return pool.request(method, url, headers=headers, content=content, extensions=extensions)


def stream(
    method: str | bytes,
    url: URLTypes,
    *,
    headers: HeaderTypes = None,
    content: Content = None,
    extensions: Extensions | None = None,
) -> OneShotStream:
    """Send one request on a connection of its own; use as a context manager that gives the
    response, with its body still to be read."""
    pool = ConnectionPool()
    context = pool.stream(method, url, headers=headers, content=content, extensions=extensions)
    return OneShotStream(pool, context)


class OneShotStream:
    """What `stream` returns: a response that takes its pool along when it closes."""

    def __init__(self, pool: ConnectionPool, context: ResponseContext) -> None:
        self._pool = pool
        self._context = context

    def __enter__(self) -> Response:
        try:
            return self._context.__enter__()
        except BaseException:
            self._pool.close()
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
            self._pool.close()
