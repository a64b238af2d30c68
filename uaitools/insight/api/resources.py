"""The HTTP resources of the service: which handler answers what, and what OpenAPI says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import BaseModel

from uaitools.auth.middleware import Access
from uaitools.insight.api import answers, summaries
from uaitools.insight.api.serving import Serving
from uaitools.insight.api.summaries import Summaries
from uaitools.insight.errors import SERVICE
from uaitools.openapi import Described
from uaitools.rest import Direct, Resource, serve

if TYPE_CHECKING:
    from uaitools.insight.service import InsightService
    from uaitools.proxy import DirectRequest

_NAMES: Final = {
    "repo_id": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|^[A-Za-z0-9-]{1,39}/\w[\w.-]{0,99}$"
}
_CACHED: Final = {"Cache-Control": r"^[ -~]*$"}


class Api:
    """What a service says and takes over HTTP. servings: of fast paths, once it has started."""

    def __init__(self, service: InsightService) -> None:
        self.servings: Sequence[Serving] = ()
        self._service = service
        self._by_kind: dict[str, Serving] = {}

    def __repr__(self) -> str:
        return f"<Api {self._service!r}>"

    def start(self) -> None:
        """Be ready to answer; the service has started."""
        service, lifetime = self._service, self._service.config.freshness.lifetime
        fresh = service.config.freshness
        once = lifetime(fresh.summary)
        copies = service.copies
        self.servings = (
            Serving("summary", Summaries(service.repositories, copies, once), copies, once),
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
                answers.Summary, errors=(400, 404), patterns=_NAMES, access="required",
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
        **rest: Any,
    ) -> Resource:
        def answer(request: DirectRequest) -> Any:
            return self._by_kind[kind].answer(request)

        return Resource(
            "GET", path, None, summary, said,
            direct=Direct(kind, answer), tagged=True, headers=_CACHED, access=access, **rest,
        )  # fmt: skip
