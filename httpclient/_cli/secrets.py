"""What is not shown of a request and its response: credentials.

Rules of this file: pure. What -v prints and what goes into HAR and trace files has passed through
here, unless ``--show-secrets`` says otherwise. Names stay, values go.
"""

from __future__ import annotations

import re

Fields = list[tuple[bytes, bytes]]

HIDDEN = b"[hidden]"

_SCHEMED = frozenset((b"authorization", b"proxy-authorization"))  # the scheme may be seen
_SECRET = frozenset(
    (b"cookie", b"set-cookie", b"set-cookie2", b"x-api-key", b"x-auth-token", b"x-csrf-token")
)
_USERINFO = re.compile(rb"(//)[^/?#\s]*@")
_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9-]*) +\S")


def without_userinfo(url: bytes) -> bytes:
    """A URL, or whatever a field with one says, without user and password."""
    return _USERINFO.sub(rb"\1" + HIDDEN + b"@", url)


def without_secrets(fields: Fields) -> Fields:
    """The fields with the values of those replaced which let somebody in."""
    return [(name, _masked(name.lower(), value)) for name, value in fields]


def _masked(name: bytes, value: bytes) -> bytes:
    if name in _SCHEMED:
        scheme = _SCHEME.match(value)
        return scheme[1] + b" " + HIDDEN if scheme else HIDDEN
    if name in _SECRET:
        return HIDDEN
    return without_userinfo(value)
