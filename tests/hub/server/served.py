"""A hub that serves, and clients that speak its protocol word by word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from uaitools.addresses import Address
from uaitools.auth.config import AuthConfig
from uaitools.hub.broker.port import Broker
from uaitools.hub.config import HubConfig
from uaitools.hub.server import HubServer

PATIENCE = 10.0  # seconds


class Closed(Exception):
    """The hub has ended the connection."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Client:
    """One WebSocket. welcome: the notice, where there is one at once."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.welcome: dict[str, Any] = {}
        self._ids = 0

    @property
    def id(self) -> str:
        name: str = self.welcome["connection"]
        return name

    async def hear(self) -> dict[str, Any]:
        """What comes next. Raises Closed."""
        async with asyncio.timeout(PATIENCE):
            message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Closed(self.socket.close_code)
        found: dict[str, Any] = orjson.loads(message.data)
        return found

    async def ended(self) -> int | None:
        """The code with which the hub ends this, whatever comes before."""
        try:
            while True:
                await self.hear()
        except Closed as closed:
            return closed.code

    async def say(self, **command: Any) -> int:
        """Send a command; its id."""
        self._ids += 1
        await self.socket.send_str(orjson.dumps({"id": self._ids, **command}).decode())
        return self._ids

    async def ask(self, kind: str, **command: Any) -> dict[str, Any]:
        """The reply to a command, which is the next thing that comes."""
        number = await self.say(type=kind, **command)
        reply = await self.hear()
        assert reply["id"] == number, reply
        return reply

    async def subscribe(self, channel: str, **command: Any) -> dict[str, Any]:
        reply = await self.ask("subscribe", channel=channel, **command)
        assert reply["type"] == "subscribed", reply
        return reply


@dataclass
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


class Visitor:
    """A hub's URL, and a session of aiohttp's to ask it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    @asynccontextmanager
    async def client(
        self, *, welcomed: bool = True, query: str = "", **headers: str
    ) -> AsyncIterator[Client]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.ws_connect(f"{self.url}/ws{query}", headers=sent) as socket:
            client = Client(socket)
            if welcomed:
                client.welcome = await client.hear()
                assert client.welcome["type"] == "welcome"
            yield client

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, self.url + path, json=body if method == "POST" else None, headers=sent
        ) as response:
            text = await response.read()
            json = response.content_type == "application/json"
            return Answer(response.status, orjson.loads(text) if json else text, response.headers)

    async def publish(self, channel: str, data: object, **more: Any) -> int:
        """Publish; the offset."""
        answer = await self.ask("POST", "/v1/publish", {"channel": channel, "data": data, **more})
        assert answer.status == 200, answer
        offset: int = answer.body["offset"]
        return offset


Event = tuple[str, str, Any]  # kind, id, data


class Stream:
    """Server-sent events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def hear(self, *kinds: str) -> Event:
        """The next event, of one of these kinds if any are given."""
        async with asyncio.timeout(PATIENCE):
            while True:
                text = (await self._response.content.readuntil(b"\n\n")).decode()
                fields = dict(
                    line.split(": ", 1) for line in text.splitlines() if line[:1].isalpha()
                )
                if "event" in fields and (not kinds or fields["event"] in kinds):
                    return fields["event"], fields["id"], orjson.loads(fields["data"])


@asynccontextmanager
async def stream(hub: Visitor, query: str, **headers: str) -> AsyncIterator[Stream]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with hub.session.get(f"{hub.url}/v1/sse?{query}", headers=sent) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


class Served(Visitor):
    """A hub of this process."""

    def __init__(self, server: HubServer, session: aiohttp.ClientSession) -> None:
        super().__init__(f"http://{server.address}", session)
        self.server = server


@asynccontextmanager
async def visit(url: str) -> AsyncIterator[Visitor]:
    """A hub of another process."""
    async with aiohttp.ClientSession(json_serialize=_json) as session:
        yield Visitor(url, session)


@asynccontextmanager
async def served(
    *, auth: AuthConfig | None = None, broker: Broker | None = None, **settings: Any
) -> AsyncIterator[Served]:
    config = HubConfig.model_validate({"listen": "127.0.0.1:0", **settings})
    async with (
        HubServer(config, auth=auth, broker=broker) as server,
        aiohttp.ClientSession(json_serialize=_json) as session,
    ):
        assert isinstance(server.address, Address)
        yield Served(server, session)


def _json(document: object) -> str:
    return orjson.dumps(document).decode()
