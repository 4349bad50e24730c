"""What the target of a request names where that is a path: of a file, or on an FTP server.

Rules of this file: pure functions on bytes. Percent-encoding is undone first and once; then dot
segments go as they do in every URL (RFC 3986, section 5.2.4), so that no name in the result climbs,
whatever it was hidden in.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from httpcore_core import LocalProtocolError

_TYPES_OF_CODINGS = {
    "br": "application/x-brotli",
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
    "zstd": "application/zstd",
}


def path_segments(target: bytes) -> list[bytes]:
    """The decoded names, in order. The last one is empty where the path ends in a slash, which
    means a directory; others are empty where slashes follow each other. A query is left out.

    Raises `LocalProtocolError` for a target that is no absolute path.
    """
    path = target.partition(b"#")[0].partition(b"?")[0]
    if path and not path.startswith(b"/"):
        raise LocalProtocolError("the target is not an absolute path", phase="request")
    kept: list[bytes] = []
    segment = b""
    for segment in unquote_to_bytes(path).split(b"/")[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segment in (b".", b"..") or not kept:
        kept.append(b"")
    return kept


def content_type(name: str) -> bytes:
    """The media type that the name of a file stands for. Of one that is compressed it is that of
    the compression: the bytes are handed on as they are, which a Content-Encoding would deny."""
    import mimetypes  # late: reads the system's tables

    # Only the end of the name counts; `guess_type` would take some beginnings for a URL's.
    kind, coding = mimetypes.guess_type(re.sub(r"[^\w.+-]", "_", name))
    if coding is not None:
        kind = _TYPES_OF_CODINGS.get(coding)
    return (kind or "application/octet-stream").encode("ascii")
