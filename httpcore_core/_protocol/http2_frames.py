"""HTTP/2 frames (RFC 9113, sections 4 and 6): cut from the bytes received, and the few we write.

Rules of this file: no state but that of the bytes in hand; it knows how a frame is laid out and
what its length must be, not what it means for a stream. A frame is refused by its header, before
its payload is buffered, so that never more than one frame of legal size is kept.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TypeAlias

Frame: TypeAlias = tuple[int, int, int, bytes]
"""Type, flags, stream identifier, payload."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)

END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
HAS_PRIORITY = 0x20

DEFAULT_WINDOW = 65535  # section 6.9.2
MAX_WINDOW = MAX_STREAM_ID = 2**31 - 1  # sections 6.9.1 and 5.1.1
MAX_BLOCK_FRAMES = 64
"""Frames that one field block may come in; h2 allows as many. 7 hold all that we take at most."""

_header = struct.Struct(">HBBBL")
_pair = struct.Struct(">LL")
_setting = struct.Struct(">HL")
_number = struct.Struct(">L")


class ErrorCode(IntEnum):
    """RFC 9113, section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def code_name(code: int) -> str:
    """How an error text shows `code`; unknown ones are as good as any (section 7)."""
    return ErrorCode(code).name if code < len(ErrorCode) else f"error code {code}"


class ConnectionFault(Exception):
    """What section 5.4.1 calls a connection error: nothing more can be said on this connection."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class StreamFault(ConnectionFault):
    """What section 5.4.2 calls a stream error: one stream is reset, the others go on."""


def build(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return _header.pack(size >> 8, size & 0xFF, kind, flags, stream_id) + payload


def build_window_update(stream_id: int, increment: int) -> bytes:
    return build(WINDOW_UPDATE, 0, stream_id, _number.pack(increment))


def build_settings(settings: dict[int, int]) -> bytes:
    return build(SETTINGS, 0, 0, b"".join(_setting.pack(*item) for item in settings.items()))


def build_goaway(code: int) -> bytes:
    """The last stream of the server's that we took part in is none: it may not push."""
    return build(GOAWAY, 0, 0, _pair.pack(0, code))


def unpad(payload: bytes, flags: int) -> bytes:
    """Sections 6.1 and 6.2: the padding's length goes first, the padding last."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame is all padding")
    return payload[1 : len(payload) - payload[0]]


def read_number(kind: str, payload: bytes) -> int:
    """The payload of RST_STREAM and WINDOW_UPDATE, the latter's reserved bit included."""
    if len(payload) != 4:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"{kind} of {len(payload)} bytes")
    return int.from_bytes(payload, "big")


def read_settings(payload: bytes) -> dict[int, int]:
    """Section 6.5.1: in the order received, so that the last of several values counts."""
    if len(payload) % 6:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
    return dict(_setting.iter_unpack(payload))


def read_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Section 6.8: the last stream identifier, the error code, the debug data."""
    if len(payload) < 8:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
    last, code = _pair.unpack_from(payload)
    return last & MAX_STREAM_ID, code, payload[8:]


class FrameBuffer:
    """Cuts what is received into frames. The methods raise `ConnectionFault`."""

    __slots__ = ("_at", "_data", "_max_frame_size", "_started")

    def __init__(self, max_frame_size: int) -> None:
        self._max_frame_size = max_frame_size
        self._data: bytes | bytearray = b""
        self._at = 0  # up to here the data have been dealt with
        self._started = False

    def receive(self, data: bytes) -> None:
        if self._at == len(self._data):
            self._data = data
        else:
            if isinstance(self._data, bytes):
                self._data = bytearray(self._data[self._at :])
            else:
                del self._data[: self._at]
            self._data += data
        self._at = 0

    def next_frame(self) -> Frame | None:
        """The next complete frame; None if more has to be received first."""
        data, at = self._data, self._at
        if not self._started:
            self._check_preface(data)
        if len(data) - at < 9:
            return None
        high, low, kind, flags, stream_id = _header.unpack_from(data, at)
        size = high << 8 | low
        if size > self._max_frame_size:
            text = f"a frame of {size} bytes, over the limit of {self._max_frame_size}"
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, text)
        end = at + 9 + size
        if len(data) < end:
            return None
        self._at = end
        self._started = True
        payload = data[at + 9 : end]
        if type(payload) is not bytes:
            payload = bytes(payload)
        return kind, flags, stream_id & MAX_STREAM_ID, payload

    @property
    def inside_frame(self) -> bool:
        """Whether an end of stream now would cut a frame in two."""
        return self._at < len(self._data)

    def _check_preface(self, data: bytes | bytearray) -> None:
        """Section 3.4: a server begins with SETTINGS. Other protocols show in the first bytes."""
        start = data[:5]
        fits = (
            not any(start[:1])
            and start[1:2] <= b"\x40"
            and start[3:4] in (b"", b"\x04")
            and start[4:5] != b"\x01"
        )
        if not fits:
            text = f"this is not HTTP/2: the server began with {bytes(data[:40])!r}"
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, text)


class FieldBlock:
    """A field block on its way: HEADERS and the CONTINUATION frames after it (section 4.3)."""

    __slots__ = ("_count", "_max_bytes", "_parts", "_size", "end_stream", "stream_id")

    def __init__(self, stream_id: int, flags: int, payload: bytes, max_bytes: int) -> None:
        self.stream_id = stream_id
        self.end_stream = bool(flags & END_STREAM)
        self._parts: list[bytes] = []
        self._size = self._count = 0
        self._max_bytes = max_bytes
        fragment = unpad(payload, flags)
        if flags & HAS_PRIORITY:
            if len(fragment) < 5:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without its priority")
            fragment = fragment[5:]  # deprecated: section 5.3.2
        self.add(fragment)

    def add(self, fragment: bytes) -> None:
        self._count += 1
        self._size += len(fragment)
        if self._count > MAX_BLOCK_FRAMES or self._size > self._max_bytes:
            text = f"header fields over {self._max_bytes} bytes or {MAX_BLOCK_FRAMES} frames"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text)
        if fragment:
            self._parts.append(fragment)

    def joined(self) -> bytes:
        return b"".join(self._parts)
