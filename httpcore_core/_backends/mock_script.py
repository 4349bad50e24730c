"""What a mock peer does, and when: the values that scripts are made of, and the peer itself.

Rules of this file: no I/O and no waiting. Where an operation has to wait, its generator yields the
virtual time to wait for, and the sync or async stream that drives it lets the clock get there.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from .._exceptions import LocalProtocolError, ReadError, ReadTimeout, WriteError, WriteTimeout
from .mock_clock import FOREVER, VirtualClock


@dataclass(frozen=True)
class Delay:
    """In a script: what follows happens `seconds` after what stands before it was used up.

    ``Delay(float("inf"))`` is a peer that hangs.
    """

    seconds: float


@dataclass(frozen=True)
class Arrived:
    """In a script of reads: this has arrived although nobody has asked for it yet.

    It makes the stream readable, as the peer's end of stream on an idle connection does:
    ``Arrived(b"")``. With `after`, it arrives as soon as that many bytes in all have been written:
    an answer in the middle of an upload.
    """

    value: bytes | BaseException | type[BaseException] = b""
    after: int = 0


Error: TypeAlias = BaseException | type[BaseException]
ReadStep: TypeAlias = bytes | Error | Delay | Arrived
AcceptStep: TypeAlias = int | Error | Delay
EventStep: TypeAlias = Error | Delay | None
EventScript: TypeAlias = EventStep | Iterable[EventStep]
Waits: TypeAlias = Generator[float, None, int]


def raised(error: Error) -> BaseException:
    """The exception that a script stands for: itself, or a new one of its class."""
    return error() if isinstance(error, type) else error


def play_event(
    script: EventScript, clock: VirtualClock, timeout: float | None, expired: BaseException
) -> Waits:
    """A connect or a handshake, as one of None, an exception and `Delay`, or several in order."""
    steps = script if isinstance(script, Iterable) else [script]
    start = clock.now()
    deadline = FOREVER if timeout is None else start + timeout
    due = start
    for step in steps:
        if isinstance(step, Delay):
            due += step.seconds
            while clock.now() < due:
                if clock.now() >= deadline:
                    raise expired
                yield min(due, deadline)
        elif step is not None:
            raise raised(step)
    return 0


class _Read:
    """One result of a read, and when it can be had."""

    __slots__ = ("after", "arrived", "delay", "value")

    def __init__(
        self, value: bytes | Error, delay: float = 0.0, arrived: bool = False, after: int = 0
    ) -> None:
        self.value = value
        self.delay = delay
        self.arrived = arrived
        self.after = after


def _parse_reads(buffer: Iterable[ReadStep]) -> deque[_Read]:
    reads: deque[_Read] = deque()
    delay = 0.0
    for step in buffer:
        if isinstance(step, Delay):
            delay += step.seconds
            continue
        if isinstance(step, Arrived):
            reads.append(_Read(step.value, delay, True, step.after))
        elif isinstance(step, (bytes, BaseException)) or (
            isinstance(step, type) and issubclass(step, BaseException)
        ):
            reads.append(_Read(step, delay))
        else:
            raise TypeError(
                f"a script of reads has bytes, exceptions, Delay, Arrived; not {step!r}"
            )
        delay = 0.0
    reads.append(_Read(b"", delay))
    return reads


class MockPeer:
    """The peer's end of one stream: what it sends, what it takes, and what it has received."""

    def __init__(
        self, reads: Iterable[ReadStep], accept: Iterable[AcceptStep], clock: VirtualClock
    ) -> None:
        self.clock = clock
        self.writes: list[bytes] = []
        self.received = 0
        self.closed = False
        self.on_received: Callable[[], None] | None = None
        self.taken: int | None = None  # of what a write that did not end well had
        self._reads = _parse_reads(reads)
        self._accept = deque(accept)
        self._read_since = self._accept_since = clock.now()
        self._reading = self._writing = False
        self._served = 0  # reads

    # What the peer sends

    def arrival(self) -> float:
        """When the next read has something to return."""
        head = self._reads[0]
        return FOREVER if head.after > self.received else self._read_since + head.delay

    def unasked_arrival(self) -> float:
        """When the next read has something that makes an idle stream readable."""
        return self.arrival() if self._reads[0].arrived else FOREVER

    def is_readable(self) -> bool:
        return self.closed or self.unasked_arrival() <= self.clock.now()

    def put(self, value: bytes | Error) -> None:
        """Let this arrive now, before all that the script still has."""
        self._reads[0].delay -= self.clock.now() - self._read_since
        self._reads.appendleft(_Read(value, arrived=True))
        self._read_since = self.clock.now()

    def take(self, max_bytes: int) -> bytes:
        self._served += 1
        if self._writing and self.on_received is not None:
            self.on_received()  # a writer may be waiting until there is something to read
        head = self._reads[0]
        if not isinstance(head.value, bytes):
            self._next_read()
            raise raised(head.value)
        data = head.value[:max_bytes]
        if len(data) < len(head.value):
            self._reads[0] = _Read(head.value[max_bytes:], arrived=True)
            self._read_since = self.clock.now()
        elif data:
            self._next_read()
        else:
            head.arrived = True  # the end of the stream stays
        return data

    def _next_read(self) -> None:
        self._reads.popleft()
        self._read_since = self.clock.now()
        if not self._reads:
            self._reads.append(_Read(b""))

    def read(self, max_bytes: int, timeout: float | None) -> Generator[float, None, bytes]:
        if self._reading:
            raise LocalProtocolError("another task is already reading")
        deadline = FOREVER if timeout is None else self.clock.now() + timeout
        self._reading = True
        try:
            while True:
                if self.closed:
                    raise ReadError("the stream is closed")
                arrival = self.arrival()
                if arrival <= self.clock.now():
                    return self.take(max_bytes)
                if self.clock.now() >= deadline:
                    raise ReadTimeout("reading timed out", limit=timeout)
                yield min(arrival, deadline)
        finally:
            self._reading = False

    # What the peer takes

    def write(self, buffer: bytes, timeout: float | None, until_readable: bool) -> Waits:
        """Return how many bytes were accepted. `timeout` starts anew with each that is."""
        if self._writing:
            raise LocalProtocolError("another task is already writing")
        done, waiting_since, served = 0, self.clock.now(), self._served
        self._writing = True
        try:
            while done < len(buffer):
                if self.closed:
                    raise WriteError("the stream is closed")
                if until_readable and (self.is_readable() or self._served > served):
                    break
                room, due = self._room()
                if room:
                    accepted = self._receive(buffer[done : done + room], until_readable)
                    done, waiting_since = done + accepted, self.clock.now()
                    continue
                deadline = FOREVER if timeout is None else waiting_since + timeout
                if self.clock.now() >= deadline:
                    raise WriteTimeout("writing timed out", limit=timeout)
                yield min(due, deadline, self.unasked_arrival() if until_readable else FOREVER)
            return done
        except (WriteTimeout, GeneratorExit):  # the latter is what a cancellation is here
            self.taken = done
            raise
        finally:
            self._writing = False

    def _room(self) -> tuple[int, float]:
        """How many bytes are accepted now; if none, the time from when on some are."""
        while self._accept:
            step = self._accept[0]
            if isinstance(step, Delay):
                due = self._accept_since + step.seconds
                if due > self.clock.now():
                    return 0, due
            elif not isinstance(step, int):
                self._accept.popleft()
                raise raised(step)
            elif step > 0:
                return step, 0.0
            self._accept.popleft()
            self._accept_since = self.clock.now()
        return sys.maxsize, 0.0

    def _receive(self, piece: bytes, until_readable: bool) -> int:
        answer_after = self._reads[0].after - self.received
        if until_readable and answer_after > 0:
            piece = piece[:answer_after]
        if self._accept and isinstance(step := self._accept[0], int):
            self._accept[0] = step - len(piece)
            self._accept_since = self.clock.now()
        self.writes.append(bytes(piece))
        self.received += len(piece)
        if self.on_received is not None:
            self.on_received()  # a reader may be waiting for what comes after so many bytes
        return len(piece)
