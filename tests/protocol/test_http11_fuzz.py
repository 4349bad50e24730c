"""H2 by chance: random responses, random cuts, random damage. And the cost stays linear."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._models import Headers
from httpcore_core._protocol.chunked import ChunkedDecoder
from tests.protocol.wire import Outcome, new_protocol, ok, pieces, plan, receive, reply

pytestmark = pytest.mark.usefixtures("engine")

NAMES = st.from_regex(rb"[Xx]-[!#$%&'*+.^_`|~0-9A-Za-z-]{0,10}", fullmatch=True)
VALUES = st.from_regex(rb"([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
REASONS = st.from_regex(rb"[\t -~\x80-\xff]{0,20}", fullmatch=True)
EXTENSIONS = st.from_regex(rb"(;[!-~]{0,20})?", fullmatch=True)


@st.composite
def responses(draw: Any) -> tuple[bytes, Outcome, bool]:
    """A valid response, what must come of it, and whether the stream ends after it."""
    status = draw(st.integers(200, 999))
    reason = draw(REASONS)
    fields: Headers = draw(FIELDS)
    chunks = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=6))
    framing = draw(st.sampled_from(("length", "chunked", "until eof")))
    trailers: Headers = []
    body = b"".join(chunks)
    if status in (204, 304):
        framing, body, wire = "none", b"", b""
    elif framing == "length":
        fields = [*fields, (b"Content-Length", b"%d" % len(body))]
        wire = body
    elif framing == "chunked":
        fields = [*fields, (b"Transfer-Encoding", b"chunked")]
        trailers = draw(FIELDS)
        wire = b"".join(b"%x%b\r\n%b\r\n" % (len(c), draw(EXTENSIONS), c) for c in chunks)
        wire += reply(b"0", *[name + b": " + value for name, value in trailers])
    else:
        wire = body
    line = b"HTTP/1.1 %d %b" % (status, reason)
    data = reply(line, *[name + b":" + value for name, value in fields], body=wire)
    eof = framing == "until eof"
    head = (b"HTTP/1.1", status, reason, fields)
    outcome = Outcome([], head, body, True, False, not eof, False, trailers)  # type: ignore[arg-type]  # compared only
    return data, outcome, eof


def cut_up(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(places) if a < b]


def outcome_of(data: bytes, cuts: list[int], *, eof: bool) -> Outcome:
    protocol = new_protocol()
    protocol.start(plan())
    return receive(protocol, cut_up(data, cuts), eof=eof)[0]


CUTS = st.lists(st.integers(0, 10**6), max_size=12)


@given(responses(), CUTS)
def test_valid_responses_under_random_cuts(
    response: tuple[bytes, Outcome, bool], cuts: list[int]
) -> None:
    data, expected, eof = response
    assert outcome_of(data, cuts, eof=eof) == expected


@given(responses(), CUTS, st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3))))
def test_damaged_responses(
    response: tuple[bytes, Outcome, bool], cuts: list[int], damage: list[tuple[int, bytes]]
) -> None:
    """`receive` lets nothing but `RemoteProtocolError` pass, and the cuts make no difference."""
    data, _, eof = response
    for place, replacement in damage:
        place %= len(data) + 1
        data = data[:place] + replacement + data[place + 1 :]
    assert outcome_of(data, cuts, eof=eof) == outcome_of(data, [], eof=eof)
    assert outcome_of(data, cuts, eof=True) == outcome_of(data, [], eof=True)


SEEDS = [
    ok(b"Content-Length: 5", b"Connection: keep-alive", body=b"hello"),
    ok(b"Transfer-Encoding: chunked", body=b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
    reply(b"HTTP/1.1 100 Continue") + ok(b"Content-Length: 1", body=b"x"),
    reply(b"HTTP/1.0 200 OK", b"Connection: keep-alive", b"Content-Length: 2", body=b"hi"),
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    reply(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: x"),
]
PIECES = [
    b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"5", b"ffffffffffffffff",
    b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"-",
    b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n", b"\n\n", b"\xff", b"+", b"_", b"1", b"x",
]  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    data = rng.choice(SEEDS)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.choice(PIECES) + data[at + rng.randrange(3) :]
    return data


def test_mutated_responses_with_protocol_tokens() -> None:
    rng = random.Random(9112)
    for _ in range(4000):
        data = mutated(rng)
        whole = outcome_of(data, [], eof=True)
        assert outcome_of(data, list(range(len(data))), eof=True) == whole, data


def h11_chunked(data: bytes) -> tuple[bytes, Headers] | None:
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=10**6)
    client.receive_data(ok(b"Transfer-Encoding: chunked"))
    client.next_event()
    client.receive_data(data)
    body = bytearray()
    try:
        while isinstance(event := client.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError:
        return None
    return (bytes(body), event.headers.raw_items()) if isinstance(event, h11.EndOfMessage) else None


def test_what_our_chunked_decoder_accepts_h11_reads_the_same() -> None:
    """Ours never reads anything else. It is laxer in two points only: trailers with the names of
    framing fields mean nothing, and RFC 9112, section 7.1.1, lets spaces precede a semicolon."""
    rng = random.Random(7)
    seed = SEEDS[1].partition(b"\r\n\r\n")[2]
    accepted = 0
    for _ in range(4000):
        at = rng.randrange(len(seed) + 1)
        data = seed[:at] + rng.choice(PIECES) + seed[at + rng.randrange(3) :]
        decoder = ChunkedDecoder(10**6, 1000)
        try:
            body, _ = decoder.decode(data)
        except RemoteProtocolError:
            continue
        if decoder.complete and b"Content-Length" not in data:
            accepted += 1
            theirs = h11_chunked(data)
            if theirs is None and any(lax in data for lax in (b"Transfer-Encoding", b" ;", b"\t;")):
                continue
            assert theirs == (body, decoder.trailers), data
    assert accepted > 500


@pytest.mark.parametrize(
    "response",
    [
        lambda n: ok(b"X: " + b"y" * n),
        lambda n: ok(*[b"X: y"] * n),
        lambda n: ok(b"X:" + b" " * n + b"y" + b"\t" * n),
        lambda n: ok(b"Connection: " + b"," * n),
        lambda n: ok(b"Keep-Alive: " + b"timeout " * (n // 8)),
        lambda n: b"HTTP/1.1 200 OK\n" + b"X: y\n" * n,
        lambda n: ok(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * n),
        lambda n: ok(b"Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * n),
        lambda n: ok(b"Transfer-Encoding: chunked", body=b"0\r\nX: " + b"y" * n),
        lambda n: ok(b"Transfer-Encoding: chunked", body=b"0\r\nX: " + b"y " * n + b"\0\r\n"),
        lambda n: ok(b"Content-Length: %d" % n, body=b"x" * n),
        lambda n: ok(b"X: y", body=b"x" * n),
    ],
)
@pytest.mark.parametrize("cut", [1, 10**9])
def test_i8_cost_is_linear(response: Any, cut: int) -> None:
    """Generous, because the machine may be busy: a quadratic cost would take minutes."""
    data = response(100_000)
    protocol = new_protocol(max_head_bytes=10**7, max_header_count=10**6)
    protocol.start(plan())
    started = time.process_time()
    receive(protocol, list(pieces(data, cut)))
    assert time.process_time() - started < 10
