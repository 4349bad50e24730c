"""What the tests of the suite stand on: how they run, how they wait, how two things run at once."""

from __future__ import annotations

import functools
import threading
import time
import unittest
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from ..._backends.base import AsyncNetworkStream, NetworkStream
from ..._concurrency import AsyncTask, spawn_async
from ..leaks import LeakChecker
from ..server import Script, ScriptedServer

if TYPE_CHECKING:
    import ssl

S = TypeVar("S", bound="SuiteBase")

LIMIT = 10.0
"""Seconds that anything may take which is expected to happen at once."""


def check(function: Callable[[S], Coroutine[Any, Any, None]]) -> Callable[[S], None]:
    """Make a test of an async method: it runs as the suite says, and may leave nothing behind."""

    @functools.wraps(function)
    def test(self: S) -> None:
        with LeakChecker():
            self.run_check(functools.partial(function, self))

    return test


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("the facade of a sync backend has suspended")


class StreamFacade:
    """A sync stream with the face of an async one."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return self.stream.read(max_bytes, timeout)

    async def read_to(self, sink: Any, max_bytes: int, timeout: float | None = None) -> None:
        self.stream.read_to(sink, max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> Any:
        return self.stream.write(buffer, timeout)

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> Any:
        return self.stream.write_until_readable(buffer, timeout)

    async def aclose(self) -> None:
        self.stream.close()

    async def start_tls(self, *args: Any, **kwargs: Any) -> StreamFacade:
        return StreamFacade(self.stream.start_tls(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class AsyncFacade:
    """A sync backend with the face of an async one."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> StreamFacade:
        return StreamFacade(self.backend.connect_tcp(*args, **kwargs))

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> StreamFacade:
        return StreamFacade(self.backend.connect_unix_socket(*args, **kwargs))

    async def open_tcp(self, *args: Any, **kwargs: Any) -> StreamFacade:
        return StreamFacade(self.backend.open_tcp(*args, **kwargs))

    async def sleep(self, seconds: float) -> None:
        self.backend.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)


class Job:
    """A call that runs beside the test: in a task, or for sync backends in a thread."""

    task: AsyncTask | threading.Thread

    def __init__(self, function: Callable[..., Coroutine[Any, Any, Any]], args: Any) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self._call = functools.partial(function, *args)

    async def run(self) -> None:
        try:
            self.value = await self._call()
        except BaseException as exc:
            self.error = exc
            if not isinstance(exc, Exception):
                raise

    async def result(self) -> Any:
        """Wait for the call; return what it returned or raise what it raised."""
        await self.wait()
        if self.error is not None:
            raise self.error
        return self.value

    async def wait(self) -> None:
        if isinstance(self.task, threading.Thread):
            self.task.join(LIMIT)
            assert not self.task.is_alive(), "the call does not return"
        else:
            await self.task.wait()

    def cancel(self) -> None:
        assert not isinstance(self.task, threading.Thread)
        self.task.cancel()


class SuiteBase:
    """Configuration: override `make_backend`, `run` (async), and the SSL contexts for TLS."""

    facade: Callable[[Any], Any] | None = None

    server_hostname = "localhost"

    def make_backend(self) -> Any:
        """A new backend; called once in each test, within the event loop."""
        raise NotImplementedError

    def run(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run ``function()`` to its end in a new event loop."""
        raise NotImplementedError

    def server_ssl_context(self) -> ssl.SSLContext | None:
        """A new context for a server, with a certificate for `server_hostname` only."""
        return None

    def client_ssl_context(self) -> ssl.SSLContext | None:
        """A new context for a client, which trusts that certificate."""
        return None

    # For the tests

    def run_check(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._connected: list[Any] = []
        if self.facade is not None:
            self.backend = self.facade(self.make_backend())
            drive(self._clean(function))
            return

        async def main() -> None:
            self.backend = self.make_backend()
            async with LeakChecker():
                await self._clean(function)

        self.run(main)

    async def _clean(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await function()
        except BaseException:
            for stream in self._connected:  # a failed test leaves no socket for others to fail on
                stream.abort()
            raise

    def start(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Job:
        """Start a call beside the test. Tests wait for all that they start."""
        job = Job(function, args)
        if self.facade is None:
            job.task = spawn_async(job.run)
        else:
            job.task = threading.Thread(target=lambda: drive(job.run()), daemon=True)
            job.task.start()
        return job

    async def connect(self, server: ScriptedServer, **kwargs: Any) -> Any:
        stream = await self.backend.connect_tcp(server.host, server.port, LIMIT, **kwargs)
        self._connected.append(stream)
        return stream

    def serve(self, *scripts: Script, **kwargs: Any) -> ScriptedServer:
        return ScriptedServer(*scripts, **kwargs)

    async def read_exactly(self, stream: Any, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = await stream.read(size - len(data), LIMIT)
            assert piece, f"the stream ended after {len(data)} of {size} bytes"
            data += piece
        return bytes(data)

    async def read_all(self, stream: Any) -> bytes:
        data = bytearray()
        while piece := await stream.read(65536, LIMIT):
            data += piece
        return bytes(data)

    async def eventually(self, condition: Callable[[], object], what: str) -> None:
        """Wait until another thread, or the system, has brought something about."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, f"did not happen: {what}"
            await self.backend.sleep(0.001)

    async def readable(self, stream: Any) -> None:
        await self.eventually(
            lambda: stream.get_extra_info("is_readable"), "the stream becomes readable"
        )

    async def let_others_run(self) -> None:
        """Long enough for a task to get to where it waits. Async only."""
        for _ in range(20):
            await self.backend.sleep(0)

    def tls_contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Contexts for server and client, or skip the test."""
        server, client = self.server_ssl_context(), self.client_ssl_context()
        if server is None or client is None:
            raise unittest.SkipTest("no SSL contexts are configured")
        return server, client


async def expect_error(kind: type[BaseException], call: Awaitable[object]) -> Any:
    """`call` must raise `kind`; the exception is returned."""
    try:
        value = await call
    except kind as exc:
        return exc
    raise AssertionError(f"expected {kind.__name__}, the call returned {value!r}")


def root_cause(error: BaseException) -> Any:
    """The first error of the chain of causes; the error itself where it has none."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def has_default(stream: Any, method: str) -> bool:
    """Whether an optional method of the stream is the one that the base class has."""
    kind = type(getattr(stream, "stream", stream))  # a facade has the stream inside
    defaults = (getattr(NetworkStream, method), getattr(AsyncNetworkStream, method))
    return getattr(kind, method) in defaults


class Lapse:
    """Asserts that a timeout ended its block about when it should."""

    def __init__(self, least: float, most: float) -> None:
        self.least, self.most = least, most

    def __enter__(self) -> None:
        self.start = time.monotonic()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is None:
            lapse = time.monotonic() - self.start
            assert self.least * 0.95 <= lapse <= self.most, f"took {lapse:.3f} s"
