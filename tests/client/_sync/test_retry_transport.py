"""The transport that sends requests again, over scripted transports and with a virtual clock."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest

import httpclient
from httpclient.transports._sync.retry import RetryTransport
from httpcore_core import (
    ConnectionPool,
    MockBackend,
    ByteStream,
    ConnectError,
    LocalProtocolError,
    PoolClosed,
    ReadError,
    ReadTimeout,
    Response,
    UnsupportedProtocol,
    WriteError,
)
from tests.client._sync.scripted import Body, Generated, Scripted, answer, send


def retrying(transport: Any, **options: Any) -> tuple[RetryTransport, MockBackend]:
    backend = MockBackend()
    options = {"jitter": False, "backoff": 1.0} | options
    return RetryTransport(transport, network_backend=backend, **options), backend


def test_example() -> None:
    inner = Scripted(503, ConnectError("no"), answer(200, b"ok"))
    transport = RetryTransport(inner, attempts=3, backoff=0.0)
    with httpclient.Client(transport=transport) as client:
        response = client.get("https://example.org/")
    assert (response.text, response.extensions["attempts"]) == ("ok", 3)


@pytest.mark.parametrize("outcome", [429, 502, 503, 504, ConnectError, ReadError, ReadTimeout])
def test_p5_idempotent_request_is_sent_again(outcome: Any) -> None:
    inner = Scripted(outcome, outcome, answer(200, b"ok"))
    transport, backend = retrying(inner)
    response = send(transport, b"PUT", headers=[(b"A", b"b")], body=b"body", x=1)
    assert (response.status, response.stream.read()) == (200, b"ok")
    assert response.extensions["attempts"] == 3
    assert backend.sleeps == [1.0, 2.0]
    assert [(r.method, r.stream, r.extensions) for r in inner.requests] == [
        (b"PUT", b"body", {"x": 1})
    ] * 3
    # What a transport does to its headers is not sent again.
    assert [r.headers for r in inner.requests] == [
        [(b"A", b"b"), (b"Seen", b"%d" % number)] for number in range(3)
    ]


def test_last_response_is_returned_and_the_others_are_closed() -> None:
    inner = Scripted(*(answer(503, b"%d" % number) for number in range(4)))
    transport, _ = retrying(inner, attempts=4)
    response = send(transport)
    assert [stream.closed for stream in inner.streams] == [1, 1, 1, 0]
    # None of them was read: how much of a body is worth it, the transport underneath knows.
    assert [len(stream.chunks) for stream in inner.streams] == [1, 1, 1, 1]
    assert response.stream is inner.streams[3]
    assert (response.status, response.extensions["attempts"]) == (503, 4)


def test_last_error_is_raised_as_it_is() -> None:
    errors = [ReadError("one"), ReadError("two")]
    transport, _ = retrying(Scripted(*errors), attempts=2)
    with pytest.raises(ReadError) as caught:
        send(transport)
    assert caught.value is errors[1]
    assert caught.value.__notes__ == ["this was attempt 2 of 2"]
    assert caught.value.__context__ is None


def test_error_after_a_response_and_the_reverse() -> None:
    transport, _ = retrying(Scripted(503, ReadError("x")), attempts=2)
    with pytest.raises(ReadError):
        send(transport)
    transport, _ = retrying(Scripted(ReadError("x"), 503), attempts=2)
    assert (send(transport)).status == 503


@pytest.mark.parametrize("outcome", [429, 503, ReadError, ReadTimeout, WriteError])
def test_p5_post_is_not_sent_again(outcome: Any) -> None:
    inner = Scripted(outcome, 200)
    transport, backend = retrying(inner)
    try:
        assert (send(transport, b"POST")).status == outcome
    except (ReadError, ReadTimeout, WriteError) as exc:
        assert type(exc) is outcome
    assert (len(inner.requests), backend.sleeps) == (1, [])


def test_p5_post_is_sent_again_if_nothing_was_sent_or_it_has_a_key() -> None:
    transport, _ = retrying(Scripted(ConnectError, 200))
    assert (send(transport, b"POST", body=b"x")).status == 200
    key = [(b"Idempotency-Key", b'"8e03978e-40d5"')]
    transport, _ = retrying(Scripted(ReadError, 503, 200))
    assert (send(transport, b"POST", headers=key, body=b"x")).status == 200


@pytest.mark.parametrize("error", [LocalProtocolError, UnsupportedProtocol, PoolClosed])
def test_local_error_is_raised_at_once(error: Any) -> None:
    inner = Scripted(error("no"))
    transport, backend = retrying(inner, on_errors=[httpclient.TransportError])
    with pytest.raises(error):
        send(transport)
    assert backend.sleeps == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_other_errors_pass_through(error: Any) -> None:
    transport, backend = retrying(Scripted(error("no")))
    with pytest.raises(error):
        send(transport)
    assert backend.sleeps == []


# Bodies


def test_p6_body_in_memory_reaches_the_transport_as_it_is() -> None:
    inner = Scripted(503, 503, 200)
    transport, _ = retrying(inner)
    for body in (ByteStream(b"x"), None):
        inner.outcomes = [503, 200]
        send(transport, body=body)
    assert [type(stream) for stream in inner.bodies] == [ByteStream] * 2 + [type(None)] * 2


def test_p6_replayable_stream_is_sent_again_from_its_beginning() -> None:
    body = Generated(b"a", b"b", replayable=True)
    inner = Scripted(503, ReadError, 200)
    transport, _ = retrying(inner)
    assert (send(transport, b"PUT", body=body)).status == 200
    assert [request.stream for request in inner.requests] == [b"ab"] * 3
    assert inner.bodies == [body] * 3


@pytest.mark.parametrize("outcome", [503, ReadError, ConnectError])
@pytest.mark.parametrize("reads", [1, None])
def test_p6_h19_generator_that_has_started_is_not_sent_again(
    outcome: Any, reads: int | None
) -> None:
    inner = Scripted(outcome, 200, reads=reads)
    body = Generated(b"a", b"b")
    transport, backend = retrying(inner)
    try:
        response = send(transport, b"PUT", body=body)
        assert (response.status, response.extensions["attempts"]) == (503, 1)
    except (ReadError, ConnectError) as exc:
        assert type(exc) is outcome
    assert (len(inner.requests), backend.sleeps, body.started) == (1, [], 1)


def test_p6_generator_that_nobody_has_touched_is_sent_later() -> None:
    inner = Scripted(ConnectError, 503, 200, reads=0)
    body = Generated(b"a", b"b")
    transport, _ = retrying(inner)

    def from_now_on_read() -> int:
        inner.reads = None
        return 503

    inner.outcomes[1] = from_now_on_read
    assert (send(transport, b"PUT", body=body)).status == 200
    assert [request.stream for request in inner.requests] == [b"", b"", b"ab"]
    assert (body.started, body.ended, body.closed) == (1, 1, 1)


def test_iterator_is_the_bodys_own() -> None:
    """So that the transport sees that it is a generator, and ends one that it leaves half-way."""
    body = Generated(b"a", b"b")
    inner = Scripted(200, reads=0)
    transport, _ = retrying(inner)
    send(transport, b"PUT", body=body)
    iterator = inner.bodies[0].__iter__()
    assert type(iterator) is type(body.__iter__())
    iterator.close()


@pytest.mark.parametrize("body", [b"x", bytearray(b"x"), "x", 3])
def test_what_is_no_body_is_left_to_the_transport(body: Any) -> None:
    pool = ConnectionPool(network_backend=MockBackend())
    transport, backend = retrying(pool)
    with pytest.raises(LocalProtocolError):
        transport.handle_request(
            b"PUT", (b"http", b"h", None, b"/"), [(b"Host", b"h")], body, {}
        )
    assert backend.sleeps == []
    transport.close()


# Waiting


def test_retry_after_of_either_kind() -> None:
    soon = [(b"Retry-After", b"7")]
    date = [(b"Retry-After", b"Thu, 01 Jan 1970 00:01:40 GMT")]
    inner = Scripted(answer(429, headers=soon), answer(503, headers=date), 200)
    transport, backend = retrying(inner, wall_clock=lambda: 90.0)
    assert (send(transport)).status == 200
    assert backend.sleeps == [7.0, 10.0]


@pytest.mark.parametrize("value", [b"61", b"9" * 5000, b"Thu, 01 Jan 2970 00:00:00 GMT"])
def test_absurd_retry_after_returns_the_response(value: bytes) -> None:
    inner = Scripted(answer(503, b"busy", headers=[(b"Retry-After", value)]))
    transport, backend = retrying(inner)
    response = send(transport)
    assert (response.status, response.stream.read(), backend.sleeps) == (503, b"busy", [])


def test_full_jitter() -> None:
    chances = [0.5, 0.0, 0.25]
    transport, backend = retrying(
        Scripted(503, 503, 503, 200), attempts=4, jitter=True, random=lambda: chances.pop(0)
    )
    send(transport)
    assert backend.sleeps == [0.5, 0.0, 1.0]


def test_n2_total_is_one_deadline_over_all_attempts() -> None:
    inner = Scripted()
    transport, backend = retrying(inner, attempts=10)

    def slow() -> int:
        backend.clock.advance(2.0)
        return 503

    inner.outcomes = [slow] * 10
    response = send(transport, timeout={"read": 9.0, "total": 10.0})
    # 2 s, 1 s of pause, 2 s, 2 s of pause, 2 s; then 4 s of pause would be too much.
    assert [request.extensions["timeout"] for request in inner.requests] == [
        {"read": 9.0, "total": total} for total in (10.0, 7.0, 3.0)
    ]
    assert (response.status, response.extensions["attempts"]) == (503, 3)
    assert (response.stream.closed, backend.clock.now()) == (0, 9.0)


def test_n2_last_error_is_raised_before_the_deadline() -> None:
    transport, backend = retrying(Scripted(ReadError("gone")))
    with pytest.raises(ReadError):
        send(transport, timeout={"total": 1.0})
    assert backend.clock.now() == 0.0


@pytest.mark.parametrize("total", [math.inf, None, -1, math.nan, "x", True])
def test_limit_that_is_none_goes_on_as_it_is(total: Any) -> None:
    inner = Scripted(503, 200)
    transport, _ = retrying(inner)
    timeout = {"total": total}
    send(transport, timeout=timeout)
    assert all(request.extensions["timeout"] is timeout for request in inner.requests)


# Closing, and what goes wrong on the way


def test_discarded_response_that_cannot_be_closed() -> None:
    failing = Body(failing_close=ReadError("gone"))
    transport, _ = retrying(Scripted(Response(503, [], failing, {}), 200))
    assert (send(transport)).status == 200
    broken = Body(failing_close=KeyboardInterrupt())
    transport, _ = retrying(Scripted(Response(503, [], broken, {}), 200))
    with pytest.raises(KeyboardInterrupt):
        send(transport)
    assert (failing.closed, broken.closed) == (1, 1)


def broken() -> float:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("options", "headers"),
    [({"random": broken}, []), ({"wall_clock": broken}, [(b"Retry-After", b"1 Jan 1970 0:0:0")])],
)
def test_function_of_the_callers_that_fails_closes_the_response(
    options: Any, headers: Any
) -> None:
    inner = Scripted(answer(503, headers=headers))
    transport, _ = retrying(inner, jitter=True, **options)
    with pytest.raises(ZeroDivisionError):
        send(transport)
    assert inner.streams[0].closed == 1


def test_options_of_one_request() -> None:
    inner = Scripted(503, 500, 200)
    transport, backend = retrying(inner)
    assert (send(transport, retry={"attempts": 1})).status == 503
    response = send(transport, b"POST", retry={"statuses": [500], "methods": ["POST"]})
    assert (response.status, backend.sleeps) == (200, [1.0])
    with pytest.raises(LocalProtocolError):
        send(transport, retry={"tries": 1})
    assert len(inner.requests) == 3


def test_closing_closes_the_transport_underneath() -> None:
    inner = Scripted()
    with retrying(inner)[0]:
        pass
    assert inner.closed == 1


def test_nothing_is_kept_of_a_failed_attempt() -> None:
    errors = [ReadError("gone")]
    watched = weakref.ref(errors[0])
    inner = Scripted(errors.pop, 200)
    transport, _ = retrying(inner)
    gc.disable()
    try:
        send(transport)
        assert watched() is None
    finally:
        gc.enable()


# Over the network's own transport

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_with_a_pool_connections_are_kept_and_given_back() -> None:
    backend = MockBackend.scripted([[BUSY, BUSY, OK]])
    pool = ConnectionPool(network_backend=backend, max_connections=1)
    with RetryTransport(pool, network_backend=backend) as transport:
        response = transport.request("GET", "http://example.org/")
        assert (response.content, response.extensions["attempts"]) == (b"ok", 3)
        assert (pool.stats().active, pool.stats().idle, len(backend.connects)) == (0, 1, 1)


def test_with_a_pool_a_fresh_connection_that_dies_is_tried_again() -> None:
    backend = MockBackend.scripted([[b""], [ReadError("reset")], [OK]])
    pool = ConnectionPool(network_backend=backend, max_connections=1)
    with RetryTransport(pool, network_backend=backend) as transport:
        response = transport.request("GET", "http://example.org/")
        assert (response.content, response.extensions["attempts"]) == (b"ok", 3)
        assert (pool.stats().active, backend.open_streams) == (0, 1)


def test_never_after_the_head_was_handed_on() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"
    backend = MockBackend.scripted([[cut], [OK]])
    pool = ConnectionPool(network_backend=backend)
    with RetryTransport(pool, network_backend=backend) as transport:
        with pytest.raises(httpclient.RemoteProtocolError):
            transport.request("GET", "http://example.org/")
        assert (len(backend.connects), backend.sleeps) == (1, [])


@pytest.mark.parametrize("chunks", [(b"12",), (b"12", b"345")])
def test_b09_body_that_is_not_of_its_length_is_not_sent_again(chunks: Any) -> None:
    backend = MockBackend.scripted([[OK], [OK]])
    pool = ConnectionPool(network_backend=backend)
    body = Generated(*chunks, replayable=True)
    with RetryTransport(pool, network_backend=backend) as transport:
        with pytest.raises(LocalProtocolError):
            send(
                transport,
                b"PUT",
                headers=[(b"Host", b"example.org"), (b"Content-Length", b"3")],
                body=body,
            )
        assert (body.started, len(backend.connects), backend.open_streams) == (1, 1, 0)
