"""The retry policy: connect delays, and contracts P5 and P6 as a decision (D11, D12)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product

import pytest

from httpcore_core import _exceptions as exceptions
from httpcore_core._models import ByteStream, Request, SyncByteStream
from httpcore_core._protocol.exchange import Exchange
from httpcore_core._protocol.retry import (
    MAX_ATTEMPTS,
    Verdict,
    backoff_delays,
    may_retry,
    refused_delay,
)


class OneShot(SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        return iter([b"data"])


def exchange(
    method: bytes = b"PUT",
    *,
    replayable: bool = True,
    wrote: bool = True,
    body_started: bool = True,
    retried: bool = False,
) -> Exchange:
    """A request that has got as far as these say; by default one that may be repeated."""
    content = b"" if method == b"TRACE" else b"data"
    stream = ByteStream(content) if replayable else OneShot()
    headers = [(b"Host", b"example.com")]
    url = (b"http", b"example.com", None, b"/")
    made = Exchange(Request(method, url, headers, stream, {}), None)
    made.wrote, made.body_started, made.retried = wrote, body_started, retried
    return made


def decide(
    request: Exchange | None = None,
    error: BaseException | None = None,
    *,
    reused: bool = True,
    has_response_bytes: bool = False,
) -> Verdict:
    """The decision about a reused connection that died before the response."""
    request = request or exchange()
    request.reused, request.answered = reused, has_response_bytes
    return may_retry(error or exceptions.RemoteProtocolError("disconnected"), request)


def test_connect_delays_start_at_once_then_double_up_to_a_cap() -> None:
    assert list(backoff_delays(0)) == []
    assert list(backoff_delays(1)) == [0.0]
    assert list(backoff_delays(8)) == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_connect_delays_are_computed_as_they_are_needed() -> None:
    assert list(islice(backoff_delays(10**12), 2)) == [0.0, 0.5]


@pytest.mark.parametrize(
    "error",
    [exceptions.ReadError(), exceptions.WriteError(), exceptions.RemoteProtocolError()],
)
def test_p5_a_stale_connection_is_retried(error: Exception) -> None:
    assert decide(error=error) is Verdict.RETRY
    assert decide(error=error)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ReadTimeout(),
        exceptions.WriteTimeout(),
        exceptions.ConnectError(),
        exceptions.LocalProtocolError(),
        exceptions.PoolTimeout(),
        KeyboardInterrupt(),
        ValueError("raised by the caller's own body"),
    ],
)
def test_p5_other_failures_are_not(error: BaseException) -> None:
    assert decide(error=error) is Verdict.NOT_A_DISCONNECT
    assert not decide(error=error)


def test_p5_never_after_the_first_response_byte() -> None:
    assert decide(has_response_bytes=True) is Verdict.RESPONSE_STARTED


def test_p5_never_on_a_fresh_connection() -> None:
    assert decide(reused=False) is Verdict.FRESH_CONNECTION
    assert decide(exchange(wrote=False), reused=False) is Verdict.FRESH_CONNECTION


def test_d12_only_once() -> None:
    assert decide(exchange(retried=True)) is Verdict.ALREADY_RETRIED


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"])
def test_p5_idempotent_methods(method: bytes) -> None:
    assert decide(exchange(method)) is Verdict.RETRY


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_p5_d11_a_post_is_not_retried_unless_nothing_was_written(method: bytes) -> None:
    assert decide(exchange(method)) is Verdict.NOT_IDEMPOTENT
    assert decide(exchange(method, wrote=False)) is Verdict.RETRY


def test_p6_a_one_shot_body_that_has_started_is_never_sent_again() -> None:
    assert decide(exchange(replayable=False)) is Verdict.BODY_CONSUMED
    assert decide(exchange(replayable=False, wrote=False)) is Verdict.BODY_CONSUMED


def test_p6_a_one_shot_body_that_has_not_started_can_be_sent_whole() -> None:
    assert decide(exchange(replayable=False, body_started=False)) is Verdict.RETRY


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_t3_t4_what_was_refused_is_sent_again_whatever_its_method(method: bytes) -> None:
    request = exchange(method)
    request.refused = True
    assert decide(request, reused=False) is Verdict.RETRY_REFUSED
    assert decide(request, reused=True) is Verdict.RETRY_REFUSED


def test_p6_t3_but_not_a_one_shot_body_that_has_started() -> None:
    request = exchange(replayable=False)
    request.refused = True
    assert decide(request) is Verdict.BODY_CONSUMED


def test_c21_three_attempts_in_all_and_only_what_was_sent_counts() -> None:
    request = exchange(b"POST")
    for _ in range(MAX_ATTEMPTS - 1):
        request.refused = request.wrote = True
        assert decide(request)
        request.rewind(0.0)
    request.refused = request.wrote = True
    assert decide(request) is Verdict.ALREADY_RETRIED
    request = exchange(b"POST", wrote=False)
    for _ in range(10):
        request.refused = True
        assert decide(request)
        request.rewind(0.0)


def test_t4_a_stream_that_was_refused_is_tried_again_after_a_pause() -> None:
    request = exchange()
    request.refused = True
    assert refused_delay(request) == 0.0  # by GOAWAY: another connection is not concerned
    request.was_reset = True
    assert 0.0 < refused_delay(request) < 0.1
    request.attempts = 2
    assert 0.1 < refused_delay(request) < 1.0


def test_p5_p6_every_combination() -> None:
    """The whole table, against the contract written the other way round."""
    for reused, responded, replayable, wrote, body, retried in product((False, True), repeat=6):
        for method in (b"PUT", b"POST"):
            request = exchange(
                method, replayable=replayable, wrote=wrote, body_started=body, retried=retried
            )
            safe = method == b"PUT" or not wrote
            whole = replayable or not body
            verdict = decide(request, reused=reused, has_response_bytes=responded)
            assert bool(verdict) is (reused and not responded and not retried and safe and whole)
            assert verdict.value  # says why
