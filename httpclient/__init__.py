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

    from ._api import (
        delete,
        get,
        head,
        options,
        patch,
        post,
        put,
        request,
        stream,
    )
    from ._async.client import AsyncClient
    from ._auth import Auth, BasicAuth, DigestAuth, FunctionAuth, NetRCAuth
    from ._config import Limits, Timeout
    from ._cookies import Cookies
    from ._exceptions import (
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
    from ._params import QueryParams
    from ._request import Request
    from ._response import Response
    from ._sync.client import Client
    from ._urls import URL
    from .transports.base import AsyncBaseTransport, BaseTransport
    from .transports.http import AsyncHTTPTransport, HTTPTransport

__all__ = [
    "URL",
    "AsyncBaseTransport",
    "AsyncByteStream",
    "AsyncClient",
    "AsyncHTTPTransport",
    "Auth",
    "BaseTransport",
    "BasicAuth",
    "ByteStream",
    "Client",
    "ConnectError",
    "ConnectTimeout",
    "CookieConflict",
    "Cookies",
    "DecodingError",
    "DigestAuth",
    "FunctionAuth",
    "HTTPStatusError",
    "HTTPTransport",
    "Headers",
    "InvalidURL",
    "Limits",
    "LocalProtocolError",
    "NetRCAuth",
    "NetworkError",
    "PoolClosed",
    "PoolTimeout",
    "ProtocolError",
    "Proxy",
    "ProxyError",
    "QueryParams",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "Request",
    "RequestError",
    "RequestNotRead",
    "Response",
    "ResponseNotRead",
    "StreamClosed",
    "StreamConsumed",
    "StreamError",
    "SyncByteStream",
    "Timeout",
    "TimeoutException",
    "TooManyRedirects",
    "TransportError",
    "UnsupportedProtocol",
    "WriteError",
    "WriteTimeout",
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
    "._config": ("Limits", "Timeout"),
    "._cookies": ("Cookies",),
    "._exceptions": (
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
    "._params": ("QueryParams",),
    "._request": ("Request",),
    "._response": ("Response",),
    "._sync.client": ("Client",),
    "._urls": ("URL",),
    ".transports.base": ("AsyncBaseTransport", "BaseTransport"),
    ".transports.http": ("AsyncHTTPTransport", "HTTPTransport"),
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
