"""The HTTP resources of the service: which handler answers what, and what OpenAPI says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import BaseModel

from uaitools.auth.middleware import Access
from uaitools.cache.lifetime import Lifetime, Outcome
from uaitools.insight.api import answers, leaderboards, requests, searches, summaries
from uaitools.insight.api.leaderboards import Leaderboards
from uaitools.insight.api.reports import SCOPE, ReportHandlers
from uaitools.insight.api.searches import Searches
from uaitools.insight.api.serving import Serving, Source
from uaitools.insight.api.statistics import StatisticsHandlers
from uaitools.insight.api.summaries import Summaries
from uaitools.insight.errors import SERVICE
from uaitools.openapi import Described
from uaitools.rest import Direct, Resource, serve

if TYPE_CHECKING:
    from uaitools.insight.server import InsightServer
    from uaitools.proxy import DirectRequest

_NAMES: Final = {
    "repo_id": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|^[A-Za-z0-9-]{1,39}/\w[\w.-]{0,99}$"
}
_CACHED: Final = {"Cache-Control": ""}  # whatever does not fit does not count


class Api:
    """What a service says and takes over HTTP. servings: of fast paths, once it has started."""

    def __init__(self, server: InsightServer) -> None:
        self.servings: Sequence[Serving] = ()
        self._service = server.service
        self._reports = ReportHandlers(server.service)
        self._statistics = StatisticsHandlers(server)
        self._by_kind: dict[str, Serving] = {}

    def __repr__(self) -> str:
        return f"<Api {self._service!r}>"

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How many answers of fast paths had which X-Cache."""
        return sum((one.outcomes for one in self.servings), Counter())

    def start(self) -> None:
        """Be ready to answer; the service has started."""
        service, fresh = self._service, self._service.config.freshness
        copies, summary = service.copies, fresh.lifetime(fresh.summary)
        found: Mapping[str, tuple[Source, Lifetime]] = {
            "summary": (Summaries(service.repositories, copies, summary), summary),
            "search": (Searches(service.search), fresh.lifetime(fresh.search)),
            "leaderboard": (
                Leaderboards(service.boards, service.following),
                fresh.lifetime(fresh.leaderboard),
            ),
        }
        self.servings = tuple(
            Serving(kind, source, copies, lifetime) for kind, (source, lifetime) in found.items()
        )
        self._by_kind = {one.kind: one for one in self.servings}

    def add_to(self, app: web.Application, *, secured: bool) -> None:
        """Add everything to an application. secured: OpenAPI says that a token is needed."""
        described = Described(
            "uaitools insight",
            "Repositories: how they stand, how fresh that is, and why they rank so.",
            secured,
            always=(429, 503, 504),
            error=answers.Error,
        )
        serve(app, SERVICE, self.resources(), described)

    def resources(self) -> Iterable[Resource]:
        """All of them."""
        return (
            self._fast(
                "summary", summaries.PATH, "One repository, by its id or as owner%2Fname",
                answers.Summary, errors=(404,), patterns=_NAMES, access="required",
            ),
            self._fast(
                "search", searches.PATH, "Repositories by words and parts of names",
                answers.Found, query=requests.Search,
            ),
            self._fast(
                "leaderboard", leaderboards.PATH, "The best repositories",
                answers.Leaderboard, query=requests.Leaderboard,
            ),
            Resource(
                "POST", "/api/v1/events", self._reports.report, "Report what has happened",
                answers.Recorded, requests.Event, status=201, also=(200,), scope=SCOPE,
                errors=(404,),
            ),
            Resource(
                "GET", "/api/v1/system/stats", self._statistics.get, "How this process does",
                answers.Statistics,
            ),
        )  # fmt: skip

    def _fast(
        self,
        kind: str,
        path: str,
        summary: str,
        said: type[BaseModel],
        *,
        access: Access = "optional",
        errors: tuple[int, ...] = (),
        **rest: Any,
    ) -> Resource:
        def answer(request: DirectRequest) -> Any:
            return self._by_kind[kind].answer(request)

        return Resource(
            "GET", path, None, summary, said,
            direct=Direct(kind, answer), errors=(400, *errors), tagged=True, headers=_CACHED,
            access=access, **rest,
        )  # fmt: skip
