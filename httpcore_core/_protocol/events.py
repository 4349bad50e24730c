"""What a response is made of, in the order in which it is received.

Rules of this file: values only. A response is any number of `Informational`, one `ResponseHead`,
any number of `bytes`, and `END`; `NEED_DATA` comes wherever more has to be received first.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple, TypeAlias

from httpcore_core._models import Headers

__all__ = ["END", "NEED_DATA", "Event", "Informational", "ResponseHead", "Signal"]


class Signal(enum.Enum):
    NEED_DATA = "NEED_DATA"
    END = "END"


NEED_DATA: Final = Signal.NEED_DATA
"""Nothing more can be said before more has been received."""

END: Final = Signal.END
"""The response is complete."""


class Informational(NamedTuple):
    """A 1xx response other than 101 (RFC 9110, section 15.2)."""

    status: int
    reason: bytes
    headers: Headers


class ResponseHead(NamedTuple):
    """Status and header fields of one response (RFC 9112, section 4; RFC 9113, section 8.3.2)."""

    http_version: bytes  # b"HTTP/1.1", b"HTTP/1.0" or b"HTTP/2"
    status: int  # 100 to 999
    reason: bytes  # may be empty; HTTP/2 has none
    headers: Headers  # order and case as received, values without surrounding whitespace

    def __repr__(self) -> str:
        return repr(tuple(self))  # what a trace shows of it: (version, status, reason, headers)


Event: TypeAlias = Signal | Informational | ResponseHead | bytes
