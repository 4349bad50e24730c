"""From trace events to requests and phases; and what a recorder keeps of real ones."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from httpclient import HTTPTransport
from httpclient._cli.exit_codes import NO_LOOKUP, Lookup
from httpclient._cli.recorder import INTENDED, Event, Recorder, url_of
from httpclient._cli.timeline import Exchange, exchanges, last_lookup, spans
from httpcore_core import ByteStream
from httpcore_core.testing import HTTPServer

from .events import NO_NAME, PROXIED, RACE, REDIRECTED, WHOLE, events, request


def table(exchange: Exchange) -> list[tuple[str, float, float]]:
    return [(phase.name, phase.start, phase.end) for phase in exchange.phases]


def test_a_whole_request() -> None:
    [exchange] = exchanges(WHOLE)
    assert table(exchange) == [
        ("queue", 0.0, 1.0),
        ("DNS", 1.0, 3.0),
        ("connect", 3.0, 6.0),
        ("TLS", 6.0, 10.0),
        ("upload", 11.0, 16.0),
        ("first byte", 16.0, 22.0),
        ("body", 23.0, 30.0),
    ]
    assert (exchange.start, exchange.end, exchange.error) == (0.0, 31.0, None)
    assert exchange.request["url"] == "https://h/a?x=1"
    assert exchange.response["status"] == 200
    assert exchange.connection["address"] == "127.0.0.1"
    assert exchange.connection["tls"]["version"] == "TLSv1.3"


def test_redirects_are_several_requests() -> None:
    first, second = exchanges(REDIRECTED)
    assert table(first) == [
        ("queue", 0.0, 1.0),
        ("connect", 1.0, 2.0),
        ("upload", 3.0, 3.0),
        ("first byte", 3.0, 4.0),
    ]
    assert table(second) == [
        ("queue", 6.0, 7.0),
        ("upload", 7.0, 8.0),
        ("first byte", 8.0, 9.0),
        ("body", 9.0, 10.0),
    ]
    assert second.connection["reused"] is True
    assert second.connection["address"] == "127.0.0.1", "known from when it was made"


def test_a_proxy_has_rows_of_its_own_and_the_failure_is_where_it_was() -> None:
    [exchange] = exchanges(PROXIED)
    assert table(exchange) == [
        ("queue", 0.0, 0.0),
        ("DNS", 0.0, 1.0),
        ("connect", 1.0, 2.0),
        ("proxy TLS", 2.0, 3.0),
        ("proxy", 3.0, 5.0),
        ("TLS", 5.0, 8.0),
    ]
    assert [phase.name for phase in exchange.phases if phase.error] == ["TLS"]
    assert exchange.error == "bad certificate"
    assert exchange.response == {}


def test_without_a_name_there_is_nothing_to_connect_to() -> None:
    [exchange] = exchanges(NO_NAME)
    assert table(exchange) == [("queue", 0.0, 1.0), ("DNS", 1.0, 5.0)]


def test_attempts_that_overlap_are_told_apart() -> None:
    attempts = [span for span in spans(RACE) if span.step == "connection.connect_attempt"]
    assert [(span.info["address"], span.start, span.end, span.error) for span in attempts] == [
        ("::1", 0.0, 0.3, "too slow"),
        ("127.0.0.1", 0.2, 0.3, None),
    ]


@pytest.mark.parametrize("count", range(len(WHOLE) + 1))
def test_events_may_end_anywhere(count: int) -> None:
    """As they do when the command is interrupted."""
    made = exchanges(WHOLE[:count])
    assert len(made) == min(count, 1)
    for exchange in made:
        assert exchange.end == WHOLE[count - 1].at
        for phase in exchange.phases:
            assert exchange.start <= phase.start <= phase.end <= exchange.end


def test_a_request_that_was_not_sent_is_what_it_was_to_be() -> None:
    intended = Event(INTENDED, 0.0, request("http://h/secret"))
    before, after = exchanges([*WHOLE, intended, *NO_NAME])
    assert (before.request["url"], after.request["url"]) == ("https://h/a?x=1", "http://h/secret")
    assert after.response == {}


def test_waiting_for_a_connection_in_vain_is_a_failed_queue() -> None:
    text = "all connections are in use"
    [exchange] = exchanges(
        events(
            (0.0, "pool.acquire.started", {"origin": "http://h:80"}),
            (5.0, "pool.acquire.failed", {"error": "PoolTimeout", "text": text}),
        )
    )
    assert [(phase.name, phase.error) for phase in exchange.phases] == [("queue", text)]


@pytest.mark.parametrize(
    ("seen", "lookup"),
    [
        ([], NO_LOOKUP),
        (WHOLE, NO_LOOKUP),
        (PROXIED, Lookup(failed=False, of_proxy=True)),
        (NO_NAME, Lookup(failed=True, of_proxy=False)),
        ([*NO_NAME, *REDIRECTED], NO_LOOKUP),
        ([*REDIRECTED, *NO_NAME], Lookup(failed=True, of_proxy=False)),
    ],
)
def test_last_lookup(seen: list[Event], lookup: Lookup) -> None:
    assert last_lookup(seen) == lookup


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ((b"http", b"h", None, b"/a?b"), "http://h/a?b"),
        ((b"http", b"h", 8080, b"/"), "http://h:8080/"),
        ((b"http", b"::1", 1, b"/"), "http://[::1]:1/"),
        ((b"http", b"[::1]", None, b"/"), "http://[::1]/"),
        ((b"http", b"h", None, b"http://h/a"), "http://h/a"),
        ((b"http", b"h", None, b"/?u=http://x"), "http://h/?u=http://x"),
    ],
)
def test_url_of(url: tuple[bytes, bytes, int | None, bytes], text: str) -> None:
    assert url_of(url) == text


def record(url: str, **options: Any) -> Recorder:
    recorder = Recorder()
    host, port = url.removeprefix("http://").split(":")
    with HTTPTransport(**options) as transport:
        headers = [(b"Host", host.encode()), (b"Content-Length", b"3")]
        status, _, stream, _ = transport.handle_request(
            b"POST",
            (b"http", host.encode(), int(port), b"/echo?q"),
            headers,
            ByteStream(b"abc"),
            {"trace": recorder},
        )
        stream.read()
        assert status == 200
    return recorder


def test_a_recorder_keeps_plain_values_of_real_requests() -> None:
    with HTTPServer() as server:
        recorder = record(server.url.replace("127.0.0.1", "localhost"))
    assert pickle.loads(pickle.dumps(recorder.events)) == recorder.events
    [exchange] = exchanges(recorder.events)
    assert [phase.name for phase in exchange.phases] == [
        "queue",
        "DNS",
        "connect",
        "upload",
        "first byte",
        "body",
    ]
    assert exchange.request["method"] == b"POST"
    assert exchange.request["url"] == f"http://localhost:{server.port}/echo?q"
    assert exchange.request["body"] == b"abc"
    assert exchange.response["reason"] == b"OK"
    assert exchange.connection["port"] == server.port
    assert exchange.error is None


def test_a_listener_is_told_of_each_event_with_its_time() -> None:
    times = iter(range(100))
    heard: list[Event] = []
    recorder = Recorder(heard.append, clock=lambda: float(next(times)), time_of_day=lambda: 5.0)
    for name in ("pool.acquire.started", "connection.close.started"):
        recorder(name, {})
    assert heard == recorder.events
    assert ([event.at for event in heard], recorder.started_at) == ([1.0, 2.0], 5.0)
