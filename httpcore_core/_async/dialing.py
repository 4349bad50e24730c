"""Making the network stream of a connection: retries, TCP or a unix socket, TLS and its ALPN.

What lies between, where there is a proxy, is in `proxy`. Resolving, connecting, what is said to a
proxy and the TLS handshake share the one `connect` limit. A failed attempt is
repeated `retries` times with a growing pause; nothing of a request has been sent by then.
"""

from __future__ import annotations

from typing import Any

from .._backends.base import AsyncNetworkStream
from .._exceptions import ConnectError, TransportError
from .._models import Origin
from .._protocol.exchange import Exchange
from .._protocol.retry import backoff_delays, may_redial
from .proxy import AsyncProxyDialer, close_stream


class AsyncDialer(AsyncProxyDialer):
    """The part of a connection that opens its stream; its state is the connection's."""

    __slots__ = ("is_http2", "offers_http2")

    offers_http2: bool  # where the options do
    is_http2: bool  # what was chosen, once the stream is open

    async def open_stream(self, exchange: Exchange) -> AsyncNetworkStream:
        """A stream that speaks what `is_http2` says, for `exchange` and within its limits."""
        for delay in backoff_delays(self._options.retries):
            try:
                return await self._connect_once(exchange)
            except TransportError as exc:
                if not may_redial(exc) or exchange.expires_within(delay, self._clock()):
                    raise
            if exchange.trace is None:
                await self._backend.sleep(delay)
            else:
                info = {"seconds": delay}
                await exchange.trace.run("connection.retry", info, self._backend.sleep, delay)
        return await self._connect_once(exchange)

    async def _connect_once(self, exchange: Exchange) -> AsyncNetworkStream:
        exchange.phase = "connect"
        now = self._clock()
        budget = exchange.budget(exchange.timeouts.connect, now)
        deadline = None if budget is None else now + budget
        if self.proxy is None:
            stream = await self._connect_network(exchange, self.origin, budget)
        else:
            stream = await self._connect_through(exchange, self.proxy, deadline)
        if self.origin.scheme == b"https" and not self.forwards:
            stream = await self._start_tls(exchange, stream, self._left(deadline))
            await self._take_alpn(stream)
        else:
            self.is_http2 = not self._options.http1  # RFC 9113, section 3.3: prior knowledge
        return stream

    async def _take_alpn(self, stream: AsyncNetworkStream) -> None:
        """The protocol is the one that was agreed on (RFC 7301), by whosever context."""
        tls = stream.get_extra_info("ssl_object")
        chosen = None if tls is None else tls.selected_alpn_protocol()
        self.is_http2 = chosen == "h2"
        problem = self._options.problem_with(self.is_http2)
        if problem is not None:
            await close_stream(stream)
            raise ConnectError(problem, phase="tls")

    async def _connect_network(
        self, exchange: Exchange, place: Origin, budget: float | None
    ) -> AsyncNetworkStream:
        if self._options.uds is not None:
            return await self._connect_unix(exchange, budget)
        return await self._connect_tcp(exchange, place, budget)

    async def _connect_unix(self, exchange: Exchange, budget: float | None) -> AsyncNetworkStream:
        options = self._options
        assert options.uds is not None
        if exchange.trace is None:
            return await self._backend.connect_unix_socket(
                options.uds, budget, options.socket_options
            )
        return await self._open_traced(
            exchange.trace,
            "connection.connect_unix_socket",
            {"path": options.uds, "timeout": budget, "socket_options": options.socket_options},
            self._backend.connect_unix_socket,
            options.uds,
            budget,
            options.socket_options,
        )

    async def _connect_tcp(
        self, exchange: Exchange, place: Origin, budget: float | None
    ) -> AsyncNetworkStream:
        options = self._options
        host = place.host.decode("ascii")
        arguments = (
            host,
            place.port,
            budget,
            options.local_address,
            options.socket_options,
            options.resolver,
            exchange.trace,
        )
        if exchange.trace is None:
            return await self._backend.open_tcp(*arguments)
        info = {
            "host": host,
            "port": place.port,
            "local_address": options.local_address,
            "timeout": budget,
        }
        return await self._open_traced(
            exchange.trace, "connection.connect_tcp", info, self._backend.open_tcp, *arguments
        )

    async def _open_traced(
        self, trace: Any, name: str, info: dict[str, Any], connect: Any, *arguments: Any
    ) -> AsyncNetworkStream:
        """Connect, and tell the trace; a trace that fails must not cost the stream its closing."""
        opened: list[AsyncNetworkStream] = []

        async def step() -> AsyncNetworkStream:
            opened.append(await connect(*arguments))
            return opened[0]

        try:
            stream: AsyncNetworkStream = await trace.run(name, info, step)
        except BaseException:
            for stream in opened:
                await close_stream(stream)
            raise
        return stream

    async def _start_tls(
        self, exchange: Exchange, stream: AsyncNetworkStream, budget: float | None
    ) -> AsyncNetworkStream:
        from .._tls import default_ssl_context

        exchange.phase = "tls"
        context = self._options.ssl_context
        name = exchange.sni_hostname or self.origin.host.decode("ascii")
        try:
            if context is None:
                alpn = self._options.alpn if self.offers_http2 else ("http/1.1",)
                context = default_ssl_context(alpn)
            if exchange.trace is None:
                return await stream.start_tls(context, name, budget)
            info = {"ssl_context": context, "server_hostname": name, "timeout": budget}
            return await exchange.trace.run(  # type: ignore[no-any-return]  # the trace is untyped
                "connection.start_tls", info, stream.start_tls, context, name, budget
            )
        except BaseException:
            await close_stream(stream)
            raise
