"""The `[registry]` table of uaitools.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from uaitools.config import Address, ListenAddress, Model
from uaitools.registry.client.config import RegistryClientConfig
from uaitools.registry.table import TablePolicy

Seconds = Annotated[float, Field(ge=1, le=86_400)]


class RegistryConfig(Model):
    """The `[registry]` table.

    instances: how many there may be; each takes about 3 KB. removal: seconds that an instance may
    be critical before it is removed. check_workers: active checks under way at once. longest_wait:
    seconds that a long poll may last, whatever it asks for. client: for those who use a registry;
    this one does not read it.
    """

    listen: ListenAddress = Address("127.0.0.1", 8083)
    instances: Annotated[int, Field(ge=1, le=1_000_000)] = 50_000
    removal: Seconds = 60
    check_workers: Annotated[int, Field(ge=1, le=10_000)] = 64
    longest_wait: Annotated[float, Field(gt=0, le=3600)] = 300
    client: RegistryClientConfig | None = None

    @property
    def policy(self) -> TablePolicy:
        """What the table goes by."""
        return TablePolicy(removal=self.removal, instances=self.instances)
