"""The rate limit by tables and at random: never too many, never out of turn, nothing remembered."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpclient.transports.rate_limit import (
    FIRST_SWEEP,
    SLACK,
    RateLimit,
    Turn,
    after_wait,
    longest_wait,
    origin_key,
    too_late,
)


def go(limit: RateLimit, now: float, key: str = "k") -> bool:
    return limit.enter(Turn(), key, now)


@pytest.mark.parametrize(
    ("rate", "burst", "times"),
    [
        (1, 1, [(0, True), (0, False)]),
        (1, 1, [(0, True), (0.5, False)]),
        (1, 1, [(0, True), (1, True), (2, True), (2.9, False)]),
        (2, 1, [(0, True), (0.5, True), (1.0, True), (1.4, False)]),
        (1, 3, [(0, True), (0, True), (0, True), (0, False)]),
        (1, 3, [(0, True), (0, True), (0, True), (1, True), (1, False)]),
        (1, 3, [(0, True), (0, True), (0, True), (9, True), (9, True), (9, True), (9, False)]),
        (0.1, 1, [(0, True), (9.9, False)]),
        (0.1, 1, [(0, True), (10, True), (100, True), (100, False)]),
    ],
)
def test_who_goes_at_once(rate: float, burst: int, times: list[tuple[float, bool]]) -> None:
    limit = RateLimit(rate, burst)
    assert [go(limit, now) for now, _ in times] == [goes for _, goes in times]


def test_keys_do_not_share() -> None:
    limit = RateLimit(1, 1)
    assert [go(limit, 0, key) for key in ("a", "b", "a", "b")] == [True, True, False, False]


def test_line_is_first_come_first_served() -> None:
    limit = RateLimit(1, 1)
    turns = [Turn() for _ in range(4)]
    assert [limit.enter(turn, "k", 0.0) for turn in turns] == [True, False, False, False]
    assert [limit.is_first(turn) for turn in turns] == [False, True, False, False]
    assert limit.try_to_go(turns[1], 0.25) == 0.75
    assert limit.try_to_go(turns[1], 1.0) == 0.0
    assert limit.leave(turns[1]) is turns[2]
    # A newcomer does not go before those in line, even if it comes when the next is due.
    assert limit.enter(Turn(), "k", 2.0) is False
    assert limit.try_to_go(turns[2], 2.0) == 0.0
    assert limit.leave(turns[2]) is turns[3]


def test_who_gives_up_leaves_no_gap() -> None:
    limit = RateLimit(1, 1)
    assert go(limit, 0.0)
    turns = [Turn() for _ in range(3)]
    for turn in turns:
        limit.enter(turn, "k", 0.0)
    assert limit.wait_of_newcomer("k", 0.0) == 4.0
    assert limit.leave(turns[1]) is None  # the first is still the same
    assert limit.wait_of_newcomer("k", 0.0) == 3.0
    assert limit.leave(turns[0]) is turns[2]
    assert limit.wait_of_newcomer("k", 0.0) == 2.0
    assert limit.try_to_go(turns[2], 1.0) == 0.0
    assert limit.leave(turns[2]) is None
    assert limit.leave(turns[2]) is None  # again
    assert limit.leave(Turn()) is None  # who never was in line
    assert limit.all_turns() == []


def test_finished_turn_wakes_nobody_twice() -> None:
    limit = RateLimit(1, 1)
    first, second = Turn(), Turn()
    assert limit.enter(first, "k", 0.0)
    assert not limit.enter(second, "k", 0.0)
    assert limit.leave(first) is None  # it went at once and was never in line


@pytest.mark.parametrize(
    ("now", "waiting", "wait"),
    [(0.0, 0, 1.0), (0.5, 0, 0.5), (1.0, 0, 0.0), (0.5, 2, 2.5), (1.0, 2, 2.0), (7.0, 2, 2.0)],
)
def test_wait_of_a_newcomer(now: float, waiting: int, wait: float) -> None:
    limit = RateLimit(1, 1)
    assert limit.wait_of_newcomer("k", 0.0) == 0.0
    assert go(limit, 0.0)
    for _ in range(waiting):
        go(limit, 0.0)
    assert limit.wait_of_newcomer("k", now) == pytest.approx(wait)
    assert limit.wait_of_newcomer("other", now) == 0.0


RATES = st.floats(0.01, 10_000)
GAPS = st.lists(st.floats(0, 5) | st.just(0.0), min_size=1, max_size=60)


@given(RATES, st.integers(1, 9), GAPS)
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, gaps: list[float]) -> None:
    limit, now, gone = RateLimit(rate, burst), 1000.0, []
    for gap in gaps:
        now += gap / rate
        if go(limit, now):
            gone.append(now)
        for turn in limit.all_turns():
            limit.leave(turn)
    for first in range(len(gone)):
        for last in range(first, len(gone)):
            seconds = gone[last] - gone[first] + 2 * SLACK
            assert last - first + 1 <= burst + rate * seconds + 1e-6


class Simulation:
    """Requests that come and give up at random; the first in line goes as soon as it may, or a
    little late, as with any timer."""

    def __init__(self, rate: float, burst: int) -> None:
        self.limit = RateLimit(rate, burst)
        self.now = 0.0
        self.line: list[Turn] = []
        self.promised: dict[Turn, float] = {}
        self.lateness = 0.0
        self.gone: list[float] = []

    def arrive(self) -> None:
        turn = Turn()
        promised = self.now + self.limit.wait_of_newcomer("k", self.now)
        goes = self.limit.enter(turn, "k", self.now)
        assert goes == (promised == self.now and not self.line)
        if goes:
            self.gone.append(self.now)
        else:
            self.line.append(turn)
            self.promised[turn] = promised

    def give_up(self, index: int) -> None:
        if self.line:
            turn = self.line.pop(index % len(self.line))
            self.limit.leave(turn)

    def next_goes(self, late: float) -> None:
        if not self.line:
            return
        turn = self.line.pop(0)
        assert self.limit.is_first(turn)
        if delay := self.limit.try_to_go(turn, self.now):
            self.now += delay + late
            self.lateness += late
            assert self.limit.try_to_go(turn, self.now) == 0.0
        self.gone.append(self.now)
        following = self.limit.leave(turn)
        assert following is (self.line[0] if self.line else None)
        # What was promised on arrival is kept, but for the lateness of timers.
        assert self.now <= self.promised[turn] + self.lateness + len(self.gone) * 1e-5


STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "arrive", "go", "give up", "wait"]), st.floats(0, 3)),
    max_size=80,
)


@given(st.floats(0.1, 100), st.integers(1, 5), STEPS)
def test_what_a_newcomer_is_told_can_only_become_less(
    rate: float, burst: int, steps: list[tuple[str, float]]
) -> None:
    world = Simulation(rate, burst)
    for step, amount in steps:
        if step == "arrive":
            world.arrive()
        elif step == "go":
            world.next_goes(amount / rate if amount < 1 else 0.0)
        elif step == "give up":
            world.give_up(int(amount * 10))
        elif not world.line:
            world.now += amount
    while world.line:
        world.next_goes(0.0)
    for first, start in enumerate(world.gone):
        for last in range(first, len(world.gone)):
            seconds = world.gone[last] - start + 1e-5
            assert last - first + 1 <= burst + rate * seconds + 1e-6


def test_sums_of_floats_never_make_a_wait_without_end() -> None:
    """At a large `now` a delay can be too small to be added to it."""
    limit = RateLimit(3, 1)
    now = 1e9 / 3
    for _ in range(1000):
        turn = Turn()
        if not limit.enter(turn, "k", now):
            now += limit.try_to_go(turn, now)
            assert limit.try_to_go(turn, now) == 0.0
            limit.leave(turn)


# Memory


def test_idle_origins_are_forgotten() -> None:
    limit = RateLimit(1, 1)
    for number in range(50 * FIRST_SWEEP):
        assert go(limit, float(number), f"origin {number}")
    assert limit.origins <= FIRST_SWEEP


def test_origins_that_count_or_have_a_line_are_not_forgotten() -> None:
    limit = RateLimit(0.001, 1)
    assert go(limit, 0.0, "waited for")
    assert not go(limit, 0.0, "waited for")
    for number in range(5 * FIRST_SWEEP):
        assert go(limit, 5000.0, f"origin {number}")
    assert limit.origins == 5 * FIRST_SWEEP + 1
    assert len(limit.all_turns()) == 1
    assert not any(go(limit, 5001.0, f"origin {number}") for number in range(5 * FIRST_SWEEP))


# Options and texts


@pytest.mark.parametrize(
    "options",
    [
        *[(rate, 1) for rate in (0, -1, math.inf, math.nan, 1e-320, "1", True)],
        *[(1, burst) for burst in (0, -1, 1.5, True, None)],
    ],
)
def test_wrong_options(options: tuple[Any, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        RateLimit(*options)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ((b"http", b"h", None, b"/a"), (b"http", b"h", 80)),
        ((b"HTTP", b"H", 80, b"/b"), (b"http", b"h", 80)),
        ((b"https", b"h", None, b"/"), (b"https", b"h", 443)),
        ((b"https", b"h", 8443, b"/"), (b"https", b"h", 8443)),
        ((b"ftp", b"h", None, b"/"), (b"ftp", b"h", None)),
    ],
)
def test_origins(url: Any, key: Any) -> None:
    assert origin_key(url) == key


def test_error_names_origin_phase_and_limit() -> None:
    error = too_late((b"https", b"example.org", None, b"/?secret"), 5, 12.3456)
    assert str(error) == (
        "https://example.org:443: pool: by the rate limit this request's turn comes in 12.3 s"
        " (limit 5 s)"
    )
    assert str(too_late((b"x", b"\xff", None, b""), 2)) == (
        "x://\\xff: pool: by the rate limit this request's turn has not come (limit 2 s)"
    )


@pytest.mark.parametrize(
    ("timeout", "max_wait", "longest"),
    [
        (None, None, None),
        ({"pool": None, "connect": 1}, None, None),
        ({"pool": 3}, None, 3),
        ({"pool": 3, "total": 2}, None, 2),
        ({"pool": 3, "total": 9}, 1, 1),
        ({"pool": math.inf, "total": None}, 0, 0),
        ({"pool": "x", "total": -1}, 7, 7),
    ],
)
def test_longest_wait(timeout: Any, max_wait: float | None, longest: float | None) -> None:
    assert longest_wait({"timeout": timeout}, max_wait) == longest


def test_wait_counts_against_pool_and_total() -> None:
    given = {"timeout": {"pool": 3, "read": 4, "total": 10.0}, "a": 1}
    assert after_wait(given, 2.5) == {"timeout": {"pool": 0.5, "read": 4, "total": 7.5}, "a": 1}
    assert after_wait({"timeout": {"pool": 1}}, 2.5) == {"timeout": {"pool": 0.0}}
    for without in ({}, {"timeout": None}, {"timeout": 3}, {"timeout": {"read": 1, "pool": None}}):
        assert after_wait(without, 2.5) is without  # type: ignore[arg-type]
