"""How policies of chance share calls out: by weight, and with shorter queues for two choices."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from tests.traffic.balancing.members import CRITICAL, NOW, chi_square, counts, endpoint, endpoints
from uaitools.traffic.balancing import Balancer, LeastRequests, Random, RoundRobin
from uaitools.traffic.balancing.draw import Urn
from uaitools.traffic.breaker import BreakerPolicy, Cause
from uaitools.traffic.endpoint import Endpoint

Policy = Callable[[list[Endpoint], random.Random], Balancer]

BY_CHANCE: dict[str, Policy] = {
    "random": lambda members, chance: Random(members, chance.random),
    "least_requests": lambda members, chance: LeastRequests(members, chance.random),
}
by_chance = pytest.mark.parametrize("policy", BY_CHANCE.values(), ids=BY_CHANCE)


@by_chance
@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (5, 1, 1), (1, 2, 3, 4), (1000, 1)])
def test_an_idle_service_is_shared_out_by_weight(policy: Policy, weights: tuple[int, ...]) -> None:
    members = endpoints(*weights)
    seen = counts(policy(members, random.Random(11)), 20_000)

    expected = {member.address: float(member.weight) for member in members}
    assert chi_square(seen, expected) < CRITICAL[len(weights) - 1]


@by_chance
def test_what_is_ejected_gets_nothing_and_the_others_their_weights(policy: Policy) -> None:
    members = [endpoint("A", 2), endpoint("B", 7, Cause.CONNECT), endpoint("C", 1)]
    seen = counts(policy(members, random.Random(12)), 20_000)

    assert chi_square(seen, {"A": 2.0, "C": 1.0}) < CRITICAL[1]


@by_chance
def test_an_endpoint_that_ramps_up_gets_the_part_of_its_weight(policy: Policy) -> None:
    a, b = endpoint("A"), endpoint("B", 1, Cause.CONNECT)
    balancer = policy([a, b], random.Random(13))
    later = b.breaker.until
    b.breaker.success(b.breaker.admit(later), later)
    seen = counts(balancer, 20_000, later + BreakerPolicy().ramp / 4)

    assert chi_square(seen, {"A": 4.0, "B": 1.0}) < CRITICAL[1]


def test_two_draws_are_two_endpoints_each_as_likely_as_its_weight_among_the_rest() -> None:
    members = endpoints(3, 2, 1)
    urn = Urn(members, [3.0, 2.0, 1.0])
    chance = random.Random(14)
    pairs: Counter[str] = Counter()
    for _ in range(40_000):
        drawn = urn.two(chance.random)
        assert drawn is not None
        assert drawn[0] is not drawn[1]
        pairs[drawn[0].address + drawn[1].address] += 1

    weights = {"A": 3.0, "B": 2.0, "C": 1.0}
    expected = {
        first + second: weights[first] * weights[second] / (6.0 - weights[first])
        for first in weights
        for second in weights
        if first != second
    }
    assert chi_square(pairs, expected) < 25.74, "1 in 10,000 with 5 degrees of freedom"


def test_of_two_the_one_with_less_in_flight_for_its_weight_is_taken() -> None:
    a, b = endpoints(4, 1)
    balancer = LeastRequests([a, b], random.Random(1).random)

    a.in_flight, b.in_flight = 3, 1
    assert counts(balancer, 20) == {"A": 20}
    a.in_flight, b.in_flight = 5, 1
    assert counts(balancer, 20) == {"B": 20}


def longest_queue(balancer: Balancer, members: list[Endpoint], slow: Endpoint) -> int:
    """Calls come at 75 % of what all can do; `slow` does half of what each other does.

    A plain simulation: 12 of 16 slots of work a tick, the longest queue of its second half.
    """
    longest = 0
    for tick in range(4000):
        for _ in range(6):
            picked = balancer.pick(NOW + tick)
            assert picked is not None
            picked.in_flight += 1
        for member in members:
            done = tick % 2 if member is slow else 1
            member.in_flight = max(0, member.in_flight - done)
        if tick >= 2000:
            longest = max(longest, *(member.in_flight for member in members))
    return longest


def test_two_choices_beat_chance_and_turns_where_one_endpoint_is_slow() -> None:
    def run(make: Callable[[list[Endpoint]], Balancer]) -> int:
        members = endpoints(*[1] * 8)
        for member in members:
            member.max_requests = 1_000_000
        return longest_queue(make(members), members, members[0])

    chosen = run(lambda members: LeastRequests(members, random.Random(3).random))

    assert chosen <= 8
    assert run(lambda members: Random(members, random.Random(3).random)) > 10 * chosen
    assert run(RoundRobin) > 10 * chosen
