from collections import Counter
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.traffic.balancing.members import LATER, NOW, endpoint, key
from uaitools.traffic.balancing import ConsistentHash
from uaitools.traffic.balancing.ring import Ring, hashed
from uaitools.traffic.breaker import BreakerPolicy, Cause
from uaitools.traffic.endpoint import Endpoint

KEYS = 10_000


def fleet(count: int, weight: int = 1) -> list[Endpoint]:
    return [endpoint(f"10.0.0.{number}:80", weight) for number in range(count)]


def placed(members: list[Endpoint], now: float = NOW) -> list[str]:
    """Where each key goes in an idle service."""
    balancer = ConsistentHash(members)
    found = [balancer.pick(now, (), key(number)) for number in range(KEYS)]
    return [each.address if each else "none" for each in found]


def moved(before: list[str], after: list[str]) -> int:
    return sum(one != other for one, other in zip(before, after, strict=True))


# -- keys and endpoints -------------------------------------------------------------------------


def test_a_hash_is_the_same_in_every_process() -> None:
    assert hashed(b"uaitools") == 0xFE193F49AD135759


def test_a_key_stays_where_it_is_and_the_order_of_the_endpoints_does_not_matter() -> None:
    members = fleet(5)

    assert placed(members) == placed(members[::-1]) == placed(fleet(5))


@pytest.mark.parametrize("count", [3, 10, 50])
def test_when_an_endpoint_leaves_only_its_keys_move(count: int) -> None:
    members = fleet(count)
    before, after = placed(members), placed(members[:-1])
    gone = members[-1].address

    assert moved(before, after) == before.count(gone)
    assert before.count(gone) <= 1.5 * KEYS / count
    heirs = {new for old, new in zip(before, after, strict=True) if old == gone}
    assert len(heirs) >= min(count - 1, 20), "they are spread over the others"


@pytest.mark.parametrize("count", [3, 10, 50])
def test_when_an_endpoint_joins_all_that_moves_goes_to_it(count: int) -> None:
    members = fleet(count + 1)
    before, after = placed(members[:-1]), placed(members)

    assert moved(before, after) == after.count(members[-1].address)
    assert moved(before, after) <= 1.5 * KEYS / (count + 1)


def test_an_ejected_endpoint_s_keys_move_alone_and_return_with_it() -> None:
    members = fleet(5)
    before = placed(members)
    balancer = ConsistentHash(members)
    members[2].breaker.eject(NOW, Cause.CONNECT, LATER)
    balancer.refresh()
    during = [(balancer.pick(NOW, (), key(number)) or members[0]).address for number in range(KEYS)]

    assert moved(before, during) == before.count(members[2].address)

    members[2].breaker.success(members[2].breaker.admit(LATER), LATER)
    over = LATER + BreakerPolicy().ramp
    assert placed(members, over) == before


def test_while_an_endpoint_ramps_up_its_keys_return_one_by_one_and_stay() -> None:
    members = fleet(4)
    name = members[1].address
    own = placed(members).count(name)
    members[1].breaker.eject(NOW, Cause.CONNECT, LATER)
    members[1].breaker.success(members[1].breaker.admit(LATER), LATER)
    ramp = BreakerPolicy().ramp

    returned: set[int] = set()
    for part in (0.1, 0.25, 0.5, 0.9):
        found = placed(members, LATER + part * ramp)
        here = {number for number, each in enumerate(found) if each == name}
        assert returned <= here
        assert abs(len(here) - part * own) < 0.05 * own
        returned = here


@pytest.mark.parametrize("count", [2, 5, 20])
def test_keys_are_spread_evenly(count: int) -> None:
    seen = Counter(placed(fleet(count)))

    assert max(seen.values()) < 1.35 * KEYS / count
    assert min(seen.values()) > 0.65 * KEYS / count


def test_keys_are_spread_by_weight() -> None:
    members = fleet(4)
    for member, weight in zip(members, (1, 2, 3, 4), strict=True):
        member.weight = weight
    seen = Counter(placed(members))

    for member in members:
        assert 0.7 < seen[member.address] / (KEYS * member.weight / 10) < 1.3


def test_a_changed_weight_moves_keys_to_or_from_that_endpoint_only() -> None:
    members = fleet(5, weight=4)
    before = placed(members)
    members[3].weight = 2
    after = placed(members)

    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert pairs
    assert {old for old, _ in pairs} == {members[3].address}


def test_a_ring_is_built_again_for_other_weights_only() -> None:
    members = fleet(3)
    ring = Ring(members)

    assert ring.made_of(members)
    members[0].weight = 2
    assert not ring.made_of(members)
    assert not ring.made_of(members[1:])


# -- bounded load -------------------------------------------------------------------------------


def limit(members: list[Endpoint], one: Endpoint) -> int:
    """What `one` may have with one call more than now: the bound of the paper, by weight."""
    calls = 1 + sum(member.in_flight for member in members)
    return ceil(1.25 * calls * (one.weight / sum(member.weight for member in members)))


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=200),
)
@settings(deadline=None, max_examples=150)
def test_no_pick_brings_an_endpoint_over_its_bound(
    weights: list[int], steps: list[tuple[int, bool]]
) -> None:
    members = [endpoint(f"e{number}", weight) for number, weight in enumerate(weights)]
    balancer = ConsistentHash(members)
    busy: list[Endpoint] = []
    for number, ends in steps:
        if ends and busy:
            busy.pop(number % len(busy)).in_flight -= 1
            continue
        picked = balancer.pick(NOW, (), key(number))
        assert picked is not None
        assert picked.in_flight < limit(members, picked)
        picked.in_flight += 1
        busy.append(picked)


def test_one_hot_key_spreads_over_the_others_no_further_than_it_has_to() -> None:
    members = fleet(10)
    balancer = ConsistentHash(members)
    for _ in range(100):
        picked = balancer.pick(NOW, (), key(1))
        assert picked is not None
        picked.in_flight += 1

    loads = sorted(member.in_flight for member in members)
    assert loads[-1] <= 13, "ceil(1.25 * 100 / 10)"
    assert loads[0] < 10, "those at the end of its walk get less than their part"


def test_with_one_call_at_a_time_a_key_never_leaves_its_endpoint() -> None:
    members = fleet(3)
    members[0].in_flight = members[1].in_flight = 5
    balancer = ConsistentHash(members)
    home = Ring(members).owner(key(1))
    assert home is not None
    for member in members:
        member.in_flight = 0

    assert {balancer.pick(NOW, (), key(1)) for _ in range(50)} == {home}


def test_an_endpoint_that_is_out_does_not_count_for_the_bound() -> None:
    members = fleet(4)
    members[0].breaker.eject(NOW, Cause.CONNECT, LATER)
    members[0].in_flight = 500  # that are still under way there
    balancer = ConsistentHash(members)
    for number in range(90):
        picked = balancer.pick(NOW, (), key(number))
        assert picked is not None
        picked.in_flight += 1

    assert max(member.in_flight for member in members[1:]) <= 38, "ceil(1.25 * 90 / 3)"


def test_backups_have_a_ring_of_their_own() -> None:
    members = fleet(4)
    before = placed(members)
    spare = [endpoint(f"10.9.9.{number}:80", backup=True) for number in range(3)]

    assert placed([*members, *spare]) == before
    for member in members:
        member.breaker.eject(NOW, Cause.CONNECT, LATER)
    balancer = ConsistentHash([*members, *spare])
    found = {balancer.pick(NOW, (), key(number)) for number in range(100)}
    assert found == set(spare)
