"""Who is there, over HTTP: lists, long polls for them, and why instances are as they are."""

from __future__ import annotations

import asyncio
import random
from time import monotonic
from typing import Final
from zlib import crc32

import orjson
from aiohttp import hdrs, web
from aiohttp.helpers import ETAG_ANY

from uaitools.registry.api import requests
from uaitools.registry.api.documents import Documents
from uaitools.registry.api.streams import Streams, named
from uaitools.registry.entry import Entry
from uaitools.registry.errors import Unknown
from uaitools.registry.registry import Registry
from uaitools.registry.service import Listing
from uaitools.registry.watchers import LIVE
from uaitools.rest import query

_JITTER: Final = 1 / 16  # of a wait, so that watchers who asked together do not ask again in step


class Lists:
    """Handlers of questions. polls: those that wait now. streams: whether the registry stops."""

    __slots__ = ("_documents", "_longest_wait", "_registry", "_streams", "polls")

    def __init__(
        self, registry: Registry, documents: Documents, streams: Streams, longest_wait: float
    ) -> None:
        self._registry = registry
        self._documents = documents
        self._streams = streams
        self._longest_wait = longest_wait
        self.polls = 0

    def __repr__(self) -> str:
        return f"<Lists polls={self.polls}>"

    async def services(self, _request: web.Request) -> bytes:
        """GET of all services."""
        return orjson.dumps(self._documents.services())

    async def nodes(self, _request: web.Request) -> bytes:
        """GET of all addresses."""
        return orjson.dumps(self._documents.nodes())

    async def list(self, request: web.Request) -> web.Response:
        """GET of a service: at once, or as a long poll when it has another index."""
        asked = query(request, requests.ListQuery)
        name = request.match_info["id"]
        if asked.watcher is not None:
            # An index without its epoch is taken for one of this epoch, as in every long poll.
            epoch = asked.epoch or self._registry.table.epoch
            watcher = named(request, asked.watcher)
            self._registry.acknowledge(name, watcher, asked.index or 0, epoch)
            await self._registry.store.introduce()
        if asked.index is not None and asked.wait:
            # Who waits longer than a watcher is believed to live would no longer be waited for.
            most = self._longest_wait if asked.watcher is None else LIVE / 2
            await self._other_than(name, asked.index, asked.epoch, min(asked.wait, most))
        listing = self._registry.table.listing(name)
        tag = self._tag(request, listing)
        headers = {hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: f'W/"{tag}"'}
        if any(known.value in (tag, ETAG_ANY) for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        shown = [entry for entry in listing.entries if _wanted(entry, asked)]
        text = orjson.dumps(self._documents.listing(name, listing, shown))
        return web.Response(body=text, content_type="application/json", headers=headers)

    def _tag(self, request: web.Request, listing: Listing) -> str:
        """Of the list as it was asked for, and of whether it is to be believed."""
        sure = self._registry.authoritative(request.match_info["id"])
        asked = crc32(request.query_string.encode())  # the same in every registry
        epoch = self._registry.table.epoch
        return f"{epoch}-{listing.revision}-{int(sure)}-{asked:x}"

    async def _other_than(self, name: str, index: int, epoch: str | None, wait: float) -> None:
        """Wait until the service has another index, or history is another one."""
        changed = asyncio.Event()
        sure = self._registry.authoritative(name)
        bells = self._registry.bells
        until = monotonic() + wait * (1.0 + _JITTER * random.random())  # noqa: S311 - no secret
        bells.hang(name, changed.set)
        self.polls += 1
        try:
            while not self._streams.closing:
                table = self._registry.table
                service = table.services.get(name)
                revision = service.revision if service is not None else 0
                if revision != index or epoch not in (None, table.epoch):
                    return
                if self._registry.authoritative(name) != sure:
                    return  # it may be believed now, or no longer
                async with asyncio.timeout(max(0.0, until - monotonic())):
                    await changed.wait()
                changed.clear()
        except TimeoutError:
            pass
        finally:
            self.polls -= 1
            bells.take_down(name, changed.set)

    async def explain(self, request: web.Request) -> bytes:
        """GET of why instances are as they are."""
        name, table = request.match_info["name"], self._registry.table
        service = table.services.get(name)
        entries = list(service) if service is not None else []
        namesake = table.entries.get(name)
        if namesake is not None and namesake.instance.name != name:
            entries.append(namesake)
        gone = [
            one
            for several in table.services.values()
            for one in several.departed
            if several is service or one.id == name
        ]
        if service is None and not entries and not gone:
            raise Unknown(name)
        return orjson.dumps(
            {
                "name": name,
                "epoch": table.epoch,
                "instances": [self._documents.explanation(entry) for entry in entries],
                "gone": [self._documents.departure(one) for one in gone],
            }
        )


def _wanted(entry: Entry, asked: requests.ListQuery) -> bool:
    """Whether an instance is one of those asked for."""
    instance = entry.instance
    return (
        (asked.states is None or entry.state in asked.states)
        and instance.tags.issuperset(asked.tag)
        and asked.zone in (None, instance.zone)
        and asked.version in (None, instance.version)
    )
