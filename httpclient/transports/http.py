"""HTTP over the network: the connection pool of the core.

Rules of this file: public names of the core only. What TLS trusts is in `_tls`; `options` are
those of the core's `ConnectionPool`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from httpcore_core import AsyncConnectionPool, ConnectionPool

from .._config import DEFAULT_LIMITS, Limits
from ._configured import Configured
from .base import AsyncBaseTransport, BaseTransport

if TYPE_CHECKING:
    import ssl

    from httpcore_core import Proxy, Response

    from .._urls import URL

VerifyTypes: TypeAlias = "ssl.SSLContext | str | bool"
CertTypes: TypeAlias = str | tuple[str, str] | tuple[str, str, str]


class _Pooled(Configured):
    """The options, and the pool that is made of them."""

    def __init__(
        self,
        verify: VerifyTypes = True,
        cert: CertTypes | None = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        proxy: Proxy | str | URL | None = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[Any] | None = None,
        **options: Any,
    ) -> None:
        from .._tls import make_context
        from .._urls import URL

        if not isinstance(limits, Limits):
            raise TypeError(f"limits are Limits, not {type(limits).__name__}")
        self._pool = self._make_pool(
            ssl_context=make_context(verify, cert, trust_env, http1, http2),
            http1=http1,
            http2=http2,
            proxy=str(proxy) if isinstance(proxy, URL) else proxy,
            uds=uds,
            local_address=local_address,
            retries=retries,
            socket_options=socket_options,
            **{**limits._asdict(), **options},
        )

    def _make_pool(self, **options: Any) -> Any:
        raise NotImplementedError


class HTTPTransport(_Pooled, BaseTransport):
    """`verify` is True for the usual certificate authorities, the path of a file or directory of
    others, or an `ssl.SSLContext`; False trusts everybody, which is for tests. `cert` is the
    client's own certificate: a file, or files of certificate and key, and the key's password. All
    other options are those of the core's `ConnectionPool`; `limits` sets three of them."""

    def _make_pool(self, **options: Any) -> ConnectionPool:
        return ConnectionPool(**options)

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        response: Response = self._pool.handle_request(method, url, headers, stream, extensions)
        return response

    def close(self) -> None:
        self._pool.close()


class AsyncHTTPTransport(_Pooled, AsyncBaseTransport):
    """As `HTTPTransport`, for asyncio and trio."""

    def _make_pool(self, **options: Any) -> AsyncConnectionPool:
        return AsyncConnectionPool(**options)

    async def handle_async_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        response: Response = await self._pool.handle_async_request(
            method, url, headers, stream, extensions
        )
        return response

    async def aclose(self) -> None:
        await self._pool.aclose()
