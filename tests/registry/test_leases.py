"""Leases, and when silence is held against nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.registry.leases import Leases
from uaitools.registry.protection import LEAST, SHARE, SMALL, Fleet, protects


def test_a_lease_is_over_when_its_ttl_has_passed_since_it_was_renewed() -> None:
    leases = Leases()
    leases.renew("a", 1, 10.0, 0.0)
    leases.renew("b", 2, 20.0, 0.0)
    assert leases.overdue(9.9) == []
    assert leases.overdue(10.0) == [("a", 1)]
    leases.renew("a", 1, 10.0, 5.0)
    assert leases.overdue(14.9) == []
    assert leases.left(["a", "b", "c"], 14.0) == {"a": 1.0, "b": 6.0}


def test_a_new_generation_has_a_lease_of_its_own_and_no_load() -> None:
    leases = Leases()
    first = leases.renew("a", 1, 10.0, 0.0)
    assert leases.renew("a", 1, 10.0, 1.0) is first
    second = leases.renew("a", 2, 10.0, 2.0)
    assert second is not first
    assert leases.overdue(12.0) == [("a", 2)]


def test_who_sends_no_heartbeats_is_never_overdue() -> None:
    leases = Leases()
    leases.renew("a", 1, 0.0, 0.0)
    assert leases.overdue(1e12) == []
    leases.keep(())
    assert len(leases) == 0


@given(st.integers(0, 200), st.integers(0, 200))
def test_protection_begins_above_its_share(silent: int, size: int) -> None:
    protected = protects(silent, size)
    if protected:
        assert silent >= LEAST
        assert size >= SMALL
        assert silent / size > SHARE
    elif size >= SMALL and silent >= LEAST:
        assert silent / size <= SHARE


@pytest.mark.parametrize(
    ("here", "there", "reason"),
    [
        ([True] * 3 + [False] * 3, [False] * 100, "3 of 6 in zone x are gone together"),
        ([True] * 2 + [False] * 4, [True] + [False] * 100, ""),
        ([True] * 3 + [False] * 3, [True] * 20, "23 of 26 of the service are gone together"),
        ([True] * 4, [], ""),
    ],
)
def test_a_service_and_a_zone_in_it_are_protected(
    here: list[bool], there: list[bool], reason: str
) -> None:
    fleet = [("x", late) for late in here] + [("y", late) for late in there]
    assert Fleet(fleet).protection("x") == reason


def test_no_zone_is_no_zone_to_protect() -> None:
    assert Fleet([("", True)] * 3 + [("y", False)] * 100).protection("") == ""


def test_after_a_pause_everybody_has_one_whole_ttl() -> None:
    leases = Leases()
    leases.renew("over", 1, 10.0, 0.0)
    leases.renew("nearly", 1, 100.0, 5.0)
    leases.restart(100.0)
    assert leases.overdue(109.9) == []
    assert leases.overdue(110.0) == [("over", 1)]
    assert leases.overdue(200.0) == [("over", 1), ("nearly", 1)]
