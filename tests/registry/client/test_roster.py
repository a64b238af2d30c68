"""The roster: which instances a call may go to, and what of them outlives a new list."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.errors import ServiceError
from uaitools.registry.client.calls.policy import CallPolicy
from uaitools.registry.client.calls.roster import Roster
from uaitools.registry.client.member import Member
from uaitools.registry.client.view import View
from uaitools.registry.evidence import State as Health
from uaitools.traffic.breaker import BreakerPolicy, State
from uaitools.traffic.endpoint import Endpoint

NOW = 1000.0
POLICY = CallPolicy(balance="round_robin", breaker=BreakerPolicy(ramp=10.0))

members = st.builds(
    Member,
    id=st.sampled_from("abcdefgh"),
    name=st.just("x"),
    address=st.sampled_from(["10.0.0.1", "10.0.0.2"]),
    port=st.integers(1, 3),
    scheme=st.sampled_from(["http", "https", "ws", "wss", "tcp"]),
    zone=st.sampled_from(["", "eu", "us"]),
    weight=st.integers(0, 5),
    generation=st.integers(1, 3),
    health=st.sampled_from(list(Health)),
)
views = st.builds(
    lambda epoch, found: View("x", tuple(found), 1, epoch),
    st.sampled_from(["e", "f"]),
    st.lists(members, max_size=8, unique_by=lambda member: member.id),
)


def roster(*found: Member, zone: str = "", policy: CallPolicy = POLICY) -> Roster:
    made = Roster("x", policy, NOW, zone=zone)
    made.apply(View("x", found, 1, "e"))
    return made


def member(name: str, **fields: Any) -> Member:
    return replace(Member(name, "x", "10.0.0.1", 80 + ord(name) - ord("a")), **fields)


def places(made: Roster) -> dict[str, Endpoint]:
    return {made.member(endpoint).id: endpoint for endpoint in made.endpoints}


def picks(made: Roster, count: int, now: float = NOW) -> Counter[str]:
    return Counter(made.member(made.pick(now)).id for _ in range(count))


@given(st.sampled_from(["", "eu"]), st.lists(views, min_size=1, max_size=4))
def test_whoever_is_picked_is_in_the_last_list_and_may_be_called(
    zone: str, seen: list[View]
) -> None:
    made = Roster("x", POLICY, NOW, zone=zone)
    for view in seen:
        made.apply(view)

    served = {
        one.id: one
        for one in seen[-1].members
        if one.health in ("passing", "degraded", "suspect") and one.weight and one.scheme != "tcp"
    }
    assert {made.member(e).id: made.member(e) for e in made.endpoints} == served
    if not served:
        with pytest.raises(ServiceError) as caught:
            made.pick(NOW)
        assert caught.value.code == 503
        return
    best = [one for one in served.values() if one.health != "suspect"]
    for _ in range(20):
        picked = made.member(made.pick(NOW))
        assert picked in (best or served.values())
        home = [one for one in best if zone and one.zone == zone]
        alive = sum(one.weight for one in home)
        listed = [m for m in seen[-1].members if m.zone == zone and m.scheme != "tcp"]
        if alive and 2 * alive >= sum(one.weight for one in listed):
            assert picked.zone == zone


@given(views, views)
def test_an_endpoint_stays_the_same_exactly_while_its_process_does(old: View, new: View) -> None:
    made = Roster("x", POLICY, NOW)
    made.apply(old)
    before = places(made)
    known = {one.id: one for one in old.members}
    made.apply(new)

    for name, endpoint in places(made).items():
        one, other = known.get(name), made.member(endpoint)
        same = (
            one is not None
            and one.scheme != "tcp"
            and (one.address, one.port, one.scheme) == (other.address, other.port, other.scheme)
            and (one.generation == other.generation or old.epoch != new.epoch)
        )
        if name in before:
            assert (before[name] is endpoint) is same


@given(st.lists(views, min_size=1, max_size=4))
def test_weights_are_in_proportion_and_the_degraded_have_half(seen: list[View]) -> None:
    made = Roster("x", POLICY, NOW)
    for view in seen:
        made.apply(view)

    ratios = set()
    for endpoint in made.endpoints:
        one = made.member(endpoint)
        ratios.add(Fraction(endpoint.weight, (1 if one.health == "degraded" else 2) * one.weight))
    assert len(ratios) <= 1


def test_who_is_taken_out_and_brought_back_keeps_what_is_known_of_it() -> None:
    made = roster(member("a"), member("b"))
    endpoint = places(made)["a"]
    endpoint.in_flight = 3
    made.apply(View("x", (member("a", health=Health.MAINTENANCE), member("b")), 2, "e"))
    assert "a" not in places(made)

    made.apply(View("x", (member("a"), member("b")), 3, "e"))

    assert places(made)["a"] is endpoint
    assert endpoint.in_flight == 3


def test_a_list_that_cannot_be_applied_changes_nothing() -> None:
    made = roster(member("a"), member("b"))
    before, view = made.endpoints, made.view

    with pytest.raises(AttributeError):
        made.apply(View("x", (member("c"), None), 2, "e"))  # type: ignore[arg-type]

    assert (made.endpoints, made.view) == (before, view)
    assert picks(made, 10) == {"a": 5, "b": 5}


def test_round_robin_goes_on_where_it_was_when_only_weights_stay() -> None:
    made = roster(member("a"), member("b"))
    order = [made.member(made.pick(NOW)).id]
    made.apply(View("x", (member("a"), member("b")), 2, "e", stale=True))
    order += [made.member(made.pick(NOW)).id]

    assert order == ["a", "b"]


def test_a_zone_that_comes_back_is_ramped_up_beside_the_others() -> None:
    home, away = member("a", zone="eu"), member("b", zone="us")
    made = roster(home, away, zone="eu")
    assert picks(made, 10) == {"a": 10}

    breaker = places(made)["a"].breaker
    for _ in range(5):
        breaker.failure(breaker.admit(NOW), NOW)
    assert not breaker.share(NOW)
    assert picks(made, 10) == {"b": 10}

    breaker.success(breaker.admit(NOW + 20), NOW + 20)
    assert not places(made)["a"].healthy
    assert 0 < picks(made, 20, NOW + 22)["a"] < 10  # a fifth of its weight, beside all of b's
    made.pick(NOW + 31)  # with the ramp over
    assert picks(made, 10, NOW + 32) == {"a": 10}


def test_the_error_says_when_an_ejected_service_may_be_called_again() -> None:
    made = roster(member("a"))
    breaker = places(made)["a"].breaker
    for _ in range(3):
        breaker.failure(breaker.admit(NOW), NOW, connect=True)

    with pytest.raises(ServiceError, match="ejected") as caught:
        made.pick(NOW + 4)
    assert caught.value.retry_after == pytest.approx(breaker.until - NOW - 4)


def test_instances_that_do_not_speak_http_are_told_of() -> None:
    with pytest.raises(ServiceError, match="1 of the scheme tcp"):
        roster(member("a", scheme="tcp")).pick(NOW)


def test_instances_of_weight_zero_are_told_of() -> None:
    with pytest.raises(ServiceError, match="2 of weight 0"):
        roster(member("a", weight=0), member("b", weight=0)).pick(NOW)


def test_a_roster_tells_of_changes_of_state() -> None:
    told: list[tuple[str, State, State]] = []
    made = Roster("x", POLICY, NOW, tell=lambda e, old, new: told.append((e.address, old, new)))
    made.apply(View("x", (member("a"),), 1, "e"))
    breaker = places(made)["a"].breaker
    for _ in range(5):
        breaker.failure(breaker.admit(NOW), NOW)

    assert told == [("10.0.0.1:80", State.HEALTHY, State.EJECTED)]
    made.apply(View("x", (), 2, "e"))
    breaker.restore(NOW)
    assert len(told) == 1  # it is nobody's endpoint any more
