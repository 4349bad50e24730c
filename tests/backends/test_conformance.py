"""The conformance suite on each of our backends."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from httpcore_core._backends.asyncio import AsyncIOBackend
from httpcore_core._backends.auto import AutoBackend
from httpcore_core._backends.base import (
    AsyncNetworkBackend,
    AsyncNetworkStream,
    NetworkBackend,
    NetworkStream,
)
from httpcore_core._backends.sync import SyncBackend
from httpcore_core._backends.trio import TrioBackend
from httpcore_core.testing.conformance import AsyncNetworkBackendSuite, NetworkBackendSuite
from tests.certificates import Certificates
from tests.flavours import FLAVOURS, run_async


class _Certified:
    """The tests' own certificates."""

    certificates: Certificates

    @pytest.fixture(autouse=True)
    def _use(self, certificates: Certificates) -> None:
        self.certificates = certificates

    def server_ssl_context(self) -> ssl.SSLContext:
        return self.certificates.server_context()

    def client_ssl_context(self) -> ssl.SSLContext:
        return self.certificates.client_context()


class RequiredStream(NetworkStream):
    def __init__(self, stream: Any) -> None:
        self.read = stream.read  # type: ignore[method-assign]  # delegates what is required
        self.write = stream.write  # type: ignore[method-assign]
        self.close = stream.close  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]
        self._stream = stream

    def start_tls(self, *args: Any, **kwargs: Any) -> NetworkStream:
        return RequiredStream(self._stream.start_tls(*args, **kwargs))


class RequiredBackend(NetworkBackend):
    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.sleep = backend.sleep  # type: ignore[method-assign]

    def connect_tcp(self, *args: Any, **kwargs: Any) -> NetworkStream:
        return RequiredStream(self._backend.connect_tcp(*args, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> NetworkStream:
        return RequiredStream(self._backend.connect_unix_socket(*args, **kwargs))


class AsyncRequiredStream(AsyncNetworkStream):
    def __init__(self, stream: Any) -> None:
        self.read = stream.read  # type: ignore[method-assign]  # delegates what is required
        self.write = stream.write  # type: ignore[method-assign]
        self.aclose = stream.aclose  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]
        self._stream = stream

    async def start_tls(self, *args: Any, **kwargs: Any) -> AsyncNetworkStream:
        return AsyncRequiredStream(await self._stream.start_tls(*args, **kwargs))


class AsyncRequiredBackend(AsyncNetworkBackend):
    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.sleep = backend.sleep  # type: ignore[method-assign]

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> AsyncNetworkStream:
        return AsyncRequiredStream(await self._backend.connect_tcp(*args, **kwargs))

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> AsyncNetworkStream:
        return AsyncRequiredStream(await self._backend.connect_unix_socket(*args, **kwargs))


class TestSyncBackend(_Certified, NetworkBackendSuite):
    def make_backend(self) -> Any:
        return SyncBackend()


class TestDefaultsOfTheContract(TestSyncBackend):
    """A backend which has only what is required; base classes supply the rest."""

    def make_backend(self) -> Any:
        return RequiredBackend(SyncBackend())


class TestAsyncIOBackend(_Certified, AsyncNetworkBackendSuite):
    flavour = "asyncio"

    def make_backend(self) -> Any:
        return AsyncIOBackend()

    def run(self, function: Callable[[], Awaitable[None]]) -> None:
        run_async(self.flavour, function)  # type: ignore[arg-type]  # all our functions are async


if "uvloop" in FLAVOURS:

    class TestUvloop(TestAsyncIOBackend):
        flavour = "uvloop"


class TestTrioBackend(TestAsyncIOBackend):
    flavour = "trio"

    def make_backend(self) -> Any:
        return TrioBackend()


class TestDefaultsOfTheAsyncContract(TestAsyncIOBackend):
    """The same for async code."""

    def make_backend(self) -> Any:
        return AsyncRequiredBackend(AsyncIOBackend())


class TestAutoBackendOnAsyncIO(TestAsyncIOBackend):
    def make_backend(self) -> Any:
        return AutoBackend()


class TestAutoBackendOnTrio(TestTrioBackend):
    def make_backend(self) -> Any:
        return AutoBackend()
