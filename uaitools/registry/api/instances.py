"""What instances and operators say of one instance over HTTP."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

import orjson
from aiohttp import web

from uaitools.proxy import DirectRequest
from uaitools.registry.api import requests
from uaitools.registry.api.documents import Documents
from uaitools.registry.entry import Entry
from uaitools.registry.errors import SERVICE, Unknown
from uaitools.registry.events import Beat
from uaitools.registry.registry import Registry
from uaitools.rest import body, parse, query
from uaitools.unpacking import unpacked

SERVICES: Final = "/v1/services"
ONE: Final = f"{SERVICES}/{{id}}"
BEAT: Final = f"{ONE}/heartbeat"


class Instances:
    """Handlers of registrations, heartbeats and operators' words."""

    __slots__ = ("_documents", "_registry")

    def __init__(self, registry: Registry, documents: Documents) -> None:
        self._registry = registry
        self._documents = documents

    def __repr__(self) -> str:
        return f"<Instances {self._registry!r}>"

    def beat(self, request: DirectRequest) -> bytes | Coroutine[Any, Any, bytes]:
        """A heartbeat, as a gateway hands it on: nothing comes as often."""
        name = _named(request.path)
        said = parse(request.body, request.content_type, requests.Heartbeat, SERVICE)
        load = None if said.load is None else said.load.value()
        try:
            entry = self._registry.find(name, said.generation)
        except Unknown:
            raise Unknown(name, "register it again") from None
        event = self._registry.hear(entry, load)
        return self._heard(entry) if event is None else self._told(event)

    async def _told(self, event: Beat) -> bytes:
        entry = await self._registry.append(event)
        assert entry is not None
        return self._heard(entry)

    def _heard(self, entry: Entry) -> bytes:
        return orjson.dumps(
            {
                "health": entry.state.value,
                "index": entry.revision,
                "epoch": self._registry.table.epoch,
                "current": self._registry.store.current,
                "draining": entry.drains,
            }
        )

    async def register(self, request: DirectRequest) -> bytes:
        """POST of an instance, as a gateway hands it on: clients say the same each minute."""
        said = parse(request.body, request.content_type, requests.Registration, SERVICE)
        wanted = said.instance()
        entry = await self._registry.register(wanted)
        return orjson.dumps(
            {
                "id": wanted.id,
                "generation": entry.instance.generation,
                "index": entry.revision,
                "epoch": self._registry.table.epoch,
                "ttl": wanted.ttl,
            }
        )

    async def register_here(self, request: web.Request) -> bytes:
        """The same, where no gateway hands it to `register`."""
        return await self.register(
            DirectRequest(request.path, request.content_type, await unpacked(request, SERVICE))
        )

    async def deregister(self, request: web.Request) -> None:
        """DELETE of an instance."""
        await self._registry.deregister(*registration(request))

    async def change(self, request: web.Request) -> bytes:
        """PATCH of an instance: as it is then."""
        name, generation = registration(request)
        patch = await body(request, requests.Patch, SERVICE)
        return self._said(
            await self._registry.change(
                name,
                weight=patch.weight,
                tags=patch.tags,
                meta=patch.meta,
                generation=generation,
            )
        )

    async def maintain(self, request: web.Request) -> bytes:
        """PUT of maintenance: the instance as it is then."""
        name, generation = registration(request)
        reason = (await body(request, requests.Maintenance, SERVICE)).reason
        return self._said(await self._registry.maintain(name, reason, generation))

    async def restore(self, request: web.Request) -> bytes:
        """DELETE of maintenance: the instance as it is then."""
        name, generation = registration(request)
        return self._said(await self._registry.maintain(name, None, generation))

    def _said(self, entry: Entry) -> bytes:
        return orjson.dumps(self._documents.instance(entry))


def registration(request: web.Request) -> tuple[str, int | None]:
    """Which instance is meant, and which registration of it if only that one is."""
    return request.match_info["id"], query(request, requests.Generation).generation


def _named(path: str) -> str:
    """The id in a path of the form BEAT, unescaped: a slash in it is no id's."""
    return path.removeprefix(f"{SERVICES}/").removesuffix("/heartbeat")
