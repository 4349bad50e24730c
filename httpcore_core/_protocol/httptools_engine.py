"""The fast engine: response heads parsed by `httptools`, which is llhttp compiled.

Rules of this file: `httptools`' public API only, and nothing but `httptools`; whoever imports this
module must be ready for an `ImportError`, which an old `httptools` means, too. Nothing is shared
between two calls, so any number of threads may parse at once, and a signal handler may parse while
another head is being parsed.

Where llhttp and the contract (see `HeadParser`) differ:

- it keeps whitespace at the end of a value, and takes status codes below 100 and control
  characters in a reason: set right here, for every head;
- it takes a 101 that upgrades to nothing for an error, but only after the whole head: ignored;
- it refuses bare LF, and Content-Length beside Transfer-Encoding. To the former the contract says
  yes, and about the latter the caller decides, who has to ignore both in an answer to CONNECT
  (RFC 9110, section 9.3.6). Both are rare, and pay for a second attempt.

Stricter than the contract it is in one point: a Content-Length above 2**64 - 1 is refused in every
head, thus in a 1xx and in an answer to CONNECT, too.

This is the hottest function of the library. Of the two microseconds that eight fields take on
CPython 3.13, 0.5 are for making a parser and for llhttp, and one is for the bytes, tuples and calls
of the fields. Reused parsers, a dictionary's C method as the callback and closures have been
measured: none is faster.
"""

from __future__ import annotations

import re
import sys

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
    __version__,
)

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._models import Headers

from .events import ResponseHead

# The llhttp in httptools 0.8 takes CR CR for the end of the status line.
_OLDEST = (0, 9)
if tuple(int(digits) for digits in re.findall(r"\d+", __version__)[:2]) < _OLDEST:
    raise ImportError(f"httptools {__version__} is too old, 0.9 is needed", name="httptools")

_MALFORMED = "the server sent a malformed response head"
_CONTROLS = bytes([*range(9), *range(10, 32), 127])  # all but HTAB: RFC 9112, section 4
_AT_REASON = len(b"HTTP/1.1 200 ")
_VERSION = slice(len(b"HTTP/1.1"))
# A named tuple's own constructor is a Python function; this is what it calls.
_new_tuple = tuple.__new__


class _Callbacks:
    """What the parser calls. No `__init__`: that would be one more call for every head."""

    __slots__ = ("complete", "fields")

    complete: bool
    fields: Headers

    def on_header(self, name: bytes, value: bytes) -> None:
        # Spaces and tabs: other whitespace cannot be there, see `HeadParser`.
        self.fields.append((name, value.rstrip()))

    def on_headers_complete(self) -> None:
        self.complete = True


def parse_head(head: bytes) -> ResponseHead:
    """See `HeadParser`."""
    callbacks = _Callbacks()
    callbacks.fields = []
    callbacks.complete = False
    parser = HttpResponseParser(callbacks)
    failure = None
    try:
        parser.feed_data(head)
    except (HttpParserError, HttpParserUpgrade) as exc:
        failure = exc
    if failure is not None:
        try:
            _raise_interruption(failure)
        finally:
            failure = None  # it refers to this frame
        if not callbacks.complete:
            head, parser, callbacks = _try_again(head)
    status = parser.get_status_code()
    reason = head[_AT_REASON : head.find(b"\r")]
    # Most reasons are one word. Anything else is looked at, so that the usual case costs nothing.
    if not reason.isalnum() or status < 100 or not callbacks.complete:
        _check(status, reason, callbacks.complete)
    return _new_tuple(ResponseHead, (head[_VERSION], status, reason, callbacks.fields))


def _try_again(head: bytes) -> tuple[bytes, HttpResponseParser, _Callbacks]:
    """Parse what llhttp refuses by default; the head comes back with its lines ending in CRLF."""
    if b"\r" not in head:
        head = head.replace(b"\n", b"\r\n")
    callbacks = _Callbacks()
    callbacks.fields = []
    callbacks.complete = False
    parser = HttpResponseParser(callbacks)
    parser.set_dangerous_leniencies(lenient_chunked_length=True)
    failure = _feed(parser, head)
    if failure is not None:
        _raise_interruption(failure)
        if not callbacks.complete:
            raise RemoteProtocolError(_MALFORMED) from failure
    return head, parser, callbacks


def _feed(parser: HttpResponseParser, head: bytes) -> Exception | None:
    try:
        parser.feed_data(head)
    except (HttpParserError, HttpParserUpgrade) as exc:
        return exc
    return None


def _raise_interruption(failure: Exception) -> None:
    """Raise what a signal handler raised, or that memory ran out, while a callback ran.

    `httptools` makes that the context of an error of its own, and in doing so loses it where we
    were called while another exception was being handled. So this must not be called while
    `failure` is; and what has been lost was, in all likelihood, what Ctrl-C raises.
    """
    if isinstance(failure, HttpParserCallbackError):
        raised = failure.__context__
        raise KeyboardInterrupt if raised is None or raised is sys.exception() else raised


def _check(status: int, reason: bytes, complete: bool) -> None:
    """Refuse what llhttp lets pass."""
    if not complete:
        raise RemoteProtocolError("the server sent an incomplete response head")
    if status < 100 or len(reason.translate(None, _CONTROLS)) != len(reason):
        raise RemoteProtocolError(_MALFORMED)
