"""TLS over real sockets: contracts N1, N5 to N9 on every backend."""

from __future__ import annotations

import gc
import ssl
import threading
import time

import pytest

from httpcore_core import (
    AsyncNetworkStream,
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    WriteTimeout,
)
from httpcore_core._backends.auto import AutoBackend
from httpcore_core._tls import session_store
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup

LARGE = bytes(range(256)) * 12_000  # about 3 MB


async def connect(
    server: ScriptedServer, context: ssl.SSLContext, name: str = "localhost"
) -> AsyncNetworkStream:
    stream = await AutoBackend().connect_tcp("127.0.0.1", server.port, 5.0)
    return await stream.start_tls(context, name, 5.0)


async def read_exactly(stream: AsyncNetworkStream, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = await stream.read(262_144, 5.0)
        assert chunk
        data += chunk
    assert len(data) == size
    return bytes(data)


def echo(peer: Peer) -> None:
    while data := peer.receive():
        peer.send(data)


async def test_a_message_each_way_and_a_clean_end(certificates: Certificates) -> None:
    with ScriptedServer(echo, ssl_context=certificates.server_context()) as server:
        stream = await connect(server, certificates.client_context())
        await stream.write(b"hello", 5.0)
        assert await stream.read(100, 5.0) == b"hello"
        assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        assert stream.get_extra_info("client_addr")[0] == "127.0.0.1"
        assert stream.get_extra_info("socket").fileno() >= 0
        await stream.aclose()
        server.wait_until_done()
        assert not server.connections[0].truncated  # close_notify arrived


async def test_reading_and_writing_at_the_same_time(certificates: Certificates) -> None:
    with ScriptedServer(echo, ssl_context=certificates.server_context()) as server:
        stream = await connect(server, certificates.client_context())
        async with AsyncTaskGroup() as group:
            job = group.start(read_exactly, stream, len(LARGE))
            await stream.write(LARGE, 5.0)
            assert await job.result() == LARGE
        await stream.aclose()


async def test_n7_tls_in_tls(certificates: Certificates) -> None:
    inner_context = certificates.server_context()

    def proxy(peer: Peer) -> None:
        peer.expect(b"CONNECT")
        peer.send(b"OK")
        peer.start_tls(inner_context)
        echo(peer)

    with ScriptedServer(proxy, ssl_context=certificates.server_context()) as server:
        outer = await connect(server, certificates.client_context())
        await outer.write(b"CONNECT", 5.0)
        assert await outer.read(100, 5.0) == b"OK"
        stream = await outer.start_tls(certificates.client_context(), "localhost", 5.0)
        async with AsyncTaskGroup() as group:
            job = group.start(read_exactly, stream, len(LARGE))
            await stream.write(LARGE, 5.0)
            assert await job.result() == LARGE
        assert not stream.is_readable()
        assert stream.get_extra_info("ssl_object") is not outer.get_extra_info("ssl_object")
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        await stream.aclose()
        server.wait_until_done()
        assert not server.connections[0].truncated


async def test_n5_refused_inside_tls(certificates: Certificates) -> None:
    inner_context = certificates.server_context(certificates.wrong_host)

    def proxy(peer: Peer) -> None:
        try:
            peer.start_tls(inner_context)
        except ssl.SSLError:
            peer.close()

    with ScriptedServer(proxy, ssl_context=certificates.server_context()) as server:
        outer = await connect(server, certificates.client_context())
        with pytest.raises(ConnectError, match="Hostname mismatch"):
            await outer.start_tls(certificates.client_context(), "localhost", 5.0)
        with pytest.raises(ReadError):
            await outer.read(100, 5.0)


async def test_n5_refused(certificates: Certificates) -> None:
    context = certificates.server_context(certificates.self_signed)
    with ScriptedServer([], ssl_context=context) as server:
        with pytest.raises(ConnectError, match="unable to get local issuer certificate") as caught:
            await connect(server, certificates.client_context())
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        server.wait_until_done()
        assert "unknown ca" in str(server.connections[0].error)  # the alert arrived
        server.errors.clear()


async def test_n1_a_server_that_says_nothing(certificates: Certificates) -> None:
    with ScriptedServer(lambda peer: peer.hang()) as server:
        stream = await AutoBackend().connect_tcp("127.0.0.1", server.port, 5.0)
        begin = time.monotonic()
        with pytest.raises(ConnectTimeout) as caught:
            await stream.start_tls(certificates.client_context(), "localhost", 0.2)
        assert 0.18 < time.monotonic() - begin < 2.0
        assert (caught.value.phase, caught.value.limit) == ("tls", 0.2)


async def test_a_server_without_tls(certificates: Certificates) -> None:
    with ScriptedServer(lambda peer: peer.send(b"220 ready\r\n")) as server:
        with pytest.raises(ConnectError, match="wrong version number"):
            await connect(server, certificates.client_context())


async def test_i1_a_server_that_only_asks_for_handshakes(certificates: Certificates) -> None:
    """Something has always arrived, so that no time limit would see anybody wait."""

    def flood(peer: Peer) -> None:
        requests = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 5000
        while not over.is_set():
            peer.send(requests)

    over = threading.Event()
    with ScriptedServer(flood) as server:
        try:
            with pytest.raises(ConnectError, match="does not end"):
                await connect(server, certificates.client_context())
        finally:
            over.set()


async def test_n6_truncation(certificates: Certificates) -> None:
    def cut(peer: Peer) -> None:
        peer.send(b"half of it")
        peer.close(close_notify=False)

    with ScriptedServer(cut, ssl_context=certificates.server_context()) as server:
        stream = await connect(server, certificates.client_context())
        assert await read_exactly(stream, 10) == b"half of it"
        with pytest.raises(ReadError, match="closed without close_notify"):
            await stream.read(100, 5.0)
        await stream.aclose()


async def test_n8_sessions_are_resumed(certificates: Certificates) -> None:
    context = certificates.client_context()
    store = session_store(context)
    reused = []
    with ScriptedServer(echo, ssl_context=certificates.server_context()) as server:
        for _ in range(3):
            stream = await connect(server, context)
            await stream.write(b"x", 5.0)
            await stream.read(100, 5.0)
            reused.append(stream.get_extra_info("ssl_object").session_reused)
            await stream.aclose()
    assert reused == [False, True, True]
    assert len(store) == 1


async def test_n9_client_certificate(certificates: Certificates) -> None:
    context = certificates.server_context(client_certificate_required=True)
    with ScriptedServer(echo, ssl_context=context) as server:
        stream = await connect(server, certificates.client_context(client_certificate=True))
        await stream.write(b"x", 5.0)
        assert await stream.read(100, 5.0) == b"x"
        peer = server.connections[0].ssl_object
        assert peer is not None
        assert peer.getpeercert()
        await stream.aclose()


async def test_timeouts(certificates: Certificates) -> None:
    with ScriptedServer(
        lambda peer: peer.hang(), ssl_context=certificates.server_context()
    ) as server:
        stream = await connect(server, certificates.client_context())
        with pytest.raises(ReadTimeout) as read:
            await stream.read(100, 0.1)
        assert read.value.limit == 0.1
        with pytest.raises(ReadTimeout):
            await stream.read(100, 0.0)
        with pytest.raises(WriteTimeout):
            await stream.write(LARGE * 10, 0.2)
        await stream.aclose()


async def test_h6_an_answer_stops_a_write(certificates: Certificates) -> None:
    def refuse(peer: Peer) -> None:
        peer.read_exactly(100_000)
        peer.send(b"413")
        peer.hang()

    with ScriptedServer(refuse, ssl_context=certificates.server_context()) as server:
        stream = await connect(server, certificates.client_context())
        count = await stream.write_until_readable(LARGE * 10, 5.0)
        assert 100_000 <= count < len(LARGE) * 10
        assert await stream.read(100, 5.0) == b"413"
        await stream.aclose()


async def test_what_was_counted_arrives_when_reading_goes_on(certificates: Certificates) -> None:
    counted = threading.Event()
    wanted: list[int] = []

    def early(peer: Peer) -> None:
        peer.read_exactly(100_000)
        peer.send(b"!")
        peer.hang(counted)
        peer.read_exactly(wanted[0] - 100_000)
        peer.send(b"all of it")

    with ScriptedServer(early, ssl_context=certificates.server_context()) as server:
        stream = await connect(server, certificates.client_context())
        wanted.append(await stream.write_until_readable(LARGE * 10, 5.0))
        counted.set()
        assert await stream.read(1, 5.0) == b"!"
        assert await stream.read(100, 5.0) == b"all of it"
        await stream.aclose()


async def test_one_reader_and_one_writer(certificates: Certificates) -> None:
    with ScriptedServer(
        lambda peer: peer.hang(), ssl_context=certificates.server_context()
    ) as server:
        stream = await connect(server, certificates.client_context())
        async with AsyncTaskGroup() as group:
            reader = group.start(stream.read, 100, 5.0)
            writer = group.start(stream.write, LARGE * 10, 5.0)
            await AutoBackend().sleep(0.1)
            with pytest.raises(LocalProtocolError, match="already reading"):
                await stream.read(100, 5.0)
            with pytest.raises(LocalProtocolError, match="already writing"):
                await stream.write(b"x", 5.0)
            assert not stream.is_readable()
            stream.abort()
            for job in (reader, writer):
                with pytest.raises(Exception, match="closed"):
                    await job.result()


async def test_collected_streams_leave_no_descriptor(certificates: Certificates) -> None:
    with ScriptedServer(echo, ssl_context=certificates.server_context()) as server:
        stream = await connect(server, certificates.client_context())
        await stream.write(b"x", 5.0)
        assert await stream.read(100, 5.0) == b"x"
        gc.disable()
        try:
            stream.abort()
            del stream
        finally:
            gc.enable()
        server.wait_until_done()


async def test_watching_an_idle_connection(certificates: Certificates) -> None:
    """P7: the tickets that come after the handshake are nobody's business, the end is."""
    may_end, called = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.hang(may_end)
        peer.close()

    with ScriptedServer(script, ssl_context=certificates.server_context()) as server:
        stream = await connect(server, certificates.client_context())
        is_watched = stream.watch(called.set)
        for _ in range(4):
            await AutoBackend().sleep(0.05)
        assert not called.is_set()
        may_end.set()
        for _ in range(100):
            if called.is_set() or (not is_watched and stream.is_readable()):
                break
            await AutoBackend().sleep(0.01)
        assert called.is_set() == is_watched
        assert stream.is_readable()
        await stream.aclose()
