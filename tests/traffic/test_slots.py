from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.traffic.limits import NANO, Rate
from uaitools.traffic.slots import SLOT, Charge, QuotaCharge, RateCharge, SlotTable, fingerprint

# Steps between calls in nanoseconds: bursts, steady flows, pauses.
STEPS = st.lists(
    st.sampled_from((0, 1, 999, 10**6, 10**7, 99_999_999, 10**8, 10**8 + 1, 10**9, 10**10)),
    max_size=80,
)
RATES = st.builds(Rate, st.integers(1, 1000), st.sampled_from((1, 7, 60, 3600)), st.integers(1, 30))
START = 10**15


class Bucket:
    """A token bucket in fractions, after its own definition: the oracle."""

    def __init__(self, rate: Rate) -> None:
        self.speed = Fraction(rate.count, rate.period * NANO)
        self.size = Fraction(rate.burst)
        self.tokens = self.size
        self.at = START

    def has_one(self, at: int) -> bool:
        self.tokens = min(self.size, self.tokens + (at - self.at) * self.speed)
        self.at = at
        return self.tokens >= 1

    def take(self, at: int) -> bool:
        admitted = self.has_one(at)
        if admitted:
            self.tokens -= 1
        return admitted


class Tally:
    """Calls used of a quota, a period at a time: the oracle."""

    def __init__(self, count: int, length: int) -> None:
        self.count = count
        self.length = length
        self.used: dict[int, int] = {}

    def ends(self, at: int) -> int:
        return at - at % self.length + self.length

    def has_one(self, at: int) -> bool:
        return self.used.get(self.ends(at), 0) < self.count

    def take(self, at: int) -> bool:
        admitted = self.has_one(at)
        if admitted:
            self.used[self.ends(at)] = self.used.get(self.ends(at), 0) + 1
        return admitted


def table(slots: int = 64) -> SlotTable:
    return SlotTable(memoryview(bytearray(slots * SLOT)).cast("q"))


def charge(rate: Rate) -> RateCharge:
    return RateCharge(rate.interval, rate.capacity)


@given(RATES, STEPS)
@settings(max_examples=300)
def test_never_more_is_admitted_than_by_a_token_bucket(rate: Rate, steps: list[int]) -> None:
    slots, bucket = table(), Bucket(rate)
    at, admitted, allowed = START, 0, 0
    for step in steps:
        at += step
        allowed += bucket.take(at)
        admitted += slots.take(charge(rate), 77, at) >= 0
        assert admitted <= allowed


@given(RATES, STEPS)
@settings(max_examples=300)
def test_a_rate_that_nanoseconds_can_say_is_a_token_bucket(rate: Rate, steps: list[int]) -> None:
    if rate.period * NANO % rate.count:
        return
    slots, bucket = table(), Bucket(rate)
    at = START
    for step in steps:
        at += step
        left = slots.take(charge(rate), 77, at)
        assert (left >= 0) is bucket.take(at)
        if left >= 0:
            assert left // rate.interval == int(bucket.tokens)


@given(RATES, STEPS)
def test_who_waits_as_long_as_told_is_admitted_and_no_sooner(rate: Rate, steps: list[int]) -> None:
    slots = table()
    at = START
    for step in steps:
        at += step
        left = slots.take(charge(rate), 77, at)
        if left < 0:
            assert slots.take(charge(rate), 77, at - left - 1) < 0
            at -= left
            assert slots.take(charge(rate), 77, at) >= 0


def test_a_quota_counts_to_its_end_and_begins_anew_with_the_period() -> None:
    slots = table()
    quota = QuotaCharge(2, START + 100)

    assert [slots.take(quota, 77, START) for _ in range(3)] == [1, 0, -100]
    assert slots.take(quota, 78, START) == 1
    assert slots.take(quota, 77, START + 99) == -1
    quota.ends = START + 200
    assert slots.take(quota, 77, START + 100) == 1


def test_a_clock_that_is_set_back_lets_nothing_more_through() -> None:
    slots = table()
    assert slots.take(QuotaCharge(1, START + 100), 77, START) == 0

    assert slots.take(QuotaCharge(1, START + 10), 77, START + 1) == -99
    assert slots.take(QuotaCharge(1, START + 20), 77, START + 11) == -89


def test_a_refused_call_costs_nothing() -> None:
    slots, rate = table(), charge(Rate(1, 10, 1))
    slots.take(rate, 77, START)
    for second in range(1, 10):
        assert slots.take(rate, 77, START + second * NANO) == (second - 10) * NANO

    assert slots.take(rate, 77, START + 10 * NANO) == 0


# -- many keys over few slots -------------------------------------------------------------------

KINDS = (
    Rate(2, 1, 2),
    Rate(1000, 1, 3),
    Rate(1, 60, 1),
    (3, 10**9),
    (1, 10**11),
)
MARKS = st.integers(-40, 40).map(lambda n: n * 8 + 3 if abs(n * 8 + 3) > 8 else 11)


class Model:
    """A limit and its oracles, one a key."""

    def __init__(self, number: int) -> None:
        self.number = number
        kind = KINDS[number]
        self.rate = kind if isinstance(kind, Rate) else None
        self.quota = None if isinstance(kind, Rate) else kind
        self.keys: dict[int, Bucket | Tally] = {}

    def charge(self, at: int) -> Charge:
        if self.rate is not None:
            return charge(self.rate)
        assert self.quota is not None
        return QuotaCharge(self.quota[0], Tally(*self.quota).ends(at))

    def oracle(self, mark: int) -> "Bucket | Tally":
        if mark not in self.keys:
            if self.rate is not None:
                self.keys[mark] = Bucket(self.rate)
            else:
                assert self.quota is not None
                self.keys[mark] = Tally(*self.quota)
        return self.keys[mark]


CALLS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, len(KINDS) - 1), MARKS), min_size=1, max_size=4),
        st.sampled_from((0, 0, 0, 1, 10**6, 10**8, 10**9)),
    ),
    max_size=150,
)


@given(CALLS, st.lists(st.integers(0, 9), min_size=len(KINDS), max_size=len(KINDS)))
@settings(max_examples=1000)
def test_however_crowded_the_table_no_key_of_any_limit_ever_gets_more_than_its_limit(
    calls: list[tuple[list[tuple[int, int]], int]], limits: list[int]
) -> None:
    slots = table(8)  # one set: every mark competes with every other
    models = [Model(number) for number in range(len(KINDS))]
    at = START
    for wanted, step in calls:
        at += step
        asked = [
            # Several limits may have the same bits above, and keys of one limit differ there.
            (models[n], (limits[n] + m % 3) << 48 | abs(m) * len(KINDS) * 8 + n * 8)
            for n, m in dict(wanted).items()
        ]
        allowed = all(model.oracle(mark).has_one(at) for model, mark in asked)
        left = slots.take_all([m.charge(at) for m, _ in asked], [mark for _, mark in asked], at)
        if min(left) >= 0:
            assert allowed
            for model, mark in asked:
                model.oracle(mark).take(at)


@given(CALLS)
def test_with_room_for_all_each_key_gets_all_that_its_limit_allows(
    calls: list[tuple[list[tuple[int, int]], int]],
) -> None:
    slots = table(4096)
    models = [Model(number) for number in (0, 1, 2, 3, 4)]
    at = START
    for wanted, step in calls:
        at += step
        # Homes far apart: a mark here is its own place.
        asked = [(models[n], 8 * (5 * (m // 8 + 50) + n)) for n, m in dict(wanted).items()]
        allowed = all(model.oracle(mark).has_one(at) for model, mark in asked)
        left = slots.take_all([m.charge(at) for m, _ in asked], [mark for _, mark in asked], at)
        assert (min(left) >= 0) is allowed
        if allowed:
            for model, mark in asked:
                model.oracle(mark).take(at)


@given(CALLS)
def test_several_alone_are_charged_as_one_by_one(
    calls: list[tuple[list[tuple[int, int]], int]],
) -> None:
    one, several = table(8), table(8)
    models = [Model(number) for number in range(len(KINDS))]
    at = START
    for wanted, step in calls:
        at += step
        number, mark = wanted[0]
        cost = models[number].charge(at)
        assert [one.take(cost, mark + number, at)] == several.take_all([cost], [mark + number], at)


def test_what_one_limit_refuses_is_not_charged_to_the_others() -> None:
    slots = table()
    wide, narrow = charge(Rate(10, 60, 10)), QuotaCharge(1, START + NANO)
    assert min(slots.take_all([wide, narrow], [77, 78], START)) == 0

    for _ in range(20):
        assert slots.take_all([wide, narrow], [77, 78], START)[1] == -NANO

    assert slots.take(wide, 77, START) // wide.interval == 8


def test_a_limit_asked_twice_in_one_call_is_charged_twice() -> None:
    slots, quota = table(), QuotaCharge(3, START + NANO)

    assert slots.take_all([quota, quota], [77, 77], START) == [2, 1]
    assert slots.take_all([quota, quota], [77, 77], START) == [0, -NANO]
    assert slots.take(quota, 77, START) == 0


def test_a_flood_of_keys_admits_what_the_table_has_slots_for_and_one_shared_bucket_a_set() -> None:
    slots, rate = table(64), charge(Rate(2, 60, 2))

    admitted = sum(
        slots.take(rate, fingerprint(1, b"%d" % key), START) >= 0 for key in range(10_000)
    )

    # The eighth slot of each set has become the shared one after its own key took 1 of 2.
    assert admitted == 64 + 64 // 8
    assert slots.live(START) == 64


@pytest.mark.parametrize("kind", [charge(Rate(5, 3600, 5)), QuotaCharge(5, START + 10**12)])
def test_a_flood_of_one_limit_s_keys_leaves_those_of_others_all_they_may_have(kind: Charge) -> None:
    slots, other = table(64), charge(Rate(2, 3600, 2))
    for key in range(10_000):
        slots.take(kind, fingerprint(1, b"%d" % key), START)

    for key in range(8):
        mark = fingerprint(2, b"%d" % key)
        assert [slots.take(other, mark, START) >= 0 for _ in range(3)] == [True, True, False]
    assert sum(slots.take(kind, fingerprint(1, b"%d" % n), START) >= 0 for n in range(10_000)) < 300


def test_a_flood_does_not_renew_what_a_known_key_has_used() -> None:
    slots, rate = table(8), charge(Rate(2, 60, 2))
    assert [slots.take(rate, 1 << 10, START) for _ in range(2)][-1] == 0

    for key in range(10_000):
        slots.take(rate, fingerprint(1, b"%d" % key), START)

    assert slots.take(rate, 1 << 10, START) < 0


def test_quotas_that_fill_a_set_leave_rates_a_slot() -> None:
    slots, rate, quota = table(8), charge(Rate(1, 1, 1)), QuotaCharge(5, START + NANO)
    for key in range(8):
        slots.take(quota, 8 * key + 100, START)

    assert slots.take(rate, 1000, START) == 0
    assert slots.take(rate, 1000, START) < 0
    for key in range(8):
        assert slots.take(quota, 8 * key + 100, START) >= 0


def test_slots_whose_time_has_passed_are_used_again() -> None:
    slots, rate = table(8), charge(Rate(1, 1, 1))
    for second in range(100):
        for key in range(8):
            assert slots.take(rate, 1000 * second + key + 10, START + second * (NANO + 1)) == 0


def test_a_fingerprint_tells_limits_and_keys_apart_and_is_never_a_marker() -> None:
    marks = {fingerprint(limit, b"%d" % key) for limit in range(10) for key in range(1000)}

    assert len(marks) == 10_000
    assert not marks & {0, 1, 2}


@pytest.mark.parametrize("size", [0, 3 * 7 * 8, 3 * 12 * 8, 100 * 8])
def test_a_table_is_a_power_of_two_of_slots(size: int) -> None:
    with pytest.raises(ValueError, match="2\\*\\*n"):
        SlotTable(memoryview(bytearray(size)).cast("q"))
