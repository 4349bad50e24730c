"""A WebSocket over HTTP/1.1 (RFC 6455), by the sync pool and by the async one.

    python examples/websocket_http11.py http://127.0.0.1:8000/echo

Needs wsproto, and a server that echoes messages. The handshake is a request like any other; once
it is answered with 101, `network_stream` is the connection, until the response is closed.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from websocket_frames import CONVERSATION, Frames
from wsproto.utilities import generate_accept_token, generate_nonce

import httpcore_core

LIMIT = 10.0  # seconds, for each wait
HEADERS: dict[str, str | bytes] = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
}


def opened(response: httpcore_core.Response, key: bytes) -> Any:
    """The network stream, if the server has agreed to this very request (section 4.1)."""
    headers = {name.lower(): value for name, value in response.headers}
    accept = headers.get(b"sec-websocket-accept")
    if response.status != 101 or accept != generate_accept_token(key):
        raise RuntimeError(f"no WebSocket, the server answered {response.status}")
    return response.extensions["network_stream"]


def talk(pool: httpcore_core.ConnectionPool, url: str) -> None:
    key = generate_nonce()
    with pool.stream("GET", url, headers={**HEADERS, "Sec-WebSocket-Key": key}) as response:
        converse(opened(response, key))


def converse(stream: httpcore_core.NetworkStream) -> None:
    frames = Frames()
    for said, expected in CONVERSATION:
        for event in said:
            stream.write(frames.say(event), timeout=LIMIT)
        while not frames.heard:
            stream.write(frames.feed(stream.read(65536, timeout=LIMIT)), timeout=LIMIT)
        frames.take(expected)


async def async_talk(pool: httpcore_core.AsyncConnectionPool, url: str) -> None:
    key = generate_nonce()
    async with pool.stream("GET", url, headers={**HEADERS, "Sec-WebSocket-Key": key}) as response:
        await async_converse(opened(response, key))


async def async_converse(stream: httpcore_core.AsyncNetworkStream) -> None:
    frames = Frames()
    for said, expected in CONVERSATION:
        for event in said:
            await stream.write(frames.say(event), timeout=LIMIT)
        while not frames.heard:
            await stream.write(frames.feed(await stream.read(65536, timeout=LIMIT)), timeout=LIMIT)
        frames.take(expected)


def main(url: str) -> None:
    with httpcore_core.ConnectionPool() as pool:
        talk(pool, url)
        print("sync: ", pool)
    asyncio.run(async_main(url))


async def async_main(url: str) -> None:
    async with httpcore_core.AsyncConnectionPool() as pool:
        await async_talk(pool, url)
        print("async:", pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
