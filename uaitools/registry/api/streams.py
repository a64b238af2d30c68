"""A feed as a WebSocket, which also hears its watcher, and as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final
from uuid import uuid4

import orjson
from aiohttp import WSCloseCode, WSMsgType, hdrs, web
from pydantic import TypeAdapter, ValidationError

from uaitools.auth.middleware import PRINCIPAL, still_admitted
from uaitools.errors import ServiceError
from uaitools.registry.api import messages
from uaitools.registry.api.feed import SERVICES, Feed, Telling
from uaitools.registry.errors import SERVICE
from uaitools.registry.registry import Registry
from uaitools.tasks import spawn

PING: Final = 30.0  # seconds
STUCK: Final = 30.0  # seconds after which a watcher that does not read is cut off
MESSAGE: Final = 256 * 1024  # bytes of a watcher's message at most
WRITE: Final = "registry:write"
_MESSAGE: Final[TypeAdapter[messages.Message]] = TypeAdapter(messages.Message)


class Over(Exception):
    """A stream has to end; the text says why. code: of a WebSocket's close."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Streams:
    """All open streams of a registry."""

    __slots__ = ("_feeds", "_registry", "_telling", "closing")

    def __init__(self, registry: Registry, telling: Telling) -> None:
        self._registry = registry
        self._telling = telling
        self._feeds: set[Feed] = set()
        self.closing = False

    def __repr__(self) -> str:
        return f"<Streams open={len(self)} closing={self.closing}>"

    def __len__(self) -> int:
        return len(self._feeds)

    def close(self) -> None:
        """End all of them, and long polls; watchers come again, here or elsewhere."""
        self.closing = True
        self._registry.bells.ring_all()
        for feed in self._feeds:
            feed.changed.set()

    @asynccontextmanager
    async def _feed(self) -> AsyncIterator[Feed]:
        feed = Feed(self._registry, self._telling)
        self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)
            feed.close()

    async def _news(self, feed: Feed, request: web.Request) -> None:
        """Wait for news, or for PING seconds. Raises Over when the stream has to end.

        That is when the registry stops, or was cut off for so long that drains elsewhere no longer
        wait for who stays, or when the watcher's credential is no longer good.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(PING):
                await feed.changed.wait()
        if monotonic() - feed.looked >= PING:
            feed.looked = monotonic()
            if not await still_admitted(request):
                raise Over(WSCloseCode.POLICY_VIOLATION, "the credential is no longer good")
            if self._registry.store.adrift and not feed.changed.is_set():
                raise Over(WSCloseCode.GOING_AWAY, "ask another registry")
        if self.closing:
            raise Over(WSCloseCode.GOING_AWAY, "the registry stops")

    # -- WebSocket --------------------------------------------------------------------------

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        """GET /v1/watch as a WebSocket."""
        socket = web.WebSocketResponse(heartbeat=PING, max_msg_size=MESSAGE, compress=False)
        await socket.prepare(request)
        writes = request[PRINCIPAL].has((WRITE,))
        async with self._feed() as feed:
            listener = _Listener(self._registry, feed, request, writes=writes)
            teller = spawn(self._tell(feed, socket, request), name="tell a watcher")
            try:
                async for message in socket:
                    if message.type is not WSMsgType.TEXT:
                        break
                    complaint = await listener.hear(message.data)
                    if complaint is not None:
                        await socket.send_str(complaint)
            except ConnectionError:
                pass  # it has gone
            finally:
                teller.cancel()
                await asyncio.gather(teller, return_exceptions=True)
            with suppress(ConnectionError):
                await socket.close()
        return socket

    async def _tell(self, feed: Feed, socket: web.WebSocketResponse, request: web.Request) -> None:
        try:
            while True:
                await self._news(feed, request)
                async with asyncio.timeout(STUCK):
                    for message in feed.news():
                        await socket.send_str(message.text.decode())
        except Over as over:
            with suppress(ConnectionError):
                await socket.close(code=over.code, message=str(over).encode())
        except TimeoutError:
            with suppress(ConnectionError):
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"read faster")
        except ConnectionError:
            pass  # it has gone: who listens to it finds out as well

    # -- server-sent events -----------------------------------------------------------------

    async def events(self, request: web.Request, services: tuple[str, ...]) -> web.StreamResponse:
        """GET /v1/watch as server-sent events: a comment every PING seconds keeps it open."""
        response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-store"}
        )
        async with self._feed() as feed:
            known = _known(request.headers.get("Last-Event-ID", ""))
            for service in services:
                epoch, index = known.get(service, (None, None))
                feed.watch(service, index, epoch)
            with suppress(Over, ConnectionError, TimeoutError):  # it has gone, or does not read
                await response.prepare(request)
                while True:
                    await self._news(feed, request)
                    await self._write(feed, response, known)
        return response

    async def _write(
        self, feed: Feed, response: web.StreamResponse, known: dict[str, tuple[str, int]]
    ) -> None:
        text = b"" if feed.changed.is_set() else b": still here\n\n"
        for message in feed.news():
            known[message.service] = (self._registry.table.epoch, message.index)
            text += b"event: %b\nid: %b\ndata: %b\n\n" % (
                message.kind.encode(),
                _identity(known),
                message.text,
            )
        async with asyncio.timeout(STUCK):
            await response.write(text)


class _Listener:
    """What a watcher says over its WebSocket. writes: it may say what it has seen."""

    __slots__ = ("_feed", "_registry", "_request", "_watcher", "_writes")

    def __init__(
        self, registry: Registry, feed: Feed, request: web.Request, *, writes: bool
    ) -> None:
        self._registry = registry
        self._feed = feed
        self._request = request
        self._watcher = named(request, f"connection-{uuid4().hex[:12]}")
        self._writes = writes

    async def hear(self, text: str) -> str | None:
        """Do what a message says; what to complain about, if anything."""
        try:
            await self._obey(_MESSAGE.validate_json(text))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            return _complaint(422, f"{where}: {first['msg']}" if where else first["msg"])
        except ServiceError as error:
            return _complaint(error.code, error.message)
        return None

    async def _obey(self, message: messages.Message) -> None:
        registry, store, feed = self._registry, self._registry.store, self._feed
        match message:
            case messages.Hello(watcher=name):
                watcher = named(self._request, name)
                for service in feed:  # it has watched before it said who it is
                    store.leave(service, self._watcher)
                    store.acknowledge(service, watcher, 0)
                self._watcher = watcher
            case messages.Watch(service=service, index=index, epoch=epoch):
                if service not in feed and len(feed) >= SERVICES:
                    raise ServiceError(429, f"a watcher watches {SERVICES} at most", SERVICE)
                registry.acknowledge(service, self._watcher, index or 0, epoch)
                await store.introduce()
                feed.watch(service, index, epoch)
            case messages.Unwatch(service=service):
                feed.unwatch(service)
                store.leave(service, self._watcher)
            case messages.AppliedMessage(service=service, index=index, epoch=epoch):
                told = feed.told(service)
                registry.acknowledge(service, self._watcher, min(index, told), epoch or feed.epoch)
            case messages.Observed(observations=observations):
                if not self._writes:
                    raise ServiceError(403, f"what was seen needs the scope {WRITE}", SERVICE)
                seen = [one.observation() for one in observations]
                await self._registry.observe(self._watcher, seen)


def named(request: web.Request, watcher: str) -> str:
    """A watcher by the name that it gives itself: nobody speaks for another principal's."""
    user = request[PRINCIPAL].user
    return watcher if user is None else f"{user}/{watcher}"


def _complaint(code: int, message: str) -> str:
    return orjson.dumps({"type": "error", "code": code, "message": message}).decode()


# The identity of an event names what is known of every service, so that the last one suffices to
# go on: `api=EPOCH:12,web=EPOCH:3`. None of these characters stands in a name.
def _identity(known: dict[str, tuple[str, int]]) -> bytes:
    return ",".join(f"{name}={epoch}:{index}" for name, (epoch, index) in known.items()).encode()


def _known(identity: str) -> dict[str, tuple[str, int]]:
    """What `_identity` wrote; what is none says nothing."""
    found = {}
    for part in identity.split(","):
        name, _, rest = part.rpartition("=")
        epoch, _, index = rest.partition(":")
        if name and index.isascii() and index.isdigit() and len(index) < 16:
            found[name] = (epoch, int(index))
    return found
