"""A transport that answers from a cache where it may.

Rules of this file: no decision about HTTP is made here, see `_cache_policy`. A response that is not
returned is closed; on every way out between its arrival and its return, too.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from httpcore_core import AsyncByteStream, ByteStream, Request, Response, TransportError

from .. import _cache_policy as policy
from .._cache_entry import Asked, Entry
from .._cache_storage import CacheStorage, MemoryStorage
from .._configured import Configured
from .._threads import AsyncWorker
from ..base import AsyncBaseTransport

T = TypeVar("T")

MAX_ENTRY_SIZE = 8 * 1024 * 1024
"""Bytes: an eighth of what `MemoryStorage` keeps by default."""

MAX_OUTDATED = 4096
"""Keys that a storage has failed to forget; of more, the oldest are trusted to it again."""

_log = logging.getLogger("httpclient.cache")


class AsyncCacheTransport(Configured, AsyncBaseTransport):
    """Sends requests through `transport` unless their answer is stored and still good (RFC 9111):

        transport = AsyncCacheTransport(AsyncHTTPTransport(), storage=SQLiteStorage("cache.db"))
        client = AsyncClient(transport=transport)

    It is a private cache: `private` responses, and those to requests with `Authorization`, are
    stored (and come back only for the same `Authorization`). Cookies are told apart only where Vary
    says so: one user, one cache. `storage` is a `MemoryStorage` of its own unless another is
    given, which may be shared; it is used but not closed. `transport` is closed with this one.
    `clock` returns seconds since 1970.

    Answers to GET and HEAD are stored, with their content as on the wire, when it has been read to
    its end and is not more than `max_entry_size` bytes. Identical requests that miss at the same
    time may all go out. `stale-while-revalidate` has no effect: such a response is stale, and the
    server is asked before it is used. Requests with a body, a range, or conditions of their own go
    through untouched. What goes wrong with the storage is logged to "httpclient.cache" (DEBUG) and
    taken for a miss.

    Responses have an extension `cache`, a dictionary. Its "status" is "hit"; "revalidated" if the
    server confirmed what was stored; "stale" if it is out of date, but `max-stale` or
    `stale-if-error` allows it; "miss" if the server answered; "bypass" if the request was none for
    a cache. "age" is in seconds, and None if the response is not from the cache.
    """

    def __init__(
        self,
        transport: AsyncBaseTransport,
        *,
        storage: CacheStorage | None = None,
        max_entry_size: int = MAX_ENTRY_SIZE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._storage = MemoryStorage() if storage is None else storage
        self._max_entry_size = max_entry_size
        self._clock = clock
        self._worker = AsyncWorker()
        # When something was last made invalid, by the first byte of its key: what was asked for
        # before that, and arrives after it, is not stored.
        self._changes = [0] * 256
        # Keys of what is to be forgotten, and the storage has failed to forget. Oldest first.
        self._outdated: OrderedDict[bytes, None] = OrderedDict()
        self._ticks = itertools.count(1)

    async def handle_async_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        """Answer from the cache, or send the request. Raises `TransportError`."""
        has_body = not isinstance(stream, ByteStream) or bool(stream.content)
        asked = Asked(method, url, headers, extensions, has_body)
        request = Request(method, url, headers, stream, extensions)
        if asked.uses_cache:
            entry = await self._call(self._find, asked.key, asked.accepts)
            if entry is not None:
                now = self._clock()
                status = policy.assess(asked, entry, now)
                if status is not None:
                    return policy.answer(asked, entry, status, now)
        if asked.only_if_cached:
            return policy.not_in_cache()
        if asked.uses_cache:
            return await self._ask(asked, request, entry)
        return await self._pass(asked, request)

    async def _pass(self, asked: Asked, request: Request) -> Response:
        """Send a request that is none for a cache. It may make invalid what is stored."""
        response = await self._send(request)
        try:
            _describe(response, "bypass")
            keys = policy.outdated_keys(asked, response.status, response.headers)
            if keys:
                await self._call(self._invalidate, keys)
        except BaseException:
            await response.stream.aclose()
            raise
        return response

    async def _ask(self, asked: Asked, request: Request, entry: Entry | None) -> Response:
        """Send a request, with the conditions of `entry` if it has some."""
        change = self._changes[asked.key[0]]
        conditions = [] if entry is None else entry.validators
        requested = self._clock()
        try:
            response = await self._send(request._replace(headers=[*request.headers, *conditions]))
        except policy.FAILURES:
            now = self._clock()
            if entry is None or not policy.allows_stale_if_error(asked, entry, now):
                raise
            return policy.answer(asked, entry, "stale", now)
        try:
            now = self._clock()
            status, headers = response.status, response.headers
            verdict = policy.judge(asked, entry, bool(conditions), status, headers, now)
            if entry is None or verdict == "new":
                return await self._keep(asked, response, entry, requested, now, change)
        except BaseException:
            await response.stream.aclose()
            raise
        await _discard(response)
        if verdict == "failed":
            return policy.answer(asked, entry, "stale", now)
        if verdict == "mistaken":
            await self._call(self._forget, asked.key)
            return await self._ask(asked, request, None)
        fresh = policy.freshened(asked, entry, headers, requested, now)
        if policy.is_storable(fresh.status, fresh.headers, fresh):
            await self._call(self._write, asked.key, fresh, change, entry)
        else:
            await self._call(self._forget, asked.key)
        return policy.answer(asked, fresh, "revalidated", now)

    async def _keep(
        self,
        asked: Asked,
        response: Response,
        old: Entry | None,
        requested: float,
        received: float,
        change: int,
    ) -> Response:
        """The response, set up so that it is stored if it may be. It takes the place of `old`."""
        _describe(response, "miss")
        status, headers, _, extensions = response
        entry = policy.make_entry(asked, status, headers, extensions, requested, received)
        length = policy.expected_length(asked, status, headers)
        fits = length is None or length <= self._max_entry_size
        storable = policy.is_storable(status, headers, entry) and fits
        if old is not None and (
            (not storable and status < 500) or policy.contradicts(asked, old, status, headers)
        ):
            await self._call(self._forget, asked.key)
        if not storable:
            return response
        save = partial(self._save, asked.key, entry, length, change, old)
        body = AsyncCollectedStream(response.stream, self._max_entry_size, save)
        return response._replace(stream=body)

    async def _save(
        self,
        key: bytes,
        entry: Entry,
        length: int | None,
        change: int,
        old: Entry | None,
        content: bytes | None,
    ) -> None:
        if content is None:  # it is too long; what it would have replaced is outdated
            await self._call(self._forget, key)
        elif length is None or length == len(content):
            await self._call(self._write, key, replace(entry, content=content), change, old)

    def _invalidate(self, keys: list[bytes]) -> None:
        for key in keys:
            self._changes[key[0]] = next(self._ticks)
        for key in keys:
            self._forget(key)

    def _find(self, key: bytes, accepts: Callable[[bytes], bool]) -> Entry | None:
        if key in self._outdated:
            self._forget(key)
        return self._storage.get(key, accepts)

    def _forget(self, key: bytes) -> None:
        """Delete what is stored; where that fails, it is not used before it has succeeded."""
        self._outdated[key] = None
        if len(self._outdated) > MAX_OUTDATED:
            self._outdated.popitem(last=False)
        self._storage.delete(key)
        self._outdated.pop(key, None)

    def _write(self, key: bytes, entry: Entry, change: int, old: Entry | None) -> None:
        """In this order, because the key may be made invalid by another request at any time. What
        was `old` before `entry` was asked for is replaced whatever clocks say of the two."""
        if old is not None and old.order > entry.order:
            self._forget(key)
        self._storage.set(key, entry)
        if self._changes[key[0]] != change:
            self._forget(key)

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call the storage. What it raises is not worth losing a request for."""
        try:
            if self._storage.blocking:
                return await self._worker.run(function, *arguments)
            return function(*arguments)
        except Exception as exc:
            _log.debug("the storage failed: %s: %s", type(exc).__name__, exc)
            return None

    async def _send(self, request: Request) -> Response:
        return Response(*await self._transport.handle_async_request(*request))

    async def aclose(self) -> None:
        await self._transport.aclose()


def _describe(response: Response, status: str) -> None:
    response.extensions["cache"] = {"status": status, "age": None}


async def _discard(response: Response) -> None:
    try:
        await response.stream.aclose()
    except TransportError:
        pass  # nobody wants this response


class AsyncCollectedStream(AsyncByteStream):
    """A body on its way to the caller, of which a copy is kept. When it has come to its end, `save`
    is called with the whole, or with None if it was longer than `limit` bytes. The stream
    underneath is closed before that, after an error, and when this one is closed."""

    def __init__(self, stream: Any, limit: int, save: Callable[[bytes | None], Any]) -> None:
        self._stream = stream
        self._source: Any = None
        self._limit = limit
        self._save = save
        self._chunks: list[bytes] | None = []  # None once it is known that nothing will be saved
        self._size = 0
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        try:
            if self._source is None:
                self._source = self._stream.__aiter__()
            chunk: bytes = await self._source.__anext__()
        except StopAsyncIteration:
            chunks = self._chunks
            await self.aclose()
            await self._save(None if chunks is None else b"".join(chunks))
            raise
        except BaseException:
            await self.aclose()
            raise
        self._collect(chunk)
        return chunk

    def _collect(self, chunk: bytes) -> None:
        if self._chunks is None:
            return
        self._size += len(chunk)
        if self._size > self._limit:
            self._chunks = None
        else:
            self._chunks.append(chunk)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._chunks = None
        try:
            if self._source is not self._stream and hasattr(self._source, "aclose"):
                await self._source.aclose()
        finally:
            await self._stream.aclose()
