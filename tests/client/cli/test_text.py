"""Text for terminals: nothing that they would obey, and JSON that is still the same."""

from __future__ import annotations

import json
import unicodedata

import hypothesis.strategies as st
import pytest
from hypothesis import given

from httpclient._cli.text import (
    SafeText,
    field_text,
    is_binary,
    is_json,
    pretty_json,
    safe,
    safe_line,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\x00b\x7f", "a␀b␡"),
        ("\x9b31m", "<U+009B>31m"),
        ("a\rb", "a␍b"),
        ("a\u202eb\u2066c\u200f", "a<U+202E>b<U+2066>c<U+200F>"),
        ("\u2028\ud800", "<U+2028><U+D800>"),
        ("é ü 漢 🎉", "é ü 漢 🎉"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    for char in safe(text):
        assert char in "\t\n" or unicodedata.category(char) not in ("Cc", "Cs")
        assert unicodedata.bidirectional(char) not in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI")


def test_safe_line_is_one_line() -> None:
    assert safe_line("a\nb\x1b\r\n") == "a b␛␍ "


@given(st.lists(st.sampled_from(["a", "\r", "\n", "\r\n", "\x1b"]), max_size=12))
def test_pieces_come_to_the_same_as_the_whole(pieces: list[str]) -> None:
    whole = SafeText()
    expected = whole.feed("".join(pieces)) + whole.flush()
    cut = SafeText()
    assert "".join(map(cut.feed, pieces)) + cut.flush() == expected


def test_line_ends_of_the_network_are_line_ends() -> None:
    text = SafeText()
    assert text.feed("a\r") + text.feed("\nb\r\n") + text.flush() == "a\nb\n"


@pytest.mark.parametrize(
    ("value", "text"), [(b"plain", "plain"), ("é".encode(), "é"), (b"\xe9", "é")]
)
def test_field_text(value: bytes, text: str) -> None:
    assert field_text(value) == text


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/json", True),
        ("application/json-seq", False),
        ("application/jsonp", False),
        ("text/html", False),
        ("", False),
    ],
)
def test_is_json(content_type: str, expected: bool) -> None:
    assert is_json(content_type) is expected


@pytest.mark.parametrize(
    ("content_type", "charset", "beginning", "expected"),
    [
        ("text/plain", "utf-8", b"text", False),
        ("text/plain", "utf-8", b"te\0xt", True),
        ("", "utf-8", b"\x89PNG\r\n\x1a\n\0", True),
        ("text/plain;charset=utf-16", "utf-16", b"t\0e\0", False),
        ("image/png", "utf-8", b"x", True),
        ("image/svg+xml", "utf-8", b"<svg>", False),
        ("video/mp4", "utf-8", b"x", True),
        ("application/octet-stream", "utf-8", b"text", False),
    ],
)
def test_is_binary(content_type: str, charset: str, beginning: bytes, expected: bool) -> None:
    assert is_binary(content_type, charset, beginning) is expected


def test_pretty_json_has_a_line_for_each_value() -> None:
    text = '{"a":[1,{"b":null}],"c":{},"d":[], "e":"{[,:]}\\" "}'
    assert pretty_json(text) == (
        '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ],\n'
        '  "c": {},\n  "d": [],\n  "e": "{[,:]}\\" "\n}'
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"n":1.10,"n":1e400,"big":123456789012345678901234567890}',
        '"\\u001b\\ud83c"',
        "1",
        "\ufeff[]",
    ],
)
def test_pretty_json_changes_no_value(text: str) -> None:
    """Numbers as they are written, names that come twice, escapes."""
    pretty = pretty_json(text)
    assert pretty is not None
    assert pretty.replace("\n", "").replace(" ", "") == text.lstrip("\ufeff")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_pretty_json_is_the_same_json(value: object, indent: int | str | None, plain: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain)
    pretty = pretty_json(text)
    assert pretty is not None
    assert json.loads(pretty) == value


@pytest.mark.parametrize("text", ["", "{", "nothing", '{"a":1,}', "[" * 100_000, "1 2"])
def test_what_is_not_json_stays_as_it_is(text: str) -> None:
    assert pretty_json(text) is None


def test_deep_json_does_not_grow_without_bound() -> None:
    depth, values = 400, 1000
    text = "[" * depth + ",".join("1" * values) + "]" * depth
    pretty = pretty_json(text)
    assert pretty is not None
    assert len(pretty) < 100 * len(text)
