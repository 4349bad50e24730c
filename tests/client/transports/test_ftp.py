"""FTP: cancellation by enumeration, parsing under all chunkings, and a real server (pyftpdlib).

What each method does, and servers of all kinds, are in `tests/client/_async/test_ftp.py`.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import httpclient
from httpclient.transports import _ftp_replies as replies
from httpclient.transports._ftp_replies import Listing, Reply, ReplyParser
from httpclient.transports._ftp_requests import plan_request
from httpclient.transports.ftp import AsyncFTPTransport, FTPTransport
from httpcore_core import (
    AsyncByteStream,
    AsyncNetworkBackend,
    AsyncNetworkStream,
    AutoBackend,
    ByteStream,
    LocalProtocolError,
    RemoteProtocolError,
    Response,
    SyncBackend,
    TunnelBackend,
)
from httpcore_core.testing.cancel import (
    CancelStep,
    InterruptStep,
    cancel_at_every_step,
    interrupt_at_every_operation,
)
from httpcore_core.testing.peer import Peer
from tests._sync.proxies import OPENED, Relay
from tests.client.transports.ftp_server import HANG, FTPServer, serve
from tests.concurrency import AsyncTaskGroup
from tests.flavours import FLAVOURS

BIG = bytes(4 * 1024 * 1024)  # more than the network holds

# Cancellation


def every_step(flavour: str, scenario: Callable[[CancelStep], Coroutine[Any, Any, None]]) -> int:
    if flavour == "trio":
        return cancel_at_every_step(scenario, library="trio")
    if flavour == "uvloop":
        import uvloop

        return cancel_at_every_step(scenario, loop_factory=uvloop.new_event_loop)
    return cancel_at_every_step(scenario)


class SlowStream(AsyncNetworkStream):
    """Suspends before each operation, also where there is nothing to wait for."""

    def __init__(self, inner: AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await AutoBackend().sleep(0.0)
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await AutoBackend().sleep(0.0)
        await self._inner.write(buffer, timeout)

    async def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        await AutoBackend().sleep(0.0)
        return await self._inner.write_until_readable(buffer, timeout)

    async def start_tls(self, *args: Any) -> SlowStream:
        await AutoBackend().sleep(0.0)
        return SlowStream(await self._inner.start_tls(*args))

    async def aclose(self) -> None:
        await self._inner.aclose()

    def abort(self) -> bool:
        return self._inner.abort()

    def write_nowait(self, buffer: bytes) -> int:
        return self._inner.write_nowait(buffer)

    def is_readable(self) -> bool:
        return self._inner.is_readable()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class SlowBackend(AsyncNetworkBackend):
    async def connect_tcp(self, *args: Any) -> SlowStream:
        await AutoBackend().sleep(0.0)
        return SlowStream(await AutoBackend().connect_tcp(*args))


class SlowBody(AsyncByteStream):
    """Suspends before each chunk."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    def __aiter__(self) -> SlowBody:
        return self

    async def __anext__(self) -> bytes:
        await AutoBackend().sleep(0.0)
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)


async def fetch(transport: AsyncFTPTransport, server: FTPServer, method: bytes, path: bytes) -> int:
    body = SlowBody(b"a", BIG, b"z") if method == b"PUT" else ByteStream()
    response = Response(
        *await transport.handle_async_request(method, (*server.origin, path), [], body, {})
    )
    return len(await response.stream.aread())


@pytest.mark.parametrize(
    ("method", "path", "length"),
    [(b"GET", b"/big", len(BIG)), (b"GET", b"/", 53), (b"PUT", b"/x", 0), (b"DELETE", b"/x", 0)],
)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_cancelled_at_every_step_nothing_is_left(
    flavour: str, method: bytes, path: bytes, length: int
) -> None:
    async def scenario(step: CancelStep) -> None:
        transport = AsyncFTPTransport(network_backend=SlowBackend())
        if await step.run(fetch, transport, server, method, path):
            assert step.result == length

    with serve(files={"big": BIG}) as server:  # which finds what is left open
        assert every_step(flavour, scenario) > 8


@pytest.mark.parametrize("method", [b"GET", b"PUT"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p1_cancelled_at_every_step_of_tls_nothing_is_left(
    flavour: str,
    method: bytes,
    server_ssl_context: ssl.SSLContext,
    client_ssl_context: ssl.SSLContext,
) -> None:
    async def scenario(step: CancelStep) -> None:
        await step.run(fetch, transport, server, method, b"/big")

    transport = AsyncFTPTransport(ssl_context=client_ssl_context, network_backend=SlowBackend())
    with serve(files={"big": b"x"}, context=server_ssl_context) as server:
        assert every_step(flavour, scenario) > 20


@pytest.mark.parametrize("command", ["USER", "EPSV", "RETR"])
async def test_p1_cancelled_while_the_server_says_nothing(command: str) -> None:
    with serve(replies={command: HANG}) as server:
        async with AsyncTaskGroup() as group:
            job = group.start(fetch, AsyncFTPTransport(), server, b"GET", b"/big")
            while command not in server.verbs:
                await AutoBackend().sleep(0.001)
            job.cancel()
            await job.task.wait()
        assert job.error is not None


@pytest.mark.parametrize(("method", "path"), [(b"GET", b"/big"), (b"GET", b"/"), (b"PUT", b"/x")])
def test_d21_interrupted_at_every_operation_nothing_is_left(method: bytes, path: bytes) -> None:
    def scenario(step: InterruptStep) -> None:
        transport = FTPTransport(network_backend=step.wrap(SyncBackend()))
        step.run(read, transport, (method, (*server.origin, path), [], ByteStream(b"x"), {}))

    def read(transport: FTPTransport, request: tuple[Any, ...]) -> bytes:
        body: bytes = transport.handle_request(*request).stream.read()
        return body

    with serve(files={"big": b"x"}) as server:
        assert interrupt_at_every_operation(scenario) > 20


# Replies


class Answer(NamedTuple):
    """What `ReplyParser` makes of some bytes."""

    found: list[Reply]
    error: str = ""


def parsed(data: bytes, size: int) -> Answer:
    parser, found = ReplyParser(), []
    try:
        for start in range(0, len(data), size):
            parser.feed(data[start : start + size])
            while (reply := parser.next_reply()) is not None:
                found.append(reply)
    except RemoteProtocolError as exc:
        return Answer(found, str(exc))
    return Answer(found)


def test_replies_come_in_any_chunks() -> None:
    data = (
        b"220 ready\r\n230-Hello,\r\n230-you\r\n 230 no\r\n231 no\r\n\r\n230 in\r\n200\n"
        b"221-\r\n221\r\n\xff\r\n"
    )
    whole = parsed(data, len(data))
    assert [(reply.code, reply.text) for reply in whole.found] == [
        (220, "ready"),
        (230, "Hello,"),
        (200, ""),
        (221, ""),
    ]
    assert whole.found[1].lines == ("230-Hello,", "230-you", " 230 no", "231 no", "", "in")
    assert "does not speak FTP" in whole.error
    for size in range(1, len(data)):
        assert parsed(data, size) == whole


@given(st.binary(max_size=300) | st.from_regex(rb"([1-6][0-9]{2}[ -]?[^\n]{0,9}\r?\n?){0,9}"))
def test_replies_are_parsed_or_refused(data: bytes) -> None:
    answer = parsed(data, 7)
    assert answer == parsed(data, len(data) or 1)
    for reply in answer.found:
        assert 100 <= reply.code <= 599
        assert replies.status_of(reply) in (401, 403, 404, 502, 503, 507)
        assert reply.reason.isascii()
        assert reply.reason.decode().isprintable()
        for read in (replies.size_of, replies.last_modified):
            read(reply)
        try:
            assert 0 < replies.passive_port(reply) < 65536
        except RemoteProtocolError:
            pass


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 50))
def test_listings_are_json(data: bytes, has_facts: bool, size: int) -> None:
    listing = Listing(has_facts)
    pieces = [listing.feed(data[start : start + size]) for start in range(0, len(data), size)]
    entries = json.loads(b"".join([*pieces, listing.flush()]))
    assert all("/" not in entry["name"] for entry in entries)
    assert all(entry["name"] not in ("", ".", "..") for entry in entries)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("20240229123456", b"Thu, 29 Feb 2024 12:34:56 GMT"),
        ("19691231235959.5", b"Wed, 31 Dec 1969 23:59:59 GMT"),
        ("20230229123456", None),
        ("00000101000000", None),
        ("1910010203040506", None),
        ("", None),
    ],
)
def test_times(text: str, date: bytes | None) -> None:
    assert replies.last_modified(Reply(213, text)) == date


# Requests


@given(st.binary(max_size=60), st.sampled_from([b"GET", b"HEAD", b"PUT", b"DELETE"]))
def test_no_target_makes_a_command_of_its_own(target: bytes, method: bytes) -> None:
    try:
        plan = plan_request(method, (b"ftp", b"h", None, b"/" + target), [])
    except LocalProtocolError:
        return
    assert not set(plan.path) & set(b"\r\n\0")
    assert b".." not in plan.path.split(b"/")
    assert not plan.path.startswith((b"-", b" "))


def test_ipv6_host_may_have_brackets() -> None:
    for host in (b"::1", b"[::1]"):
        plan = plan_request(b"GET", (b"ftp", host, None, b""), [])
        assert (plan.host, plan.port, plan.origin) == ("::1", 21, "ftp://[::1]:21")


# Through a proxy


class TunnelProxy(Relay):
    """Connects to whatever port it is asked for, one after the other."""

    def __init__(self) -> None:
        super().__init__(self._connect, 0)
        self.targets: list[bytes] = []

    def _connect(self, peer: Peer) -> None:
        target = peer.read_request().target
        self.targets.append(target)
        self._upstream = int(target.rpartition(b":")[2])
        peer.send(OPENED)


def test_data_connections_go_through_the_proxy_too() -> None:
    with serve() as server, TunnelProxy() as proxy:
        transport = FTPTransport(network_backend=TunnelBackend(proxy.address()))
        request = (b"GET", (*server.origin, b"/hello.txt"), [], ByteStream(), {})
        assert Response(*transport.handle_request(*request)).stream.read() == b"Hello!\r\n"
        request = (b"PUT", (*server.origin, b"/x"), [], ByteStream(b"x"), {})
        assert Response(*transport.handle_request(*request)).status == 201
        assert len(proxy.targets) == 4
        assert {target.rpartition(b":")[0] for target in proxy.targets} == {b"127.0.0.1"}


# A real server

_SERVER = """
import sys, threading
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
authorizer = DummyAuthorizer()
authorizer.add_anonymous(sys.argv[1])
authorizer.add_user("me", "secret", sys.argv[1], perm="elradfmwMT")
FTPHandler.authorizer = authorizer
server = FTPServer(("127.0.0.1", 0), FTPHandler)
print(server.socket.getsockname()[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def pyftpdlib(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """URL and directory of a server in a process of its own (its event loop warns in ours)."""
    directory = tmp_path_factory.mktemp("ftp")
    command = [sys.executable, "-W", "ignore", "-c", _SERVER, str(directory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "pyftpdlib does not start"
        yield f"ftp://127.0.0.1:{port}", directory
        process.communicate()


def test_example_with_a_real_server(pyftpdlib: tuple[str, Path]) -> None:
    url, directory = pyftpdlib
    with httpclient.Client(mounts={"ftp://": FTPTransport(auth=("me", "secret"))}) as client:
        assert client.put(f"{url}/r%C3%A9sum%C3%A9.txt", content=b"Hello" * 1000).status_code == 201
        response = client.get(f"{url}/résumé.txt")
        assert (response.text, response.http_version) == ("Hello" * 1000, "FTP")
        assert response.headers["Content-Type"] == "text/plain"
        assert client.head(f"{url}/résumé.txt").headers["Content-Length"] == "5000"
        (entry,) = client.get(f"{url}/").json()
        assert (entry["name"], entry["type"], entry["size"]) == ("résumé.txt", "file", 5000)
        assert client.delete(f"{url}/résumé.txt").status_code == 204
        assert client.get(f"{url}/résumé.txt").status_code == 404
        assert list(directory.iterdir()) == []
    with httpclient.Client(mounts={"ftp://": FTPTransport()}) as client:
        assert client.put(f"{url}/x", content=b"x").status_code == 404
        mine = url.replace("//", "//me:secret@")
        assert client.put(f"{mine}/x", content=b"x").status_code == 201
        assert client.delete(f"{mine}/x").status_code == 204


async def test_async_example_with_a_real_server(pyftpdlib: tuple[str, Path]) -> None:
    url, directory = pyftpdlib
    (directory / "dir").mkdir(exist_ok=True)
    (directory / "dir" / "big").write_bytes(BIG)
    async with httpclient.AsyncClient(mounts={"ftp://": AsyncFTPTransport()}) as client:
        assert (await client.get(f"{url}/dir/big")).content == BIG
        async with client.stream("GET", f"{url}/dir/big") as response:
            async for _chunk in response.aiter_bytes():
                break
        assert [entry["name"] for entry in (await client.get(f"{url}/dir/")).json()] == ["big"]
        for path, status in (("/dir", 404), ("/dir/big/", 404), ("/no/", 404), ("/no", 404)):
            response = await client.get(url + path)
            assert (path, response.status_code) == (path, status)
        response = await client.put(f"{url}/x", content=b"x")
        assert (response.status_code, response.reason_phrase) == (404, "Not enough privileges.")
