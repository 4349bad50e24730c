"""The request: what is sent.

Rules of this file: state, and the headers that follow from the body. Pickles and copies keep what
is plain data: a body that is a stream, and extensions that are live objects, stay behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from httpcore_core import AsyncByteStream, ByteStream, LocalProtocolError, SyncByteStream

from ._content import Content, Stream, encode_body, framing_header
from ._exceptions import RequestNotRead, StreamClosed, StreamError
from ._headers import Headers, HeaderTypes
from ._urls import URL, as_url

if TYPE_CHECKING:
    from ._cookies import CookieTypes
    from ._params import QueryParamTypes

_PLAIN = (str, bytes, int, float, bool, type(None))


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return all(is_plain(item) for item in value)
    return isinstance(value, _PLAIN)


def plain_values(extensions: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in extensions.items() if is_plain(value)}


class LostStream(SyncByteStream, AsyncByteStream):
    """Stands where the body was not copied; every use is a `StreamClosed`."""

    def __iter__(self) -> Any:
        raise StreamClosed("the body was not read before the copy was made")

    __aiter__ = __iter__


class Request:
    """What is sent. The Host header and those that frame the body are added where missing.

    `params` go to the query of `url`, in the place of what it has of the same names. The body is
    one of `content` (text, bytes, an iterable of bytes, a file), `data` (a form), `files` (a form
    with files, as multipart), `json` and `stream`.
    """

    def __init__(
        self,
        method: str | bytes,
        url: URL | str,
        *,
        params: QueryParamTypes | None = None,
        headers: HeaderTypes | None = None,
        cookies: CookieTypes | None = None,
        content: Content | None = None,
        data: Mapping[str, Any] | None = None,
        files: Any = None,
        json: Any = None,
        stream: Stream | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(method, bytes):
            method = method.decode("ascii", "surrogateescape")
        elif not isinstance(method, str):
            raise TypeError(f"the method is a str, not {type(method).__name__}")
        if not method.isascii():
            raise LocalProtocolError("the method is not ASCII", phase="request")
        self.method = method.upper()
        self.url = as_url(url)
        if params:
            self.url = self.url.copy_merge_params(params)
        self.extensions: dict[str, Any] = {} if extensions is None else dict(extensions)
        self._own_cookies: CookieTypes | None = None  # beside those of the client
        self._has_made_cookie = False  # a Cookie header, because the caller gave none
        self._is_users = True  # no other origin has chosen its URL
        # What redirects and challenges have left of its `total` limit, and that limit.
        self._total: tuple[float | None, float | None] = (None, None)
        given = headers if isinstance(headers, Headers) else Headers(headers)
        names = given.names()
        self.headers = Headers(given)
        content_type: str | None = None
        if stream is not None:
            self.stream: Stream = stream
        elif content is None and data is None and files is None and json is None:
            self.stream = ByteStream()
        else:
            boundary_of = self.headers.get("Content-Type") if files else None
            self.stream, content_type = encode_body(content, data, files, json, boundary_of)
        added = []
        if b"content-length" not in names and b"transfer-encoding" not in names:
            framing = framing_header(self.method, self.stream)
            added += [framing] if framing else []
        if content_type is not None and b"content-type" not in names:
            added.append((b"Content-Type", content_type.encode("ascii")))
        needs_host = self.url.host and b"host" not in names
        self.headers.complete((b"Host", self.url.netloc) if needs_host else None, added)
        if cookies:
            self._set_cookies(cookies)

    def _set_cookies(self, cookies: CookieTypes) -> None:
        """Add the Cookie header, unless the caller has given one. Cookies for any host are for any
        that the user chooses."""
        from ._cookies import Cookies

        if "Cookie" not in self.headers:
            self._has_made_cookie = True
            jar = cookies if isinstance(cookies, Cookies) else Cookies(cookies)
            jar.set_cookie_header(self, with_unscoped=self._is_users)

    # The body

    @property
    def content(self) -> bytes:
        if isinstance(self.stream, ByteStream):
            return self.stream.content
        raise RequestNotRead("the request body is a stream")

    def read(self) -> bytes:
        """Read the body into memory; it can be sent any number of times then."""
        if not isinstance(self.stream, ByteStream):
            if not isinstance(self.stream, SyncByteStream):
                raise StreamError("the body is for async code: use aread")
            self.stream = ByteStream(self.stream.read())
        return self.stream.content

    async def aread(self) -> bytes:
        if not isinstance(self.stream, ByteStream):
            if not isinstance(self.stream, AsyncByteStream):
                raise StreamError("the body is for sync code: use read")
            self.stream = ByteStream(await self.stream.aread())
        return self.stream.content

    def __repr__(self) -> str:
        return f"<Request({self.method!r}, {self.url.redacted()!r})>"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"extensions": plain_values(self.extensions)}
        if not isinstance(self.stream, ByteStream):
            state["stream"] = LostStream()
        return state
