"""What the analysing service reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from aiohttp import web

from uaitools.insight.api import answers, requests
from uaitools.insight.errors import SERVICE
from uaitools.insight.store.events import Report
from uaitools.rest import answer, body

if TYPE_CHECKING:
    from uaitools.insight.service import InsightService

SCOPE = "insight:report"


class ReportHandlers:
    """Takes reports."""

    __slots__ = ("_service",)

    def __init__(self, service: InsightService) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"<ReportHandlers {self._service!r}>"

    async def report(self, request: web.Request) -> web.Response:
        """POST of an event: 201, and 200 for one that was there."""
        said = await body(request, requests.Event, SERVICE)
        report = Report(
            said.id or uuid4(),
            said.type,
            said.repository_id,
            said.timestamp or datetime.now(UTC),
            said.data,
        )
        recorded = await self._service.report(report)
        told = answers.Recorded(id=report.id, number=recorded.number, new=recorded.new)
        return answer(told.model_dump_json().encode(), 201 if recorded.new else 200)
