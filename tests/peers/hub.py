"""A scripted hub: it says what a test wants it to, well or badly, over real WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web

from tests.peers.gateways import eventually

STAMP = "2026-11-21T09:30:00.125Z"


class Link:
    """One connection of a client. heard: its commands. code: of the close frame, once it ended."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.request = request
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.code: int | None = None
        self.over = False

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [command for command in self.heard if command["type"] == kind]

    async def say(self, **document: object) -> None:
        await self.socket.send_str(json.dumps(document))

    async def message(self, offset: int, channel: str = "builds", **more: object) -> None:
        document: dict[str, object] = {"type": "message", "channel": channel, "offset": offset}
        await self.say(**{**document, "timestamp": STAMP, "data": {"n": offset}, **more})

    async def reply(self, to: dict[str, Any], **document: object) -> None:
        await self.say(**{"id": to["id"], "type": to["type"], **document})

    async def refuse(self, to: dict[str, Any], code: str) -> None:
        await self.reply(to, type="error", code=code, message="not so")

    async def subscribed(
        self, to: dict[str, Any], offset: int, recovered: bool | None, epoch: str = "e1"
    ) -> None:
        await self.reply(
            to,
            type="subscribed",
            channel=to["channel"],
            epoch=epoch,
            offset=offset,
            recovered=recovered,
        )

    def cut(self) -> None:
        """End it without a word."""
        assert self.request.transport is not None
        self.request.transport.abort()


Answer = Callable[[Link, dict[str, Any]], Awaitable[None]]


async def usual(link: Link, command: dict[str, Any]) -> None:
    """A hub that keeps everything: where it is asked to recover from, there it goes on."""
    match command["type"]:
        case "subscribe":
            recover = command.get("recover")
            offset = recover["offset"] if recover else 0
            epoch = recover["epoch"] if recover else "e1"
            await link.subscribed(command, offset, True if recover else None, epoch)
        case "unsubscribe":
            await link.reply(command, channel=command["channel"])
        case "publish":
            await link.reply(
                command, type="published", channel=command["channel"], epoch="e1", offset=7
            )
        case "ping":
            await link.reply(command, type="pong")


class HubPeer:
    """links: all connections so far. refuses: the status of every handshake, if any.

    answer: what a command is answered with. greeting: the welcome; None says nothing at first.
    """

    def __init__(self) -> None:
        self.url = ""
        self.links: list[Link] = []
        self.refuses = 0
        self.refused = 0
        self.headers: dict[str, str] = {}
        self.answer: Answer = usual
        self.greeting: dict[str, Any] | None = {
            "type": "welcome",
            "connection": "c",
            "user": "u",
            "ping": 25,
            "largest": 65536,
        }

    @property
    def open(self) -> list[Link]:
        return [link for link in self.links if not link.over]

    async def link(self, number: int = 1) -> Link:
        """The connection of that number, when it is there."""
        await eventually(lambda: len(self.links) >= number)
        return self.links[number - 1]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            self.refused += 1
            return web.Response(status=self.refuses, headers=self.headers)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        link = Link(request, socket)
        self.links.append(link)
        if self.greeting is not None:
            await link.say(**self.greeting)
        async for message in socket:
            assert message.type is WSMsgType.TEXT
            command = json.loads(message.data)
            link.heard.append(command)
            with contextlib.suppress(ConnectionError):  # the client need not wait for it
                await self.answer(link, command)
        link.code, link.over = socket.close_code, True
        return socket


@contextlib.asynccontextmanager
async def hub_peer() -> AsyncIterator[HubPeer]:
    peer = HubPeer()
    app = web.Application()
    app.router.add_get("/ws", peer.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    peer.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    try:
        yield peer
    finally:
        for link in peer.open:
            link.cut()
        await asyncio.sleep(0)
        await runner.cleanup()
