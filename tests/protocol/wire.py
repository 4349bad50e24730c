"""What the tests of HTTP/1.1 share: requests, and responses cut up in every way.

Tests of what is received run on each engine: their modules ask for `engine`, and `new_protocol`
makes protocol objects which use the one whose turn it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._models import ByteStream, Headers, Request, SyncByteStream
from httpcore_core._protocol.engine import ENGINES, choose_engine
from httpcore_core._protocol.http11 import (
    END,
    NEED_DATA,
    HTTP11Protocol,
    Informational,
    ResponseHead,
)
from httpcore_core._protocol.request import RequestPlan, plan_request

ORIGIN = (b"http", b"example.com", None)
HOST = (b"Host", b"example.com")
CUTS = (1, 2, 7, 10**9)
PARSERS = {name: choose_engine(name)[1] for name in ENGINES if name != "auto"}

_in_use = ["h11"]


def use_engine(name: str) -> Iterator[str]:
    """The body of the fixture `engine`."""
    _in_use.append(name)
    yield name
    _in_use.pop()


def new_protocol(**options: Any) -> HTTP11Protocol:
    """A protocol object on the engine in use, unless ``head_parser=`` names another."""
    options.setdefault("head_parser", PARSERS[_in_use[-1]])
    return HTTP11Protocol(**options)


def request(
    method: bytes = b"GET",
    target: Any = b"/",
    /,
    headers: Headers | None = None,
    stream: Any = None,
    **extensions: Any,
) -> Request:
    fields = [HOST, *(headers or [])]
    body = ByteStream(b"") if stream is None else stream
    return Request(method, (*ORIGIN, target), fields, body, extensions)


class Stream(SyncByteStream):
    """A body that is not in memory."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks


def plan(
    method: bytes = b"GET",
    target: Any = b"/",
    /,
    headers: Headers | None = None,
    stream: Any = None,
    **extensions: Any,
) -> RequestPlan:
    return plan_request(request(method, target, headers, stream, **extensions))


class Outcome(NamedTuple):
    """What came of one response, independent of how its body was cut up."""

    interim: list[Informational]
    head: ResponseHead | None
    body: bytes
    complete: bool
    error: bool
    keep_alive: bool
    switched: bool
    trailers: Headers


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def receive(
    protocol: HTTP11Protocol, received: Iterable[bytes], *, eof: bool = False
) -> tuple[Outcome, str]:
    """Feed a response; returns the outcome and the text of the error, if there was one."""
    interim: list[Informational] = []
    head: ResponseHead | None = None
    body: list[bytes] = []
    complete = False
    error = ""
    source = iter([*received, b""] if eof else list(received))
    try:
        while True:
            event = protocol.next_event()
            if event is NEED_DATA:
                data = next(source, None)
                if data is None:
                    break
                protocol.receive_data(data)
            elif event is END:
                complete = True
                break
            elif isinstance(event, Informational):
                interim.append(event)
            elif isinstance(event, ResponseHead):
                assert head is None
                head = event
            else:
                assert isinstance(event, bytes)
                assert event
                body.append(event)
    except RemoteProtocolError as exc:
        error = str(exc)
        assert error
    if complete:
        for data in source:  # whatever else has arrived
            protocol.receive_data(data)
    # How much was handed on before an error depends on how the bytes were cut up.
    content = b"" if error else b"".join(body)
    outcome = Outcome(
        interim if not error else [],
        head if not error else None,
        content,
        complete,
        bool(error),
        protocol.keep_alive,
        protocol.switched,
        protocol.trailers,
    )
    return outcome, error


def exchange(response: bytes, *, eof: bool = False, cuts: Any = CUTS, **options: Any) -> Outcome:
    """The outcome of `response` to a GET (or to ``sent=plan``), the same under all cuts."""
    sent = options.pop("sent", None) or plan()
    outcomes = []
    for size in cuts:
        protocol = new_protocol(**options)
        protocol.start(sent)
        outcomes.append(receive(protocol, pieces(response, size), eof=eof)[0])
    assert all(outcome == outcomes[0] for outcome in outcomes), outcomes
    return outcomes[0]


def refused(response: bytes, *, eof: bool = False, **options: Any) -> None:
    """`response` ends in `RemoteProtocolError`, under all cuts, and the connection is finished."""
    outcome = exchange(response, eof=eof, **options)
    assert outcome.error, outcome
    assert not outcome.keep_alive


def reply(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([*lines, b"", body])


def ok(*lines: bytes, body: bytes = b"") -> bytes:
    return reply(b"HTTP/1.1 200 OK", *lines, body=body)
