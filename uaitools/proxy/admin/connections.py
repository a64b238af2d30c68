"""Client connections of all processes in one order: by process, and in each as they came."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from uaitools.proxy.clients import Clients
    from uaitools.proxy.downstream import Downstream

Slices = dict[int, tuple[int, int]]  # process id -> (first, count)


def slices(totals: Mapping[int, int], offset: int, limit: int) -> Slices:
    """Which connections of each process make a page. totals: how many each has."""
    wanted: Slices = {}
    for pid, total in sorted(totals.items()):
        count = min(total - offset, limit)
        if count > 0:
            wanted[pid] = (offset, count)
            limit -= count
        offset = max(0, offset - total)
    return wanted


def answer(clients: Clients, question: bytes) -> bytes:
    """What this process has of the slices in `question`, and how many connections in all."""
    wanted = orjson.loads(question)
    first, count = wanted.get(str(os.getpid()), (0, 0))
    page = islice(clients, first, first + count)
    return orjson.dumps(
        {
            "pid": os.getpid(),
            "total": len(clients),
            "connections": [_view(client) for client in page],
        }
    )


def _view(client: Downstream) -> dict[str, Any]:
    exchange = client.exchange
    plan = exchange.plan if exchange is not None else None
    return {
        "pid": os.getpid(),
        "client": client.address.decode(),
        "doing": client.phase.name.lower(),
        "held": client.buffered(),
        "method": plan.head.method.decode() if plan is not None else None,
        "route": plan.series.endpoint if plan is not None else None,
        "service": plan.service.name if plan is not None else None,
        "endpoint": exchange.at if exchange is not None else None,
    }
