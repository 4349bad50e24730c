"""The client's own errors.

Rules of this file: values only. Whatever goes wrong while a request is made is one of the core's
`TransportError`s (here also called `RequestError`, as in HTTPX); it passes through the client,
which attaches the request. All errors pickle and copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httpcore_core import HTTPError, LocalProtocolError, NetworkError, TransportError

if TYPE_CHECKING:
    from ._request import Request
    from ._response import Response


def attach(error: TransportError, request: Request | None) -> None:
    """Make `request` an attribute of an error of the core, which declares none. One that says how
    much of `total` redirects and challenges had left is to say what the caller had asked for."""
    vars(error)["request"] = request
    if request is not None and error.limit is not None:
        left, total = request._total
        error.limit = total if error.limit == left else error.limit


class InvalidURL(LocalProtocolError, ValueError):
    """The text is not a URL, or is one that programs disagree about. The message never quotes the
    whole of it, because a part may be a password."""


class CloseError(NetworkError):
    """HTTPX's name for a connection that could not be closed; here that is no error."""


class DecodingError(TransportError):
    """The body is not what its Content-Encoding says, or is more than may be decoded."""


class TooManyRedirects(TransportError):
    """There were more redirects than `max_redirects`."""


class CookieConflict(Exception):
    """One name, several cookies: `Cookies.get` needs a domain or a path to tell them apart."""


class HTTPStatusError(HTTPError):
    """The response was not a success; raised by `Response.raise_for_status` only."""

    def __init__(self, message: str, request: Request, response: Response) -> None:
        super().__init__(message, request, response)
        self.request = request
        self.response = response

    def __str__(self) -> str:
        return str(self.args[0])


class StreamError(RuntimeError):
    """A body was used in a way that its state does not allow."""


class StreamConsumed(StreamError):
    """The body has been streamed already, and it was not kept."""


class StreamClosed(StreamError):
    """The body was closed, or has failed, before it was read to its end; or was lost in a copy."""


class ResponseNotRead(StreamError):
    """The content was asked for, but the body has not been read."""


class RequestNotRead(StreamError):
    """The content was asked for, but the body is a stream."""
