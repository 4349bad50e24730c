"""Steps that a body passes through on its way to the caller: chunks, text, lines.

Rules of this file: no I/O, and one class for sync and async. `feed` takes the next bytes of the
body and returns what is ready, maybe lazily: whoever calls takes all of it before the next call;
`flush` comes after the last bytes. Content codings are in `_content_coding`.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

Out = TypeVar("Out", covariant=True)

DEFAULT_CHARSET = "utf-8"

_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([a-z0-9][a-z0-9+.:_-]{0,63})\"?\s*(?:;|$)", re.I)

# Text encodings to Python, but none of HTTP: they may raise whatever `errors` says, warn, or take
# time that grows with the square of the length, as UTF-7 does, which browsers dropped.
_NOT_CHARSETS = frozenset(
    ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")
)


def charset_of(content_type: str) -> str | None:
    """The charset that a Content-Type names, if it is one that Python can decode text from."""
    match = _CHARSET.search(content_type)
    if match is None:
        return None
    try:
        "".encode(match[1])  # refuses codecs that are not for text, as "zlib"
        name = codecs.lookup(match[1]).name
    except (LookupError, UnicodeError):
        return None
    return None if name.replace("_", "-") in _NOT_CHARSETS else match[1]


class _BOMOptional(codecs.IncrementalDecoder):
    """UTF-16 and UTF-32; Python's own decoders raise where there is no byte order mark. Then it is
    little-endian, as the Encoding Standard has it."""

    def __init__(self, name: str) -> None:
        super().__init__("replace")
        self._name = name
        self._inner = codecs.getincrementaldecoder(name)("replace")

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]  # no views
        held, _ = self._inner.getstate()
        try:
            return self._inner.decode(data, final)
        except UnicodeError:
            self._inner = codecs.getincrementaldecoder(f"{self._name}-le")("replace")
            return self._inner.decode(held + data, final)


def _decoder(charset: str) -> codecs.IncrementalDecoder:
    """What is not legal in the charset becomes U+FFFD."""
    name = codecs.lookup(charset).name
    if name in ("utf-16", "utf-32"):
        return _BOMOptional(name)
    return codecs.getincrementaldecoder(charset)("replace")


class Step(Protocol[Out]):
    def feed(self, data: bytes) -> Iterable[Out]: ...

    def flush(self) -> Iterable[Out]: ...


class Chained(Generic[Out]):
    """One step behind another, which makes bytes."""

    def __init__(self, first: Step[bytes], second: Step[Out]) -> None:
        self._first = first
        self._second = second

    def feed(self, data: bytes) -> Iterator[Out]:
        for piece in self._first.feed(data):
            yield from self._second.feed(piece)

    def flush(self) -> Iterator[Out]:
        for piece in self._first.flush():
            yield from self._second.feed(piece)
        yield from self._second.flush()


class ByteStep:
    """Bytes as they come, or in pieces of `size`, of which the last may be shorter."""

    def __init__(self, size: int | None = None) -> None:
        if size is not None and size < 1:
            raise ValueError(f"chunk_size must be at least 1, but is {size}")
        self._size = size
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> Sequence[bytes]:
        size = self._size
        if size is None:
            return (data,) if data else ()
        self._parts.append(data)
        self._held += len(data)
        if self._held < size:
            return ()
        whole = b"".join(self._parts)
        self._held = len(whole) % size
        end = len(whole) - self._held
        self._parts = [whole[end:]]
        return [whole[start : start + size] for start in range(0, end, size)]

    def flush(self) -> Sequence[bytes]:
        return (b"".join(self._parts),) if self._held else ()


class TextStep:
    """Text, however the characters are cut; in pieces of `size` characters if there is one."""

    def __init__(self, charset: str, size: int | None = None) -> None:
        if size is not None and size < 1:
            raise ValueError(f"chunk_size must be at least 1, but is {size}")
        self._decoder = _decoder(charset)
        self._size = size
        self._parts: list[str] = []
        self._held = 0

    def feed(self, data: bytes, final: bool = False) -> Sequence[str]:
        text = self._decoder.decode(data, final)
        size = self._size
        if size is None:
            return (text,) if text else ()
        self._parts.append(text)
        self._held += len(text)
        if self._held < size and not final:
            return ()
        text = "".join(self._parts)
        end = len(text) if final else len(text) - len(text) % size
        self._parts, self._held = [text[end:]], len(text) - end
        return [text[start : min(start + size, end)] for start in range(0, end, size)]

    def flush(self) -> Sequence[str]:
        return self.feed(b"", final=True)


class LineStep:
    """Lines without their ends, which are LF, CR LF or CR."""

    def __init__(self, charset: str) -> None:
        self._decoder = io.IncrementalNewlineDecoder(_decoder(charset), translate=True)
        self._open: list[str] = []  # pieces of the line that has not ended

    def feed(self, data: bytes, final: bool = False) -> Sequence[str]:
        lines = self._decoder.decode(data, final).split("\n")
        if len(lines) == 1:
            self._open += lines
            return ()
        first = "".join([*self._open, lines[0]])
        self._open = [lines[-1]]
        return [first, *lines[1:-1]]

    def flush(self) -> Sequence[str]:
        lines = self.feed(b"", final=True)
        rest = "".join(self._open)
        self._open = []
        return [*lines, rest] if rest else lines
