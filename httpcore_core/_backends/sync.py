"""The network for blocking code: how connections are made.

Rules of this file: one deadline over everything; attempts are made by this thread alone, and only
names are looked up in another one, which is left behind when time is up. The connected stream is
in `sync_stream`.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .._exceptions import ConnectError, ConnectTimeout
from .._trace import Tracer
from . import polling, sockets
from .base import NetworkBackend, NetworkStream, Resolver, SocketOption
from .polling import POLLOUT
from .sockets import Address
from .sync_stream import SocketStream

NEVER = float("inf")


class SyncBackend(NetworkBackend):
    """Blocking TCP and unix domain sockets."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        return self.open_tcp(host, port, timeout, local_address, socket_options)

    def open_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
        resolver: Resolver | None = None,
        trace: Tracer | None = None,
    ) -> NetworkStream:
        """Connect by Happy Eyeballs (RFC 8305). An IP address is not resolved, by nobody: no
        `resolver` is asked and no ``connection.resolve`` event comes."""
        limit = _Limit(timeout, NEVER if timeout is None else time.monotonic() + timeout)
        addresses = _addresses(host, port, limit, resolver, trace)
        addresses = sockets.usable_addresses(addresses, local_address)
        options = tuple(socket_options or ())
        race = _Race(f"{host} port {port}", addresses, local_address, options, limit, trace)
        return SocketStream(*race.run())

    def resolve(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        resolver: Resolver | None = None,
        trace: Tracer | None = None,
    ) -> Sequence[str]:
        limit = _Limit(timeout, NEVER if timeout is None else time.monotonic() + timeout)
        return [address.host for address in _addresses(host, port, limit, resolver, trace)]

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        name = sockets.unix_address(path)
        limit = _Limit(timeout, NEVER if timeout is None else time.monotonic() + timeout)
        sock = sockets.make_socket(socket.AF_UNIX, None, socket_options, target=repr(name))
        try:
            _connect_unix(sock, name, limit)
        except BaseException:
            sock.close()
            raise
        return SocketStream(sock, repr(name))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


# ---------------------------------------------------------------------------------------------
# Connecting


class _Limit(NamedTuple):
    """A timeout, as given, and the moment when it is over."""

    timeout: float | None
    deadline: float

    def left(self) -> float:
        return max(self.deadline - time.monotonic(), 0.0)


def _addresses(
    host: str, port: int, limit: _Limit, resolver: Resolver | None, trace: Tracer | None
) -> list[Address]:
    addresses = sockets.literal_addresses(host, port)
    if addresses is not None:
        return addresses
    if trace is None:
        return _resolve(host, port, limit, resolver)
    info = {"host": host, "port": port}
    return trace.run("connection.resolve", info, _resolve, host, port, limit, resolver)


def _resolve(host: str, port: int, limit: _Limit, resolver: Resolver | None) -> list[Address]:
    """Wait for another thread to resolve `host`; when time is up, leave it to itself."""
    import queue  # late, as `threading`: an IP address needs neither
    import threading

    answers: queue.SimpleQueue[list[Address] | BaseException] = queue.SimpleQueue()

    def ask_resolver() -> list[Address]:
        assert resolver is not None
        try:
            return sockets.resolver_addresses(resolver(host, port), host, port)
        except (OSError, UnicodeError) as exc:
            raise sockets.resolve_error(exc, host) from exc

    if resolver is None:
        sockets.getaddrinfo_in_thread(host, port, answers.put)
    else:
        sockets.call_in_thread(ask_resolver, answers.put)
    answer: list[Address] | BaseException
    try:
        answer = answers.get(timeout=min(limit.left(), threading.TIMEOUT_MAX))
    except queue.Empty:
        answer = sockets.connect_timed_out(f"{host} (resolving)", limit.timeout)
    if isinstance(answer, BaseException):
        try:
            raise answer
        finally:
            del answer  # the error's traceback has this frame: no cycle
    return answer


class _Race:
    """Happy Eyeballs in one thread (RFC 8305, section 5).

    Attempts are non-blocking sockets under one `poll`. Another one starts when there is none, when
    one has failed, and 250 ms after the last one did. The first to connect wins, the others are
    closed. One deadline stands over all of them.
    """

    def __init__(
        self,
        target: str,
        addresses: list[Address],
        local_address: str | None,
        options: tuple[SocketOption, ...],
        limit: _Limit,
        trace: Tracer | None,
    ) -> None:
        self._target = target
        self._waiting = deque(addresses)
        self._local_address = local_address
        self._options = options
        self._limit = limit
        self._trace = trace
        self._poll = polling.make_poll()
        self._pending: dict[int, tuple[socket.socket, Address]] = {}
        self._errors: list[ConnectError] = []
        self._next_start = 0.0  # at once

    def run(self) -> tuple[socket.socket, Address]:
        winner = None
        try:
            while winner is None:
                if self._waiting and time.monotonic() >= self._next_start:
                    winner = self._start(self._waiting.popleft())
                elif self._pending:
                    winner = self._wait()
                else:
                    raise sockets.attempts_failed(self._take_errors())
            if self._pending:
                self._abandon(ConnectError("another address was faster", phase="connect"))
            return winner
        except BaseException:
            if winner is not None:
                winner[0].close()
            raise
        finally:
            for sock, _ in self._pending.values():
                sock.close()

    def _start(self, address: Address) -> tuple[socket.socket, Address] | None:
        """Begin an attempt. Returns it if it succeeded at once."""
        self._next_start = time.monotonic() + sockets.ATTEMPT_DELAY
        left = None if self._limit.timeout is None else self._limit.left()
        info = {"address": address.host, "port": address.port, "timeout": left}
        self._emit("started", info)
        try:
            sock = sockets.make_socket(
                address.family, self._local_address, self._options, target=address
            )
        except ConnectError as exc:
            self._failed(exc)
            return None
        self._pending[sock.fileno()] = (sock, address)
        try:
            number = sock.connect_ex(address.sockaddr)
        except OSError as exc:
            number = exc.errno or errno.EINVAL
        if number in sockets.IN_PROGRESS:
            self._poll.register(sock.fileno(), POLLOUT)
            return None
        if number:
            return self._settle(sock.fileno(), sockets.error_of_number(number, address))
        return self._settle(sock.fileno(), sockets.connect_result(sock, address))

    def _wait(self) -> tuple[socket.socket, Address] | None:
        """Wait for an attempt to end, or for the moment to begin another one."""
        wait = self._limit.left()
        if self._waiting:
            wait = min(wait, max(self._next_start - time.monotonic(), 0.0))
        events = self._poll.poll(min(wait * 1000.0, polling.MAX_POLL))
        for fd, _ in events:
            self._poll.unregister(fd)
            winner = self._settle(fd, sockets.connect_result(*self._pending[fd]))
            if winner is not None:
                return winner
        if not events and not self._limit.left():
            raise self._timed_out()
        return None

    def _timed_out(self) -> ConnectTimeout:
        error = sockets.connect_timed_out(self._target, self._limit.timeout, self._take_errors())
        self._abandon(error)
        return error

    def _take_errors(self) -> list[ConnectError]:
        """The errors so far. They are not kept here: one that is raised has this object in its
        traceback, and a cycle would keep both."""
        errors, self._errors = self._errors, []
        return errors

    def _settle(self, fd: int, error: ConnectError | None) -> tuple[socket.socket, Address] | None:
        """An attempt has ended. Returns it if it is the winner."""
        if error is None:
            self._emit("complete", {"return_value": self._pending[fd][0]})
            return self._pending.pop(fd)
        self._pending.pop(fd)[0].close()
        self._failed(error)
        return None

    def _failed(self, error: ConnectError) -> None:
        self._next_start = 0.0
        self._errors.append(error)
        self._emit("failed", {"exception": error})

    def _abandon(self, error: Exception) -> None:
        for _ in self._pending:
            self._emit("failed", {"exception": error})

    def _emit(self, event: str, info: dict[str, Any]) -> None:
        if self._trace is not None:
            self._trace.emit(f"connection.connect_attempt.{event}", info)


def _connect_unix(sock: socket.socket, name: str | bytes, limit: _Limit) -> None:
    while True:
        try:
            number = sock.connect_ex(name)
        except (OSError, ValueError) as exc:  # too long, not encodable
            raise sockets.map_connect_error(exc, repr(name)) from exc
        if number in (0, errno.EISCONN):
            return
        if number not in sockets.IN_PROGRESS:
            raise sockets.error_of_number(number, repr(name))
        if not limit.left():
            raise sockets.connect_timed_out(repr(name), limit.timeout)
        time.sleep(min(sockets.UNIX_RETRY_DELAY, limit.left()))
