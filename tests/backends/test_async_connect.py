"""Connecting, alike on asyncio, uvloop and trio: Happy Eyeballs, deadlines, options, names, unix
sockets, trace events, and nothing left behind by whoever loses, fails or is cancelled."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from httpcore_core._backends.auto import AutoBackend
from httpcore_core._exceptions import ConnectError, ConnectTimeout
from httpcore_core._trace import AsyncTracer
from tests.concurrency import AsyncTaskGroup
from tests.ports import free_port


@contextlib.contextmanager
def blackhole(address: tuple[str, int], family: int = socket.AF_INET) -> Iterator[int]:
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
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


@contextlib.contextmanager
def took(least: float, most: float) -> Iterator[None]:
    """`most` is what the contracts say, and a busy machine takes a second more; uvloop counts in
    milliseconds."""
    start = time.monotonic()
    yield
    assert least - 0.02 <= time.monotonic() - start < most + 1.0


async def connect(port: int, *addresses: str, timeout: float | None = 5, **kwargs: Any) -> str:
    """Connect to a name that has these addresses; return the one that won."""
    stream = await AutoBackend().open_tcp(
        "name.invalid", port, timeout, resolver=lambda host, port: addresses, **kwargs
    )
    host: str = stream.get_extra_info("server_addr")[0]
    await stream.aclose()
    return host


class Events(list[tuple[str, Any]]):
    def __init__(self) -> None:
        self.tracer = AsyncTracer(lambda name, info: self.append((name, info)))

    def names(self) -> list[str]:
        return [name.removeprefix("connection.") for name, _ in self]


# Addresses


async def test_g07_refused(refusing_port: int) -> None:
    port = refusing_port
    with pytest.raises(ConnectError) as caught:
        await AutoBackend().connect_tcp("127.0.0.1", port, timeout=5)
    assert f"connection to 127.0.0.1 port {port} refused" in str(caught.value)
    assert caught.value.phase == "connect"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("timeout", [0.2, 0.0])
async def test_g07_blackhole(timeout: float) -> None:
    with blackhole(("127.0.0.1", 0)) as port:
        with took(timeout, timeout + 0.3), pytest.raises(ConnectTimeout) as caught:
            await AutoBackend().connect_tcp("127.0.0.1", port, timeout=timeout)
        assert caught.value.limit == timeout
        assert caught.value.phase == "connect"


async def test_n1_three_dead_addresses_share_one_deadline() -> None:
    with (
        blackhole(("127.0.0.1", free_port())) as port,
        blackhole(("127.0.0.2", port)),
        blackhole(("127.0.0.3", port)),
        took(1.0, 1.3),
        pytest.raises(ConnectTimeout) as caught,
    ):
        await connect(port, "127.0.0.1", "127.0.0.2", "127.0.0.3", timeout=1.0)
    assert caught.value.limit == 1.0


async def test_n1_g09_dead_ipv6_and_live_ipv4() -> None:
    with (
        blackhole(("::1", free_port()), socket.AF_INET6) as port,
        socket.create_server(("127.0.0.1", port)),
    ):
        events = Events()
        with took(0.24, 0.5):
            assert await connect(port, "::1", "127.0.0.1", trace=events.tracer) == "127.0.0.1"
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
    assert events[4][1] == {"return_value": f"127.0.0.1 port {port}"}


async def test_g09_refused_ipv6_and_live_ipv4() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with took(0, 0.2):
            assert await connect(listener.getsockname()[1], "::1", "127.0.0.1") == "127.0.0.1"


async def test_g09_a_failure_starts_the_next_attempt_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, took(0, 0.2):
        addresses = [f"127.0.0.{number}" for number in range(2, 20)]
        port = listener.getsockname()[1]
        assert await connect(port, *addresses, "127.0.0.1") == "127.0.0.1"


async def test_g09_twenty_refused_addresses_are_all_named(refusing_port: int) -> None:
    port = refusing_port
    addresses = [f"127.0.0.{number}" for number in range(1, 21)]
    with took(0, 1), pytest.raises(ConnectError) as caught:
        await connect(port, *addresses)
    assert all(f"{address} port {port} refused" in str(caught.value) for address in addresses)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_g09_the_timeout_names_what_had_failed() -> None:
    with blackhole(("127.0.0.1", 0)) as port:
        with pytest.raises(ConnectTimeout, match=r"127\.0\.0\.9 port \d+ refused"):
            await connect(port, "127.0.0.9", "127.0.0.1", timeout=0.1)


async def test_p1_cancelling_a_race_closes_all_sockets() -> None:
    with blackhole(("127.0.0.1", 0)) as port, blackhole(("127.0.0.2", port)):
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        async with AsyncTaskGroup() as group:
            job = group.start(connect, port, "127.0.0.1", "127.0.0.2")
            await AutoBackend().sleep(0.3)
            job.cancel()
        if before:
            assert len(os.listdir("/proc/self/fd")) == before


async def test_p1_cancelling_at_any_moment_of_connecting_leaves_nothing() -> None:
    """One turn of the loop later each time, until it connects before the cancellation."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for turns in range(40):
            async with AsyncTaskGroup() as group:
                job = group.start(connect, port, "127.0.0.9", "127.0.0.1")
                for _ in range(turns):
                    await AutoBackend().sleep(0)
                job.cancel()
            if job.error is None:
                break
        else:
            assert job.error is None


async def test_ip_addresses_are_not_resolved() -> None:
    events = Events()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        stream = await AutoBackend().open_tcp(
            host, port, resolver=lambda host, port: 1 / 0, trace=events.tracer
        )
        await stream.aclose()
    assert events.names() == ["connect_attempt.started", "connect_attempt.complete"]
    assert events[0][1] == {"address": host, "port": port, "timeout": None}


# Names


async def test_names_are_resolved() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = await AutoBackend().connect_tcp("localhost", listener.getsockname()[1], 5)
        await stream.aclose()


async def test_ipv6_with_a_zone() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        stream = await AutoBackend().connect_tcp("::1%1", port, 5)
        assert stream.get_extra_info("server_addr")[1] == port
        await stream.aclose()


async def test_g08_unknown_names() -> None:
    events = Events()
    with pytest.raises(ConnectError, match=r"cannot resolve 'name\.invalid'") as caught:
        await AutoBackend().open_tcp("name.invalid", 80, 5, trace=events.tracer)
    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert events.names() == ["resolve.started", "resolve.failed"]


@pytest.mark.parametrize("host", ["", "a\0b", "a b", "x" * 70 + ".invalid", "a..invalid"])
async def test_g08_impossible_names(host: str) -> None:
    with pytest.raises(ConnectError):
        await AutoBackend().connect_tcp(host, 80, 5)


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Name resolution that takes until the end of the test."""
    release = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
            return real(*args, **kwargs)
        release.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    release.set()


@pytest.mark.usefixtures("slow_names")
async def test_g08_the_timeout_includes_resolving() -> None:
    with took(0.09, 0.5), pytest.raises(ConnectTimeout, match=r"name\.invalid") as caught:
        await AutoBackend().open_tcp("name.invalid", 80, 0.1)
    assert (caught.value.limit, caught.value.phase) == (0.1, "connect")


@pytest.mark.usefixtures("slow_names")
async def test_g08_cancelling_while_resolving_returns_at_once() -> None:
    with took(0, 0.5):
        async with AsyncTaskGroup() as group:
            job = group.start(AutoBackend().connect_tcp, "name.invalid", 80)
            await AutoBackend().sleep(0.01)
            job.cancel()


@pytest.mark.usefixtures("slow_names")
def test_g08_resolving_may_outlive_the_loop(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(ConnectTimeout):
            await AutoBackend().connect_tcp("name.invalid", 80, 0.01)

    with took(0, 0.5):
        run(main)


async def test_resolver_may_be_async_and_its_time_counts() -> None:
    async def slow_resolver(host: str, port: int) -> list[str]:
        await AutoBackend().sleep(0.2)
        return ["127.0.0.1"]

    with blackhole(("127.0.0.1", 0)) as port:
        with took(0.38, 0.7), pytest.raises(ConnectTimeout):
            await AutoBackend().open_tcp("name.invalid", port, 0.4, resolver=slow_resolver)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no"), ConnectError),
        (UnicodeError("no"), ConnectError),
        (ConnectTimeout("no"), ConnectTimeout),
        (ZeroDivisionError("no"), ZeroDivisionError),
    ],
)
async def test_errors_of_a_resolver(raised: Exception, expected: type[Exception]) -> None:
    def failing(host: str, port: int) -> list[str]:
        raise raised

    with pytest.raises(expected):
        await AutoBackend().open_tcp("name.invalid", 80, 5, resolver=failing)


@pytest.mark.parametrize("answer", [[], ["no-address"]])
async def test_useless_answers_of_a_resolver(answer: list[str]) -> None:
    with pytest.raises(ConnectError, match=r"name\.invalid"):
        await AutoBackend().open_tcp("name.invalid", 80, 5, resolver=lambda *_: answer)


# Options


async def test_n3_local_address_and_options_are_there_before_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    class Spy(socket.socket):
        def note(self) -> None:
            size = self.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            seen.append((self.getsockname()[0], size))

        def connect(self, address: Any) -> None:
            self.note()
            return super().connect(address)

        def connect_ex(self, address: Any) -> int:
            self.note()
            return super().connect_ex(address)

    option = (socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(socket, "socket", Spy)
        await connect(
            listener.getsockname()[1],
            "::1",
            "127.0.0.1",
            local_address="127.0.0.9",
            socket_options=iter([option]),
        )
        monkeypatch.undo()
        peer, address = listener.accept()
        peer.close()
    assert seen == [("127.0.0.9", 20_000)]
    assert address[0] == "127.0.0.9"


@pytest.mark.parametrize("no_delay", [None, 0, 1])
async def test_n3_tcp_nodelay_is_the_default_and_the_callers_word_is_last(
    no_delay: int | None,
) -> None:
    options = [] if no_delay is None else [(socket.IPPROTO_TCP, socket.TCP_NODELAY, no_delay)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = await AutoBackend().connect_tcp(
            *listener.getsockname(), timeout=5, socket_options=options
        )
        sock = stream.get_extra_info("socket")
        value = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert bool(value) == (no_delay != 0)
        await stream.aclose()


async def test_g10_local_address_of_another_family() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(ConnectError, match="family of local_address"):
            await connect(listener.getsockname()[1], "127.0.0.1", local_address="::1")


async def test_g11_bad_options() -> None:
    with pytest.raises(ConnectError, match="cannot make a socket"):
        await connect(9, "127.0.0.1", socket_options=[(socket.SOL_SOCKET, 99999, 1)])


async def test_g07_no_more_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*args: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("httpcore_core._backends.sockets.socket.socket", no_socket)
        with pytest.raises(ConnectError, match="Too many open files"):
            await connect(9, "127.0.0.1", "127.0.0.2")


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.9", "127.0.0.1"]])
@pytest.mark.parametrize(
    "failing", ["connect_attempt.started", "connect_attempt.complete", "resolve.complete"]
)
async def test_a_tracer_that_raises_leaks_nothing_and_is_heard(
    failing: str, addresses: list[str]
) -> None:
    def callback(name: str, info: Any) -> None:
        if name.endswith(failing):
            raise ZeroDivisionError

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ZeroDivisionError):
            await connect(port, *addresses, trace=AsyncTracer(callback))


async def test_an_async_tracer_is_awaited() -> None:
    names = []

    async def callback(name: str, info: Any) -> None:
        await AutoBackend().sleep(0)
        names.append(name)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        await connect(port, "127.0.0.9", "127.0.0.1", trace=AsyncTracer(callback))
    assert names[-1] == "connection.connect_attempt.complete"
    assert "connection.connect_attempt.failed" in names


# Unix domain sockets

unix_only = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="the platform has no unix domain sockets"
)


@unix_only
async def test_unix_sockets(socket_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path)
        listener.listen()
        option = (socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        stream = await AutoBackend().connect_unix_socket(socket_path, 5, [option])
        peer, _ = listener.accept()
    with peer:
        sock = stream.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 20_000
        await stream.write(b"ping", 5)
        assert peer.recv(10) == b"ping"
        peer.sendall(b"pong")
        assert await stream.read(10, 5) == b"pong"
        assert stream.get_extra_info("server_addr") == socket_path
        await stream.aclose()
        assert peer.recv(10) == b""


@unix_only
@pytest.mark.parametrize(
    "path", ["/no/such/path", "/" + "x" * 200, "", "/tmp/\ud800", "/etc/passwd", "a\0b"]
)
async def test_g10_bad_unix_paths(path: str) -> None:
    with pytest.raises(ConnectError) as caught:
        await AutoBackend().connect_unix_socket(path, 5)
    assert caught.value.phase == "connect"
    assert repr(path) in str(caught.value)


@unix_only
async def test_g07_a_unix_socket_with_a_full_backlog(socket_path: str) -> None:
    """Its connect cannot be waited for, and must not look as if it had succeeded."""
    backend = AutoBackend()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path)
        listener.listen(0)
        first = await backend.connect_unix_socket(socket_path, 5)
        for timeout in (0.1, 0.0):
            with took(timeout, timeout + 0.3), pytest.raises(ConnectTimeout) as caught:
                await backend.connect_unix_socket(socket_path, timeout)
            assert caught.value.limit == timeout
        async with AsyncTaskGroup() as group:
            job = group.start(backend.connect_unix_socket, socket_path, 5)
            await backend.sleep(0.03)
            listener.accept()[0].close()
            second = await job.result()
        await first.aclose()
        await second.aclose()
