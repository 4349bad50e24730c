"""`AsyncMockStream` under asyncio, uvloop and trio: waits, cancellation, watching."""

from __future__ import annotations

import ssl

import pytest

from httpcore_core._backends.mock import (
    Arrived,
    AsyncMockBackend,
    AsyncMockStream,
    Delay,
    Script,
)
from httpcore_core._backends.mock_clock import checkpoint
from httpcore_core._exceptions import (
    ConnectError,
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    WriteTimeout,
)
from tests.concurrency import AsyncTaskGroup

FOREVER = float("inf")


async def waits(stream: AsyncMockStream) -> None:
    """Return as soon as some other task waits for this stream."""
    while not stream._waiting:
        await checkpoint()


async def test_reads_writes_and_end() -> None:
    backend = AsyncMockBackend([b"one", b"two"])
    stream = await backend.connect_tcp("example.com", 80)
    await stream.write(b"request")
    assert [await stream.read(10) for _ in range(3)] == [b"one", b"two", b""]
    assert stream.written == b"request"
    await stream.aclose()
    await stream.aclose()
    assert backend.open_streams == 0


async def test_delays_and_time_limits_on_the_virtual_clock() -> None:
    stream = AsyncMockStream([Delay(1000.0), b"late"], accept=[Delay(500.0)])
    with pytest.raises(ReadTimeout):
        await stream.read(10, timeout=400.0)
    with pytest.raises(WriteTimeout):
        await stream.write(b"x", timeout=50.0)
    assert stream.clock.now() == 450.0
    assert await stream.read(10, timeout=1000.0) == b"late"
    assert stream.clock.now() == 1000.0


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    backend = AsyncMockBackend([])
    woken: list[tuple[float, float]] = []

    async def sleep(*naps: float) -> None:
        for nap in naps:
            await backend.sleep(nap)
            woken.append((nap, backend.now()))

    async with AsyncTaskGroup() as group:
        group.start(sleep, 5.0)
        group.start(sleep, 1.0, 1.0, 1.5)
        group.start(sleep, 3.0)
    assert woken == [(1.0, 1.0), (1.0, 2.0), (3.0, 3.0), (1.5, 3.5), (5.0, 5.0)]


async def test_timers_of_the_backend_run_while_code_sleeps() -> None:
    backend = AsyncMockBackend([])
    ran: list[float] = []
    backend.call_later(2.0, lambda: ran.append(backend.now()))
    await backend.sleep(1.0)
    assert ran == []
    await backend.sleep(1.5)
    assert ran == [2.0]


async def test_closing_wakes_a_reader_that_waits_for_ever() -> None:
    stream = AsyncMockStream([Delay(FOREVER)])
    async with AsyncTaskGroup() as group:
        job = group.start(stream.read, 10)
        await waits(stream)
        stream.abort()
        with pytest.raises(ReadError):
            await job.result()


async def test_an_arrival_wakes_the_reader() -> None:
    stream = AsyncMockStream([Delay(FOREVER)])
    async with AsyncTaskGroup() as group:
        job = group.start(stream.read, 10)
        await waits(stream)
        stream.arrive(b"here")
        assert await job.result() == b"here"


async def test_the_reader_gets_the_answer_to_what_another_task_writes() -> None:
    stream = AsyncMockStream([Arrived(b"answer", after=100)], accept=[100, Delay(FOREVER)])
    async with AsyncTaskGroup() as group:
        reader = group.start(stream.read, 10)
        writer = group.start(stream.write_until_readable, b"x" * 200)
        assert await reader.result() == b"answer"
        stream.arrive(b"more")
        assert await writer.result() == 100


async def test_two_readers_are_refused_and_a_cancelled_one_loses_nothing() -> None:
    stream = AsyncMockStream([Delay(FOREVER)])
    async with AsyncTaskGroup() as group:
        job = group.start(stream.read, 10)
        await waits(stream)
        with pytest.raises(LocalProtocolError, match="already reading"):
            await stream.read(10)
        job.cancel()
        await job.task.wait()
    stream.arrive(b"still here")
    assert await stream.read(10) == b"still here"


async def test_watching_tells_once_of_an_arrival() -> None:
    told: list[str] = []
    stream = AsyncMockStream([Delay(FOREVER)])
    assert stream.watch(lambda: told.append("stopped"))
    stream.watch(None)
    stream.watch(lambda: told.append("arrived"))
    stream.arrive(b"")
    stream.arrive(b"")
    assert told == ["arrived"]


async def test_watching_tells_of_what_the_script_has_and_of_what_is_there() -> None:
    told: list[float] = []
    backend = AsyncMockBackend.scripted([[Delay(3.0), Arrived(b"")], [Arrived(b"")]])
    later = await backend.connect_tcp("a", 1)
    later.watch(lambda: told.append(backend.now()))
    await backend.sleep(4.0)
    assert told == [3.0]
    there = await backend.connect_tcp("a", 1)
    there.watch(lambda: told.append(-1.0))
    await backend.sleep(1.0)
    assert told == [3.0, -1.0]


async def test_connects_and_handshakes_are_scripted(client_ssl_context: ssl.SSLContext) -> None:
    script = Script([b"data"], handshake=[None, ConnectError("bad certificate")], http2=True)
    backend = AsyncMockBackend.scripted([script], connect=[[Delay(1.0), ConnectError("refused")]])
    with pytest.raises(ConnectError, match="refused"):
        await backend.connect_tcp("a", 1)
    assert (backend.streams, backend.now()) == ([], 1.0)
    stream = await backend.connect_tcp("a", 1)  # a failed attempt uses no script up
    secure = await stream.start_tls(client_ssl_context, "a", timeout=5.0)
    assert secure.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"


async def test_tls_within_tls_is_two_handshakes(client_ssl_context: ssl.SSLContext) -> None:
    backend = AsyncMockBackend([b"data"], handshake=[Delay(1.0), ConnectError("bad certificate")])
    stream = await backend.connect_tcp("proxy", 443)
    outer = await stream.start_tls(client_ssl_context, "proxy", timeout=5.0)
    assert outer.get_extra_info("ssl_object").server_hostname == "proxy"
    with pytest.raises(ConnectError, match="bad certificate"):
        await outer.start_tls(client_ssl_context, "origin", timeout=5.0)
    assert stream.server_hostnames == ["proxy", "origin"]
    assert backend.open_streams == 0


async def test_what_was_taken_when_a_write_is_cancelled() -> None:
    stream = AsyncMockStream([Delay(FOREVER)], accept=[3, Delay(FOREVER)])
    async with AsyncTaskGroup() as group:
        job = group.start(stream.write_until_readable, b"0123456789")
        await waits(stream)
        job.cancel()
        await job.task.wait()
    assert stream.bytes_taken == 3
    with pytest.raises(WriteTimeout):
        await stream.write_until_readable(b"3456789", 1.0)
    assert stream.bytes_taken == 0
    assert stream.written == b"012"


async def test_a_served_read_ends_a_write() -> None:
    stream = AsyncMockStream([Delay(1.0), b"unasked"], accept=[3, Delay(FOREVER)])
    async with AsyncTaskGroup() as group:
        reader = group.start(stream.read, 10)
        writer = group.start(stream.write_until_readable, b"0123456789")
        assert await reader.result() == b"unasked"
        assert await writer.result() == 3
