"""Makes the network of any backend worse: short reads and writes, faults at the nth operation.

    faults = Faults(read_size=1)
    faults.at(3, RESET)                                # the third operation of any kind
    faults.at(2, WriteTimeout("stuck"), "write")       # the second write
    pool = ConnectionPool(network_backend=FaultBackend(SyncBackend(), faults))

Operations are `connect`, `start_tls`, `read` and `write`, counted from 1 over all streams of the
backend; `faults.operations` lists those begun. A fault is an exception or its class, which is
raised; `RESET`; `END`, the peer's end of stream, if the operation is a read; or a function without
arguments, which is called and may raise (to cancel a task, to stop a server).

Rules of this file: the wrapped backend does the work, nothing is decided here about protocols. An
added `delay` is not waited for: it is added to the clock that the backend's users see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .._backends.base import (
    AsyncNetworkBackend,
    AsyncNetworkStream,
    AsyncResolver,
    NetworkBackend,
    NetworkStream,
    Resolver,
    SocketOption,
    TimerHandle,
)
from .._exceptions import (
    ConnectError,
    ConnectTimeout,
    ReadError,
    ReadTimeout,
    TransportError,
    WriteError,
    WriteTimeout,
)

if TYPE_CHECKING:
    import ssl

    from .._trace import AsyncTracer, Tracer

__all__ = ["END", "RESET", "AsyncFaultBackend", "FaultBackend", "Faults"]

Operation: TypeAlias = Literal["connect", "start_tls", "read", "write"]


class _Named:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


END: Final = _Named("END")
RESET: Final = _Named("RESET")

Fault: TypeAlias = BaseException | type[BaseException] | _Named | Callable[[], object]

_ERRORS: dict[Operation, tuple[type[TransportError], type[TransportError]]] = {
    "connect": (ConnectError, ConnectTimeout),
    "start_tls": (ConnectError, ConnectTimeout),
    "read": (ReadError, ReadTimeout),
    "write": (WriteError, WriteTimeout),
}


class Faults:
    """What goes wrong, and what has happened; shared by a backend and all its streams.

    `read_size` and `write_size` bound each read and write of the wrapped stream. Each operation
    takes `delay` seconds more, or times out.
    """

    def __init__(
        self, *, read_size: int | None = None, write_size: int | None = None, delay: float = 0.0
    ) -> None:
        self.read_size = read_size
        self.write_size = write_size
        self.delay = delay
        self.operations: list[Operation] = []
        self.delayed = 0.0
        self._planned: dict[tuple[str | None, int, bool], Fault] = {}
        self._counts: dict[Operation, int] = {}

    def at(
        self, number: int, fault: Fault, operation: Operation | None = None, *, after: bool = False
    ) -> None:
        """Do this instead of the operation of that number, of one kind or of any; with `after`,
        do the operation and then this, so that its result is lost."""
        self._planned[operation, number, after] = fault

    def begin(self, operation: Operation, timeout: float | None) -> bool:
        """For the streams: count, then delay or fail. True stands for the end of the stream."""
        self.operations.append(operation)
        self._counts[operation] = self._counts.get(operation, 0) + 1
        ended = self._happen(operation, after=False)
        if timeout is not None and self.delay > timeout:
            self.delayed += timeout
            raise _ERRORS[operation][1]("timed out in a delay of the test's", limit=timeout)
        self.delayed += self.delay
        return ended

    def end(self, operation: Operation) -> None:
        """For the streams: the operation has been done."""
        self._happen(operation, after=True)

    def _happen(self, operation: Operation, *, after: bool) -> bool:
        numbers = ((None, len(self.operations)), (operation, self._counts[operation]))
        for kind, number in numbers:
            fault = self._planned.get((kind, number, after))
            if fault is END:
                return True
            if fault is RESET:
                reset = ConnectionResetError("reset by the test")
                raise _ERRORS[operation][0]("the connection was reset") from reset
            if isinstance(fault, BaseException):
                raise fault
            if callable(fault):
                result = fault()
                if isinstance(result, BaseException):
                    raise result  # the fault was an exception's class
        return False


class _Inner:
    """What sync and async fault streams pass on without a fault."""

    def __init__(self, stream: Any, faults: Faults) -> None:
        self._stream = stream
        self._faults = faults
        self._ended = False
        self.bytes_taken: int | None = None

    def _read_size(self, max_bytes: int) -> int:
        size = self._faults.read_size
        return max_bytes if size is None else min(size, max_bytes)

    def _pieces(self, buffer: bytes) -> Iterable[bytes]:
        size = self._faults.write_size or max(len(buffer), 1)
        return (buffer[start : start + size] for start in range(0, len(buffer), size))

    def _pieces_or_rest(self, buffer: bytes) -> Iterable[bytes]:
        return self._pieces(buffer) if buffer or not self.has_unsent else (buffer,)

    def _failed_in_piece(self, done: int) -> None:
        taken: int | None = self._stream.bytes_taken
        self.bytes_taken = None if taken is None else done + taken

    @property
    def has_unsent(self) -> bool:
        return bool(self._stream.has_unsent)

    def get_extra_info(self, info: str) -> Any:
        return self.is_readable() if info == "is_readable" else self._stream.get_extra_info(info)

    def read_nowait(self, max_bytes: int) -> bytes | None:
        if self._ended:
            return b""
        data: bytes | None = self._stream.read_nowait(self._read_size(max_bytes))
        return data

    def is_readable(self) -> bool:
        return self._ended or bool(self._stream.is_readable())

    def abort(self) -> bool:
        return bool(self._stream.abort())

    def forget(self) -> None:
        self._stream.forget()

    def watch(self, callback: Callable[[], None] | None) -> bool:
        return bool(self._stream.watch(callback))


class FaultStream(_Inner, NetworkStream):  # type: ignore[override]  # has_unsent
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._ended = self._faults.begin("read", timeout) or self._ended
        if self._ended:
            return b""
        data: bytes = self._stream.read(self._read_size(max_bytes), timeout)
        self._faults.end("read")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for piece in self._pieces(buffer):
            self._faults.begin("write", timeout)
            self._stream.write(piece, timeout)
            self._faults.end("write")

    def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        done = self.bytes_taken = 0
        for piece in self._pieces_or_rest(buffer):
            self._faults.begin("write", timeout)
            try:
                written = self._stream.write_until_readable(piece, timeout)
            except BaseException:
                self._failed_in_piece(done)
                raise
            done = self.bytes_taken = done + written
            self._faults.end("write")
            if written < len(piece):
                break
        return done

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        try:
            self._faults.begin("start_tls", timeout)
            stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
            self._faults.end("start_tls")
        except BaseException:
            self._stream.close()
            raise
        return FaultStream(stream, self._faults)


class AsyncFaultStream(_Inner, AsyncNetworkStream):  # type: ignore[override]  # has_unsent
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._ended = self._faults.begin("read", timeout) or self._ended
        if self._ended:
            return b""
        data: bytes = await self._stream.read(self._read_size(max_bytes), timeout)
        self._faults.end("read")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for piece in self._pieces(buffer):
            self._faults.begin("write", timeout)
            await self._stream.write(piece, timeout)
            self._faults.end("write")

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        done = self.bytes_taken = 0
        for piece in self._pieces_or_rest(buffer):
            self._faults.begin("write", timeout)
            try:
                written = await self._stream.write_until_readable(piece, timeout)
            except BaseException:
                self._failed_in_piece(done)
                raise
            done = self.bytes_taken = done + written
            self._faults.end("write")
            if written < len(piece):
                break
        return done

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncNetworkStream:
        try:
            self._faults.begin("start_tls", timeout)
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
            self._faults.end("start_tls")
        except BaseException:
            await self._stream.aclose()
            raise
        return AsyncFaultStream(stream, self._faults)


class FaultBackend(NetworkBackend):
    """A sync backend with faults. `inner` is the backend that does the work."""

    def __init__(self, inner: NetworkBackend, faults: Faults) -> None:
        self.inner = inner
        self.faults = faults

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        self.faults.begin("connect", timeout)
        return self._wrap(
            self.inner.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        self.faults.begin("connect", timeout)
        return self._wrap(self.inner.connect_unix_socket(path, timeout, socket_options))

    def _wrap(self, stream: NetworkStream) -> NetworkStream:
        try:
            self.faults.end("connect")
        except BaseException:
            stream.close()
            raise
        return FaultStream(stream, self.faults)

    def resolve(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        resolver: Resolver | None = None,
        trace: Tracer | None = None,
    ) -> Sequence[str]:
        return self.inner.resolve(host, port, timeout, resolver, trace)

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)

    def now(self) -> float:
        return self.inner.now() + self.faults.delayed


class AsyncFaultBackend(AsyncNetworkBackend):
    """An async backend with faults."""

    def __init__(self, inner: AsyncNetworkBackend, faults: Faults) -> None:
        self.inner = inner
        self.faults = faults

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        self.faults.begin("connect", timeout)
        return await self._wrap(
            await self.inner.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        self.faults.begin("connect", timeout)
        return await self._wrap(await self.inner.connect_unix_socket(path, timeout, socket_options))

    async def _wrap(self, stream: AsyncNetworkStream) -> AsyncNetworkStream:
        try:
            self.faults.end("connect")
        except BaseException:
            await stream.aclose()
            raise
        return AsyncFaultStream(stream, self.faults)

    async def resolve(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        resolver: AsyncResolver | None = None,
        trace: AsyncTracer | None = None,
    ) -> Sequence[str]:
        return await self.inner.resolve(host, port, timeout, resolver, trace)

    async def sleep(self, seconds: float) -> None:
        await self.inner.sleep(seconds)

    def now(self) -> float:
        return self.inner.now() + self.faults.delayed

    def context(self) -> object:
        return self.inner.context()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle | None:
        return self.inner.call_later(seconds, callback)
