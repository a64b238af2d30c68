"""Real hubs, with whatever stands before them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jwt

from tests.peers.middlebox import Middlebox, middlebox
from uaitools.addresses import Address
from uaitools.auth.claims import KEY_PREFIX
from uaitools.auth.config import AuthConfig
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
from uaitools.hub.broker.redis import RedisBroker
from uaitools.hub.config import HubConfig
from uaitools.hub.server import HubServer

SECRET: Final = "0123456789abcdef0123456789abcdef-0123456789"
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
    key, _, auth = keyed(folder, "hub:publish")
    return key, auth


def keyed(folder: Path, *scopes: str) -> tuple[str, str, AuthConfig]:
    """A key with these scopes, whose user it makes, and the configuration that knows it."""
    key, record = new_key("ann", scopes=scopes, created=datetime.now(UTC))
    path = folder / "keys.json"
    change(path, lambda records: ((*records, record), None))
    return key, f"{KEY_PREFIX}{record.id}", AuthConfig(keys_file=path)


def grant(user: str, channel: str) -> str:
    """A token by which a user may subscribe to a private channel; SECRET is the hub's."""
    claims = {"sub": user, "channel": channel, "exp": time.time() + 60}
    return jwt.encode(claims, SECRET, algorithm="HS256")
