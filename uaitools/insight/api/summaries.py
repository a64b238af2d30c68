"""One repository: what is asked for, how it is loaded, and how it is said."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from uaitools.cache.lifetime import Lifetime
from uaitools.insight.api.parameters import Parameters
from uaitools.insight.copies import Copies, Copy, Wanted
from uaitools.insight.errors import UnknownRepository
from uaitools.insight.store.repositories import Repositories, Summary
from uaitools.insight.terms import folded

PATH: Final = "/api/v1/fast/repositories/{repo_id}/summary"
_BEFORE, _, _AFTER = PATH.partition("{repo_id}")
_LONGEST: Final = 200  # characters of a name


class Summaries:
    """Summaries of repositories. lifetime: of what is known of their names."""

    __slots__ = ("_copies", "_lifetime", "_repositories")

    def __init__(self, repositories: Repositories, copies: Copies, lifetime: Lifetime) -> None:
        self._repositories = repositories
        self._copies = copies
        self._lifetime = lifetime

    def __repr__(self) -> str:
        return f"<Summaries {self._repositories!r}>"

    async def wanted(self, path: str, query: str) -> Wanted:
        """See serving.Source. Raises UnknownRepository."""
        Parameters(query, ())
        repository = str(await self._named(path[len(_BEFORE) : -len(_AFTER)]))

        async def load() -> Copy:
            return Copy.of(_document(await self._repositories.summary(repository)))

        return Wanted.summary(repository, load)

    async def _named(self, which: str) -> UUID:
        """The id, by which copies are kept whatever name is asked for."""
        try:
            return UUID(which)
        except ValueError:
            name = folded(which)
        if len(name) > _LONGEST or not name.isprintable():
            raise UnknownRepository

        async def load() -> UUID:
            return (await self._repositories.summary(name)).id

        return await self._copies.name(name, load, self._lifetime)


def _document(summary: Summary) -> dict[str, Any]:
    """As answers.Summary has it."""
    return {
        "id": str(summary.id),
        "name": summary.name,
        "full_name": summary.full_name,
        "description": summary.description,
        "language": summary.language,
        "stars": summary.stars,
        "forks": summary.forks,
        "last_updated": summary.last_updated,
        "analysis_status": summary.analysis_status,
        "analysed_at": summary.analysed_at,
        "insight_count": summary.insight_count,
        "quality": summary.quality,
        "trending_score": summary.trending_score,
        "as_of": summary.as_of,
        "source": summary.source,
        "data_as_of": summary.state.as_of,
    }
