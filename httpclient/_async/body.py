"""The iterator over a response's body.

Rules of this file: a class, not a generator, so that breaking out of a loop leaves nothing behind
for the event loop to finish.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from httpcore_core import TransportError

from .._exceptions import StreamClosed, attach

if TYPE_CHECKING:
    from .._decoding import Step
    from .._response import Response

T = TypeVar("T")


class AsyncBody(Generic[T]):
    """Yields what `step` makes of the body. At the end, and after an error, the response is
    closed; whoever stops earlier closes it. Whoever goes on after that, or after somebody else has
    closed it, gets `StreamClosed`: what he has is not the whole body."""

    def __init__(self, response: Response, step: Step[T], *, is_raw: bool = False) -> None:
        self._response = response
        self._step = step
        self._source = response._claim("__aiter__", is_raw=is_raw).__aiter__()
        self._ready: Iterator[T] = iter(())
        self._ended = False
        self._is_kept = response.is_closed  # in memory, where nobody can close it any more
        response._iterator = self._source

    def __aiter__(self) -> AsyncBody[T]:
        return self

    async def __anext__(self) -> T:
        try:
            while self._ended or self._is_kept or not self._response.is_closed:
                for part in self._ready:
                    return part
                if self._ended:
                    break
                await self._advance()
            else:
                raise StreamClosed("the response was closed before its body was read to its end")
        except BaseException as exc:
            self._ended, self._is_kept, self._ready = False, False, iter(())
            if isinstance(exc, TransportError):
                attach(exc, self._response._request)
            await self._response.aclose()
            raise
        raise StopAsyncIteration

    async def _advance(self) -> None:
        try:
            data = await self._source.__anext__()
        except StopAsyncIteration:
            self._ended = True
            self._ready = iter(self._step.flush())
            await self._response.aclose()
        else:
            self._response.num_bytes_downloaded += len(data)
            self._ready = iter(self._step.feed(data))
