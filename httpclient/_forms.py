"""Forms as bytes: URL-encoded ones, and what surrounds the parts of multipart ones.

Rules of this file: pure. Names, file names and header fields may come from anybody: whatever they
hold, none of it can become a header field, a parameter or a part of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus

from httpcore_core import LocalProtocolError

from ._headers import Headers, HeaderTypes
from ._params import text_of

# The HTML Standard escapes the quotation mark, CR and LF. The other control characters, which no
# form has a use for, go the same way. It leaves the backslash alone, which many servers do not, so
# that is doubled, as in any quoted string (RFC 9110, 5.6.4).
_ESCAPES = {code: f"%{code:02X}" for code in (*range(0x20), 0x22, 0x7F)} | {0x5C: r"\\"}

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")  # RFC 9110, 5.5
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))', re.DOTALL)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, 5.1.1


def utf8(text: str) -> bytes:
    """Raises `LocalProtocolError` for lone surrogates, as in names of files that are not UTF-8."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as exc:
        problem = "a form has text that cannot be written as UTF-8"
        raise LocalProtocolError(problem, phase="request") from exc


def form_fields(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of a form one by one: a list or tuple is several of the same name."""
    for name, value in data.items():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            yield str(name), text_of(item)


def urlencoded(data: Mapping[str, Any]) -> bytes:
    """As the URL Standard's serialiser of ``application/x-www-form-urlencoded`` does it."""
    pairs = (
        f"{quote_plus(utf8(name), safe='*')}={quote_plus(utf8(value), safe='*')}"
        for name, value in form_fields(data)
    )
    return "&".join(pairs).replace("~", "%7E").encode("ascii")


def _quoted(text: str) -> bytes:
    # Some take any backslash before the closing mark, even the second of two, for its escape.
    bare = text.rstrip("\\")
    return b'"' + utf8(bare.translate(_ESCAPES) + "%5C" * (len(text) - len(bare))) + b'"'


def part_head(
    name: str,
    filename: str | None = None,
    content_type: str | None = None,
    headers: HeaderTypes | None = None,
) -> bytes:
    """The header section of a part, to the empty line (RFC 7578, section 4). A Content-Type in
    `headers` takes the place of `content_type`."""
    lines = [b"Content-Disposition: form-data; name=" + _quoted(name)]
    if filename is not None:
        lines[0] += b"; filename=" + _quoted(filename)
    given = Headers(headers)
    fields = given.raw
    if content_type is not None and "Content-Type" not in given:
        fields.append((b"Content-Type", utf8(content_type)))
    for key, value in fields:
        if not (_TOKEN.fullmatch(key) and _VALUE.fullmatch(value)):
            problem = "a part has a header, or a content type, with characters that it may not have"
            raise LocalProtocolError(problem, phase="request")
        if key.lower() == b"content-disposition":
            problem = "a part's Content-Disposition follows from its name and file name"
            raise LocalProtocolError(problem, phase="request")
        lines.append(key + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def boundary_of(content_type: str) -> str:
    """The boundary that a caller's own Content-Type names (RFC 2046, section 5.1.1).

    Raises `LocalProtocolError` if there is none, or one that is not legal: nobody could read that.
    """
    media_type, mark, parameters = content_type.partition(";")
    if not media_type.strip().lower().startswith("multipart/"):
        problem = (
            "files are sent as multipart/form-data, but the Content-Type header says otherwise"
        )
        raise LocalProtocolError(f"{problem}: leave it out", phase="request")
    found = [
        bare.strip() or re.sub(r"\\(.)", r"\1", quoted)
        for name, quoted, bare in _PARAMETER.findall(mark + parameters)
        if name.lower() == "boundary"
    ]
    if len(found) != 1:
        problem = f"the Content-Type header names {len(found) or 'no'} boundaries"
        raise LocalProtocolError(f"{problem}: leave it out, or name one", phase="request")
    if not _BOUNDARY.fullmatch(found[0]):
        problem = "the boundary in the Content-Type header is not legal: 1 to 70 of 74 characters"
        raise LocalProtocolError(problem, phase="request")
    return found[0]
