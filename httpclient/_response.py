"""The response: what came back, for sync and async code alike.

Rules of this file: the body, its state and its transitions. Bytes are moved by the two `Body`
iterators; both kinds of methods change the same fields. Pickles and copies keep what is plain data:
a body that has not been read, and extensions that are live objects, stay behind.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from httpcore_core import ByteStream, TransportError

from ._content import Content, encode_content, encode_json
from ._decoding import DEFAULT_CHARSET, ByteStep, Chained, LineStep, Step, TextStep, charset_of
from ._exceptions import (
    DecodingError,
    ResponseNotRead,
    StreamClosed,
    StreamConsumed,
    StreamError,
    attach,
)
from ._headers import HeaderTypes
from ._request import Request, plain_values
from ._response_head import ResponseHead

if TYPE_CHECKING:
    from ._async.body import AsyncBody
    from ._content_coding import ContentDecoder
    from ._sync.body import Body

T = TypeVar("T")


def _closes_when_read(stream: Any, method: str) -> bool:
    """Whether `read` or `aread` is the core's own, which is known to close the stream. (That of a
    `ByteStream` has nothing to close, but a subclass may.)"""
    reader = getattr(type(stream), method, None)
    is_the_cores = getattr(reader, "__module__", "").startswith("httpcore_core.")
    return is_the_cores and not isinstance(stream, ByteStream)


class Response(ResponseHead):
    """What came back. Its body has been read, unless it was asked for as a stream.

    `stream` is what a transport returns: a `SyncByteStream`, an `AsyncByteStream`, or both. To
    make a response by hand, pass one of `content` (bytes, text, or an iterable, which becomes the
    stream), `text`, `html` and `json`.
    """

    history: list[Response]
    """The responses before this one: redirects that were followed, and challenges answered."""
    next_request: Request | None = None
    """What a redirect asks for, where it was not followed."""
    num_bytes_downloaded = 0
    """Bytes of the body that have come, as they are on the wire."""

    _max_decoded: int | None = None
    _iterator: Any = None
    _encoding: str | None = None
    _elapsed: float | None = None
    _started: float | None = None
    _content: bytes | None = None
    _coded: bytes | None = None  # content that was given with its coding

    def __init__(
        self,
        status_code: int,
        *,
        headers: HeaderTypes | None = None,
        content: Content | None = None,
        text: str | None = None,
        html: str | None = None,
        json: Any = None,
        stream: Any = None,
        request: Request | None = None,
        extensions: dict[str, Any] | None = None,
        history: list[Response] | None = None,
        default_encoding: str | Callable[[bytes], str] = DEFAULT_CHARSET,
    ) -> None:
        super().__init__(status_code, headers, request, extensions)
        self.history = [] if history is None else list(history)
        self.default_encoding = default_encoding
        self._stream = stream
        if stream is None:
            self._set_content(content, text, html, json)
        self.is_closed = self.is_stream_consumed = self._stream is None

    def _set_content(self, content: Any, text: str | None, html: str | None, json: Any) -> None:
        media_type = None
        if text is not None:
            content, media_type = text, "text/plain; charset=utf-8"
        elif html is not None:
            content, media_type = html, "text/html; charset=utf-8"
        elif json is not None:
            content, media_type = encode_json(json).content, "application/json"
        if content is None:
            self._content = b""
            return
        stream = encode_content(content)
        if isinstance(stream, ByteStream):
            data = stream.content
            if "Content-Encoding" in self.headers:
                self._coded = data
                self._keep(data)
            else:
                self._content = data
            framing = ("Content-Length", str(len(data)))
        else:
            self._stream = stream
            framing = ("Transfer-Encoding", "chunked")
        if not self.headers.names() & {b"content-length", b"transfer-encoding"}:
            self.headers[framing[0]] = framing[1]
        if media_type is not None and "Content-Type" not in self.headers:
            self.headers["Content-Type"] = media_type

    @property
    def elapsed(self) -> datetime.timedelta:
        """From before the request was sent until the response was read to its end or closed."""
        if self._elapsed is None:
            raise RuntimeError("the response has not been read or closed yet")
        return datetime.timedelta(seconds=self._elapsed)

    # The body, where it has been read

    @property
    def content(self) -> bytes:
        if self._content is None:
            raise ResponseNotRead("the body has not been read: call read() or aread() first")
        return self._content

    @property
    def charset_encoding(self) -> str | None:
        """The charset of the Content-Type header, where that is one we know."""
        return charset_of(self.headers.get("Content-Type", ""))

    @property
    def encoding(self) -> str:
        """What text is decoded with: what was set here, or the charset of the Content-Type header
        where that is one we know, or `default_encoding`, which may guess from the content."""
        if self._encoding is None:
            encoding = self.charset_encoding
            if encoding is None and not callable(self.default_encoding):
                encoding = charset_of(f";charset={self.default_encoding}")
            elif encoding is None and self._content is not None:
                guess = self.default_encoding(self._content)  # type: ignore[operator]
                encoding = charset_of(f";charset={guess}")
            if encoding is None:
                return DEFAULT_CHARSET
            self._encoding = encoding
        return self._encoding

    @encoding.setter
    def encoding(self, encoding: str) -> None:
        if charset_of(f";charset={encoding}") is None:
            raise ValueError(f"text cannot be decoded with {encoding!r}")
        self._encoding = encoding

    @property
    def text(self) -> str:
        step = TextStep(self.encoding)
        return "".join([*step.feed(self.content), *step.flush()])

    def json(self, **kwargs: Any) -> Any:
        """The body as JSON; whatever is wrong with it is a `json.JSONDecodeError`. `kwargs` are
        those of `json.loads`."""
        try:
            return json.loads(self.content, **kwargs)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as exc:  # not UTF-8, huge numbers, nested too deeply
            raise json.JSONDecodeError(f"{type(exc).__name__}: {exc}", "", 0) from exc

    # The body as a stream

    @property
    def stream(self) -> Any:
        """The body as the transport has it, less nothing: for another transport to pass on."""
        if self._coded is not None or self._content is not None:
            return ByteStream(self._content or b"" if self._coded is None else self._coded)
        return self._stream

    def _content_decoder(self) -> ContentDecoder | None:
        if b"content-encoding" not in self.headers.names():
            return None
        from ._content_coding import content_decoder

        codings = self.headers.get_list("Content-Encoding")
        return content_decoder(codings, max_size=self._max_decoded)

    def _step(self, step: Step[T]) -> Step[T]:
        """`step`, behind what undoes the content coding of a body that has not been read."""
        decoder = None if self._content is not None else self._content_decoder()
        return step if decoder is None else Chained(decoder, step)

    def _keep(self, content: bytes) -> bytes:
        """The whole body has come: undo its content coding and keep it."""
        self.num_bytes_downloaded = len(content)
        try:
            decoder = self._content_decoder()
            if decoder is not None:
                parts = list(decoder.feed(content))
                content = b"".join([*parts, *decoder.flush()])
        except DecodingError as exc:
            attach(exc, self._request)
            raise
        self._content = content
        return content

    def _claim(self, iteration: str, *, is_raw: bool = False) -> Any:
        """The stream, for the one who may iterate over it by the method `iteration`."""
        if self._content is not None and not (is_raw and "Content-Encoding" in self.headers):
            return ByteStream(self._content)
        if self.is_stream_consumed:
            raise StreamConsumed("the body has been streamed already")
        if self.is_closed:
            raise StreamClosed("the response was closed before its body was read")
        self._must_have(iteration)
        self.is_stream_consumed = True
        return self._stream

    def _must_have(self, method: str) -> None:
        if not hasattr(self._stream, method):
            raise StreamError(
                "read, iter_… and close are for sync responses, aread, aiter_… and aclose for async"
            )

    def _release(self, method: str) -> tuple[Any, Any]:
        """What closes the iterator and the stream, where it can be closed; the second time
        nothing."""
        if self.is_closed:
            return None, None
        self._must_have(method)
        stream, iterator = self._stream, self._iterator
        self._let_go()
        is_one = iterator is stream
        return None if is_one else getattr(iterator, method, None), getattr(stream, method)

    def _at_once(self) -> bytes:
        """A body that is in memory and has nothing to close."""
        content: bytes = self._claim("read").content
        self._let_go()
        return content

    def _let_go(self) -> None:
        self.is_closed = True
        if self._started is not None:
            self._elapsed = perf_counter() - self._started
        self._stream = self._iterator = None

    def read(self) -> bytes:
        """Read the body to its end, undo its content coding, and keep it as `content`."""
        if self._content is None:
            if type(self._stream) is ByteStream:
                return self._keep(self._at_once())
            if not _closes_when_read(self._stream, "read"):
                return self._keep(b"".join(self.iter_raw()))
            stream = self._claim("read")
            try:
                data = stream.read()
            except TransportError as exc:
                attach(exc, self._request)
                raise
            finally:
                self._let_go()
            return self._keep(data)
        return self._content

    def iter_raw(self, chunk_size: int | None = None) -> Body[bytes]:
        """The body as it is on the wire, less the framing."""
        from ._sync.body import Body

        return Body(self, ByteStep(chunk_size), is_raw=True)

    def iter_bytes(self, chunk_size: int | None = None) -> Body[bytes]:
        """The body with its content coding undone; `chunk_size` in bytes."""
        from ._sync.body import Body

        return Body(self, self._step(ByteStep(chunk_size)))

    def iter_text(self, chunk_size: int | None = None) -> Body[str]:
        """The body as text; `chunk_size` in characters."""
        from ._sync.body import Body

        return Body(self, self._step(TextStep(self.encoding, chunk_size)))

    def iter_lines(self) -> Body[str]:
        """The lines of the text, without their ends."""
        from ._sync.body import Body

        return Body(self, self._step(LineStep(self.encoding)))

    def close(self) -> None:
        """Release the connection; a body that was not read is lost. May be called often."""
        iterator, stream = self._release("close")
        try:
            if iterator is not None:
                iterator()
        finally:
            if stream is not None:
                stream()

    async def aread(self) -> bytes:
        if self._content is None:
            if type(self._stream) is ByteStream:
                return self._keep(self._at_once())
            if not _closes_when_read(self._stream, "aread"):
                return self._keep(b"".join([chunk async for chunk in self.aiter_raw()]))
            stream = self._claim("aread")
            try:
                data = await stream.aread()
            except TransportError as exc:
                attach(exc, self._request)
                raise
            finally:
                self._let_go()
            return self._keep(data)
        return self._content

    def aiter_raw(self, chunk_size: int | None = None) -> AsyncBody[bytes]:
        from ._async.body import AsyncBody

        return AsyncBody(self, ByteStep(chunk_size), is_raw=True)

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncBody[bytes]:
        from ._async.body import AsyncBody

        return AsyncBody(self, self._step(ByteStep(chunk_size)))

    def aiter_text(self, chunk_size: int | None = None) -> AsyncBody[str]:
        from ._async.body import AsyncBody

        return AsyncBody(self, self._step(TextStep(self.encoding, chunk_size)))

    def aiter_lines(self) -> AsyncBody[str]:
        from ._async.body import AsyncBody

        return AsyncBody(self, self._step(LineStep(self.encoding)))

    async def aclose(self) -> None:
        iterator, stream = self._release("aclose")
        try:
            if iterator is not None:
                await iterator()
        finally:
            if stream is not None:
                await stream()

    def __repr__(self) -> str:
        return f"<Response [{self.status_code} {self.reason_phrase}]>"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {
            "extensions": plain_values(self.extensions),
            "is_closed": True,
            "_stream": None,
            "_iterator": None,
        }
        if callable(self.default_encoding):  # what it has guessed, or would, goes along instead
            state["default_encoding"] = self.encoding
        return state
