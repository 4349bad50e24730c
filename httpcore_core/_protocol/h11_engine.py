"""The reference engine: response heads parsed by `h11`.

Rules of this file: `h11`'s public API only, and nothing but `h11`. Each head gets a connection of
its own, which costs less than leading one connection through the whole cycle of events.
"""

from __future__ import annotations

import re

import h11

from httpcore_core._exceptions import RemoteProtocolError

from .events import ResponseHead
from .head import check_lines

# A connection that has sent no request takes a final response but no 1xx, and takes a 101 only
# after a request that asked for an upgrade. Whether *we* asked is the protocol object's decision.
_ASKS_FOR_UPGRADE = h11.Request(
    method=b"GET",
    target=b"/",
    headers=[(b"Host", b"h"), (b"Connection", b"upgrade"), (b"Upgrade", b"any")],
)
_find_lengths = re.compile(rb"(?i:\ncontent-length:)([^\n]*)").findall
_AT_STATUS = len(b"HTTP/1.1 ")


def parse_head(head: bytes) -> ResponseHead:
    """See `HeadParser`."""
    check_lines(head)
    lengths = _find_lengths(head)  # h11 makes one of several that are equal
    if len(lengths) > 1 or (lengths and b"," in lengths[0]):
        raise RemoteProtocolError("the response has more than one Content-Length")
    connection = h11.Connection(h11.CLIENT)
    if head[_AT_STATUS : _AT_STATUS + 1] == b"1":
        connection.send(_ASKS_FOR_UPGRADE)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise RemoteProtocolError("the server sent a malformed response head") from exc
    if not isinstance(event, (h11.Response, h11.InformationalResponse)):
        raise RemoteProtocolError("the server sent an incomplete response head")
    return ResponseHead(
        b"HTTP/" + event.http_version, event.status_code, event.reason, event.headers.raw_items()
    )
