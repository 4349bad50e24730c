"""A TLS stream between a thread that reads and one that writes."""

from __future__ import annotations

import threading

import pytest

from httpcore_core._backends.sync import SyncBackend
from httpcore_core._tls_engine import TLSEngine
from httpcore_core.testing.server import ScriptedServer

MORE_THAN_BUFFERS_HOLD = bytes(32_000_000)


@pytest.mark.parametrize("layers", [1, 2], ids=["TLS", "TLS in TLS"])
@pytest.mark.parametrize("piece", [1, 2], ids=["first piece", "second piece"])
def test_a_write_ends_for_a_read_that_was_served_before_it_waits(
    piece, layers, server_ssl_context, client_ssl_context, monkeypatch
):
    """A reader may take what came while the writer encrypts: then nothing ends its wait."""
    answering = threading.Event()

    def script(peer):
        for _ in range(layers):
            peer.start_tls(server_ssl_context)
        peer.send(b"!")
        peer.hang(answering)
        peer.send(b"answer")
        peer.hang()

    with ScriptedServer(script) as server:
        stream = SyncBackend().connect_tcp("127.0.0.1", server.port, timeout=10)
        for _ in range(layers):
            stream = stream.start_tls(client_ssl_context, "localhost", 10)
        assert stream.read(1, 10) == b"!"
        answers = []
        reader = threading.Thread(target=lambda: answers.append(stream.read(100, 10)))
        writer, encrypt = stream._engine, TLSEngine.encrypt
        pieces = []

        def encrypt_while_someone_reads(engine, plaintext):
            encrypt(engine, plaintext)
            if engine is not writer:
                return
            pieces.append(len(plaintext))
            if len(pieces) == piece:
                reader.start()
                answering.set()
                reader.join(10)

        monkeypatch.setattr(TLSEngine, "encrypt", encrypt_while_someone_reads)
        count = stream.write_until_readable(MORE_THAN_BUFFERS_HOLD, 10)
        assert answers == [b"answer"]
        assert (count, len(pieces)) == (sum(pieces), piece)
        assert stream.has_unsent
        stream.abort()
