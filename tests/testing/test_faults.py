"""`FaultBackend` and `AsyncFaultBackend`: what is planned happens, and nothing else."""

from __future__ import annotations

import ssl

import pytest

from httpcore_core._backends.mock import Arrived, AsyncMockBackend, Delay, MockBackend
from httpcore_core._exceptions import ConnectError, ReadError, ReadTimeout, WriteError, WriteTimeout
from httpcore_core.testing import END, RESET, AsyncFaultBackend, FaultBackend, Faults


def test_short_reads_and_writes() -> None:
    inner = MockBackend([b"abcde"])
    stream = FaultBackend(inner, Faults(read_size=2, write_size=3)).connect_tcp("a", 1)
    stream.write(b"12345678")
    assert inner.streams[0].writes == [b"123", b"456", b"78"]
    assert [stream.read(100) for _ in range(4)] == [b"ab", b"cd", b"e", b""]


def test_faults_by_number_of_any_operation_or_of_one() -> None:
    faults = Faults()
    faults.at(3, RESET)
    faults.at(3, WriteTimeout("stuck"), "write")
    stream = FaultBackend(MockBackend([b"one", b"two"]), faults).connect_tcp("a", 1)
    stream.write(b"1")
    with pytest.raises(ReadError) as caught:
        stream.read(10)
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    stream.write(b"2")
    with pytest.raises(WriteTimeout, match="stuck"):
        stream.write(b"3")
    assert stream.read(10) == b"one"
    assert faults.operations == ["connect", "write", "read", "write", "write", "read"]


def test_the_end_stays_the_end() -> None:
    faults = Faults()
    faults.at(2, END, "read")
    stream = FaultBackend(MockBackend([b"one", b"two"]), faults).connect_tcp("a", 1)
    assert [stream.read(10) for _ in range(3)] == [b"one", b"", b""]
    assert stream.is_readable()
    assert stream.read_nowait(10) == b""


def test_a_fault_afterwards_loses_the_result() -> None:
    inner = MockBackend([b"one", b"two"])
    faults = Faults()
    faults.at(1, KeyboardInterrupt, "read", after=True)
    stream = FaultBackend(inner, faults).connect_tcp("a", 1)
    with pytest.raises(KeyboardInterrupt):
        stream.read(10)
    assert stream.read(10) == b"two"


def test_an_interrupted_connect_or_handshake_leaves_no_stream_open() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number, after in ((1, True), (2, False), (2, True)):
        inner = MockBackend([])
        faults = Faults()
        faults.at(number, KeyboardInterrupt, after=after)
        with pytest.raises(KeyboardInterrupt):
            FaultBackend(inner, faults).connect_tcp("a", 1).start_tls(context, "a")
        assert inner.open_streams == 0
        assert len(inner.streams) == 1


def test_a_refused_connection_reaches_nobody() -> None:
    inner = MockBackend([])
    faults = Faults()
    faults.at(1, RESET)
    with pytest.raises(ConnectError):
        FaultBackend(inner, faults).connect_unix_socket("/run/x")
    assert inner.connects == []


def test_functions_are_called() -> None:
    called: list[str] = []
    faults = Faults()
    faults.at(2, lambda: called.append("called"))
    stream = FaultBackend(MockBackend([b"data"]), faults).connect_tcp("a", 1)
    assert stream.read(10) == b"data"
    assert called == ["called"]


def test_delays_are_on_the_clock_and_in_the_timeouts() -> None:
    backend = FaultBackend(MockBackend([b"data"]), Faults(delay=2.0))
    stream = backend.connect_tcp("a", 1)
    assert stream.read(10, timeout=3.0) == b"data"
    assert backend.now() == 4.0
    with pytest.raises(ReadTimeout) as caught:
        stream.read(10, timeout=1.0)
    assert caught.value.limit == 1.0
    assert backend.now() == 5.0


def test_an_early_answer_ends_a_write_in_pieces() -> None:
    inner = MockBackend([Arrived(b"413", after=5)])
    stream = FaultBackend(inner, Faults(write_size=3)).connect_tcp("a", 1)
    assert stream.write_until_readable(b"12345678") == 5
    assert stream.read_nowait(10) == b"413"


def test_the_rest_is_passed_on() -> None:
    inner = MockBackend([])
    backend = FaultBackend(inner, Faults())
    stream = backend.connect_tcp("a", 1)
    backend.sleep(1.0)
    assert inner.sleeps == [1.0]
    assert stream.get_extra_info("server_addr") == ("a", 1)
    assert stream.get_extra_info("is_readable") is False
    assert stream.watch(None) is False
    assert stream.abort()
    stream.forget()
    assert inner.open_streams == 0


async def test_async_faults() -> None:
    inner = AsyncMockBackend([b"abc", b"def"])
    faults = Faults(read_size=2, write_size=2, delay=0.5)
    faults.at(2, RESET, "write")
    faults.at(3, END, "read")
    backend = AsyncFaultBackend(inner, faults)
    stream = await backend.connect_tcp("a", 1)
    with pytest.raises(WriteError):
        await stream.write(b"123")
    assert inner.streams[0].written == b"12"
    assert await stream.write_until_readable(b"45") == 2
    assert [await stream.read(10) for _ in range(4)] == [b"ab", b"c", b"", b""]
    await backend.sleep(1.0)
    assert len(faults.operations) == 8
    assert backend.now() == 1.0 + 0.5 * 7  # the reset took no time
    assert backend.context() is None
    backend.call_later(1.0, stream.forget)
    await backend.sleep(2.0)
    assert inner.open_streams == 0
    await stream.aclose()


async def test_async_connects_and_handshakes_leave_no_stream_open() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number, after in ((1, True), (2, False), (2, True)):
        inner = AsyncMockBackend([])
        faults = Faults()
        faults.at(number, ReadError("fault"), after=after)
        backend = AsyncFaultBackend(inner, faults)
        with pytest.raises(ReadError):
            await (await backend.connect_unix_socket("/run/x")).start_tls(context, "a")
        assert inner.open_streams == 0


def test_what_was_taken_before_a_fault() -> None:
    faults = Faults(write_size=4)
    faults.at(2, WriteTimeout("stuck"), "write")
    faults.at(4, WriteTimeout("stuck"), "write", after=True)
    inner = MockBackend([], accept=[11, Delay(10.0)])
    stream = FaultBackend(inner, faults).connect_tcp("a", 1)
    for buffer, taken in ((b"0123456789", 4), (b"45678901", 7), (b"12", 0)):
        with pytest.raises(WriteTimeout):
            stream.write_until_readable(buffer, 1.0)
        assert stream.bytes_taken == taken
    assert inner.streams[0].written == b"01234567890"


def test_what_the_stream_does_not_know_is_not_known() -> None:
    faults = Faults()
    stream = FaultBackend(MockBackend([], accept=[WriteError]), faults).connect_tcp("a", 1)
    with pytest.raises(WriteError):
        stream.write_until_readable(b"x")
    assert stream.bytes_taken is None


async def test_what_was_taken_before_a_fault_in_async_code() -> None:
    faults = Faults(write_size=4)
    faults.at(2, WriteTimeout("stuck"), "write")
    inner = AsyncMockBackend([], accept=[6, Delay(10.0)])
    stream = await AsyncFaultBackend(inner, faults).connect_tcp("a", 1)
    for taken in (4, 2):
        with pytest.raises(WriteTimeout):
            await stream.write_until_readable(b"01234567", 1.0)
        assert stream.bytes_taken == taken


def test_the_rest_of_the_stream_is_pushed() -> None:
    """As TLS has one; pushing is an operation like others."""
    faults = Faults()
    inner = MockBackend([])
    stream = FaultBackend(inner, faults).connect_tcp("a", 1)
    assert stream.write_until_readable(b"") == 0
    assert faults.operations == ["connect"]
    inner.streams[0].has_unsent = True
    assert stream.has_unsent
    assert stream.write_until_readable(b"") == 0
    assert faults.operations == ["connect", "write"]
