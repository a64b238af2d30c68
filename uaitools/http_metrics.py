"""How many requests there were, and how long they took: the metrics that every service has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from uaitools.metrics import DURATION, REQUESTS, Histogram, Sample

_GONE: Final = 499  # as nginx calls it: the client has gone before it had an answer
_NONE: Final = "(none)"  # nothing is served there; the path itself would be a label of theirs


class HttpMetrics:
    """Counts the requests of an aiohttp application, by the templates of their routes."""

    __slots__ = ("_counts", "_durations")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], Histogram] = {}

    def __repr__(self) -> str:
        return f"<HttpMetrics requests={sum(self._counts.values())}>"

    def middleware(self) -> Middleware:
        """What counts: it stands outermost."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            began = time.monotonic()
            try:
                response = await handler(request)
            except asyncio.CancelledError:
                self._count(request, _GONE)
                raise
            except web.HTTPException as error:
                self._count(request, error.status, time.monotonic() - began)
                raise
            except Exception:
                self._count(request, 500, time.monotonic() - began)
                raise
            # How long a stream was listened to says nothing of how long its answer took.
            whole = isinstance(response, web.Response)
            self._count(request, response.status, time.monotonic() - began if whole else None)
            return response

        return count

    def samples(self) -> Iterator[Sample]:
        """What was counted, for `metrics.Registry.add`."""
        for (method, endpoint, status), count in self._counts.items():
            labels = (("endpoint", endpoint), ("method", method), ("status", str(status)))
            yield Sample(REQUESTS, labels, count)
        for (method, endpoint), histogram in self._durations.items():
            yield Sample(DURATION, (("endpoint", endpoint), ("method", method)), histogram.value())

    def _count(self, request: web.Request, status: int, seconds: float | None = None) -> None:
        resource = request.match_info.route.resource
        endpoint = _NONE if resource is None else resource.canonical
        # A method of the client's invention would be a label of theirs as well.
        method = request.method if resource is not None else _NONE
        key = (method, endpoint, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        if seconds is None:
            return
        histogram = self._durations.get((method, endpoint))
        if histogram is None:
            histogram = self._durations[method, endpoint] = Histogram()
        histogram.observe(seconds)
