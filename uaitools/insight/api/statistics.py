"""How the process does, for its administrators."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from uaitools.auth.errors import Forbidden
from uaitools.auth.middleware import OPERATIONS, PRINCIPAL
from uaitools.insight.api import answers
from uaitools.insight.errors import SERVICE
from uaitools.insight.metrics import hit_ratio

if TYPE_CHECKING:
    from uaitools.insight.server import InsightServer

ADMIN: Final = "admin"
"""The role that may ask; the scope of operations may as well."""
_KIB: Final = 1024


class StatisticsHandlers:
    """Tells of a server."""

    __slots__ = ("_server",)

    def __init__(self, server: InsightServer) -> None:
        self._server = server

    def __repr__(self) -> str:
        return f"<StatisticsHandlers {self._server!r}>"

    async def get(self, request: web.Request) -> answers.Statistics:
        """GET of how it does. Raises Forbidden."""
        principal = request[PRINCIPAL]
        if not (principal.acts_as((ADMIN,)) or principal.has((OPERATIONS,))):
            raise Forbidden.lacking((), (ADMIN,), SERVICE)
        server = self._server
        pace, tasks = server.pace.now(), len(asyncio.all_tasks())
        return answers.Statistics(
            requests_per_second=round(pace.per_second, 2),
            average_response_time=milliseconds(pace.seconds),
            active_connections=len(server.gateway.clients),
            cache_hit_ratio=hit_ratio(server.api.outcomes),
            memory_usage=_memory(),
            tasks=tasks,
            goroutines=tasks,
        )


def milliseconds(seconds: float | None) -> str | None:
    """As 15ms, and as 0.42ms where it is less than one."""
    if seconds is None:
        return None
    value = seconds * 1000
    return f"{value:.0f}ms" if value >= 1 else f"{value:.2g}ms"


def megabytes(size: float) -> str:
    """As 256MB, of 1024 * 1024 bytes each."""
    return f"{size / _KIB / _KIB:.0f}MB"


def _memory() -> answers.Memory:
    """As Linux tells of it (proc(5)); zero elsewhere."""
    sizes = {"RssAnon": 0, "VmRSS": 0}
    status = Path("/proc/self/status")
    for line in status.read_text("ascii").splitlines() if status.exists() else ():
        name, _, value = line.partition(":")
        if name in sizes:
            sizes[name] = int(value.split()[0]) * _KIB
    return answers.Memory(
        allocated=megabytes(sizes["RssAnon"]),
        system=megabytes(sizes["VmRSS"]),
        gc_cycles=sum(one["collections"] for one in gc.get_stats()),
    )
