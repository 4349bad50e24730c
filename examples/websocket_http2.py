"""Two WebSockets and a request on one HTTP/2 connection (RFC 8441).

    python examples/websocket_http2.py http://127.0.0.1:8000/echo

Needs wsproto, and a server that echoes messages; with an ``http`` URL one that speaks HTTP/2
without being asked. Each WebSocket is a stream of the connection: opened by an extended CONNECT,
answered with 200, and `network_stream` reads and writes that stream alone. Once it is open it is
used as over HTTP/1.1, hence the conversation is the same.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from websocket_http11 import async_converse

import httpcore_core


def connect(pool: httpcore_core.AsyncConnectionPool, url: str) -> Any:
    """RFC 8441, section 5: of the handshake of HTTP/1.1 only the version is left."""
    headers = {"Sec-WebSocket-Version": "13"}
    return pool.stream("CONNECT", url, headers=headers, extensions={"protocol": b"websocket"})


def opened(response: httpcore_core.Response) -> Any:
    """The network stream, if the server has agreed."""
    if response.status != 200:
        raise RuntimeError(f"no WebSocket, the server answered {response.status}")
    return response.extensions["network_stream"]


async def talk(pool: httpcore_core.AsyncConnectionPool, url: str) -> list[int]:
    """Returns the ids of the connections that were used, which are one and the same."""
    async with connect(pool, url) as first, connect(pool, url) as second:
        between = await pool.request("GET", url)
        await async_converse(opened(second))
        await async_converse(opened(first))
    after = await pool.request("GET", url)
    responses = (first, second, between, after)
    return [response.extensions["connection"]["id"] for response in responses]


async def main(url: str) -> None:
    # For https alone `http2=True` would do: there the server is asked what it speaks.
    async with httpcore_core.AsyncConnectionPool(http1=False, http2=True) as pool:
        print("connections:", await talk(pool, url))
        print(pool)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
