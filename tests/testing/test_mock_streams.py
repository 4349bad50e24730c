"""`MockStream`: canned reads, recorded writes, and faults, on a virtual clock."""

from __future__ import annotations

import ssl
import time

import pytest

from httpcore_core._backends.mock import Arrived, Delay, MockBackend, MockStream, VirtualClock
from httpcore_core._exceptions import (
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)

FOREVER = float("inf")


def test_each_item_is_one_read_and_the_end_stays() -> None:
    stream = MockStream([b"one", b"two"])
    assert [stream.read(100) for _ in range(4)] == [b"one", b"two", b"", b""]


def test_a_read_returns_no_more_than_was_asked_for() -> None:
    stream = MockStream([b"abcdef", b"gh"])
    assert [stream.read(4) for _ in range(4)] == [b"abcd", b"ef", b"gh", b""]


def test_an_empty_item_is_the_end_whatever_follows() -> None:
    stream = MockStream([b"", b"never"])
    assert stream.read(100) == b""
    assert stream.read(100) == b""


def test_writes_are_recorded_one_by_one() -> None:
    stream = MockStream([])
    stream.write(b"GET / HTTP/1.1\r\n")
    stream.write(b"\r\n")
    assert stream.writes == [b"GET / HTTP/1.1\r\n", b"\r\n"]
    assert stream.written == b"GET / HTTP/1.1\r\n\r\n"


def test_exceptions_are_raised_by_their_read_as_instance_or_as_class() -> None:
    error = ReadError("reset")
    stream = MockStream([b"first", error, ReadTimeout, b"after"])
    assert stream.read(100) == b"first"
    with pytest.raises(ReadError) as caught:
        stream.read(100)
    assert caught.value is error
    with pytest.raises(ReadTimeout):
        stream.read(100)
    assert stream.read(100) == b"after"


def test_a_delay_takes_virtual_time_only() -> None:
    stream = MockStream([Delay(3600.0), b"late"])
    started = time.monotonic()
    assert stream.read(100, timeout=7200.0) == b"late"
    assert stream.clock.now() == 3600.0
    assert time.monotonic() - started < 10.0


def test_a_delay_longer_than_the_timeout_is_a_read_timeout_and_loses_nothing() -> None:
    stream = MockStream([Delay(3.0), b"late"])
    with pytest.raises(ReadTimeout) as caught:
        stream.read(100, timeout=2.0)
    assert caught.value.limit == 2.0
    assert stream.clock.now() == 2.0
    assert stream.read(100, timeout=2.0) == b"late"
    assert stream.clock.now() == 3.0


def test_timeout_zero_takes_only_what_is_there() -> None:
    stream = MockStream([b"there", Delay(0.1), b"late"])
    assert stream.read(100, timeout=0) == b"there"
    with pytest.raises(ReadTimeout):
        stream.read(100, timeout=0)


def test_a_peer_that_hangs_is_an_error_of_the_test_unless_a_timeout_ends_it() -> None:
    stream = MockStream([Delay(FOREVER)])
    with pytest.raises(RuntimeError, match="hangs"):
        stream.read(100)
    with pytest.raises(ReadTimeout):
        stream.read(100, timeout=5.0)


def test_canned_reads_do_not_make_an_idle_stream_readable() -> None:
    stream = MockStream([b"HTTP/1.1 200 OK\r\n\r\n"])
    assert not stream.is_readable()
    assert stream.get_extra_info("is_readable") is False
    assert stream.read_nowait(100) is None


def test_what_has_arrived_does() -> None:
    stream = MockStream([Arrived(b"unasked"), Arrived(b"")])
    assert stream.get_extra_info("is_readable") is True
    assert stream.read_nowait(100) == b"unasked"
    assert stream.read_nowait(100) == b""
    assert stream.read(100) == b""


def test_the_rest_of_a_segment_has_arrived_with_its_beginning() -> None:
    stream = MockStream([b"abcdef"])
    stream.read(4)
    assert stream.is_readable()
    assert stream.read_nowait(100) == b"ef"


def test_an_arrival_after_a_delay_comes_with_the_clock() -> None:
    stream = MockStream([b"response", Delay(10.0), Arrived(b"")])
    stream.read(100)
    stream.clock.advance(9.0)
    assert not stream.is_readable()
    stream.clock.advance(1.0)
    assert stream.is_readable()


def test_arrive_comes_before_the_rest_of_the_script() -> None:
    stream = MockStream([Delay(5.0), b"scripted"])
    stream.arrive(b"408")
    assert stream.is_readable()
    assert stream.read(100) == b"408"
    assert stream.read(100) == b"scripted"
    assert stream.clock.now() == 5.0


def test_an_answer_in_the_middle_of_an_upload_stops_the_write() -> None:
    stream = MockStream([Arrived(b"413", after=150)])
    assert stream.write_until_readable(b"x" * 100) == 100
    assert stream.write_until_readable(b"x" * 100) == 50
    assert stream.write_until_readable(b"x" * 100) == 0
    assert stream.read(100) == b"413"
    assert len(stream.written) == 150


def test_the_peer_accepts_some_bytes_and_then_fails() -> None:
    stream = MockStream([], accept=[5, WriteError("broken pipe")])
    stream.write(b"abc")
    with pytest.raises(WriteError, match="broken pipe"):
        stream.write(b"defg")
    assert stream.writes == [b"abc", b"de"]


def test_a_stalled_write_times_out_with_what_was_accepted_recorded() -> None:
    stream = MockStream([], accept=[4, Delay(FOREVER)])
    with pytest.raises(WriteTimeout) as caught:
        stream.write(b"abcdef", timeout=2.5)
    assert caught.value.limit == 2.5
    assert stream.written == b"abcd"
    assert stream.clock.now() == 2.5


def test_the_write_timeout_starts_anew_with_each_progress() -> None:
    stream = MockStream([], accept=[2, Delay(2.0), 2, Delay(2.0)])
    stream.write(b"abcdef", timeout=3.0)
    assert stream.written == b"abcdef"
    assert stream.clock.now() == 4.0


def test_a_stalled_write_is_ended_by_an_answer() -> None:
    stream = MockStream([Delay(1.0), Arrived(b"413")], accept=[4, Delay(FOREVER)])
    assert stream.write_until_readable(b"abcdef", timeout=10.0) == 4
    assert stream.clock.now() == 1.0


@pytest.mark.parametrize("close", ["close", "abort", "forget"])
def test_a_closed_stream_neither_reads_nor_writes(close: str) -> None:
    stream = MockStream([b"data"])
    getattr(stream, close)()
    getattr(stream, close)()
    assert stream.is_closed
    with pytest.raises(ReadError):
        stream.read(100)
    with pytest.raises(WriteError):
        stream.write(b"x")


def test_http2_is_what_alpn_says() -> None:
    assert MockStream([], http2=True).get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    assert MockStream([]).get_extra_info("ssl_object") is None


def test_start_tls_records_the_name_and_sets_the_ssl_object() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stream = MockStream([b"inside"])
    secure = stream.start_tls(context, server_hostname="example.com", timeout=1.0)
    assert stream.server_hostnames == ["example.com"]
    assert secure.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    assert secure.read(100) == b"inside"


def test_a_failed_handshake_closes_the_stream() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stream = MockStream([], handshake=[ConnectError("certificate has expired")])
    with pytest.raises(ConnectError, match="expired"):
        stream.start_tls(context, "example.com")
    assert stream.is_closed
    slow = MockStream([], handshake=[Delay(10.0)])
    with pytest.raises(ConnectTimeout) as caught:
        slow.start_tls(context, "example.com", timeout=1.0)
    assert (caught.value.limit, caught.value.phase) == (1.0, "tls")


def test_a_script_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="'text'"):
        MockStream(["text"])  # type: ignore[list-item]


def test_timers_run_in_order_each_at_its_time() -> None:
    clock = VirtualClock()
    ran: list[tuple[str, float]] = []
    clock.call_later(2.0, lambda: ran.append(("second", clock.now())))
    clock.call_later(1.0, lambda: ran.append(("first", clock.now())))
    clock.call_later(3.0, lambda: ran.append(("never", clock.now()))).cancel()
    clock.advance(2.5)
    assert ran == [("first", 1.0), ("second", 2.0)]
    clock.advance(10.0)
    assert len(ran) == 2
    assert clock.now() == 12.5


def test_two_readers_are_refused() -> None:
    stream = MockStream([Delay(1.0), b"data"])

    def read_again() -> None:
        with pytest.raises(LocalProtocolError, match="already reading"):
            stream.read(1)
        with pytest.raises(LocalProtocolError, match="already writing"):
            writing.write(b"x")

    writing = MockStream([], accept=[Delay(2.0)], clock=stream.clock)
    stream.clock.call_later(0.5, lambda: writing.write(b"x"))  # waits until 2.0, so nested
    stream.clock.call_later(0.75, read_again)
    assert stream.read(10) == b"data"
    assert writing.written == b"x"


def test_the_backend_records_connects_and_counts_open_streams() -> None:
    backend = MockBackend([b"data"])
    options = [(6, 1, 1)]
    first = backend.connect_tcp("example.com", 443, 5.0, "127.0.0.1", options)
    second = backend.connect_unix_socket("/run/x", timeout=1.0)
    assert backend.streams == [first, second]
    assert backend.connects[0] == ("example.com", 443, None, 5.0, "127.0.0.1", options)
    assert backend.connects[1] == (None, None, "/run/x", 1.0, None, None)
    assert first.get_extra_info("server_addr") == ("example.com", 443)
    assert first.read(10) == second.read(10) == b"data"
    assert backend.open_streams == 2
    first.close()
    second.abort()
    assert backend.open_streams == 0


def test_connects_fail_and_are_slow_as_scripted() -> None:
    backend = MockBackend(
        [b"data"], connect=[ConnectError("refused"), Delay(9.0), [Delay(1.0), ConnectError], None]
    )
    with pytest.raises(ConnectError, match="refused"):
        backend.connect_tcp("example.com", 80)
    with pytest.raises(ConnectTimeout) as caught:
        backend.connect_tcp("example.com", 80, timeout=3.0)
    assert (caught.value.limit, caught.value.phase) == (3.0, "connect")
    assert backend.now() == 3.0
    with pytest.raises(ConnectError):
        backend.connect_tcp("example.com", 80, timeout=3.0)
    assert backend.now() == 4.0
    backend.connect_tcp("example.com", 80)
    backend.connect_tcp("example.com", 80)
    assert (len(backend.connects), len(backend.streams)) == (5, 2)


def test_scripted_gives_each_connection_its_own() -> None:
    backend = MockBackend.scripted([[b"one"], [b"two"]])
    assert backend.connect_tcp("a", 1).read(10) == b"one"
    assert backend.connect_tcp("a", 1).read(10) == b"two"
    with pytest.raises(ConnectError, match="no script"):
        backend.connect_tcp("a", 1)


def test_sleep_moves_the_clock_and_is_recorded() -> None:
    backend = MockBackend([])
    backend.sleep(0.5)
    backend.sleep(1.0)
    assert backend.sleeps == [0.5, 1.0]
    assert backend.now() == backend.clock.now() == 1.5


def test_what_was_taken_when_a_write_times_out() -> None:
    stream = MockStream([], accept=[3, Delay(10.0), 4, Delay(10.0)])
    for taken in (3, 4):
        with pytest.raises(WriteTimeout):
            stream.write_until_readable(b"0123456789", timeout=5.0)
        assert stream.bytes_taken == taken
        stream.clock.advance(5.0)
    assert stream.write_until_readable(b"789") == 3
    assert stream.written == b"0120123789"
    assert not stream.has_unsent


def test_what_was_taken_is_not_known_after_an_error() -> None:
    stream = MockStream([], accept=[3, WriteError("reset")])
    with pytest.raises(WriteError):
        stream.write_until_readable(b"0123456789")
    assert stream.bytes_taken is None
