"""A private HTTP cache (RFC 9111) around any transport, and where it keeps responses.

    with CacheTransport(HTTPTransport()) as transport, Client(transport=transport) as client:
        for _ in range(2):
            response = client.get("https://www.example.org/")
            print(response.status_code, response.extensions["cache"])

Rules of this file: the public names. What they do is in `_async/cache`, `_cache_policy` and
`_cache_storage`.
"""

from __future__ import annotations

from ._async.cache import AsyncCacheTransport
from ._cache_storage import CacheStorage, MemoryStorage, SQLiteStorage
from ._sync.cache import CacheTransport

__all__ = [
    "AsyncCacheTransport",
    "CacheStorage",
    "CacheTransport",
    "MemoryStorage",
    "SQLiteStorage",
]
