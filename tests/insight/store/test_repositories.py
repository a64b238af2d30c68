"""One repository, by its id and by its names."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest

from tests.insight.stores import Line, take, write
from uaitools.insight.errors import UnknownRepository
from uaitools.insight.store.opening import Store
from uaitools.insight.store.repositories import Repositories

DAY = date(2024, 2, 11)
AT = datetime(2024, 2, 10, 12, 30, tzinfo=UTC)


async def test_a_repository_by_id_and_by_name(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, DAY, [Line("Ann/Lib", 5, 2, "Go", "it is", AT)]))
    repositories = Repositories(store.pool)
    summary = await repositories.summary("ann/LIB")
    assert await repositories.summary(str(summary.id)) == summary
    assert await repositories.summary(str(summary.id).upper()) == summary
    assert (summary.name, summary.full_name, summary.description) == ("Lib", "Ann/Lib", "it is")
    assert (summary.language, summary.stars, summary.forks) == ("Go", 5, 2)
    assert (summary.last_updated, summary.as_of) == (AT, DAY)
    assert (summary.analysis_status, summary.insight_count, summary.quality) == ("none", 0, None)
    assert (summary.trending_score, summary.source) == (None, "github-ranking")
    assert (summary.state.generation, summary.state.as_of) == (1, DAY)


@pytest.mark.parametrize(
    "which", ["a/b", "", "a", "a/\0", "a/\udc80", "é/é", "x" * 10_000, str(UUID(int=7))]
)
async def test_what_is_not_there_is_unknown(store: Store, which: str) -> None:
    with pytest.raises(UnknownRepository):
        await Repositories(store.pool).summary(which)


async def test_what_left_the_source_says_since_when(store: Store, tmp_path: Path) -> None:
    await take(store, write(tmp_path, DAY, [Line("a/b", 5), Line("a/c", 6)]))
    later = date(2024, 2, 14)
    await take(store, write(tmp_path, later, [Line("a/c", 7)]))
    summary = await Repositories(store.pool).summary("a/b")
    assert (summary.stars, summary.as_of, summary.state.as_of) == (5, DAY, later)
