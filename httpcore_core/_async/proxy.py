"""The way to an origin through a proxy: connect to it, let it in on TLS, have it open a tunnel.

What is said to the proxy is decided by a `Tunnel` or a `SOCKS5Tunnel`; this file moves its bytes.
All of it, the origin's own TLS handshake included, has the one `connect` limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._backends.base import AsyncNetworkBackend, AsyncNetworkStream
from .._concurrency import call_back_async, shielded_async
from .._exceptions import ConnectError, ConnectTimeout, ProxyError, TransportError
from .._models import Headers, Origin, Response
from .._options import ConnectionOptions
from .._protocol.engine import choose_engine
from .._protocol.exchange import Exchange
from .streams import AsyncPrefixedStream

if TYPE_CHECKING:
    from .._protocol.socks5 import SOCKS5Tunnel
    from .._protocol.tunnel import Tunnel
    from .._proxy import Proxy, ProxyTypes

READ_SIZE = 16 * 1024


class AsyncProxyDialer:
    """The part of a connection that goes through a proxy; its state is the connection's."""

    __slots__ = ("_backend", "_clock", "_options", "forwards", "origin", "proxy")

    origin: Origin
    proxy: Proxy | None
    forwards: bool  # the connection ends at the proxy, and there is no tunnel
    _options: ConnectionOptions
    _backend: AsyncNetworkBackend
    _clock: Callable[[], float]

    async def _connect_network(
        self, exchange: Exchange, place: Origin, budget: float | None
    ) -> AsyncNetworkStream:
        """Connect to an origin's, or a proxy's, host and port."""
        raise NotImplementedError

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(deadline - self._clock(), 0.0)

    async def _connect_through(
        self, exchange: Exchange, proxy: Proxy, deadline: float | None
    ) -> AsyncNetworkStream:
        """A stream that ends at the origin; where the proxy forwards, at the proxy."""
        if self.forwards:
            return await self._connect_to_proxy(exchange, proxy, deadline)
        if proxy.is_socks:
            return await self._connect_through_socks(exchange, proxy, deadline)
        from .._protocol.tunnel import Tunnel

        options = self._options
        fields = await fields_for(proxy, exchange.origin)
        if self._left(deadline) == 0.0:
            raise ConnectTimeout(f"the headers for the proxy {proxy} came too late")
        parser = choose_engine(options.http1_engine)[1]
        limits = (options.max_header_bytes, options.max_header_count)
        tunnel = Tunnel(proxy, exchange.origin, fields, parser, *limits)
        return await self._open(exchange, proxy, tunnel, deadline)

    async def _connect_through_socks(
        self, exchange: Exchange, proxy: Proxy, deadline: float | None
    ) -> AsyncNetworkStream:
        from .._protocol.socks5 import SOCKS5Tunnel, may_try_another

        host, port = exchange.origin.host.decode("ascii"), exchange.origin.port
        addresses = [host]
        if not proxy.resolves_names:
            resolver, trace = self._options.resolver, exchange.trace
            left = self._left(deadline)
            addresses = list(await self._backend.resolve(host, port, left, resolver, trace))
        error = ProxyError(f"{host!r} has no address for the proxy {proxy} to connect to")
        for address in addresses:
            try:
                tunnel = SOCKS5Tunnel(proxy, address, port)
                return await self._open(exchange, proxy, tunnel, deadline)
            except ProxyError as exc:
                error = exc
                if not may_try_another(exc):
                    break
        try:
            raise error
        finally:
            del error  # its traceback has this frame: no cycle

    async def _connect_to_proxy(
        self, exchange: Exchange, proxy: Proxy, deadline: float | None
    ) -> AsyncNetworkStream:
        try:
            exchange.phase = "connect"
            left = self._left(deadline)
            stream = await self._connect_network(exchange, proxy.origin, left)
            if proxy.origin.scheme == b"https":
                exchange.phase = "tls"
                stream = await self._start_proxy_tls(exchange, proxy, stream, deadline)
        except (ConnectError, ConnectTimeout) as exc:
            exc.message = f"the proxy {proxy}: {exc.message}"
            raise
        return stream

    async def _start_proxy_tls(
        self,
        exchange: Exchange,
        proxy: Proxy,
        stream: AsyncNetworkStream,
        deadline: float | None,
    ) -> AsyncNetworkStream:
        """The proxy is known by its own name and by its own context; neither is the origin's."""
        from .._tls import default_ssl_context

        try:
            context = proxy.ssl_context or default_ssl_context(("http/1.1",))
            name, left = proxy.origin.host.decode("ascii"), self._left(deadline)
            if exchange.trace is None:
                stream = await stream.start_tls(context, name, left)
            else:
                info = {"ssl_context": context, "server_hostname": name, "timeout": left}
                stream = await exchange.trace.run(
                    "connection.start_tls", info, stream.start_tls, context, name, left
                )
            tls = stream.get_extra_info("ssl_object")
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                raise ConnectError("HTTP/2 was agreed on, by an ssl_context that offers it")
        except BaseException:
            await close_stream(stream)
            raise
        return stream

    async def _open(
        self,
        exchange: Exchange,
        proxy: Proxy,
        tunnel: Tunnel | SOCKS5Tunnel,
        deadline: float | None,
    ) -> AsyncNetworkStream:
        """Have the proxy open a tunnel, on another connection if it closes the first over a
        challenge."""
        while True:
            stream = await self._connect_to_proxy(exchange, proxy, deadline)
            exchange.phase = "proxy"
            try:
                if exchange.trace is None:
                    await self._negotiate(stream, tunnel, deadline)
                else:
                    info = {
                        "proxy": str(proxy),
                        "target": tunnel.target,
                        "timeout": self._left(deadline),
                    }
                    await exchange.trace.run(
                        tunnel.event, info, self._negotiate, stream, tunnel, deadline
                    )
            except BaseException:
                await close_stream(stream)
                raise
            if tunnel.is_open:
                if tunnel.leftover:
                    return AsyncPrefixedStream(stream, tunnel.leftover)
                return stream
            await close_stream(stream)

    async def _negotiate(
        self, stream: AsyncNetworkStream, tunnel: Tunnel | SOCKS5Tunnel, deadline: float | None
    ) -> object:
        """Move bytes until the tunnel is open, or needs another connection; returns the answer."""
        data = tunnel.begin()
        while True:
            try:
                if data:
                    await stream.write(data, self._left(deadline))
                received = await stream.read(READ_SIZE, self._left(deadline))
            except TransportError as exc:
                raise tunnel.failed(exc) from exc
            data = tunnel.receive(received)
            if tunnel.is_open or tunnel.needs_connection:
                return tunnel.answer


async def close_stream(stream: AsyncNetworkStream) -> None:
    """Close what is not wanted any more, even where the caller is cancelled."""
    if not stream.abort():
        await shielded_async(stream.aclose)


def load_proxy(value: ProxyTypes | None) -> Proxy | None:
    """The option `proxy`. Raises `ValueError` and `TypeError`."""
    if value is None:
        return None
    from .._proxy import as_proxy  # late: few have one

    return as_proxy(value)


async def fields_for(proxy: Proxy, origin: Origin) -> Headers:
    """The proxy's headers for a request to `origin`; a callable is asked for them anew. How long it
    takes is its own affair, as with a body's iterator, though the time counts."""
    headers: Any = proxy.headers
    if not callable(headers):
        return list(headers)  # checked when the proxy was made
    from .._proxy import proxy_fields

    return proxy_fields(await call_back_async(headers, origin))


async def address_to_proxy(exchange: Exchange) -> None:
    """Make the request one that the proxy is sent, before a connection is taken for it."""
    assert exchange.proxy is not None
    exchange.forward(await fields_for(exchange.proxy, exchange.origin))


async def answer_challenge(exchange: Exchange, response: Response) -> bool:
    """Whether the request is to be sent again because its proxy challenged it; the response is
    closed then, its short body read, so that its connection can be used."""
    if not exchange.answer_challenge(response.status, response.headers):
        return False
    await response.stream.aclose()
    response.stream.let_go()
    return True
