"""Requests for the conveniences: text, mappings and iterables turned into the primitives.

Rules of this file: pure. It adds what people leave out (`Host` and the framing header) and refuses
what different URL parsers read differently, because then the host that is asked is not the host
that was shown: control characters, spaces, backslashes, credentials in the URL. Whether what it
builds is legal is checked by `plan_request`, as for every request.
"""

from __future__ import annotations

import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, TypeAlias

from httpcore_core._exceptions import LocalProtocolError, UnsupportedProtocol
from httpcore_core._models import (
    DEFAULT_PORTS,
    URL,
    AsyncByteStream,
    ByteStream,
    Extensions,
    Headers,
    Request,
    SyncByteStream,
)

from .origin import host_field
from .request import framing_field, origin_of

__all__ = ["Content", "HeaderTypes", "URLTypes", "build_request", "parse_url"]

Text: TypeAlias = str | bytes
URLTypes: TypeAlias = str | bytes | URL
HeaderTypes: TypeAlias = (
    Mapping[str, Text] | Mapping[bytes, Text] | Iterable[tuple[Text, Text]] | None
)
Content: TypeAlias = Text | Iterable[bytes] | AsyncIterable[bytes] | None

# RFC 3986, appendix B, with the parts that HTTP has.
_split_url = re.compile(rb"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//([^/?#]*)([^#]*)(?:#.*)?").fullmatch
_split_authority = re.compile(rb"(\[[^\[\]@]*\]|[^:\[\]@]+)(?::([0-9]{0,5}))?").fullmatch
_find_confusing = re.compile(rb"[\x00-\x20\x7f\\]").search
_non_ascii = re.compile(rb"[\x80-\xff]")


def _refuse(text: str) -> LocalProtocolError:
    return LocalProtocolError(text, phase="request")


def build_request(
    method: Text,
    url: URLTypes,
    headers: HeaderTypes = None,
    content: Content = None,
    extensions: Extensions | None = None,
) -> Request:
    """Build a request from what people write. Raises `LocalProtocolError` and
    `UnsupportedProtocol`.

    `url` is text, absolute, or a URL tuple; `headers` a mapping or pairs; `content` text (sent as
    UTF-8), bytes, or an iterable of bytes. A list or tuple can be sent again, an iterator cannot.
    """
    name = _ascii(method, "method")
    parts = url if isinstance(url, tuple) else parse_url(url)
    extensions = {} if extensions is None else extensions
    if not isinstance(extensions, dict):
        raise _refuse(f"extensions are a dictionary, not {type(extensions).__name__}")
    origin = origin_of(parts)
    fields = _fields(headers)
    present = {field.lower() for field, _ in fields}
    if b"host" not in present:
        fields.insert(0, (b"Host", host_field(origin)))
    stream = _stream(content)
    if not present & {b"content-length", b"transfer-encoding"}:
        body = stream.content if isinstance(stream, ByteStream) else None
        framing = framing_field(name, body, extensions.get("trailers"))
        if framing is not None:
            fields.append(framing)
    return Request(name, parts, fields, stream, extensions)


def parse_url(url: Text) -> URL:
    """Split an absolute http or https URL. The fragment is dropped; what is not ASCII in path and
    query is percent-encoded as UTF-8. Errors do not repeat the URL, which may hold secrets."""
    if not isinstance(url, (str, bytes)):
        raise _refuse(f"a URL is str, bytes or a tuple, not {type(url).__name__}")
    try:
        raw = url.encode("utf-8") if isinstance(url, str) else url
    except UnicodeEncodeError as exc:
        raise _refuse("the URL holds a lone surrogate") from exc
    if _find_confusing(raw):
        raise _refuse("the URL holds a space, a control character or a backslash")
    match = _split_url(raw)
    if match is None or (match[1] or b"").lower() not in DEFAULT_PORTS:
        raise UnsupportedProtocol("the URL must begin with http:// or https://", phase="request")
    scheme, authority, target = match[1].lower(), match[2], match[3]
    if b"@" in authority:
        raise _refuse("credentials in a URL are not supported: use an Authorization header instead")
    if not authority.isascii():
        raise _refuse(
            "the URL's host is not ASCII: encode it with IDNA first, as in xn--bcher-kva.example"
        )
    split = _split_authority(authority)
    if split is None:
        raise _refuse("illegal host or port in the URL")  # or a password with a slash in it
    port = int(split[2]) if split[2] else None
    if target[:1] != b"/":
        target = b"/" + target
    target = _non_ascii.sub(lambda byte: b"%%%02X" % byte[0][0], target)
    parts = (scheme, split[1], port, target)
    return (*origin_of(parts)[:2], port, target)


def _fields(headers: HeaderTypes) -> Headers:
    if headers is None:
        return []
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
    try:
        return [(_ascii(name, "header name"), _ascii(value, "header")) for name, value in pairs]
    except (TypeError, ValueError) as exc:
        raise _refuse("headers are a mapping or a list of pairs") from exc


def _ascii(value: Text, what: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        if value.isascii():
            return value.encode("ascii")
        raise _refuse(f"a {what} given as str must be ASCII: encode it and pass bytes")
    raise _refuse(f"a {what} must be str or bytes, not {type(value).__name__}")


def _stream(content: Any) -> Any:
    if content is None:
        return ByteStream(b"")
    if isinstance(content, str):
        try:
            return ByteStream(content.encode("utf-8"))
        except UnicodeEncodeError as exc:
            raise _refuse("the content holds a lone surrogate") from exc
    if isinstance(content, (bytes, bytearray, memoryview)):
        return ByteStream(bytes(content))
    if isinstance(content, (SyncByteStream, AsyncByteStream)):
        return content
    if isinstance(content, Mapping):
        raise _refuse("content is bytes, text or an iterable of bytes, not a mapping")
    is_async, is_sync = hasattr(content, "__aiter__"), hasattr(content, "__iter__")
    if is_async and is_sync:
        return content
    if is_async:
        return AsyncIterableStream(content)
    if is_sync:
        return IterableStream(content)
    raise _refuse(f"content is bytes, text or an iterable, not {type(content).__name__}")


class IterableStream(SyncByteStream):
    """A body from an iterable. Only lists and tuples are known to begin anew each time; anything
    else is iterated once, so that no truncated copy is ever sent."""

    def __init__(self, iterable: Iterable[bytes]) -> None:
        self._iterable = iterable
        self._started = False
        self.replayable = isinstance(iterable, (list, tuple))

    def __iter__(self) -> Iterator[bytes]:
        if self._started and not self.replayable:
            raise _refuse("this body was iterated before and cannot be sent again")
        self._started = True
        return iter(self._iterable)

    def close(self) -> None:
        if isinstance(self._iterable, Generator):
            self._iterable.close()  # its `finally` blocks run now


class AsyncIterableStream(AsyncByteStream):
    """The same from an async iterable."""

    def __init__(self, iterable: AsyncIterable[bytes]) -> None:
        self._iterable = iterable
        self._started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._started:
            raise _refuse("this body was iterated before and cannot be sent again")
        self._started = True
        return self._iterable.__aiter__()

    async def aclose(self) -> None:
        if isinstance(self._iterable, AsyncGenerator):
            await self._iterable.aclose()
