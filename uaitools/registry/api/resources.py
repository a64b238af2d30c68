"""The REST resources of a registry."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable
from time import monotonic
from typing import Any, Final
from zlib import crc32

import orjson
from aiohttp import hdrs, web
from aiohttp.helpers import ETAG_ANY

from uaitools.errors import ServiceError
from uaitools.openapi import Described
from uaitools.proxy import DirectRequest
from uaitools.registry.api import answers, requests
from uaitools.registry.api.documents import Documents
from uaitools.registry.api.feed import Telling
from uaitools.registry.api.streams import WRITE, Streams, named
from uaitools.registry.entry import Entry
from uaitools.registry.errors import SERVICE, Unknown
from uaitools.registry.events import Beat
from uaitools.registry.registry import Registry
from uaitools.registry.service import Listing
from uaitools.rest import Resource, body, parse, query, serve

READ: Final = "registry:read"
BODY: Final = 256 * 1024  # bytes at most
_JITTER: Final = 1 / 16  # of a wait, so that watchers who asked together do not ask again in step
_STEP: Final = 0.25  # seconds between two looks at a drain
_ONE: Final = "/v1/services/{id}"
BEAT: Final = f"{_ONE}/heartbeat"


class Api:
    """What a registry says and takes over HTTP. `streams.close` before the program stops.

    longest_wait: seconds after which who waits is answered, however long it asked for.
    """

    def __init__(self, registry: Registry, longest_wait: float) -> None:
        self._longest_wait = longest_wait
        self._registry = registry
        self._documents = Documents(registry)
        self.streams = Streams(registry, Telling(self._documents))
        self.polls = 0  # that wait now

    def __repr__(self) -> str:
        return f"<Api {self.streams!r} polls={self.polls}>"

    def application(self, *, secured: bool, beats: bool = True) -> web.Application:
        """An application with all resources, for uaitools.web.application or a gateway.

        secured: OpenAPI says that a token is needed; that it is, is up to who serves this. beats:
        it takes heartbeats, too; a gateway hands them to `beat` instead.
        """
        app = web.Application(client_max_size=BODY)
        described = Described(
            "uaitools registry",
            "Who is there, how they are, and who has to know of a change.",
            secured,
        )
        elsewhere = () if beats else (("PUT", BEAT),)
        serve(app, SERVICE, self.resources(), described, elsewhere=elsewhere)
        return app

    def beat(self, request: DirectRequest) -> bytes | Coroutine[Any, Any, bytes]:
        """A heartbeat, as a gateway hands it on: nothing comes as often."""
        name = request.path.split("/", 4)[3]
        said = parse(request.body, request.content_type, requests.Heartbeat, SERVICE)
        load = None if said.load is None else said.load.value()
        entry = self._registry.table.get(name, said.generation)
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
            }
        )

    def resources(self) -> Iterable[Resource]:
        """Everything that it serves; a path that two begin with the same variable calls it id."""
        return (
            Resource(
                "PUT", BEAT, self._heartbeat, "An instance lives",
                answers.Heard, requests.Heartbeat, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "GET", "/v1/services", self._services, "All services",
                answers.Services, scope=READ,
            ),
            Resource(
                "POST", "/v1/services", self._register, "Register an instance, or replace it",
                answers.Registered, requests.Registration, status=201, scope=WRITE, errors=(507,),
            ),
            Resource(
                "GET", _ONE, self._list, "The instances of a service; a long poll with index",
                answers.ServiceList, query=requests.ListQuery, scope=READ, tagged=True,
            ),
            Resource(
                "DELETE", _ONE, self._deregister, "Take an instance out",
                query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "PATCH", _ONE, self._change, "Give an instance another weight, tags or meta",
                answers.InstanceView, requests.Patch,
                query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "PUT", f"{_ONE}/maintenance", self._maintain, "Take an instance out for a while",
                answers.InstanceView, requests.Maintenance,
                query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "DELETE", f"{_ONE}/maintenance", self._restore, "Let it in again",
                answers.InstanceView, query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "POST", f"{_ONE}/drain", self._drain, "Have nothing new sent to an instance",
                answers.DrainProgress, requests.DrainModel, status=202,
                query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "GET", f"{_ONE}/drain", self._progress, "Whether an instance may stop",
                answers.DrainProgress, query=requests.Waiting, scope=READ, errors=(404,),
            ),
            Resource(
                "DELETE", f"{_ONE}/drain", self._undrain, "Have things sent to it again",
                answers.InstanceView, query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "POST", f"{_ONE}/applied", self._applied, "A watcher has applied a revision",
                body=requests.Applied, scope=READ,
            ),
            Resource(
                "POST", "/v1/observations", self._observe, "What a proxy has seen",
                body=requests.Observations, scope=WRITE,
            ),
            Resource("GET", "/v1/nodes", self._nodes, "All addresses", answers.Nodes, scope=READ),
            Resource(
                "GET", "/v1/explain/{name}", self._explain, "Why instances are in their state",
                answers.Explanations, scope=READ, errors=(404,),
            ),
            Resource(
                "GET", "/v1/watch", self._watch, "Changes as server-sent events, or a WebSocket",
                query=requests.WatchQuery, scope=READ, streams=("text/event-stream",),
            ),
        )  # fmt: skip

    # -- instances --------------------------------------------------------------------------

    async def _register(self, request: web.Request) -> answers.Registered:
        wanted = (await body(request, requests.Registration, SERVICE)).instance()
        entry = await self._registry.register(wanted)
        return answers.Registered(
            id=wanted.id,
            generation=entry.instance.generation,
            index=entry.revision,
            epoch=self._registry.table.epoch,
            ttl=wanted.ttl,
        )

    async def _heartbeat(self, request: web.Request) -> bytes:
        beat = DirectRequest(request.path, request.content_type, await request.read())
        answer = self.beat(beat)
        return answer if isinstance(answer, bytes) else await answer

    async def _deregister(self, request: web.Request) -> None:
        await self._registry.deregister(*_registration(request))

    async def _change(self, request: web.Request) -> bytes:
        name, generation = _registration(request)
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

    async def _maintain(self, request: web.Request) -> bytes:
        name, generation = _registration(request)
        reason = (await body(request, requests.Maintenance, SERVICE)).reason
        return self._said(await self._registry.maintain(name, reason, generation))

    async def _restore(self, request: web.Request) -> bytes:
        name, generation = _registration(request)
        return self._said(await self._registry.maintain(name, None, generation))

    async def _drain(self, request: web.Request) -> answers.DrainProgress:
        name, generation = _registration(request)
        within = (await body(request, requests.DrainModel, SERVICE)).deadline
        await self._registry.drain(name, within, generation)
        return await self._progress_of(name)

    async def _undrain(self, request: web.Request) -> bytes:
        name, generation = _registration(request)
        return self._said(await self._registry.drain(name, None, generation))

    async def _progress(self, request: web.Request) -> answers.DrainProgress:
        name = request.match_info["id"]
        until = monotonic() + min(query(request, requests.Waiting).wait, self._longest_wait)
        while True:
            progress = await self._progress_of(name)
            left = until - monotonic()
            over = progress.safe or progress.overdue or progress.deadline is None
            if over or left <= 0 or self.streams.closing:
                return progress
            # Watchers that apply a revision ring no bell, and they are many.
            await asyncio.sleep(min(_STEP, left))

    async def _progress_of(self, name: str) -> answers.DrainProgress:
        progress = await self._registry.progress(name)
        deadline = progress.deadline
        return answers.DrainProgress(
            id=name,
            index=progress.revision,
            safe=progress.safe,
            behind=progress.behind,
            in_flight=progress.in_flight,
            overdue=progress.overdue,
            deadline=None if deadline is None else self._documents.stamp(deadline),
        )

    def _said(self, entry: Entry) -> bytes:
        return orjson.dumps(self._documents.instance(entry))

    # -- services ---------------------------------------------------------------------------

    async def _services(self, _request: web.Request) -> bytes:
        return orjson.dumps(self._documents.services())

    async def _nodes(self, _request: web.Request) -> bytes:
        return orjson.dumps(self._documents.nodes())

    async def _list(self, request: web.Request) -> web.Response:
        asked = query(request, requests.ListQuery)
        name = request.match_info["id"]
        if asked.watcher is not None:
            # An index without its epoch is taken for one of this epoch, as in every long poll.
            epoch = asked.epoch or self._registry.table.epoch
            watcher = named(request, asked.watcher)
            self._registry.acknowledge(name, watcher, asked.index or 0, epoch)
            await self._registry.store.introduce()
        if asked.index is not None and asked.wait:
            await self._other_than(
                name, asked.index, asked.epoch, min(asked.wait, self._longest_wait)
            )
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
        sure = listing.authoritative and self._registry.store.current
        asked = crc32(request.query_string.encode())  # the same in every registry
        epoch = self._registry.table.epoch
        return f"{epoch}-{listing.revision}-{int(sure)}-{asked:x}"

    async def _other_than(self, name: str, index: int, epoch: str | None, wait: float) -> None:
        """Wait until the service has another index, or history is another one."""
        changed = asyncio.Event()
        sure = self._registry.sure
        bells = self._registry.bells
        until = monotonic() + wait * (1.0 + _JITTER * random.random())  # noqa: S311 - no secret
        bells.hang(name, changed.set)
        self.polls += 1
        try:
            while not self.streams.closing:
                table = self._registry.table
                service = table.services.get(name)
                revision = service.revision if service is not None else 0
                if revision != index or epoch not in (None, table.epoch):
                    return
                if self._registry.sure != sure:
                    return  # it may be believed now, or no longer
                async with asyncio.timeout(max(0.0, until - monotonic())):
                    await changed.wait()
                changed.clear()
        except TimeoutError:
            pass
        finally:
            self.polls -= 1
            bells.take_down(name, changed.set)

    async def _explain(self, request: web.Request) -> bytes:
        name, table = request.match_info["name"], self._registry.table
        service = table.services.get(name)
        entries = list(service) if service is not None else []
        if not entries and name in table.entries:
            entries = [table.entries[name]]
        if service is None and not entries:
            raise Unknown(name)
        explained = [self._documents.explanation(entry) for entry in entries]
        return orjson.dumps({"name": name, "epoch": table.epoch, "instances": explained})

    # -- watchers ---------------------------------------------------------------------------

    async def _applied(self, request: web.Request) -> None:
        said = await body(request, requests.Applied, SERVICE)
        service = request.match_info["id"]
        watcher = named(request, said.watcher)
        self._registry.acknowledge(service, watcher, said.index, said.epoch)

    async def _observe(self, request: web.Request) -> None:
        said = await body(request, requests.Observations, SERVICE)
        watcher = named(request, said.watcher)
        await self._registry.observe(watcher, [one.observation() for one in said.observations])

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await self.streams.websocket(request)
        services = query(request, requests.WatchQuery).service
        if not services:
            raise ServiceError(422, "name what to watch: /v1/watch?service=NAME", SERVICE)
        return await self.streams.events(request, services)


def _registration(request: web.Request) -> tuple[str, int | None]:
    """Which instance is meant, and which registration of it if only that one is."""
    return request.match_info["id"], query(request, requests.Generation).generation


def _wanted(entry: Entry, asked: requests.ListQuery) -> bool:
    """Whether an instance is one of those asked for."""
    instance = entry.instance
    return (
        (asked.states is None or entry.state in asked.states)
        and instance.tags.issuperset(asked.tag)
        and asked.zone in (None, instance.zone)
        and asked.version in (None, instance.version)
    )
