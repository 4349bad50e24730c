"""The head of a response, and what it says.

Rules of this file: values that follow from the status, the header fields and the extensions. The
body, and what becomes of it, is in `_response`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ._exceptions import HTTPStatusError
from ._headers import Headers, HeaderTypes
from ._request import Request
from ._urls import URL

if TYPE_CHECKING:
    from ._cookies import Cookies

REDIRECTS = frozenset((301, 302, 303, 307, 308))


class ResponseHead:
    """Everything but the body."""

    def __init__(
        self,
        status_code: int,
        headers: HeaderTypes | None,
        request: Request | None,
        extensions: dict[str, Any] | None,
    ) -> None:
        self.status_code = status_code
        self.headers = Headers(headers)
        self.extensions: dict[str, Any] = {} if extensions is None else extensions
        self._request = request

    @property
    def request(self) -> Request:
        if self._request is None:
            raise RuntimeError("this response was made without a request")
        return self._request

    @request.setter
    def request(self, request: Request) -> None:
        self._request = request

    @property
    def url(self) -> URL:
        return self.request.url

    @property
    def http_version(self) -> str:
        version: bytes = self.extensions.get("http_version", b"HTTP/1.1")
        return version.decode("ascii", "replace")

    @property
    def reason_phrase(self) -> str:
        """As received; where the protocol has none, the usual one."""
        reason: bytes | None = self.extensions.get("reason_phrase")
        if reason is not None:
            return reason.decode("ascii", "replace")
        import http

        try:
            return http.HTTPStatus(self.status_code).phrase
        except ValueError:
            return ""

    @property
    def cookies(self) -> Cookies:
        """The cookies that this response sets."""
        from ._cookies import Cookies

        cookies = Cookies()
        cookies.extract_cookies(self)  # type: ignore[arg-type]  # it is one
        return cookies

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The Link headers (RFC 8288) by their relation, or by their URL where they have none."""
        from ._links import parse_links

        found = parse_links(self.headers.get_list("Link"))
        return {link.get("rel") or link["url"]: link for link in found}

    @property
    def is_informational(self) -> bool:
        return self.status_code // 100 == 1

    @property
    def is_success(self) -> bool:
        return self.status_code // 100 == 2

    @property
    def is_redirect(self) -> bool:
        return self.status_code // 100 == 3

    @property
    def has_redirect_location(self) -> bool:
        """Whether it is a redirect that can be followed."""
        return self.status_code in REDIRECTS and "Location" in self.headers

    @property
    def is_client_error(self) -> bool:
        return self.status_code // 100 == 4

    @property
    def is_server_error(self) -> bool:
        return self.status_code // 100 == 5

    @property
    def is_error(self) -> bool:
        return self.is_client_error or self.is_server_error

    def raise_for_status(self) -> Self:
        """Raise `HTTPStatusError` unless the status is 2xx; otherwise return the response."""
        if self.is_success:
            return self
        status = f"{self.status_code} {self.reason_phrase}".rstrip()
        text = f"{status} in reply to {self.request.method} {self.url.redacted()}"
        raise HTTPStatusError(text, self.request, self)  # type: ignore[arg-type]
