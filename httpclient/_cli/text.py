"""Text for terminals: what a server sent, made harmless and easy to read.

Rules of this file: pure. A terminal obeys escape sequences, so none of a server's may reach it:
control characters, C1 ones too, become their pictures, and so does what reorders text (Unicode
TR 36, section 2.2). JSON is laid out by moving blanks only; no number or string is changed.
"""

from __future__ import annotations

import json
import re

_INDENT = "  "
_DEEPEST = 32  # levels that are indented: deeper ones would make much out of little

# Tab and line feed pass. Bidirectional controls and the separators that some terminals obey.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)

_JSON_TYPE = re.compile(r"\s*(application|text)/([\w.!#$&^-]+\+)?json\s*(;|$)", re.I)
_BINARY_TYPE = re.compile(r"\s*(image|audio|video|font)/(?![\w.-]*\+xml)", re.I)
_WIDE_CHARSETS = ("utf-16", "utf16", "utf-32", "utf32", "ucs")


def _picture(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x20:
        return chr(0x2400 + number)  # the control pictures
    return "\u2421" if number == 0x7F else f"<U+{number:04X}>"


def safe(text: str) -> str:
    """`text` with nothing in it that a terminal would obey, tabs and line feeds apart."""
    return _UNSAFE.sub(_picture, text)


def safe_line(text: str) -> str:
    """The same on one line."""
    return safe(" ".join(text.split("\n")))


def field_text(value: bytes) -> str:
    """What a header's bytes say: UTF-8 where they are that, otherwise Latin-1, where every byte is
    a character (RFC 9110, section 5.5)."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("iso-8859-1")


class SafeText:
    """`safe` for text that comes in pieces: a line end may be cut between two of them."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        return safe(text.removesuffix(self._held).replace("\r\n", "\n"))

    def flush(self) -> str:
        held, self._held = self._held, ""
        return safe(held)


def is_json(content_type: str) -> bool:
    return _JSON_TYPE.match(content_type) is not None


def is_binary(content_type: str, charset: str, beginning: bytes) -> bool:
    """Whether a body is nothing to read: its type says so, or it has a NUL where text has none."""
    if _BINARY_TYPE.match(content_type):
        return True
    return b"\0" in beginning and not charset.lower().startswith(_WIDE_CHARSETS)


def pretty_json(text: str) -> str | None:
    """The same JSON with a line for each value; None if it is not JSON."""
    text = text.removeprefix("\ufeff")
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    parts: list[str] = []
    depth = 0
    tokens = [match[0] for match in _JSON_TOKEN.finditer(text)]
    for number, token in enumerate(tokens):
        following = tokens[number + 1] if number + 1 < len(tokens) else ""
        previous = tokens[number - 1] if number else ""
        if token in "}]":
            depth -= 1
            parts.append(token if previous in ("{", "[") else _new_line(depth) + token)
        elif token in "{[":
            depth += 1
            parts.append(token if following in ("}", "]") else token + _new_line(depth))
        elif token == ",":
            parts.append(token + _new_line(depth))
        else:
            parts.append(": " if token == ":" else token)
    return "".join(parts)


def _new_line(depth: int) -> str:
    return "\n" + _INDENT * min(depth, _DEEPEST)
