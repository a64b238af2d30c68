"""A double of a Weaviate server: the same wire, real objects, and faults when they are planned."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from aiohttp import web
from weaviate.connect import ConnectionParams

from tests.peers.relay import Relay
from tests.peers.weaviate.collections import Database
from tests.peers.weaviate.faults import Faults
from tests.peers.weaviate.rest import Rest
from tests.peers.weaviate.rpc import service


class WeaviateDouble:
    """Both interfaces, each behind a relay that can cut its connections, on ports of their own."""

    def __init__(self) -> None:
        self.database = Database()
        self.faults = Faults(self.cut)
        self._relays: list[Relay] = []
        self._runner: web.AppRunner | None = None
        self._grpc: Any = None

    @property
    def params(self) -> ConnectionParams:
        rest, rpc = (relay.port for relay in self._relays)
        return ConnectionParams.from_params("127.0.0.1", rest, False, "127.0.0.1", rpc, False)

    @property
    def settings(self) -> dict[str, str]:
        """The `[memory.index]` table that leads here."""
        rest, rpc = (relay.port for relay in self._relays)
        return {
            "kind": "weaviate",
            "weaviate_url": f"http://127.0.0.1:{rest}",
            "weaviate_grpc": f"127.0.0.1:{rpc}",
        }

    def cut(self) -> None:
        """Cut all connections."""
        for relay in self._relays:
            relay.cut()

    def vanish(self) -> None:
        """Be away: who is connected is cut off, who connects is sent away."""
        for relay in self._relays:
            relay.closed = True
        self.cut()

    def come_back(self) -> None:
        """Be there again."""
        for relay in self._relays:
            relay.closed = False

    async def start(self) -> None:
        self._grpc = grpc.aio.server()
        self._grpc.add_generic_rpc_handlers(service(self.database, self.faults))
        rpc = self._grpc.add_insecure_port("127.0.0.1:0")
        await self._grpc.start()
        application = Rest(self.database, self.faults).application()
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        for port in (self._runner.addresses[0][1], rpc):
            relay = Relay(port)
            await relay.start()
            self._relays.append(relay)

    async def stop(self) -> None:
        self.faults.release()
        for relay in self._relays:
            await relay.stop()
        assert self._runner is not None
        await self._runner.cleanup()
        await self._grpc.stop(None)


@contextlib.asynccontextmanager
async def weaviate_double() -> AsyncIterator[WeaviateDouble]:
    double = WeaviateDouble()
    await double.start()
    try:
        yield double
    finally:
        await double.stop()
