"""Requests to FTP servers: what is done for each method.

Rules of this file: requests are planned in `_ftp_requests`, replies understood in `_ftp_replies`,
the connections are those of a session. A session that is not handed on to the body of a response is
closed here, on every way out.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Self

from httpcore_core import (
    AsyncByteStream,
    AutoBackend,
    ByteStream,
    LocalProtocolError,
    ReadError,
    RemoteProtocolError,
    Response,
    TransportError,
    WriteError,
    WriteTimeout,
    default_ssl_context,
)

from ..._exceptions import StreamClosed
from .._configured import Configured
from .._ftp_replies import (
    Listing,
    Refused,
    Reply,
    expect,
    has_feature,
    last_modified,
    size_of,
)
from .._ftp_requests import Limits, Plan, check_credentials, plan_request
from .._paths import content_type
from ..base import AsyncBaseTransport
from .ftp_session import AsyncFTPSession

if TYPE_CHECKING:
    import ssl

    from httpcore_core import AsyncNetworkBackend

Headers = list[tuple[bytes, bytes]]

PIECE_SIZE = 256 * 1024
"""Bytes that are sent before it is asked whether the server has said something."""


class AsyncFTPTransport(Configured, AsyncBaseTransport):
    """Answers requests for ``ftp:`` URLs from FTP servers (RFC 959), in passive mode:

        async with AsyncClient(mounts={"ftp://": AsyncFTPTransport()}) as client:
            response = await client.get("ftp://ftp.example.org/pub/README")
            response.raise_for_status()

    GET downloads, HEAD tells size and time, PUT uploads (201), DELETE deletes (204). GET of a path
    that ends in a slash lists a directory, as a JSON array of objects that have "name" and, where
    the server knows MLSD, "type", "size" and "modified". Paths begin where the login leads; with
    ``//`` after the host, at the root. Every request has connections of its own. A download that is
    closed early, and an upload that breaks off, end with them; the server keeps what it has got.

    `auth` is user name and password, unless the request has an Authorization header with others
    (Basic, as from a URL with a user); otherwise the login is anonymous. With `tls`, or an
    `ssl_context` to use for it, commands and data are encrypted (RFC 4217); a server that cannot is
    a `ConnectError`. Through a `network_backend` data connections are made to the URL's host again,
    without one to the server's address; never to one that it names.

    Refusals of the server are responses, with its text for a reason: 550 is 404, 530 is 401, 553 is
    403, no room is 507, other 4xx are 503 and other 5xx are 502. Errors of the network are raised,
    and so is a transfer that fails after it has begun.
    """

    def __init__(
        self,
        *,
        auth: tuple[str, str] | None = None,
        tls: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        network_backend: AsyncNetworkBackend | None = None,
    ) -> None:
        self._credentials = check_credentials(auth)
        self._is_protected = tls or ssl_context is not None
        self._ssl_context = ssl_context
        self._backend = network_backend

    async def handle_async_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        """Do the request in a session of its own. Raises `TransportError`."""
        plan = plan_request(method, url, headers)
        if plan.refusal:
            return _answer(plan.refusal, [(b"Allow", plan.allow)] if plan.allow else [])
        if plan.action == "put" and not hasattr(stream, "__aiter__"):
            problem = f"{type(stream).__name__} is not a body for {type(self).__name__}"
            raise LocalProtocolError(problem, origin=plan.origin, phase="request")
        session = self._session(plan, extensions)
        try:
            await session.open(plan.credentials or self._credentials)
            response = await _ACTIONS[plan.action](session, plan, stream)
        except Refused as exc:
            await session.aclose()
            return _answer(exc.status, [], exc.reply)
        except BaseException as exc:
            await session.abort()
            if isinstance(exc, TransportError):
                session.explain(exc)
            raise
        if not isinstance(response.stream, AsyncFTPDownload):
            await session.aclose()
        return response

    def _session(self, plan: Plan, extensions: dict[str, Any]) -> AsyncFTPSession:
        context = self._ssl_context
        if self._is_protected and context is None:
            context = default_ssl_context(())  # no ALPN: those who check it know "ftp" at most
        backend = self._backend or AutoBackend()
        limits = Limits(extensions, backend.now())
        return AsyncFTPSession(backend, plan, limits, context, self._backend is None)


def _answer(status: int, headers: Headers, reply: Reply | None = None) -> Response:
    """A response without a body."""
    if status != 204:
        headers = [*headers, (b"Content-Length", b"0")]
    return Response(status, headers, ByteStream(), _extensions(reply))


def _extensions(reply: Reply | None) -> dict[str, Any]:
    version = {"http_version": b"FTP"}
    return version if reply is None else {**version, "reason_phrase": reply.reason}


def _with(command: bytes, path: bytes) -> bytes:
    return command + b" " + path if path else command


def _description(plan: Plan, size: int | None, modified: bytes | None) -> Headers:
    name = plan.path.rpartition(b"/")[2].decode("utf-8", "replace")
    headers = [(b"Content-Type", content_type(name))]
    if size is not None:
        headers.append((b"Content-Length", b"%d" % size))
    if modified is not None:
        headers.append((b"Last-Modified", modified))
    return headers


_LISTED = [(b"Content-Type", b"application/json")]


async def _get(session: AsyncFTPSession, plan: Plan, stream: Any) -> Response:
    expect(await session.command(b"TYPE I"), 2)
    size = size_of(await session.command(b"SIZE " + plan.path))
    modified = last_modified(await session.command(b"MDTM " + plan.path))
    reply = await session.transfer(b"RETR " + plan.path)
    headers = _description(plan, size, modified)
    return Response(200, headers, AsyncFTPDownload(session, size), _extensions(reply))


async def _head(session: AsyncFTPSession, plan: Plan, stream: Any) -> Response:
    expect(await session.command(b"TYPE I"), 2)
    size = await session.command(b"SIZE " + plan.path)
    if not size.is_unknown_command:
        expect(size, 2)
    modified = await session.command(b"MDTM " + plan.path)
    if not modified.is_unknown_command or size.is_unknown_command:
        expect(modified, 2)
    headers = _description(plan, size_of(size), last_modified(modified))
    return Response(200, headers, ByteStream(), _extensions(None))


async def _list(session: AsyncFTPSession, plan: Plan, stream: Any) -> Response:
    has_facts = has_feature(await session.command(b"FEAT"), "MLST")
    expect(await session.command(b"TYPE A"), 2)
    if has_facts:
        reply = await session.transfer(_with(b"MLSD", plan.path), missing=501)  # RFC 3659, 7.2.1
    else:
        if plan.path:  # NLST takes patterns and maybe options, and may list nothing for nothing
            expect(await session.command(b"CWD " + plan.path), 2)
        reply = await session.transfer(b"NLST")
    body = AsyncFTPDownload(session, None, Listing(has_facts))
    return Response(200, [*_LISTED], body, _extensions(reply))


async def _enter(session: AsyncFTPSession, plan: Plan, stream: Any) -> Response:
    expect(await session.command(_with(b"CWD", plan.path or b".")), 2)
    return Response(200, [*_LISTED], ByteStream(), _extensions(None))


async def _delete(session: AsyncFTPSession, plan: Plan, stream: Any) -> Response:
    return _answer(204, [], expect(await session.command(b"DELE " + plan.path), 2))


async def _put(session: AsyncFTPSession, plan: Plan, stream: Any) -> Response:
    expect(await session.command(b"TYPE I"), 2)
    await session.transfer(b"STOR " + plan.path)
    session.phase = "send"
    sent, declared = 0, plan.content_length
    iterator = stream.__aiter__()
    try:
        async for chunk in iterator:
            if not isinstance(chunk, (bytes, bytearray, memoryview)):
                raise LocalProtocolError(f"a body is made of bytes, not {type(chunk).__name__}")
            sent += len(chunk)
            if declared is not None and sent > declared:
                raise LocalProtocolError("the body is longer than its Content-Length")
            await _send(session, chunk)
    finally:
        # A generator may be left half-way. Other iterators, such as files, are their owner's.
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()
    if declared is not None and sent < declared:
        raise LocalProtocolError("the body is shorter than its Content-Length")
    await session.end_data()
    session.phase = "receive headers"
    return _answer(201, [], expect(await session.final_reply(), 2))


async def _send(session: AsyncFTPSession, chunk: bytes | bytearray | memoryview) -> None:
    """Raises `Refused` if the server has had enough."""
    for start in range(0, len(chunk), PIECE_SIZE):
        piece: Any = memoryview(chunk)[start : start + PIECE_SIZE]
        reply = await session.early_reply()
        try:
            if reply is None:
                await session.write_data(piece)
        except (WriteTimeout, WriteError) as exc:
            reply = await _explanation(session, exc)
            if reply is None:
                raise
        if reply is not None:
            expect(reply, 0)


async def _explanation(session: AsyncFTPSession, error: TransportError) -> Reply | None:
    """What the server says about an upload that it does not take. If it has left, that may be
    under way."""
    try:
        is_left = isinstance(error, WriteError)
        return await (session.final_reply() if is_left else session.early_reply())
    except TransportError:
        return None


_ACTIONS = {
    "get": _get,
    "head": _head,
    "list": _list,
    "enter": _enter,
    "put": _put,
    "delete": _delete,
}


class AsyncFTPDownload(AsyncByteStream):
    """What comes over the data connection: `size` bytes of a file, as far as that is known, or a
    listing. It is whole when the server says so; closing it earlier closes the session."""

    def __init__(
        self, session: AsyncFTPSession, size: int | None, listing: Listing | None = None
    ) -> None:
        self._session = session
        self._size = size
        self._listing = listing
        self._received = 0
        self._is_read = self._is_closed = False
        session.phase = "receive body"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._is_read and self._is_closed:
            raise StreamClosed("the download was closed before its end")
        try:
            chunk = await self._next()
        except BaseException as exc:
            self._is_closed = True
            await self._session.abort()
            if isinstance(exc, TransportError):
                self._session.explain(exc)
            raise
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> bytes:
        """The next chunk; empty at the end."""
        while not self._is_read:
            data = await self._read()
            if not data:
                return await self._end()
            if self._listing is not None:
                data = self._listing.feed(data)
            if self._size is not None and self._received > self._size:
                # It has grown. As we said how much there is, it ends there.
                data = data[: self._size - self._received]
                self._is_read = True
                await self.aclose()
            if data:
                return data
        return b""

    async def _read(self) -> bytes:
        try:
            data = await self._session.read_data()
        except ReadError:
            if self._received != self._size:
                raise
            data = b""  # it was all there: TLS only missed a goodbye, which many servers do not say
        self._received += len(data)
        return data

    async def _end(self) -> bytes:
        """The server says whether that was all; so does the size."""
        await self._session.close_data()
        try:
            expect(await self._session.final_reply(), 2)
        except Refused as exc:
            raise RemoteProtocolError(f"the server broke off: {exc.reply}") from None
        if self._size is not None and self._received < self._size:
            text = f"the server sent {self._received} bytes of {self._size}"
            raise RemoteProtocolError(text)
        self._is_read = self._is_closed = True
        await self._session.aclose()
        return b"" if self._listing is None else self._listing.flush()

    async def aclose(self) -> None:
        """Close the connections, at once. May be called again."""
        if not self._is_closed:
            self._is_closed = True
            await self._session.abort()

    def __del__(self) -> None:
        if not self._is_closed and self._session.drop():
            text = "a response from an FTP server was neither read to its end nor closed"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
