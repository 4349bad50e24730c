"""A thin HTTP client on top of httpcore_core, in HTTPX's shape.

Rules of this file: the public names, sorted, each imported when it is first used, so that a sync
user pays for nothing async. What the type checker reads below says where a name lives.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from httpcore_core import (
        AsyncByteStream,
        ByteStream,
        ConnectError,
        ConnectTimeout,
        HTTPError,
        LocalProtocolError,
        NetworkError,
        PoolClosed,
        PoolTimeout,
        ProtocolError,
        Proxy,
        ProxyError,
        ReadError,
        ReadTimeout,
        RemoteProtocolError,
        SyncByteStream,
        TimeoutException,
        TransportError,
        UnsupportedProtocol,
        WriteError,
        WriteTimeout,
    )
    from httpcore_core import TransportError as RequestError

    from ._api import delete, get, head, options, patch, post, put, request, stream
    from ._async.client import AsyncClient
    from ._auth import Auth, BasicAuth, DigestAuth, FunctionAuth, NetRCAuth
    from ._config import USE_CLIENT_DEFAULT, Limits, Timeout
    from ._cookies import Cookies
    from ._exceptions import (
        CloseError,
        CookieConflict,
        DecodingError,
        HTTPStatusError,
        InvalidURL,
        RequestNotRead,
        ResponseNotRead,
        StreamClosed,
        StreamConsumed,
        StreamError,
        TooManyRedirects,
    )
    from ._headers import Headers
    from ._mounts import URLPattern
    from ._params import QueryParams
    from ._request import Request
    from ._response import Response
    from ._status_codes import codes
    from ._sync.client import Client
    from ._tls import create_ssl_context
    from ._urls import URL
    from .transports._async.cache import AsyncCacheTransport
    from .transports._async.ftp import AsyncFTPTransport
    from .transports._async.rate_limit import AsyncRateLimitTransport
    from .transports._async.record import AsyncPlaybackTransport, AsyncRecordTransport
    from .transports._async.retry import AsyncRetryTransport
    from .transports._cache_storage import CacheStorage, MemoryStorage, SQLiteStorage
    from .transports._sync.cache import CacheTransport
    from .transports._sync.ftp import FTPTransport
    from .transports._sync.rate_limit import RateLimitTransport
    from .transports._sync.record import PlaybackTransport, RecordTransport
    from .transports._sync.retry import RetryTransport
    from .transports.asgi import ASGITransport
    from .transports.base import AsyncBaseTransport, BaseTransport
    from .transports.file import FileTransport
    from .transports.http import AsyncHTTPTransport, HTTPTransport
    from .transports.mock import MockTransport
    from .transports.record import RecordingError, UnexpectedRequest
    from .transports.urllib3 import URLLib3Transport
    from .transports.wsgi import WSGITransport

__all__ = [
    "URL",
    "USE_CLIENT_DEFAULT",
    "ASGITransport",
    "AsyncBaseTransport",
    "AsyncByteStream",
    "AsyncCacheTransport",
    "AsyncClient",
    "AsyncFTPTransport",
    "AsyncHTTPTransport",
    "AsyncPlaybackTransport",
    "AsyncRateLimitTransport",
    "AsyncRecordTransport",
    "AsyncRetryTransport",
    "Auth",
    "BaseTransport",
    "BasicAuth",
    "ByteStream",
    "CacheStorage",
    "CacheTransport",
    "Client",
    "CloseError",
    "ConnectError",
    "ConnectTimeout",
    "CookieConflict",
    "Cookies",
    "DecodingError",
    "DigestAuth",
    "FTPTransport",
    "FileTransport",
    "FunctionAuth",
    "HTTPError",
    "HTTPStatusError",
    "HTTPTransport",
    "Headers",
    "InvalidURL",
    "Limits",
    "LocalProtocolError",
    "MemoryStorage",
    "MockTransport",
    "NetRCAuth",
    "NetworkError",
    "PlaybackTransport",
    "PoolClosed",
    "PoolTimeout",
    "ProtocolError",
    "Proxy",
    "ProxyError",
    "QueryParams",
    "RateLimitTransport",
    "ReadError",
    "ReadTimeout",
    "RecordTransport",
    "RecordingError",
    "RemoteProtocolError",
    "Request",
    "RequestError",
    "RequestNotRead",
    "Response",
    "ResponseNotRead",
    "RetryTransport",
    "SQLiteStorage",
    "StreamClosed",
    "StreamConsumed",
    "StreamError",
    "SyncByteStream",
    "Timeout",
    "TimeoutException",
    "TooManyRedirects",
    "TransportError",
    "URLLib3Transport",
    "URLPattern",
    "UnexpectedRequest",
    "UnsupportedProtocol",
    "WSGITransport",
    "WriteError",
    "WriteTimeout",
    "codes",
    "create_ssl_context",
    "delete",
    "get",
    "head",
    "options",
    "patch",
    "post",
    "put",
    "request",
    "stream",
]

_HOMES = {
    "._api": ("delete", "get", "head", "options", "patch", "post", "put", "request", "stream"),
    "._async.client": ("AsyncClient",),
    "._auth": ("Auth", "BasicAuth", "DigestAuth", "FunctionAuth", "NetRCAuth"),
    "._config": ("USE_CLIENT_DEFAULT", "Limits", "Timeout"),
    "._cookies": ("Cookies",),
    "._exceptions": (
        "CloseError",
        "CookieConflict",
        "DecodingError",
        "HTTPStatusError",
        "InvalidURL",
        "RequestNotRead",
        "ResponseNotRead",
        "StreamClosed",
        "StreamConsumed",
        "StreamError",
        "TooManyRedirects",
    ),
    "._headers": ("Headers",),
    "._mounts": ("URLPattern",),
    "._params": ("QueryParams",),
    "._request": ("Request",),
    "._response": ("Response",),
    "._status_codes": ("codes",),
    "._sync.client": ("Client",),
    "._tls": ("create_ssl_context",),
    "._urls": ("URL",),
    ".transports._async.cache": ("AsyncCacheTransport",),
    ".transports._async.ftp": ("AsyncFTPTransport",),
    ".transports._async.rate_limit": ("AsyncRateLimitTransport",),
    ".transports._async.record": ("AsyncPlaybackTransport", "AsyncRecordTransport"),
    ".transports._async.retry": ("AsyncRetryTransport",),
    ".transports._cache_storage": ("CacheStorage", "MemoryStorage", "SQLiteStorage"),
    ".transports._sync.cache": ("CacheTransport",),
    ".transports._sync.ftp": ("FTPTransport",),
    ".transports._sync.rate_limit": ("RateLimitTransport",),
    ".transports._sync.record": ("PlaybackTransport", "RecordTransport"),
    ".transports._sync.retry": ("RetryTransport",),
    ".transports.asgi": ("ASGITransport",),
    ".transports.base": ("AsyncBaseTransport", "BaseTransport"),
    ".transports.file": ("FileTransport",),
    ".transports.http": ("AsyncHTTPTransport", "HTTPTransport"),
    ".transports.mock": ("MockTransport",),
    ".transports.record": ("RecordingError", "UnexpectedRequest"),
    ".transports.urllib3": ("URLLib3Transport",),
    ".transports.wsgi": ("WSGITransport",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_ALIASES = {"RequestError": "TransportError"}  # HTTPX's name for what goes wrong in a request


if not TYPE_CHECKING:  # to the type checker a name that is not listed above is an error

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(_HOME_OF.get(name, "httpcore_core"), __name__)
        value = globals()[name] = getattr(module, _ALIASES.get(name, name))
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
