"""H2: whatever is received, both engines make the same of it, event by event.

Rules of this file: responses are generated from a seed, damaged, cut up at random places and given
to one protocol object per engine. The usual run is short; FUZZ_RESPONSES says how many there are to
be, and FUZZ_SEED where to begin.
"""

from __future__ import annotations

import collections
import os
import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._models import ByteStream, Headers
from httpcore_core._protocol.http11 import (
    END,
    NEED_DATA,
    HTTP11Protocol,
    Informational,
    ResponseHead,
)
from httpcore_core._protocol.request import RequestPlan
from tests.protocol.wire import PARSERS, plan

RESPONSES = int(os.environ.get("FUZZ_RESPONSES", "30000"))
SEED = int(os.environ.get("FUZZ_SEED", "9112"))

STATUSES = [
    *(b"200 OK", b"200", b"200 ", b"404 Not Found", b"204 No Content", b"304 Not Modified"),
    *(b"101 Switching Protocols", b"999 \xe9\xff\t!", b"205 Reset", b"500  two spaces ", b"302 a"),
    *(b"100 Continue", b"099 Low", b"000", b"20 Short", b"2000 Long", b"2x0 OK", b" 200 OK"),
]
USUAL = STATUSES[:1] * 12 + STATUSES[:11] * 2
PLAIN = [
    *(b"Server: nginx", b"Date: Mon, 01 Jan 2024 00:00:00 GMT", b"X-Empty:", b"X-Blank: \t "),
    *(b"X-Padded: \t a  b \t ", b"Set-Cookie: a=b; Path=/", b"set-cookie: c=d", b"X: caf\xe9\x80"),
    *(b"!#$%&'*+-.^_`|~09: token", b'X-Quoted: "a\\"b:" ', b"Trailer: X", b"X:a:b", b"A: \xff"),
    *(b"Connection: close", b"connection:Keep-Alive", b"Connection: a,,\tCLOSE ,b", b"Connection:"),
    *(b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade:", b"Proxy-Connection: close"),
    *(b"Keep-Alive: timeout=5, max=3", b"Keep-Alive:", b"Connection: close, keep-alive, Upgrade"),
]
LENGTHS = [
    *(
        b"Content-Length: 5",
        b"content-length:5\t",
        b"CONTENT-LENGTH: \t 005 ",
        b"Content-Length: 0",
    ),
    *(b"Content-Length: 5, 5", b"Content-Length: +5", b"Content-Length:", b"Content-Length: 5 5"),
    *(b"Content-Length: 18446744073709551616", b"Content-Length : 5", b"Content-Length: 5,"),
]
CODINGS = [
    *(b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED \t", b"Transfer-encoding:Chunked"),
    *(b"Transfer-Encoding: gzip", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding:"),
    *(b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding : chunked", b"TE: chunked"),
]
BODIES = [b"hello", b"hello", b"hello", b"", b"hell", b"hello!", b"he\r\n\r\nllo"]
CHUNKS = [
    *(b"5\r\nhello\r\n0\r\n\r\n", b"2;a=b\r\nhe\r\n3 \r\nllo\r\n0\r\nX-Sum: 1 \r\n\r\n"),
    *(b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"5\nhello\n0\n\n"),
]
TOKENS = [
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b"\r\r", b"\n\r\n", b"\0"),
    *(b" ", b"\t", b":", b",", b";", b"0", b"5", b"-", b"\x0b", b"\x0c", b"\x7f", b"\x85", b"\xff"),
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0", b"HTTP/1.1 100\r\n\r\n", b"1\r\nx\r\n", b"0\r\n\r\n"),
    *(line + b"\r\n" for line in (*LENGTHS, *CODINGS)),
    *(b"X\r\n", b": x\r\n", b"X : y\r\n", b"X(: y\r\n", b"Connection : a\r\n", b"X: y\r\n z\r\n"),
]

SENT: list[Callable[[], RequestPlan]] = [
    *[plan] * 6,
    lambda: plan(b"HEAD"),
    lambda: plan(b"CONNECT", b"example.com:443"),
    lambda: plan(headers=[(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]),
    lambda: plan(b"POST", stream=ByteStream(b""), headers=[(b"Connection", b"close")]),
]


class Trial(NamedTuple):
    sent: RequestPlan
    received: list[bytes]
    eof: bool


class Result(NamedTuple):
    """All that the caller of a protocol object can see."""

    events: list[Any]
    error: bool
    keep_alive: bool
    switched: bool
    rest: bytes
    trailers: Headers
    timeout: int | None


def head(rng: random.Random, statuses: list[bytes], *framing: bytes) -> bytes:
    version = b"HTTP/1.1 " if rng.random() < 0.9 else b"HTTP/1.0 "
    lines = [*rng.sample(PLAIN, rng.randrange(4)), *framing]
    rng.shuffle(lines)
    return b"\r\n".join([version + rng.choice(statuses), *lines, b"", b""])


def response(rng: random.Random) -> bytes:
    """Legal for the most part: a head as servers send them, perhaps some 1xx before, and a body."""
    data = b""
    while rng.random() < 0.15:
        framing = rng.choice((LENGTHS, CODINGS)) if rng.random() < 0.3 else [b"X: y"]
        data += head(rng, [b"103 Early Hints", b"100 Continue", b"199"], rng.choice(framing))
    statuses = USUAL if rng.random() < 0.9 else STATUSES
    kind = rng.randrange(10)
    if kind < 4:
        lines = LENGTHS[:3] if rng.random() < 0.8 else LENGTHS
        data += head(rng, statuses, rng.choice(lines)) + rng.choice(BODIES)
    elif kind < 7:
        lines = CODINGS[:3] if rng.random() < 0.8 else CODINGS
        data += head(rng, statuses, rng.choice(lines)) + rng.choice(CHUNKS)
    elif kind < 9:
        data += head(rng, statuses) + rng.choice(BODIES)
    else:
        framing = rng.sample([*LENGTHS[:4], *CODINGS[:3]], 2)
        data += head(rng, statuses, *framing) + rng.choice(BODIES + CHUNKS)
    return data


def damaged(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(7)
    if kind == 0:
        return data[:at] + rng.randbytes(1) + data[at + rng.randrange(2) :]
    if kind == 1:
        return data[:at] + data[at + rng.randrange(1, 4) :]
    if kind == 2:
        end = at + rng.randrange(30)
        return data[:end] + data[at:]
    if kind == 3:
        return data.replace(b"\r\n", b"\n", rng.choice((-1, 1, 2, 3)))
    if kind == 4:
        return data.swapcase() if rng.random() < 0.1 else data[:at] + data[at:].swapcase()
    starts = [match.end() for match in re.finditer(b"\n", data)]
    if kind == 5 and starts:  # what looks like a line where one begins
        at = rng.choice(starts)
    return data[:at] + rng.choice(TOKENS) + data[at + rng.choice((0, 0, 1, 2)) :]


def cut_up(rng: random.Random, data: bytes) -> list[bytes]:
    places = sorted(rng.sample(range(len(data)), min(len(data), rng.choice((0, 0, 1, 3, 9)))))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


def trial(rng: random.Random) -> Trial:
    data = response(rng)
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2))):
        data = damaged(rng, data)
    return Trial(rng.choice(SENT)(), cut_up(rng, data), rng.random() < 0.5)


def as_compared(event: Any) -> Any:
    """An engine may give the value of Transfer-Encoding in lower case."""
    if isinstance(event, (ResponseHead, Informational)):
        headers = [
            (name, value.lower() if name.lower() == b"transfer-encoding" else value)
            for name, value in event.headers
        ]
        return event._replace(headers=headers)
    return event


def run(engine: str, case: Trial) -> Result:
    protocol = HTTP11Protocol(head_parser=PARSERS[engine])
    protocol.start(case.sent)
    events: list[Any] = []
    error = False
    source = iter([*case.received, b""] if case.eof else case.received)
    try:
        while (event := protocol.next_event()) is not END:
            if event is not NEED_DATA:
                events.append(as_compared(event))
            elif (data := next(source, None)) is not None:
                protocol.receive_data(data)
            else:
                break
        else:
            events.append(END)
            for data in source:  # what came too much
                protocol.receive_data(data)
    except RemoteProtocolError:
        error = True
    # How a body is cut up into events is not promised.
    body = b"".join(event for event in events if isinstance(event, bytes))
    events = [*[event for event in events if not isinstance(event, bytes)], body]
    return Result(
        events,
        error,
        protocol.keep_alive,
        protocol.switched,
        protocol.leftover() if protocol.switched else b"",
        protocol.trailers,
        protocol.keep_alive_timeout,
    )


def is_documented(case: Trial, results: dict[str, Result]) -> bool:
    """llhttp has no number for such a length, and says so where it does not matter, too."""
    huge = re.search(rb"(?i)\ncontent-length:[\t ]*[0-9]{20}", b"".join(case.received))
    return bool(huge) and results["httptools"].error


def test_h2_engines_agree() -> None:
    seen: collections.Counter[str] = collections.Counter()
    for number in range(RESPONSES):
        seed = SEED * 10**9 + number
        case = trial(random.Random(seed))
        results = {engine: run(engine, case) for engine in PARSERS}
        result, other = results.values()
        if result != other and is_documented(case, results):
            seen["documented"] += 1
            continue
        assert result == other, (seed, case.sent.method, case.received, results)
        seen["refused" if result.error else "complete" if END in result.events else "open"] += 1
        seen["switched"] += result.switched
        seen["reusable"] += result.keep_alive
        seen["1xx"] += isinstance(result.events[0], Informational)
        seen["trailers"] += bool(result.trailers)
    print(f"\nFUZZ_SEED={SEED} FUZZ_RESPONSES={RESPONSES}: {dict(seen)}")
    shares = {what: seen[what] / RESPONSES for what in seen}
    assert min(shares["refused"], shares["complete"]) > 0.2
    assert min(shares[what] for what in ("reusable", "switched", "1xx", "trailers")) > 0.01
    assert shares.get("documented", 0) < 0.005
