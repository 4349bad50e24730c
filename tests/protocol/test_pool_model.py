"""The pool policy against a naive model: plain lists, scanned from end to end after every step.

The model keeps what any observer could write down (who asked when, which slots exist, what became
of them) and checks that each move of the policy was admissible, that nothing was left undone, and
that the numbers are the ones that counting gives.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
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
    OriginStats,
    PoolPolicy,
    Slot,
    Waiter,
)

KEYS = "abc"
keys = st.sampled_from(KEYS)
picks = st.integers(0, 99)
FOREVER = 1e9
UNLIMITED = 10**9


class PoolMachine(RuleBasedStateMachine):
    @initialize(
        limit=st.sampled_from([None, 1, 2, 3, 4]),
        origin_limit=st.sampled_from([None, None, 1, 2]),
        keepalive=st.sampled_from([None, None, 0, 1, 2]),
        expiry=st.sampled_from([None, 5.0, 5.0, 0.0]),
        age=st.sampled_from([None, None, 12.0]),
    )
    def start(
        self,
        limit: int | None,
        origin_limit: int | None,
        keepalive: int | None,
        expiry: float | None,
        age: float | None,
    ) -> None:
        self.policy = PoolPolicy(
            max_connections=limit,
            max_connections_per_origin=origin_limit,
            max_keepalive_connections=keepalive,
            keepalive_expiry=expiry,
            max_connection_age=age,
        )
        self.limit = UNLIMITED if limit is None else limit
        self.origin_limit = UNLIMITED if origin_limit is None else origin_limit
        self.keepalive = UNLIMITED if keepalive is None else keepalive
        self.expiry = FOREVER if expiry is None else expiry
        self.age = FOREVER if age is None else age
        self.now = 0.0
        self.is_closed = False
        self.live: list[Slot] = []  # in the order of their making
        self.idle: list[Slot] = []  # in the order of their release
        self.closing: list[Slot] = []
        self.waiting: list[Waiter] = []  # in the order of their coming
        self.holding: list[Waiter] = []  # with a slot, dialling or active
        self.born: list[tuple[Slot, float]] = []
        self.dies: list[tuple[Slot, float]] = []
        self.events: list[tuple[str, str]] = []  # (key, what)
        self.used: list[Slot] = []  # once for each response

    # What the model knows

    def of(self, key: object, slots: list[Slot]) -> list[Slot]:
        return [slot for slot in slots if slot.key == key]

    def time(self, times: list[tuple[Slot, float]], slot: Slot) -> float:
        return [time for other, time in times if other is slot][-1]

    def is_aged(self, slot: Slot) -> bool:
        return self.now - self.time(self.born, slot) >= self.age

    def has_room(self, key: object) -> bool:
        return len(self.live) < self.limit and len(self.of(key, self.live)) < self.origin_limit

    def line(self, key: object, fresh: bool) -> list[Waiter]:
        return [w for w in self.waiting if w.key == key and w.fresh is fresh]

    def demand(self) -> int:
        """How many connections the pool would open for its waiters if it had no limit."""
        total = 0
        for key in KEYS:
            queued = len([w for w in self.waiting if w.key == key])
            total += max(min(queued, self.origin_limit - len(self.of(key, self.live))), 0)
        return total

    def held(self, state: str) -> list[Waiter]:
        return [w for w in self.holding if w.slot is not None and w.slot.state == state]

    def count(self, key: str, what: str) -> None:
        self.events.append((key, what))

    # Looking at what the policy did

    def observe(self, *discarded: Slot) -> None:
        """`discarded`: the slots this step wanted closed."""
        self.observe_waiters()
        for slot in self.policy.take_closing():
            assert slot.state == CLOSING
            assert slot not in self.closing
            was_idle = slot in self.idle
            if slot.reason == "evicted":
                self.justify(slot, was_idle)
            if slot.reason == "keep-alive limit" and was_idle:
                assert slot is self.idle[0]
                assert len(self.idle) >= self.keepalive
            if slot.reason == "expired" and was_idle:
                assert self.time(self.dies, slot) <= self.now
            if slot.reason == "aged":
                assert self.is_aged(slot)
            if was_idle:
                self.idle.remove(slot)
            self.closing.append(slot)
        for slot in self.policy.slots():
            if slot.state == IDLE and slot not in self.idle:
                self.idle.append(slot)
        for slot in discarded:
            assert slot.state in (CLOSING, CLOSED)

    def justify(self, slot: Slot, was_idle: bool) -> None:
        """The least recently used one, and nothing beyond the need: each closes for somebody."""
        fresh = len(self.line(slot.key, fresh=True))
        for_room = len(self.closing) < self.demand()
        for_fresh = len(self.of(slot.key, self.closing)) < fresh
        assert for_room or for_fresh
        if was_idle:
            oldest = self.idle[:1] if for_room else []
            assert slot in oldest + (self.of(slot.key, self.idle)[:1] if for_fresh else [])

    def observe_waiters(self) -> None:
        woken = self.policy.take_wake()
        assert len(set(woken)) == len(woken)
        for key in KEYS:
            for fresh in (True, False):
                line = self.line(key, fresh)
                served = [w for w in line if w.slot is not None or w.error is not None]
                assert served == line[: len(served)], "first come, first served"
                for waiter in served:
                    self.waiting.remove(waiter)
                    if waiter.error is None:
                        self.receive(waiter, woken)

    def receive(self, waiter: Waiter, woken: list[Waiter]) -> None:
        """A waiter of the queue was given a slot."""
        slot = waiter.slot
        assert slot is not None
        assert slot.waiter is waiter
        assert slot.key == waiter.key
        self.holding.append(waiter)
        if slot.state == ACTIVE:
            assert not waiter.fresh
            assert waiter in woken
            self.count(slot.key, "reused")  # type: ignore[arg-type]
        else:
            assert slot.state == CONNECTING
            assert waiter.fresh or not self.line(slot.key, fresh=True), "they go first"
            assert (waiter in woken) is not slot.adopted
            if slot not in self.live:
                self.live.append(slot)

    # What requests do

    @rule(key=keys, fresh=st.sampled_from([False, False, False, True]))
    def ask(self, key: str, fresh: bool) -> None:
        waiter = Waiter(key, fresh=fresh)
        if self.is_closed:
            with pytest.raises(PoolClosed):
                self.policy.acquire(waiter, self.now)
            return
        candidates = [] if fresh else self.of(key, self.idle)[::-1]
        usable = [
            slot
            for slot in candidates
            if self.time(self.dies, slot) > self.now and not self.is_aged(slot)
        ]
        room = self.has_room(key)
        self.policy.acquire(waiter, self.now)
        if usable:
            assert waiter.slot is usable[0], "the most recently used one"
            self.idle.remove(usable[0])
            self.holding.append(waiter)
            self.count(key, "reused")
        elif room:
            assert waiter.slot is not None
            self.live.append(waiter.slot)
            self.holding.append(waiter)
        else:
            assert waiter.slot is None
            self.waiting.append(waiter)
        self.observe()

    @precondition(lambda self: self.waiting or self.holding)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        """Also one that holds a connection: it has not used it."""
        waiters = self.waiting + self.holding
        waiter = waiters[pick % len(waiters)]
        slot = waiter.slot
        if slot is not None and slot.state == ACTIVE:
            left = slot.expires_at - self.now
            rounded = self.expiry if left >= self.expiry else left // 0.25 * 0.25
            self.dies.append((slot, self.now + rounded))
        (self.waiting if waiter in self.waiting else self.holding).remove(waiter)
        self.policy.cancel(waiter, self.now)
        self.observe()
        assert waiter.slot is None

    @precondition(lambda self: self.held(ACTIVE))
    @rule(pick=picks, reusable=st.sampled_from([True, True, True, False]),
          hint=st.sampled_from([None, None, 0, 2, 3, 9]))  # fmt: skip
    def release(self, pick: int, reusable: bool, hint: int | None) -> None:
        holders = self.held(ACTIVE)
        waiter = holders[pick % len(holders)]
        slot = waiter.slot
        assert slot is not None
        self.holding.remove(waiter)
        self.used.append(slot)
        lifetime = self.expiry if hint is None else min(self.expiry, hint)
        self.dies.append((slot, self.now + lifetime))
        self.policy.release(slot, self.now, reusable=reusable, keepalive_timeout=hint)
        lost = not reusable or hint == 0 or self.is_closed or self.is_aged(slot)
        self.observe(*([slot] if lost else []))

    # What happens to connections

    @precondition(lambda self: self.held(CONNECTING))
    @rule(pick=picks)
    def dial(self, pick: int) -> None:
        slot = self.held(CONNECTING)[pick % len(self.held(CONNECTING))].slot
        assert slot is not None
        slot.dialing = True

    @precondition(lambda self: any(not slot.opened for slot in self.live))
    @rule(pick=picks)
    def connected(self, pick: int) -> None:
        """Also one which was given up."""
        slots = [slot for slot in self.live if not slot.opened]
        slot = slots[pick % len(slots)]
        self.born.append((slot, self.now))
        self.count(slot.key, "opened")  # type: ignore[arg-type]
        was_closing = slot.state == CLOSING
        waiter = slot.waiter
        self.policy.connected(slot, self.now)
        assert slot.state == (CLOSING if was_closing else ACTIVE)
        assert self.policy.wake == ([] if was_closing else [waiter])
        self.observe()

    @precondition(lambda self: any(not slot.opened for slot in self.live))
    @rule(pick=picks)
    def dial_failed(self, pick: int) -> None:
        slots = [slot for slot in self.live if not slot.opened]
        slot = slots[pick % len(slots)]
        waiter, adopted = slot.waiter, slot.adopted and not self.is_closed
        self.live.remove(slot)
        if slot in self.closing:
            self.closing.remove(slot)
        error = ConnectError("refused")
        self.policy.dial_failed(slot, error)
        if waiter is not None and adopted:
            assert waiter.slot is not None
            assert waiter.slot is not slot
            assert waiter.slot.state == CONNECTING
            self.live.append(waiter.slot)
        elif waiter is not None:
            assert waiter.error is error
            self.holding.remove(waiter)
        self.observe(slot)

    @precondition(lambda self: self.live)
    @rule(pick=picks, again=st.booleans())
    def discard(self, pick: int, again: bool) -> None:
        slot = self.live[pick % len(self.live)]
        holder = slot.waiter
        self.policy.discard(slot, "error")
        if again:
            self.policy.discard(slot, "other")
        if holder is not None:
            assert (holder.error is not None) is not slot.opened
            self.holding.remove(holder)
        self.observe(slot)

    @precondition(lambda self: self.closing)
    @rule(pick=picks)
    def closed(self, pick: int) -> None:
        slot = self.closing[pick % len(self.closing)]
        self.closing.remove(slot)
        self.live.remove(slot)
        if slot.opened:
            self.count(slot.key, slot.reason)  # type: ignore[arg-type]
        self.policy.closed(slot)
        self.policy.closed(slot)
        self.observe(slot)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 3.0, 6.0]), expire=st.booleans())
    def time_passes(self, seconds: float, expire: bool) -> None:
        self.now += seconds
        if not expire:
            return
        due = [
            slot
            for slot in self.idle
            if self.time(self.dies, slot) <= self.now or self.is_aged(slot)
        ]
        self.policy.expire(self.now)
        assert set(self.policy.closing) == set(due)
        self.observe(*due)

    @precondition(lambda self: len(self.events) > 10)
    @rule(what=st.sampled_from(["nothing"] * 8 + ["close", "reset"]))
    def close_or_reset(self, what: str) -> None:
        """Seldom: the one ends most of what is interesting, the other starts it again."""
        if what == "close":
            self.policy.close(lambda: PoolClosed("closed"))
            self.is_closed = True
            assert all(isinstance(waiter.error, PoolClosed) for waiter in self.waiting)
            self.observe(*self.idle)
        elif what == "reset":
            lost = self.policy.reset()
            assert lost == self.live
            for slot in lost:
                if slot.opened:
                    self.count(slot.key, "forgotten")  # type: ignore[arg-type]
            for things in (self.live, self.idle, self.closing, self.waiting, self.holding):
                things.clear()

    # The usual course of things, so that there is something for the rest to disturb

    @precondition(lambda self: not self.is_closed)
    @rule(key=keys, count=st.integers(1, 3))
    def lease(self, key: str, count: int) -> None:
        for _ in range(count):
            self.ask(key, fresh=False)
        for slot in [slot for slot in self.live if slot.state == CONNECTING]:
            self.connected(self.index_of(slot))

    @precondition(lambda self: self.held(ACTIVE))
    @rule(picked=st.lists(picks, min_size=1, max_size=4), seconds=st.sampled_from([0.0, 0.25]))
    def release_some(self, picked: list[int], seconds: float) -> None:
        for pick in picked:
            if self.held(ACTIVE):
                self.now += seconds
                self.release(pick, reusable=True, hint=None)

    @rule()
    def close_all(self) -> None:
        while self.closing:
            self.closed(0)

    # What is always true

    @invariant()
    def limits_hold(self) -> None:
        assert self.policy.slots() == self.live
        assert len(self.live) <= self.limit
        assert len(self.idle) <= self.keepalive
        for key in KEYS:
            assert len(self.of(key, self.live)) <= self.origin_limit

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        for waiter in self.waiting:
            assert not self.has_room(waiter.key)
            assert waiter.fresh or not self.of(waiter.key, self.idle)
        assert not self.idle or self.demand() <= len(self.closing)
        for key in KEYS:
            if self.of(key, self.idle) and len(self.of(key, self.live)) >= self.origin_limit:
                assert len(self.of(key, self.closing)) >= len(self.line(key, fresh=True))

    @invariant()
    def each_slot_is_where_the_model_has_it(self) -> None:
        assert [slot for slot in self.live if slot.state == IDLE] == [
            slot for slot in self.live if slot in self.idle
        ]
        assert {slot for slot in self.live if slot.state == CLOSING} == set(self.closing)
        holders = {waiter.slot for waiter in self.holding}
        assert holders == {slot for slot in self.live if slot.state in (CONNECTING, ACTIVE)}

    @invariant()
    def next_expiry_is_the_first(self) -> None:
        times = [self.time(self.dies, slot) for slot in self.idle]
        if self.idle and self.age < FOREVER:
            times += [self.time(self.born, slot) + self.age for slot in self.idle]
        due = self.policy.next_expiry()
        expected = min(times, default=FOREVER)
        if expected >= FOREVER:
            assert due is None
        elif self.age == FOREVER:
            assert due == expected
        else:  # may be early by a connection that is in use
            assert due is not None
            assert due <= expected

    @invariant()
    def numbers_add_up(self) -> None:
        stats = self.policy.stats()
        by_key = [self.counted(key) for key in KEYS]
        for key, counted in zip(KEYS, by_key, strict=True):
            assert self.policy.counts(key) == counted
            if key in stats.origins:
                assert stats.origins[key] == counted
        for field in range(7):
            assert stats[field] == sum(counted[field] for counted in by_key)  # type: ignore[misc]
        gone = sum(stats.closed.values())
        assert gone == sum(sum(counted.closed.values()) for counted in by_key)
        assert stats.opened == stats.active + stats.idle + stats.closing + gone
        assert len(self.live) == stats.active + stats.idle + stats.closing + stats.connecting

    @invariant()
    def a_connection_knows_its_requests(self) -> None:
        for waiter in self.held(ACTIVE):
            assert waiter.slot is not None
            assert waiter.slot.requests == 1 + self.used.count(waiter.slot)
        for slot in self.idle:
            assert slot.requests == self.used.count(slot)

    def counted(self, key: str) -> OriginStats:
        live = self.of(key, self.live)
        events = [what for other, what in self.events if other == key]
        return OriginStats(
            active=len([slot for slot in live if slot.state == ACTIVE]),
            idle=len(self.of(key, self.idle)),
            connecting=len([slot for slot in live if not slot.opened]),
            closing=len([slot for slot in live if slot.opened and slot.state == CLOSING]),
            queued=len([waiter for waiter in self.waiting if waiter.key == key]),
            opened=events.count("opened"),
            reused=events.count("reused"),
            closed={
                what: events.count(what) for what in events if what not in ("opened", "reused")
            },
        )

    def teardown(self) -> None:
        """When all has ended, nothing is left; and all who wait are served on the way."""
        if not hasattr(self, "policy"):
            return
        while self.live or self.waiting:
            before = len(self.waiting), len(self.holding), len(self.closing)
            for slot in [slot for slot in self.live if slot.state == CONNECTING]:
                self.connected(self.index_of(slot))
            while self.held(ACTIVE):
                self.release(0, reusable=True, hint=None)
            self.close_all()
            if not self.waiting:
                for slot in list(self.idle):
                    self.policy.discard(slot, "error")
                    self.observe(slot)
            after = len(self.waiting), len(self.holding), len(self.closing)
            assert before != after or not self.waiting, "somebody waits for ever"
            self.numbers_add_up()
        assert self.policy.stats()[:5] == (0, 0, 0, 0, 0)
        assert self.policy.next_expiry() is None
        self.nothing_is_kept()

    def index_of(self, slot: Slot) -> int:
        return [other for other in self.live if not other.opened].index(slot)

    def nothing_is_kept(self) -> None:
        policy: Any = self.policy
        assert not policy._slots
        assert not policy._aging
        assert not policy._ring
        assert policy._ring.demand == 0
        assert not policy._idle.count
        assert not policy._idle._shorter
        for origin in policy._origins.values():
            assert not any((origin.idle, origin.queue, origin.fresh, origin.demand))
            assert origin.key in policy._unused


def test_p2_p3_p14_the_policy_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        PoolMachine, settings=settings(max_examples=300, stateful_step_count=50, deadline=None)
    )


@settings(max_examples=60, deadline=None)
@given(
    origins=st.integers(2, 6),
    connections=st.integers(1, 6),
    stuck=st.integers(0, 5),
    owners=st.lists(st.integers(0, 5), min_size=6, max_size=6),
    choices=st.lists(st.integers(0, 99), min_size=20, max_size=20),
)
def test_p3_d18_no_origin_is_overtaken_without_bound(
    origins: int, connections: int, stuck: int, owners: list[int], choices: list[int]
) -> None:
    """Every origin always has waiters, some connections are never released, and those that are
    come in any order: how many requests are served between two of one origin that could be?"""
    policy = PoolPolicy(
        max_connections=connections,
        max_connections_per_origin=None,
        max_keepalive_connections=None,
        keepalive_expiry=None,
        max_connection_age=None,
    )
    active: list[Slot] = []
    for number in range(connections):
        waiter = Waiter(owners[number] % origins)
        policy.acquire(waiter, 0.0)
        assert waiter.slot is not None
        policy.connected(waiter.slot, 0.0)
        active.append(waiter.slot)
    active = active[min(stuck, connections - 1) :]
    policy.take_wake()
    for key in range(origins):
        for _ in range(3):
            policy.acquire(Waiter(key), 0.0)
    overtaken = dict.fromkeys(range(origins), 0)
    most = dials = 0
    steps = 40 * MAX_OVERTAKES * origins
    for step in range(steps):
        slot = active.pop(choices[step % len(choices)] % len(active))
        policy.release(slot, 0.0, reusable=True)
        for left in policy.take_closing():
            policy.closed(left)
        for waiter in policy.take_wake():
            assert waiter.slot is not None
            if waiter.slot.state == CONNECTING:
                dials += 1
                policy.connected(waiter.slot, 0.0)
                policy.take_wake()
            active.append(waiter.slot)
            for key in overtaken:
                overtaken[key] = 0 if key == waiter.key else overtaken[key] + 1
            most = max(most, *overtaken.values())
            policy.acquire(Waiter(waiter.key), 0.0)
    assert most <= (2 * MAX_OVERTAKES + 1) * origins
    assert dials <= steps // MAX_OVERTAKES
