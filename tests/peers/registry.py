"""A scripted registry: it speaks the contract over real sockets, well or badly, as is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from uaitools.registry.client.timing import Timing

# As little patience as tests have.
QUICK = Timing(
    connect=1.0,
    call=1.0,
    heartbeat=0.3,
    repeat=0.1,
    cap=0.05,
    refused=0.1,
    steady=30.0,
    save=0.02,
    full=60.0,
    look=0.02,
    leave=0.3,
)


def instance(name: str, **fields: object) -> dict[str, Any]:
    """An instance document, complete enough for clients."""
    return {
        "id": name,
        "name": "api",
        "address": "10.0.0.1",
        "port": 9001 + sum(map(ord, name)) - ord("a"),
        "generation": 1,
        "health": "passing",
        **fields,
    }


@dataclass(frozen=True)
class Call:
    """A REST call that came in. action: what follows /v1/services, without the id."""

    method: str
    action: str
    id: str
    query: dict[str, str]
    body: Any
    authorization: str | None

    @property
    def what(self) -> str:
        return f"{self.method} {self.action}".strip()


class RegistryPeer:
    """heard: what watchers have said. lists: how a `watch` is answered, by service.

    refuses: the status of every handshake and call, if any. mute: it neither reads nor pongs.
    answer: asked first for the status and the body of a REST call.
    """

    def __init__(self) -> None:
        self.port = 0
        self.heard: list[dict[str, Any]] = []
        self.calls: list[Call] = []
        self.credentials: list[str | None] = []
        self.lists: dict[str, dict[str, Any]] = {}
        self.refuses = 0
        self.mute = False
        self.epoch = "e1"
        self.generation = 1
        self.answer: Callable[[Call], tuple[int, object] | None] = lambda _: None
        self.sockets: list[web.WebSocketResponse] = []
        self._requests: list[web.Request] = []
        self._runner: web.AppRunner | None = None
        self._ending = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type that came in."""
        return [message for message in self.heard if message["type"] == kind]

    def did(self, what: str) -> list[Call]:
        """The calls of one kind that came in, such as "PUT heartbeat"."""
        return [call for call in self.calls if call.what == what]

    def lists_of(self, service: str, *instances: dict[str, Any], **fields: object) -> None:
        """Answer whoever watches with this list."""
        self.lists[service] = {
            "type": "list",
            "service": service,
            "index": 1,
            "epoch": self.epoch,
            "authoritative": True,
            "cause": None,
            "instances": list(instances),
            **fields,
        }

    async def say(self, text: str | None = None, /, **message: object) -> None:
        """Send something to everybody who is connected."""
        for socket in self.sockets:
            await socket.send_str(
                json.dumps({"epoch": self.epoch, **message}) if text is None else text
            )

    async def start(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application()
        app.router.add_get("/v1/watch", self._watch)
        app.router.add_route("*", "/v1/services", self._rest)
        app.router.add_route("*", "/v1/services/{id}", self._rest)
        app.router.add_route("*", "/v1/services/{id}/{action}", self._rest)
        self._ending.clear()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Go as in a crash: connections are reset."""
        self._ending.set()
        self.reset()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def reset(self) -> None:
        """Lose all connections of watchers."""
        for request in self._requests:
            if request.transport is not None:
                request.transport.abort()
        self._requests.clear()
        self.sockets.clear()

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.credentials.append(request.headers.get("Authorization"))
        if self.refuses:
            return web.json_response({"code": self.refuses, "message": "no"}, status=self.refuses)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._requests.append(request)
        self.sockets.append(socket)
        while not self.mute:
            message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                break
            heard = json.loads(message.data)
            self.heard.append(heard)
            if heard["type"] == "watch" and heard["service"] in self.lists:
                await socket.send_json(self.lists[heard["service"]])
        if self.mute:
            await self._ending.wait()
        return socket

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        info = request.match_info
        call = Call(
            request.method,
            info.get("action", ""),
            info.get("id", ""),
            dict(request.query),
            json.loads(text) if text else None,
            request.headers.get("Authorization"),
        )
        self.calls.append(call)
        if self.refuses:
            return web.json_response({"code": self.refuses, "message": "no"}, status=self.refuses)
        status, body = self.answer(call) or self._usual(call)
        return (
            web.Response(status=status) if body is None else web.json_response(body, status=status)
        )

    def _usual(self, call: Call) -> tuple[int, object]:
        here = {"epoch": self.epoch, "index": 1}
        match call.what:
            case "POST":
                ttl = call.body["ttl"]
                return 201, {
                    "id": call.body["id"],
                    "generation": self.generation,
                    "ttl": ttl,
                    **here,
                }
            case "PUT heartbeat":
                return 200, {"health": "passing", **here}
            case "POST drain" | "GET drain":
                return 202, drained(call.id)
            case _:
                return 204, None


def drained(name: str, **fields: object) -> dict[str, object]:
    """The progress of a drain: safe, unless something else is said."""
    usual = {
        "id": name,
        "index": 1,
        "safe": True,
        "behind": [],
        "in_flight": 0,
        "overdue": False,
        "deadline": "2026-01-31T12:00:00Z",
    }
    return {**usual, **fields}


@contextlib.asynccontextmanager
async def registry_peer() -> AsyncIterator[RegistryPeer]:
    peer = RegistryPeer()
    await peer.start()
    try:
        yield peer
    finally:
        await peer.stop()
