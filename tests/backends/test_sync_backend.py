"""SyncBackend and its stream, over real sockets on loopback."""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest

from httpcore_core._backends import polling, sync_stream
from httpcore_core._backends.sync import SyncBackend
from httpcore_core._backends.sync_stream import SocketStream
from httpcore_core._exceptions import (
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)
from httpcore_core._trace import Tracer
from tests.ports import free_port

BIG = os.urandom(1 << 20) * 16


@pytest.fixture
def pair():
    """A stream that `SyncBackend` connected, and the peer's blocking socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = SyncBackend().connect_tcp(*listener.getsockname(), timeout=5)
        peer, _ = listener.accept()
    with closing(stream), peer:
        yield stream, peer


@contextmanager
def blackhole(address, family=socket.AF_INET):
    """A port that answers nothing: its backlog is full, so that further SYNs are dropped."""
    fillers = []
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(0)
        try:
            while True:
                filler = socket.socket(family)
                fillers.append(filler)
                filler.settimeout(0.1)
                filler.connect(listener.getsockname())
        except TimeoutError:
            yield listener.getsockname()
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def thread(function, *args):
    """Runs `function` beside the block and fails if it does not end with it."""
    outcome = []

    def run():
        try:
            outcome.append(function(*args))
        except BaseException as exc:
            outcome.append(exc)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    yield outcome
    worker.join(10)
    assert not worker.is_alive()


@contextmanager
def took(least, most):
    """`most` is what the contracts say, and a busy machine takes a second more."""
    start = time.monotonic()
    yield
    assert least - 0.02 <= time.monotonic() - start < most + 1.0


@contextmanager
def signal_storm(interval=0.003):
    received = []
    previous = signal.signal(signal.SIGALRM, lambda *args: received.append(1))
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
    try:
        yield received
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def drain(peer):
    received = bytearray()
    while data := peer.recv(1 << 20):
        received += data
    return bytes(received)


# Reading and writing


def test_an_exchange(pair):
    stream, peer = pair
    stream.write(b"ping", 5)
    assert peer.recv(10) == b"ping"
    peer.send(b"pong")
    assert stream.read(2, 5) == b"po"
    assert stream.read(100, 5) == b"ng"
    stream.write(b"")
    peer.close()
    assert stream.read(100, 5) == b""
    assert stream.read(100, None) == b""


class Socket:
    """A socket, some of whose methods are ours."""

    def __init__(self, sock, **methods):
        self.sock = sock
        vars(self).update(methods)

    def __getattr__(self, name):
        return getattr(self.sock, name)


def test_a_small_exchange_is_three_calls(pair, monkeypatch):
    """send, poll, recv; what did not fit into one read is asked for without waiting first."""
    stream, peer = pair
    calls = []

    def counted(name, call):
        def counting(*args):
            calls.append(name)
            return call(*args)

        return counting

    monkeypatch.setattr(sync_stream, "wait_for", counted("poll", polling.wait_for))
    sock = stream._sock
    stream._sock = Socket(sock, recv=counted("recv", sock.recv), send=counted("send", sock.send))
    for _ in range(3):
        stream.write(b"request", 5.0)
        peer.send(b"response")
        assert stream.read(65536, 5.0) == b"response"
    assert calls == ["send", "poll", "recv"] * 3
    calls.clear()
    peer.send(b"x" * 25)
    assert b"".join(stream.read(10, 5.0) for _ in range(3)) == b"x" * 25
    assert calls == ["poll", "recv", "recv", "recv"]
    calls.clear()
    peer.send(b"x" * 10)
    assert stream.read(10, 5.0) == b"x" * 10
    with pytest.raises(ReadTimeout):
        stream.read(10, 0.01)
    assert calls == ["poll", "recv", "recv", "poll"]


def test_read_timeouts(pair):
    stream, peer = pair
    for timeout in (0.1, 0, 0.05, -1):
        with took(max(timeout, 0), 0.5), pytest.raises(ReadTimeout) as caught:
            stream.read(10, timeout)
        assert caught.value.limit == timeout
        assert "127.0.0.1 port" in str(caught.value)
    with thread(stream.read, 10, float("inf")) as outcome:
        peer.send(b"late")
    assert outcome == [b"late"]
    peer.send(b"now")
    wait_until(stream.is_readable)
    assert stream.read(10, 0) == b"now"


def test_waits_longer_than_poll_can(pair, monkeypatch):
    """Also how waiting goes on Windows, in slices."""
    stream, peer = pair
    monkeypatch.setattr(sync_stream, "MAX_WAIT", 0.02)
    with took(0.1, 0.5), pytest.raises(ReadTimeout):
        stream.read(10, 0.1)
    with thread(stream.read, 10, None) as outcome:
        time.sleep(0.05)
        peer.send(b"late")
    assert outcome == [b"late"]
    with thread(stream.read, 10, None) as outcome:
        wait_until(lambda: stream._reading)
        # One whose shutdown nobody notices who is waiting for it.
        sock, nothing = stream._sock, lambda *args: None
        stream._sock = Socket(sock, shutdown=nothing, close=nothing)
        stream.abort()
    assert type(outcome[0]) is ReadError
    sock.close()


def test_large_writes_arrive_whole(pair):
    stream, peer = pair
    with thread(drain, peer) as outcome:
        stream.write(BIG, 5)
        stream.write(bytearray(b"end"))
        stream.close()
    assert outcome == [BIG + b"end"]


def test_write_timeouts(pair):
    stream, _ = pair
    with took(0.1, 1), pytest.raises(WriteTimeout) as caught:
        stream.write(BIG, 0.1)
    assert caught.value.limit == 0.1
    with pytest.raises(WriteTimeout):
        stream.write(BIG, 0)


def test_write_timeout_is_for_each_wait(pair):
    """A slow peer which goes on reading is no reason to give up."""
    stream, peer = pair

    def read_slowly():
        received = 0
        while received < len(BIG):
            received += len(peer.recv(1 << 20))
            time.sleep(0.02)

    with took(0.3, 10), thread(read_slowly):
        stream.write(BIG, 0.25)


def test_read_and_write_at_the_same_time(pair):
    stream, peer = pair

    def echo():
        while data := peer.recv(1 << 16):
            peer.sendall(data)

    def read_all():
        received = b""
        while len(received) < len(BIG):
            received += stream.read(1 << 16, 5)
        return received

    with thread(echo):
        with thread(read_all) as outcome:
            stream.write(BIG, 5)
        stream.close()
    assert outcome == [BIG]


def test_two_readers_or_two_writers_are_a_mistake(pair):
    stream, peer = pair
    with thread(stream.read, 10, 10):
        wait_until(lambda: stream._reading)
        with pytest.raises(LocalProtocolError, match="already reading"):
            stream.read(10)
        with pytest.raises(LocalProtocolError, match="already reading"):
            stream.read_nowait(10)
        assert not stream.is_readable()
        peer.send(b"x")
    with thread(stream.write, BIG, 10):
        wait_until(lambda: stream._writing)
        with pytest.raises(LocalProtocolError, match="already writing"):
            stream.write(b"x")
        with pytest.raises(LocalProtocolError, match="already writing"):
            stream.write_until_readable(b"x")
        assert stream.write_nowait(b"x") == 0
        left = len(BIG)
        while left:
            left -= len(peer.recv(1 << 20))


def test_g02_reset_after_data(pair):
    stream, peer = pair
    peer.send(b"data")
    reset(peer)
    assert stream.read(100, 5) == b"data"
    with pytest.raises(ReadError, match=r"reading from 127\.0\.0\.1 port \d+ failed") as caught:
        stream.read(100, 5)
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_g02_reset_while_writing(pair):
    stream, peer = pair
    reset(peer)
    with pytest.raises(WriteError) as caught:
        stream.write(BIG, 5)
    assert isinstance(caught.value.__cause__, OSError)
    stream.close()


def test_read_nowait_and_is_readable(pair):
    stream, peer = pair
    assert stream.read_nowait(10) is None
    assert not stream.is_readable()
    assert stream.get_extra_info("is_readable") is False
    peer.send(b"abc")
    wait_until(stream.is_readable)
    assert stream.read_nowait(2) == b"ab"
    assert stream.read_nowait(2) == b"c"
    peer.shutdown(socket.SHUT_WR)
    wait_until(stream.is_readable)
    assert stream.read_nowait(10) == b""
    reset(peer)


def test_read_nowait_of_a_reset_stream(pair):
    stream, peer = pair
    reset(peer)
    wait_until(stream.is_readable)
    with pytest.raises(ReadError):
        stream.read_nowait(10)


@pytest.mark.parametrize("operation", ["write", "write_until_readable"])
def test_a_socket_that_was_not_ready_after_all(pair, operation):
    stream, peer = pair
    refusals = [BlockingIOError, BlockingIOError]

    def send(data, send=stream._sock.send):
        if refusals:
            raise refusals.pop()
        return send(data)

    stream._sock = Socket(stream._sock, send=send)
    getattr(stream, operation)(b"hello", 5)
    assert not refusals
    assert peer.recv(100) == b"hello"


def test_write_nowait_takes_what_fits_and_never_raises(pair):
    stream, peer = pair
    sent = stream.write_nowait(BIG)
    assert 0 < sent < len(BIG)
    while more := stream.write_nowait(BIG[sent:]):
        sent += more
    stream._sock.shutdown(socket.SHUT_WR)
    assert drain(peer) == BIG[:sent]
    assert stream.write_nowait(b"x") == 0
    stream.close()
    assert stream.write_nowait(b"x") == 0


# Writing until there is an answer


def test_h6_writes_all_while_nothing_arrives(pair):
    stream, peer = pair
    with thread(drain, peer) as outcome:
        assert stream.write_until_readable(BIG, 5) == len(BIG)
        assert stream.write_until_readable(b"") == 0
        stream.close()
    assert outcome == [BIG]


def test_h6_g05_stops_at_an_answer_of_a_peer_that_does_not_read(pair):
    stream, peer = pair
    with thread(stream.write_until_readable, BIG, 10) as outcome:
        wait_until(lambda: stream._writing)
        peer.send(b"413")
    (sent,) = outcome
    assert 0 <= sent < len(BIG)
    assert stream.read(10, 0) == b"413"
    stream.close()
    assert drain(peer) == BIG[:sent]


def test_g04_stops_at_a_closed_or_reset_stream(pair):
    stream, peer = pair
    peer.send(b"413")
    reset(peer)
    wait_until(stream.is_readable)
    assert stream.write_until_readable(BIG, 5) == 0
    assert stream.read(10, 0) == b"413"
    with pytest.raises(ReadError):
        stream.read(10, 0)


def test_write_until_readable_times_out(pair):
    stream, _ = pair
    with took(0.1, 1), pytest.raises(WriteTimeout) as caught:
        stream.write_until_readable(BIG, 0.1)
    assert caught.value.limit == 0.1


def test_what_was_taken_is_what_arrives(pair):
    stream, peer = pair
    done = 0
    for timeout in (0.05, 0.01, 0):
        with pytest.raises(WriteTimeout):
            stream.write_until_readable(memoryview(BIG)[done:], timeout)
        done += stream.bytes_taken
    assert 0 < done < len(BIG)
    assert not stream.has_unsent
    with thread(drain, peer) as outcome:
        assert stream.write_until_readable(BIG[done:], 5) == len(BIG) - done
        stream.close()
    assert outcome == [BIG]


def test_what_was_taken_is_not_known_after_an_interrupt(pair):
    stream, _ = pair
    with pytest.raises(WriteTimeout):
        stream.write_until_readable(BIG, 0.01)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            stream.write_until_readable(BIG, 10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert stream.bytes_taken is None


@pytest.mark.parametrize("read", ["read", "read_more", "read_nowait"])
def test_a_write_ends_when_another_thread_has_read(pair, read, monkeypatch):
    """The system lets no poll return for data that another thread has taken meanwhile: here the
    writer's takes as long to wake up as another thread may need."""
    stream, peer = pair
    slow = threading.Event()

    def slow_wait(sock, mask, milliseconds):
        if mask == polling.POLLIN or not slow.is_set():
            return polling.wait_for(sock, mask, milliseconds)
        while not (events := polling.wait_for(sock, mask, 0)):
            time.sleep(0.02)
        return events

    monkeypatch.setattr(sync_stream, "wait_for", slow_wait)
    for _ in range(3):
        slow.set()
        with thread(stream.write_until_readable, BIG, 30) as outcome:
            wait_until(lambda: stream._watching and not can_write(stream))
            if read == "read_nowait":
                assert stream.read_nowait(100) is None
                peer.send(b"answer")
                wait_until(lambda: polling.wait_for(stream._sock, polling.POLLIN, 0))
                assert stream.read_nowait(100) == b"answer"
            else:
                stream._more = read == "read_more"
                with thread(stream.read, 100, 10) as answer:
                    wait_until(lambda: stream._reading)
                    peer.send(b"answer")
                assert answer == [b"answer"]
        assert len(outcome) == 1
        assert 0 <= outcome[0] < len(BIG)


def can_write(stream):
    return bool(polling.wait_for(stream._sock, polling.POLLOUT, 0))


# Signals


def test_g13_timeouts_hold_in_a_signal_storm(pair):
    stream, _ = pair
    with signal_storm() as received:
        with took(0.2, 0.5), pytest.raises(ReadTimeout):
            stream.read(10, 0.2)
        with took(0.2, 1.0), pytest.raises(WriteTimeout):
            stream.write(BIG, 0.2)
    assert len(received) > 20


def test_g13_no_data_is_lost_in_a_signal_storm(pair):
    stream, peer = pair
    with signal_storm(0.001), thread(drain, peer) as outcome:
        stream.write(BIG, 5)
        stream._sock.shutdown(socket.SHUT_WR)
    assert outcome == [BIG]
    with signal_storm(0.001), thread(peer.sendall, BIG):
        received = bytearray()
        while len(received) < len(BIG):
            received += stream.read(70_001, 5)
    assert received == BIG


@pytest.mark.parametrize("operation", ["read", "write", "write_until_readable"])
def test_d21_keyboard_interrupt(pair, operation):
    stream, peer = pair
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with took(0.05, 1), pytest.raises(KeyboardInterrupt):
            if operation == "read":
                stream.read(10, 10)
            else:
                getattr(stream, operation)(BIG, 10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    peer.send(b"still there")
    assert stream.read(100, 5) == b"still there"
    stream.close()
    assert stream.get_extra_info("socket").fileno() == -1


def test_d21_keyboard_interrupt_while_connecting():
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with blackhole(("127.0.0.1", 0)) as address:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with took(0.05, 1), pytest.raises(KeyboardInterrupt):
                SyncBackend().connect_tcp(*address, timeout=10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


# Closing


def test_close_is_final_and_silent(pair):
    stream, peer = pair
    reset(peer)
    for _ in range(3):
        stream.close()
    assert stream.abort()
    assert stream.is_readable()
    assert stream.get_extra_info("client_addr") is None
    for operation in (stream.read, stream.read_nowait):
        with pytest.raises(ReadError, match="closed"):
            operation(10)
    for operation in (stream.write, stream.write_until_readable):
        with pytest.raises(WriteError, match="closed"):
            operation(b"x")


@pytest.mark.parametrize(
    ("operation", "argument", "error"),
    [
        ("read", 10, ReadError),
        ("write", BIG, WriteError),
        ("write_until_readable", BIG, WriteError),
    ],
)
def test_abort_wakes_another_thread(pair, operation, argument, error):
    stream, peer = pair
    with took(0, 5), thread(getattr(stream, operation), argument, None) as outcome:
        wait_until(lambda: stream._reading or stream._writing)
        assert stream.abort()
    assert type(outcome[0]) is error
    assert stream.get_extra_info("socket").fileno() == -1
    try:
        assert BIG.startswith(drain(peer))  # ended by FIN
    except ConnectionResetError:
        assert operation != "read"  # what was written had no room: the end would have had to wait


@pytest.mark.parametrize("operation", ["read", "read_nowait", "is_readable", "write"])
def test_the_descriptor_is_not_closed_under_a_user(pair, operation, monkeypatch):
    """An abort at the worst moment: after the check, before the system call."""
    stream, _ = pair
    fd = stream.get_extra_info("socket").fileno()
    seen = []

    def abort_and_look(*args):
        stream.abort()
        os.fstat(fd)
        seen.append(stream.get_extra_info("socket").fileno())
        raise BlockingIOError

    if operation == "is_readable":
        monkeypatch.setattr(sync_stream, "wait_for", abort_and_look)
    stream._sock = Socket(stream._sock, recv=abort_and_look, send=abort_and_look)
    argument = () if operation == "is_readable" else (b"x",) if operation == "write" else (10,)
    try:
        stream._more = True
        getattr(stream, operation)(*argument)
    except (ReadError, WriteError, BlockingIOError):
        pass
    assert seen == [fd]
    assert stream.get_extra_info("socket").fileno() == -1


def test_abort_races_with_readers_and_writers():
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for _ in range(100):
                stream = SyncBackend().connect_tcp(*listener.getsockname(), timeout=5)
                peer, _ = listener.accept()
                peer.send(b"x" * 100)
                with peer:
                    with (
                        thread(stream.read, 1000, 5) as read,
                        thread(stream.write, BIG, 5) as written,
                        thread(stream.abort),
                        thread(stream.close),
                    ):
                        pass
                    assert read == [b"x" * 100] or type(read[0]) is ReadError
                    assert type(written[0]) is WriteError
                    assert stream.get_extra_info("socket").fileno() == -1
    finally:
        sys.setswitchinterval(switch_interval)


def test_p11_forget_says_nothing_to_the_peer(pair):
    stream, peer = pair
    inherited = stream.get_extra_info("socket").dup()
    stream.forget()
    assert stream.get_extra_info("socket").fileno() == -1
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(10)
    inherited.send(b"works")
    peer.settimeout(5)
    assert peer.recv(10) == b"works"
    inherited.close()
    with pytest.raises(ReadError):
        stream.read(10)


def test_no_cycle_keeps_a_dropped_stream_or_an_error():
    def races() -> list[object]:
        return [item for item in gc.get_objects() if type(item).__name__ == "_Race"]

    gc.collect()
    before = races()  # what an earlier failure's traceback still refers to
    gc.disable()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
            stream = SyncBackend().connect_tcp(*address, timeout=5)
            peer, _ = listener.accept()
            with peer, pytest.warns(ResourceWarning, match="unclosed"):
                del stream
        for host in ("127.0.0.1", "name.invalid"):
            with pytest.raises(ConnectError):
                SyncBackend().connect_tcp(host, address[1], timeout=5)
        assert len(races()) == len(before)
    finally:
        gc.enable()


def test_extra_info(pair):
    stream, peer = pair
    assert isinstance(stream, SocketStream)
    assert stream.get_extra_info("client_addr") == peer.getpeername()
    assert stream.get_extra_info("server_addr") == peer.getsockname()
    sock = stream.get_extra_info("socket")
    assert not sock.getblocking()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert stream.get_extra_info("ssl_object") is None
    assert stream.get_extra_info("nonsense") is None
    assert repr(stream) == f"<SocketStream 127.0.0.1 port {peer.getsockname()[1]}>"


def test_start_tls(pair, client_ssl_context, server_ssl_context):
    stream, peer = pair

    def serve():
        with server_ssl_context.wrap_socket(peer, server_side=True) as secure:
            secure.sendall(secure.recv(100).upper())
            assert secure.recv(100) == b""

    with thread(serve) as outcome:
        secure = stream.start_tls(client_ssl_context, "localhost", 5)
        secure.write(b"hello", 5)
        assert secure.read(100, 5) == b"HELLO"
        secure.close()
    assert outcome == [None]
    assert stream.get_extra_info("socket").fileno() == -1


# Connecting


class Events(list):
    """A tracer and what it was told."""

    def __init__(self):
        self.tracer = Tracer(lambda name, info: self.append((name, info)))

    def names(self):
        return [name.removeprefix("connection.") for name, _ in self]


def resolver(*addresses):
    return lambda host, port: addresses


def connect(port, *addresses, timeout=5.0, **kwargs):
    stream = SyncBackend().open_tcp(
        "name.invalid", port, timeout, resolver=resolver(*addresses), **kwargs
    )
    with closing(stream):
        return stream.get_extra_info("server_addr")[0]


def test_g07_refused(refusing_port):
    port = refusing_port
    with pytest.raises(ConnectError) as caught:
        SyncBackend().connect_tcp("127.0.0.1", port, timeout=5)
    assert f"connection to 127.0.0.1 port {port} refused" in str(caught.value)
    assert caught.value.phase == "connect"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_g07_blackhole():
    with blackhole(("127.0.0.1", 0)) as address:
        for timeout in (0.2, 0.0):
            with took(timeout, timeout + 0.3), pytest.raises(ConnectTimeout) as caught:
                SyncBackend().connect_tcp(*address, timeout=timeout)
            assert caught.value.limit == timeout
            assert caught.value.phase == "connect"


def test_n1_three_dead_addresses_share_one_deadline():
    with (
        blackhole(("127.0.0.1", free_port())) as (_, port),
        blackhole(("127.0.0.2", port)),
        blackhole(("127.0.0.3", port)),
        took(1.0, 1.3),
        pytest.raises(ConnectTimeout) as caught,
    ):
        connect(port, "127.0.0.1", "127.0.0.2", "127.0.0.3", timeout=1.0)
    assert caught.value.limit == 1.0


def test_n1_g09_dead_ipv6_and_live_ipv4():
    with (
        blackhole(("::1", free_port()), socket.AF_INET6) as (_, port, *_),
        socket.create_server(("127.0.0.1", port)),
    ):
        events = Events()
        with took(0.25, 0.5):
            assert connect(port, "::1", "127.0.0.1", trace=events.tracer) == "127.0.0.1"
    assert events.names() == [
        "resolve.started",
        "resolve.complete",
        "connect_attempt.started",
        "connect_attempt.started",
        "connect_attempt.complete",
        "connect_attempt.failed",
    ]
    assert events[0][1] == {"host": "name.invalid", "port": port}
    first, second = events[2][1], events[3][1]
    assert (first["address"], second["address"]) == ("::1", "127.0.0.1")
    assert first["port"] == second["port"] == port
    assert 4.5 < second["timeout"] < first["timeout"] <= 5.0


def test_g09_refused_ipv6_and_live_ipv4():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with took(0, 0.2):
            assert connect(listener.getsockname()[1], "::1", "127.0.0.1") == "127.0.0.1"


def test_connections_that_are_made_or_fail_at_once(monkeypatch):
    class Instant(socket.socket):
        def connect_ex(self, address):
            if address[0] == "127.0.0.2":
                raise OSError(errno.ENETUNREACH, "unreachable")
            self.setblocking(True)
            number = super().connect_ex(address)
            self.setblocking(False)
            return number

    monkeypatch.setattr(socket, "socket", Instant)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert connect(port, "127.0.0.2", "::1", "127.0.0.1") == "127.0.0.1"
    with pytest.raises(ConnectError, match=r"::1 port \d+ refused.*127\.0\.0\.2 port \d+ failed"):
        connect(port, "::1", "127.0.0.2")


def test_g09_a_slow_attempt_may_still_win():
    """The first address answers after the second was begun: the attempt is still there to win."""
    with socket.socket() as late, blackhole(("127.0.0.2", free_port())) as (_, port):
        late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        late.bind(("127.0.0.1", port))
        late.listen(0)
        with socket.create_connection(("127.0.0.1", port)) as filler:
            second = socket.socket()
            second.setblocking(False)
            second.connect_ex(("127.0.0.1", port))  # takes the last place of the backlog

            def make_room():
                time.sleep(0.4)
                for _ in range(2):
                    late.accept()[0].close()

            with second, filler, thread(make_room):
                assert connect(port, "127.0.0.1", "127.0.0.2") == "127.0.0.1"


def test_g09_twenty_refused_addresses_are_all_named(refusing_port):
    port = refusing_port
    addresses = [f"127.0.0.{number}" for number in range(1, 21)]
    with took(0, 1), pytest.raises(ConnectError) as caught:
        connect(port, *addresses)
    assert all(f"{address} port {port} refused" in str(caught.value) for address in addresses)


def test_g09_the_timeout_names_what_had_failed():
    with blackhole(("127.0.0.1", 0)) as (_, port):
        with pytest.raises(ConnectTimeout, match=r"127\.0\.0\.9 port \d+ refused"):
            connect(port, "127.0.0.9", "127.0.0.1", timeout=0.1)


def test_ip_addresses_are_not_resolved():
    events = Events()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        SyncBackend().open_tcp(host, port, resolver=None, trace=events.tracer).close()
        SyncBackend().open_tcp(host, port, resolver=lambda host, port: 1 / 0).close()
    assert events.names() == ["connect_attempt.started", "connect_attempt.complete"]
    assert events[0][1] == {"address": host, "port": port, "timeout": None}


def test_names_are_resolved():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with closing(SyncBackend().connect_tcp("localhost", listener.getsockname()[1], 5)):
            listener.accept()[0].close()


def test_ipv6_with_a_zone():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        with closing(SyncBackend().connect_tcp("::1%1", port, 5)) as stream:
            assert stream.get_extra_info("server_addr")[1] == port


def test_g08_the_timeout_includes_resolving(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: release.wait(10) and [])

    def slow_resolver(host, port):
        release.wait(10)
        return []

    try:
        for hook in (None, slow_resolver):
            with took(0.1, 0.5), pytest.raises(ConnectTimeout, match=r"name\.invalid") as caught:
                SyncBackend().open_tcp("name.invalid", 80, 0.1, resolver=hook)
            assert (caught.value.limit, caught.value.phase) == (0.1, "connect")
    finally:
        release.set()


def test_g08_resolving_uses_up_the_connecting_time():
    def slow_resolver(host, port):
        time.sleep(0.2)
        return ["127.0.0.1"]

    with blackhole(("127.0.0.1", 0)) as (_, port):
        with took(0.4, 0.6), pytest.raises(ConnectTimeout):
            SyncBackend().open_tcp("name.invalid", port, 0.4, resolver=slow_resolver)


def test_g08_unknown_names():
    events = Events()
    with pytest.raises(ConnectError, match=r"cannot resolve 'name\.invalid'") as caught:
        SyncBackend().open_tcp("name.invalid", 80, 5, trace=events.tracer)
    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert events.names() == ["resolve.started", "resolve.failed"]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no"), ConnectError),
        (UnicodeError("no"), ConnectError),
        (ConnectTimeout("no"), ConnectTimeout),
        (ZeroDivisionError("no"), ZeroDivisionError),
    ],
)
def test_errors_of_a_resolver(raised, expected):
    def failing(host, port):
        raise raised

    with pytest.raises(expected):
        SyncBackend().open_tcp("name.invalid", 80, 5, resolver=failing)


def test_n3_local_address_and_options_are_there_before_connect(monkeypatch):
    seen = []

    class Spy(socket.socket):
        def connect_ex(self, address):
            buffer = self.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            seen.append((self.getsockname()[0], buffer))
            return super().connect_ex(address)

    monkeypatch.setattr(socket, "socket", Spy)
    option = (socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        connect(port, "::1", "127.0.0.1", local_address="127.0.0.9", socket_options=iter([option]))
        peer, address = listener.accept()
        peer.close()
    assert seen == [("127.0.0.9", 20_000)]
    assert address[0] == "127.0.0.9"


def test_g10_local_address_of_another_family():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(ConnectError, match="family of local_address"):
            connect(listener.getsockname()[1], "127.0.0.1", local_address="::1")


def test_g11_bad_options():
    with pytest.raises(ConnectError, match="cannot make a socket"):
        connect(9, "127.0.0.1", socket_options=[(socket.SOL_SOCKET, 99999, 1)])


def test_g07_no_more_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd"))) + 1
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    try:
        try:
            while True:
                held.append(socket.socket())
        except OSError:
            pass
        with pytest.raises(ConnectError, match="Too many open files") as caught:
            connect(9, "127.0.0.1", "127.0.0.2")
        assert caught.value.__cause__.errno == errno.EMFILE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for sock in held:
            sock.close()


def test_a_tracer_that_raises_leaks_nothing():
    for failing in ("connect_attempt.started", "connect_attempt.complete", "resolve.complete"):

        def callback(name, info, failing=failing):
            if name.endswith(failing):
                raise ZeroDivisionError

        with socket.create_server(("127.0.0.1", 0)) as listener:
            with pytest.raises(ZeroDivisionError):
                connect(listener.getsockname()[1], "127.0.0.1", trace=Tracer(callback))


def test_a_tracer_that_raises_about_the_loser_closes_the_winner():
    def callback(name, info):
        if name.endswith("connect_attempt.failed"):
            raise ZeroDivisionError

    with (
        blackhole(("::1", free_port()), socket.AF_INET6) as (_, port, *_),
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ZeroDivisionError),
    ):
        connect(port, "::1", "127.0.0.1", trace=Tracer(callback))


# Unix domain sockets


@pytest.mark.parametrize("abstract", [False, True])
def test_unix_sockets(socket_path, abstract):
    path = f"\0{socket_path}" if abstract else socket_path
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        option = (socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        stream = SyncBackend().connect_unix_socket(path, 5, [option])
        peer, _ = listener.accept()
    with closing(stream), peer:
        sock = stream.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 20_000
        stream.write(b"ping", 5)
        assert peer.recv(10) == b"ping"
        assert os.fsencode(stream.get_extra_info("server_addr")) == os.fsencode(path)


@pytest.mark.parametrize(
    "path", ["/no/such/path", "/" + "x" * 200, "", "/tmp/\ud800", "/etc/passwd"]
)
def test_g10_bad_unix_paths(path):
    with pytest.raises(ConnectError) as caught:
        SyncBackend().connect_unix_socket(path, 5)
    assert caught.value.phase == "connect"
    assert repr(path) in str(caught.value)


def test_g07_a_unix_socket_with_a_full_backlog(socket_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path)
        listener.listen(0)
        with closing(SyncBackend().connect_unix_socket(socket_path, 5)):
            for timeout in (0.1, 0):
                with took(timeout, timeout + 0.3), pytest.raises(ConnectTimeout):
                    SyncBackend().connect_unix_socket(socket_path, timeout)
            with thread(SyncBackend().connect_unix_socket, socket_path, None) as outcome:
                listener.accept()[0].close()
            outcome[0].close()


def test_platform_without_unix_sockets(monkeypatch):
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConnectError, match="no unix domain sockets"):
        SyncBackend().connect_unix_socket("/tmp/x")


def test_platform_without_poll(monkeypatch, refusing_port):
    monkeypatch.setattr(polling, "make_poll", polling.SelectPoll)
    monkeypatch.setattr(polling, "_spare_polls", [])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with closing(SyncBackend().connect_tcp(*listener.getsockname(), timeout=5)) as stream:
            peer, _ = listener.accept()
            with peer:
                with thread(drain, peer) as outcome:
                    stream.write(BIG[: 1 << 22], 5)
                    assert stream.write_until_readable(BIG[1 << 22 :], 5) == len(BIG) - (1 << 22)
                    stream._sock.shutdown(socket.SHUT_WR)
                assert outcome == [BIG]
                peer.send(b"x")
                assert stream.read(10, 5) == b"x"
                assert not stream.is_readable()
                with pytest.raises(ReadTimeout):
                    stream.read(10, 0.05)
    with pytest.raises(ConnectError, match="refused"):
        SyncBackend().connect_tcp("127.0.0.1", refusing_port, timeout=5)


def test_sleep():
    with took(0.02, 0.5):
        SyncBackend().sleep(0.02)


@pytest.mark.parametrize("read", ["read", "read_nowait"])
def test_a_reset_met_twice_makes_no_cycle_of_causes(pair, read):
    """A read that asks, after a failed write, whether the peer has said why."""
    stream, peer = pair
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    assert polling.wait_for(stream._sock, polling.POLLIN, 10_000)
    with pytest.raises(ReadError) as caught:
        try:
            stream.write(b"x")
        except WriteError as exc:
            assert isinstance(exc.__cause__, ConnectionResetError)
            getattr(stream, read)(10)
    links = [caught.value]
    while (link := links[-1].__cause__ or links[-1].__context__) is not None:
        assert link not in links
        links.append(link)
    assert [type(link) for link in links] == [ReadError, ConnectionResetError]
