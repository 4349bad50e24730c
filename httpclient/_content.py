"""Request bodies: from what the caller has to a stream and the headers that describe it.

Rules of this file: no I/O; nothing is read here. Whether a body may be sent twice is decided by
what it is: bytes, and sequences of them, may; an iterator, once started, never is (the second try
is an error, not an empty body).
"""

from __future__ import annotations

import json as _json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, TypeAlias

from httpcore_core import AsyncByteStream, ByteStream, SyncByteStream

from ._exceptions import StreamConsumed

Content: TypeAlias = str | bytes | Iterable[bytes] | AsyncIterable[bytes]
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


def encode_content(content: Content) -> Stream:
    if isinstance(content, (SyncByteStream, AsyncByteStream)):
        return content
    if isinstance(content, str):
        return ByteStream(content.encode("utf-8"))
    if isinstance(content, (bytes, bytearray, memoryview)):
        return ByteStream(bytes(content))
    if isinstance(content, AsyncIterable):
        return AsyncIterableStream(content)
    if isinstance(content, Iterable) and not isinstance(content, dict):
        return IterableStream(content)
    raise TypeError(f"content is str, bytes or an iterable of bytes, not {type(content).__name__}")


def encode_json(json: Any) -> ByteStream:
    """RFC 8259: UTF-8, and no NaN or infinities."""
    text = _json.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return ByteStream(text.encode("utf-8"))


def framing_header(method: str, stream: Stream) -> tuple[bytes, bytes] | None:
    """The header that tells the server where the body ends (RFC 9112, section 6)."""
    if not isinstance(stream, ByteStream):
        return b"Transfer-Encoding", b"chunked"
    length = len(stream.content)
    if length or method in _BODY_EXPECTED:
        return b"Content-Length", str(length).encode("ascii")
    return None
