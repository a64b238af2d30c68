"""Own zone first, while it has enough."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.traffic.zones import Place, backups, spills

zones = st.sampled_from(["", "a", "b", "c"])
places = st.builds(Place, zones, st.integers(0, 1000), st.booleans())


def home(*available: bool, weight: int = 1) -> list[Place]:
    return [Place("a", weight, one) for one in available]


ABROAD = [Place("b", 1, available=True), Place("", 5, available=True)]


def test_all_calls_stay_in_a_zone_that_has_enough() -> None:
    assert backups("a", [*home(True, True), *ABROAD]) == [False, False, True, True]


@pytest.mark.parametrize(
    ("available", "spilling"),
    [
        ((True,), False),
        ((True, False), False),  # half is enough
        ((True, False, False), True),
        ((True, True, False, False), False),
        ((True, False, False, False), True),
        ((False,), True),
        ((), True),  # nobody at home
    ],
)
def test_calls_spill_over_when_less_than_half_is_left(
    available: tuple[bool, ...], spilling: bool
) -> None:
    assert spills("a", [*home(*available), *ABROAD]) is spilling


def test_it_is_weight_that_counts_not_heads() -> None:
    heavy, light = Place("a", 10, available=True), Place("a", 1, available=False)

    assert not spills("a", [heavy, light, light, light])
    assert spills("a", [Place("a", 10, available=False), Place("a", 4, available=True)])


def test_a_caller_without_a_zone_calls_everybody() -> None:
    assert backups("", [*home(True), *ABROAD]) == [False, False, False]


def test_a_zone_of_weight_zero_has_nothing() -> None:
    assert spills("a", [*home(True, weight=0), *ABROAD])


@given(zones, st.lists(places))
def test_the_rule_in_other_words(zone: str, members: list[Place]) -> None:
    own = [m for m in members if zone and m.zone == zone]
    there = Fraction(sum(m.weight for m in own if m.available))
    enough = there > 0 and there / sum(m.weight for m in own) >= Fraction(1, 2)

    assert backups(zone, members) == [enough and m.zone != zone for m in members]


@given(zones, st.lists(places))
def test_where_somebody_is_available_somebody_available_is_primary(
    zone: str, members: list[Place]
) -> None:
    ready = [m.available and m.weight > 0 for m in members]
    primary = [not backup for backup in backups(zone, members)]

    assert any(ready) == any(r and p for r, p in zip(ready, primary, strict=True))
