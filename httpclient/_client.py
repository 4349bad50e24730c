"""What the two clients share: configuration, and how a request is put together.

Rules of this file: no I/O. What sends and receives is in `_async/client.py`, and in the sync twin
that is made from it.
"""

from __future__ import annotations

from typing import Any

from ._config import USER_AGENT, Default, TimeoutTypes, timeout_limits
from ._content import Content
from ._exceptions import InvalidURL
from ._headers import Headers, HeaderTypes
from ._models import Request
from ._urls import URL


class BaseClient:
    """Defaults for every request: headers, limits, and the URL that relative ones start from."""

    def __init__(
        self, *, headers: HeaderTypes | None, timeout: TimeoutTypes, base_url: URL | str
    ) -> None:
        own = Headers([("Accept", "*/*"), ("User-Agent", USER_AGENT)])
        self.headers = own.merged(headers)
        self.base_url = URL(base_url)
        self._timeout = timeout_limits(timeout)
        self._closed = False

    @property
    def timeout(self) -> dict[str, float | None]:
        """The limits in seconds for each phase of a request."""
        return dict(self._timeout)

    @property
    def is_closed(self) -> bool:
        return self._closed

    def build_request(
        self,
        method: str,
        url: URL | str,
        *,
        content: Content | None = None,
        json: Any = None,
        headers: HeaderTypes | None = None,
        timeout: TimeoutTypes | Default = Default.CLIENT,
        extensions: dict[str, Any] | None = None,
    ) -> Request:
        """A request with the client's defaults filled in; `send` sends it. A `timeout` among the
        extensions goes before both the client's and the argument."""
        limits = self._timeout
        if not isinstance(timeout, Default):
            limits = timeout_limits(timeout, self._timeout)
        return Request(
            method,
            self._absolute(URL(url)),
            headers=self.headers.merged(headers),
            content=content,
            json=json,
            extensions={"timeout": dict(limits), **(extensions or {})},
        )

    def _absolute(self, url: URL) -> URL:
        """`url`, put behind the path of `base_url` if it is relative (so that ``/users`` stays
        below ``/v1``, unlike in `URL.join`)."""
        if url.scheme or not str(self.base_url):
            return url
        if url.host:
            raise InvalidURL("a URL that has a host needs a scheme")
        base = str(self.base_url).partition("?")[0].partition("#")[0].rstrip("/")
        reference = str(url)
        if reference.startswith(("?", "#")):
            return URL(base + reference)
        return URL(f"{base}/{reference.lstrip('/')}" if reference else str(self.base_url))
