"""Files of this machine, as answers to requests for ``file:`` URLs (RFC 8089).

Rules of this file: one class serves sync and async code; async code meets files in threads, as they
may be slow. How they are opened is in `_opening`, what is answered is decided in `_files`.

Cancellation. A thread cannot be interrupted. Whoever is cancelled leaves it behind at once; what it
has opened it then closes itself.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from httpcore_core import (
    AsyncByteStream,
    ByteStream,
    LocalProtocolError,
    ReadError,
    Response,
    SyncByteStream,
    UnsupportedProtocol,
)

from .._exceptions import StreamClosed
from ._configured import Configured
from ._files import ALLOWED, Answer, Found, answer, names_of, refusal
from ._opening import FORBIDDEN, MISSING, open_regular_file
from ._paths import path_segments
from ._threads import AsyncWorker
from .base import AsyncBaseTransport, BaseTransport

if TYPE_CHECKING:
    from io import FileIO


CHUNK_SIZE = 256 * 1024
"""Bytes read at a time. Going to a thread and back takes about as long as reading 256 KiB that the
system has in memory."""

_WINDOWS = os.name == "nt"


class FileTransport(Configured, BaseTransport, AsyncBaseTransport):  # type: ignore[misc]  # `request` is sync
    """Answers GET and HEAD of ``file:`` URLs from files, in sync code and on asyncio and trio:

        with Client(mounts={"file://": FileTransport("/srv/www")}) as client:
            response = client.get("file:///docs/index.html")  # is /srv/www/docs/index.html
            response.raise_for_status()

    With `root`, the path of a directory, URLs name what is below it and nothing else: neither
    ``..`` nor a symbolic link leads out. Without, they name every file that the process may read.
    The host is empty or "localhost"; another one is a `LocalProtocolError`. A query is ignored.

    The response has Content-Type (guessed from the name), Content-Length, Last-Modified and ETag,
    and obeys If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, Range (one) and
    If-Range. 404 is what does not exist, 403 what may not be read, directories (they are not
    listed) and what is no regular file, 405 any other method. A file that becomes shorter while it
    is read is a `ReadError`; of one that becomes longer there is no more than was announced.
    Timeouts have no say.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        path = None if root is None else os.fspath(root)
        if path is not None and not isinstance(path, str):
            raise TypeError(f"root is a str or a path of str, not {type(path).__name__}")
        if path == "":
            raise ValueError("root is empty; the present directory is '.'")
        self._root = None if path is None else os.path.abspath(path)

    def __repr__(self) -> str:
        return f"<FileTransport [{self._root or 'all files'}]>"

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        """Answer from a file. Raises `UnsupportedProtocol`, `LocalProtocolError`, and `ReadError`
        where the system fails."""
        opening = self._opening(method, url, headers)
        opening.run()
        return opening.result()

    async def handle_async_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        opening = self._opening(method, url, headers)
        try:
            await AsyncWorker().run(opening.run)
        except BaseException:
            opening.leave()
            raise
        return opening.result()

    def _opening(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
    ) -> _Opening:
        scheme, host, port, target = url
        if scheme != b"file":
            text = f"{scheme!r} is not a scheme of files"
            raise UnsupportedProtocol(text, phase="request")
        if host.lower() not in (b"", b"localhost") or port is not None:
            text = "a file: URL names a file of this machine: its host is empty or localhost"
            raise LocalProtocolError(text, phase="request")
        return _Opening(self._root, method, path_segments(target), headers)


class _Opening:
    """Finds the answer to one request, maybe in another thread, whose caller may `leave` it."""

    def __init__(
        self,
        root: str | None,
        method: bytes,
        segments: list[bytes],
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        self._root = root
        self._method = method
        self._segments = segments
        self._headers = headers
        self._lock = threading.Lock()
        self._response: Response | None = None
        self._is_left = False

    def run(self) -> None:
        try:
            response = self._respond()
        except OSError as exc:
            text = f"the file cannot be read: {exc.strerror}"
            raise ReadError(text, origin="file://", phase="receive headers") from exc
        with self._lock:
            self._response = response
            is_left = self._is_left
        if is_left:
            response.stream.close()

    def result(self) -> Response:
        assert self._response is not None
        return self._response

    def leave(self) -> None:
        with self._lock:
            self._is_left = True
            response = self._response
        if response is not None:
            response.stream.close()

    def _respond(self) -> Response:
        if self._method not in ALLOWED:
            return _response(refusal(405))
        names = names_of(self._segments, windows=_WINDOWS, below_root=self._root is not None)
        if names is None:
            return _response(refusal(404))
        try:
            descriptor = open_regular_file(self._root, names)
        except OSError as exc:
            if exc.errno in MISSING:
                return _response(refusal(404))
            if exc.errno in FORBIDDEN:
                return _response(refusal(403))
            raise
        if descriptor is None:
            return _response(refusal(403))
        if not self._segments[-1]:  # the path ends in a slash, and a file is no directory
            os.close(descriptor)
            return _response(refusal(404))
        try:
            file = open(descriptor, "rb", buffering=0)  # noqa: SIM115  # the response closes it
        except BaseException:
            os.close(descriptor)
            raise
        try:
            status = os.fstat(descriptor)
            found = Found(names[-1], status.st_size, status.st_mtime_ns, status.st_ino)
            made = answer(self._method, self._headers, found, time.time())
            if made.length:
                file.seek(made.start)
                return _response(made, FileStream(file, made.length))
        except BaseException:
            file.close()
            raise
        file.close()
        return _response(made)


def _response(made: Answer, stream: FileStream | None = None) -> Response:
    extensions = {"http_version": b"FILE"}
    return Response(made.status, made.headers, stream or ByteStream(), extensions)


class FileStream(SyncByteStream, AsyncByteStream):
    """`length` bytes of an open file, from where it stands; sync or async. The file is closed at
    the end, by `close` and after an error.

    A cancelled task leaves a thread behind that still reads. Its descriptor must not be closed, as
    the number may by then be another file's; so whoever comes last of reader and closer closes it.
    """

    def __init__(self, file: FileIO, length: int) -> None:
        self._file = file
        self._left = length
        self._lock = threading.Lock()
        self._is_reading = self._is_closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = self._take()
        if not chunk:
            raise StopIteration
        return chunk

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        try:
            return await AsyncWorker().run(self._take)
        except BaseException:
            self.close()
            raise

    def _take(self) -> bytes:
        """The next chunk; empty at the end."""
        if not self._left:
            return b""
        with self._lock:
            if self._is_closed:
                raise StreamClosed("the file was closed before it was read to its end")
            if self._is_reading:
                raise LocalProtocolError("another thread is already reading", origin="file://")
            self._is_reading = True
        is_over = True
        try:
            chunk = self._file.read(min(self._left, CHUNK_SIZE))
            if not chunk:
                raise self._error(f"the file ended {self._left} bytes before its end")
            self._left -= len(chunk)
            is_over = not self._left
            return chunk
        except OSError as exc:
            raise self._error(f"the file cannot be read: {exc.strerror}") from exc
        finally:
            with self._lock:
                self._is_reading = False
                self._is_closed |= is_over
                is_over = self._is_closed
            if is_over:
                self._file.close()

    def _error(self, text: str) -> ReadError:
        return ReadError(text, origin="file://", phase="receive body")

    def close(self) -> None:
        """Close the file. May be called again, and from any thread."""
        with self._lock:
            self._is_closed = True
            may_close = not self._is_reading
        if may_close:
            self._file.close()

    async def aclose(self) -> None:
        self.close()
