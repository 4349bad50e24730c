"""The iterator over a response's body.

Rules of this file: a class, not a generator, so that breaking out of a loop leaves nothing behind
for the event loop to finish.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from httpcore_core import TransportError

from .._exceptions import attach

if TYPE_CHECKING:
    from .._decoding import Step
    from .._models import Response

T = TypeVar("T")


class AsyncBody(Generic[T]):
    """Yields what `step` makes of the body. At the end, and after an error, the response is
    closed; whoever stops earlier closes it."""

    def __init__(self, response: Response, step: Step[T]) -> None:
        self._response = response
        self._step = step
        self._source = response._claim("__aiter__").__aiter__()
        self._ready: deque[T] = deque()
        self._ended = False
        response._iterator = self._source

    def __aiter__(self) -> AsyncBody[T]:
        return self

    async def __anext__(self) -> T:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            await self._advance()
        return self._ready.popleft()

    async def _advance(self) -> None:
        try:
            self._ready += self._step.feed(await self._source.__anext__())
        except StopAsyncIteration:
            self._ended = True
            self._ready += self._step.flush()
            await self._response.aclose()
        except BaseException as exc:
            self._ended = True
            if isinstance(exc, TransportError):
                attach(exc, self._response._request)
            await self._response.aclose()
            raise
