"""Two engines face to face, the bytes between them in our hands."""

from __future__ import annotations

import ssl

from httpcore_core._tls_engine import TLSEngine


def move(source: TLSEngine, target: TLSEngine, step: int | None = None) -> int:
    """Hand over what `source` wants to send, in pieces of `step` bytes; return how much."""
    data = source.outgoing()
    step = step or len(data) or 1
    for start in range(0, len(data), step):
        target.feed(data[start : start + step])
    return len(data)


def shake_hands(client: TLSEngine, server: TLSEngine, step: int | None = None) -> None:
    done = False
    for _ in range(10):
        done = client.handshake()
        move(client, server, step)
        done = server.handshake() and done
        move(server, client, step)
        if done:
            return
    raise AssertionError("the handshake does not end")


def connected(
    client_context: ssl.SSLContext, server_context: ssl.SSLContext, name: str = "localhost"
) -> tuple[TLSEngine, TLSEngine]:
    client = TLSEngine(client_context, name)
    server = TLSEngine(server_context, server_side=True)
    shake_hands(client, server)
    return client, server


def exchange(client: TLSEngine, server: TLSEngine) -> None:
    """One small message each way; a TLS 1.3 server's tickets travel with its own."""
    client.encrypt(b"ping")
    move(client, server)
    assert server.decrypt(100) == b"ping"
    server.encrypt(b"pong")
    move(server, client)
    assert client.decrypt(100) == b"pong"
