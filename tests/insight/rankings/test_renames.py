"""Which of those that vanished are the same as which that appeared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.insight.rankings.gathering import Listed
from uaitools.insight.rankings.renames import CERTAIN, POSSIBLE, Renames, renames

COMMIT = datetime(2024, 2, 10, 12, 30, 15, tzinfo=UTC)
ZSH = Listed("robbyrussell/oh-my-zsh", 80_790, 15_833, 980, "Shell", COMMIT, "A framework for zsh")
MOVED = replace(ZSH, full_name="ohmyzsh/oh-my-zsh", stars=80_850, forks=15_840)
RENAMED = replace(ZSH, full_name="robbyrussell/ohmyzsh", stars=80_850, forks=15_840)
OTHER = Listed("torvalds/linux", 67_013, 24_286, 245, "C", COMMIT, "Linux kernel source tree")


def day(*several: Listed) -> dict[str, Listed]:
    return {one.key: one for one in several}


@pytest.mark.parametrize("new", [MOVED, RENAMED])
def test_a_repository_that_moves_or_is_renamed_is_found_again(new: Listed) -> None:
    found = renames(day(ZSH, OTHER), day(new, OTHER))

    assert found.open == ()
    (one,) = found.settled
    assert (one.old, one.new) == (ZSH.key, new.key)
    assert one.certainty >= CERTAIN
    assert one.agree == ("stars", "forks", "language", "description", "last_commit")
    assert one.differ == ()


@pytest.mark.parametrize(
    "known",
    [{"description": None}, {"last_commit": None}, {"last_commit": COMMIT.replace(day=11)}],
)
def test_the_description_or_the_last_commit_is_enough(known: dict[str, object]) -> None:
    new = replace(MOVED, **known)  # type: ignore[arg-type]

    assert [one.new for one in renames(day(ZSH), day(new)).settled] == [new.key]


@pytest.mark.parametrize(
    "known",
    [
        {"description": None, "last_commit": None},
        {"description": "Another framework", "last_commit": COMMIT.replace(day=11)},
        {"stars": 12, "forks": 0},
        {"stars": 12},
        {"stars": None, "forks": None},
    ],
)
def test_names_and_counts_alone_or_a_text_alone_are_not(known: dict[str, object]) -> None:
    new = replace(MOVED, **known)  # type: ignore[arg-type]

    assert renames(day(ZSH), day(new)).settled == ()


def test_another_name_under_another_owner_is_another_repository() -> None:
    new = replace(MOVED, full_name="someone/else")

    assert renames(day(ZSH), day(new)) == Renames((), ())


def test_nothing_is_merged_that_there_is_on_either_day_under_both_names() -> None:
    assert renames(day(ZSH, MOVED), day(MOVED)) == Renames((), ())
    assert renames(day(ZSH), day(ZSH, MOVED)) == Renames((), ())
    capitals = replace(ZSH, full_name="RobbyRussell/Oh-My-Zsh")
    assert renames(day(ZSH), day(capitals)) == Renames((), ())


def test_what_could_be_either_of_two_is_left_alone() -> None:
    twin = replace(MOVED, full_name="mirror/oh-my-zsh")
    both = renames(day(ZSH), day(MOVED, twin))

    assert both.settled == ()
    assert {one.new for one in both.open} == {MOVED.key, twin.key}

    both = renames(day(ZSH, replace(ZSH, full_name="mirror/oh-my-zsh")), day(MOVED))
    assert both.settled == ()
    assert len(both.open) == 2


def test_counts_may_differ_by_more_after_days_that_are_missing() -> None:
    new = replace(MOVED, stars=86_000)

    assert renames(day(ZSH), day(new)).settled == ()
    assert len(renames(day(ZSH), day(new), days=7).settled) == 1


def test_those_that_pass_each_other_at_the_end_of_a_list_are_not_the_same() -> None:
    before = Listed("ann/dotfiles", 964, 201, 3, "Shell", COMMIT, "My dotfiles, for macOS")
    after = Listed("bob/dotfiles", 966, 198, 4, "Shell", COMMIT.replace(day=3), "Dotfiles")

    assert renames(day(before), day(after)).settled == ()


def test_an_owner_who_changes_everything_is_not_compared_in_pairs() -> None:
    before = day(*(replace(ZSH, full_name=f"a/old-{n}") for n in range(101)))
    after = day(*(replace(ZSH, full_name=f"a/new-{n}") for n in range(101)))

    assert renames(before, after) == Renames((), ())


COUNTS = st.none() | st.integers(0, 50)
REPOSITORIES = st.lists(
    st.builds(
        Listed, st.sampled_from([f"{o}/{n}" for o in "abC" for n in "xyz"]), COUNTS, COUNTS,
        st.none(), st.sampled_from([None, "Go", "C"]), st.sampled_from([None, COMMIT]),
        st.sampled_from([None, "one", "two"]),
    ),
    unique_by=lambda one: one.key,
)  # fmt: skip


@given(REPOSITORIES, REPOSITORIES, st.integers(0, 20))
def test_what_is_settled_is_one_to_one_and_of_what_vanished_and_appeared(
    before: list[Listed], after: list[Listed], days: int
) -> None:
    found = renames(day(*before), day(*after), days)

    assert found == renames(day(*before[::-1]), day(*after[::-1]), days)
    settled = found.settled
    for one in (*settled, *found.open):
        assert one.old in day(*before).keys() - day(*after).keys()
        assert one.new in day(*after).keys() - day(*before).keys()
        assert POSSIBLE <= one.certainty <= 1
        assert not set(one.agree) & set(one.differ)
    assert len({one.old for one in settled}) == len({one.new for one in settled}) == len(settled)
    assert not {one.old for one in settled} & {one.old for one in found.open}
