"""When a registration says what, with a clock and dice of the test's own."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from uaitools.registry.client.backoff import Backoff
from uaitools.registry.client.lease import Lease, Step
from uaitools.registry.client.timing import USUAL

EVENTS = st.lists(
    st.sampled_from(["ok", "away", "forgotten", "refused", "epoch"]), min_size=1, max_size=80
)
ROUNDING = 1e-6


@given(EVENTS, st.sampled_from([0.0, 3.0, 30.0, 86_400.0]), st.integers())
def test_a_lease_says_the_right_thing_in_time(events: list[str], ttl: float, seed: int) -> None:
    lease = Lease(0.0, USUAL, random.Random(seed).random)
    now, epoch, said = 0.0, 0, -1.0
    registered = 0.0
    assert (lease.step, lease.due) == (Step.REGISTER, 0.0)
    for event in events:
        assert lease.due >= now
        now = lease.due
        step = lease.step
        if event == "away":
            lease.failed(now)
            assert lease.step is step
            known = lease.generation is not None  # and its ttl with it
            bound = min(USUAL.cap, ttl / 3) if known and ttl else USUAL.cap
            assert lease.due - now <= bound + ROUNDING
        elif event == "refused":
            lease.refused(USUAL.refused, now)
            assert USUAL.refused * 0.75 - ROUNDING <= lease.due - now <= USUAL.refused + ROUNDING
        elif step is Step.REGISTER:
            epoch += event == "epoch"
            lease.registered(7, str(epoch), ttl, USUAL.full, now)
            registered = said = now
            assert lease.step is Step.HEARTBEAT
        elif event == "forgotten":
            lease.forgotten(now)
            assert (lease.step, lease.due) == (Step.REGISTER, now)
        else:
            epoch += event == "epoch"
            lease.heard(str(epoch), now)
            said = now
            if event == "epoch" or now >= registered + USUAL.full:
                assert (lease.step, lease.due) == (Step.REGISTER, now)
        if event in ("ok", "epoch") and ttl and said == now:
            assert lease.due - now <= ttl / 3 + ROUNDING


def test_who_is_drained_says_every_second_what_is_still_under_way() -> None:
    lease = Lease(0.0, USUAL, random.Random(1).random)
    lease.registered(7, "e", 30.0, USUAL.full, 0.0)
    lease.heard("e", 5.0, draining=True)
    assert (lease.step, lease.due) == (Step.HEARTBEAT, 6.0)
    lease.heard("e", 6.0)
    assert lease.due > 12.0
    lease.heard("e", 20.0, draining=True)
    lease.registered(7, "e", 300.0, USUAL.full, 20.5)  # which it says again now and then
    assert (lease.step, lease.due) == (Step.HEARTBEAT, 21.5)
    lease.heard("e", 21.5)
    lease.registered(7, "e", 1.0, USUAL.full, 22.0)
    lease.heard("e", 22.0, draining=True)
    assert lease.due <= 22.0 + 1.0 / 3


def test_a_fleet_is_never_in_step() -> None:
    dice = random.Random(1)
    fleet = [Lease(0.0, USUAL, dice.random) for _ in range(1000)]
    for lease in fleet:
        lease.registered(1, "e", 30.0, USUAL.full, 0.0)

    watched = [Lease(0.0, USUAL, dice.random) for _ in range(1000)]
    for lease in watched:
        lease.registered(1, "e", 0.0, USUAL.full, 0.0)  # no heartbeats: only all, once a minute
    assert all(USUAL.full * 0.75 <= one.due <= USUAL.full for one in watched)
    assert max(sum(s <= one.due < s + 1 for one in watched) for s in range(60)) < 150

    in_second = [sum(second <= one.due < second + 1 for one in fleet) for second in range(10)]
    assert max(in_second) < 150  # 100 if they were spread evenly


def test_all_is_said_again_within_a_minute_and_never_before_a_heartbeat() -> None:
    lease = Lease(0.0, USUAL, lambda: 1.0)
    lease.registered(1, "e", 30.0, USUAL.full, 0.0)
    said = []
    while lease.due < 200.0:
        now = lease.due
        said.append((now, lease.step))
        if lease.step is Step.REGISTER:
            lease.registered(1, "e", 30.0, USUAL.full, now)
        else:
            lease.heard("e", now)

    full = [now for now, step in said if step is Step.REGISTER]
    assert full == [60.0, 120.0, 180.0]
    assert all(
        said[place - 1][1] is Step.HEARTBEAT
        for place in range(1, len(said))
        if said[place][1] is Step.REGISTER
    )


def test_the_first_attempts_are_immediate_and_later_ones_wait_up_to_the_cap() -> None:
    backoff = Backoff(10.0, immediate=2, uniform=lambda: 1.0)

    assert [backoff.failed() for _ in range(9)] == [0, 0, 0.25, 0.5, 1, 2, 4, 8, 10]
    backoff.succeeded()
    assert backoff.failed() == 0


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_anywhere_below_its_bound(failures: int, dice: float) -> None:
    backoff = Backoff(10.0, uniform=lambda: dice)
    pauses = [backoff.failed() for _ in range(failures)]

    assert all(0 <= pause <= 10.0 * dice for pause in pauses)
