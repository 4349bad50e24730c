"""The network backend for trio.

Rules of this file: connecting only, the stream is in `trio_stream`. Cancel scopes and nurseries are
opened and closed within one function; no exception group gets out of here.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence

import trio

from .._exceptions import ConnectError
from .async_sockets import AsyncSocketBackend, Attempt, Connected, Lookup, T
from .base import AsyncNetworkStream, SocketOption, TimerHandle
from .sockets import (
    ATTEMPT_DELAY,
    IN_PROGRESS,
    Address,
    attempts_failed,
    close_socket,
    connect_result,
    error_of_number,
)
from .trio_stream import TrioStream, sole_error
from .trio_timers import call_at


class TrioBackend(AsyncSocketBackend):
    """trio."""

    async def _within(
        self,
        timeout: float | None,
        work: Callable[[], Awaitable[T]],
        timed_out: Callable[[], Exception],
    ) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        if timeout is None:
            return await work()
        with trio.CancelScope(deadline=trio.current_time() + timeout):
            return await work()
        raise timed_out()

    async def _look_up(self, start: Callable[[Callable[[Lookup], None]], None]) -> Lookup:
        token = trio.lowlevel.current_trio_token()
        is_found = trio.Event()
        found: list[Lookup] = []

        def done(result: Lookup) -> None:
            found.append(result)
            try:
                token.run_sync_soon(is_found.set)
            except trio.RunFinishedError:
                pass  # nobody waits any more

        start(done)
        await is_found.wait()
        return found[0]

    async def _connect(self, sock: socket.socket, address: Address) -> None:
        number = sock.connect_ex(address.sockaddr)
        if number in IN_PROGRESS:
            await trio.lowlevel.wait_writable(sock)
        elif number:
            raise error_of_number(number, address)
        error = connect_result(sock, address)
        if error is not None:
            raise error

    async def _first(self, attempts: Sequence[Attempt], errors: list[ConnectError]) -> Connected:
        if len(attempts) == 1:
            return await attempts[0]()
        race = _Race(errors)
        try:
            await race.run(attempts)
        except BaseException as exc:
            race.close_losers(None)
            if isinstance(exc, BaseExceptionGroup):
                raise sole_error(exc) from None
            raise
        race.close_losers(race.winner)
        if race.crash is not None:
            raise race.crash
        if race.winner is None:
            raise attempts_failed(errors)
        return race.winner

    async def _stream(
        self, sock: socket.socket, peer: object, options: Sequence[SocketOption]
    ) -> AsyncNetworkStream:
        return TrioStream(sock, peer)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def now(self) -> float:
        return trio.current_time()

    def bound_now(self) -> Callable[[], float]:
        return trio.current_time

    def context(self) -> object:
        return trio.lowlevel.current_trio_token()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        return call_at(trio.current_time() + seconds, callback)


class _Race:
    """Happy Eyeballs in a nursery (RFC 8305, section 5): another attempt starts when one has failed
    and when the last one has had 250 ms."""

    def __init__(self, errors: list[ConnectError]) -> None:
        self.crash: Exception | None = None  # an error of the caller's `trace` function
        self._errors = errors
        self._connected: list[Connected] = []
        self._failed = trio.Event()

    @property
    def winner(self) -> Connected | None:
        return self._connected[0] if self._connected and self.crash is None else None

    async def run(self, attempts: Sequence[Attempt]) -> None:
        async with trio.open_nursery() as nursery:
            for attempt in attempts:
                self._failed = trio.Event()
                nursery.start_soon(self._run_attempt, attempt, nursery.cancel_scope)
                with trio.move_on_after(ATTEMPT_DELAY):
                    await self._failed.wait()

    async def _run_attempt(self, attempt: Attempt, scope: trio.CancelScope) -> None:
        try:
            self._connected.append(await attempt())
        except ConnectError as exc:
            self._errors.append(exc)
            self._failed.set()
            return
        except Exception as exc:
            self.crash = exc
        scope.cancel()

    def close_losers(self, winner: Connected | None) -> None:
        for connected in self._connected:
            if connected is not winner:
                close_socket(connected[0])
