"""Bodies made of files and forms, which are read while they are sent.

Rules of this file: a file is the caller's. It is read from where it stood when the request was
made, never before the body is sent, in chunks of `CHUNK` bytes, and is not closed. Reading blocks,
in async code too, as long as the disk takes for one chunk; whoever cannot have that passes an async
iterator as `content`. What an `OSError` or other error of the file says is the caller's to know,
and passes through.

A length that was announced is kept: a file that turns out to be longer or shorter ends the body
with an error, before all of that length has been sent.
"""

from __future__ import annotations

import inspect
import io
import mimetypes
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import IO, Any, TypeAlias

from httpcore_core import AsyncByteStream, ByteStream, LocalProtocolError, SyncByteStream

from ._exceptions import StreamConsumed
from ._forms import boundary_of, form_fields, part_head, urlencoded, utf8
from ._headers import HeaderTypes

FileContent: TypeAlias = IO[bytes] | bytes | str
FileTypes: TypeAlias = (
    FileContent
    | tuple[str | None, FileContent]
    | tuple[str | None, FileContent, str | None]
    | tuple[str | None, FileContent, str | None, HeaderTypes]
)
RequestFiles: TypeAlias = Mapping[str, FileTypes] | Iterable[tuple[str, FileTypes]]

CHUNK = 65_536

# To find the end of such a file is to decompress all of it.
_DECOMPRESSORS = frozenset(("backports", "bz2", "compression", "gzip", "lzma", "zipfile"))


def encode_form(data: Mapping[str, Any]) -> ByteStream:
    """A body of the type ``application/x-www-form-urlencoded``."""
    return ByteStream(urlencoded(data))


class _File:
    """A file from where it stands to its end.

    `length` is None where only reading would tell, as with a pipe; `rewinds` is whether it can be
    read a second time. Raises `TypeError` for what is not a file of bytes.
    """

    def __init__(self, file: Any) -> None:
        if isinstance(file, io.TextIOBase) or isinstance(getattr(file, "encoding", None), str):
            raise TypeError('the file is open as text: open it in binary mode, as with "rb"')
        if inspect.iscoroutinefunction(file.read):
            raise TypeError("the file is one for async code: pass an async iterator over its bytes")
        self._file = file
        self._start = self._position()
        self.rewinds = self._start is not None
        self.length = self._find_length()

    def _position(self) -> int | None:
        try:
            if getattr(self._file, "seekable", lambda: True)() and self._file.seek:
                position: int = self._file.tell()
                return position
        except (AttributeError, OSError):  # it has `read` and no more than that
            pass
        return None

    def _find_length(self) -> int | None:
        homes = {base.__module__.partition(".")[0] for base in type(self._file).__mro__}
        if self._start is None or homes & _DECOMPRESSORS:
            return None
        try:
            self._file.seek(0, os.SEEK_END)
        except OSError:  # some files of Linux's /proc
            return None
        end: int = self._file.tell()
        self._file.seek(self._start)
        return max(0, end - self._start)

    def chunks(self) -> Iterator[bytes]:
        if self._start is not None:
            self._file.seek(self._start)
        if self.length is None:
            while chunk := self._read(CHUNK):
                yield chunk
            return
        left = self.length
        chunk = b""
        while left > 0:
            if chunk:
                yield chunk
            chunk = self._read(min(CHUNK, left))
            if not chunk:
                raise self._changed("shorter")
            left -= len(chunk)
        # Before the last chunk leaves, so that no server takes the body for a whole one.
        if left < 0 or self._read(1):
            raise self._changed("longer")
        if chunk:
            yield chunk

    def _read(self, size: int) -> bytes:
        chunk: Any = self._file.read(size)
        if not isinstance(chunk, bytes):
            raise TypeError(f"the file gave {type(chunk).__name__} where bytes were asked for")
        return chunk

    def _changed(self, change: str) -> LocalProtocolError:
        problem = f"the file is {change} than the {self.length} bytes that were announced"
        return LocalProtocolError(problem, phase="send")


class _AsyncChunks:
    """A class, because an async generator left half-way needs the event loop once more."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


class _Assembled(SyncByteStream, AsyncByteStream):
    """Bytes and files, one behind the other. `content_length` is in bytes, None if unknown. It is
    replayable if all files can go back to where they stood."""

    def __init__(self, pieces: Iterable[bytes | _File]) -> None:
        self._pieces = list(pieces)
        self._started = False
        self.replayable = all(isinstance(it, bytes) or it.rewinds for it in self._pieces)
        lengths = [len(it) if isinstance(it, bytes) else it.length for it in self._pieces]
        known = [length for length in lengths if length is not None]
        self.content_length = sum(known) if len(known) == len(lengths) else None

    def __iter__(self) -> Iterator[bytes]:
        if self._started and not self.replayable:
            raise StreamConsumed("a file in the request body cannot go back, and was sent already")
        self._started = True
        return self._chunks()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _AsyncChunks(self.__iter__())

    def _chunks(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from piece.chunks()


class FileStream(_Assembled):
    """A file as the whole body."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__([_File(file)])


class MultipartStream(_Assembled):
    """A form with files as ``multipart/form-data`` (RFC 7578): the fields of `data` come first.

    A file is an object with `read`, bytes or text, or a tuple of a file name (or None), one of
    these and, if wanted, a content type and further headers of the part. `content_type` is the
    caller's own, if there is one: it has to name the boundary, which must not occur in what is
    sent. Raises `LocalProtocolError` for headers and boundaries that are not legal.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        files: RequestFiles,
        *,
        content_type: str | None = None,
    ) -> None:
        if content_type is None:
            boundary = secrets.token_hex(16)
            content_type = f"multipart/form-data; boundary={boundary}"
        else:
            boundary = boundary_of(content_type)
        self.content_type = content_type
        super().__init__(_joined(_parts(data, files, boundary.encode("ascii"))))


def _parts(
    data: Mapping[str, Any], files: RequestFiles, boundary: bytes
) -> Iterator[bytes | _File]:
    for name, value in form_fields(data):
        yield from (b"--%b\r\n" % boundary, part_head(name), utf8(value), b"\r\n")
    for name, file in files.items() if isinstance(files, Mapping) else files:
        yield from (b"--%b\r\n" % boundary, *_file_part(name, file), b"\r\n")
    yield b"--%b--\r\n" % boundary


def _file_part(name: str, file: FileTypes) -> tuple[bytes, bytes | _File]:
    if not isinstance(name, str):
        raise TypeError(f"the name of a file's field is str, not {type(name).__name__}")
    if not isinstance(file, tuple):
        file = (_name_of(file), file)
    if not 2 <= len(file) <= 4:
        raise TypeError("a file is (filename, content), with a content type and headers if wanted")
    filename, content, content_type, headers = (*file, None, None)[:4]
    if not isinstance(filename, (str, type(None))):
        raise TypeError(f"a file name is str, not {type(filename).__name__}")
    if filename is not None and content_type is None:
        content_type = _guessed(filename)
    return part_head(name, filename, content_type, headers), _content(content)


def _name_of(file: Any) -> str:
    """The last part of a file's path; some files have a number for a name, or ``<stdin>``."""
    name = getattr(file, "name", None)
    if isinstance(name, (str, bytes, os.PathLike)):
        last = os.path.basename(os.fsdecode(name))
        if last and not last.startswith("<"):
            return last
    return "upload"


def _guessed(filename: str) -> str:
    guess, compressed = mimetypes.guess_type(f"./{filename}")  # so that it is a path and no URL
    return guess if guess and not compressed else "application/octet-stream"


def _content(content: Any) -> bytes | _File:
    if isinstance(content, str):
        return utf8(content)
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    if callable(getattr(content, "read", None)):
        return _File(content)
    kind = type(content).__name__
    raise TypeError(f"the content of a file is bytes, str or an object with read(), not {kind}")


def _joined(pieces: Iterable[bytes | _File]) -> Iterator[bytes | _File]:
    """Small pieces as one, so that they are not sent one by one; large ones are not copied."""
    small = bytearray()
    for piece in pieces:
        if isinstance(piece, bytes) and len(piece) < CHUNK:
            small += piece
            if len(small) < CHUNK:
                continue
            piece = b""
        if small:
            yield bytes(small)
            small.clear()
        if piece:
            yield piece
    if small:
        yield bytes(small)
