"""A response that was closed, or has failed, in the middle of its body: what there is never passes
for the whole (N6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import httpclient as httpx

URL = "http://example.org/"


class Pieces(httpx.SyncByteStream):
    """Three pieces; what raises instead of the second one, if that is an error."""

    def __init__(self, second: bytes | Exception = b"cd\n") -> None:
        self._pieces: list[Any] = [b"ab\n", second, b"ef\n"]

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        if not self._pieces:
            raise StopIteration
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return bytes(piece)


class Answering(httpx.BaseTransport):
    def __init__(self, stream: Pieces) -> None:
        self._stream = stream

    def handle_request(self, *args: Any) -> Any:
        return 200, [], self._stream, {}


def begun(stream: Pieces | None = None) -> httpx.Response:
    with httpx.Client(transport=Answering(stream or Pieces())) as client:
        return client.send(client.build_request("GET", URL), stream=True)


ITERATE = pytest.mark.parametrize(
    ("iterate", "first"),
    [
        (lambda response: response.iter_raw(), b"ab\n"),
        (lambda response: response.iter_bytes(), b"ab\n"),
        (lambda response: response.iter_bytes(1), b"a"),
        (lambda response: response.iter_text(), "ab\n"),
        (lambda response: response.iter_lines(), "ab"),
    ],
    ids=["raw", "bytes", "single bytes", "text", "lines"],
)


@ITERATE
def test_n6_closed_by_somebody_else(
    iterate: Callable[[httpx.Response], Any], first: str | bytes
) -> None:
    response = begun()
    body = iterate(response)
    assert body.__next__() == first
    response.close()
    for _ in range(2):
        with pytest.raises(httpx.StreamClosed, match="before its body was read to its end"):
            body.__next__()


@ITERATE
def test_n6_failed_before(
    iterate: Callable[[httpx.Response], Any], first: str | bytes
) -> None:
    response = begun(Pieces(httpx.ReadTimeout("late")))
    body = iterate(response)
    with pytest.raises(httpx.ReadTimeout):
        for _ in body:
            pass
    for _ in range(2):
        with pytest.raises(httpx.StreamClosed, match="before its body was read to its end"):
            body.__next__()


@ITERATE
def test_what_was_read_to_its_end_stays_ended(
    iterate: Callable[[httpx.Response], Any], first: str | bytes
) -> None:
    response = begun()
    body = iterate(response)
    pieces = [piece for piece in body]
    assert pieces[0] == first
    assert response.is_closed
    response.close()
    assert [piece for piece in body] == []


def test_a_body_in_memory_cannot_be_closed() -> None:
    response = begun()
    assert response.read() == b"ab\ncd\nef\n"
    body = response.iter_bytes(3)
    assert body.__next__() == b"ab\n"
    response.close()
    assert [piece for piece in body] == [b"cd\n", b"ef\n"]
