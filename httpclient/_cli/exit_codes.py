"""What the shell is told: one table, with curl's numbers, and which error has which of them.

Rules of this file: pure. A code is found from an error's class, the phase it came in and its
cause; nothing else is looked at, but for what the names are that could not be resolved.
"""

from __future__ import annotations

import socket
import ssl
from typing import NamedTuple

from httpcore_core import (
    ConnectError,
    LocalProtocolError,
    ProxyError,
    RemoteProtocolError,
    TimeoutException,
    TransportError,
    UnsupportedProtocol,
    WriteError,
)

from .._exceptions import DecodingError, InvalidURL, StreamConsumed, TooManyRedirects

INTERRUPTED = 130  # as shells have it for a program that SIGINT ended: 128 + 2
USAGE = 2
STATUS = 22
WRITE = 23
READ = 26
PARTIAL = 18

MEANINGS: dict[int, str] = {
    0: "The request was answered. Without --fail that includes 4xx and 5xx.",
    1: "The URL's scheme is neither http nor https.",
    USAGE: "The options make no sense, or ask for a request that is not legal HTTP.",
    3: "The URL is malformed.",
    5: "The proxy's name could not be resolved.",
    6: "The host's name could not be resolved.",
    7: "No connection could be made.",
    8: "The answer is not HTTP.",
    PARTIAL: "The body ended before it was complete.",
    STATUS: "The status was 400 or above, with --fail or --continue.",
    WRITE: "The output could not be written, or is binary and was meant for a terminal.",
    READ: "The file to be sent could not be read.",
    28: "A time limit passed.",
    35: "The TLS handshake failed.",
    47: "There were more redirects than --max-redirects.",
    52: "The server closed the connection without an answer.",
    55: "Sending the request failed.",
    56: "Receiving the answer failed.",
    60: "The server's certificate was not accepted.",
    61: "The body is not what its Content-Encoding says.",
    65: "The body would have to be sent again, which cannot be done with standard input.",
    97: "The proxy refused, or did not speak as a proxy should.",
    INTERRUPTED: "Interrupted with Ctrl-C.",
}

# What the core says where not a byte has come; of the errors in this phase nothing else tells.
_NOTHING_CAME = "without sending a response"

_BY_CLASS: tuple[tuple[type[BaseException], int], ...] = (
    (KeyboardInterrupt, INTERRUPTED),
    (InvalidURL, 3),
    (UnsupportedProtocol, 1),
    (TooManyRedirects, 47),
    (DecodingError, 61),
    (StreamConsumed, 65),
    (TimeoutException, 28),
    (ProxyError, 97),
    (LocalProtocolError, USAGE),
    (WriteError, 55),
)


class CommandError(Exception):
    """What the command line itself finds wrong, with its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Lookup(NamedTuple):
    """The last name that was looked up: whether that failed, and whether it was the proxy's."""

    failed: bool
    of_proxy: bool


NO_LOOKUP = Lookup(failed=False, of_proxy=False)


def exit_code(error: BaseException, lookup: Lookup = NO_LOOKUP) -> int:
    """The number for what ended the run. Raises the error itself if there is none for it."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, LocalProtocolError) and error.phase == "send":
        return READ  # a file that is longer or shorter than it was
    for kind, code in _BY_CLASS:
        if isinstance(error, kind):
            return code
    if isinstance(error, ConnectError):
        return _connect_code(error, lookup)
    if isinstance(error, TransportError):
        return _exchange_code(error)
    raise error


def _connect_code(error: ConnectError, lookup: Lookup) -> int:
    if lookup.failed or isinstance(error.__cause__, socket.gaierror):
        return 5 if lookup.of_proxy else 6
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return 60
    return 35 if error.phase == "tls" else 7


def _exchange_code(error: TransportError) -> int:
    """Once there was a connection."""
    if isinstance(error, RemoteProtocolError):
        if error.phase == "receive body":
            return PARTIAL
        return 52 if _NOTHING_CAME in error.message else 8
    return 55 if error.phase == "send" else 56
