"""The contract between the drivers and the network.

A backend of your own needs the methods marked *required*; the others have defaults that work, and
our own backends override them to be faster or finer. Whatever goes wrong is raised as one of our
exceptions with the low-level error as its ``__cause__``; cancellation passes through unchanged.
`timeout` is in seconds and bounds the one call; None waits for ever, 0 does not wait. The contract
is written twice; what is said of both is on the sync side.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .._exceptions import ConnectError, ConnectTimeout, ProxyError, TransportError
from .._trace import AsyncTracer, Tracer
from .names import is_address

if TYPE_CHECKING:
    import ssl

SocketOption: TypeAlias = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)
"""The arguments of `socket.setsockopt`."""

Sink: TypeAlias = Callable[[bytes | memoryview], object]
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]
"""Host and port to IP addresses, best first. In async code it may be ``async def``."""
AsyncResolver: TypeAlias = Callable[[str, int], Sequence[str] | Awaitable[Sequence[str]]]


class TimerHandle(Protocol):
    def cancel(self) -> object: ...


class NetworkStream:
    """A connected, reliable, ordered stream of bytes. One reader and one writer at a time."""

    __slots__ = ()

    # Optional

    bytes_taken: int | None = None
    """After `write_until_readable` ran into its `timeout` or was cancelled: how much of the buffer
    the stream has taken; the next write goes on behind that. None: not known, and the stream can
    only be closed. It means nothing after a success or another error."""

    has_unsent: bool = False
    """Whether the stream keeps bytes of its own (records of TLS) which the network has not taken,
    and which only a later call will send: if no other, `write_until_readable` with ``b""``."""

    # Required

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return 1 to `max_bytes` bytes, as soon as there are any; ``b""`` at the end.

        Raises `ReadTimeout`, `ReadError`; `LocalProtocolError` if someone else is reading.
        """
        raise NotImplementedError

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer`. `timeout` bounds each wait for the peer to accept something.

        Raises `WriteTimeout`, `WriteError`; `LocalProtocolError` if someone else is writing.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close. Never raises, never waits for the peer, may be called again."""
        raise NotImplementedError

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        """Do a TLS handshake over this stream and return the stream inside; use only that one.

        `timeout` bounds the whole handshake. Raises `ConnectError` with the verification reason,
        `ConnectTimeout`; this stream is closed then.
        """
        raise NotImplementedError

    def get_extra_info(self, info: str) -> Any:
        """``"ssl_object"``, ``"client_addr"``, ``"server_addr"``, ``"socket"``,
        ``"is_readable"`` (true if a read would not wait); None for what is not known."""
        return None

    # Optional

    def read_to(self, sink: Sink, max_bytes: int, timeout: float | None = None) -> None:
        """Read, and give what has come to `sink`, which is done with it when it returns: a stream
        that has it in a buffer of its own need not copy it."""
        sink(self.read(max_bytes, timeout))

    def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        """Write `buffer`, but stop as soon as a read would not wait; return how much was written.

        This is how an answer is noticed that comes while a long body is being sent. What was
        counted has been handed to the network, or is what `has_unsent` tells of and leaves before
        anything else; what was not, has not. The default writes all.

        It also returns early when somebody else's read has been served meanwhile: that reader may
        go away, and the peer may accept nothing more until somebody reads again. While somebody
        else is reading it may return at once, with 0; let them run before you call again.
        """
        self.write(buffer, timeout)
        return len(buffer)

    def watch_reads(self) -> None:
        """From now on `write_until_readable` ends if another thread has read since now, not only
        since its call. Async streams need not know, nor must others: the default does nothing."""

    def read_nowait(self, max_bytes: int) -> bytes | None:
        """Return what has arrived without waiting, ``b""`` at the end, None if nothing has."""
        return None

    def write_nowait(self, buffer: bytes) -> int:
        """Write what the network takes without waiting; return how much. Never raises: 0 is the
        answer of a stream that is closed, broken, being written to, or that cannot (the default).
        TLS says goodbye with it (close_notify) from a `close` that may not wait."""
        return 0

    def is_readable(self) -> bool:
        """Whether a read would not wait: data, end of stream or an error has arrived."""
        return bool(self.get_extra_info("is_readable"))

    def abort(self) -> bool:
        """Close at once, from any thread, in a finaliser or while another thread is reading or
        writing (it fails with `ReadError` or `WriteError`). False if the stream cannot; `close`
        is called then."""
        return False

    def close_nowait(self) -> bool:
        """Close without waiting, with a goodbye where there is one (TLS); what was written and
        has no room at the peer is dropped. False if the stream cannot. The default aborts."""
        return self.abort()

    def forget(self) -> None:
        """Let go of the stream in a forked child or after its event loop has ended: nothing may
        be written, shut down or asked of the loop. The default does nothing."""

    def watch(self, callback: Callable[[], None] | None) -> bool:
        """Call `callback` once, as soon as anything arrives on the idle stream or the peer closes
        it; None stops watching. False if the stream cannot, as in sync code."""
        return False


class NetworkBackend:
    """Makes streams. Instances hold configuration only and may be shared between pools."""

    # Required

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        """Connect to `host`, a name or an IP address without brackets.

        `timeout` bounds name resolution and all attempts together; `socket_options` and
        `local_address` take effect before connecting. Raises `ConnectError`, `ConnectTimeout`.
        """
        raise NotImplementedError

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        """Connect to the unix domain socket at `path`. Raises as `connect_tcp`."""
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        """Pause; between connection attempts."""
        raise NotImplementedError

    # Optional

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
        """`connect_tcp`, with a `resolver` of the caller's and the events ``connection.resolve``
        and ``connection.connect_attempt``. The default tries the resolver's addresses in turn."""
        if resolver is None or is_address(host):
            return self.connect_tcp(host, port, timeout, local_address, socket_options)
        deadline = None if timeout is None else self.now() + timeout
        addresses = resolver(host, port)
        error: TransportError = ConnectError(f"the resolver knows no address of {host!r}")
        for address in addresses:
            if deadline is not None:
                timeout = deadline - self.now()
                if timeout <= 0.0:
                    raise ConnectTimeout(f"connecting to {host!r} timed out") from error
            try:
                return self.connect_tcp(address, port, timeout, local_address, socket_options)
            except (ConnectError, ProxyError) as exc:
                error = exc
        raise error

    def resolve(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        resolver: Resolver | None = None,
        trace: Tracer | None = None,
    ) -> Sequence[str]:
        """The IP addresses of `host`, best first, as `open_tcp` would try them: for a proxy that is
        not to look the name up itself. Raises `ConnectError`, `ConnectTimeout`. The default asks
        the `resolver`; without one it knows no better than the name itself."""
        return [host] if resolver is None or is_address(host) else resolver(host, port)

    def now(self) -> float:
        """A monotonic clock in seconds, the one that timeouts are measured with."""
        return time.monotonic()

    def bound_now(self) -> Callable[[], float]:
        """`now` as a function of the present context, for those who ask it often."""
        return self.now

    def context(self) -> object:
        """What streams are bound to: the running event loop. Connections made in another context
        are forgotten. Sync streams are bound to nothing: None."""
        return None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle | None:
        """Arrange for `callback` to be called once; None if the backend cannot, as in sync code.
        It is what closes idle connections in time without any traffic."""
        return None


class AsyncNetworkStream:
    """The async twin of `NetworkStream`. Cancelling a read loses no data; cancelling a write may
    leave part of the buffer written, so that the stream can only be closed, unless it was
    `write_until_readable` and `bytes_taken` tells."""

    __slots__ = ()

    # Optional

    bytes_taken: int | None = None

    has_unsent: bool = False

    # Required

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        raise NotImplementedError

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncNetworkStream:
        raise NotImplementedError

    def get_extra_info(self, info: str) -> Any:
        return None

    # Optional

    async def read_to(self, sink: Sink, max_bytes: int, timeout: float | None = None) -> None:
        sink(await self.read(max_bytes, timeout))

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        await self.write(buffer, timeout)
        return len(buffer)

    def watch_reads(self) -> None:
        """As in sync."""

    def read_nowait(self, max_bytes: int) -> bytes | None:
        return None

    def write_nowait(self, buffer: bytes) -> int:
        return 0

    def is_readable(self) -> bool:
        return bool(self.get_extra_info("is_readable"))

    def abort(self) -> bool:
        """As in sync; `aclose` is awaited, shielded, where this returns False. The peer sees the
        end of the stream before this returns, so that another connection may be opened at once."""
        return False

    def close_nowait(self) -> bool:
        return self.abort()

    def forget(self) -> None:
        """As in sync."""

    def watch(self, callback: Callable[[], None] | None) -> bool:
        return False


class AsyncNetworkBackend:
    """The async twin of `NetworkBackend`."""

    # Required

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        raise NotImplementedError

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    # Optional

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
        if resolver is None or is_address(host):
            return await self.connect_tcp(host, port, timeout, local_address, socket_options)
        import inspect  # late: sync code has no use for it

        deadline = None if timeout is None else self.now() + timeout
        answer = resolver(host, port)
        addresses: Sequence[str] = await answer if inspect.isawaitable(answer) else answer
        error: TransportError = ConnectError(f"the resolver knows no address of {host!r}")
        for address in addresses:
            if deadline is not None:
                timeout = deadline - self.now()
                if timeout <= 0.0:
                    raise ConnectTimeout(f"connecting to {host!r} timed out") from error
            try:
                return await self.connect_tcp(address, port, timeout, local_address, socket_options)
            except (ConnectError, ProxyError) as exc:
                error = exc
        raise error

    async def resolve(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        resolver: AsyncResolver | None = None,
        trace: AsyncTracer | None = None,
    ) -> Sequence[str]:
        if resolver is None or is_address(host):
            return [host]
        import inspect

        answer = resolver(host, port)
        return await answer if inspect.isawaitable(answer) else answer

    def now(self) -> float:
        return time.monotonic()

    def bound_now(self) -> Callable[[], float]:
        return self.now

    def context(self) -> object:
        return None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle | None:
        return None
