"""The network backend for asyncio: its event loops connect, its transports read and write.

Rules of this file: connecting only, the stream is in `asyncio_stream`. Sockets are made by us, so
that their options and local address are set before they connect, and given to the loop to connect
and then to make a transport of.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from .._exceptions import ConnectError
from .async_sockets import AsyncSocketBackend, Attempt, Connected, Lookup, T
from .asyncio_stream import AsyncIOStream
from .base import AsyncNetworkStream, SocketOption, TimerHandle
from .sockets import (
    ATTEMPT_DELAY,
    Address,
    attempts_failed,
    close_socket,
    connect_result,
    map_connect_error,
)


class AsyncIOBackend(AsyncSocketBackend):
    """asyncio, with its own event loops, uvloop's, or any other that has transports."""

    async def _within(
        self,
        timeout: float | None,
        work: Callable[[], Awaitable[T]],
        timed_out: Callable[[], Exception],
    ) -> T:
        try:
            async with asyncio.timeout(timeout) as limit:
                return await work()
        except TimeoutError as exc:
            if limit.expired():
                raise timed_out() from exc
            raise

    async def _look_up(self, start: Callable[[Callable[[Lookup], None]], None]) -> Lookup:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Lookup] = loop.create_future()

        def settle(result: Lookup) -> None:
            if not found.done():
                found.set_result(result)

        def done(result: Lookup) -> None:
            try:
                loop.call_soon_threadsafe(settle, result)
            except RuntimeError:
                pass  # the loop has been closed meanwhile: nobody waits any more

        start(done)
        return await found

    async def _connect(self, sock: socket.socket, address: Address) -> None:
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
        error = connect_result(sock, address)
        if error is not None:
            raise error

    async def _first(self, attempts: Sequence[Attempt], errors: list[ConnectError]) -> Connected:
        if len(attempts) == 1:
            return await attempts[0]()
        waiting = list(reversed(attempts))
        running: set[asyncio.Future[Connected]] = set()
        ended: set[asyncio.Future[Connected]] = set()
        winner: asyncio.Future[Connected] | None = None
        try:
            while waiting or running:
                if waiting:
                    running.add(asyncio.ensure_future(waiting.pop()()))
                done, running = await asyncio.wait(
                    running,
                    timeout=ATTEMPT_DELAY if waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                ended |= done
                for task in done:
                    try:
                        connected = task.result()
                    except ConnectError as exc:
                        errors.append(exc)
                    else:
                        winner = task
                        return connected
            raise attempts_failed(errors)
        finally:
            await _end_attempts((running | ended) - {winner})

    async def _stream(
        self, sock: socket.socket, peer: object, options: Sequence[SocketOption]
    ) -> AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        stream = AsyncIOStream(sock, peer)
        try:
            if sock.family == getattr(socket, "AF_UNIX", None):
                await loop.create_unix_connection(lambda: stream, sock=sock)
            else:
                await loop.create_connection(lambda: stream, sock=sock)
                # Transports switch TCP_NODELAY on. The last word is the caller's.
                for option in options:
                    if option[:2] == (socket.IPPROTO_TCP, socket.TCP_NODELAY):
                        sock.setsockopt(*option)
        except BaseException as exc:
            stream.abort()
            close_socket(sock)
            if isinstance(exc, OSError):
                raise map_connect_error(exc, peer) from exc
            raise
        return stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def bound_now(self) -> Callable[[], float]:
        return asyncio.get_running_loop().time

    def context(self) -> object:
        return asyncio.get_running_loop()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, callback)


async def _end_attempts(tasks: set[asyncio.Future[Connected]]) -> None:
    """Cancel the attempts that are not wanted any more, and wait until their sockets are closed."""
    for task in tasks:
        task.cancel()
        task.add_done_callback(_close_socket)
    if tasks:
        await asyncio.wait(tasks)


def _close_socket(task: asyncio.Future[Connected]) -> None:
    """Close the socket of an attempt that has won too late."""
    if not task.cancelled() and task.exception() is None:
        close_socket(task.result()[0])
