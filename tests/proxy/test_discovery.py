"""How what a registry says becomes endpoints: weights, states, zones, addresses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.config import ServiceSettings
from uaitools.proxy.discovery import Source
from uaitools.proxy.resolver import Resolver
from uaitools.proxy.targets import Target, Targets, names_of
from uaitools.proxy.tls.material import UpstreamContexts
from uaitools.proxy.tls.upstream import TlsConnector
from uaitools.registry.client import Member
from uaitools.registry.client.config import RegistryClientConfig
from uaitools.registry.client.placing import NOBODY, Placed, place
from uaitools.registry.evidence import State


def member(name: str, health: State = State.PASSING, **fields: Any) -> Member:
    usual = Member(id=name, name="api", address="10.0.0.1", port=9000, health=health)
    return replace(usual, **fields)


def placed(*members: Member, zone: str = "", failing: tuple[str, ...] = ()) -> dict[str, Placed]:
    return {one.member.id: one for one in place(members, zone, failing).placed}


def test_who_passes_gets_requests_by_its_weight() -> None:
    found = placed(member("a", weight=3), member("b"))

    assert [(one.weight, one.backup, one.last) for one in found.values()] == [
        (3, False, False),
        (1, False, False),
    ]


@pytest.mark.parametrize(("weight", "share"), [(2, 0.5), (1, 0.5), (3, 0.5), (1000, 0.5)])
def test_who_is_degraded_gets_half_of_what_it_would_get(weight: int, share: float) -> None:
    found = placed(member("a", weight=weight), member("b", State.DEGRADED, weight=weight))

    assert found["b"].weight / found["a"].weight == share
    assert not found["b"].backup


def test_endpoints_beside_a_degraded_one_keep_their_part() -> None:
    odd = place([member("a", State.DEGRADED)])
    even = place([member("a", State.DEGRADED, weight=4)])

    assert (odd.placed[0].weight, odd.scale) == (1, 2)
    assert (even.placed[0].weight, even.scale) == (2, 1)


def test_suspects_are_served_last() -> None:
    found = placed(member("a"), member("b", State.SUSPECT))

    assert not found["a"].backup
    assert (found["b"].backup, found["b"].last) == (True, True)


@pytest.mark.parametrize(
    "state", [State.STARTING, State.CRITICAL, State.DRAINING, State.MAINTENANCE]
)
def test_who_is_to_get_nothing_gets_nothing(state: State) -> None:
    placement = place([member("a"), member("b", state)])

    assert [one.member.id for one in placement.placed] == ["a"]
    assert [one.id for one in placement.out] == ["b"]


def test_weight_0_gets_nothing() -> None:
    assert placed(member("a", weight=0)) == {}


def test_an_instance_that_speaks_no_http_is_no_endpoint() -> None:
    assert placed(member("a", scheme="tcp")) == {}
    assert placed(member("a", scheme="wss")).keys() == {"a"}


def test_the_own_zone_comes_first_others_next_suspects_last() -> None:
    found = placed(
        member("near", zone="eu"),
        member("far", zone="us"),
        member("doubtful", State.SUSPECT, zone="eu"),
        zone="eu",
    )

    assert {name: one.rank for name, one in found.items()} == {"near": 0, "far": 1, "doubtful": 2}


def test_a_zone_that_has_lost_most_of_its_own_shares_the_load_with_all() -> None:
    home = [member(str(n), zone="eu") for n in range(3)]
    far = member("far", zone="us")
    gone = [replace(one, health=State.CRITICAL) for one in home[:2]]

    assert placed(*home, far, zone="eu")["far"].rank == 1
    assert placed(*gone, home[2], far, zone="eu")["far"].rank == 0
    assert placed(*home, far, zone="eu", failing=("0", "1"))["far"].rank == 0
    assert placed(*home, far, zone="eu", failing=("0",))["far"].rank == 1


def test_failing_instances_keep_their_place() -> None:
    found = placed(member("a", zone="eu"), member("b", zone="eu"), zone="eu", failing=("a",))

    assert found["a"].rank == 0


members = st.lists(
    st.builds(
        member,
        st.uuids().map(str),
        st.sampled_from(State),
        weight=st.integers(0, 1000),
        zone=st.sampled_from(["", "eu", "us"]),
        scheme=st.sampled_from(["http", "https", "ws", "wss", "tcp"]),
    ),
    max_size=12,
)


@given(members, st.sampled_from(["", "eu", "asia"]))
def test_everybody_is_somewhere_and_only_who_may_be_called_is_called(
    known: list[Member], zone: str
) -> None:
    placement = place(known, zone)
    inside = {one.member.id for one in placement.placed}
    called = {State.PASSING, State.DEGRADED, State.SUSPECT}

    assert inside | {one.id for one in placement.out} == {one.id for one in known}
    assert inside == {
        one.id for one in known if one.health in called and one.weight and one.scheme != "tcp"
    }
    assert all(one.weight > 0 for one in placement.placed)
    fit = [one for one in placement.placed if one.member.health is not State.SUSPECT]
    if fit:  # somebody is first, and no suspect is
        assert min(one.rank for one in placement.placed) == 0
        assert all(one.rank == 0 for one in fit) or zone
        assert {one.rank for one in placement.placed if one not in fit} <= {2}


@given(members)
def test_shares_are_the_weights_and_halves_of_them(known: list[Member]) -> None:
    placement = place(known)
    for one in placement.placed:
        half = one.member.health is State.DEGRADED
        assert one.weight * (2 if half else 1) == one.member.weight * placement.scale


# -- addresses ----------------------------------------------------------------------------------


class Made:
    """The targets of a service; names stand for nothing but what was looked up."""

    def __init__(self) -> None:
        self.resolver = Resolver(set, lambda _names: None)
        self.targets = Targets(self.resolver, UpstreamContexts())

    def of(self, *known: Member, **settings: object) -> dict[str, Target]:
        service = ServiceSettings.model_validate({"registry": True, **settings})
        return {one.address: one for one in self.targets.of(service, place(known))}


async def test_instances_stand_beside_endpoints() -> None:
    found = Made().of(member("a"), endpoints=["http://127.0.0.1:9001"])

    assert list(found) == ["127.0.0.1:9001", "10.0.0.1:9000"]
    assert found["127.0.0.1:9001"].placed is None


async def test_an_ipv6_instance_is_written_in_brackets_and_tls_with_its_scheme() -> None:
    found = Made().of(
        member("a", address="::1"), member("b", scheme="https", address="10.0.0.2", port=443)
    )

    assert list(found) == ["[::1]:9000", "https://10.0.0.2:443"]
    assert isinstance(found["https://10.0.0.2:443"].connect, TlsConnector)


async def test_the_registry_knows_better_than_what_is_written_down() -> None:
    written = "http://10.0.0.1:9000"

    suspect = Made().of(member("a", State.SUSPECT, weight=3), endpoints=[written])
    assert (suspect["10.0.0.1:9000"].weight, suspect["10.0.0.1:9000"].last) == (3, True)
    assert Made().of(member("a", State.DRAINING), endpoints=[written]) == {}


async def test_of_two_instances_at_one_address_the_better_one_counts() -> None:
    old, new = member("a", State.SUSPECT), member("b")
    for known in ((old, new), (new, old)):
        target = Made().of(*known)["10.0.0.1:9000"]
        assert target.placed is not None
        assert target.placed.member.id == "b"
    gone = member("a", State.DRAINING)
    assert list(Made().of(gone, new)) == ["10.0.0.1:9000"]


async def test_written_endpoints_grow_with_the_weights_beside_them() -> None:
    found = Made().of(
        member("a", State.DEGRADED), endpoints=[{"url": "http://127.0.0.1:9001", "weight": 3}]
    )

    assert {one.weight for one in found.values()} == {6, 1}


async def test_a_name_is_an_instance_when_it_is_resolved() -> None:
    made = Made()
    known = member("a", address="localhost")
    assert made.of(known) == {}
    assert names_of(ServiceSettings(), [known, member("b")]) == {"localhost"}

    await made.resolver.learn({"localhost"})
    assert list(made.of(known)) == ["127.0.0.1:9000"]


def test_without_a_registry_nobody_is_placed() -> None:
    assert NOBODY.placed == ()
    assert place([]) == NOBODY


def test_a_source_shows_no_token() -> None:
    assert "a-token" not in repr(Source(("http://127.0.0.1:8083",), token="a-token"))


def test_the_data_directory_is_for_who_names_no_file(tmp_path: Path) -> None:
    client = RegistryClientConfig.model_validate({"url": "http://127.0.0.1:8083/", "zone": "eu"})
    named = client.model_copy(update={"cache": tmp_path / "x"})

    assert Source.of(None) is None
    assert Source.of(client) == Source(("http://127.0.0.1:8083",), zone="eu")
    assert (kept := Source.of(client, tmp_path)) is not None
    assert kept.cache == tmp_path / "registry.json"
    assert (kept := Source.of(named, tmp_path)) is not None
    assert kept.cache == tmp_path / "x"
