"""P1, D01: a cancelled handshake leaves nothing; a cancelled read loses nothing."""

from __future__ import annotations

import pytest

from httpcore_core import AutoBackend, WriteError
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup


async def test_p1_a_cancelled_handshake_closes_the_stream(certificates: Certificates) -> None:
    with ScriptedServer(lambda peer: peer.wait_for_end()) as server:
        stream = await AutoBackend().connect_tcp("127.0.0.1", server.port, 5.0)
        async with AsyncTaskGroup() as group:
            job = group.start(stream.start_tls, certificates.client_context(), "localhost", 5.0)
            await AutoBackend().sleep(0.05)
            job.cancel()
        server.wait_until_done()


async def test_a_cancelled_read_loses_nothing(certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        for _ in range(3):
            peer.expect(b"?")
            peer.send(b"!")
        peer.wait_for_end()

    with ScriptedServer(script, ssl_context=certificates.server_context()) as server:
        raw = await AutoBackend().connect_tcp("127.0.0.1", server.port, 5.0)
        stream = await raw.start_tls(certificates.client_context(), "localhost", 5.0)
        for _ in range(3):
            async with AsyncTaskGroup() as group:
                job = group.start(stream.read, 100, 5.0)
                await AutoBackend().sleep(0.01)
                job.cancel()
            await stream.write(b"?", 5.0)
            assert await stream.read(100, 5.0) == b"!"
        await stream.aclose()


async def test_a_cancelled_write_ends_writing(certificates: Certificates) -> None:
    context = certificates.server_context()
    with ScriptedServer(lambda peer: peer.hang(), ssl_context=context) as server:
        raw = await AutoBackend().connect_tcp("127.0.0.1", server.port, 5.0)
        stream = await raw.start_tls(certificates.client_context(), "localhost", 5.0)
        async with AsyncTaskGroup() as group:
            job = group.start(stream.write, b"x" * 30_000_000, 5.0)
            await AutoBackend().sleep(0.1)
            job.cancel()
        with pytest.raises(WriteError, match="an earlier write was not finished"):
            await stream.write(b"x", 5.0)
        await stream.aclose()
