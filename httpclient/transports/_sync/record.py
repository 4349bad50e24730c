"""Transports that write exchanges to a file, and that answer from it.

Rules of this file: it passes bodies on as they come and notes them. What is kept, filtered and
compared is decided in `httpclient/transports/record.py` and `_playback.py`. The file is small, and
is read and written without leaving the event loop.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Collection
from types import TracebackType
from typing import Any

from httpcore_core import (
    SyncByteStream,
    ByteStream,
    LocalProtocolError,
    PoolClosed,
    Response,
    TransportError,
)

from .._configured import Configured
from .._playback import Take, Tape
from .._record_file import read, write
from ..base import BaseTransport
from ..record import SECRET_HEADERS, Capture, Entry, Filter, Filters, RecordingError, request_of


class RecordTransport(Configured, BaseTransport):
    """Sends requests through `transport` and, when it is closed, writes them and their responses to
    the file `path`, in place of what is there:

        transport = RecordTransport(HTTPTransport(), "exchanges.json")

    The values of `filter_headers` and of the query parameters `filter_query`, in URLs and in the
    headers that hold one, are not written; names count in any case. `filter` is a function that
    gets each exchange before it is written, as `httpclient/transports/record.py` describes it, and
    returns what to write; None leaves it out. Bodies are not looked into by anything else.

    Errors of the transport are recorded too, and so is what was read of a body that was not read to
    its end. A cancelled request is not. All bodies are kept in memory until then.
    """

    def __init__(
        self,
        transport: BaseTransport,
        path: str | os.PathLike[str],
        *,
        filter_headers: Collection[str] = SECRET_HEADERS,
        filter_query: Collection[str] = (),
        filter: Filter | None = None,
    ) -> None:
        directory = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(directory):  # or it would be known only when all is done
            raise FileNotFoundError(f"there is no directory {directory!r} for the recording")
        self._transport = transport
        self._path = path
        self._filters = Filters(filter_headers, filter_query, filter)
        self._entries: list[Entry] = []
        self._is_written = False

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        """Send the request and record what becomes of it. Raises `TransportError`."""
        entry = Entry(request_of(method, url, headers, extensions))
        self._entries.append(entry)
        body = sent(stream, entry)
        try:
            response = Response(
                *self._transport.handle_request(method, url, headers, body, extensions)
            )
        except BaseException as exc:
            if isinstance(exc, TransportError):
                entry.failed(exc)
            _end(body)
            raise
        try:
            entry.answered(response)
            _end(body)
        except BaseException:
            response.stream.close()
            raise
        return response._replace(stream=ReceivedStream(response.stream, entry))

    def close(self) -> None:
        """Close the transport underneath and write the file. Raises `OSError`."""
        try:
            self._transport.close()
        finally:
            if not self._is_written:
                exchanges = [entry.as_dict() for entry in self._entries]
                kept = [self._filters.apply(exchange) for exchange in exchanges if exchange]
                write(self._path, [exchange for exchange in kept if exchange], self._filters)
                self._is_written = True
                self._entries = []


class PlaybackTransport(Configured, BaseTransport):
    """Answers requests from the file `path`, which `RecordTransport` has written:

        transport = PlaybackTransport("exchanges.json", all_used=True)

    A request is answered by the first exchange left that has the same parts `match`: some of
    "method", "url", "headers" and "body". With `allow_repeats` the last one may be played again and
    again. A request that has none is an `UnexpectedRequest`. What the recording was filtered by is
    filtered from requests, too; where it was a function, pass the same as `filter`. It then gets
    exchanges that have no response.

    Errors are raised as they were recorded. A body of which only the beginning is known ends in a
    `RecordingError`. With `all_used` it is one, too, if something was not played before the
    transport is closed. A file that is no recording is one at once.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        match: Collection[str] = ("method", "url", "body"),
        allow_repeats: bool = False,
        all_used: bool = False,
        filter: Filter | None = None,
    ) -> None:
        exchanges, filters = read(path)
        filters = Filters(filters.headers, filters.query, filter)
        self._tape = Tape(exchanges, filters, match=match, allow_repeats=allow_repeats)
        self._path = path
        self._all_used = all_used
        self._lock = threading.Lock()
        self._is_closed = False

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        """Read the request's body and answer. Raises `TransportError`."""
        if self._is_closed:
            raise PoolClosed("the transport has been closed", phase="request")
        body = _read(stream)
        with self._lock:
            take = self._tape.play(method, url, headers, body, extensions)
        status, fields, played = take.head()
        content, is_whole = take.body()
        response: Any = ByteStream(content) if is_whole else PlayedStream(take)
        return Response(status, fields, response, played)

    def close(self) -> None:
        """Refuse further requests. Raises `RecordingError` if `all_used` is not true."""
        if self._is_closed:
            return
        self._is_closed = True
        left = self._tape.unplayed
        if self._all_used and left:
            text = f"{len(left)} exchanges of {self._path} were not played, first {left[0].shown}"
            raise RecordingError(text)

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._all_used &= exc_type is None  # or it would hide the error that is the cause
        self.close()


# Bodies


class SentStream(SyncByteStream):
    """The body of a request, noted while it is sent."""

    def __init__(self, stream: Any, capture: Capture) -> None:
        self.replayable = bool(getattr(stream, "replayable", False))
        self._stream = stream
        self._capture = capture
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> SentBody:
        self._iterator = self._stream.__iter__()
        self._capture.restart()
        return SentBody(self._iterator, self._capture)

    def end(self) -> None:
        """A generator may have been left half-way; the transport cannot see that it is one."""
        if isinstance(self._iterator, Generator):
            self._iterator.close()

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


class SentBody:
    """One iteration over it."""

    __slots__ = ("_capture", "_iterator")

    def __init__(self, iterator: Any, capture: Capture) -> None:
        self._iterator = iterator
        self._capture = capture

    def __iter__(self) -> SentBody:
        return self

    def __next__(self) -> bytes:
        try:
            chunk: bytes = self._iterator.__next__()
        except StopIteration:
            self._capture.is_complete = True
            raise
        self._capture.add(chunk)
        return chunk


def sent(stream: Any, entry: Entry) -> Any:
    """What to send in place of `stream`, and to note in `entry`. What is no stream is passed on,
    for the transport to refuse."""
    if isinstance(stream, ByteStream):
        entry.sent = Capture(bytes(stream.content), is_complete=True)
        return stream
    if isinstance(stream, (bytes, bytearray, memoryview, str)) or not hasattr(stream, "__iter__"):
        return stream
    entry.sent = Capture()
    return SentStream(stream, entry.sent)


def _end(body: Any) -> None:
    if isinstance(body, SentStream):
        body.end()


def _read(stream: Any) -> bytes:
    """The body of a request, as a transport would send it."""
    if stream is None or isinstance(stream, ByteStream):
        return b"" if stream is None else bytes(stream.content)
    if isinstance(stream, (bytes, bytearray, memoryview, str)) or not hasattr(stream, "__iter__"):
        raise LocalProtocolError(f"{type(stream).__name__} is not a body", phase="request")
    chunks: list[bytes] = []
    iterator = stream.__iter__()
    try:
        for chunk in iterator:
            if not isinstance(chunk, (bytes, bytearray, memoryview)):
                problem = f"a body consists of bytes, not of {type(chunk).__name__}"
                raise LocalProtocolError(problem, phase="request")
            chunks.append(bytes(chunk))
    finally:
        if isinstance(iterator, Generator):
            iterator.close()
    return b"".join(chunks)


class ReceivedStream(SyncByteStream):
    """The body of a response, noted while it is read."""

    def __init__(self, stream: Any, entry: Entry) -> None:
        self._stream = stream
        self._entry = entry
        self._iterator: Any = None
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = self._stream.__iter__()
        try:
            chunk: bytes = self._iterator.__next__()
        except StopIteration:
            self._entry.received.is_complete = True
            raise
        except TransportError as exc:
            self._entry.failed(exc)
            raise
        self._entry.received.add(chunk)
        return chunk

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._iterator is not self._stream and hasattr(self._iterator, "close"):
                self._iterator.close()
        finally:
            self._stream.close()


class PlayedStream(SyncByteStream):
    """The beginning of a body, and the error that it ended in."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._content = take.body()[0]

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise self._take.error()
        return content
