"""The tests' own machinery: async tests do run, leaks and noise are noticed, the network is off."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
import sniffio
import trio

from httpcore_core._concurrency import AsyncEvent
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup, TaskGroup
from tests.flavours import FLAVOURS, run_async
from tests.guards import no_leaked_descriptors

ran: list[str] = []


async def test_async_tests_run_on_each_flavour(flavour: str) -> None:
    library = "trio" if flavour == "trio" else "asyncio"
    assert sniffio.current_async_library() == library
    if library == "asyncio":
        module = type(asyncio.get_running_loop()).__module__
        assert module.startswith("uvloop") == (flavour == "uvloop")
    ran.append(flavour)


def test_async_tests_did_run() -> None:
    assert tuple(ran) == FLAVOURS


async def test_async_tests_need_not_name_the_flavour(certificates: Certificates) -> None:
    sniffio.current_async_library()


@pytest.mark.parametrize("flavour", ["trio"], indirect=True)
async def test_async_tests_may_choose_the_flavour() -> None:
    assert sniffio.current_async_library() == "trio"


def test_run_returns_the_result(run: Callable[..., Any]) -> None:
    async def double(number: int) -> int:
        return 2 * number

    assert run(double, 2) == 4
    assert run(double, number=3) == 6


@pytest.mark.parametrize("flavour", [flavour for flavour in FLAVOURS if flavour != "trio"])
def test_task_left_behind_is_noticed(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.flavours.GRACE", 0.0)
    tasks = []

    async def leave() -> None:
        tasks.append(asyncio.get_running_loop().create_task(asyncio.sleep(10)))

    with pytest.raises(AssertionError, match="left behind"):
        run_async(flavour, leave)


def test_trio_task_left_behind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.flavours.GRACE", 0.0)

    async def leave() -> None:
        trio.lowlevel.spawn_system_task(trio.sleep, 10)

    with pytest.raises(AssertionError, match="left behind"):
        run_async("trio", leave)


@pytest.mark.parametrize("flavour", [flavour for flavour in FLAVOURS if flavour != "trio"])
def test_report_to_the_event_loop_is_noticed(flavour: str) -> None:
    async def report() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "noise"})

    with pytest.raises(AssertionError, match="noise"):
        run_async(flavour, report)


def test_open_descriptor_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.guards.GRACE", 0.0)
    reader = writer = -1
    with pytest.raises(AssertionError, match="left open"), no_leaked_descriptors():
        reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("host", ["192.0.2.1", "8.8.8.8"])
def test_network_is_off(host: str) -> None:
    with socket.socket() as client, pytest.raises(AssertionError, match="loopback"):
        client.connect((host, 80))


def test_resolving_is_off() -> None:
    with pytest.raises(AssertionError, match="loopback"):
        socket.getaddrinfo("www.example.com", 80)


async def test_async_task_group() -> None:
    async def double(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return 2 * number

    async with AsyncTaskGroup() as group:
        jobs = [group.start(double, number) for number in range(3)]
        assert [await job.result() for job in jobs] == [0, 2, 4]
        with pytest.raises(ValueError, match="three"):
            await group.start(double, 3).result()
    with pytest.raises(ValueError, match="three"):
        async with AsyncTaskGroup() as group:
            group.start(double, 3)


async def test_async_task_group_cancels() -> None:
    event = AsyncEvent()
    async with AsyncTaskGroup() as group:
        job = group.start(event.wait, None)
        job.cancel()
    assert job.is_done()


def test_task_group() -> None:
    def double(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return 2 * number

    with TaskGroup() as group:
        jobs = [group.start(double, number) for number in range(3)]
        assert [job.result() for job in jobs] == [0, 2, 4]
    with pytest.raises(ValueError, match="three"), TaskGroup() as group:
        group.start(double, 3)
