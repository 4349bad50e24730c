"""Content codings: undoes what a Content-Encoding header names (RFC 9110, section 8.4).

Rules of this file: no I/O, and one class for sync and async. Nobody vouches for what comes in, so
nothing is made before it is asked for. However much a body swells, one piece of it exists at a
time in each layer, and time grows with what goes in and out of the layers, each of which has a
limit. Libraries that are optional are imported where they are needed.

Theory. zlib, brotli and zstd are brought to one shape, that of the standard library's other
decompressors (`_Decompressor`): data and a maximum go in, at most so much comes out, and it says
whether it wants more data or has more to give. A `_Layer` drives one of them through the *members*
of a body: gzip and zstd allow several, one behind the other.

What follows the last member is ignored with gzip and deflate, as browsers do: there are servers
that pad. With br and zstd, which have no such past, it is an error. A member that has begun must
end, or the body was cut off, which is an error; a body with nothing in it at all is fine, since
responses to HEAD and those with status 304 name the coding of a body that they do not have.
"""

from __future__ import annotations

import functools
import importlib
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import NamedTuple, Protocol

from ._exceptions import DecodingError

PIECE = 65_536
"""The most bytes that come out at once, unless asked for otherwise."""

MAX_CODINGS = 5
"""Codings of one body; curl stops there as well. Servers use one."""

_SLICE = 16_384  # of what comes in; the rest of it is copied once for every member that ends
_MAX_EMPTY = 1_000  # members one behind the other with nothing in them
_BROTLI_BLOCK = 32_752  # what the library makes at least; from there on it doubles its buffer
_ZSTD_WINDOW_LOG = 23  # 8 MiB: RFC 9659 forbids more than that in HTTP


class _Decompressor(Protocol):
    """As `bz2.BZ2Decompressor` and its siblings: when `needs_input` is false, ``decompress(b"")``
    has more to give; after `eof` it may not be called."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Coding(NamedTuple):
    name: str
    decompressor: Callable[[], _Decompressor]
    error: type[Exception]
    next_member: bytes | None  # what another member begins with; None if there cannot be one
    may_trail: bool  # whether something else may follow


class _Inflate:
    """zlib; `wbits` tells which wrapper the data has."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._zlib.decompress(data or self._zlib.unconsumed_tail, max_length)
        self.needs_input = len(out) < max_length and not self._zlib.unconsumed_tail
        return out


class _Deflate:
    """The coding "deflate": the zlib format (RFC 1950), or what some servers take that to mean,
    the bare deflate of RFC 1951.

    The first two bytes decide. The zlib header has a check in it, and its low four bits, 8, would
    be a stored block with padding bits that are not zero, which nobody writes.
    """

    def __init__(self) -> None:
        self._head = b""
        self._inflate: _Inflate | None = None

    @property
    def eof(self) -> bool:
        return self._inflate is not None and self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return self._inflate is None or self._inflate.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data if self._inflate else b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._inflate is None:
            data, self._head = self._head + data, b""
            if len(data) < 2:
                self._head = data
                return b""
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._inflate = _Inflate(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        return self._inflate.decompress(data, max_length)


class _Brotli:
    """Without `unused_data`: the library refuses data behind the end. It may give more than
    `max_length`, but less than three blocks."""

    unused_data = b""

    def __init__(self, library: ModuleType) -> None:
        self._brotli = library.Decompressor()
        self.eof = False
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        limit = min(max_length, _BROTLI_BLOCK)
        out: bytes = self._brotli.process(data, output_buffer_limit=limit)
        # It says that it can accept data also where it has more to give.
        self.needs_input = len(out) < limit and self._brotli.can_accept_more_data()
        self.eof = self._brotli.is_finished()
        return out


@functools.cache
def _brotli_library() -> ModuleType | None:
    """None also where it is older than 1.2: without a limit one byte may become 16 MiB."""
    for name in ("brotli", "brotlicffi"):
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(getattr(library, "Decompressor", None), "can_accept_more_data"):
            return library
    return None


@functools.cache
def _zstd_name() -> str | None:
    """The standard library's from Python 3.14 on, which may be built without; its backport before
    that."""
    if sys.version_info >= (3, 14):
        return "compression.zstd" if find_spec("_zstd") else None
    try:
        return "backports.zstd" if find_spec("backports.zstd") else None
    except ImportError:  # there is no "backports" either
        return None


@functools.cache
def accept_encoding() -> str:
    """The value of Accept-Encoding: what can be undone with the libraries that are installed."""
    optional = {"br": _brotli_library(), "zstd": _zstd_name()}
    return ", ".join(["gzip", "deflate", *(name for name, found in optional.items() if found)])


@functools.lru_cache(maxsize=16)  # the names come from servers
def _coding(name: str) -> _Coding | None:
    """None if it is unknown, or its library is not installed."""
    if name in ("gzip", "x-gzip"):  # RFC 9110, 8.4.1.3
        inflate = functools.partial(_Inflate, 16 + zlib.MAX_WBITS)
        return _Coding("gzip", inflate, zlib.error, b"\x1f\x8b", may_trail=True)
    if name == "deflate":
        return _Coding(name, _Deflate, zlib.error, None, may_trail=True)
    if name == "br" and (library := _brotli_library()):
        brotli = functools.partial(_Brotli, library)
        return _Coding(name, brotli, library.error, None, may_trail=False)
    if name == "zstd" and (module := _zstd_name()):
        zstd = importlib.import_module(module)
        options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        new = functools.partial(zstd.ZstdDecompressor, options=options)
        # Also frames to be skipped may follow (RFC 8878, 3.1.2); the library knows them all.
        return _Coding(name, new, zstd.ZstdError, b"", may_trail=False)
    return None


class _Layer:
    """Undoes one coding; raises `DecodingError` when more than `limit` bytes come out."""

    def __init__(self, coding: _Coding, piece: int, limit: int | None) -> None:
        self._coding = coding
        self._piece = piece
        self._limit = limit
        self._made = 0  # bytes that came out
        self._empty = 0  # members since something last did
        self._member: _Decompressor | None = None
        self._seen = False  # a member, to its end
        self._head = b""  # what may become the beginning of the next member
        self._ended = False

    def undo(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            for start in range(0, len(chunk), _SLICE):
                yield from self._undo(chunk[start : start + _SLICE])

    def end(self) -> None:
        if self._member is not None or self._head:
            raise self._error("the body was cut off")

    def _undo(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._member is None:
                data = self._next_member(data)
                if not data:
                    return
                self._member = self._coding.decompressor()
            member = self._member
            try:
                out = member.decompress(data, self._piece)
            except self._coding.error as exc:
                raise self._error(f"the body is not valid ({exc})") from exc
            data = b""
            if out:
                self._count(len(out))
                for start in range(0, len(out), self._piece):
                    yield out[start : start + self._piece]
            if member.eof:
                data = self._end_member(member)
            elif member.needs_input:
                return
            elif not out:
                raise self._error("the decoder is stuck")

    def _next_member(self, data: bytes) -> bytes:
        """`data` where a member begins with it, nothing where none does."""
        if self._ended:
            return b""
        if not (data and self._seen):
            return data
        data, self._head = self._head + data, b""
        start = self._coding.next_member
        if start is not None and data.startswith(start):
            return data
        if start is not None and start.startswith(data):
            self._head = data
        elif self._coding.may_trail:
            self._ended = True
        else:
            raise self._error("there is data behind the end of the body")
        return b""

    def _end_member(self, member: _Decompressor) -> bytes:
        self._member, self._seen = None, True
        self._empty += 1
        if self._empty > _MAX_EMPTY:
            raise self._error(f"more than {_MAX_EMPTY} parts of the body are empty")
        return member.unused_data

    def _count(self, size: int) -> None:
        self._made += size
        self._empty = 0
        if self._limit is not None and self._made > self._limit:
            raise self._error(f"more than {self._limit} bytes come out, which is the limit")

    def _error(self, problem: str) -> DecodingError:
        return DecodingError(f"decoding {self._coding.name}: {problem}", phase="receive body")


class ContentDecoder:
    """A step of `_decoding`: bytes off the wire become those of the content.

    What `feed` returns makes the content lazily. Take all of it before the next call; after an
    error there is no next call. `flush` raises if the body was cut off.
    """

    def __init__(self, layers: Sequence[_Layer]) -> None:
        self._layers = layers  # the outermost, which was applied last, comes first

    def feed(self, data: bytes) -> Iterator[bytes]:
        chunks: Iterator[bytes] = iter((data,))
        for layer in self._layers:
            chunks = layer.undo(chunks)
        return chunks

    def flush(self) -> Iterator[bytes]:
        for layer in self._layers:
            layer.end()
        return iter(())  # every layer gives at once what it can


def content_decoder(
    values: str | Sequence[str], *, max_size: int | None, piece: int = PIECE
) -> ContentDecoder | None:
    """What undoes the codings that the Content-Encoding header's `values` name; None if there is
    nothing that can be undone.

    A coding that we do not know (or have no library for) stays on the body, and so do those below
    it: of ``gzip, unknown`` nothing can be undone, of ``unknown, gzip`` the gzip. The content
    comes in pieces of at most `piece` bytes. More than `max_size` bytes of it, data that is not
    valid, and a body that was cut off are a `DecodingError`, which this function itself raises
    when there are more than `MAX_CODINGS`.
    """
    if piece < 1:
        raise ValueError(f"piece must be at least 1, but is {piece}")
    text = values if isinstance(values, str) else ",".join(values)
    names = [name for item in text.split(",") if (name := item.strip(" \t").lower())]
    applied = [name for name in names if name != "identity"]  # reserved for "none" (8.4.1)
    if len(applied) > MAX_CODINGS:
        problem = f"the body has {len(applied)} content codings, the limit is {MAX_CODINGS}"
        raise DecodingError(problem, phase="receive body")
    codings: list[_Coding] = []
    for name in reversed(applied):
        coding = _coding(name)
        if coding is None:
            break
        codings.append(coding)
    if not codings:
        return None
    # What is between the layers is compressed yet; but it costs time too.
    between = None if max_size is None else 2 * max_size + PIECE
    limits = [between] * (len(codings) - 1) + [max_size]
    pairs = zip(codings, limits, strict=True)
    return ContentDecoder([_Layer(coding, piece, limit) for coding, limit in pairs])
