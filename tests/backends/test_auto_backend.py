"""`AutoBackend`: the library that is running is found, once, and found again when it changes."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import sniffio
import trio

from httpcore_core._backends.auto import AutoBackend
from tests.flavours import FLAVOURS, run_async


def running(flavour: str) -> object:
    return trio.lowlevel.current_trio_token() if flavour == "trio" else asyncio.get_running_loop()


async def test_context_is_what_is_running(flavour: str) -> None:
    backend = AutoBackend()
    assert backend.context() is running(flavour)
    assert backend.context() is running(flavour)


async def test_streams_are_of_the_library(flavour: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        backend = AutoBackend()
        stream = await backend.connect_tcp(*listener.getsockname(), timeout=5)
        expected = "TrioStream" if flavour == "trio" else "AsyncIOStream"
        assert type(stream).__name__ == expected
        await stream.aclose()


async def test_the_library_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = AutoBackend()
    backend.context()

    def asked() -> str:
        raise AssertionError

    monkeypatch.setattr(sniffio, "current_async_library", asked)
    backend.context()
    backend.now()
    await backend.sleep(0)


@pytest.mark.parametrize("method", ["context", "now"])
def test_d16_one_backend_in_one_loop_after_another(method: str) -> None:
    backend = AutoBackend()

    async def use(flavour: str) -> None:
        if method == "context":
            assert backend.context() is running(flavour)
        assert backend.now() >= 0
        await backend.sleep(0)

    for flavour in (*FLAVOURS, *reversed(FLAVOURS), *FLAVOURS):
        run_async(flavour, use, flavour)


def test_d16_trio_as_a_guest_of_asyncio() -> None:
    """Both are running in one thread; the task that asks is what counts."""
    backend = AutoBackend()
    seen: list[Any] = []

    async def in_trio() -> None:
        await trio.lowlevel.checkpoint()
        seen.append(type(backend.context()).__name__)
        await backend.sleep(0)

    async def in_asyncio() -> None:
        loop = asyncio.get_running_loop()
        assert backend.context() is loop
        done = loop.create_future()
        trio.lowlevel.start_guest_run(
            in_trio,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
        )
        outcome = await done
        outcome.unwrap()
        assert backend.context() is loop
        await backend.sleep(0)

    asyncio.run(in_asyncio())
    assert seen == ["TrioToken"]


def test_outside_of_any_library() -> None:
    with pytest.raises(RuntimeError):
        AutoBackend().context()


def test_unknown_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniffio, "current_async_library", lambda: "curio")
    with pytest.raises(RuntimeError, match="curio"):
        AutoBackend().context()
