"""Clones into insights and quality: once a day, with evidence, all or nothing."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.insight.analysis.clones import AS_OF, Clone, Commit, count, shortlog
from tests.insight.stores import Line, dump, take, write
from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.insight.importing import clones
from uaitools.insight.importing.clones import Analysed, import_clones
from uaitools.insight.importing.errors import Refused
from uaitools.insight.store.analyses import Analyses
from uaitools.insight.store.boards import Ask, Boards
from uaitools.insight.store.events import Events
from uaitools.insight.store.generations import Generations
from uaitools.insight.store.opening import Store
from uaitools.insight.store.repositories import Repositories
from uaitools.insight.store.search import Search, Wanted

DAY = AS_OF.date()
README: dict[bytes, bytes | None] = {b"README.md": b"# x\n", b"a.py": b"print(1)\n"}
SECURITY: dict[bytes, bytes | None] = {b"SECURITY.md": b"Write to us. " * 50}


def made(path: Path, origin: str = "https://github.com/ann/lib") -> Clone:
    clone = Clone.made(path).commit(Commit(README))
    clone.configure(f'[remote "origin"]\n    url = {origin}\n')
    return clone


async def analysed(
    store: Store, *paths: Path, name: str | None = None, day: date = DAY
) -> Analysed:
    some = [clones.Clone(path, name) for path in paths]
    return await import_clones(store.pool, some, day, AnalysisConfig(), lambda _: None)


async def test_a_clone_tells_insights_and_quality_with_evidence(
    store: Store, tmp_path: Path
) -> None:
    clone = made(tmp_path / "lib")
    assert await analysed(store, clone.path) == Analysed(1, 1, 1)
    told = await Analyses(store.pool).newest("ann/lib")
    assert told is not None
    insights = {one["kind"]: one for one in told.insights}
    assert insights["commits"]["value"]["commits"] == count(clone.path)
    assert insights["authors"]["value"]["authors"] == len(shortlog(clone.path))
    checks = {one["name"]: one for one in told.checks}
    assert checks["readme"]["outcome"] == "pass"
    assert checks["readme"]["evidence"][0]["path"] == "README.md"
    assert all(one["evidence"] for one in told.checks)
    assert (told.day, told.commit) == (DAY, clone.git("rev-parse", "HEAD").decode().strip())
    summary = await Repositories(store.pool).summary("ann/lib")
    assert (summary.quality, summary.analysis_status) == (told.score, "completed")
    assert summary.insight_count == len(told.insights)
    assert (summary.stars, summary.language, summary.source) == (None, "Python", "git")
    assert (await Search(store.pool).search(Wanted("lib"))).total == 1
    (event,) = await Events(store.pool).since(0, 9)
    assert event.type == "analysis_completed"
    assert event.data == {"insights_added": len(told.insights), "analysis_duration": "0m0s"}


async def test_the_same_clone_on_the_same_day_changes_nothing(store: Store, tmp_path: Path) -> None:
    clone = made(tmp_path / "lib")
    await analysed(store, clone.path)
    before = await dump(store)
    assert await analysed(store, clone.path) == Analysed(None, 1, 0)
    assert await dump(store) == before
    assert await Events(store.pool).newest() == 1


async def test_what_changes_is_a_new_generation(store: Store, tmp_path: Path) -> None:
    clone = made(tmp_path / "lib")
    await analysed(store, clone.path)
    first = await Analyses(store.pool).newest("ann/lib")
    clone.commit(Commit(SECURITY))
    assert await analysed(store, clone.path) == Analysed(2, 1, 1)
    second = await Analyses(store.pool).newest("ann/lib")
    assert first is not None
    assert second is not None
    assert (second.score or 0) > (first.score or 0)
    summary = await Repositories(store.pool).summary("ann/lib")
    assert (summary.quality, summary.insight_count) == (second.score, len(second.insights))


async def test_quality_has_a_board_now_and_then(store: Store, tmp_path: Path) -> None:
    good = made(tmp_path / "good", "git@github.com:ann/good.git").commit(Commit(SECURITY))
    poor = made(tmp_path / "poor", "git@github.com:ann/poor.git")
    await analysed(store, good.path, poor.path, day=DAY)
    boards = Boards(store.pool)
    before = await boards.board(Ask("quality"))
    assert [one["name"] for one in before.repositories] == ["good", "poor"]
    poor.commit(Commit(SECURITY), Commit({b"CHANGELOG.md": b"# 1\n"}))
    later = DAY + timedelta(1)
    await analysed(store, poor.path, day=later)
    board = await boards.board(Ask("quality"))
    assert [one["name"] for one in board.repositories] == ["poor", "good"]
    assert (board.as_of, list(board.sources), board.span) == (later, ["git"], None)
    assert board.repositories[0]["terms"]["day"] == str(later)
    assert all(one["evidence"] for one in board.repositories[0]["terms"]["checks"])
    past = await boards.board(Ask("quality", as_of=DAY))
    assert (past.as_of, past.repositories) == (before.as_of, before.repositories)
    assert (await boards.board(Ask("quality", language="Go"))).repositories == []


async def test_a_clone_of_a_ranked_repository_is_that(store: Store, tmp_path: Path) -> None:
    clone = made(tmp_path / "lib", "https://github.com/Ann/LIB.git")
    await take(store, write(tmp_path, DAY, [Line("ann/lib", 7, 1, "Go", "ranked")]))
    await analysed(store, clone.path)
    summary = await Repositories(store.pool).summary("ann/lib")
    assert (summary.stars, summary.language, summary.description) == (7, "Go", "ranked")
    assert summary.quality is not None
    later = write(tmp_path, DAY + timedelta(1), [Line("ann/lib", 8)])
    await take(store, later)
    again = await Repositories(store.pool).summary("ann/lib")
    assert (again.stars, again.quality) == (8, summary.quality)
    (one,) = (await Boards(store.pool).board(Ask("quality"))).repositories
    assert one["stars"] == 8


async def test_a_repository_that_was_known_by_git_alone_is_ranked_later(
    store: Store, tmp_path: Path
) -> None:
    clone = made(tmp_path / "lib")
    await analysed(store, clone.path)
    before = await Repositories(store.pool).summary("ann/lib")
    await take(store, write(tmp_path, DAY, [Line("ann/lib", 7, 1, "Go", "ranked")]))
    summary = await Repositories(store.pool).summary("ann/lib")
    assert (summary.id, summary.source) == (before.id, "github-ranking")
    assert (summary.stars, summary.language, summary.as_of) == (7, "Go", DAY)
    assert (await Search(store.pool).search(Wanted("ranked", "Go", 7))).total == 1


async def test_an_older_analysis_is_no_news(store: Store, tmp_path: Path) -> None:
    clone = made(tmp_path / "lib")
    await analysed(store, clone.path)
    await analysed(store, clone.path, day=DAY - timedelta(9))
    told = await Analyses(store.pool).newest("ann/lib")
    assert told is not None
    assert told.day == DAY
    summary = await Repositories(store.pool).summary("ann/lib")
    assert summary.insight_count == len(told.insights)


async def test_where_no_origin_tells_a_name_is_given(store: Store, tmp_path: Path) -> None:
    clone = Clone.made(tmp_path / "x").commit(Commit(README))
    with pytest.raises(Refused, match="--name OWNER/NAME"):
        await analysed(store, clone.path)
    with pytest.raises(Refused, match="is no name of a repository"):
        await analysed(store, clone.path, name="nothing")
    await analysed(store, clone.path, name="Ann/Other")
    assert (await Repositories(store.pool).summary("ann/other")).full_name == "Ann/Other"


async def test_one_that_cannot_be_read_leaves_nothing_of_the_others(
    store: Store, tmp_path: Path
) -> None:
    good = made(tmp_path / "good")
    elsewhere = made(tmp_path / "elsewhere", "https://gitlab.com/ann/lib")
    (tmp_path / "none").mkdir()
    before = await dump(store)
    with pytest.raises(Refused) as refused:
        await analysed(store, good.path, tmp_path / "none", elsewhere.path, tmp_path / "away")
    assert len(refused.value.problems) == 3
    assert await dump(store) == before
    assert (await Generations(store.pool).state()).generation == 0


async def test_one_repository_is_not_given_twice(store: Store, tmp_path: Path) -> None:
    day = [DAY + timedelta(at) for at in range(2)]
    said = "what nobody else says of theirs"
    await take(store, write(tmp_path, day[0], [Line("ann/old", 500, 5, "Go", said)]))
    await take(store, write(tmp_path, day[1], [Line("ann/new", 500, 5, "Go", said)]))
    old = made(tmp_path / "old", "https://github.com/ann/old")
    new = made(tmp_path / "new", "https://github.com/ann/new")
    for pair in ((old, old), (old, new)):
        with pytest.raises(Refused, match="given twice"):
            await analysed(store, *(one.path for one in pair))
    await analysed(store, old.path)
    told = await Analyses(store.pool).newest("ann/new")
    assert told is not None


async def test_who_was_not_analysed_has_no_analysis(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, DAY, [Line("ann/lib", 7)]))
    assert await Analyses(store.pool).newest("ann/lib") is None
