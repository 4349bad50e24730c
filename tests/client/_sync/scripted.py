"""A transport that does what a test says, for the transports that wrap another."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from httpcore_core import SyncByteStream, ByteStream, Request, Response
from httpcore_core import Transport as BaseTransport

URL = (b"https", b"example.org", None, b"/path")


class Body(SyncByteStream):
    """Chunks, then the error if there is one. Counts how often it is closed, which may fail."""

    def __init__(self, *chunks: bytes, error: Any = None, failing_close: Any = None) -> None:
        self.chunks = list(chunks)
        self.error = error
        self.failing_close = failing_close
        self.closed = 0

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self) -> None:
        self.closed += 1
        if self.failing_close is not None:
            raise self.failing_close


class Generated(SyncByteStream):
    """A body that is a generator; `ended` counts how often one has come to its end, either way."""

    def __init__(self, *chunks: Any, replayable: bool = False) -> None:
        self.chunks = chunks
        self.replayable = replayable
        self.started = self.ended = self.closed = 0

    def __iter__(self) -> Any:
        self.started += 1
        try:
            for chunk in self.chunks:
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk
        finally:
            self.ended += 1

    def close(self) -> None:
        self.closed += 1


class Scripted(BaseTransport):
    """Its outcomes in turn: a response (its status will do), an error, or a function that returns
    one. What it was asked is in `requests`, with the body as bytes, of which it takes `reads`
    chunks (None: all); the streams it answered with are in `streams`."""

    def __init__(self, *outcomes: Any, reads: int | None = None) -> None:
        self.outcomes = list(outcomes)
        self.reads = reads
        self.requests: list[Request] = []
        self.bodies: list[Any] = []
        self.streams: list[Any] = []
        self.closed = 0

    def handle_request(
        self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
    ) -> Response:
        self.bodies.append(stream)
        body = self.take(stream)
        headers.append((b"Seen", b"%d" % len(self.requests)))
        self.requests.append(Request(method, url, list(headers), body, extensions))
        outcome = self.outcomes.pop(0)
        if callable(outcome):
            outcome = outcome()
        if isinstance(outcome, BaseException):
            try:
                raise outcome
            finally:
                del outcome  # its traceback has this frame: no cycle
        if isinstance(outcome, int):
            outcome = answer(outcome)
        self.streams.append(outcome.stream)
        return Response(*outcome)

    def take(self, stream: Any) -> bytes:
        if self.reads == 0 or stream is None:
            return b""
        if self.reads is None:
            return bytes(stream.read())
        chunks = []
        iterator = stream.__iter__()
        for chunk in iterator:
            chunks.append(chunk)
            if len(chunks) == self.reads:
                break
        if isinstance(iterator, Generator):  # as the core does
            iterator.close()
        return b"".join(chunks)

    def close(self) -> None:
        self.closed += 1


def answer(
    status: int, *chunks: bytes, headers: list[tuple[bytes, bytes]] | None = None, error: Any = None
) -> Response:
    extensions = {"http_version": b"HTTP/1.1", "reason_phrase": b"Reason"}
    return Response(status, headers or [], Body(*chunks, error=error), extensions)


def send(
    transport: Any,
    method: bytes = b"GET",
    target: bytes = b"/path",
    headers: list[tuple[bytes, bytes]] | None = None,
    body: Any = b"",
    **extensions: Any,
) -> Response:
    """Send a request, and return the response as it is."""
    stream = ByteStream(body) if isinstance(body, bytes) else body
    url = (*URL[:3], target)
    return Response(
        *transport.handle_request(method, url, headers or [], stream, extensions)
    )
