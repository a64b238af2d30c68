from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.insight.analysis.clones import ANN, BEN, CEM, DAY, NOW, Person
from uaitools.insight.analysis.bots import is_bot
from uaitools.insight.analysis.errors import Unreadable
from uaitools.insight.analysis.history import Commits, History, bus_factor
from uaitools.insight.analysis.releases import Releases, Tags

NAME = b"a" * 40
BOT: Person = (b"renovate[bot]", b"x@y")
WEEK = 7 * DAY


def history(*made: tuple[Person, int]) -> History:
    commits = Commits(NOW, 100)
    for (name, email), at in made:
        commits.add((NAME, b"%d" % at, name, email))
    return commits.history()


def releases(*lines: bytes) -> Releases:
    tags = Tags(NOW, 100)
    for line in lines:
        tags.add(line)
    return tags.releases()


@given(st.lists(st.integers(1, 50), max_size=6))
def test_the_bus_factor_is_the_size_of_the_smallest_group_with_half(counts: list[int]) -> None:
    sizes = [
        size
        for size in range(1, len(counts) + 1)
        for group in combinations(counts, size)
        if 2 * sum(group) >= sum(counts)
    ]
    assert bus_factor(counts) == min(sizes, default=None)


def test_the_bus_factor_is_that_of_the_source() -> None:
    assert bus_factor([1000, 202, 90, 33, 332, 343, 42, 433]) == 2


def test_programs_have_no_part_in_the_bus_factor_nor_in_the_weeks_of_people() -> None:
    told = history(*[(BOT, NOW - DAY)] * 50, (ANN, NOW), (BEN, NOW - WEEK), (CEM, NOW - WEEK))

    assert told.year.bus_factor == 2
    assert told.year.commits == 53
    assert told.year.people == told.year.quarter == 3
    assert told.bot_commits == 50
    assert told.year.authors == 3


@pytest.mark.parametrize(
    ("age", "week"),
    [(0, 51), (WEEK - 1, 51), (WEEK, 50), (52 * WEEK - 1, 0), (52 * WEEK, None), (-1, None)],
)
def test_a_week_is_seven_days_before_the_day_of_asking(age: int, week: int | None) -> None:
    weeks = history((ANN, NOW - age)).year.weeks

    assert [number for number, count in enumerate(weeks) if count] == (
        [] if week is None else [week]
    )


def test_what_is_dated_ahead_or_not_at_all_counts_in_the_total_alone() -> None:
    told = history((ANN, NOW + 1), (ANN, 0), (ANN, NOW - 2 * DAY), (BEN, 5))

    assert (told.commits, told.ahead, told.undated) == (4, 1, 1)
    assert (told.first_at, told.last_at) == (5, NOW - 2 * DAY)
    assert told.year.commits == 1
    assert [one.recent for one in told.authors] == [1, 0]


def test_no_commits_have_no_gap_and_no_bus_factor() -> None:
    told = history()

    assert (told.commits, told.last_at, told.year.bus_factor, told.year.median_gap) == (
        0,
        None,
        None,
        None,
    )


def test_the_gap_is_between_days_with_commits() -> None:
    told = history(*[(ANN, NOW - DAY)] * 9, (ANN, NOW - 3 * DAY), (ANN, NOW - 9 * DAY))

    assert told.year.median_gap == 4


@pytest.mark.parametrize("fields", [(b"x", b"1", b"a", b"b"), (NAME, b"1", b"a")])
def test_what_is_no_commit_is_refused(fields: tuple[bytes, ...]) -> None:
    with pytest.raises(Unreadable):
        Commits(NOW, 9).add(fields)


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("dependabot[bot]", "x@y"),
        ("Renovate", "29139614+renovate[bot]@users.noreply.github.com"),
        ("github-actions", "actions@github.com"),
        ("my-bot", "x@y"),
        ("ci_bot", "x@y"),
        ("Someone", "release-bot@example.org"),
        ("Weblate", "x@y"),
        ("Deploy (bot)", ""),
    ],
)
def test_programs_are_known_by_their_names(name: str, email: str) -> None:
    assert is_bot(name, email)


@pytest.mark.parametrize(
    "name", ["Jan Bot", "Abbot", "Talbot", "Botond", "bot@home", "[bot] lover", "robot", ""]
)
def test_people_are_no_programs_for_their_names(name: str) -> None:
    assert not is_bot(name, "someone@example.org")


@pytest.mark.parametrize(
    "tag",
    ["v1.2.3", "1.0", "V2.0.0", "release-2.4", "pkg@1.2.3", "a/b/v0.1.0", "2024.01.31", "1.0rc1",
     "v1.0.0-beta.2+build5", "curl-7_88_1", "1.2.3.4"],
)  # fmt: skip
def test_versions_are_known_by_their_tags(tag: str) -> None:
    assert releases(b"commit  5 %b" % tag.encode()).versions == 1


@pytest.mark.parametrize("tag", ["v1", "latest", "nightly-20240131", "", "v1.", ".1", "x1.2y/z"])
def test_other_tags_are_no_versions(tag: str) -> None:
    told = releases(b"commit  5 %b" % tag.encode())

    assert (told.tags, told.versions) == (1, 0)


@pytest.mark.parametrize(
    ("tag", "before"),
    [
        ("1.0rc1", True),
        ("v1.0.0-beta.2", True),
        ("1.0.dev3", True),
        ("2.0a1", True),
        ("v1.0.0-alpha", True),
        ("1.0-SNAPSHOT", True),
        ("1.0.0", False),
        ("1.0-final", False),
        ("1.0-abi2", False),
        ("1.0+build", False),
    ],
)
def test_what_comes_before_a_release_is_known_by_its_tag(tag: str, before: bool) -> None:
    assert releases(b"commit  5 %b" % tag.encode()).prereleases == before


def test_releases_after_the_day_of_asking_are_not_the_latest() -> None:
    told = releases(b"commit  %d v2.0" % (NOW + 1), b"commit  %d v1.0" % NOW, b"tag commit  v0.1")

    assert (told.versions, told.recent) == (3, 1)
    assert [one.tag for one in told.latest] == ["v1.0"]


@pytest.mark.parametrize("line", [b"", b"commit v1.0", b"x" * 99])
def test_what_is_no_tag_is_refused(line: bytes) -> None:
    with pytest.raises(Unreadable):
        releases(line)
