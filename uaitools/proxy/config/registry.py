"""`[registry]`, as a component reads it that is no registry: only how to find one."""

from __future__ import annotations

from pydantic import ConfigDict

from uaitools.config import Model
from uaitools.registry.client.config import RegistryClientConfig


class RegistryTable(Model):
    """The `[registry]` table, of which `client` is meant for all; the rest is the registry's."""

    model_config = ConfigDict(extra="ignore")

    client: RegistryClientConfig | None = None

    @property
    def address(self) -> str | None:
        """Where the registry is to say that this component is."""
        return None if self.client is None else self.client.address

    def at(self, address: str | None) -> RegistryTable:
        """The same with another address."""
        if self.client is None:
            return self
        client = self.client.model_copy(update={"address": address})
        return self.model_copy(update={"client": client})
