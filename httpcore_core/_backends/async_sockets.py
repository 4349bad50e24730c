"""How the async backends connect: the order of the steps, which asyncio and trio share.

Rules of this file: no runtime is imported. What waits is a method that the runtime's own backend
defines; what can be decided or done without waiting is here or in `sockets`.
"""

from __future__ import annotations

import inspect
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from .._exceptions import ConnectError, ConnectTimeout
from .._trace import AsyncTracer
from .base import AsyncNetworkBackend, AsyncNetworkStream, AsyncResolver, SocketOption
from .sockets import (
    UNIX_RETRY_DELAY,
    Address,
    close_socket,
    connect_timed_out,
    getaddrinfo_in_thread,
    literal_addresses,
    make_socket,
    map_connect_error,
    resolve_error,
    resolver_addresses,
    unix_address,
    usable_addresses,
)

T = TypeVar("T")

Connected: TypeAlias = tuple[socket.socket, Address]

Attempt: TypeAlias = Callable[[], Awaitable[Connected]]
"""Connects to one address; raises `ConnectError`, and owns its socket until it returns it."""

Lookup: TypeAlias = list[Address] | BaseException


class AsyncSocketBackend(AsyncNetworkBackend):
    """The part of `AsyncIOBackend` and `TrioBackend` that is the same."""

    # What the two define

    async def _within(
        self,
        timeout: float | None,
        work: Callable[[], Awaitable[T]],
        timed_out: Callable[[], Exception],
    ) -> T:
        """Await ``work()``; raise ``timed_out()`` if it takes longer than `timeout` seconds."""
        raise NotImplementedError

    async def _look_up(self, start: Callable[[Callable[[Lookup], None]], None]) -> Lookup:
        """Call ``start(done)`` and return what `done` is called with, in whichever thread."""
        raise NotImplementedError

    async def _connect(self, sock: socket.socket, address: Address) -> None:
        """Connect a non-blocking TCP socket. Raises `OSError` or `ConnectError`."""
        raise NotImplementedError

    async def _first(self, attempts: Sequence[Attempt], errors: list[ConnectError]) -> Connected:
        """Make the attempts one beside the other (RFC 8305, section 5) and return the first socket
        that connects, the others closed. Errors are appended to `errors` as they come."""
        raise NotImplementedError

    async def _stream(
        self, sock: socket.socket, peer: object, options: Sequence[SocketOption]
    ) -> AsyncNetworkStream:
        """Make a stream of a connected socket, which is closed if that fails."""
        raise NotImplementedError

    # The steps

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        return await self.open_tcp(host, port, timeout, local_address, socket_options)

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
        """Connect by Happy Eyeballs (RFC 8305). An IP address is not resolved, by nobody: no
        `resolver` is asked and no ``connection.resolve`` event comes."""
        deadline = None if timeout is None else self.now() + timeout
        options = tuple(socket_options or ())
        errors: list[ConnectError] = []

        def attempt_at(address: Address) -> Attempt:
            async def attempt() -> Connected:
                if trace is None:
                    return await self._attempt(address, local_address, options)
                left = None if deadline is None else max(deadline - self.now(), 0.0)
                return await self._traced_attempt(address, local_address, options, trace, left)

            return attempt

        async def connect() -> AsyncNetworkStream:
            addresses = await self._addresses(host, port, resolver, trace)
            addresses = usable_addresses(addresses, local_address)
            sock, address = await self._first([attempt_at(one) for one in addresses], errors)
            return await self._stream(sock, address, options)

        def timed_out() -> ConnectTimeout:
            return connect_timed_out(f"{host} port {port}", timeout, errors)

        return await self._within(timeout, connect, timed_out)

    async def resolve(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        resolver: AsyncResolver | None = None,
        trace: AsyncTracer | None = None,
    ) -> Sequence[str]:
        async def look_up() -> list[Address]:
            return await self._addresses(host, port, resolver, trace)

        def timed_out() -> ConnectTimeout:
            return connect_timed_out(f"{host} (resolving)", timeout)

        return [address.host for address in await self._within(timeout, look_up, timed_out)]

    async def _addresses(
        self,
        host: str,
        port: int,
        resolver: AsyncResolver | None,
        trace: AsyncTracer | None,
    ) -> list[Address]:
        addresses = literal_addresses(host, port)
        if addresses is not None:
            return addresses
        if trace is None:
            return await self._resolve(host, port, resolver)
        info = {"host": host, "port": port}
        return await trace.run("connection.resolve", info, self._resolve, host, port, resolver)

    async def _resolve(self, host: str, port: int, resolver: AsyncResolver | None) -> list[Address]:
        if resolver is None:
            found = await self._look_up(lambda done: getaddrinfo_in_thread(host, port, done))
            if isinstance(found, BaseException):
                try:
                    raise found
                finally:
                    del found  # the error's traceback has this frame: no cycle
            return found
        try:
            answer = resolver(host, port)
            hosts = await answer if inspect.isawaitable(answer) else answer
        except (OSError, UnicodeError) as exc:
            raise resolve_error(exc, host) from exc
        return resolver_addresses(hosts, host, port)

    async def _attempt(
        self, address: Address, local_address: str | None, options: Sequence[SocketOption]
    ) -> Connected:
        sock = make_socket(address.family, local_address, options, target=address)
        try:
            await self._connect(sock, address)
        except BaseException as exc:
            close_socket(sock)
            if isinstance(exc, OSError):
                raise map_connect_error(exc, address) from exc
            raise
        return sock, address

    async def _traced_attempt(
        self,
        address: Address,
        local_address: str | None,
        options: Sequence[SocketOption],
        trace: AsyncTracer,
        left: float | None,
    ) -> Connected:
        made: list[Connected] = []

        async def step() -> str:
            made.append(await self._attempt(address, local_address, options))
            return str(address)

        try:
            info = {"address": address.host, "port": address.port, "timeout": left}
            await trace.run("connection.connect_attempt", info, step)
            return made[0]
        except BaseException:
            for sock, _ in made:  # connected, but the caller's function failed or was cancelled
                close_socket(sock)
            raise

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        name = unix_address(path)
        options = tuple(socket_options or ())

        async def connect() -> AsyncNetworkStream:
            sock = make_socket(socket.AF_UNIX, None, options, target=repr(name))
            try:
                while True:
                    try:
                        sock.connect(name)
                        break
                    except BlockingIOError:  # the backlog is full
                        await self.sleep(UNIX_RETRY_DELAY)
            except BaseException as exc:
                close_socket(sock)
                if isinstance(exc, (OSError, ValueError)):
                    raise map_connect_error(exc, repr(name)) from exc
                raise
            return await self._stream(sock, repr(name), options)

        return await self._within(timeout, connect, lambda: connect_timed_out(repr(name), timeout))
