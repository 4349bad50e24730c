"""The steps of a body: the same result however it is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpclient import Response
from httpclient._decoding import ByteStep, LineStep, Step, TextStep, charset_of


def through(step: Step[object], chunks: list[bytes]) -> list[object]:
    return [*(item for chunk in chunks for item in step.feed(chunk)), *step.flush()]


def cut(content: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[a:b] for a, b in itertools.pairwise(edges)]


PLACES = st.lists(st.integers(0, 1000), max_size=8)


@given(st.text(alphabet="a\r\nü😀\u2028", max_size=30), PLACES)
def test_lines_do_not_depend_on_chunks(text: str, places: list[int]) -> None:
    expected = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not expected[-1]:
        expected.pop()
    assert through(LineStep("utf-8"), cut(text.encode(), places)) == expected


@given(st.binary(max_size=30), PLACES, st.sampled_from(["utf-8", "utf-16", "shift_jis"]))
def test_text_does_not_depend_on_chunks(content: bytes, places: list[int], charset: str) -> None:
    chunks = cut(content, places)
    text = "".join(map(str, through(TextStep(charset), chunks)))
    assert text == "".join(map(str, through(TextStep(charset), [content])))


@given(st.binary(max_size=50), PLACES, st.integers(1, 20))
def test_bytes_in_pieces_of_a_size(content: bytes, places: list[int], size: int) -> None:
    pieces = through(ByteStep(size), cut(content, places))
    assert pieces == [content[i : i + size] for i in range(0, len(content), size)]


def test_bytes_come_as_they_are() -> None:
    assert through(ByteStep(), [b"ab", b"", b"c"]) == [b"ab", b"c"]
    response = Response(200, content=b"abc")
    assert list(response.iter_bytes(2)) == [b"ab", b"c"]
    assert list(response.iter_raw()) == [b"abc"]
    with pytest.raises(ValueError, match="chunk_size"):
        response.iter_bytes(0)


def test_i8_long_line_and_small_pieces_take_linear_time() -> None:
    step = LineStep("utf-8")
    for _ in range(100_000):
        assert step.feed(b"x") == ()
    assert step.flush() == ["x" * 100_000]
    pieces = ByteStep(100_000)
    for _ in range(99_999):
        assert pieces.feed(b"x") == ()
    assert pieces.feed(b"x") == [b"x" * 100_000]


def test_charset_is_found_in_its_parameter_only() -> None:
    assert charset_of("text/html; charset=ascii") == "ascii"
    assert charset_of("text/html; xcharset=ascii") is None
    assert charset_of("charset=ascii") is None
