"""Redirects (RFC 9110, section 15.4): what the next request is.

Rules of this file: pure functions. What a request says about its sender goes along within one
origin only, which is scheme, host and port: the step to another one is that of an attacker as
often as not. What has been dropped does not come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httpcore_core import ByteStream, RemoteProtocolError, UnsupportedProtocol

from ._exceptions import InvalidURL, StreamConsumed
from ._headers import Headers
from ._request import Request
from ._urls import URL

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cookies import CookieTypes
    from ._response import Response

_WEB = ("http", "https")

_OF_THE_BODY = frozenset(
    (
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-location",
        b"content-type",
        b"digest",
        b"expect",
        b"last-modified",
        b"trailer",
        b"transfer-encoding",
    )
)
_OF_THE_TARGET = ("target",)  # extensions that are about one URL
_OF_THE_SENDER = frozenset(
    (b"authorization", b"cookie", b"cookie2", b"proxy-authorization", b"x-api-key")
)


def next_request(
    response: Response, merged: Callable[[CookieTypes | None], CookieTypes | None]
) -> Request:
    """The request that `response`, a redirect, asks for; `merged` adds the client's cookies to
    those of the request.

    Raises `RemoteProtocolError` where the Location is not a URL, `UnsupportedProtocol` where it
    leads out of the web, `StreamConsumed` where a body would have to be sent twice that cannot.
    """
    old = response.request
    url = _target(response)
    same_origin = url.origin == old.url.origin
    method = _method(old.method, response.status_code)
    dropped: set[bytes] = set()
    extensions = {key: it for key, it in old.extensions.items() if key not in _OF_THE_TARGET}
    if not same_origin:
        dropped |= _OF_THE_SENDER | {b"host"}
        if url.host != old.url.host:
            extensions.pop("sni_hostname", None)
    elif old._has_made_cookie:
        dropped.add(b"cookie")  # made anew: it depends on the path, and may have changed
    if old.headers.get("Authorization", "")[:7].lower() == "digest ":
        dropped.add(b"authorization")  # a digest of the old target (RFC 7616, 3.4.6)
    if method != old.method:
        dropped |= _OF_THE_BODY
    elif not isinstance(old.stream, ByteStream) and not old.stream.replayable:
        raise StreamConsumed(
            "the redirect asks for the body once more, which can be sent once only"
        )
    fields = [field for field in old.headers.raw if field[0].lower() not in dropped]
    request = Request(
        method,
        url,
        headers=Headers(fields),
        stream=old.stream if method == old.method else None,
        extensions=extensions,
    )
    request._is_users = old._is_users and same_origin
    request._own_cookies = old._own_cookies if same_origin else None
    cookies = merged(request._own_cookies)
    if cookies:
        request._set_cookies(cookies)
    return request


def _target(response: Response) -> URL:
    old = response.request.url
    location = response.headers.get_list("Location")[0].strip()
    try:
        url = old.join(location)
        if url.userinfo:
            url = url.copy_with(userinfo=b"")
        if old.fragment and not url.fragment:
            url = url.copy_with(fragment=old.fragment)
    except InvalidURL as exc:
        text = f"the Location of a redirect is not a URL: {exc.message}"
        raise RemoteProtocolError(text, phase="receive headers") from exc
    if url.scheme not in _WEB and url.scheme != old.scheme:
        text = f"a redirect from {old.scheme} leads to {url.scheme or 'nowhere'}"
        raise UnsupportedProtocol(text, phase="receive headers")
    return url


def _method(method: str, status: int) -> str:
    """303 means "see that"; after 301 and 302 browsers have made a POST a GET for so long that it
    became the rule. 307 and 308 change nothing."""
    if status == 303 and method != "HEAD":
        return "GET"
    if status in (301, 302) and method == "POST":
        return "GET"
    return method
