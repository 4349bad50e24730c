"""The pool policy by example, contract by contract. The clock is a number that tests pass in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pytest

from httpcore_core._exceptions import ConnectError, PoolClosed
from httpcore_core._protocol.pool import (
    ACTIVE,
    CLOSED,
    CLOSING,
    CONNECTING,
    IDLE,
    MAX_OVERTAKES,
    MAX_REMEMBERED_ORIGINS,
    PoolPolicy,
    Slot,
    Waiter,
)


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

    def ask(self, key: str, now: float = 0.0, *, fresh: bool = False) -> Waiter:
        waiter = Waiter(key, fresh=fresh)
        self.acquire(waiter, now)
        return waiter

    def lease(self, key: str, now: float = 0.0) -> Slot:
        """An ACTIVE slot, dialled if need be."""
        slot = got(self.ask(key, now))
        if slot.state == CONNECTING:
            slot.dialing = True
            self.connected(slot, now)
            self.take_wake()
        return slot

    def leases(self, key: str, count: int) -> list[Slot]:
        return [self.lease(key) for _ in range(count)]

    def free(self, slot: Slot, now: float = 0.0, **how: Any) -> None:
        self.release(slot, now, reusable=True, **how)

    def close_all(self, now: float = 0.0) -> list[str]:
        """Close what is to be closed; returns the reasons."""
        slots = self.take_closing()
        for slot in slots:
            self.closed(slot)
        return [slot.reason for slot in slots]


def got(waiter: Waiter) -> Slot:
    assert waiter.slot is not None
    return waiter.slot


def is_queued(*waiters: Waiter) -> bool:
    return all(waiter.slot is None and waiter.error is None for waiter in waiters)


def served(waiters: Sequence[Waiter]) -> list[int]:
    return [number for number, waiter in enumerate(waiters) if waiter.slot is not None]


# Getting a connection


def test_a_new_origin_is_dialled_by_who_asks() -> None:
    pool = Pool()
    waiter = pool.ask("a")
    slot = got(waiter)
    assert (slot.state, slot.key, slot.waiter) == (CONNECTING, "a", waiter)
    assert pool.take_wake() == []  # he is not waiting, he is looking
    pool.connected(slot, 1.0)
    assert (slot.state, slot.opened, slot.created_at, slot.reused) == (ACTIVE, True, 1.0, False)
    assert pool.take_wake() == [waiter]


def test_the_most_recently_used_connection_is_taken_first() -> None:
    pool = Pool()
    first, second = pool.leases("a", 2)
    pool.free(first, 1.0)
    pool.free(second, 2.0)
    assert pool.lease("a", 3.0) is second
    assert pool.lease("a", 3.0) is first
    assert first.reused
    assert first.requests == 2


def test_connections_of_other_origins_are_not_used() -> None:
    pool = Pool()
    slot = pool.lease("a")
    pool.free(slot)
    assert pool.lease("b") is not slot


def test_d12_a_fresh_connection_is_dialled_past_the_idle_ones() -> None:
    pool = Pool()
    stale = pool.lease("a")
    pool.free(stale)
    assert got(pool.ask("a", fresh=True)).state == CONNECTING
    assert stale.state == IDLE


# Limits


def test_p2_no_more_than_max_connections() -> None:
    pool = Pool(2)
    pool.lease("a")
    assert got(pool.ask("b")).state == CONNECTING
    assert is_queued(pool.ask("c"))


def test_p2_no_more_than_max_connections_per_origin() -> None:
    pool = Pool(max_connections_per_origin=1)
    pool.lease("a")
    assert is_queued(pool.ask("a"))
    assert pool.lease("b").state == ACTIVE


def test_p2_a_closing_connection_counts_until_it_is_gone() -> None:
    pool = Pool(1)
    slot = pool.lease("a")
    waiter = pool.ask("a")
    pool.release(slot, 0.0, reusable=False)
    assert is_queued(waiter)
    assert pool.take_closing() == [slot]
    assert is_queued(waiter, pool.ask("b"))
    pool.closed(slot)
    assert got(waiter).state == CONNECTING
    assert pool.take_wake() == [waiter]


def test_p2_an_abandoned_dial_counts_until_it_is_gone() -> None:
    pool = Pool(1)
    dialling = pool.ask("a")
    slot = got(dialling)
    slot.dialing = True
    pool.cancel(dialling, 0.0)
    assert slot.reason == "cancelled"
    waiter = pool.ask("b")
    assert is_queued(waiter)
    pool.connected(slot, 0.0)  # it succeeded before the driver could stop it
    assert slot.state == CLOSING
    assert is_queued(waiter)
    assert pool.stats().closing == 1
    assert pool.close_all() == ["cancelled"]
    assert got(waiter).state == CONNECTING


# Waiting and taking turns


def test_p3_first_come_first_served_within_an_origin() -> None:
    pool = Pool(1)
    slot = pool.lease("a")
    waiters = [pool.ask("a") for _ in range(3)]
    for number, waiter in enumerate(waiters):
        pool.free(slot)
        assert served(waiters) == list(range(number + 1))
        assert waiter.slot is slot
        assert pool.take_wake() == [waiter]
        assert slot.state == ACTIVE


def test_p3_an_idle_connection_of_another_origin_is_evicted_the_least_recently_used_first() -> None:
    pool = Pool(2)
    older, newer = pool.lease("a"), pool.lease("b")
    pool.free(newer, 1.0)
    pool.free(older, 2.0)
    waiter = pool.ask("c", 3.0)
    assert pool.closing == [newer]
    assert pool.close_all() == ["evicted"]
    assert got(waiter).state == CONNECTING
    assert older.state == IDLE


def test_p3_one_eviction_for_one_waiter() -> None:
    pool = Pool(3)
    for slot in pool.leases("a", 3):
        pool.free(slot)
    pool.ask("b")
    pool.ask("b")
    assert len(pool.closing) == 2


def test_p3_a_connection_that_is_closing_anyway_saves_an_eviction() -> None:
    pool = Pool(2)
    failed, idle = pool.leases("a", 2)
    pool.free(idle)
    pool.discard(failed, "error")
    pool.ask("b")
    assert pool.closing == [failed]
    assert idle.state == IDLE


def test_p3_no_eviction_for_an_origin_at_its_own_limit() -> None:
    pool = Pool(2, max_connections_per_origin=1)
    idle = pool.lease("a")
    pool.lease("b")
    pool.free(idle)
    assert is_queued(pool.ask("b"))
    assert idle.state == IDLE
    assert pool.closing == []


def test_p3_a_freed_connection_is_closed_for_another_origin_that_waits() -> None:
    pool = Pool(1)
    slot = pool.lease("a")
    waiter = pool.ask("b")
    pool.free(slot)
    assert pool.close_all() == ["evicted"]
    assert got(waiter).key == "b"


def test_p3_d18_a_busy_origin_does_not_starve_another() -> None:
    """One connection, which its origin could keep for ever by handing it over."""
    pool = Pool(1)
    slot = pool.lease("a")
    busy = [pool.ask("a") for _ in range(50)]
    other = pool.ask("b")
    for handovers in range(1, MAX_OVERTAKES + 1):
        pool.free(slot)
        assert len(served(busy)) == handovers
    pool.free(slot)
    assert slot.state == CLOSING
    assert pool.close_all() == ["evicted"]
    assert got(other).state == CONNECTING


def test_p3_d18_two_origins_share_one_connection() -> None:
    """100 waiters: all are served in the order of their origin, neither origin falls back."""
    pool = Pool(1)
    waiters = {key: [pool.ask(key) for _ in range(50)] for key in "ab"}
    order: list[str] = []
    slot: Slot | None = got(waiters["a"][0])
    dials = 0
    while slot is not None:
        if slot.state == CONNECTING:
            dials += 1
            pool.connected(slot, 0.0)
        order.append(str(slot.key))
        pool.take_wake()
        pool.free(slot)
        if slot.state == CLOSING:
            pool.close_all()
        woken = pool.take_wake()
        assert len(woken) <= 1
        slot = woken[0].slot if woken else None
    assert order.count("a") == order.count("b") == 50
    turns = [len(list(run)) for _, run in groupby(order)]
    assert max(turns[:-1]) <= MAX_OVERTAKES + 1  # at the end only one of them is left
    assert dials <= 100 // MAX_OVERTAKES


def test_p3_busy_origins_do_not_close_each_others_connections() -> None:
    """Two origins, each with connections and a queue: both get their share without a dial."""
    pool = Pool(10)
    slots = pool.leases("a", 5) + pool.leases("b", 5)
    for _ in range(200):
        for slot in slots:
            pool.ask(str(slot.key))
            pool.free(slot)
            pool.take_wake()
    assert pool.take_closing() == []


def test_p3_an_origin_whose_only_connection_is_stuck_gets_another() -> None:
    pool = Pool(2)
    pool.lease("b")  # never released
    slot = pool.lease("a")
    waiter = pool.ask("b")
    count = 0
    while is_queued(waiter):
        pool.ask("a")
        pool.ask("a")
        pool.free(slot)
        pool.close_all()
        count += 1
    assert count <= 2 * MAX_OVERTAKES + 1
    assert got(waiter).state == CONNECTING


def test_p3_many_starving_origins_are_served_in_turn_and_dials_stay_few() -> None:
    pool = Pool(1)
    slot = pool.lease("busy")
    starving = [pool.ask(f"origin {number}") for number in range(10)]
    turns: list[int] = []
    for count in range(1000):
        pool.ask("busy")
        pool.free(slot)
        for left in pool.take_closing():
            pool.closed(left)
        for waiter in pool.take_wake():
            slot = got(waiter)
            if slot.state == CONNECTING:
                pool.connected(slot, 0.0)
        turns.extend(number for number in served(starving) if number not in turns)
        if len(turns) == 10:
            assert count <= 10 * (MAX_OVERTAKES + 1)
            break
    assert turns == list(range(10))


def test_p3_an_origin_at_its_own_limit_does_not_hold_up_the_others() -> None:
    pool = Pool(2, max_connections_per_origin=1)
    mine = pool.lease("a")
    other = pool.lease("b")
    first = pool.ask("a")  # waits for `mine`, not for room
    second = pool.ask("c")
    pool.release(other, 0.0, reusable=False)
    pool.close_all()
    assert is_queued(first)
    assert got(second).state == CONNECTING
    pool.free(mine)
    assert first.slot is mine


def test_p3_a_request_on_a_fresh_connection_evicts_one_of_its_own_origin() -> None:
    pool = Pool(max_connections_per_origin=2)
    used, idle = pool.leases("a", 2)
    pool.free(idle)
    waiter = pool.ask("a", fresh=True)
    assert pool.close_all() == ["evicted"]
    assert got(waiter).state == CONNECTING
    assert used.state == ACTIVE


def test_p3_a_grant_that_uses_up_the_origins_limit_leaves_its_next_waiter_a_way() -> None:
    pool = Pool(3, max_connections_per_origin=2)
    idle, other = pool.lease("a"), pool.leases("b", 2)[0]
    pool.free(idle)
    pool.discard(other, "error")
    first, second = pool.ask("a", fresh=True), pool.ask("a", fresh=True)
    assert idle.state == IDLE  # the first will have the other one's room, the second waits
    pool.close_all()
    assert got(first).state == CONNECTING
    assert is_queued(second)
    assert pool.close_all() == ["evicted"]  # for now nothing but this can serve the second
    assert got(second).state == CONNECTING


def test_d12_a_freed_connection_is_closed_for_who_needs_a_fresh_one_but_only_one() -> None:
    pool = Pool(2)
    first, second = pool.leases("a", 2)
    other = pool.ask("a")
    retry = pool.ask("a", fresh=True)
    pool.free(first)
    assert first.state == CLOSING
    pool.free(second)
    assert other.slot is second
    pool.close_all()
    assert got(retry).state == CONNECTING


def test_p3_who_needs_a_fresh_connection_goes_before_the_others() -> None:
    pool = Pool(1)
    slot = pool.lease("a")
    other = pool.ask("a")
    retry = pool.ask("a", fresh=True)
    pool.discard(slot, "error")
    pool.close_all()
    assert got(retry).state == CONNECTING
    assert is_queued(other)


# Giving up


def test_p1_cancelled_in_the_queue() -> None:
    pool = Pool(1)
    slot = pool.lease("a")
    waiters = [pool.ask("a") for _ in range(3)]
    pool.cancel(waiters[0], 0.0)
    pool.free(slot)
    assert served(waiters) == [1]
    assert pool.stats().queued == 1


def test_p1_d05_cancelled_when_the_connection_came_at_the_same_instant() -> None:
    pool = Pool(1)
    slot = pool.lease("a")
    late, next_one = pool.ask("a"), pool.ask("a")
    pool.free(slot)
    assert late.slot is slot
    pool.cancel(late, 0.0)
    assert next_one.slot is slot
    assert slot.requests == 2
    pool.cancel(next_one, 0.0)
    assert slot.state == IDLE
    assert slot.requests == 1


def test_p1_cancelled_while_dialling_with_nobody_waiting() -> None:
    pool = Pool()
    waiter = pool.ask("a")
    slot = got(waiter)
    pool.cancel(waiter, 0.0)
    assert pool.stats().connecting == 1
    assert pool.close_all() == ["cancelled"]
    assert pool.stats().connecting == 0
    assert slot.state == CLOSED


def test_p1_the_dial_of_a_cancelled_request_serves_the_next() -> None:
    pool = Pool(1)
    waiter = pool.ask("a")
    slot = got(waiter)
    slot.dialing = True
    heir = pool.ask("a")
    pool.cancel(waiter, 0.0)
    assert (heir.slot, slot.adopted) == (slot, True)
    assert pool.take_wake() == []  # he has nothing to do but wait
    pool.connected(slot, 0.0)
    assert pool.take_wake() == [heir]
    assert (heir.slot, slot.adopted) == (slot, False)
    assert pool.stats().opened == 1


def test_p1_a_dial_that_has_not_begun_is_begun_by_the_next() -> None:
    pool = Pool(1)
    waiter, heir = pool.ask("a"), pool.ask("a")
    pool.cancel(waiter, 0.0)
    assert got(heir).state == CONNECTING
    assert not got(heir).adopted
    assert pool.take_wake() == [heir]


def test_p1_a_dial_that_is_wanted_elsewhere_is_not_adopted_for_ever() -> None:
    """Cancelling one request after the other must not keep other origins out."""
    pool = Pool(1)
    waiter = pool.ask("a")
    other = pool.ask("b")
    got(waiter).dialing = True
    for _ in range(MAX_OVERTAKES + 1):
        heir = pool.ask("a")
        pool.cancel(waiter, 0.0)
        waiter = heir
    assert pool.close_all() == ["cancelled"]
    assert got(other).state == CONNECTING


def test_p1_cancelling_twice_or_after_the_end_changes_nothing() -> None:
    pool = Pool()
    waiter = pool.ask("a")
    slot = got(waiter)
    pool.connected(slot, 0.0)
    pool.free(slot)
    pool.cancel(waiter, 0.0)
    pool.cancel(waiter, 0.0)
    assert slot.state == IDLE
    pool.cancel(Waiter("never seen"), 0.0)
    assert pool.stats().idle == 1


def test_p1_cancelling_does_not_take_the_slot_from_its_next_user() -> None:
    pool = Pool()
    before = pool.ask("a")
    slot = got(before)
    pool.connected(slot, 0.0)
    pool.free(slot)
    assert pool.lease("a") is slot
    pool.cancel(before, 0.0)
    assert slot.state == ACTIVE


def test_p8_time_passes_for_a_connection_that_was_taken_and_not_used() -> None:
    pool = Pool(keepalive_expiry=5.0)
    slot = pool.lease("a")
    pool.free(slot, 0.0)
    pool.cancel(pool.ask("a", 3.0), 3.0)
    assert pool.next_expiry() == 5.0
    pool.cancel(pool.ask("a", 4.9), 4.9)
    assert (slot.state, slot.reason) == (CLOSING, "expired")


def test_p8_the_same_where_its_request_had_it_already() -> None:
    """A trace may fail after the waiter has been served."""
    pool = Pool(keepalive_expiry=60.0)
    slot = pool.lease("a")
    pool.free(slot, 0.0, keepalive_timeout=5)
    assert pool.lease("a", 3.0) is slot
    pool.return_unused(slot, 3.0)
    assert (slot.state, slot.requests, pool.next_expiry()) == (IDLE, 1, 5.0)
    pool.return_unused(slot, 3.0)  # nobody has it
    assert (slot.state, slot.requests) == (IDLE, 1)


# Failures


def test_a_failed_dial_fails_its_request_and_gives_its_room_to_the_next() -> None:
    pool = Pool(1)
    waiter, other = pool.ask("a"), pool.ask("b")
    slot = got(waiter)
    error = ConnectError("refused")
    pool.dial_failed(slot, error)
    assert (waiter.error, waiter.slot, slot.state) == (error, None, CLOSED)
    assert got(other).state == CONNECTING
    assert pool.take_wake() == [waiter, other]
    assert pool.stats().opened == 0
    assert dict(pool.stats().closed) == {}


def test_p1_who_adopted_a_dial_that_fails_gets_one_of_his_own() -> None:
    pool = Pool(1)
    waiter = pool.ask("a")
    slot = got(waiter)
    slot.dialing = True
    heir, other = pool.ask("a"), pool.ask("b")
    pool.cancel(waiter, 0.0)
    pool.dial_failed(slot, ConnectError("refused"))
    assert heir.error is None
    assert got(heir) is not slot
    assert got(heir).state == CONNECTING
    assert pool.take_wake() == [heir]
    assert is_queued(other)


def test_a_failed_dial_that_was_given_up_before() -> None:
    pool = Pool(1)
    waiter, other = pool.ask("a"), pool.ask("b")
    slot = got(waiter)
    pool.cancel(waiter, 0.0)
    pool.dial_failed(slot, ConnectError("refused"))
    pool.closed(slot)
    assert waiter.error is None
    assert got(other).state == CONNECTING
    assert pool.stats().connecting == 1


@pytest.mark.parametrize("idle", [True, False])
def test_p16_a_failed_connection_leaves_at_once(idle: bool) -> None:
    pool = Pool()
    slot = pool.lease("a")
    if idle:
        pool.free(slot)
    pool.discard(slot, "peer closed")
    pool.discard(slot, "error")  # once is enough
    assert pool.take_closing() == [slot]
    assert pool.lease("a") is not slot
    pool.free(slot)
    assert slot.state == CLOSING
    pool.closed(slot)
    pool.closed(slot)
    pool.discard(slot, "error")
    assert pool.take_closing() == []
    assert dict(pool.stats().closed) == {"peer closed": 1}


def test_p16_a_connection_the_driver_has_closed_by_itself() -> None:
    pool = Pool(1)
    slot = pool.lease("a")
    waiter = pool.ask("b")
    pool.closed(slot)
    assert pool.take_closing() == []
    assert got(waiter).state == CONNECTING
    assert dict(pool.stats().closed) == {"error": 1}


def test_a_discarded_dial_fails_its_request() -> None:
    pool = Pool()
    first, second = pool.ask("a"), pool.ask("a")
    pool.discard(got(first), "loop closed")
    assert isinstance(first.error, ConnectError)
    assert "loop closed" in str(first.error)
    error = ConnectError("mine")
    pool.discard(got(second), "loop closed", error)
    assert second.error is error
    assert pool.take_wake() == [first, second]
    pool.close_all()
    assert pool.slots() == []


# Going away


def test_p7_idle_connections_expire_and_say_when() -> None:
    pool = Pool(keepalive_expiry=5.0)
    first, second = pool.leases("a", 2)
    assert pool.next_expiry() is None
    pool.free(first, 1.0)
    pool.free(second, 2.0)
    assert pool.next_expiry() == 6.0
    pool.expire(5.9)
    assert pool.closing == []
    pool.expire(6.0)
    assert pool.closing == [first]
    assert pool.next_expiry() == 7.0
    pool.expire(100.0)
    assert pool.closing == [first, second]
    assert pool.next_expiry() is None


def test_p7_an_expired_connection_is_not_handed_out() -> None:
    pool = Pool(keepalive_expiry=5.0)
    first, second = pool.leases("a", 2)
    pool.free(first, 0.0)
    pool.free(second, 0.0)
    assert got(pool.ask("a", 5.0)).state == CONNECTING
    assert pool.close_all() == ["expired", "expired"]


def test_d19_no_expiry() -> None:
    pool = Pool(keepalive_expiry=None)
    slot = pool.lease("a")
    pool.free(slot, 0.0)
    pool.expire(1e12)
    assert pool.next_expiry() is None
    assert pool.lease("a", 1e12) is slot


def test_d19_an_expiry_of_nothing_keeps_nothing_but_serves_who_waits() -> None:
    pool = Pool(1, keepalive_expiry=0.0)
    slot = pool.lease("a")
    waiter = pool.ask("a")
    pool.free(slot)
    assert waiter.slot is slot
    pool.free(slot)
    assert pool.close_all() == ["expired"]


def test_d19_max_keepalive_connections_counts_idle_ones_only() -> None:
    pool = Pool(max_keepalive_connections=2)
    busy = pool.leases("a", 5)
    slots = pool.leases("a", 3)
    for now, slot in enumerate(slots):
        pool.free(slot, float(now))
    assert pool.closing == [slots[0]]  # the least recently used
    assert slots[0].reason == "keep-alive limit"
    assert [slot.state for slot in busy] == [ACTIVE] * 5


def test_d19_max_keepalive_connections_of_none() -> None:
    pool = Pool(1, max_keepalive_connections=0)
    slot = pool.lease("a")
    waiter = pool.ask("a")
    pool.free(slot)
    assert waiter.slot is slot
    pool.free(slot)
    assert pool.close_all() == ["keep-alive limit"]


@pytest.mark.parametrize(("expiry", "hint", "expected"), [
    (5.0, 2, 2.0),
    (5.0, 60, 5.0),
    (5.0, None, 5.0),
    (None, 30, 30.0),
    (None, 119, 60.0),  # long ones in whole minutes
    (None, 10**9, 3600.0),
])  # fmt: skip
def test_p8_the_servers_hint_shortens_the_expiry(
    expiry: float | None, hint: int | None, expected: float
) -> None:
    pool = Pool(keepalive_expiry=expiry)
    pool.free(pool.lease("a"), 100.0, keepalive_timeout=hint)
    assert pool.next_expiry() == 100.0 + expected


def test_p8_a_hint_of_nothing_closes_even_if_somebody_waits() -> None:
    pool = Pool(1)
    slot = pool.lease("a")
    waiter = pool.ask("a")
    pool.free(slot, keepalive_timeout=0)
    assert pool.close_all() == ["expired"]
    assert got(waiter).state == CONNECTING


def test_p8_hints_of_all_lengths_expire_in_their_order() -> None:
    pool = Pool(keepalive_expiry=10.0)
    hints = [7, None, 3, 9, 3, None, 1, 20]
    slots = pool.leases("a", len(hints))
    for slot, hint in zip(slots, hints, strict=True):
        pool.free(slot, 0.0, keepalive_timeout=hint)
    pool.lease("a")  # the last one is taken out again
    times = []
    while (due := pool.next_expiry()) is not None:
        pool.expire(due)
        times.append((due, len(pool.take_closing())))
    assert times == [(1.0, 1), (3.0, 2), (7.0, 1), (9.0, 1), (10.0, 2)]


def test_p8_max_connection_age_retires_a_connection_after_its_response() -> None:
    pool = Pool(1, max_connection_age=60.0)
    slot = pool.lease("a")
    waiter = pool.ask("a")
    pool.free(slot, 59.0)
    assert waiter.slot is slot
    pool.expire(60.0)  # it is in use: it may finish
    assert slot.state == ACTIVE
    pool.free(slot, 61.0)
    assert pool.close_all() == ["aged"]


def test_p8_max_connection_age_of_an_idle_connection() -> None:
    pool = Pool(max_connection_age=60.0)
    slot = pool.lease("a")
    pool.free(slot, 1.0)
    assert pool.next_expiry() == 60.0
    assert got(pool.ask("a", 60.0)).state == CONNECTING
    assert pool.close_all() == ["aged"]
    assert pool.next_expiry() is None


def test_p8_aged_idle_connections_go_without_traffic() -> None:
    pool = Pool(max_connection_age=60.0)
    busy, idle = pool.leases("a", 2)
    pool.free(idle, 1.0)
    pool.expire(60.0)
    assert pool.close_all() == ["aged"]
    assert busy.state == ACTIVE


# Closing


def test_p10_close_fails_who_waits_and_closes_what_is_idle() -> None:
    pool = Pool(2)
    idle, active = pool.lease("a"), pool.lease("b")
    queued = [pool.ask("b"), pool.ask("b", fresh=True), pool.ask("c")]
    pool.free(idle)
    pool.close(lambda: PoolClosed("closed"))
    assert pool.is_closed
    assert all(isinstance(waiter.error, PoolClosed) for waiter in queued)
    assert len({id(waiter.error) for waiter in queued}) == 3
    assert set(pool.take_wake()) == set(queued)
    assert pool.stats().queued == 0
    assert active.state == ACTIVE
    pool.free(active)
    reasons = pool.close_all()
    assert reasons[-1] == "pool closed"
    assert pool.stats().active == pool.stats().idle == 0


def test_p10_idle_connections_are_closed_as_the_pool_is() -> None:
    pool = Pool()
    for slot in pool.leases("a", 3):
        pool.free(slot)
    pool.close(lambda: PoolClosed("closed"))
    pool.close(lambda: PoolClosed("closed"))
    assert pool.close_all() == ["pool closed"] * 3


def test_p10_a_closed_pool_refuses() -> None:
    pool = Pool()
    pool.close(lambda: PoolClosed("closed"))
    with pytest.raises(PoolClosed):
        pool.ask("a")


def test_p10_dials_and_requests_in_progress_may_finish() -> None:
    pool = Pool()
    waiter = pool.ask("a")
    slot = got(waiter)
    pool.close(lambda: PoolClosed("closed"))
    pool.connected(slot, 0.0)
    assert waiter.slot is slot
    assert slot.state == ACTIVE
    pool.cancel(waiter, 0.0)
    assert pool.close_all() == ["pool closed"]


def test_p10_discarding_all_ends_what_is_in_progress() -> None:
    pool = Pool(2)
    dialling, active = pool.ask("a"), pool.lease("b")
    pool.close(lambda: PoolClosed("closed"))
    for slot in pool.slots():
        pool.discard(slot, "pool closed")
    assert isinstance(dialling.error, PoolClosed)
    assert pool.take_wake() == [dialling]
    assert len(pool.close_all()) == 2
    pool.free(active)  # the request notices later
    assert pool.slots() == []
    assert pool.stats()[:5] == (0, 0, 0, 0, 0)


def test_p10_an_adopted_dial_that_fails_in_a_closed_pool_is_not_repeated() -> None:
    pool = Pool(1)
    waiter, heir = pool.ask("a"), pool.ask("a")
    slot = got(waiter)
    slot.dialing = True
    pool.cancel(waiter, 0.0)
    pool.close(lambda: PoolClosed("closed"))
    error = ConnectError("refused")
    pool.dial_failed(slot, error)
    assert heir.error is error
    assert pool.slots() == []


# Starting over


def test_p11_reset_forgets_everything_but_the_totals() -> None:
    pool = Pool(3)
    idle, active, dialling = pool.lease("a"), pool.lease("b"), pool.ask("c")
    pool.ask("d")
    pool.free(idle)  # closed for "d"
    before = pool.slots()
    assert pool.reset() == before
    stats = pool.stats()
    assert stats[:5] == (0, 0, 0, 0, 0)
    assert stats.opened == 2
    assert dict(stats.closed) == {"forgotten": 2}
    assert pool.take_closing() == []
    assert pool.take_wake() == []
    for slot in before:  # what the old loop still reports has no effect
        pool.connected(slot, 0.0)
        pool.free(slot)
        pool.discard(slot, "error")
        pool.dial_failed(slot, ConnectError("late"))
        pool.closed(slot)
    pool.cancel(dialling, 0.0)
    assert pool.stats() == stats
    assert active.state == CLOSED
    assert [slot.key for slot in (*pool.leases("a", 2), *pool.leases("d", 1))] == ["a", "a", "d"]


# Numbers


def test_p14_stats_add_up() -> None:
    pool = Pool(4)
    slots = pool.leases("a", 3)
    pool.free(slots[0])
    pool.release(slots[1], 0.0, reusable=False, reason="error")
    pool.ask("b")
    stats = pool.stats()
    assert stats[:7] == (1, 1, 1, 1, 0, 3, 0)
    assert set(stats.origins) == {"a", "b"}
    assert stats.origins["a"] == pool.counts("a")
    assert pool.counts("a").closing == 1
    assert pool.counts("b").connecting == 1
    assert pool.counts("nowhere")[:7] == (0, 0, 0, 0, 0, 0, 0)
    pool.close_all()
    assert dict(pool.stats().closed) == {"error": 1}
    assert pool.lease("a") is slots[0]
    assert (pool.stats().reused, pool.counts("a").reused) == (1, 1)


def test_p14_a_snapshot_does_not_change() -> None:
    pool = Pool()
    slot = pool.lease("a")
    stats = pool.stats()
    pool.closed(slot)
    assert dict(stats.closed) == {}
    assert stats.active == 1
    with pytest.raises(TypeError):
        stats.closed["x"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        stats.origins["x"] = pool.counts("a")  # type: ignore[index]


def test_p14_slots_are_listed_in_the_order_of_their_making() -> None:
    pool = Pool()
    slots = [pool.lease(key) for key in "abcab"]
    pool.free(slots[0])
    pool.closed(slots[2])
    del slots[2]
    assert pool.slots() == slots


def test_p14_describe_names_the_numbers_and_the_limits() -> None:
    pool = Pool(3, max_connections_per_origin=2)
    for slot in pool.leases("a", 2):
        assert slot.state == ACTIVE
    pool.ask("b")
    pool.ask("a")
    pool.ask("b")
    text = pool.describe("a")
    everything, _, origin = text.partition("this origin")
    for part in ("2 active", "0 idle", "1 connecting", "2 queued", "max_connections=3"):
        assert part in everything
    for part in ("2 active", "0 connecting", "1 queued", "max_connections_per_origin=2"):
        assert part in origin


def test_d22_origins_out_of_use_are_forgotten_but_not_their_totals() -> None:
    pool = Pool()
    in_use = pool.lease("in use")
    count = MAX_REMEMBERED_ORIGINS + 50
    for number in range(count):
        pool.closed(pool.lease(f"origin {number}"))
    stats = pool.stats()
    assert len(stats.origins) == MAX_REMEMBERED_ORIGINS + 1
    assert "origin 0" not in stats.origins
    assert f"origin {count - 1}" in stats.origins
    assert stats.origins["in use"].active == 1
    assert stats.opened == count + 1
    assert dict(stats.closed) == {"error": count}
    assert in_use.state == ACTIVE


def test_d22_an_origin_in_use_again_is_not_forgotten() -> None:
    pool = Pool()
    pool.closed(pool.lease("again"))
    pool.lease("again")
    for number in range(MAX_REMEMBERED_ORIGINS + 1):
        pool.closed(pool.lease(f"origin {number}"))
    assert pool.counts("again").opened == 2
    assert pool.counts("again").active == 1
