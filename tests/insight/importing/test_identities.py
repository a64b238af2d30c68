"""Which repository a name is of, over days on which names change."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.insight.stores import Line, dump, take, write
from uaitools.insight.importing.files import ranking_files
from uaitools.insight.importing.rankings import SOURCE, import_rankings
from uaitools.insight.store.boards import Ask, Boards
from uaitools.insight.store.opening import Store
from uaitools.insight.store.repositories import Repositories

DAY = date(2024, 2, 11)
SAID = "what nobody else says of theirs"


def day(number: int) -> date:
    return DAY + timedelta(number)


async def days(store: Store, directory: Path, *several: list[Line]) -> None:
    """Import days one after another."""
    for number, lines in enumerate(several):
        await take(store, write(directory, day(number), lines))


async def ids(store: Store, *names: str) -> list[Any]:
    return [(await Repositories(store.pool).summary(name)).id for name in names]


def line(name: str, stars: int = 500, description: str | None = SAID) -> Line:
    return Line(name, stars, 50, "Go", description)


async def test_a_rename_keeps_one_repository_and_its_history(store: Store, tmp_path: Path) -> None:
    await days(store, tmp_path, [line("old/Name")], [line("new/Name", 503)])
    one, other = await ids(store, "old/name", "new/name")
    assert one == other
    summary = await Repositories(store.pool).summary("old/name")
    assert (summary.full_name, summary.stars) == ("new/Name", 503)
    told = await dump(store)
    assert [row[1:4] for row in told["renames"]] == [(day(1), "old/name", "new/name")]
    assert len(told["snapshots"]) == 2
    (leader,) = (await Boards(store.pool).board(Ask())).repositories
    assert leader["terms"]["gain"] == 3
    assert "renamed" in leader["flags"]
    assert (await Boards(store.pool).board(Ask(exclude_flagged=True))).repositories == []


@pytest.mark.parametrize("together", [True, False])
async def test_days_of_one_import_are_as_good_as_one_after_another(
    store: Store, tmp_path: Path, together: bool
) -> None:
    lists = [[line("a/x")], [line("b/x", 501)], [line("c/x", 502)]]
    paths = [write(tmp_path, day(at), lines) for at, lines in enumerate(lists)]
    for some in [paths] if together else [[path] for path in paths]:
        await take(store, *some)
    assert len(set(await ids(store, "a/x", "b/x", "c/x"))) == 1


async def test_a_name_that_comes_back_is_the_same_repository(store: Store, tmp_path: Path) -> None:
    await days(store, tmp_path, [line("a/x")], [line("b/x")], [line("a/x")])
    one, other = await ids(store, "a/x", "b/x")
    assert one == other
    assert (await Repositories(store.pool).summary("b/x")).full_name == "a/x"
    renames = (await dump(store))["renames"]
    assert [row[1:4] for row in renames] == [(day(1), "a/x", "b/x"), (day(2), "b/x", "a/x")]


async def test_who_takes_an_old_name_over_is_another_repository(
    store: Store, tmp_path: Path
) -> None:
    taken = line("a/x", 3, "a new thing under an old name")
    await days(store, tmp_path, [line("a/x")], [line("b/x")], [line("b/x"), taken])
    one, other = await ids(store, "b/x", "a/x")
    assert one != other
    repositories = Repositories(store.pool)
    assert (await repositories.summary("b/x")).stars == 500
    assert (await repositories.summary("a/x")).stars == 3
    await take(store, write(tmp_path, day(3), [line("b/x", 510), line("a/x", 4, "new thing")]))
    assert await ids(store, "b/x", "a/x") == [one, other]
    assert (await repositories.summary("a/x")).stars == 4


async def test_what_may_be_either_of_two_is_neither(store: Store, tmp_path: Path) -> None:
    await days(store, tmp_path, [line("a/x"), line("b/x")])
    said: list[str] = []
    path = write(tmp_path, day(1), [line("c/x")])
    await import_rankings(store.pool, ranking_files([path]), SOURCE, said.append)
    assert len(set(await ids(store, "a/x", "b/x", "c/x"))) == 3
    assert sum("may be c/x now" in one for one in said) == 2


async def test_who_leaves_and_who_comes_are_two(store: Store, tmp_path: Path) -> None:
    await days(store, tmp_path, [line("a/x", 500, "one")], [line("b/y", 500, "other")])
    assert len(set(await ids(store, "a/x", "b/y"))) == 2
    assert (await dump(store))["renames"] == []


async def test_names_are_looked_for_on_the_day_of_data_before(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, day(0), [line("a/x"), line("a/z", 1, "z")]))
    await take(store, write(tmp_path, day(1), [line("a/z", 1, "z")]))
    await take(store, write(tmp_path, day(2), [line("b/x"), line("a/z", 1, "z")]))
    assert len(set(await ids(store, "a/x", "b/x"))) == 2  # it was away for a day: nobody knows


async def test_ids_follow_from_names_wherever_they_are_imported(
    store: Store, tmp_path: Path
) -> None:
    await days(store, tmp_path, [line("A/X"), line("b/y", 3, "other")])
    told = await ids(store, "a/x", "b/y")
    assert [str(one) for one in told] == [
        "10d3cb7f-a149-801d-86eb-884b76cb969d",
        "39aa00f1-0ca9-83d6-871f-dd30e89d1059",
    ]
    assert all(one.version == 8 for one in told)
