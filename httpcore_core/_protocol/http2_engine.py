"""What `h2` and `hpack` do for us, and all that is known of them.

Rules of this file: nothing else in the package imports the two, and only their public interface is
used. What they raise at what was received becomes a `ConnectionFault` here; at what is sent they
find nothing to raise, because the callers keep the same account and ask it first.

`h2` keeps the account of what we send: the state of the streams, the peer's settings and windows,
the encoder's table, the frames themselves. What it is *told* of what arrives is no more than moves
that account. It never sees a response: it would make connection errors of stream errors (RFC 9113,
section 5.4), count windows by a policy of its own, and close itself on GOAWAY, dropping streams
that the peer means to finish. So responses are decoded and judged by us, once, and when a stream
is over, it is taken out of the account.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import NeverIndexedHeaderTuple
from hpack.exceptions import HPACKError, OversizedHeaderListError

from httpcore_core._models import Headers

from .http2_fields import Secret
from .http2_frames import (
    ConnectionFault,
    ErrorCode,
    build_settings,
    build_window_update,
)
from .http2_hpack import FieldDecoder, FieldEncoder

MAX_TABLE_SIZE = 4096
"""Of the encoder's table, whatever the peer offers: what is in it is searched for every field."""

MAX_SENT_FRAME = 64 * 1024
"""Of DATA, whatever the peer takes: nothing else can be sent before a frame is through."""

_CONFIG = H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
)
# Settings that mean something to a client (RFC 9113, section 6.5.2; RFC 8441, section 3).
_KNOWN = frozenset(
    (
        *(SettingCodes.HEADER_TABLE_SIZE, SettingCodes.MAX_CONCURRENT_STREAMS),
        *(SettingCodes.INITIAL_WINDOW_SIZE, SettingCodes.MAX_FRAME_SIZE),
        *(SettingCodes.MAX_HEADER_LIST_SIZE, SettingCodes.ENABLE_CONNECT_PROTOCOL),
    )
)


class _Connection(H2Connection):
    """One whose closed streams are taken out of `streams` by us, as soon as they are."""

    @property
    def open_outbound_streams(self) -> int:
        """h2 asks before it opens a stream, and would look at each of them to find out."""
        return len(self.streams)


class Engine:
    """One connection's account."""

    __slots__ = ("_decoder", "_h2", "_max_header_bytes", "has_data")

    def __init__(self, stream_window: int, max_frame_size: int, max_header_bytes: int) -> None:
        self._decoder = FieldDecoder(max_header_bytes)
        self._max_header_bytes = max_header_bytes
        self._h2 = _Connection(_CONFIG)
        self._h2.encoder = FieldEncoder()
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: stream_window,
                SettingCodes.MAX_FRAME_SIZE: max_frame_size,
                SettingCodes.MAX_HEADER_LIST_SIZE: max_header_bytes,
            },
        )
        self.has_data = False  # something is queued
        del self._h2.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]  # a server's to send

    # What we send

    def start(self) -> None:
        self._h2.initiate_connection()
        self.has_data = True

    def send_headers(self, stream_id: int, fields: Headers, end_stream: bool) -> None:
        """Open the stream; if it is open, end it with trailers."""
        tuples = [
            NeverIndexedHeaderTuple(*field) if type(field) is Secret else field for field in fields
        ]
        self._h2.send_headers(stream_id, tuples, end_stream=end_stream)
        self.has_data = True

    def send_data(self, stream_id: int, data: bytes | memoryview, end_stream: bool) -> None:
        """Queue one frame that fits `window` and `frame_size`."""
        self._h2.send_data(stream_id, data, end_stream=end_stream)
        self.has_data = True

    def end_stream(self, stream_id: int) -> None:
        """Whatever the window: the frame is empty (RFC 9113, section 6.9.1)."""
        self._h2.end_stream(stream_id)
        self.has_data = True

    def reset(self, stream_id: int, code: int) -> None:
        self._h2.reset_stream(stream_id, code)
        self.closed(stream_id)
        self.has_data = True

    def window(self, stream_id: int) -> int:
        """How much DATA may be sent, by the stream's window and the connection's."""
        return self._h2.local_flow_control_window(stream_id)

    @property
    def frame_size(self) -> int:
        return min(self._h2.max_outbound_frame_size, MAX_SENT_FRAME)

    def take(self) -> bytes:
        """What is to be written, in whole frames."""
        self.has_data = False
        return self._h2.data_to_send()

    def drop(self) -> None:
        """Forget what has not been taken."""
        self.has_data = False
        self._h2.clear_outbound_data_buffer()

    # What the peer says

    @property
    def max_concurrent_streams(self) -> int:
        return self._h2.remote_settings.max_concurrent_streams

    @property
    def extended_connect(self) -> bool:
        return bool(self._h2.remote_settings.enable_connect_protocol)

    def receive_settings(self, settings: dict[int, int]) -> None:
        """Take over what the peer asks for, and acknowledge it."""
        if settings.get(SettingCodes.ENABLE_PUSH):  # RFC 9113, section 6.5.2
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a server cannot enable push")
        known = {code: value for code, value in settings.items() if code in _KNOWN}
        if self.extended_connect and not known.get(SettingCodes.ENABLE_CONNECT_PROTOCOL, 1):
            # RFC 8441, section 3
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "extended CONNECT cannot be withdrawn")
        size = known.get(SettingCodes.HEADER_TABLE_SIZE)
        if size is not None:
            known[SettingCodes.HEADER_TABLE_SIZE] = min(size, MAX_TABLE_SIZE)
        self._tell(build_settings(known))
        self.has_data = True

    def receive_window_update(self, stream_id: int, increment: int) -> bool:
        """Returns False if the stream's window overflowed and it was reset (section 6.9.1)."""
        events = self._tell(build_window_update(stream_id, increment))
        overflowed = any(isinstance(event, StreamReset) for event in events)
        if overflowed:
            self.closed(stream_id)
            self.has_data = True
        return not overflowed

    def closed(self, stream_id: int) -> None:
        """The stream is over, and nothing is to be sent about it any more."""
        self._h2.streams.pop(stream_id, None)

    def _tell(self, frame: bytes) -> list[Event]:
        try:
            return self._h2.receive_data(frame)
        except ProtocolError as exc:
            raise ConnectionFault(exc.error_code, str(exc)) from exc

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """A field block. Any error leaves the table unusable: RFC 9113, section 4.3."""
        try:
            return self._decoder.decode(block)
        except OversizedHeaderListError as exc:
            text = f"the header fields are over {self._max_header_bytes} bytes"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text) from exc
        except (HPACKError, IndexError) as exc:  # the latter from a block that ends too early
            text = f"illegal header compression: {type(exc).__name__}"
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, text) from exc
