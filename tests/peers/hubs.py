"""Real hubs, with whatever stands before them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.peers.middlebox import Middlebox, middlebox
from uaitools.addresses import Address
from uaitools.auth.config import AuthConfig
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
from uaitools.hub.broker.redis import RedisBroker
from uaitools.hub.config import HubConfig
from uaitools.hub.server import HubServer

_USUAL: dict[str, object] = {
    "listen": Address("127.0.0.1", 0),
    "origins": ("*",),
    "cors": {"origins": ["*"]},
    "rate": 1000,
}


@contextlib.asynccontextmanager
async def hub(
    *, auth: AuthConfig | None = None, redis: str = "", **config: Any
) -> AsyncIterator[HubServer]:
    """A hub that pages of every origin may use. redis: the URL of what it shares with others."""
    broker = RedisBroker(redis) if redis else None
    settings = HubConfig.model_validate({**_USUAL, **config})
    async with HubServer(settings, auth=auth, broker=broker) as server:
        yield server


@contextlib.asynccontextmanager
async def boxed(**config: Any) -> AsyncIterator[tuple[HubServer, Middlebox]]:
    """A hub, and a middlebox before it."""
    async with hub(**config) as server, middlebox(server.address.port) as box:
        yield server, box


def publisher(folder: Path) -> tuple[str, AuthConfig]:
    """A key that may publish, and the configuration that knows it."""
    key, record = new_key("ann", scopes=["hub:publish"], created=datetime.now(UTC))
    path = folder / "keys.json"
    change(path, lambda records: ((*records, record), None))
    return key, AuthConfig(keys_file=path)
