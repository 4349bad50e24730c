"""Whatever an HTTP/2 server sends, only our errors come of it, nothing loops and nothing grows.

Rules of this file: sessions are generated from a seed: streams are opened, read, written and closed
while a server says things that are legal, illegal or damaged, cut up at random places. A scripted
peer reads what the protocol object sends, and so finds half frames, broken compression and what is
sent on streams that are over. The usual run is short; FUZZ_SESSIONS says how many there are to be,
and FUZZ_SEED where to begin.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from httpcore_core._exceptions import LocalProtocolError, ReadError, RemoteProtocolError
from httpcore_core._models import Headers
from httpcore_core._protocol.http2 import HTTP2Options, HTTP2Protocol, HTTP2Stream
from tests.protocol.http2_peer import OK, Exchange, cut_up, frame
from tests.protocol.wire import Stream, plan

SESSIONS = int(os.environ.get("FUZZ_SESSIONS", "1500"))
SEED = int(os.environ.get("FUZZ_SEED", "9113"))
WINDOW = 3000

FIELDS: Headers = [
    *((b"content-type", b"text/plain"), (b"x-a", b""), (b"x-new", b"entry"), (b"x-b", b"y" * 90)),
    *((b"content-length", b"5"), (b"content-length", b"0"), (b"content-length", b"+5")),
    *((b"Upper", b"x"), (b"connection", b"close"), (b"x-a", b"a\r\nb"), (b":path", b"/"), OK),
]
STATUSES = [b"200"] * 8 + [b"204", b"304", b"103", b"100", b"413", b"101", b"999", b"20", b""]
Random = random.Random


def identifier(rng: Random, exchange: Exchange, *, head: bool | None = None) -> int:
    """Mostly of a stream that is open (and has had its `head`, or has not), because most others
    cost the connection, and end the session."""
    chance = rng.random()
    if chance < 0.002:
        return rng.choice([0, 2, 2**31 - 1])
    streams = exchange.protocol._streams.values()
    fitting = [stream.id for stream in streams if head is None or stream.has_head is head]
    newest = max(exchange.peer.requests, default=1)
    if chance < 0.02 or not fitting:
        return rng.randrange(1, newest + 1) | 1
    return rng.choice([stream.id for stream in streams] if chance < 0.2 else fitting)


def fields(rng: Random) -> Headers:
    usual = [(b":status", rng.choice(STATUSES))] if rng.random() < 0.97 else []
    return [
        *usual,
        *rng.choices(FIELDS[:4] if rng.random() < 0.9 else FIELDS, k=rng.randrange(4)),
    ]


def headers(rng: Random, exchange: Exchange) -> bytes:
    cut = rng.choice([0, 0, 0, 1, 7, 50])
    number = identifier(rng, exchange, head=False)
    return exchange.peer.headers(number, *fields(rng), end=rng.random() < 0.2, cut=cut)


def trailers(rng: Random, exchange: Exchange) -> bytes:
    number = identifier(rng, exchange, head=True)
    return exchange.peer.headers(number, *rng.choices(FIELDS[:4]), end=rng.random() < 0.9)


def data(rng: Random, exchange: Exchange) -> bytes:
    number = identifier(rng, exchange, head=True)
    stream = exchange.protocol._streams.get(number)
    if stream is None and rng.random() < 0.9:
        return b""
    left = 0 if stream is None else max(0, stream.receive_window)
    size = min(left, rng.choice([0, 1, 5, 5, 5, 700])) if rng.random() < 0.99 else 16384
    pad = rng.choice([0, 0, 0, 1, 255]) if size < left - 256 else 0
    return exchange.peer.data(number, bytes(size), end=rng.random() < 0.2, pad=pad)


def response(rng: Random, exchange: Exchange) -> bytes:
    return exchange.peer.response(
        identifier(rng, exchange, head=False), b"hello", *rng.choices(FIELDS[:5])
    )


def settings(rng: Random, exchange: Exchange) -> bytes:
    values = {
        rng.choice([1, 3, 4, 4, 4, 6, 99]): rng.choice([0, 1, 5, 100, 2**16])
        for _ in range(rng.randrange(3))
    }
    if rng.random() < 0.02:
        values[rng.randrange(9)] = 2**32 - 1
    return exchange.peer.settings(values)


def window_update(rng: Random, exchange: Exchange) -> bytes:
    if rng.random() < 0.3:
        return exchange.peer.window_update(0, rng.choice([500] * 50 + [0, 2**31 - 1]))
    increment = rng.choice([1, 10, 500, 500, 9000, 2**31 + 5] * 3 + [0, 2**31 - 1])
    return exchange.peer.window_update(identifier(rng, exchange), increment)


def other(rng: Random, exchange: Exchange) -> bytes:
    peer, number = exchange.peer, identifier(rng, exchange)
    if rng.random() < 0.9:
        return rng.choice([peer.ping(), peer.reset(number, rng.choice([0, 7, 8]))])
    return rng.choice(
        [
            peer.ping(),
            peer.ping(bytes(8), ack=True),
            peer.settings(ack=True),
            peer.reset(number, rng.choice([1, 13, 99])),
            peer.goaway(rng.choice([number, 0, 2**31 - 1]), rng.choice([0, 11]), b"why"),
            frame(2, 0, number, bytes(rng.choice([4, 5]))),
            frame(rng.randrange(12), rng.randrange(256), number, rng.randbytes(rng.randrange(12))),
        ]
    )


SAY: list[Callable[[Random, Exchange], bytes]] = [
    *[headers] * 3,
    *[data] * 4,
    trailers,
    response,
    settings,
    *[window_update] * 2,
    other,
]


class Session:
    """One connection with a client that does as it likes."""

    def __init__(self, seed: int, *, damage: bool) -> None:
        self.rng = random.Random(seed)
        self.damage = damage
        options = {"stream_window": WINDOW, "connection_window": 65535, "max_header_bytes": 2000}
        self.exchange = Exchange(**options)
        self.peer = self.exchange.peer
        self.protocol = self.exchange.protocol
        self.streams: list[HTTP2Stream] = []

    def run(self, steps: int) -> None:
        steps_to_take = [self.open, self.listen, self.listen, self.read, self.write, self.end]
        self.open()
        self.exchange.flush()
        for _ in range(steps):
            self.rng.choice(steps_to_take)()
            self.exchange.flush()
            self.check()
        self.finish()

    def open(self) -> None:
        if self.protocol.capacity:
            body = self.rng.choice([None, Stream()])
            method = b"POST" if body else self.rng.choice([b"GET", b"HEAD"])
            self.streams.append(self.protocol.open_stream(plan(method, stream=body)))

    def listen(self) -> None:
        said = b"".join(
            self.rng.choice(SAY)(self.rng, self.exchange) for _ in range(self.rng.randrange(1, 6))
        )
        if self.damage and self.rng.random() < 0.1:
            at = self.rng.randrange(len(said) + 1)
            said = said[:at] + self.rng.randbytes(1) + said[at + self.rng.randrange(3) :]
        if self.rng.random() < 0.01:
            self.protocol.receive_data(b"")
        for piece in cut_up(said, self.rng):
            named = self.protocol.receive_data(piece)
            assert len({stream.id for stream in named}) == len(named)
            assert set(named) <= set(self.streams)

    def read(self) -> None:
        for stream in self.rng.choices(self.streams, k=2) if self.streams else ():
            answer = self.exchange.read(stream)
            # A stream that was closed by us, and is read nevertheless, has a ReadError.
            assert answer.error is None or isinstance(
                answer.error, (RemoteProtocolError, ReadError)
            )
            assert answer.complete is (stream.response_complete)

    def write(self) -> None:
        for stream in self.rng.choices(self.streams, k=2) if self.streams else ():
            if stream.may_send_body:
                body = bytes(self.rng.choice([0, 1, 50, 20000]))
                taken = self.protocol.send_data(stream, body, self.rng.random() < 0.3)
                assert 0 <= taken <= len(body)
                if self.rng.random() < 0.1 and stream.may_send_body:
                    self.protocol.end_stream(stream)
            else:
                try:
                    self.protocol.send_data(stream, b"x")
                except LocalProtocolError:
                    continue
                raise AssertionError("sent what may not be sent")

    def end(self) -> None:
        if self.streams and self.rng.random() < 0.5:
            self.protocol.close_stream(self.rng.choice(self.streams))

    def check(self) -> None:
        """I8: what is kept is bounded, and `h2`'s account of the open streams is ours."""
        protocol = self.protocol
        assert len(protocol._updates) <= protocol.open_streams + 1
        assert set(protocol._blocked) <= set(protocol._streams)
        for stream in self.streams:
            assert sum(map(len, stream._chunks)) <= stream.unread <= WINDOW
        if not protocol.is_closed:
            assert protocol._engine._h2.open_outbound_streams == protocol.open_streams

    def finish(self) -> None:
        """Whatever happened, all that was taken is given back."""
        for stream in self.streams:
            self.protocol.close_stream(stream)
            assert stream.closed
            assert not stream.unread
        self.exchange.flush()
        protocol = self.protocol
        assert protocol.open_streams == 0
        if not protocol.is_closed:
            assert protocol._window + protocol._consumed == 65535
            assert protocol._window > 0


def test_sessions_with_an_illegal_server() -> None:
    for seed in range(SEED, SEED + SESSIONS // 2):
        Session(seed, damage=False).run(30)


def test_sessions_with_damaged_bytes() -> None:
    for seed in range(SEED, SEED + SESSIONS // 2):
        Session(seed, damage=True).run(30)


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes(received: bytes, greeted: bool) -> None:
    exchange = Exchange()
    if not greeted:
        exchange.protocol = HTTP2Protocol(HTTP2Options())
    stream = exchange.protocol.open_stream(plan())
    exchange.protocol.receive_data(received)
    exchange.protocol.receive_data(b"")
    answer = exchange.read(stream)
    assert answer.complete or isinstance(answer.error, RemoteProtocolError)


def outcome(said: bytes, pieces: list[bytes]) -> list[object]:
    exchange = Exchange(stream_window=WINDOW)
    streams = [exchange.open() for _ in range(3)]
    for piece in pieces:
        exchange.protocol.receive_data(piece)
    found: list[object] = [str(exchange.protocol.error), exchange.protocol.capacity]
    for stream in streams:
        answer = exchange.read(stream)
        found += [answer.interim, answer.head, answer.body, answer.complete, str(answer.error)]
        found += [stream.trailers, stream.refused, stream.reset_code]
    exchange.flush()
    return [*found, exchange.peer.resets, exchange.peer.goaways]


def test_cuts_make_no_difference() -> None:
    """H2: the same bytes have the same outcome, however they arrive."""
    rng = random.Random(SEED)
    for _ in range(SESSIONS // 5):
        script = Exchange()
        for _ in range(3):
            script.open()
        said = b"".join(rng.choice(SAY)(rng, script) for _ in range(rng.randrange(1, 12)))
        whole = outcome(said, [said])
        assert outcome(said, list(cut_up(said, rng))) == whole
        assert outcome(said, [said[at : at + 1] for at in range(len(said))][:5000]) == whole or (
            len(said) > 5000
        )
