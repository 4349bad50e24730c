"""A transport that sends a request again when that may help.

Rules of this file: no decision is made here, see `httpclient/transports/retry.py`. A response that
is not returned is closed before the wait begins, so that a cancelled wait leaves nothing open.
"""

from __future__ import annotations

import random as _random
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Any

from httpcore_core import (
    AsyncByteStream,
    AsyncNetworkBackend,
    AutoBackend,
    ByteStream,
    Response,
    TransportError,
)

from .._configured import Configured
from ..base import AsyncBaseTransport
from ..retry import IDEMPOTENT_METHODS, RETRY_ERRORS, RETRY_STATUSES, RetryCall, RetryPolicy


class AsyncRetryTransport(Configured, AsyncBaseTransport):
    """Sends requests through `transport`, and failed ones again:

        client = AsyncClient(transport=AsyncRetryTransport(AsyncHTTPTransport(), attempts=5))

    `attempts` is how often a request is sent at most. The pause between two of them is a random
    part (without `jitter` the whole) of `backoff` seconds, doubled each time, up to `max_backoff`.
    A response with one of `statuses`, or an error of the classes `on_errors`, is followed by
    another attempt if the request may be applied twice (its method is one of `methods`, or it has
    an Idempotency-Key header) and its body can be sent again. Where nothing was sent, as with a
    `ConnectError`, any method will do. Once a response is returned, nothing is repeated any more.

    `Retry-After` replaces the pause; if it is more than `max_retry_after` seconds the response is
    returned. With `total` among the timeouts all attempts and pauses have to fit in it: one that
    would not is not begun, and the last response is returned or the last error raised. In the
    response's extensions `attempts` is their number; a raised error has it in a note.

    The request's extension `retry`, a dictionary of these options, changes them for one request.
    `network_backend` is whose `sleep` and `now` are used, `random` a function that returns
    0 <= x < 1, `wall_clock` one that returns the time of day as `time.time` does.
    """

    def __init__(
        self,
        transport: AsyncBaseTransport,
        *,
        attempts: int = 3,
        backoff: float = 0.5,
        max_backoff: float = 60.0,
        jitter: bool = True,
        statuses: Collection[int] = RETRY_STATUSES,
        methods: Collection[str | bytes] = IDEMPOTENT_METHODS,
        on_errors: Iterable[type[TransportError]] = RETRY_ERRORS,
        respect_retry_after: bool = True,
        max_retry_after: float = 60.0,
        network_backend: AsyncNetworkBackend | None = None,
        random: Callable[[], float] = _random.random,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._policy = RetryPolicy(
            attempts=attempts,
            backoff=backoff,
            max_backoff=max_backoff,
            jitter=jitter,
            statuses=statuses,
            methods=methods,
            on_errors=on_errors,
            respect_retry_after=respect_retry_after,
            max_retry_after=max_retry_after,
        )
        self._backend = network_backend or AutoBackend()
        self._random = random
        self._wall_clock = wall_clock

    async def handle_async_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        """Send the request, as often as the policy has it. Raises `TransportError`."""
        body = tracked(stream)
        call = RetryCall(self._policy, method, headers, extensions, self._backend.now)
        while True:
            try:
                response = Response(
                    *await self._transport.handle_async_request(
                        method, url, list(headers), body, call.extensions
                    )
                )
            except TransportError as exc:
                delay = call.after_error(exc, is_intact(body), self._random)
                if delay is None:
                    raise
            else:
                delay = await self._after_response(call, response, is_intact(body))
                if delay is None:
                    return response
            await self._backend.sleep(delay)
            call.attempt += 1

    async def _after_response(
        self, call: RetryCall, response: Response, intact: bool
    ) -> float | None:
        """How long to wait before another attempt, with this response closed; or None."""
        try:
            delay = call.after_response(response, intact, self._wall_clock, self._random)
        except BaseException:  # a function of the caller's has failed
            await response.stream.aclose()
            raise
        if delay is not None:
            try:
                # The transport knows how much of the body to read, to keep the connection.
                await response.stream.aclose()
            except TransportError:
                pass  # nobody wants this response
        return delay

    async def aclose(self) -> None:
        await self._transport.aclose()


class AsyncTrackedStream(AsyncByteStream):
    """A body that can be sent once, with a note of whether that has begun. The iterator is the
    body's own: whoever iterates may have to close it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.has_started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.has_started = True
        iterator: AsyncIterator[bytes] = self._stream.__aiter__()
        return iterator

    async def aclose(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


def tracked(stream: Any) -> Any:
    """`stream`, wrapped if that is what it takes to know whether it can be sent again. What is no
    stream at all is not: it is for the transport to refuse."""
    if isinstance(stream, ByteStream) or getattr(stream, "replayable", False):
        return stream
    if isinstance(stream, (bytes, bytearray, memoryview, str)) or not hasattr(stream, "__aiter__"):
        return stream
    return AsyncTrackedStream(stream)


def is_intact(body: Any) -> bool:
    """Whether what `tracked` returned can be sent, or sent once more, from its beginning."""
    return not (isinstance(body, AsyncTrackedStream) and body.has_started)
