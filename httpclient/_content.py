"""Request bodies: from what the caller has to a stream and the headers that describe it.

Rules of this file: no I/O; nothing is read here. Whether a body may be sent twice is decided by
what it is: bytes, and sequences of them, may; an iterator, once started, never is (the second try
is an error, not an empty body).
"""

from __future__ import annotations

import json as _json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import IO, Any, TypeAlias

from httpcore_core import AsyncByteStream, ByteStream, LocalProtocolError, SyncByteStream

from ._exceptions import StreamConsumed

Content: TypeAlias = str | bytes | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes]
Stream: TypeAlias = SyncByteStream | AsyncByteStream

_BODY_EXPECTED = frozenset(("POST", "PUT", "PATCH"))  # RFC 9110, 8.6: say so when there is none


class IterableStream(SyncByteStream):
    def __init__(self, content: Iterable[bytes]) -> None:
        self._content = content
        self._started = False
        self.replayable = isinstance(content, (list, tuple))

    def __iter__(self) -> Iterator[bytes]:
        if self._started and not self.replayable:
            raise StreamConsumed("the request body is an iterator and has been sent already")
        self._started = True
        return iter(self._content)


class AsyncIterableStream(AsyncByteStream):
    def __init__(self, content: AsyncIterable[bytes]) -> None:
        self._content = content
        self._started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._started:
            raise StreamConsumed("the request body is an iterator and has been sent already")
        self._started = True
        return self._content.__aiter__()

    async def aclose(self) -> None:
        """An async generator left half-way must be told so while its event loop still runs."""
        close = getattr(self._content, "aclose", None)
        if close is not None:
            await close()


def encode_body(
    content: Content | None, data: Any, files: Any, json: Any, content_type: str | None
) -> tuple[Stream, str | None]:
    """A stream, and its media type where it has one. `content_type` is the caller's own, which may
    name the boundary of a multipart body."""
    if data is not None and not isinstance(data, Mapping):
        content, data = data, None  # HTTPX took raw content here, once
    given = [name for name, value in (("content", content), ("json", json)) if value is not None]
    given += ["data or files"] if data is not None or files is not None else []
    if len(given) > 1:
        raise TypeError(f"{' and '.join(given)} are several bodies: pass one of them")
    if json is not None:
        return encode_json(json), "application/json"
    if content is not None:
        return encode_content(content), None
    from ._multipart import MultipartStream, encode_form

    if files:
        stream = MultipartStream(data or {}, files, content_type=content_type)
        return stream, stream.content_type
    if data:
        return encode_form(data), "application/x-www-form-urlencoded"
    return ByteStream(), None


def encode_content(content: Content) -> Stream:
    if isinstance(content, (SyncByteStream, AsyncByteStream)):
        return content
    if isinstance(content, str):
        try:
            return ByteStream(content.encode("utf-8"))
        except UnicodeEncodeError as exc:  # lone surrogates
            problem = "the content has text that cannot be written as UTF-8"
            raise LocalProtocolError(problem, phase="request") from exc
    if isinstance(content, (bytes, bytearray, memoryview)):
        return ByteStream(bytes(content))
    if hasattr(content, "read") and not isinstance(content, AsyncIterable):
        from ._multipart import FileStream

        return FileStream(content)  # type: ignore[arg-type]  # it has `read`
    if isinstance(content, AsyncIterable):
        return AsyncIterableStream(content)
    if isinstance(content, Iterable) and not isinstance(content, dict):
        return IterableStream(content)
    raise TypeError(f"content is str, bytes or an iterable of bytes, not {type(content).__name__}")


def encode_json(json: Any) -> ByteStream:
    """RFC 8259: UTF-8, and no NaN or infinities; a lone surrogate is escaped, as in ECMAScript."""
    text = _json.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return ByteStream(text.encode("utf-8"))
    except UnicodeEncodeError:
        return ByteStream(_json.dumps(json, separators=(",", ":"), allow_nan=False).encode("ascii"))


def framing_header(method: str, stream: Stream) -> tuple[bytes, bytes] | None:
    """The header that tells the server where the body ends (RFC 9112, section 6)."""
    length: int | None
    if isinstance(stream, ByteStream):
        length = len(stream.content)
    else:
        length = getattr(stream, "content_length", None)
    if length is None:
        return b"Transfer-Encoding", b"chunked"
    if length or method in _BODY_EXPECTED:
        return b"Content-Length", str(length).encode("ascii")
    return None
