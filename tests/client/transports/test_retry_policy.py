"""The retry policy by tables: what is sent again, after how long, and what never is."""

from __future__ import annotations

import email.utils
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpclient.transports._limits import limit_of, with_limits
from httpclient.transports.retry import RetryCall, RetryPolicy, nothing_was_sent, retry_after
from httpcore_core import (
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    NetworkError,
    PoolClosed,
    PoolTimeout,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    Response,
    TransportError,
    UnsupportedProtocol,
    WriteError,
    WriteTimeout,
)

NOW = 1_000_000_000.0  # of the wall clock
EXACT: dict[str, Any] = {"jitter": False, "backoff": 1.0}


def half() -> float:
    return 0.5


def wall_clock() -> float:
    return NOW


def never() -> float:
    raise AssertionError("not to be asked")


def write_error(bytes_written: int | None) -> WriteError:
    error = WriteError("broken")
    error.bytes_written = bytes_written
    return error


# Which requests may be repeated


@pytest.mark.parametrize(
    ("method", "headers", "repeatable"),
    [
        *[(name, [], True) for name in (b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE")],
        *[(name, [], False) for name in (b"POST", b"PATCH", b"CONNECT", b"get", b"X", b"")],
        (b"POST", [(b"IDEMPOTENCY-key", b'"8e03978e"')], True),
        (b"POST", [(b"Idempotency-Key", b" ")], False),
        (b"POST", [(b"X-Idempotency-Key", b"1")], False),
    ],
)
def test_p5_which_requests_may_be_repeated(
    method: bytes, headers: list[tuple[bytes, bytes]], repeatable: bool
) -> None:
    assert RetryPolicy().is_repeatable(method, headers) is repeatable


def test_methods_can_be_chosen() -> None:
    policy = RetryPolicy(methods=["POST", b"GET"])
    assert policy.is_repeatable(b"POST", [])
    assert policy.is_repeatable(b"GET", [])
    assert not policy.is_repeatable(b"PUT", [])


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (ConnectError(), False),
        (ConnectTimeout(), False),
        (PoolTimeout(), False),
        (write_error(0), False),
        (write_error(None), True),
        (write_error(1), True),
        (ReadError(), True),
        (ReadTimeout(), True),
        (WriteTimeout(), True),
        (RemoteProtocolError(), True),
        (ProxyError(), True),
    ],
)
def test_p5_where_nothing_was_sent_any_method_will_do(error: TransportError, sent: bool) -> None:
    assert nothing_was_sent(error) is not sent
    policy = RetryPolicy(**EXACT, on_errors=[TransportError])
    assert policy.after_error(1, error, False, never) == (None if sent else 1.0)
    assert policy.after_error(1, error, True, never) == 1.0


@pytest.mark.parametrize("error", [LocalProtocolError(), UnsupportedProtocol(), PoolClosed()])
def test_local_errors_are_final(error: TransportError) -> None:
    policy = RetryPolicy(on_errors=[TransportError, type(error)])
    assert policy.after_error(1, error, True, never) is None


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ReadTimeout(), True),
        (ReadError(), True),
        (RemoteProtocolError(), True),
        (ConnectError(), True),
        (ProxyError(), False),
        (TransportError(), False),
    ],
)
def test_errors_that_are_retried_by_default(error: TransportError, retried: bool) -> None:
    assert (RetryPolicy().after_error(1, error, True, half) is not None) is retried


def test_errors_can_be_chosen() -> None:
    policy = RetryPolicy(on_errors=(ProxyError,))
    assert policy.after_error(1, ProxyError(), True, half) is not None
    assert policy.after_error(1, ConnectError(), True, half) is None
    assert RetryPolicy(on_errors=()).after_error(1, ConnectError(), True, half) is None


@pytest.mark.parametrize("status", [*range(100, 600, 7), 429, 500, 502, 503, 504])
def test_statuses(status: int) -> None:
    delay = RetryPolicy(**EXACT).after_response(1, status, [], wall_clock, never)
    assert delay == (1.0 if status in (429, 502, 503, 504) else None)
    chosen = RetryPolicy(**EXACT, statuses=[418])
    assert (chosen.after_response(1, status, [], wall_clock, never) is None) is (status != 418)


# The pause


@pytest.mark.parametrize(
    ("attempt", "pause"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (10**9, 60.0)]
)
def test_pauses_double_up_to_a_limit(attempt: int, pause: float) -> None:
    assert RetryPolicy(**EXACT).pause(attempt, never) == pause
    assert RetryPolicy(backoff=1.0).pause(attempt, half) == pause / 2


@given(
    st.integers(1, 10_000),
    st.floats(0, 1e300),
    st.floats(0, 1e300),
    st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_never_more_than_its_limits(
    attempt: int, backoff: float, longest: float, chance: float
) -> None:
    policy = RetryPolicy(backoff=backoff, max_backoff=longest)
    pause = policy.pause(attempt, lambda: chance)
    assert 0.0 <= pause <= longest
    assert pause <= backoff * 2.0 ** min(attempt - 1, 64)


def test_number_of_attempts() -> None:
    policy = RetryPolicy(attempts=3)
    for attempt, again in ((1, True), (2, True), (3, False), (4, False)):
        assert (policy.after_error(attempt, ReadError(), True, half) is not None) is again
        delay = policy.after_response(attempt, 503, [], wall_clock, half)
        assert (delay is not None) is again


# Retry-After: RFC 9110, section 10.2.3


def at(seconds: float) -> bytes:
    return email.utils.formatdate(NOW + seconds, usegmt=True).encode()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"7", 7.0),
        (b" 7\t", 7.0),
        (b"007", 7.0),
        (b"9" * 12, 999_999_999_999.0),
        (b"9" * 13, math.inf),
        (b"9" * 10_000, math.inf),
        (b"0" * 10_000, 0.0),
        (at(30), 30.0),
        (at(-30), 0.0),
        (b"Sun, 09 Sep 2001 01:47:40 GMT", 60.0),  # the three forms of section 5.6.7
        (b"Sunday, 09-Sep-01 01:47:40 GMT", 60.0),
        (b"Sun Sep  9 01:47:40 2001", 60.0),
        (b"", None),
        (b"soon", None),
        (b"-1", None),
        (b"+1", None),
        (b"1.5", None),
        (b"1e3", None),
        (b"1, 2", None),
        ("٣".encode(), None),
        (b"\xff", None),
        (b"Sun, 09 Foo 2001 01:47:40 GMT", None),
        (b"Sun, 09 Sep 999999999 01:47:40 GMT", None),
        (b"Sun, 09 Sep 2001 01:47:40 GMT" + b" " * 100 + b"x", None),
    ],
)
def test_retry_after(value: bytes, seconds: float | None) -> None:
    assert retry_after([(b"A", b"1"), (b"retry-AFTER", value)], wall_clock) == seconds


def test_of_several_retry_after_the_longest_counts() -> None:
    values = (b"3", b"soon", b"9", b"5")
    assert retry_after([(b"Retry-After", value) for value in values], wall_clock) == 9.0
    assert retry_after([], wall_clock) is None


WORDS = "Sun Sunday Sep 09 9 2001 01 01:47:40 1:2 :: 99 -99 GMT +9999 -0000 , - . e \t"
PARTS = st.lists(st.sampled_from(WORDS.split(" ")), max_size=9)


@given(st.binary(max_size=70) | PARTS.map(lambda parts: " ".join(parts).encode()))
def test_whatever_a_server_writes_there_is_a_number_or_none(value: bytes) -> None:
    seconds = retry_after([(b"Retry-After", value)], wall_clock)
    assert seconds is None or seconds >= 0.0


@pytest.mark.parametrize(
    ("value", "delay"),
    [(b"0", 0.0), (b"60", 60.0), (b"61", None), (b"9" * 100, None), (at(45), 45.0), (b"x", 1.0)],
)
def test_retry_after_replaces_the_pause_within_limits(value: bytes, delay: float | None) -> None:
    headers = [(b"Retry-After", value)]
    policy = RetryPolicy(**EXACT)
    for status in (429, 503):
        assert policy.after_response(1, status, headers, wall_clock, never) == delay
    assert policy.after_response(3, 503, headers, wall_clock, never) is None
    assert policy.after_response(1, 500, headers, wall_clock, never) is None
    longer = RetryPolicy(**EXACT, max_retry_after=61)
    assert longer.after_response(1, 503, [(b"Retry-After", b"61")], wall_clock, never) == 61.0


def test_retry_after_can_be_ignored() -> None:
    policy = RetryPolicy(**EXACT, respect_retry_after=False)
    assert policy.after_response(1, 503, [(b"Retry-After", b"9999")], never, never) == 1.0


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"attempts": True},
        {"attempts": 1.5},
        {"backoff": -1},
        {"backoff": math.nan},
        {"backoff": "1"},
        {"backoff": 10**400},
        {"max_backoff": math.inf},
        {"max_backoff": None},
        {"max_retry_after": math.inf},
        {"max_retry_after": True},
        {"methods": "GET"},
        {"methods": ["ü"]},
        {"on_errors": [ValueError]},
        {"on_errors": [ReadError()]},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        RetryPolicy(**options)
    with pytest.raises(LocalProtocolError) as caught:
        RetryPolicy().changed(options)
    assert caught.value.phase == "request"
    assert isinstance(caught.value.__cause__, (TypeError, ValueError))


@pytest.mark.parametrize("options", [{"unknown": 1}, 3, "attempts", [1]])
def test_wrong_extension(options: Any) -> None:
    with pytest.raises(LocalProtocolError):
        RetryPolicy().changed(options)


def test_options_of_one_request() -> None:
    policy = RetryPolicy(attempts=5, methods=["POST"], on_errors=[NetworkError])
    assert policy.changed(None) is policy
    assert policy.changed({}) == policy
    changed = policy.changed({"attempts": 1})
    assert (changed.attempts, changed.methods) == (1, {b"POST"})
    assert policy.attempts == 5


# One request


def call(
    extensions: dict[str, Any] | None = None, clock: Callable[[], float] = lambda: 0.0
) -> RetryCall:
    return RetryCall(RetryPolicy(**EXACT), b"GET", [], extensions or {}, clock)


def response(status: int) -> Response:
    return Response(status, [], None, {"http_version": b"HTTP/1.1"})


@pytest.mark.parametrize("intact", [True, False])
def test_p6_body_that_has_been_begun_ends_it(intact: bool) -> None:
    assert (call().after_error(ConnectError(), intact, never) is not None) is intact
    final = response(503)
    assert (call().after_response(final, intact, wall_clock, never) is not None) is intact
    assert ("attempts" in final.extensions) is not intact


def test_last_outcome_says_how_many_attempts_there_were() -> None:
    request = call()
    request.attempt = 3
    error = ReadError("gone")
    assert request.after_error(error, True, never) is None
    assert error.__notes__ == ["this was attempt 3 of 3"]
    last = response(503)
    extensions = last.extensions
    assert request.after_response(last, True, wall_clock, never) is None
    assert last.extensions is extensions == {"http_version": b"HTTP/1.1", "attempts": 3}


def test_first_error_has_no_note() -> None:
    error = LocalProtocolError("no")
    assert call().after_error(error, True, never) is None
    assert not hasattr(error, "__notes__")


def test_n2_total_is_one_deadline() -> None:
    now = 100.0
    given: dict[str, Any] = {"timeout": {"read": 5, "total": 10}, "a": object()}
    request = call(given, lambda: now)
    assert request.extensions is given
    now, request.attempt = 103.5, 2
    assert request.extensions == {**given, "timeout": {"read": 5, "total": 6.5}}
    assert given["timeout"]["total"] == 10
    now = 111.0
    assert request.extensions["timeout"]["total"] == 0.0


@pytest.mark.parametrize(("now", "again"), [(0.0, True), (8.9, True), (9.0, False), (99.0, False)])
def test_n2_pause_that_would_pass_the_deadline_is_not_begun(now: float, again: bool) -> None:
    time = 0.0
    request = call({"timeout": {"total": 10}}, lambda: time)
    time = now
    assert (request.after_error(ReadError(), True, never) is not None) is again
    final = response(503)
    assert (request.after_response(final, True, wall_clock, never) is not None) is again
    assert ("attempts" in final.extensions) is not again


@given(st.randoms(use_true_random=False), st.integers(1, 20), st.floats(0.1, 100))
def test_n2_pauses_never_add_up_to_more_than_total(
    chance: random.Random, attempts: int, total: float
) -> None:
    now = 0.0
    extensions = {"timeout": {"total": total}, "retry": {"attempts": attempts, "jitter": True}}
    request = RetryCall(RetryPolicy(), b"GET", [], extensions, lambda: now)
    while (delay := request.after_error(ReadTimeout(), True, chance.random)) is not None:
        now += delay
        request.attempt += 1
        left = request.extensions["timeout"]["total"]
        assert 0.0 < left <= total
        now += chance.random() * left / 2
    assert now < total
    assert request.attempt <= attempts


# The timeout extension


@pytest.mark.parametrize(
    ("extensions", "limit"),
    [
        ({}, None),
        ({"timeout": None}, None),
        ({"timeout": 3}, None),
        ({"timeout": {}}, None),
        ({"timeout": {"total": None}}, None),
        ({"timeout": {"total": 3}}, 3),
        ({"timeout": {"total": 0}}, 0),
        ({"timeout": {"total": math.inf}}, None),
        ({"timeout": {"total": 10**400}}, None),
        ({"timeout": {"total": math.nan}}, None),
        ({"timeout": {"total": -1}}, None),
        ({"timeout": {"total": True}}, None),
        ({"timeout": {"total": "3"}}, None),
    ],
)
def test_limits(extensions: dict[str, Any], limit: float | None) -> None:
    assert limit_of(extensions, "total") == limit


def test_reduced_limits_are_a_copy() -> None:
    given = {"timeout": {"pool": 1, "read": 2}}
    assert with_limits(given, pool=0.5, total=-1.0) == {
        "timeout": {"pool": 0.5, "read": 2, "total": 0.0}
    }
    assert given == {"timeout": {"pool": 1, "read": 2}}
