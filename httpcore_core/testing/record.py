"""Records what crosses a network, and plays it back.

    backend = RecordingBackend(SyncBackend())
    ...requests...
    backend.recording.save("exchange.json")

    ConnectionPool(network_backend=Recording.load("exchange.json").mock_backend())

Rules of this file: what is recorded is the plain text inside TLS, credentials included; keep such
files as one keeps secrets. Connections are played back in the order in which they were made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from .._backends.mock import AsyncMockBackend, MockBackend, Script

if TYPE_CHECKING:
    import ssl

    from .._trace import AsyncTracer, Tracer

__all__ = ["AsyncRecordingBackend", "RecordedStream", "Recording", "RecordingBackend"]


@dataclass
class RecordedStream:
    """One connection: each read and each write of it. `address` is ``host:port`` or a path."""

    address: str
    reads: list[bytes] = field(default_factory=list)
    writes: list[bytes] = field(default_factory=list)
    http2: bool = False

    def finish_handshake(self, stream: Any) -> None:
        ssl_object = stream.get_extra_info("ssl_object")
        self.http2 = ssl_object is not None and ssl_object.selected_alpn_protocol() == "h2"


class Recording:
    """The streams of a backend, in the order in which they were connected."""

    def __init__(self, streams: Iterable[RecordedStream] = ()) -> None:
        self.streams = list(streams)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a JSON file. Bytes are text in it, one character for each byte."""
        streams = [
            {
                "address": stream.address,
                "http2": stream.http2,
                "reads": [data.decode("latin-1") for data in stream.reads],
                "writes": [data.decode("latin-1") for data in stream.writes],
            }
            for stream in self.streams
        ]
        Path(path).write_text(json.dumps({"version": 1, "streams": streams}, indent=1), "utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Recording:
        content = json.loads(Path(path).read_text("utf-8"))
        if content.get("version") != 1:
            raise ValueError(f"{path} is no recording of version 1")
        return cls(
            RecordedStream(
                stream["address"],
                [data.encode("latin-1") for data in stream["reads"]],
                [data.encode("latin-1") for data in stream["writes"]],
                stream["http2"],
            )
            for stream in content["streams"]
        )

    def scripts(self) -> list[Script]:
        """What a mock backend needs to send the same."""
        return [Script(list(stream.reads), http2=stream.http2) for stream in self.streams]

    def mock_backend(self) -> MockBackend:
        return MockBackend.scripted(self.scripts())

    def async_mock_backend(self) -> AsyncMockBackend:
        return AsyncMockBackend.scripted(self.scripts())


class _Recorder:
    """What sync and async recording streams have in common."""

    def __init__(self, stream: Any, record: RecordedStream) -> None:
        self._stream = stream
        self._record = record
        self.bytes_taken: int | None = None

    @property
    def has_unsent(self) -> bool:
        return bool(self._stream.has_unsent)

    def _failed(self, buffer: bytes) -> None:
        """A write was not finished: what is known to have been taken is part of the recording."""
        self.bytes_taken = self._stream.bytes_taken
        if self.bytes_taken:
            self._record.writes.append(bytes(buffer[: self.bytes_taken]))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def read_nowait(self, max_bytes: int) -> bytes | None:
        data: bytes | None = self._stream.read_nowait(max_bytes)
        if data is not None:
            self._record.reads.append(data)
        return data

    def is_readable(self) -> bool:
        return bool(self._stream.is_readable())

    def abort(self) -> bool:
        return bool(self._stream.abort())

    def forget(self) -> None:
        self._stream.forget()

    def watch(self, callback: Callable[[], None] | None) -> bool:
        return bool(self._stream.watch(callback))


class RecordingStream(_Recorder, NetworkStream):  # type: ignore[override]  # has_unsent
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._stream.read(max_bytes, timeout)
        self._record.reads.append(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)
        self._record.writes.append(bytes(buffer))

    def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        try:
            written: int = self._stream.write_until_readable(buffer, timeout)
        except BaseException:
            self._failed(buffer)
            raise
        self._record.writes.append(bytes(buffer[:written]))
        return written

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        self._record.finish_handshake(stream)
        return RecordingStream(stream, self._record)


class AsyncRecordingStream(_Recorder, AsyncNetworkStream):  # type: ignore[override]  # has_unsent
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = await self._stream.read(max_bytes, timeout)
        self._record.reads.append(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)
        self._record.writes.append(bytes(buffer))

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        try:
            written: int = await self._stream.write_until_readable(buffer, timeout)
        except BaseException:
            self._failed(buffer)
            raise
        self._record.writes.append(bytes(buffer[:written]))
        return written

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        self._record.finish_handshake(stream)
        return AsyncRecordingStream(stream, self._record)


class RecordingBackend(NetworkBackend):
    """Passes everything on to `inner` and keeps it in `recording`."""

    def __init__(self, inner: NetworkBackend) -> None:
        self.inner = inner
        self.recording = Recording()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        stream = self.inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return self._record(stream, f"{host}:{port}")

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> NetworkStream:
        return self._record(self.inner.connect_unix_socket(path, timeout, socket_options), path)

    def _record(self, stream: NetworkStream, address: str) -> NetworkStream:
        record = RecordedStream(address)
        self.recording.streams.append(record)
        return RecordingStream(stream, record)

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
        return self.inner.now()


class AsyncRecordingBackend(AsyncNetworkBackend):
    """The same for async code."""

    def __init__(self, inner: AsyncNetworkBackend) -> None:
        self.inner = inner
        self.recording = Recording()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        stream = await self.inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return self._record(stream, f"{host}:{port}")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> AsyncNetworkStream:
        stream = await self.inner.connect_unix_socket(path, timeout, socket_options)
        return self._record(stream, path)

    def _record(self, stream: AsyncNetworkStream, address: str) -> AsyncNetworkStream:
        record = RecordedStream(address)
        self.recording.streams.append(record)
        return AsyncRecordingStream(stream, record)

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
        return self.inner.now()

    def context(self) -> object:
        return self.inner.context()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle | None:
        return self.inner.call_later(seconds, callback)
