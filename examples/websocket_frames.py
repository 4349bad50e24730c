"""What the WebSocket examples share: frames, by wsproto, and what is talked about. Does no I/O."""

from __future__ import annotations

from collections import deque

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, Pong, TextMessage

DATA = bytes(range(256)) * 1024
PARTS = [DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000)]

CONVERSATION: list[tuple[list[Event], Event]] = [
    ([TextMessage("Hello, wörld!")], TextMessage("Hello, wörld!")),
    (
        [BytesMessage(part, message_finished=part is PARTS[-1]) for part in PARTS],
        BytesMessage(DATA),
    ),
    ([Ping(b"still there?")], Pong(b"still there?")),
    ([CloseConnection(1000, "bye")], CloseConnection(1000, "bye")),
]
"""With a server that echoes messages: what is said, frame by frame, and what is then heard."""


class Frames:
    """The client's end of one WebSocket. `heard` has whole messages, pongs, and the close."""

    def __init__(self) -> None:
        self.heard: deque[Event] = deque()
        self._connection = Connection(ConnectionType.CLIENT)
        self._parts: list[bytes | str] = []

    def say(self, event: Event) -> bytes:
        """The bytes to write for it."""
        return bytes(self._connection.send(event))

    def feed(self, data: bytes) -> bytes:
        """Take what was read, ``b""`` at the end; returns the bytes to write in answer."""
        self._connection.receive_data(data or None)
        return b"".join([self._note(event) for event in self._connection.events()])

    def take(self, expected: Event) -> None:
        event = self.heard.popleft()
        if event != expected:
            raise RuntimeError(f"heard {event!r:.80}, not {expected!r:.80}")

    def _note(self, event: Event) -> bytes:
        if isinstance(event, Ping):
            return self.say(event.response())
        if isinstance(event, Message):
            self._parts.append(event.data)
            if not event.message_finished:
                return b""
            event = type(event)(event.data[:0].join(self._parts))
            self._parts.clear()
        self.heard.append(event)
        states = (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)  # not closing ourselves
        if isinstance(event, CloseConnection) and self._connection.state in states:
            return self.say(event.response())
        return b""
