"""What a scripted HTTP/2 server knows of the requests that it has read. Values only."""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 3, 4, 5
ENABLE_CONNECT_PROTOCOL = 8

Headers = list[tuple[bytes, bytes]]


class Request(NamedTuple):
    """A request whose head has been read."""

    id: int
    headers: Headers

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def method(self) -> bytes:
        return self.header(b":method") or b""

    @property
    def path(self) -> bytes:
        return self.header(b":path") or b""


class Bodies(dict[int, Any]):
    """Request bodies, which grow in place."""

    def setdefault(self, number: int, default: Any = None) -> Any:
        return super().setdefault(number, bytearray())
