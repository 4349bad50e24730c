"""`resolve`, for a proxy that is not to look names up itself: what connecting would have found."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

import pytest

from httpcore_core import AsyncMockBackend, ConnectError, ConnectTimeout
from httpcore_core._backends.auto import AutoBackend
from httpcore_core._trace import get_async_tracer
from httpcore_core.testing import AsyncFaultBackend, AsyncRecordingBackend, Faults


def known(host: str, port: int) -> Sequence[str]:
    assert (host, port) == ("name.invalid", 80)
    return ["127.0.0.2", "::1"]


async def test_addresses_are_taken_as_they_are() -> None:
    backend = AutoBackend()
    assert list(await backend.resolve("127.0.0.1", 80, 5.0)) == ["127.0.0.1"]
    assert list(await backend.resolve("::1", 80, 5.0)) == ["::1"]


async def test_names_are_looked_up() -> None:
    found = list(await AutoBackend().resolve("localhost", 80, 5.0))
    assert found
    assert set(found) <= {"127.0.0.1", "::1"}


async def test_the_resolver_is_asked() -> None:
    found = list(await AutoBackend().resolve("name.invalid", 80, 5.0, known))
    assert sorted(found) == ["127.0.0.2", "::1"]


async def test_g08_unknown_names_and_trace() -> None:
    events: list[str] = []
    trace = get_async_tracer({"trace": lambda name, info: events.append(name)})
    with pytest.raises(ConnectError, match=r"cannot resolve 'name\.invalid'") as caught:
        await AutoBackend().resolve("name.invalid", 80, 5.0, trace=trace)
    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert events == ["connection.resolve.started", "connection.resolve.failed"]


async def test_g08_the_timeout_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: release.wait(10) and [])
    try:
        with pytest.raises(ConnectTimeout, match=r"name\.invalid") as caught:
            await AutoBackend().resolve("name.invalid", 80, 0.1)
        assert caught.value.limit == 0.1
    finally:
        release.set()


async def test_backends_that_know_no_names_leave_them_to_others() -> None:
    backend = AsyncMockBackend()
    assert list(await backend.resolve("name.invalid", 80)) == ["name.invalid"]
    assert list(await backend.resolve("name.invalid", 80, None, known)) == known("name.invalid", 80)


async def test_wrappers_ask_what_they_wrap() -> None:
    for backend in (
        AsyncFaultBackend(AutoBackend(), Faults()),
        AsyncRecordingBackend(AutoBackend()),
    ):
        assert set(await backend.resolve("localhost", 80, 5.0)) <= {"127.0.0.1", "::1"}
