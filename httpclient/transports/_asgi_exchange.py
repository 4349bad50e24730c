"""One request to an ASGI application: its task, the client's, and what passes between them.

The app runs in a task of its own, from the request until the response has been read or closed, and
never longer. What it sends is handed over part by part: `send` waits until the client has taken the
part; only the last one does not wait. The request's body comes from a third task, and only as the
app asks for it. So the app may give up waiting for a part and lose nothing: were it in the app's
task, a generator would end there, and the body would look complete.

How it ends. The body was read to its end: the app is waited for, as it may have more to do, and
what it raises is raised. The response was closed before: the app is told (`receive` gives
``http.disconnect``, `send` raises an `OSError`), has `grace` seconds to end, and is cancelled. The
request or the reading was cancelled, failed or timed out: the app is cancelled at once. In each
case its end is waited for, so that it can clean up.

Rules of this file: which messages are legal is decided in `_asgi_messages`, how to wait and to run
tasks in `_runtime`. Whoever changes the state sends the signal of those who may wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from math import inf
from typing import Any, TypeAlias

from httpcore_core import ByteStream, LocalProtocolError, ReadError, ReadTimeout, TransportError

from ._apps import AppHead, AppRequest
from ._asgi_messages import Reply, disconnect_message, request_message
from ._runtime import Runtime, Signal, Task, current_runtime

# Looser than the specification, so that every framework's own types fit.
Message: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Any, Receive, Send], Awaitable[None]]


class ClientGone(OSError):
    """What `send` raises in the app when the client has closed the response."""


class Upload:
    """The request's body, from the caller's stream to the app's `receive`."""

    def __init__(
        self, request: AppRequest, stream: Any, runtime: Runtime, *changed: Signal
    ) -> None:
        self.is_over = False  # the last message is there, or was; or nobody wants it any more
        self.is_awaited = False  # the app has asked for a message which is not there yet
        self.error: BaseException | None = None
        self._request = request
        self._stream = stream
        self._runtime = runtime
        self._changed = changed
        self._asked = Signal(runtime)
        self._task: Task | None = None
        self._message: dict[str, Any] | None = None  # the next, if it is there
        if isinstance(stream, ByteStream):
            request.length.add(len(stream.content))
            request.length.end()
            self._message = request_message(stream.content, False)
            self.is_over = True

    def take(self) -> dict[str, Any] | None:
        """The next message, or None. Then it has been asked for, unless there is no more."""
        if self._message is None and not self.is_over and not self.is_awaited:
            self.is_awaited = True
            self._send_changed()
            self._asked.send()
            if self._task is None:
                self._task = self._runtime.spawn(self._run, self._ended)
        message, self._message = self._message, None
        return message

    async def _run(self) -> None:
        iterator: AsyncIterator[bytes] = self._stream.__aiter__()
        try:
            async for chunk in iterator:
                data = chunk if isinstance(chunk, bytes) else bytes(memoryview(chunk))
                self._request.length.add(len(data))
                if data:
                    self._put(request_message(data, True))
                while not self.is_awaited:
                    await self._asked.wait()
            self._request.length.end()
            self.is_over = True
            self._put(request_message(b"", False))
        finally:
            # A generator may be left half-way. Other iterators, such as files, are their owner's.
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()

    def _put(self, message: dict[str, Any]) -> None:
        self._message = message
        self.is_awaited = False
        self._send_changed()

    def _send_changed(self) -> None:
        for signal in self._changed:
            signal.send()

    def _ended(self) -> None:
        if self._task is not None and not self.is_over:
            self.is_over = True
            self.error = self._task.take_error() or LocalProtocolError(
                "the request's body was cancelled", origin=self._request.origin, phase="send"
            )
            self._send_changed()

    def raise_error(self) -> None:
        """What the caller's stream has raised, in the caller's request."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback has this frame: no cycle

    async def end(self) -> None:
        """Let the caller's stream go."""
        self.is_over = True
        if self._task is not None:
            await self._task.end()


class Exchange:
    """`begin` and `next_chunk` end the app themselves if they raise; `close` does otherwise."""

    def __init__(
        self,
        request: AppRequest,
        stream: Any,
        limits: Mapping[str, float | None],
        raises: bool,
        grace: float,
    ) -> None:
        self._runtime = runtime = current_runtime()
        self._request = request
        self._reply = Reply(request)
        self._raises = raises
        self._grace = grace
        self._task: Task
        self._chunks: deque[bytes] = deque()  # sent and not yet taken
        self._is_closed = False  # by the client
        self._news = Signal(runtime)  # for the client
        self._taken = Signal(runtime)  # for the app's `send`
        self._received = Signal(runtime)  # for the app's `receive`
        self._upload = Upload(request, stream, runtime, self._received, self._news)
        self._limits = limits
        self._deadline = runtime.now() + _seconds(limits.get("total"))

    # The app's side

    async def _run(self, app: Callable[[Receive, Send], Awaitable[None]]) -> None:
        try:
            await app(self._receive, self._send)
        finally:
            await self._upload.end()

    async def _receive(self) -> Message:
        while self._reply.due and not self._client_has_gone():
            message = self._upload.take()
            if message is not None:
                return message
            await self._received.wait()
        return disconnect_message()

    async def _send(self, message: Message) -> None:
        await self._until_taken()  # for a message given up, or that of another task of the app's
        chunk = self._reply.take(message)
        if chunk is not None:
            self._chunks.append(chunk)
        self._news.send()
        if self._reply.due:
            await self._until_taken()
        else:
            self._upload.is_over = True
            self._received.send()

    async def _until_taken(self) -> None:
        while self._chunks and not self._client_has_gone():
            await self._taken.wait()
        if self._client_has_gone():
            raise ClientGone("the client has closed the response")

    def _client_has_gone(self) -> bool:
        """It has closed the response, or will learn that its own request body has failed."""
        return self._is_closed or self._upload.error is not None

    # The client's side

    async def begin(self, app: Callable[[Receive, Send], Awaitable[None]]) -> AppHead | None:
        """Start the app and wait for the head; None if it failed and that is not to be raised."""
        self._task = self._runtime.spawn(partial(self._run, app), self._news.send)
        try:
            while True:
                self._upload.raise_error()
                if self._reply.head is not None:
                    return self._reply.head
                if self._task.ended.is_set():
                    self._check_app()
                    return None
                await self._wait("receive headers")
        except BaseException:
            await self._abort()
            raise

    async def next_chunk(self) -> bytes | None:
        """The next part of the body; None when it is complete and the app has ended."""
        try:
            while not self._is_closed:
                self._upload.raise_error()
                while self._chunks:
                    chunk = self._chunks.popleft()
                    self._taken.send()
                    if chunk:
                        return chunk
                if self._task.ended.is_set():
                    self._check_app()
                    return None
                await self._wait("receive body")
        except BaseException:
            await self._abort()
            raise
        # In another task, which also ends the app.
        raise self._error(ReadError, "the response was closed", "receive body")

    @property
    def origin(self) -> str:
        return self._request.origin

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        return self._reply.trailers

    def _check_app(self) -> None:
        """Raise what the app has raised, unless a server would keep it to itself; and that it has
        ended too early, unless 500 is the answer to that."""
        error = self._task.take_error()
        try:
            if isinstance(error, StopAsyncIteration) and self._raises:  # or it ends callers' loops
                raise RuntimeError("the app raised StopAsyncIteration") from error
            if error is not None and (self._raises or not isinstance(error, Exception)):
                raise error
            if self._reply.head is not None and self._reply.due:
                raise self._reply.wrong("the app ended in the middle of its response") from error
            if self._reply.head is None and error is None:
                raise self._reply.wrong("the app ended without a response")
        finally:
            del error  # its traceback has this frame: no cycle

    async def _wait(self, phase: str) -> None:
        """Wait until something happens. The `read` limit is for the app, not for the time in which
        it waits for the caller's body, nor for what it does after the response."""
        read = self._limits.get("read")
        limit = _seconds(None if self._upload.is_awaited or not self._reply.due else read)
        left = self._deadline - self._runtime.now()
        if await self._news.wait(min(limit, left)):
            return
        if left <= limit:
            total = self._limits.get("total")
            raise self._error(ReadTimeout, "the total deadline passed", phase, limit=total)
        raise self._error(ReadTimeout, "the app sent nothing in time", phase, limit=read)

    def _error(
        self, kind: type[TransportError], text: str, phase: str, limit: float | None = None
    ) -> TransportError:
        return kind(text, origin=self.origin, phase=phase, limit=limit)

    async def close(self) -> None:
        """Give the app a moment to end, and cancel it. May be called again."""
        self._hang_up()
        try:
            await self._runtime.wait(self._task.ended, self._grace)
        finally:
            await self._abort()

    def _hang_up(self) -> None:
        self._is_closed = True
        self._chunks.clear()
        for signal in (self._taken, self._received, self._news):
            signal.send()

    async def _abort(self) -> None:
        """Cancel the app. An error on its way out is lost with it, a `SystemExit` is not."""
        self._hang_up()
        await self._task.end()
        error = self._task.take_error()
        try:
            if error is not None and not isinstance(error, Exception):
                raise error
        finally:
            del error  # as above

    def drop(self) -> bool:
        """End the app without waiting, from a finaliser; whether that was necessary."""
        if self._task.ended.is_set():
            return False
        self._is_closed = True
        self._task.cancel_soon()
        return True


def _seconds(limit: float | None) -> float:
    return inf if limit is None else limit
