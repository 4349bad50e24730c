"""Which engine parses the heads of responses: chosen by option, read from pool and response."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool, AsyncHTTPConnection, Origin
from httpcore_core._protocol.engine import choose_engine
from httpcore_core.testing.http_server import HTTPServer
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer

RESPONSE = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    b"HTTP/1.1 200 All Right\r\nTransfer-Encoding: chunked\r\nX-Two:  a b \r\nX-Two:\r\n\r\n"
    b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
)


@pytest.mark.parametrize("engine", ["h11", "httptools"])
async def test_the_engine_can_be_chosen(engine: str) -> None:
    hints: list[Any] = []

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.read_request()
            peer.send(RESPONSE)

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool(http1_engine=engine) as pool:
            assert pool.http1_engine == engine
            for number in (1, 2):
                response = await pool.request(
                    "GET",
                    server.url,
                    extensions={"informational": lambda *given: hints.append(given)},
                )
                connection = response.extensions["connection"]
                assert connection["http1_engine"] == engine
                assert connection["request_number"] == number
                assert response.extensions["reason_phrase"] == b"All Right"
                assert response.headers[1:] == [(b"X-Two", b"a b"), (b"X-Two", b"")]
                assert response.content == b"hello"
                assert response.extensions["trailers"] == [(b"X-Sum", b"1")]
    assert hints == [(103, [(b"Link", b"</style.css>")])] * 2


async def test_auto_takes_what_there_is() -> None:
    async with AsyncConnectionPool() as pool:
        assert pool.http1_engine == choose_engine("auto")[0]


async def test_a_single_connection_has_the_option_too() -> None:
    with HTTPServer() as server:
        origin = Origin(b"http", server.host.encode(), server.port)
        async with AsyncHTTPConnection(origin, http1_engine="h11") as connection:
            response = await connection.request("GET", server.url)
            assert response.extensions["connection"]["http1_engine"] == "h11"


async def test_an_unknown_engine_is_refused_where_the_pool_is_made() -> None:
    with pytest.raises(ValueError, match="h11, httptools"):
        AsyncConnectionPool(http1_engine="curl")
    with pytest.raises(TypeError):
        AsyncConnectionPool(http1_engine=None)  # type: ignore[arg-type]
