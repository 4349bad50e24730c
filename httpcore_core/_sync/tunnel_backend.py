"""A network whose connections all go through a proxy: what lies behind it is dialled through it.

Whatever takes a `network_backend` can be put behind a proxy so, a pool that has a proxy of its own
included: that is then reached through the first one, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .._backends.sync import SyncBackend
from .._backends.base import (
    NetworkBackend,
    NetworkStream,
    SocketOption,
    TimerHandle,
)
from .._exceptions import ConnectError
from .._models import ByteStream
from .._options import ConnectionOptions
from .._protocol.origin import authority, canonical_origin
from .connection import HTTPConnection
from .proxy import load_proxy
from .transport import make_exchange

if TYPE_CHECKING:
    from .._proxy import ProxyTypes


class TunnelBackend(NetworkBackend):
    """Connects through tunnels of `proxy`, a URL or a `Proxy`, which is itself reached through
    `network_backend`. Two proxies in a row::

        first = TunnelBackend("http://first.example:3128")
        pool = ConnectionPool(proxy="http://second.example:3128", network_backend=first)

    Names are resolved by `proxy`, unless it is ``socks5://``, or a resolver is given to the pool.
    `local_address` and socket options are for the connection to `proxy`. What fails in its name is
    raised as `ProxyError`.
    """

    def __init__(
        self, proxy: ProxyTypes, *, network_backend: NetworkBackend | None = None
    ) -> None:
        self._proxy = load_proxy(proxy)
        if self._proxy is None:
            raise TypeError("a tunnel needs a proxy")
        self._backend = network_backend or SyncBackend()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self._proxy}]>"

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        assert self._proxy is not None
        origin = canonical_origin(b"http", host.encode("ascii", "replace"), port)
        target = authority(origin)
        url = (b"http", origin.host, origin.port, target)
        limits: dict[str, Any] = {"timeout": {"connect": timeout}}
        exchange = make_exchange(b"CONNECT", url, [(b"Host", target)], ByteStream(), limits)
        exchange.send_through(self._proxy, True)
        options = ConnectionOptions(local_address=local_address, socket_options=socket_options)
        arguments = (origin, options, self._backend, self._backend.now, self._proxy)
        return HTTPConnection.made_by_pool(*arguments).open_stream(exchange)

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        raise ConnectError("no proxy can connect to a unix domain socket", phase="connect")

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)

    def now(self) -> float:
        return self._backend.now()

    def bound_now(self) -> Callable[[], float]:
        return self._backend.bound_now()

    def context(self) -> object:
        return self._backend.context()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle | None:
        return self._backend.call_later(seconds, callback)
