"""A response that was closed, or has failed, in the middle of its body: what there is never passes
for the whole (N6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import httpclient as httpx

URL = "http://example.org/"


class Pieces(httpx.AsyncByteStream):
    """Three pieces; what raises instead of the second one, if that is an error."""

    def __init__(self, second: bytes | Exception = b"cd\n") -> None:
        self._pieces: list[Any] = [b"ab\n", second, b"ef\n"]

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return bytes(piece)


class Answering(httpx.AsyncBaseTransport):
    def __init__(self, stream: Pieces) -> None:
        self._stream = stream

    async def handle_async_request(self, *args: Any) -> Any:
        return 200, [], self._stream, {}


async def begun(stream: Pieces | None = None) -> httpx.Response:
    async with httpx.AsyncClient(transport=Answering(stream or Pieces())) as client:
        return await client.send(client.build_request("GET", URL), stream=True)


ITERATE = pytest.mark.parametrize(
    ("iterate", "first"),
    [
        (lambda response: response.aiter_raw(), b"ab\n"),
        (lambda response: response.aiter_bytes(), b"ab\n"),
        (lambda response: response.aiter_bytes(1), b"a"),
        (lambda response: response.aiter_text(), "ab\n"),
        (lambda response: response.aiter_lines(), "ab"),
    ],
    ids=["raw", "bytes", "single bytes", "text", "lines"],
)


@ITERATE
async def test_n6_closed_by_somebody_else(
    iterate: Callable[[httpx.Response], Any], first: str | bytes
) -> None:
    response = await begun()
    body = iterate(response)
    assert await body.__anext__() == first
    await response.aclose()
    for _ in range(2):
        with pytest.raises(httpx.StreamClosed, match="before its body was read to its end"):
            await body.__anext__()


@ITERATE
async def test_n6_failed_before(
    iterate: Callable[[httpx.Response], Any], first: str | bytes
) -> None:
    response = await begun(Pieces(httpx.ReadTimeout("late")))
    body = iterate(response)
    with pytest.raises(httpx.ReadTimeout):
        async for _ in body:
            pass
    for _ in range(2):
        with pytest.raises(httpx.StreamClosed, match="before its body was read to its end"):
            await body.__anext__()


@ITERATE
async def test_what_was_read_to_its_end_stays_ended(
    iterate: Callable[[httpx.Response], Any], first: str | bytes
) -> None:
    response = await begun()
    body = iterate(response)
    pieces = [piece async for piece in body]
    assert pieces[0] == first
    assert response.is_closed
    await response.aclose()
    assert [piece async for piece in body] == []


async def test_a_body_in_memory_cannot_be_closed() -> None:
    response = await begun()
    assert await response.aread() == b"ab\ncd\nef\n"
    body = response.aiter_bytes(3)
    assert await body.__anext__() == b"ab\n"
    await response.aclose()
    assert [piece async for piece in body] == [b"cd\n", b"ef\n"]
