"""httpcore_core: a low-level HTTP transport core.

Values and exceptions are imported at once; everything else when it is first asked for, so that
sync code does not pay for asyncio, nor plain HTTP for TLS.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._exceptions import (
    ConnectError,
    ConnectTimeout,
    HTTPError,
    LocalProtocolError,
    NetworkError,
    PoolClosed,
    PoolTimeout,
    ProtocolError,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TimeoutException,
    TransportError,
    UnsupportedProtocol,
    WriteError,
    WriteTimeout,
)
from ._models import (
    AsyncByteStream,
    ByteStream,
    Origin,
    Request,
    Response,
    SyncByteStream,
)

if TYPE_CHECKING:
    from ._api import request, stream
    from ._async.connection import AsyncHTTPConnection
    from ._async.http2 import AsyncHTTP2Connection
    from ._async.http11 import AsyncHTTP11Connection
    from ._async.pool import AsyncConnectionPool
    from ._async.transport import AsyncTransport
    from ._async.tunnel_backend import AsyncTunnelBackend
    from ._backends.asyncio import AsyncIOBackend
    from ._backends.auto import AutoBackend
    from ._backends.base import (
        AsyncNetworkBackend,
        AsyncNetworkStream,
        NetworkBackend,
        NetworkStream,
    )
    from ._backends.mock import AsyncMockBackend, AsyncMockStream, MockBackend, MockStream
    from ._backends.sync import SyncBackend
    from ._backends.trio import TrioBackend
    from ._protocol.proxy_auth import DigestProxyAuth, ProxyAuth
    from ._proxy import Proxy
    from ._sync.connection import HTTPConnection
    from ._sync.http2 import HTTP2Connection
    from ._sync.http11 import HTTP11Connection
    from ._sync.pool import ConnectionPool
    from ._sync.transport import Transport
    from ._sync.tunnel_backend import TunnelBackend
    from ._tls import default_ssl_context

__version__ = "0.1.0"

__all__ = [
    "AsyncByteStream",
    "AsyncConnectionPool",
    "AsyncHTTP2Connection",
    "AsyncHTTP11Connection",
    "AsyncHTTPConnection",
    "AsyncIOBackend",
    "AsyncMockBackend",
    "AsyncMockStream",
    "AsyncNetworkBackend",
    "AsyncNetworkStream",
    "AsyncTransport",
    "AsyncTunnelBackend",
    "AutoBackend",
    "ByteStream",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionPool",
    "DigestProxyAuth",
    "HTTP2Connection",
    "HTTP11Connection",
    "HTTPConnection",
    "HTTPError",
    "LocalProtocolError",
    "MockBackend",
    "MockStream",
    "NetworkBackend",
    "NetworkError",
    "NetworkStream",
    "Origin",
    "PoolClosed",
    "PoolTimeout",
    "ProtocolError",
    "Proxy",
    "ProxyAuth",
    "ProxyError",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "Request",
    "Response",
    "SyncBackend",
    "SyncByteStream",
    "TimeoutException",
    "Transport",
    "TransportError",
    "TrioBackend",
    "TunnelBackend",
    "UnsupportedProtocol",
    "WriteError",
    "WriteTimeout",
    "default_ssl_context",
    "request",
    "stream",
]

_HOMES = {
    "AsyncConnectionPool": "._async.pool",
    "AsyncHTTP11Connection": "._async.http11",
    "AsyncHTTP2Connection": "._async.http2",
    "AsyncHTTPConnection": "._async.connection",
    "AsyncIOBackend": "._backends.asyncio",
    "AsyncMockBackend": "._backends.mock",
    "AsyncMockStream": "._backends.mock",
    "AsyncNetworkBackend": "._backends.base",
    "AsyncNetworkStream": "._backends.base",
    "AsyncTransport": "._async.transport",
    "AsyncTunnelBackend": "._async.tunnel_backend",
    "AutoBackend": "._backends.auto",
    "ConnectionPool": "._sync.pool",
    "DigestProxyAuth": "._protocol.proxy_auth",
    "HTTP11Connection": "._sync.http11",
    "HTTP2Connection": "._sync.http2",
    "HTTPConnection": "._sync.connection",
    "MockBackend": "._backends.mock",
    "MockStream": "._backends.mock",
    "NetworkBackend": "._backends.base",
    "NetworkStream": "._backends.base",
    "Proxy": "._proxy",
    "ProxyAuth": "._protocol.proxy_auth",
    "SyncBackend": "._backends.sync",
    "Transport": "._sync.transport",
    "TrioBackend": "._backends.trio",
    "TunnelBackend": "._sync.tunnel_backend",
    "default_ssl_context": "._tls",
    "request": "._api",
    "stream": "._api",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
