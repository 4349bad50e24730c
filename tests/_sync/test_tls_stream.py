"""TLS over a stream in memory: who waits for what, in which order, and what is left after errors
(contracts N1, N5, N6; invariants I1, I2, I5)."""

from __future__ import annotations

import gc
import ssl
import weakref

import pytest

from httpcore_core import (
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)
from httpcore_core._backends.sync_tls import TLSStream, start_tls
from httpcore_core._backends.sync import SyncBackend
from tests.certificates import Certificates
from tests.concurrency import TaskGroup

from .memory import BareStream, MemoryStream, Interrupted


class Clock:
    """A second passes whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def connect(
    certificates: Certificates, *, tickets: bool = False
) -> tuple[TLSStream, MemoryStream]:
    """A connection. With `tickets` the server's TLS 1.3 tickets have not been read yet."""
    wire = MemoryStream(certificates.server_context())
    stream = start_tls(wire, certificates.client_context(), "localhost", 5.0)
    if not tickets:
        assert stream.read_nowait(1) is None
    wire.calls = 0
    wire.raw_received.clear()
    wire.timeouts.clear()
    return stream, wire


# The handshake


@pytest.mark.parametrize("step", [1, 100, 1 << 20])
def test_handshake_and_data_in_any_pieces(certificates: Certificates, step: int) -> None:
    wire = MemoryStream(certificates.server_context(), step)
    stream = start_tls(wire, certificates.client_context(), "localhost", 5.0)
    stream.write(b"question", 5.0)
    assert wire.received == b"question"
    wire.say(b"answer")
    assert stream.read(100, 5.0) == b"answer"
    assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
    stream.close()
    assert wire.closed == ["closed"]


def test_n1_one_limit_for_the_whole_handshake(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context(), step=400)
    start_tls(wire, certificates.client_context(), "localhost", 99.0, Clock())
    assert wire.timeouts[0] == 99.0
    assert len(wire.timeouts) >= 5
    left = [timeout for timeout in wire.timeouts if timeout is not None]
    assert sorted(left, reverse=True) == left
    assert left[-1] < 95.0


def test_n1_a_silent_server(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context())
    wire.room = 0
    with pytest.raises(ConnectTimeout, match=r"tls: the TLS handshake timed out \(limit 2 s\)"):
        start_tls(wire, certificates.client_context(), "localhost", 2.0)
    assert wire.closed == ["aborted"]


def test_n5_a_refused_certificate(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context(certificates.expired))
    with pytest.raises(ConnectError, match="certificate has expired"):
        start_tls(wire, certificates.client_context(), "localhost", 5.0)
    assert wire.closed == ["aborted"]
    assert "alert certificate expired" in wire.refusal


def test_a_stream_that_cannot_abort_is_closed(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context(certificates.expired))
    wire.can_abort = False
    with pytest.raises(ConnectError):
        start_tls(wire, certificates.client_context(), "localhost", 5.0)
    assert wire.closed == ["closed"]


def test_an_impossible_server_name_closes_the_stream(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context())
    with pytest.raises(LocalProtocolError):
        start_tls(wire, certificates.client_context(), ".", 5.0)
    assert (wire.closed, wire.calls) == (["aborted"], 0)


def test_the_network_breaks_in_the_handshake(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context())
    wire.error = ReadError("reset by the peer")
    wire.on_write = wire.arrived.clear
    with pytest.raises(ConnectError, match="broke during the TLS handshake: reset by the peer"):
        start_tls(wire, certificates.client_context(), "localhost", 5.0)
    assert wire.closed == ["aborted"]


def test_the_server_leaves_in_the_handshake(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context())
    wire.on_write = wire.arrived.clear
    wire.cut()
    with pytest.raises(ConnectError, match="'localhost' closed the connection during the TLS"):
        start_tls(wire, certificates.client_context(), "localhost", 5.0)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_p1_a_handshake_interrupted_at_any_step(
    certificates: Certificates, number: int
) -> None:
    wire = MemoryStream(certificates.server_context())
    wire.interrupt_at = number
    with pytest.raises(Interrupted):
        start_tls(wire, certificates.client_context(), "localhost", 5.0)
    assert wire.closed == ["aborted"]


# Reading


def test_reading_what_is_there_does_not_ask_the_network(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.say(b"0123456789")
    assert [stream.read(4, 5.0) for _ in range(3)] == [b"0123", b"4567", b"89"]
    assert wire.calls == 1


def test_a_read_timeout_covers_tickets_too(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context())
    clock = Clock()
    stream = start_tls(wire, certificates.client_context(), "localhost", None, clock)
    wire.timeouts.clear()
    with pytest.raises(ReadTimeout) as caught:
        stream.read(100, 5.0)
    assert wire.timeouts == [5.0, 4.0]
    assert caught.value.limit == 5.0


def test_a_poll_takes_what_is_there(certificates: Certificates) -> None:
    stream, wire = connect(certificates, tickets=True)
    with pytest.raises(ReadTimeout) as caught:
        stream.read(100, 0.0)
    assert caught.value.limit == 0.0
    wire.say(b"x")
    assert stream.read(100, 0.0) == b"x"


def test_n6_truncation(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.say(b"whole")
    wire.cut()
    assert stream.read(100, 5.0) == b"whole"
    with pytest.raises(ReadError, match="closed without close_notify"):
        stream.read(100, 5.0)


def test_n6_a_proper_end(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.say(b"whole")
    wire.end()
    assert stream.read(100, 5.0) == b"whole"
    assert [stream.read(100, 5.0) for _ in range(2)] == [b"", b""]


def test_n6_the_end_is_seen_without_the_networks(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.end()
    wire.has_ended = False
    assert stream.read(100, 5.0) == b""


def test_an_interrupted_read_loses_nothing(certificates: Certificates) -> None:
    stream, wire = connect(certificates, tickets=True)
    wire.say(b"abc")
    wire.step = 50
    for number in (1, 3, 5):
        wire.interrupt_at = number
        with pytest.raises(Interrupted):
            stream.read(100, 5.0)
    wire.interrupt_at = 0
    assert stream.read(100, 5.0) == b"abc"


def test_readable_means_plaintext(certificates: Certificates) -> None:
    stream, wire = connect(certificates, tickets=True)
    assert wire.is_readable()
    assert not stream.is_readable()
    assert stream.get_extra_info("is_readable") is False
    assert stream.read_nowait(100) is None
    wire.say(b"x")
    assert stream.is_readable()
    assert stream.read_nowait(100) == b"x"
    assert not stream.is_readable()
    wire.end()
    assert stream.is_readable()
    assert stream.read_nowait(100) == b""


def test_readable_includes_errors_and_keeps_the_data_before(
    certificates: Certificates,
) -> None:
    stream, wire = connect(certificates)
    wire.error = ReadError("reset by the peer")
    assert stream.is_readable()
    wire.error = None  # a socket reports a reset once
    with pytest.raises(ReadError, match="reset by the peer"):
        stream.read(100, 5.0)
    stream, wire = connect(certificates)
    wire.say(b"data")
    wire.error = ReadError("reset by the peer")
    assert stream.read(100, 5.0) == b"data"
    assert stream.is_readable()
    with pytest.raises(ReadError, match="reset by the peer"):
        stream.read_nowait(100)


def test_errors_keep_nothing_alive(certificates: Certificates) -> None:
    """I5: an exception that is kept would keep frames, and with them the socket."""
    stream, wire = connect(certificates)
    wire.arrived += b"not a TLS record"
    with pytest.raises(ReadError, match="TLS failed"):
        stream.read(100, 5.0)
    gone = weakref.ref(wire)
    gc.collect()
    gc.disable()
    try:
        del stream, wire
        assert gone() is None
    finally:
        gc.enable()


# Writing


def test_large_writes_go_in_pieces(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    data = bytes(range(256)) * 4000
    stream.write(data, 5.0)
    assert wire.received == data
    assert wire.calls == 8
    assert wire.timeouts == [5.0] * 8
    stream.write(b"", 5.0)
    assert wire.calls == 8


def test_after_an_unfinished_write_only_reading_goes_on(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.room = 1000
    with pytest.raises(WriteTimeout):
        stream.write(b"x" * 100_000, 5.0)
    wire.room = 1 << 20
    wire.raw_received.clear()
    with pytest.raises(WriteError, match="an earlier write was not finished"):
        stream.write(b"more", 5.0)
    wire.say(b"answer")
    assert stream.read(100, 5.0) == b"answer"
    stream.close()
    assert not wire.raw_received


def test_an_interrupted_write_breaks_the_stream_for_writing(
    certificates: Certificates,
) -> None:
    stream, wire = connect(certificates)
    wire.interrupt_at = 1
    with pytest.raises(Interrupted):
        stream.write(b"x", 5.0)
    with pytest.raises(WriteError, match="an earlier write was not finished"):
        stream.write_until_readable(b"more", 5.0)
    assert stream.write_nowait(b"more") == 0


def test_h6_writing_stops_when_an_answer_comes(certificates: Certificates) -> None:
    stream, wire = connect(certificates)

    def answer() -> None:
        wire.on_write = None
        wire.say(b"enough")

    wire.on_write = answer
    wire.room = 200_000
    count = stream.write_until_readable(b"x" * 1_000_000, 5.0)
    assert 0 < count < 200_000
    assert wire.received == b"x" * count
    assert stream.write_until_readable(b"x", 5.0) == 0
    assert stream.read(100, 5.0) == b"enough"


def test_the_rest_of_a_record_is_sent_by_a_read_that_waits(
    certificates: Certificates,
) -> None:
    stream, wire = connect(certificates)
    wire.room, wire.on_write = 50, lambda: None if wire.received else wire.say(b"!")
    data = b"x" * 1000
    assert stream.write_until_readable(data, 5.0) == len(data)
    assert not wire.received
    assert stream.read(100, 5.0) == b"!"
    wire.room, wire.on_write = 1 << 20, None
    with pytest.raises(ReadTimeout):
        stream.read(100, 0.0)  # which does not wait
    assert not wire.received
    with pytest.raises(ReadTimeout):
        stream.read(100, 5.0)
    assert wire.received == data


def test_the_rest_of_a_record_goes_before_a_later_write(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.room, wire.on_write = 10, lambda: None if wire.received else wire.say(b"!")
    assert stream.write_until_readable(b"first", 5.0) == 5
    assert stream.read(100, 5.0) == b"!"
    wire.room, wire.on_write = 1 << 20, None
    assert stream.write_nowait(b"no") == 0
    stream.write(b"second", 5.0)
    assert wire.received == b"firstsecond"


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_write_that_was_not_finished_goes_on(
    certificates: Certificates, is_cancelled: bool
) -> None:
    stream, wire = connect(certificates)
    wire.tells, wire.is_cancelled_when_full, wire.room = True, is_cancelled, 200_000
    data = bytes(range(250)) * 2000
    assert not stream.has_unsent
    with pytest.raises(Interrupted if is_cancelled else WriteTimeout):
        stream.write_until_readable(data, 5.0)
    taken = stream.bytes_taken
    assert taken == 2 * 128 * 1024
    assert stream.has_unsent
    assert len(wire.raw_received) == 200_000
    with pytest.raises(Interrupted if is_cancelled else WriteTimeout):
        stream.write_until_readable(data[taken:], 5.0)
    assert stream.bytes_taken == 0  # the rest of the last piece goes first and alone
    wire.room = 1 << 30
    assert stream.write_until_readable(b"", 5.0) == 0
    assert not stream.has_unsent
    assert wire.received == data[:taken]
    assert stream.write_until_readable(data[taken:], 5.0) == len(data) - taken
    stream.write(b"end", 5.0)
    assert wire.received == data + b"end"


def test_what_is_unsent_waits_for_what_is_readable(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.tells, wire.room = True, 10
    with pytest.raises(WriteTimeout):
        stream.write_until_readable(b"data", 5.0)
    wire.room = 1 << 30
    wire.say(b"!")
    assert stream.write_until_readable(b"", 5.0) == 0
    assert stream.has_unsent
    assert stream.read(100, 5.0) == b"!"
    assert stream.write_until_readable(b"", 5.0) == 0
    assert wire.received == b"data"


def test_interrupted_before_anything_was_sent(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.tells, wire.interrupt_at = True, 2
    with pytest.raises(Interrupted):
        stream.write_until_readable(b"x" * 200_000, 5.0)
    assert (stream.bytes_taken, stream.has_unsent) == (200_000, True)
    assert len(wire.received) == 128 * 1024
    assert stream.write_until_readable(b"", 5.0) == 0
    assert len(wire.received) == 200_000


def test_the_networks_own_rest_is_sent_first(certificates: Certificates) -> None:
    """As of TLS within TLS; an interruption then sends nothing twice."""
    stream, wire = connect(certificates)
    wire.tells = True
    for number in (1, 3):
        wire.has_unsent, wire.calls, wire.interrupt_at = True, 0, number
        assert stream.has_unsent

        def leave_something() -> None:
            wire.on_write, wire.has_unsent = None, True

        wire.on_write = leave_something if number == 3 else None
        with pytest.raises(Interrupted):
            stream.write_until_readable(b"data", 5.0)
    assert stream.bytes_taken == 4
    assert stream.has_unsent
    wire.interrupt_at = 0
    assert stream.write_until_readable(b"", 5.0) == 0
    assert wire.received == b"data"
    assert not stream.has_unsent


def test_a_read_interrupted_while_it_answers_breaks_nothing(
    certificates: Certificates,
) -> None:
    stream, wire = connect(certificates)
    wire.tells, wire.room, wire.is_cancelled_when_full = True, 10, True
    with pytest.raises(Interrupted):
        stream.write_until_readable(b"data", 5.0)
    wire.room = 10
    with pytest.raises(Interrupted):
        stream.read(100, 5.0)
    wire.room = 1 << 30
    stream.write(b"more", 5.0)
    assert wire.received == b"datamore"


@pytest.mark.parametrize("how", ["untold", "interrupt", "error"])
def test_what_is_not_known_breaks_the_stream(certificates: Certificates, how: str) -> None:
    stream, wire = connect(certificates)
    wire.tells, wire.room = how != "untold", 10
    expected: type[BaseException] = WriteTimeout
    if how != "untold":
        expected = KeyboardInterrupt if how == "interrupt" else WriteError

        def fail() -> None:
            raise expected("by the test")

        wire.on_write = fail
    with pytest.raises(expected):
        stream.write_until_readable(b"data", 5.0)
    assert stream.bytes_taken is None
    assert not stream.has_unsent  # nothing will be sent any more
    with pytest.raises(WriteError, match="an earlier write was not finished"):
        stream.write_until_readable(b"", 5.0)


def test_a_write_ends_where_somebody_else_reads(certificates: Certificates) -> None:
    """It could only spin, as what has come is the other's to take in."""
    stream, wire = connect(certificates)
    wire.room = 150_000
    stream._begin_reading()  # as the other does
    wire.on_write = lambda: wire.say(b"!") if wire.room == 0 else None
    data = b"x" * 500_000
    assert stream.write_until_readable(data, 5.0) == 256 * 1024
    assert stream.has_unsent
    calls = wire.calls
    assert stream.write_until_readable(data, 5.0) == 0
    assert wire.calls == calls + 1
    stream._is_reading = False
    assert stream.read(100, 5.0) == b"!"


def test_a_write_ends_when_somebody_else_has_read(certificates: Certificates) -> None:
    stream, wire = connect(certificates)

    def read() -> None:
        wire.on_write = None
        wire.say(b"!")
        assert stream.read_nowait(100) == b"!"

    wire.on_write = read
    assert stream.write_until_readable(b"x" * 500_000, 5.0) == 128 * 1024
    assert not stream.has_unsent


def test_a_write_ends_after_it_had_to_wait_for_a_reader(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    assert stream._claim()  # as a reader does that has something to answer
    with pytest.raises(WriteTimeout):
        stream.write_until_readable(b"too late", 0.01)
    assert stream.bytes_taken == 0
    first = stream._waiter
    with TaskGroup() as group:
        job = group.start(stream.write_until_readable, b"after it", 5.0)
        while stream._waiter is first:
            SyncBackend().sleep(0.001)
        stream._give_up_claim()
        assert job.result() == 0
    assert stream.write_until_readable(b"after it", 5.0) == 8
    assert wire.received == b"after it"


def test_tickets_do_not_stop_a_write(certificates: Certificates) -> None:
    stream, wire = connect(certificates, tickets=True)
    assert stream.write_until_readable(b"x" * 300_000, 5.0) == 300_000
    assert len(wire.received) == 300_000


def test_a_writer_waits_while_a_reader_sends(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    assert stream._claim()  # as a reader does that has something to answer
    with pytest.raises(WriteTimeout):
        stream.write(b"too late", 0.01)
    first = stream._waiter
    with TaskGroup() as group:
        job = group.start(stream.write, b"after it", 5.0)
        while stream._waiter is first:
            SyncBackend().sleep(0.001)
        assert not wire.raw_received
        stream._give_up_claim()
        job.result()
    assert wire.received == b"after it"


def test_a_reader_leaves_sending_to_a_writer(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    assert stream._claim()  # as a writer does
    stream._engine.encrypt(b"an answer")
    wire.say(b"data")
    assert stream.read(100, 5.0) == b"data"
    assert not wire.received
    stream._send(b"more", 5.0)
    assert wire.received == b"an answermore"


def test_a_reader_that_breaks_the_stream_tells_the_writer(
    certificates: Certificates,
) -> None:
    stream, _ = connect(certificates)
    assert stream._claim()
    with TaskGroup() as group:
        job = group.start(stream.write, b"after it", 5.0)
        while stream._waiter is None:
            SyncBackend().sleep(0.001)
        stream._is_broken = True
        stream._give_up_claim()
        with pytest.raises(WriteError, match="an earlier write was not finished"):
            job.result()
    assert stream._claim()


def test_a_reader_answers_tls_itself(certificates: Certificates) -> None:
    """Here it is asked for its certificate after the handshake (RFC 8446, section 4.6.2)."""
    server_context = certificates.server_context(client_certificate_required=True)
    server_context.verify_mode = ssl.CERT_OPTIONAL
    server_context.post_handshake_auth = True
    client_context = certificates.client_context(client_certificate=True)
    client_context.post_handshake_auth = True
    wire = MemoryStream(server_context)
    stream = start_tls(wire, client_context, "localhost", 5.0)
    server = wire.engine.ssl_object
    assert not server.getpeercert()
    server.verify_client_post_handshake()
    wire.engine.encrypt(b"who are you?")
    wire.flush()
    assert stream.read(100, 5.0) == b"who are you?"
    with pytest.raises(ReadTimeout):
        stream.read(100, 5.0)
    assert server.getpeercert()


# Watching and closing


def test_p7_watching_sees_the_end(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    calls: list[str] = []
    assert stream.watch(lambda: calls.append("called"))
    assert not calls
    wire.cut()
    assert calls == ["called"]


def test_p7_watching_goes_on_after_tickets(certificates: Certificates) -> None:
    stream, wire = connect(certificates, tickets=True)
    tickets = bytes(wire.arrived)
    wire.arrived.clear()
    calls: list[str] = []
    assert stream.watch(lambda: calls.append("called"))
    wire.arrived += tickets
    wire.flush()
    assert not calls
    wire.end()
    assert calls == ["called"]
    wire.flush()
    assert calls == ["called"]


def test_watching_can_be_stopped(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    calls: list[str] = []
    stream.watch(lambda: calls.append("called"))
    stream.watch(None)
    wire.cut()
    assert not calls


def test_watching_what_has_arrived_already(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.say(b"x")
    assert stream.is_readable()
    calls: list[str] = []
    stream.watch(lambda: calls.append("called"))
    assert calls == ["called"]


def test_closing_says_so_once(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    stream.close()
    stream.close()
    assert wire.closed == ["closed", "closed"]
    assert wire.engine.decrypt(100) == b""
    with pytest.raises(ReadError, match="the stream is closed"):
        stream.read(100, 5.0)
    with pytest.raises(WriteError, match="the stream is closed"):
        stream.write(b"x", 5.0)
    assert stream.is_readable()


def test_closing_does_not_wait(certificates: Certificates) -> None:
    stream, wire = connect(certificates)
    wire.room = 0
    stream.close()
    assert wire.closed == ["closed"]
    assert wire.calls == 0


def test_aborting_and_forgetting_write_nothing(certificates: Certificates) -> None:
    for way in ("abort", "forget"):
        stream, wire = connect(certificates)
        getattr(stream, way)()
        stream.close()
        assert not wire.raw_received
        assert wire.closed == ["aborted" if way == "abort" else "forgotten", "closed"]
        with pytest.raises(ReadError):
            stream.read_nowait(1)


# Streams of others


def test_over_a_stream_with_the_required_methods_only(certificates: Certificates) -> None:
    wire = MemoryStream(certificates.server_context())
    stream = start_tls(BareStream(wire), certificates.client_context(), "localhost", 5.0)
    assert stream.is_readable()  # the tickets: nobody can look without reading
    assert stream.write_until_readable(b"x" * 10, 5.0) == 0
    stream.write(b"x" * 300_000, 5.0)
    assert len(wire.received) == 300_000
    wire.say(b"answer")
    assert stream.read(100, 5.0) == b"answer"
    assert not stream.is_readable()
    assert stream.read_nowait(100) is None
    assert not stream.watch(lambda: None)
    assert not stream.abort()
    stream.close()
    assert wire.closed == ["closed"]
