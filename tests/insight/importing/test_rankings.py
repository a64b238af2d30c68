"""Ranking files into the store: the maxima of a day, once however often, all or nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.insight.store.world import DAYS, World
from tests.insight.stores import Line, dump, take, write
from uaitools.insight.errors import SERVICE
from uaitools.insight.importing.errors import Refused
from uaitools.insight.importing.files import ranking_files
from uaitools.insight.importing.rankings import SOURCE, Imported, import_rankings
from uaitools.insight.rankings.gathering import gathered
from uaitools.insight.rankings.reading import Reading
from uaitools.insight.store.boards import Ask, Boards
from uaitools.insight.store.generations import CHANNEL, Generations
from uaitools.insight.store.opening import Store
from uaitools.insight.store.repositories import Repositories
from uaitools.postgres.notices import Notices

DAY = date(2024, 2, 11)
NEXT = DAY + timedelta(1)


async def test_repositories_of_a_day_are_gathered_as_they_are_in_memory(
    store: Store, tmp_path: Path
) -> None:
    chance = random.Random(3)

    def line() -> Line:
        return Line(
            chance.choice(("A", "a")) + f"/r{chance.randrange(60)}",
            chance.choice((None, 1, 2, 3)),
            chance.choice((None, 1, 2)),
            chance.choice((None, "Go", "C", "é", "z")),
            chance.choice((None, "one", "two", "Zwei", "état")),
            chance.choice((None, datetime(2024, 1, chance.randint(1, 28), tzinfo=UTC))),
            chance.choice((None, 1, 2)),
        )

    path = write(tmp_path, DAY, [line() for _ in range(400)])
    expected = gathered(Reading([path.read_bytes()], path.name))
    await take(store, path)
    async with store.pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT owner || '/' || repositories.name, stars, forks, issues, languages.name,"
            " updated, nullif(description, '') FROM repositories"
            " JOIN standings ON repository = repositories.number"
            " LEFT JOIN languages ON languages.number = language ORDER BY lower(owner || '/' ||"
            " repositories.name)"
        )
    assert [tuple(row) for row in rows] == [
        (
            one.full_name, one.stars, one.forks, one.issues, one.language, one.last_commit,
            one.description,
        )
        for one in expected.values()
    ]  # fmt: skip


async def test_the_same_files_again_change_nothing(store: Store, tmp_path: Path) -> None:
    paths = World(seed=1).write(tmp_path)
    done = await take(store, *paths)
    assert (done.generation, done.files, done.known, done.refused) == (1, len(DAYS), 0, 0)
    before = await dump(store)
    again = tmp_path / "again"
    again.mkdir()
    moved = paths[3].rename(again / paths[3].name)
    assert await take(store, *paths[:3], moved, *paths[4:]) == Imported(None, 0, len(DAYS), 0, 0)
    assert (await Generations(store.pool).state()).generation == 1
    assert await dump(store) == before


async def test_a_file_that_is_given_twice_is_taken_once(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, DAY, [Line("a/b", 5)])
    (tmp_path / "copy").mkdir()
    copy = write(tmp_path / "copy", DAY, [Line("a/b", 5)])
    assert (await take(store, path, path, copy)).files == 1


async def test_in_whatever_order_days_come_the_same_is_known(store: Store, tmp_path: Path) -> None:
    world = World(seed=2)
    paths = world.write(tmp_path)
    await take(store, *paths)
    expected = await dump(store)
    async with store.pool.acquire() as connection:
        for table in ("files", *expected):
            await connection.execute(f"DELETE FROM {table}")
    world.random.shuffle(paths)
    for path in paths:
        await take(store, path)
    assert await dump(store) == expected


async def test_of_several_files_of_a_day_the_maxima_count(store: Store, tmp_path: Path) -> None:
    at = datetime(2024, 2, 1, tzinfo=UTC)
    one = Line("a/b", 5, 9, "Go", "x", at)
    other = Line("A/B", 7, 3, "Rust", "y", at + timedelta(1))
    for names in (("p", "q"), ("q", "p")):
        async with store.pool.acquire() as connection:
            for table in ("files", *await dump(store)):
                await connection.execute(f"DELETE FROM {table}")
        for name in names:
            await take(store, write(tmp_path, DAY, [one if name == "p" else other], name))
        summary = await Repositories(store.pool).summary("a/b")
        told = (summary.stars, summary.forks, summary.language, summary.description)
        assert told == (7, 9, "Rust", "y")
        assert summary.last_updated == at + timedelta(1)
        assert [row[1:4] for row in (await dump(store))["snapshots"]] == [(DAY, 7, 9)]


async def test_missing_days_stay_gaps_and_unknown_counts_unknown(
    store: Store, tmp_path: Path
) -> None:
    await take(store, write(tmp_path, DAY, [Line("a/b", 5, None)]))
    await take(store, write(tmp_path, DAY + timedelta(3), [Line("a/b", None, 2)]))
    rows = (await dump(store))["snapshots"]
    assert [row[1:4] for row in rows] == [(DAY, 5, None), (DAY + timedelta(3), None, 2)]
    summary = await Repositories(store.pool).summary("a/b")
    assert (summary.stars, summary.forks) == (None, 2)


async def test_a_day_before_the_newest_changes_the_past_alone(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, NEXT, [Line("a/b", 9, 1, "Go", "new")]))
    await take(store, write(tmp_path, DAY, [Line("a/b", 5, 1, "C", "old"), Line("a/c", 3)]))
    summary = await Repositories(store.pool).summary("a/b")
    assert (summary.stars, summary.language, summary.description) == (9, "Go", "new")
    assert (await Repositories(store.pool).summary("a/c")).as_of == DAY
    board = await Boards(store.pool).board(Ask("trending"))
    assert [one["terms"]["gain"] for one in board.repositories] == [4]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x-2024-02-12.csv", "", "it is empty"),
        ("x-2024-02-12.csv", "stars,forks\n1,2\n", "no column for names"),
        ("x-2024-02-12.csv", "username,repo_name,stars\n", "no row that can be read"),
        ("x-2024-02-12.csv", "username,repo_name,stars\na,b,much\n", "no row that can be read"),
        ("x-2024-02-30.csv", "username,repo_name,stars\na,b,1\n", "no date of the calendar"),
        ("x.csv", "username,repo_name,stars\na,b,1\n", "has not one date"),
        ("x-2024-02-12.csv", None, "No such file"),
    ],
)
async def test_a_bad_file_leaves_nothing_of_the_good_ones(
    store: Store, tmp_path: Path, name: str, text: str | None, says: str
) -> None:
    good = write(tmp_path, DAY, [Line("a/b", 5)])
    bad = tmp_path / name
    if text is not None:
        bad.write_text(text)
    before = await dump(store)
    with pytest.raises(Refused, match=says) as refused:
        await take(store, good, bad)
    assert str(bad) in refused.value.problems[0]
    assert await dump(store) == before
    assert (await Generations(store.pool).state()).generation == 0
    assert (await take(store, good)).generation == 1


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x-2024-02-12.csv").mkdir()
    with pytest.raises(Refused, match="directory"):
        ranking_files([tmp_path / "x-2024-02-12.csv"])


async def test_lines_that_cannot_be_read_are_told_and_left_out(
    store: Store, tmp_path: Path
) -> None:
    path = write(tmp_path, DAY, [Line("a/b", 5), *[Line("a/c", -1)] * 12])
    said: list[str] = []
    done = await import_rankings(store.pool, ranking_files([path]), SOURCE, said.append)
    assert (done.rows, done.refused) == (1, 12)
    assert sum("left out" in line for line in said) == 11
    assert f"{path}: 2 more lines left out" in said
    assert [row[0] for row in (await dump(store))["names"]] == ["a/b"]


async def test_progress_is_told_every_fifty_thousand_rows(store: Store, tmp_path: Path) -> None:
    line = Line("a/b", 5)
    path = write(tmp_path, DAY, [line] * 50_001)
    said: list[str] = []
    await import_rankings(store.pool, ranking_files([path]), SOURCE, said.append)
    assert f"{path}: 50,000 rows" in said
    assert f"{path}: 50,001 rows of 2024-02-11" in said


async def test_sources_are_told_apart(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, DAY, [Line("a/b", 5), Line("a/c", 5)]), source="one")
    await take(store, write(tmp_path, NEXT, [Line("a/b", 6)]), source="two")
    state = await Generations(store.pool).state()
    assert (state.generation, state.as_of, state.sources) == (2, NEXT, ["one", "two"])
    repositories = Repositories(store.pool)
    assert (await repositories.summary("a/b")).source == "two"
    left = await repositories.summary("a/c")
    assert (left.source, left.stars, left.as_of) == ("one", 5, DAY)


class Heard:
    """What is said on a channel."""

    def __init__(self) -> None:
        self.texts: asyncio.Queue[str] = asyncio.Queue()
        self.hears = asyncio.Event()

    def hear(self, texts: Sequence[str]) -> None:
        for text in texts:
            self.texts.put_nowait(text)

    def listen(self, *, hears: bool) -> None:
        if hears:
            self.hears.set()


async def test_a_new_generation_is_told_when_it_can_be_read(store: Store, tmp_path: Path) -> None:
    heard = Heard()
    notices = Notices(store.database.service, store.pool, name=SERVICE)
    notices.subscribe(CHANNEL, heard)
    await notices.start()
    await heard.hears.wait()
    path = write(tmp_path, DAY, [Line("a/b", 5)])
    await take(store, path)
    assert await heard.texts.get() == "1"
    assert (await Generations(store.pool).state()).generation == 1
    await take(store, path)
    await take(store, write(tmp_path, NEXT, [Line("a/b", 6)]))
    assert await heard.texts.get() == "2"
    await notices.stop()


async def test_imports_at_the_same_time_take_turns(store: Store, tmp_path: Path) -> None:
    said: list[str] = []
    paths = [write(tmp_path, DAY + timedelta(at), [Line("a/b", at)]) for at in range(4)]

    async def one(path: Path) -> Imported:
        return await import_rankings(store.pool, ranking_files([path]), SOURCE, said.append)

    done = await asyncio.gather(*map(one, paths))
    assert sorted(one.generation or 0 for one in done) == [1, 2, 3, 4]
    assert "another import is under way; waiting for its end" in said
    assert (await Repositories(store.pool).summary("a/b")).stars == 3
    assert len((await dump(store))["snapshots"]) == 4


async def test_a_text_that_changes_is_found_by_its_new_words_alone(
    store: Store, tmp_path: Path
) -> None:
    line = Line("a/b", 5, description="old words")
    await take(store, write(tmp_path, DAY, [line]))
    await take(store, write(tmp_path, NEXT, [replace(line, description="new words")]))
    (standing,) = (await dump(store))["standings"]
    assert "'new'" in standing[7]
    assert "'old'" not in standing[7]
