from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.traffic.balancing import RoundRobin
from uaitools.traffic.breaker import BreakerPolicy, Cause, CircuitBreaker
from uaitools.traffic.endpoint import Endpoint

NOW = 1000.0
LATER = NOW + 5000.0
WEAK = (Cause.RATIO, Cause.CHECK, Cause.REGISTRY)
STRONG = (Cause.FAILURES, Cause.CONNECT)


def endpoint(name: str, weight: int = 1, cause: Cause | None = None) -> Endpoint:
    """An endpoint that is healthy or, with a cause, ejected until LATER."""
    made = Endpoint(name, weight, CircuitBreaker(), 1000)
    if cause is not None:
        made.breaker.eject(NOW, cause, LATER)
    return made


def endpoints(*weights: int) -> list[Endpoint]:
    return [endpoint(chr(ord("A") + i), weight) for i, weight in enumerate(weights)]


def picks(balancer: RoundRobin, count: int, now: float = NOW) -> list[str]:
    found = [balancer.pick(now) for _ in range(count)]
    return [each.address if each else "none" for each in found]


def nginx(weights: list[int], count: int) -> list[str]:
    """The scheme of ngx_http_upstream_get_peer, written down anew."""
    current = [0] * len(weights)
    chosen = []
    for _ in range(count):
        best = -1
        for i, weight in enumerate(weights):
            current[i] += weight
            if best < 0 or current[i] > current[best]:
                best = i
        current[best] -= sum(weights)
        chosen.append(chr(ord("A") + best))
    return chosen


# -- weights ------------------------------------------------------------------------------------


def test_weights_are_interleaved() -> None:
    assert "".join(picks(RoundRobin(endpoints(5, 1, 1)), 14)) == "AABACAAAABACAA"


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
@settings(deadline=None)
def test_a_cycle_gives_each_exactly_its_weight(weights: list[int]) -> None:
    counts = Counter(picks(RoundRobin(endpoints(*weights)), sum(weights)))

    assert counts == {chr(ord("A") + i): weight for i, weight in enumerate(weights)}


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
@settings(deadline=None)
def test_the_order_is_nginx_s(weights: list[int]) -> None:
    count = 2 * sum(weights)

    assert picks(RoundRobin(endpoints(*weights)), count) == nginx(weights, count)


@given(st.lists(st.integers(300, 1000), min_size=3, max_size=6))
@settings(deadline=None, max_examples=30)
def test_weights_too_heavy_to_lay_out_a_cycle_keep_the_order(weights: list[int]) -> None:
    assert picks(RoundRobin(endpoints(*weights)), 300) == nginx(weights, 300)


def test_a_changed_weight_counts_from_the_next_refresh() -> None:
    both = endpoints(1, 1)
    balancer = RoundRobin(both)
    picks(balancer, 1)

    both[0].weight = 3
    balancer.refresh()

    assert Counter(picks(balancer, 8)) == {"A": 6, "B": 2}


def test_without_endpoints_nothing_is_picked() -> None:
    assert RoundRobin([]).pick(NOW) is None


# -- availability -------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=6).filter(
        lambda chosen: 2 * sum(out for _, out in chosen) <= len(chosen)
    )
)
@settings(deadline=None)
def test_what_is_ejected_gets_nothing_and_the_others_their_weights(
    chosen: list[tuple[int, bool]],
) -> None:
    every = [
        endpoint(str(i), weight, Cause.RATIO if out else None)
        for i, (weight, out) in enumerate(chosen)
    ]
    left = {str(i): weight for i, (weight, out) in enumerate(chosen) if not out}

    assert Counter(picks(RoundRobin(every), sum(left.values()))) == left


def test_a_full_endpoint_is_passed_over() -> None:
    a, b = endpoints(1, 1)
    balancer = RoundRobin([a, b])
    a.in_flight = a.max_requests

    assert picks(balancer, 4) == ["B"] * 4
    b.in_flight = b.max_requests
    assert balancer.pick(NOW) is None


def test_what_was_tried_is_avoided_while_another_is_left() -> None:
    a, b, c = endpoints(5, 1, 1)
    balancer = RoundRobin([a, b, c])

    assert {balancer.pick(NOW, (a,)) for _ in range(4)} == {b, c}
    assert balancer.pick(NOW, (a, b)) is c
    assert balancer.pick(NOW, (a, b, c)) in (a, b, c)


def test_what_was_tried_is_tried_again_when_the_others_are_out() -> None:
    a, b = endpoint("A"), endpoint("B", cause=Cause.CONNECT)

    assert RoundRobin([a, b]).pick(NOW, (a,)) is a


def test_a_probe_that_is_due_is_picked_in_its_turn_and_once() -> None:
    a, b = endpoint("A"), endpoint("B", cause=Cause.CONNECT)
    balancer = RoundRobin([a, b])

    assert set(picks(balancer, 4, LATER - 1)) == {"A"}
    assert "B" in picks(balancer, 2, LATER)
    b.breaker.admit(LATER)
    assert set(picks(balancer, 4, LATER)) == {"A"}


def test_an_endpoint_that_ramps_up_gets_the_part_of_its_weight() -> None:
    a, b = endpoint("A"), endpoint("B", cause=Cause.CONNECT)
    balancer = RoundRobin([a, b])
    b.breaker.success(b.breaker.admit(LATER), LATER)

    quarter = LATER + BreakerPolicy().ramp / 4

    assert Counter(picks(balancer, 500, quarter)) == {"A": 400, "B": 100}


def test_once_all_are_healthy_the_cycle_is_walked_again() -> None:
    a, b = endpoint("A"), endpoint("B", cause=Cause.CONNECT)
    balancer = RoundRobin([a, b])
    b.breaker.success(b.breaker.admit(LATER), LATER)
    over = LATER + BreakerPolicy().ramp

    balancer.pick(over)
    balancer.refresh()

    assert b.healthy
    assert Counter(picks(balancer, 10, over)) == {"A": 5, "B": 5}


# -- panic --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", WEAK)
def test_with_more_than_half_out_weak_evidence_is_overruled(cause: Cause) -> None:
    every = [endpoint("A"), endpoint("B", 1, cause), endpoint("C", 2, cause)]

    assert Counter(picks(RoundRobin(every), 8)) == {"A": 2, "B": 2, "C": 4}


@pytest.mark.parametrize("cause", STRONG)
def test_with_more_than_half_out_strong_evidence_stands(cause: Cause) -> None:
    every = [endpoint("A"), endpoint("B", 1, cause), endpoint("C", 2, Cause.RATIO)]

    assert Counter(picks(RoundRobin(every), 6)) == {"A": 2, "C": 4}
    alone = [endpoint("B", 1, cause), endpoint("C", 1, cause)]
    assert RoundRobin(alone).pick(NOW) is None


def test_with_half_out_there_is_no_panic() -> None:
    every = [endpoint("A"), endpoint("B", 1, Cause.RATIO)]

    assert picks(RoundRobin(every), 4) == ["A"] * 4


def test_an_endpoint_that_ramps_up_is_not_out() -> None:
    a, b = endpoint("A"), endpoint("B", 1, Cause.RATIO)
    c = endpoint("C", 1, Cause.CONNECT)
    c.breaker.eject(NOW, Cause.CONNECT, NOW + 1)
    c.breaker.success(c.breaker.admit(NOW + 1), NOW + 1)

    assert set(picks(RoundRobin([a, b, c]), 100, NOW + 1)) == {"A", "C"}


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from((None, *WEAK, *STRONG))), max_size=7))
@settings(deadline=None)
def test_a_panic_shares_by_weight_and_never_reaches_strong_evidence(
    chosen: list[tuple[int, Cause | None]],
) -> None:
    every = [endpoint(str(i), weight, cause) for i, (weight, cause) in enumerate(chosen)]
    out = sum(1 for _, cause in chosen if cause is not None)
    allowed = (None, *WEAK) if 2 * out > len(chosen) else (None,)
    expected = {str(i): w for i, (w, cause) in enumerate(chosen) if cause in allowed}

    counts = Counter(picks(RoundRobin(every), sum(expected.values()) or 1))

    assert counts == (expected or {"none": 1})


def test_a_panic_respects_the_limit_of_requests_in_flight() -> None:
    a, b, c = endpoint("A"), endpoint("B", 1, Cause.RATIO), endpoint("C", 1, Cause.RATIO)
    b.in_flight = b.max_requests

    assert set(picks(RoundRobin([a, b, c]), 4)) == {"A", "C"}
