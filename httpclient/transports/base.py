"""The base classes of all transports: the core's own, under the names that HTTPX users know.

A transport has ``handle_request(method, url, headers, stream, extensions)``, which returns
``(status, headers, stream, extensions)``, and `close`; in async code `handle_async_request` and
`aclose`. One class may have both.
"""

from __future__ import annotations

from httpcore_core import AsyncTransport as AsyncBaseTransport
from httpcore_core import Transport as BaseTransport

__all__ = ["AsyncBaseTransport", "BaseTransport"]
