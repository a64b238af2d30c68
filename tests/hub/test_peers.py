"""Clients that nobody here wrote, against the program: `websockets`, aiohttp, and npm's `ws`."""

from __future__ import annotations

import asyncio
import json
import shutil
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.hub.server.served import Visitor, visit
from tests.peers.hub_program import hub_program

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

DRIVER: Final = Path(__file__).with_name("ws.mjs")
PATIENCE: Final = 10.0  # seconds
LONG: Final = "x" * 61_000  # nearly as long as a command may be


class Peer(Protocol):
    """What each of the clients can do."""

    @property
    def compressed(self) -> bool:
        """Whether permessage-deflate was agreed."""

    async def hear(self) -> dict[str, Any]:
        """The next message."""

    async def say(self, *parts: str) -> None:
        """Send a message, in so many fragments."""

    async def ping(self) -> None:
        """Ask whether the other end lives, and wait for its answer."""

    async def close(self, code: int) -> int | None:
        """End it; the code that came back."""

    async def ended(self) -> int | None:
        """The code with which the other end has ended it."""


class OfWebsockets:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @property
    def compressed(self) -> bool:
        return bool(self._socket.protocol.extensions)

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            text = await self._socket.recv()
        assert isinstance(text, str)
        found: dict[str, Any] = json.loads(text)
        return found

    async def say(self, *parts: str) -> None:
        await self._socket.send(list(parts) if len(parts) > 1 else parts[0])

    async def ping(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await (await self._socket.ping(b"alive?"))

    async def close(self, code: int) -> int | None:
        await self._socket.close(code)
        return self._socket.close_code

    async def ended(self) -> int | None:
        async with asyncio.timeout(PATIENCE):
            with suppress(websockets.ConnectionClosed):
                while True:
                    await self._socket.recv()
        return self._socket.close_code


@asynccontextmanager
async def of_websockets(url: str, *, compressed: bool) -> AsyncIterator[Peer]:
    way = "deflate" if compressed else None
    async with websockets.connect(url, compression=way, max_size=None) as socket:
        yield OfWebsockets(socket)


class OfAiohttp:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @property
    def compressed(self) -> bool:
        return bool(self._socket.compress)

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while (message := await self._socket.receive()).type is aiohttp.WSMsgType.PONG:
                pass
        assert message.type is aiohttp.WSMsgType.TEXT, message
        found: dict[str, Any] = json.loads(message.data)
        return found

    async def say(self, *parts: str) -> None:
        await self._socket.send_str("".join(parts))  # it has no way to fragment

    async def ping(self) -> None:
        await self._socket.ping(b"alive?")
        async with asyncio.timeout(PATIENCE):
            message = await self._socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"alive?")

    async def close(self, code: int) -> int | None:
        await self._socket.close(code=code)
        return self._socket.close_code

    async def ended(self) -> int | None:
        async with asyncio.timeout(PATIENCE):
            while not self._socket.closed:
                await self._socket.receive()
        return self._socket.close_code


@asynccontextmanager
async def of_aiohttp(url: str, *, compressed: bool) -> AsyncIterator[Peer]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=15 if compressed else 0, autoping=False) as socket,
    ):
        yield OfAiohttp(socket)


class OfNode:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.compressed = False

    async def next(self, key: str) -> Any:
        """What came of that kind, others left out."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := await self._process.stdout.readline():
                said = json.loads(line)
                if key in said:
                    return said[key]
        raise AssertionError(f"it ended without {key}")

    def _tell(self, **what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.next("text"))
        return found

    async def say(self, *parts: str) -> None:
        self._tell(send=parts)

    async def ping(self) -> None:
        self._tell(ping="alive?")
        assert await self.next("pong") == "alive?"

    async def close(self, code: int) -> int | None:
        self._tell(close=code)
        return await self.ended()

    async def ended(self) -> int | None:
        code: int = await self.next("closed")
        return code


@pytest.fixture(scope="session")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Where npm's `ws` is, once it is asked for; a test without it is skipped."""
    folder = tmp_path_factory.mktemp("npm")

    def install() -> Path:
        if not (folder / "node_modules" / "ws").exists():
            _install(folder)
        return folder

    return install


def _install(folder: Path) -> None:
    import subprocess  # noqa: PLC0415

    if shutil.which("npm") is None or shutil.which("node") is None:
        _leave_out("node or npm is missing: apt-get install nodejs npm")
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "ws@8"]
    done = subprocess.run(command, capture_output=True, timeout=45, check=False, text=True)
    if done.returncode:
        _leave_out(f"npm's registry did not give `ws`: {done.stderr[-200:]}")


def _leave_out(reason: str) -> None:
    warnings.warn(reason, stacklevel=1)
    pytest.skip(reason)


@asynccontextmanager
async def of_node(url: str, *, compressed: bool, folder: Path) -> AsyncIterator[Peer]:
    process = await asyncio.create_subprocess_exec(
        *("node", str(DRIVER), str(folder), url, "compressed" if compressed else "plain"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    peer = OfNode(process)
    try:
        peer.compressed = "permessage-deflate" in await peer.next("open")
        yield peer
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


Connect = Callable[[str], AbstractAsyncContextManager[Peer]]


@pytest.fixture(params=["plain", "compressed"])
def compressed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "compressed")


@pytest.fixture(params=["websockets", "aiohttp", "ws"])
def connect(request: pytest.FixtureRequest, *, compressed: bool) -> Connect:
    """How one of them connects."""
    match request.param:
        case "websockets":
            return lambda url: of_websockets(url, compressed=compressed)
        case "aiohttp":
            return lambda url: of_aiohttp(url, compressed=compressed)
    folder = request.getfixturevalue("ws")()
    return lambda url: of_node(url, compressed=compressed, folder=folder)


@pytest.fixture
async def hub() -> AsyncIterator[Visitor]:
    environ = {"UAITOOLS_HUB__COMPRESSION": "true"}
    async with hub_program(environ=environ) as program, visit(program.url) as visitor:
        yield visitor


def command(number: int, kind: str, **fields: object) -> str:
    return json.dumps({"id": number, "type": kind, **fields})


async def _exchange(peer: Peer, parts: Sequence[str]) -> dict[str, Any]:
    await peer.say(*parts)
    return await peer.hear()


async def test_it_has_all_that_clients_need(
    hub: Visitor, connect: Connect, *, compressed: bool
) -> None:
    async with connect(f"{hub.url}/ws".replace("http", "ws", 1)) as peer:
        assert (await peer.hear())["type"] == "welcome"
        assert peer.compressed is compressed
        reply = await _exchange(peer, [command(1, "subscribe", channel="a")])
        assert (reply["id"], reply["type"], reply["offset"]) == (1, "subscribed", 0)
        # Short ones come plain, longer ones may come compressed; each by itself.
        texts = ["x", "long and like itself " * 200, "another", "long and like itself " * 200]
        for offset, text in enumerate(texts, 1):
            await hub.publish("a", text)
            message = await peer.hear()
            assert (message["channel"], message["offset"], message["data"]) == ("a", offset, text)
        await peer.ping()
        assert (await _exchange(peer, [command(2, "ping")])) == {"id": 2, "type": "pong"}
        # A command that is nearly as long as may be, and what it says to all.
        await peer.say(command(3, "publish", channel="a", data=LONG))
        heard = [await peer.hear(), await peer.hear()]
        assert {"published", "message"} == {one["type"] for one in heard}
        assert [one["data"] for one in heard if "data" in one] == [LONG]
        reply = await _exchange(peer, [command(4, "publish", channel="a", data="x" * 66_000)])
        assert (reply["type"], reply["code"]) == ("error", "too_long")
        assert await peer.close(1000) == 1000


async def test_a_command_may_come_in_fragments(hub: Visitor, connect: Connect) -> None:
    async with connect(f"{hub.url}/ws".replace("http", "ws", 1)) as peer:
        await peer.hear()
        text = command(1, "publish", channel="a", data=LONG)
        parts = [text[at : at + 7001] for at in range(0, len(text), 7001)]
        assert len(parts) > 5
        reply = await _exchange(peer, parts)
        assert (reply["id"], reply["type"], reply["offset"]) == (1, "published", 1)
        kept = await hub.ask("GET", "/v1/history/a")
        assert [one["data"] for one in kept.body["messages"]] == [LONG]


async def test_the_hubs_close_codes_arrive(hub: Visitor, connect: Connect) -> None:
    async with connect(f"{hub.url}/ws".replace("http", "ws", 1)) as peer:
        name = (await peer.hear())["connection"]
        assert (await hub.ask("POST", "/v1/disconnect", {"connection": name})).body == {"here": 1}
        assert await peer.ended() == 4003
    async with connect(f"{hub.url}/ws".replace("http", "ws", 1)) as peer:
        for _ in range(30):
            await peer.say("no command")
        assert await peer.ended() == 4004
    async with connect(f"{hub.url}/ws".replace("http", "ws", 1)) as peer:
        await peer.say("x" * 300_000)
        assert await peer.ended() == 1009
