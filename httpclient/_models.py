"""Request and response, for sync and async code alike.

Rules of this file: state and its transitions. Bytes are moved by the two `Body` iterators; both
kinds of methods change the same fields. Pickles and copies keep what is plain data: a body that
has not been read, and extensions that are live objects, stay behind.
"""

from __future__ import annotations

import http
import json
from typing import TYPE_CHECKING, Any, Self

from httpcore_core import (
    AsyncByteStream,
    ByteStream,
    LocalProtocolError,
    SyncByteStream,
    TransportError,
)

from ._content import Content, Stream, encode_content, encode_json, framing_header
from ._decoding import DEFAULT_CHARSET, ByteStep, LineStep, TextStep, charset_of
from ._exceptions import (
    HTTPStatusError,
    RequestNotRead,
    ResponseNotRead,
    StreamClosed,
    StreamConsumed,
    StreamError,
    attach,
)
from ._headers import Headers, HeaderTypes
from ._urls import URL

if TYPE_CHECKING:
    from ._async.body import AsyncBody
    from ._sync.body import Body

_PLAIN = (str, bytes, int, float, bool, type(None))


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return isinstance(value, _PLAIN)


def _plain_values(extensions: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in extensions.items() if _is_plain(value)}


def _closes_when_read(stream: Any, method: str) -> bool:
    """Whether `read` or `aread` is the core's own, which is known to close the stream. (That of a
    `ByteStream` has nothing to close, but a subclass may.)"""
    reader = getattr(type(stream), method, None)
    is_the_cores = getattr(reader, "__module__", "").startswith("httpcore_core.")
    return is_the_cores and not isinstance(stream, ByteStream)


class LostStream(SyncByteStream, AsyncByteStream):
    """Stands where the body was not copied; every use is a `StreamClosed`."""

    def __iter__(self) -> Any:
        raise StreamClosed("the body was not read before the copy was made")

    __aiter__ = __iter__


class Request:
    """What is sent. The Host header and those that frame the body are added where missing."""

    def __init__(
        self,
        method: str,
        url: URL | str,
        *,
        headers: HeaderTypes | None = None,
        content: Content | None = None,
        json: Any = None,
        extensions: dict[str, Any] | None = None,
    ) -> None:
        if content is not None and json is not None:
            raise TypeError("content and json are two ways to say the same: pass one of them")
        if not method.isascii():
            raise LocalProtocolError("the method is not ASCII", phase="request")
        self.method = method.upper()
        self.url = URL(url)
        self.extensions: dict[str, Any] = {} if extensions is None else dict(extensions)
        self.stream: Stream = ByteStream()
        if json is not None:
            self.stream = encode_json(json)
        elif content is not None:
            self.stream = encode_content(content)
        given = Headers(headers)
        fields = given.raw
        names = given.names()
        if self.url.host and b"host" not in names:
            fields.insert(0, (b"Host", self.url.netloc.encode("ascii")))
        if b"content-length" not in names and b"transfer-encoding" not in names:
            framing = framing_header(self.method, self.stream)
            fields += [framing] if framing else []
        if json is not None and b"content-type" not in names:
            fields.append((b"Content-Type", b"application/json"))
        self.headers = Headers(fields)

    @property
    def content(self) -> bytes:
        if isinstance(self.stream, ByteStream):
            return self.stream.content
        raise RequestNotRead("the request body is a stream")

    def __repr__(self) -> str:
        return f"<Request({self.method!r}, {str(self.url)!r})>"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"extensions": _plain_values(self.extensions)}
        if not isinstance(self.stream, ByteStream):
            state["stream"] = LostStream()
        return state


class Response:
    """What came back. Its body has been read, unless it was asked for as a stream.

    `stream` is what a transport returns: a `SyncByteStream`, an `AsyncByteStream`, or both.
    """

    def __init__(
        self,
        status_code: int,
        *,
        headers: HeaderTypes | None = None,
        content: bytes | None = None,
        stream: Any = None,
        request: Request | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> None:
        self.status_code = status_code
        self.headers = Headers(headers)
        self.extensions: dict[str, Any] = {} if extensions is None else extensions
        self.is_closed = self.is_stream_consumed = stream is None
        self._request = request
        self._stream = stream
        self._iterator: Any = None
        self._content = (content or b"") if stream is None else None

    # The head

    @property
    def request(self) -> Request:
        if self._request is None:
            raise RuntimeError("this response was made without a request")
        return self._request

    @property
    def url(self) -> URL:
        return self.request.url

    @property
    def http_version(self) -> str:
        version: bytes = self.extensions.get("http_version", b"HTTP/1.1")
        return version.decode("ascii", "replace")

    @property
    def reason_phrase(self) -> str:
        """As received; where the protocol has none, the usual one."""
        reason: bytes | None = self.extensions.get("reason_phrase")
        if reason is not None:
            return reason.decode("ascii", "replace")
        try:
            return http.HTTPStatus(self.status_code).phrase
        except ValueError:
            return ""

    @property
    def is_informational(self) -> bool:
        return self.status_code // 100 == 1

    @property
    def is_success(self) -> bool:
        return self.status_code // 100 == 2

    @property
    def is_redirect(self) -> bool:
        return self.status_code // 100 == 3

    @property
    def is_client_error(self) -> bool:
        return self.status_code // 100 == 4

    @property
    def is_server_error(self) -> bool:
        return self.status_code // 100 == 5

    @property
    def is_error(self) -> bool:
        return self.is_client_error or self.is_server_error

    def raise_for_status(self) -> Self:
        """Raise `HTTPStatusError` unless the status is 2xx; otherwise return the response."""
        if self.is_success:
            return self
        status = f"{self.status_code} {self.reason_phrase}".rstrip()
        text = f"{status} in reply to {self.request.method} {self.url}"
        raise HTTPStatusError(text, self.request, self)

    # The body, where it has been read

    @property
    def content(self) -> bytes:
        if self._content is None:
            raise ResponseNotRead("the body has not been read: call read() or aread() first")
        return self._content

    @property
    def encoding(self) -> str:
        """The charset of the Content-Type header where that is one we know, otherwise UTF-8."""
        return charset_of(self.headers.get("Content-Type", "")) or DEFAULT_CHARSET

    @property
    def text(self) -> str:
        step = TextStep(self.encoding)
        return "".join([*step.feed(self.content), *step.flush()])

    def json(self) -> Any:
        """The body as JSON; whatever is wrong with it is a `json.JSONDecodeError`."""
        try:
            return json.loads(self.content)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as exc:  # not UTF-8, huge numbers, nested too deeply
            raise json.JSONDecodeError(f"{type(exc).__name__}: {exc}", "", 0) from exc

    # The body as a stream

    def _claim(self, iteration: str) -> Any:
        """The stream, for the one who may iterate over it by the method `iteration`."""
        if self._content is not None:
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

    def _release(self, method: str) -> list[Any]:
        """What to call, in order, so that all is closed; nothing the second time."""
        if self.is_closed:
            return []
        self._must_have(method)
        stream, iterator = self._stream, self._iterator
        self._let_go()
        owners = (stream,) if iterator is stream else (iterator, stream)
        return [getattr(owner, method) for owner in owners if hasattr(owner, method)]

    def _let_go(self) -> None:
        self.is_closed = True
        self._stream = self._iterator = None

    def read(self) -> bytes:
        """Read the body to its end, and keep it as `content`."""
        if self._content is None:
            if not _closes_when_read(self._stream, "read"):
                self._content = b"".join(self.iter_raw())
                return self._content
            stream = self._claim("read")
            try:
                self._content = stream.read()
            except TransportError as exc:
                attach(exc, self._request)
                raise
            finally:
                self._let_go()
        return self._content

    def iter_raw(self, chunk_size: int | None = None) -> Body[bytes]:
        """The body as it is on the wire, less the framing."""
        from ._sync.body import Body

        return Body(self, ByteStep(chunk_size))

    def iter_bytes(self, chunk_size: int | None = None) -> Body[bytes]:
        return self.iter_raw(chunk_size)

    def iter_text(self) -> Body[str]:
        from ._sync.body import Body

        return Body(self, TextStep(self.encoding))

    def iter_lines(self) -> Body[str]:
        from ._sync.body import Body

        return Body(self, LineStep(self.encoding))

    def close(self) -> None:
        """Release the connection; a body that was not read is lost. May be called often."""
        for close in self._release("close"):
            close()

    async def aread(self) -> bytes:
        if self._content is None:
            if not _closes_when_read(self._stream, "aread"):
                self._content = b"".join([chunk async for chunk in self.aiter_raw()])
                return self._content
            stream = self._claim("aread")
            try:
                self._content = await stream.aread()
            except TransportError as exc:
                attach(exc, self._request)
                raise
            finally:
                self._let_go()
        return self._content

    def aiter_raw(self, chunk_size: int | None = None) -> AsyncBody[bytes]:
        from ._async.body import AsyncBody

        return AsyncBody(self, ByteStep(chunk_size))

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncBody[bytes]:
        return self.aiter_raw(chunk_size)

    def aiter_text(self) -> AsyncBody[str]:
        from ._async.body import AsyncBody

        return AsyncBody(self, TextStep(self.encoding))

    def aiter_lines(self) -> AsyncBody[str]:
        from ._async.body import AsyncBody

        return AsyncBody(self, LineStep(self.encoding))

    async def aclose(self) -> None:
        for close in self._release("aclose"):
            await close()

    def __repr__(self) -> str:
        return f"<Response [{self.status_code} {self.reason_phrase}]>"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "extensions": _plain_values(self.extensions),
            "is_closed": True,
            "_stream": None,
            "_iterator": None,
        }
