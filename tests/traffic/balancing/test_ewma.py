import math
import random

from tests.traffic.balancing.members import NOW, counts, endpoint, endpoints
from uaitools.traffic.balancing import Ewma
from uaitools.traffic.endpoint import Endpoint

DECAY = 10.0


def ewma(members: list[Endpoint]) -> Ewma:
    return Ewma(members, DECAY, random.Random(5).random)


def observed(latency: float, *, failed: bool = False, at: float = NOW) -> Endpoint:
    """An endpoint that has been observed once."""
    made = endpoint("A")
    ewma([made]).observe(made, latency, at, failed=failed)
    return made


# -- the estimate -------------------------------------------------------------------------------


def test_before_its_first_answer_an_endpoint_has_no_estimate() -> None:
    a = endpoint("A")

    assert ewma([a]).estimate(a, NOW) is None
    assert ewma([a]).cost(a, NOW) == 0.0


def test_a_worse_observation_counts_at_once_and_whole() -> None:
    a = observed(0.1)
    ewma([a]).observe(a, 2.0, NOW + 0.001, failed=False)

    assert a.latency == 2.0


def test_a_better_observation_counts_by_the_time_since_the_last() -> None:
    a = observed(1.0)
    ewma([a]).observe(a, 0.2, NOW + DECAY, failed=False)

    assert math.isclose(a.latency, 0.2 + 0.8 / math.e)


def test_an_estimate_fades_while_nothing_is_observed() -> None:
    a = observed(1.0)
    balancer = ewma([a])

    assert math.isclose(balancer.estimate(a, NOW + DECAY) or 0, 1 / math.e)
    assert math.isclose(balancer.cost(a, NOW + DECAY), 1 / math.e)


def test_a_clock_that_seems_to_go_back_makes_nothing_worse() -> None:
    a = observed(1.0)

    assert ewma([a]).cost(a, NOW - 100) == 1.0
    ewma([a]).observe(a, 0.5, NOW - 100, failed=False)
    assert a.latency == 1.0


def test_calls_in_flight_make_an_endpoint_dearer_by_its_weight() -> None:
    a = observed(0.1)
    a.in_flight = 6
    light = ewma([a]).cost(a, NOW)
    a.weight = 3

    assert (light, ewma([a]).cost(a, NOW)) == (0.1 * 7, 0.1 * 3)


def test_a_quick_failure_makes_no_endpoint_look_good() -> None:
    assert observed(0.0001, failed=True).latency == 1.0, "nothing else is known of it"
    a = observed(0.3)
    ewma([a]).observe(a, 0.0001, NOW + 100, failed=True)
    assert a.latency == 0.6
    ewma([a]).observe(a, 5.0, NOW + 100, failed=True)
    assert a.latency == 5.0, "a timeout counts as long as it took"
    for _ in range(20):
        ewma([a]).observe(a, 0.0001, NOW + 100, failed=True)
    assert a.latency == 60.0, "and there is an end to it"


# -- choices ------------------------------------------------------------------------------------


def test_a_new_endpoint_gets_one_call_until_it_has_answered() -> None:
    a, b = observed(0.1), endpoint("B")
    balancer = ewma([a, b])

    assert counts(balancer, 5) == {"B": 5}, "nothing in flight: try it"
    b.in_flight = 1
    assert counts(balancer, 20) == {"A": 20}, "one in flight: wait what it does"
    balancer.observe(b, 0.01, NOW, failed=False)
    assert counts(balancer, 20) == {"B": 20}


class Simulation:
    """Calls one after the other at a steady rate, each answered after its endpoint's latency."""

    def __init__(self, latencies: dict[str, float]) -> None:
        self.latencies = latencies
        self.members = [endpoint(name) for name in latencies]
        self.balancer = ewma(self.members)
        self.now = NOW
        self.under_way: list[tuple[float, float, Endpoint]] = []

    def run(self, seconds: float, rate: float = 100.0) -> dict[str, int]:
        """How many calls each endpoint got."""
        got = dict.fromkeys(self.latencies, 0)
        for _ in range(int(seconds * rate)):
            self.now += 1 / rate
            self.answer()
            picked = self.balancer.pick(self.now)
            assert picked is not None
            got[picked.address] += 1
            picked.in_flight += 1
            done = self.now + self.latencies[picked.address]
            self.under_way.append((done, self.now, picked))
        return got

    def answer(self) -> None:
        for ended in [one for one in self.under_way if one[0] <= self.now]:
            self.under_way.remove(ended)
            done, sent, member = ended
            member.in_flight -= 1
            self.balancer.observe(member, done - sent, done, failed=False)


def test_a_slow_endpoint_is_avoided_and_gets_its_part_again_after_it_has_recovered() -> None:
    simulation = Simulation({"A": 0.01, "B": 0.01, "C": 0.01})
    before = simulation.run(20)
    assert min(before.values()) > 0.15 * sum(before.values())

    simulation.latencies["C"] = 1.0
    simulation.run(2)
    slow = simulation.run(30)
    assert slow["C"] < 0.01 * sum(slow.values()), slow

    simulation.latencies["C"] = 0.01
    simulation.run(60)
    after = simulation.run(20)
    assert after["C"] > 0.15 * sum(after.values()), after


def test_with_equal_latencies_two_endpoints_both_get_calls() -> None:
    got = Simulation({"A": 0.05, "B": 0.05}).run(30)

    assert min(got.values()) > 0.3 * sum(got.values()), got


def test_an_estimate_outlives_the_policy_that_made_it() -> None:
    a, b = endpoints(1, 1)
    first = ewma([a, b])
    first.observe(a, 0.5, NOW, failed=False)
    first.observe(b, 0.1, NOW, failed=False)

    assert counts(ewma([a, b]), 20) == {"B": 20}
