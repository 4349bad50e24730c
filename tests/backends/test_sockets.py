"""The socket helpers that the backends share. Nothing here waits but for a thread's answer."""

from __future__ import annotations

import errno
import os
import pickle
import queue
import resource
import select
import socket
import subprocess
import sys
import textwrap
import threading

import pytest

from httpcore_core._backends import polling, sockets
from httpcore_core._backends.sockets import Address
from httpcore_core._exceptions import ConnectError, ConnectTimeout, ReadError, WriteError

V4, V6 = socket.AF_INET, socket.AF_INET6


def info(family, host, port=80):
    sockaddr = (host, port) if family == V4 else (host, port, 0, 0)
    return (family, socket.SOCK_STREAM, 6, "", sockaddr)


def hosts(addresses):
    return [address.host for address in addresses]


@pytest.fixture
def beyond_loopback(monkeypatch):
    """Lets a test name addresses that it does not talk to."""
    monkeypatch.setattr("tests.guards._is_local", lambda host: True)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


# Addresses


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ([], []),
        ([(V4, "1.1.1.1")], ["1.1.1.1"]),
        (
            [(V6, "::1"), (V6, "::2"), (V6, "::3"), (V4, "1.1.1.1"), (V4, "2.2.2.2")],
            ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"],
        ),
        (
            [(V4, "1.1.1.1"), (V4, "2.2.2.2"), (V4, "3.3.3.3"), (V6, "::1")],
            ["1.1.1.1", "::1", "2.2.2.2", "3.3.3.3"],
        ),
        ([(V4, "1.1.1.1"), (V4, "1.1.1.1"), (V4, "2.2.2.2")], ["1.1.1.1", "2.2.2.2"]),
    ],
)
def test_n1_families_alternate_first_one_first(given, ordered):
    assert hosts(sockets.order_addresses([info(*item) for item in given])) == ordered


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%1", "::ffff:127.0.0.1"])
def test_literal_addresses_need_no_thread(host, monkeypatch, beyond_loopback):
    monkeypatch.setattr(threading, "Thread", None)
    (address,) = sockets.literal_addresses(host, 8080)
    assert address.host == host
    assert address.port == 8080
    assert str(address) == f"{host} port 8080"


def test_zone_ids_keep_their_scope(beyond_loopback):
    (address,) = sockets.literal_addresses("fe80::1%lo", 80)
    assert address.sockaddr[3] == socket.if_nametoindex("lo")
    assert Address(V6, ("fe80::1", 80, 0, 7)).host == "fe80::1%7"


@pytest.mark.parametrize("host", ["localhost", "example.com", "fe80::1%no-such-zone"])
def test_names_are_no_literal_addresses(host, beyond_loopback):
    assert sockets.literal_addresses(host, 80) is None


@pytest.mark.parametrize("host", ["", " ", "a b", "127.0.0.1\0.example", "a\r\nb", "a\tb", "\x7f"])
def test_g08_impossible_hosts_never_reach_the_resolver(host, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    with pytest.raises(ConnectError, match="is not a host name") as caught:
        sockets.literal_addresses(host, 80)
    assert caught.value.phase == "connect"
    assert type(look_up(host)) is ConnectError


@pytest.mark.parametrize("host", ["x" * 70, "a..b", "x" * 70 + ".invalid", "\udcff"])
def test_g08_bad_labels_are_connect_errors(host, beyond_loopback):
    assert sockets.literal_addresses(host, 80) is None
    error = look_up(host)
    assert type(error) is ConnectError
    assert isinstance(error.__cause__, UnicodeError)


def look_up(host):
    answers = queue.SimpleQueue()
    sockets.getaddrinfo_in_thread(host, 80, answers.put)
    return answers.get(timeout=5)


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**20])
def test_impossible_ports(port):
    with pytest.raises(ConnectError, match="is not a port"):
        sockets.literal_addresses("127.0.0.1", port)


def test_resolver_answers_are_addresses_in_order(beyond_loopback):
    import ipaddress

    answer = ["::1", "::2", ipaddress.ip_address("127.0.0.1")]
    assert hosts(sockets.resolver_addresses(answer, "name", 80)) == ["::1", "127.0.0.1", "::2"]
    with pytest.raises(ConnectError, match="knows no address of 'name'"):
        sockets.resolver_addresses([], "name", 80)
    with pytest.raises(ConnectError, match=r"'other\.example', which is no IP address"):
        sockets.resolver_addresses(["other.example"], "name", 80)


def test_g10_local_address_chooses_the_family():
    both = [Address(V6, ("::1", 80, 0, 0)), Address(V4, ("127.0.0.1", 80))]
    assert sockets.usable_addresses(both, None) == both
    assert hosts(sockets.usable_addresses(both, "127.0.0.9")) == ["127.0.0.1"]
    assert hosts(sockets.usable_addresses(both, "::1")) == ["::1"]
    with pytest.raises(ConnectError, match="no address of the family of local_address '::1'"):
        sockets.usable_addresses(both[1:], "::1")
    with pytest.raises(ConnectError, match="local_address 'localhost' is not an IP address"):
        sockets.usable_addresses(both, "localhost")


@pytest.mark.parametrize("path", ["/tmp/x", b"/tmp/x", "\0abstract\0name", b"\0abstract"])
def test_unix_paths(path):
    assert sockets.unix_address(path) == path


@pytest.mark.parametrize("path", ["", b"", "/tmp/a\0b", b"/tmp/a\0b"])
def test_g10_unix_paths_that_would_be_cut_off(path):
    with pytest.raises(ConnectError, match="is not a path"):
        sockets.unix_address(path)


def test_platform_without_unix_sockets(monkeypatch):
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConnectError, match="no unix domain sockets"):
        sockets.unix_address("/tmp/x")
    sock = sockets.make_socket(V4)
    sock.close()


# Name resolution


def test_names_are_looked_up_in_a_daemon_thread(monkeypatch):
    seen = []

    def getaddrinfo(host, port, **kwargs):
        seen.append((threading.current_thread().daemon, host, port))
        return [info(V6, "::1", port), info(V6, "::2", port), info(V4, "127.0.0.1", port)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    answers = queue.SimpleQueue()
    sockets.getaddrinfo_in_thread("name.example", 81, answers.put)
    assert hosts(answers.get(timeout=5)) == ["::1", "127.0.0.1", "::2"]
    assert seen == [(True, "name.example", 81)]


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        OSError(errno.EMFILE, "Too many open files"),
        UnicodeError("label too long"),
    ],
)
def test_g08_failed_lookups(monkeypatch, error):
    def getaddrinfo(*args, **kwargs):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    answers = queue.SimpleQueue()
    sockets.getaddrinfo_in_thread("name.example", 80, answers.put)
    answer = answers.get(timeout=5)
    assert type(answer) is ConnectError
    assert "name.example" in str(answer)
    assert answer.__cause__ is error
    assert str(pickle.loads(pickle.dumps(answer))) == str(answer)


def test_g08_empty_answer(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    answers = queue.SimpleQueue()
    sockets.getaddrinfo_in_thread("name.example", 80, answers.put)
    assert "has no address" in str(answers.get(timeout=5))


def test_no_more_threads(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    answers = []
    sockets.getaddrinfo_in_thread("localhost", 80, answers.append)
    (answer,) = answers
    assert type(answer) is ConnectError
    assert isinstance(answer.__cause__, RuntimeError)


def test_a_hung_lookup_does_not_keep_the_interpreter_alive():
    program = """
    import socket, threading
    from httpcore_core._backends import sockets
    socket.getaddrinfo = lambda *args, **kwargs: threading.Event().wait()
    sockets.getaddrinfo_in_thread("name.example", 80, print)
    print("over")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, timeout=20, capture_output=True, text=True, check=True)
    assert done.stdout == "over\n"


# Sockets


def test_n3_options_and_binding_come_before_connect():
    option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock = sockets.make_socket(V4, "127.0.0.7", iter([option]))
    with sock:
        assert not sock.getblocking()
        assert sock.getsockname()[0] == "127.0.0.7"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_options_may_undo_ours():
    with sockets.make_socket(V4, None, [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)]) as sock:
        assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "option",
    [
        (socket.SOL_SOCKET, 99999, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, "1"),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 2**70),
        (),
        None,
    ],
)
def test_g11_bad_options_close_the_socket(option):
    with pytest.raises(ConnectError, match="cannot make a socket for there") as caught:
        sockets.make_socket(V4, None, [option], target="there")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("local_address", ["::1", "8.8.8.8", "nonsense", "127.0.0.1\0"])
def test_g10_bad_local_addresses_close_the_socket(local_address):
    with pytest.raises(ConnectError):
        sockets.make_socket(V4, local_address, target="there")


def test_g07_no_more_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd"))) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    held = []
    try:
        with pytest.raises(ConnectError, match="Too many open files") as caught:
            while True:
                held.append(sockets.make_socket(V4, target="there"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for sock in held:
            sock.close()
    assert caught.value.__cause__.errno == errno.EMFILE


def test_keyboard_interrupt_while_making_a_socket_closes_it():
    def options():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        sockets.make_socket(V4, None, options())


def test_connecting_to_oneself_is_refused():
    """A port in the ephemeral range which nobody listens on may be given to the client itself."""
    with sockets.make_socket(V4, "127.0.0.1") as sock:
        address = Address(V4, sock.getsockname())
        assert sock.connect_ex(address.sockaddr) in {0, *sockets.IN_PROGRESS}
        assert sock.getpeername() == sock.getsockname()
        error = sockets.connect_result(sock, address)
    assert isinstance(error.__cause__, ConnectionRefusedError)


# Readability


def test_readable_is_data_or_end(pair):
    ours, theirs = pair
    assert not polling.readable_poll(ours).poll(0)
    assert not polling.readable_poll(ours.fileno()).poll(0)
    theirs.send(b"x")
    assert polling.readable_poll(ours).poll(0)
    assert ours.recv(10) == b"x"
    assert not polling.readable_poll(ours).poll(0)
    theirs.close()
    assert polling.readable_poll(ours).poll(0)


def test_readable_above_1023(pair):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1400:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1400, hard), hard))
    try:
        high = os.dup2(pair[0].fileno(), 1399)
        try:
            assert not polling.readable_poll(high).poll(0)
            pair[1].send(b"x")
            assert polling.readable_poll(high).poll(0)
        finally:
            os.close(high)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("make_poll", [select.poll, polling.SelectPoll])
def test_the_fallback_behaves_as_poll(make_poll, pair):
    ours, theirs = pair
    fd = ours.fileno()
    poll = make_poll()
    poll.register(fd, polling.POLLIN | polling.POLLOUT)
    assert poll.poll(0) == [(fd, polling.POLLOUT)]
    theirs.send(b"x")
    assert poll.poll() == [(fd, polling.POLLIN | polling.POLLOUT)]
    poll.register(fd, polling.POLLIN)
    assert poll.poll(5000.0) == [(fd, polling.POLLIN)]
    ours.recv(1)
    assert poll.poll(0.5) == []
    poll.unregister(fd)
    with pytest.raises(KeyError):
        poll.unregister(fd)


def test_a_poll_object_is_lent_to_one_at_a_time(pair, monkeypatch):
    ours, theirs = pair
    spare: list = []
    monkeypatch.setattr(polling, "_spare_polls", spare)
    assert polling.wait_for(ours, polling.POLLIN, 0) == []
    ((fd, mask, poll),) = spare
    assert (fd, mask) == (ours.fileno(), polling.POLLIN)
    theirs.send(b"x")
    assert polling.wait_for(ours, polling.POLLIN, 5000) == [(fd, polling.POLLIN)]
    for sock, mask in ((theirs, polling.POLLOUT), (ours, polling.POLLIN)):
        assert polling.wait_for(sock, mask, 5000) == [(sock.fileno(), mask)]
        assert spare == [(sock.fileno(), mask, poll)], "the same one, for another socket"
    waiter = threading.Thread(target=polling.wait_for, args=(theirs, polling.POLLIN, 5000))
    waiter.start()
    while spare:
        pass
    assert polling.wait_for(ours, polling.POLLIN, 5000) == [(fd, polling.POLLIN)]
    ours.send(b"x")
    waiter.join()
    assert len(spare) == 2
    ours.close()
    assert polling.wait_for(ours, polling.POLLIN, 5000) == polling.CLOSED


def test_equal_addresses_are_one_object():
    first, second = (sockets.literal_addresses("127.0.0.1", 8080) for _ in range(2))
    assert first is not second
    assert first[0] is second[0]
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 8080))
    assert sockets.order_addresses([info])[0] is first[0]


def test_extra_info(pair):
    class Stream:
        _client_addr = _server_addr = None

        def __init__(self, sock):
            self._sock = sock

    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    own, remote = client.getsockname(), listener.getsockname()
    stream = Stream(client)
    assert sockets.stream_info(stream, "socket") is client
    assert sockets.stream_info(stream, "client_addr") == own
    assert sockets.stream_info(stream, "server_addr") == remote
    assert sockets.stream_info(stream, "ssl_object") is None
    client.close()
    listener.close()
    assert sockets.stream_info(stream, "client_addr") == own
    assert sockets.stream_info(stream, "server_addr") == remote
    assert sockets.stream_info(Stream(client), "client_addr") is None


# Errors


def test_g07_errors_name_the_address_and_keep_their_cause():
    address = Address(V4, ("127.0.0.1", 9))
    error = sockets.error_of_number(errno.ECONNREFUSED, address)
    text = os.strerror(errno.ECONNREFUSED)
    assert error.message == f"connection to 127.0.0.1 port 9 refused: [Errno 111] {text}"
    assert isinstance(error.__cause__, ConnectionRefusedError)
    error = sockets.error_of_number(errno.EHOSTUNREACH, address)
    assert error.message.startswith("connection to 127.0.0.1 port 9 failed: [Errno 113]")
    cause = ConnectionResetError(errno.ECONNRESET, "reset")
    for error, kind in [
        (sockets.read_error(cause, address), ReadError),
        (sockets.write_error(cause, address), WriteError),
        (sockets.resolve_error(cause, "name"), ConnectError),
    ]:
        assert type(error) is kind
        assert error.__cause__ is cause


def test_g09_all_attempts_in_one_error():
    addresses = [Address(V4, (f"127.0.0.{n}", 9)) for n in range(1, 21)]
    errors = [sockets.error_of_number(errno.ECONNREFUSED, address) for address in addresses]
    assert sockets.attempts_failed(errors[:1]) is errors[0]
    error = sockets.attempts_failed(errors)
    assert type(error) is ConnectError
    assert error.phase == "connect"
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert all(str(address) in str(error) for address in addresses)
    late = sockets.connect_timed_out("name port 9", 1.5, errors[:2])
    assert type(late) is ConnectTimeout
    assert late.limit == 1.5
    assert "127.0.0.2 port 9 refused" in str(late)
