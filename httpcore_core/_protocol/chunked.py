"""The chunked transfer coding (RFC 9112, section 7.1).

Rules of this file: bytes in, bytes out; one decoder per body. What it accepts does not depend on
how the bytes were cut up on their way, nor on the engine in use, and it costs linear time.

The decoder is stricter than most: lines end in CRLF and nothing else, a size has at most 16
hexadecimal digits, a line has a limit, and so has everything that is not data. It is laxer than
the RFC in one point: spaces and tabs may follow a size, as some servers pad it.
"""

from __future__ import annotations

import re

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._models import Headers

# A chunk extension may hold anything visible (RFC 9112, section 7.1.1): we have no use for any.
_size_line = re.compile(rb"([0-9A-Fa-f]{1,16})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n").fullmatch
_field_line = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*"
    rb"((?:[\x21-\x7e\x80-\xff]+(?:[\t ]+[\x21-\x7e\x80-\xff]+)*)?)[\t ]*\r\n"
).fullmatch

MAX_LINE = 4096
"""Longest size line with its extensions. Go allows 4 KiB too, h11 16 KiB."""

MAX_EXCESS = 16 * 1024
"""How much more than usual may be spent on framing. Like Go, we find 16 bytes and twice the size
of the data usual for a chunk, and count the rest."""

_SIZE, _DATA, _DATA_END, _TRAILERS, _COMPLETE = range(5)
_MISSING = {
    _SIZE: "before a chunk",
    _DATA: "inside a chunk",
    _DATA_END: "at the end of a chunk",
    _TRAILERS: "before the end of the trailers",
}


def encode_chunk(data: bytes) -> bytes:
    """Frame `data`, which must not be empty: an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def encode_last_chunk(trailers: Headers) -> bytes:
    """What ends a body. The trailers have been checked."""
    return b"\r\n".join([b"0", *[name + b": " + value for name, value in trailers], b"\r\n"])


class ChunkedDecoder:
    """Decodes one body; `trailers` are complete when it is."""

    __slots__ = (
        "_excess",
        "_left",
        "_max_fields",
        "_scanned",
        "_state",
        "_trailer_room",
        "trailers",
    )

    def __init__(self, max_trailer_bytes: int, max_trailer_count: int) -> None:
        self._state = _SIZE
        self._left = 0  # bytes of data still to come in this chunk
        self._scanned = 0  # bytes at the start of the rest in which no line ends
        self._excess = 0
        self._trailer_room = max_trailer_bytes
        self._max_fields = max_trailer_count
        self.trailers: Headers = []

    @property
    def complete(self) -> bool:
        return self._state == _COMPLETE

    @property
    def missing(self) -> str:
        """What an end of stream now would cut off."""
        return _MISSING[self._state]

    def decode(self, received: bytes | bytearray) -> tuple[bytes, bytes | bytearray]:
        """Return the data in `received` and the rest, to be passed again with more after it.

        Once `complete`, the rest is what followed the body. Raises `RemoteProtocolError`.
        """
        parts: list[bytes | bytearray] = []
        at = 0
        end = len(received)
        while at < end and self._state != _COMPLETE:
            if self._state == _DATA:
                part = received[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                line_end = received[at : at + 2]
                if line_end == b"\r":
                    break
                if line_end != b"\r\n":
                    raise RemoteProtocolError("a chunk is longer than its size")
                at += 2
                self._state = _SIZE
            else:
                line = self._line(received, at)
                if line is None:
                    break
                at += len(line)
                if self._state == _SIZE:
                    self._read_size(line)
                else:
                    self._read_trailer(line)
        body = bytes(parts[0]) if len(parts) == 1 else b"".join(parts)
        return body, received[at:] if at else received

    def _line(self, received: bytes | bytearray, start: int) -> bytes | bytearray | None:
        """The line that begins at `start`, with its end; None if that has not come."""
        limit = MAX_LINE if self._state == _SIZE else self._trailer_room
        found = received.find(b"\n", start + self._scanned)
        length = (len(received) if found < 0 else found + 1) - start
        if length > limit:
            raise RemoteProtocolError(f"a chunk's size or trailers are over {limit} bytes")
        if found < 0:
            self._scanned = length
            return None
        self._scanned = 0
        return received[start : found + 1]

    def _read_size(self, line: bytes | bytearray) -> None:
        match = _size_line(line)
        if match is None:
            raise RemoteProtocolError(f"illegal chunk size {bytes(line[:40])!r}")
        self._left = int(match[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        self._excess = max(0, self._excess + len(line) + 2 - 16 - 2 * self._left)
        if self._excess > MAX_EXCESS:
            raise RemoteProtocolError("the chunks are mostly framing and hardly any data")

    def _read_trailer(self, line: bytes | bytearray) -> None:
        if line == b"\r\n":
            self._state = _COMPLETE
            return
        match = _field_line(line)
        if match is None:
            raise RemoteProtocolError("illegal trailer field")
        self._trailer_room -= len(line)
        self.trailers.append((match[1], match[2]))
        if len(self.trailers) > self._max_fields:
            raise RemoteProtocolError(f"more than {self._max_fields} trailer fields")
