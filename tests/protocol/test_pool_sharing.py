"""The pool policy for connections that several requests share: by example, and against a model
that keeps count of who holds what (P2, P3, P15, T3, T7, T8)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from httpcore_core._exceptions import ConnectError, PoolClosed
from httpcore_core._protocol.pool import (
    ACTIVE,
    CLOSED,
    CLOSING,
    CONNECTING,
    IDLE,
    MAX_OVERTAKES,
    PoolPolicy,
    Slot,
    Waiter,
)

NOW = 0.0


class Pool(PoolPolicy):
    """The policy with the steps that tests take again and again."""

    def __init__(self, max_connections: int | None = None, **limits: Any) -> None:
        defaults: dict[str, Any] = {
            "max_connections_per_origin": None,
            "max_keepalive_connections": None,
            "keepalive_expiry": None,
            "max_connection_age": None,
        }
        super().__init__(max_connections=max_connections, **(defaults | limits))

    def ask(self, key: str = "a", now: float = NOW, **how: Any) -> Waiter:
        waiter = Waiter(key, **({"may_share": True} | how))
        self.acquire(waiter, now)
        return waiter

    def asks(self, count: int, key: str = "a") -> list[Waiter]:
        return [self.ask(key) for _ in range(count)]

    def shared(self, limit: int = 100, key: str = "a", now: float = NOW) -> tuple[Slot, Waiter]:
        """A shared slot of known limit, with one user."""
        waiter = self.ask(key, now)
        slot = got(waiter)
        assert slot.state == CONNECTING
        self.connected(slot, now, shared=True)
        self.set_limit(slot, limit, now)
        self.take_wake()
        return slot, waiter

    def leave(self, slot: Slot, now: float = NOW) -> None:
        self.release(slot, now, reusable=True)

    def close_all(self) -> list[str]:
        slots = self.take_closing()
        for slot in slots:
            self.closed(slot)
        return [slot.reason for slot in slots]


def got(waiter: Waiter) -> Slot:
    assert waiter.slot is not None
    return waiter.slot


def queued(waiters: list[Waiter]) -> int:
    return sum(waiter.slot is None and waiter.error is None for waiter in waiters)


def test_t8_requests_at_once_open_one_connection() -> None:
    pool = Pool()
    waiters = pool.asks(100)
    slot = got(waiters[0])
    assert all(got(waiter) is slot and waiter.rides for waiter in waiters[1:])
    assert (pool.stats().connecting, pool.stats().queued) == (1, 99)
    pool.connected(slot, NOW, shared=True)
    assert pool.take_wake() == waiters
    assert not waiters[0].rides  # one may send, until the limit is known
    assert all(waiter.rides for waiter in waiters[1:])
    pool.set_limit(slot, 100, NOW)
    assert pool.take_wake() == waiters[1:]
    assert not any(waiter.rides or waiter.reused for waiter in waiters)
    assert (slot.users, slot.requests, pool.stats().opened) == (100, 100, 1)
    assert pool.request_count() == 100


def test_t8_an_origin_of_http11_is_dialled_by_all_at_once() -> None:
    pool = Pool()
    waiters = pool.asks(5)
    pool.connected(got(waiters[0]), NOW, shared=False)
    slots = {got(waiter) for waiter in waiters}
    assert len(slots) == 5
    assert set(pool.take_wake()) == set(waiters)
    assert [slot.state for slot in pool.slots()] == [ACTIVE] + [CONNECTING] * 4
    # It is remembered: nobody rides any more.
    assert not pool.ask().rides


def test_t8_those_left_over_respect_the_limits() -> None:
    pool = Pool(3)
    waiters = pool.asks(5)
    pool.connected(got(waiters[0]), NOW, shared=False)
    assert [waiter.slot is None for waiter in waiters] == [False] * 3 + [True] * 2
    assert pool.stats().queued == 2


def test_t7_beyond_the_limit_further_connections_are_opened() -> None:
    pool = Pool()
    waiters = pool.asks(10)
    first = got(waiters[0])
    pool.connected(first, NOW, shared=True)
    pool.set_limit(first, 4, NOW)
    pool.take_wake()
    second = got(waiters[4])
    assert second.state == CONNECTING
    assert all(got(waiter) is second and waiter.rides for waiter in waiters[5:8])
    assert got(waiters[8]) is not second  # whose limit will be 4 as well
    assert len(pool.slots()) == 3
    extra = pool.ask()
    assert extra.rides


LEAVING = pytest.mark.parametrize("who", ["dials", "rides", "is served"])


def full_dial(pool: Pool) -> list[Waiter]:
    """Those who dial and ride, as many as the origin is known to allow at once."""
    known, _ = pool.shared(limit=4)
    pool.asks(3)
    waiters = pool.asks(4)
    assert known.users == 4
    assert all(got(waiter) is got(waiters[0]) is not known for waiter in waiters)
    return waiters


def leave_seat(pool: Pool, waiters: list[Waiter], who: str) -> Slot:
    """One of those leaves the dial, whose slot is returned. With threads one "is served" whose
    answer came together with the SETTINGS, before the thread that reads them has told the pool."""
    slot = got(waiters[0])
    if who == "is served":
        pool.connected(slot, NOW, shared=True)
        pool.leave(slot)
        assert not waiters[1].rides
    else:
        pool.cancel(waiters[who == "rides"], NOW)
    pool.take_wake()
    return slot


@LEAVING
def test_t7_who_leaves_a_dial_leaves_a_seat(who: str) -> None:
    pool = Pool()
    slot = leave_seat(pool, full_dial(pool), who)
    newcomer = pool.ask()
    assert got(newcomer) is slot
    assert got(pool.ask()) is not slot
    if who != "is served":
        pool.connected(slot, NOW, shared=True)
    pool.set_limit(slot, 4, NOW)
    assert not newcomer.rides
    assert slot.users == 4


@LEAVING
def test_p3_a_seat_goes_to_who_queues(who: str) -> None:
    pool = Pool(2)
    waiters = full_dial(pool)
    first, second = pool.asks(2)
    assert queued([first, second]) == 2
    slot = leave_seat(pool, waiters, who)
    assert got(first) is slot
    assert queued([second, pool.ask()]) == 2
    assert pool.stats().queued == 2 + 3  # those who ride count


def test_p3_who_got_a_seat_is_woken() -> None:
    pool = Pool(2)
    waiters = full_dial(pool)
    queuing = pool.ask()
    pool.take_wake()
    pool.cancel(waiters[1], NOW)
    assert pool.take_wake() == [queuing]


def test_t8_a_seat_is_not_offered_where_http11_is_spoken() -> None:
    pool = Pool()
    waiters = full_dial(pool)
    other = pool.ask()
    pool.connected(got(other), NOW, shared=False)
    pool.cancel(waiters[1], NOW)
    assert not pool.ask().rides


def test_p16_those_who_ride_on_a_connection_that_breaks_are_placed_anew() -> None:
    pool = Pool()
    waiters = pool.asks(4)
    slot = got(waiters[0])
    pool.connected(slot, NOW, shared=True)
    pool.take_wake()
    pool.release(slot, NOW, reusable=False)
    assert pool.take_wake()
    dials = {got(waiter) for waiter in waiters[1:]}
    assert slot not in dials
    pool.cancel(waiters[3], NOW)
    assert got(pool.ask()) in dials
    assert pool.close_all() == ["not reusable"]


def test_t7_an_origin_that_allows_one_stream_is_dialled_by_each() -> None:
    pool = Pool()
    pool.shared(limit=1)
    waiters = pool.asks(3)
    assert len({got(waiter) for waiter in waiters}) == 3
    assert not any(waiter.rides for waiter in waiters)


def test_requests_share_before_they_take_an_idle_one() -> None:
    pool = Pool()
    busy, _ = pool.shared(limit=2)
    second = pool.ask()
    third = pool.ask()
    assert got(second) is busy
    other = got(third)
    pool.connected(other, NOW, shared=True)
    pool.set_limit(other, 2, NOW)
    pool.leave(other)
    assert other.state == IDLE
    pool.leave(busy)
    assert got(pool.ask()) is busy
    assert got(pool.ask()) is other
    assert second.reused


def test_t8_those_who_queued_for_the_pool_ride_on_the_first_dial() -> None:
    pool = Pool(1)
    slot, _ = pool.shared(key="b")
    waiting = pool.asks(3)
    assert queued(waiting) == 3
    pool.discard(slot, "error")
    pool.close_all()
    assert len({got(waiter) for waiter in waiting}) == 1
    assert [waiter.rides for waiter in waiting] == [False, True, True]
    assert pool.take_wake() == waiting


def test_p15_at_the_limit_a_request_waits_and_is_served_first_come_first_served() -> None:
    pool = Pool(1)
    slot, _ = pool.shared(limit=2)
    pool.ask()
    waiting = pool.asks(3)
    assert queued(waiting) == 3
    pool.leave(slot)
    assert pool.take_wake() == waiting[:1]
    assert got(waiting[0]) is slot
    assert waiting[0].reused
    pool.set_limit(slot, 4, NOW)
    assert pool.take_wake() == waiting[1:]
    assert slot.users == 4


@pytest.mark.parametrize("lowest", [0, 1])
def test_t7_c18_a_limit_lowered_in_flight_keeps_out_new_requests_only(lowest: int) -> None:
    pool = Pool(1)
    slot, _ = pool.shared(limit=10)
    pool.asks(9)
    pool.set_limit(slot, lowest, NOW)
    waiting = pool.asks(2)
    assert queued(waiting) == 2
    for _ in range(9):
        pool.leave(slot)
        assert queued(waiting) == 2
    pool.leave(slot)
    if lowest:
        assert pool.take_wake() == waiting[:1]
        assert (slot.state, slot.users) == (ACTIVE, 1)
    else:  # nobody would learn that it takes some again
        assert pool.close_all() == ["no streams"]
        assert got(waiting[0]).state == CONNECTING
        assert queued(waiting[1:]) == 1  # as it is known to take no more than one
        pool.connected(got(waiting[0]), NOW, shared=True)
        pool.set_limit(got(waiting[0]), 2, NOW)
        assert queued(waiting) == 0


def test_an_idle_connection_that_allows_no_streams_is_closed() -> None:
    pool = Pool()
    slot, _ = pool.shared()
    pool.leave(slot)
    pool.set_limit(slot, 0, NOW)
    assert pool.close_all() == ["no streams"]


def test_t3_a_retired_connection_ends_with_its_last_request() -> None:
    pool = Pool()
    slot, _ = pool.shared()
    pool.ask()
    pool.retire(slot, "retired by the server")
    other = got(pool.ask())
    assert other is not slot
    pool.leave(slot)
    assert pool.take_closing() == []
    pool.leave(slot)
    assert pool.close_all() == ["retired by the server"]
    assert pool.stats().closed == {"retired by the server": 1}


def test_a_retired_connection_sends_those_away_who_ride() -> None:
    pool = Pool()
    waiters = pool.asks(3)
    slot = got(waiters[0])
    pool.connected(slot, NOW, shared=True)
    pool.retire(slot, "retired by the server")
    other = got(waiters[1])
    assert other is not slot
    assert got(waiters[2]) is other
    assert waiters[2].rides
    assert waiters[1] in pool.take_wake()


def test_an_idle_connection_retires_at_once() -> None:
    pool = Pool()
    slot, _ = pool.shared()
    pool.leave(slot)
    pool.retire(slot, "retired by the server")
    assert pool.close_all() == ["retired by the server"]


def test_p16_a_failed_connection_leaves_at_once_and_its_users_come_too_late() -> None:
    pool = Pool(1)
    slot, _ = pool.shared()
    pool.ask()
    waiting = pool.asks(0)
    pool.discard(slot, "error")
    assert pool.close_all() == ["error"]
    pool.leave(slot)
    pool.leave(slot)
    assert (slot.state, waiting) == (CLOSED, [])
    assert pool.stats()[:5] == (0, 0, 0, 0, 0)


def test_a_dial_that_fails_is_repeated_by_each_where_nothing_is_known() -> None:
    pool = Pool()
    waiters = pool.asks(4)
    error = ConnectError("refused")
    pool.dial_failed(got(waiters[0]), error)
    assert waiters[0].error is error
    assert len({got(waiter) for waiter in waiters[1:]}) == 3
    assert not any(waiter.rides for waiter in waiters[1:])


def test_a_dial_that_fails_is_repeated_once_where_http2_is_known() -> None:
    pool = Pool()
    slot, _ = pool.shared()
    pool.discard(slot, "error")
    pool.close_all()
    waiters = pool.asks(4)
    pool.dial_failed(got(waiters[0]), ConnectError("refused"))
    assert len({got(waiter) for waiter in waiters[1:]}) == 1
    assert [waiter.rides for waiter in waiters[1:]] == [False, True, True]


def test_p1_who_gives_up_his_dial_leaves_it_to_who_rides() -> None:
    pool = Pool()
    first, second, third = pool.asks(3)
    slot = got(first)
    slot.dialing = True
    pool.cancel(first, NOW)
    assert slot.adopted
    assert slot.waiter is second
    assert not second.rides
    pool.cancel(third, NOW)
    pool.connected(slot, NOW, shared=True)
    assert pool.take_wake() == [second]
    assert slot.users == 1


def test_p1_a_dial_may_be_left_to_who_cannot_share() -> None:
    pool = Pool(1)
    first, second = pool.ask(), pool.ask(may_share=False)
    slot = got(first)
    slot.dialing = True
    pool.cancel(first, NOW)
    assert slot.waiter is second
    pool.connected(slot, NOW, shared=False)
    pool.leave(slot)
    assert got(pool.ask()) is slot
    assert not slot.shared


def test_p1_a_dial_that_nobody_waits_for_is_given_up() -> None:
    pool = Pool()
    first, second = pool.asks(2)
    slot = got(first)
    slot.dialing = True
    pool.cancel(second, NOW)
    pool.cancel(first, NOW)
    assert (slot.state, slot.reason) == (CLOSING, "cancelled")


def test_p1_who_gives_up_an_unused_connection_makes_room_for_others() -> None:
    pool = Pool(1)
    slot, _ = pool.shared(limit=2)
    holder = pool.ask()
    waiting = pool.ask()
    pool.cancel(holder, NOW)
    assert got(waiting) is slot
    assert slot.requests == 2


def test_the_first_request_leaves_its_place_to_who_rides_before_the_limit_is_known() -> None:
    pool = Pool()
    first, second, third = pool.asks(3)
    slot = got(first)
    pool.connected(slot, NOW, shared=True)
    pool.take_wake()
    pool.leave(slot)
    assert pool.take_wake() == [second]
    assert third.rides
    assert (slot.state, slot.users) == (ACTIVE, 1)


def test_d12_a_fresh_connection_may_be_a_shared_one_that_is_newer() -> None:
    pool = Pool()
    old, _ = pool.shared(now=1.0)
    fresh = pool.ask(now=2.0, fresh=True, since=2.0)
    assert got(fresh) is not old
    also = pool.ask(now=2.0, fresh=True, since=2.0)
    assert also.rides
    pool.connected(got(fresh), 3.0, shared=True)
    pool.set_limit(got(fresh), 100, 3.0)
    late = pool.ask(now=4.0, fresh=True, since=2.0)
    assert got(late) is got(fresh)
    assert not late.rides


def test_p3_a_busy_origin_makes_room_for_another_one() -> None:
    """Its connection is never idle, and never without room."""
    pool = Pool(1)
    slot, _ = pool.shared(limit=100)
    other = pool.ask("b")
    served = 0
    while not slot.draining:
        pool.ask()
        served += 1
        assert served <= 2 * MAX_OVERTAKES + 1
    assert queued([other]) == 1
    for _ in range(slot.users):
        pool.leave(slot)
    assert pool.close_all() == ["evicted"]
    assert got(other).state == CONNECTING


def test_p3_only_as_many_are_drained_as_are_needed() -> None:
    pool = Pool(2)
    one, _ = pool.shared(limit=2)
    pool.ask()
    two, _ = pool.shared(limit=2)
    pool.ask()
    other = pool.ask("b")
    pool.leave(one)
    pool.leave(two)
    assert (one.draining, two.draining) == (True, False)
    pool.leave(one)
    assert pool.close_all() == ["evicted"]
    assert got(other).state == CONNECTING
    assert two.state == ACTIVE


def test_p8_an_aged_connection_takes_no_more_requests() -> None:
    pool = Pool(max_connection_age=10.0)
    slot, _ = pool.shared()
    pool.ask(now=5.0)
    assert got(pool.ask(now=11.0)) is not slot
    pool.leave(slot, 12.0)
    pool.leave(slot, 12.0)
    assert pool.close_all() == ["aged"]


def test_p10_closing_fails_those_who_ride_and_those_who_queue() -> None:
    pool = Pool(1)
    riders = pool.asks(2)
    pool.close(lambda: PoolClosed("closed"))
    assert isinstance(riders[1].error, PoolClosed)
    assert riders[0].error is None
    pool.connected(got(riders[0]), NOW, shared=True)
    pool.leave(got(riders[0]))
    assert pool.close_all() == ["pool closed"]


def test_a_closed_pool_discards_dials_with_their_riders() -> None:
    pool = Pool()
    waiters = pool.asks(3)
    pool.discard(got(waiters[0]), "pool closed", PoolClosed("closed"))
    assert waiters[0].error is not None
    pool.close(lambda: PoolClosed("closed"))
    pool.close_all()


class SharingMachine(RuleBasedStateMachine):
    """Dials, limits, retirements and cancellations in any order."""

    keys = st.sampled_from("ab")
    picks = st.integers(0, 99)

    @initialize(
        limit=st.sampled_from([None, 1, 2, 3]),
        origin_limit=st.sampled_from([None, None, 1, 2]),
        keepalive=st.sampled_from([None, None, 0, 1]),
        age=st.sampled_from([None, None, 5.0]),
    )
    def start(
        self, limit: int | None, origin_limit: int | None, keepalive: int | None, age: float | None
    ) -> None:
        self.policy = Pool(
            limit,
            max_connections_per_origin=origin_limit,
            max_keepalive_connections=keepalive,
            max_connection_age=age,
        )
        self.limit = limit or 10**9
        self.origin_limit = origin_limit or 10**9
        self.now = 0.0
        self.waiters: list[Waiter] = []  # who have asked, and not been told off
        self.closing: list[Slot] = []

    def holders(self, slot: Slot) -> list[Waiter]:
        return [waiter for waiter in self.waiters if waiter.slot is slot and not waiter.rides]

    def riders(self, slot: Slot) -> list[Waiter]:
        return [waiter for waiter in self.waiters if waiter.slot is slot and waiter.rides]

    def in_state(self, *states: str) -> list[Slot]:
        return [slot for slot in self.policy.slots() if slot.state in states]

    def settle(self) -> None:
        woken = self.policy.take_wake()
        assert len(set(woken)) <= len(woken)
        self.closing += self.policy.take_closing()
        # Whose connection has gone has an error from it, which is the driver's to tell.
        self.waiters = [
            waiter
            for waiter in self.waiters
            if waiter.error is None
            and not (waiter.slot is not None and waiter.slot.state in (CLOSING, CLOSED))
        ]

    @rule(
        key=keys,
        fresh=st.sampled_from([False, False, True]),
        share=st.sampled_from([True, True, False]),
    )
    def ask(self, key: str, fresh: bool, share: bool) -> None:
        waiter = Waiter(key, fresh=fresh, since=self.now, may_share=share)
        self.policy.acquire(waiter, self.now)
        self.waiters.append(waiter)
        self.settle()

    @precondition(lambda self: self.in_state(CONNECTING))
    @rule(pick=picks, shared=st.booleans())
    def connected(self, pick: int, shared: bool) -> None:
        slots = self.in_state(CONNECTING)
        slot = slots[pick % len(slots)]
        slot.dialing = True
        self.policy.connected(slot, self.now, shared=shared)
        self.settle()

    @precondition(lambda self: self.in_state(CONNECTING))
    @rule(pick=picks)
    def dial(self, pick: int) -> None:
        slots = self.in_state(CONNECTING)
        slots[pick % len(slots)].dialing = True

    @precondition(lambda self: self.in_state(CONNECTING))
    @rule(pick=picks)
    def dial_failed(self, pick: int) -> None:
        slots = self.in_state(CONNECTING)
        self.policy.dial_failed(slots[pick % len(slots)], ConnectError("refused"))
        self.settle()

    @precondition(lambda self: self.in_state(ACTIVE, IDLE))
    @rule(pick=picks, limit=st.sampled_from([0, 1, 2, 3, 100]))
    def set_limit(self, pick: int, limit: int) -> None:
        slots = self.in_state(ACTIVE, IDLE)
        self.policy.set_limit(slots[pick % len(slots)], limit, self.now)
        self.settle()

    @precondition(lambda self: self.in_state(ACTIVE, IDLE))
    @rule(pick=picks, fails=st.sampled_from([False, False, True]))
    def retire(self, pick: int, fails: bool) -> None:
        slots = self.in_state(ACTIVE, IDLE)
        slot = slots[pick % len(slots)]
        if fails or not slot.shared:
            self.policy.discard(slot, "error")
        else:
            self.policy.retire(slot, "retired")
        self.settle()

    @precondition(lambda self: any(w.slot is not None and not w.rides for w in self.waiters))
    @rule(pick=picks, reusable=st.sampled_from([True, True, True, False]))
    def release(self, pick: int, reusable: bool) -> None:
        users = [
            waiter
            for waiter in self.waiters
            if waiter.slot is not None and not waiter.rides and waiter.slot.state == ACTIVE
        ]
        if users:
            waiter = users[pick % len(users)]
            assert waiter.slot is not None
            self.waiters.remove(waiter)
            self.policy.release(waiter.slot, self.now, reusable=reusable)
            self.settle()

    @precondition(lambda self: self.waiters)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        waiter = self.waiters.pop(pick % len(self.waiters))
        self.policy.cancel(waiter, self.now)
        self.settle()

    @precondition(lambda self: self.closing)
    @rule()
    def close_one(self) -> None:
        self.policy.closed(self.closing.pop())
        self.settle()

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def limits_hold(self) -> None:
        slots = self.policy.slots()
        assert len(slots) <= self.limit
        for key in "ab":
            assert len([slot for slot in slots if slot.key == key]) <= self.origin_limit

    @invariant()
    def users_are_those_who_hold(self) -> None:
        for slot in self.policy.slots():
            holders, riders = self.holders(slot), self.riders(slot)
            assert set(riders) == set(slot.riders or ())
            if slot.state == ACTIVE and slot.shared:
                assert slot.users == len(holders) > 0
            elif slot.state in (ACTIVE, CONNECTING):
                assert [slot.waiter] == holders
            else:
                assert not holders
                assert not riders
        assert self.policy.request_count() == len(self.waiters) - self.policy.stats().queued

    @invariant()
    def room_is_known(self) -> None:
        with_room = [
            slot
            for slot in self.in_state(ACTIVE)
            if slot.shared and slot.users < slot.limit and not slot.draining
        ]
        assert set(self.policy._with_room) == set(with_room)
        for origin in self.policy._origins.values():
            assert set(origin.shared) == {slot for slot in with_room if slot.key == origin.key}
            for slot in origin.dialing:
                assert slot.state in (CONNECTING, ACTIVE)
                assert not slot.draining

    @invariant()
    def leaving_is_what_drains_and_closes(self) -> None:
        slots = self.policy.slots()
        leaving = [slot for slot in slots if slot.state == CLOSING or slot.draining]
        assert self.policy._total.leaving == len(leaving)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """Who queues finds no room: neither on a connection nor for one."""
        slots = self.policy.slots()
        for waiter in self.waiters:
            if waiter.slot is not None or waiter.error is not None:
                continue
            own = [slot for slot in slots if slot.key == waiter.key]
            assert len(slots) == self.limit or len(own) == self.origin_limit
            if not waiter.fresh:
                assert not any(
                    slot.state == ACTIVE and slot.shared and slot.users < slot.limit
                    for slot in own
                    if not slot.draining
                )

    def teardown(self) -> None:
        if not hasattr(self, "policy"):
            return
        for _ in range(1000):
            for slot in self.in_state(CONNECTING):
                self.policy.connected(slot, self.now, shared=True)
                self.policy.set_limit(slot, 2, self.now)
                self.settle()
            for waiter in [w for w in self.waiters if w.slot is not None and not w.rides]:
                if waiter.slot is not None and waiter.slot.state == ACTIVE:
                    self.waiters.remove(waiter)
                    self.policy.release(waiter.slot, self.now, reusable=True)
                    self.settle()
            while self.closing:
                self.close_one()
            if not self.waiters:
                break
        assert not self.waiters, "somebody waits for ever"
        for slot in self.in_state(IDLE):
            self.policy.discard(slot, "error")
        self.settle()
        while self.closing:
            self.close_one()
        assert self.policy.stats()[:5] == (0, 0, 0, 0, 0)
        assert self.policy._total.leaving == 0
        assert not self.policy._ring
        for origin in self.policy._origins.values():
            assert not any((origin.shared, origin.dialing, origin.queue, origin.fresh, origin.idle))


def test_p2_p3_t7_t8_sharing_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        SharingMachine, settings=settings(max_examples=300, stateful_step_count=40, deadline=None)
    )
