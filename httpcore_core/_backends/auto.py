"""The network backend that finds out which async library is running.

The library is asked for once. What may change afterwards is the event loop, and the same pool may
even be used from asyncio and then from trio; `context`, which drivers call for every request, is
where that is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import sniffio

from .._trace import AsyncTracer
from .base import (
    AsyncNetworkBackend,
    AsyncNetworkStream,
    AsyncResolver,
    SocketOption,
    TimerHandle,
)


class AutoBackend(AsyncNetworkBackend):
    """`AsyncIOBackend` in asyncio, `TrioBackend` in trio."""

    def __init__(self) -> None:
        self._delegate: AsyncNetworkBackend | None = None
        self._running: str | None = None  # what trio puts into sniffio's variable, None in asyncio

    def _detect(self) -> AsyncNetworkBackend:
        name = sniffio.current_async_library()
        if name == "trio":
            from .trio import TrioBackend

            self._delegate = TrioBackend()
        elif name == "asyncio":
            from .asyncio import AsyncIOBackend

            self._delegate = AsyncIOBackend()
        else:
            raise RuntimeError(f"there is no network backend for {name}")
        self._running = sniffio.thread_local.name
        return self._delegate

    def _backend(self) -> AsyncNetworkBackend:
        delegate = self._delegate
        # In trio's guest mode both libraries are running in one thread.
        if delegate is None or sniffio.thread_local.name != self._running:
            return self._detect()
        return delegate

    def context(self) -> object:
        delegate = self._delegate  # `_backend`, without the call
        if delegate is None or sniffio.thread_local.name != self._running:
            delegate = self._detect()
        try:
            return delegate.context()
        except RuntimeError:  # the delegate's library is not running
            return self._detect().context()

    def now(self) -> float:
        return self._backend().now()

    def bound_now(self) -> Callable[[], float]:
        return self._backend().bound_now()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle | None:
        return self._backend().call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        await self._backend().sleep(seconds)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        return await self._backend().connect_tcp(host, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        return await self._backend().connect_unix_socket(path, timeout, socket_options)

    async def open_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
        resolver: AsyncResolver | None = None,
        trace: AsyncTracer | None = None,
    ) -> AsyncNetworkStream:
        return await self._backend().open_tcp(
            host, port, timeout, local_address, socket_options, resolver, trace
        )

    async def resolve(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        resolver: AsyncResolver | None = None,
        trace: AsyncTracer | None = None,
    ) -> Sequence[str]:
        return await self._backend().resolve(host, port, timeout, resolver, trace)
