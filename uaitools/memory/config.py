"""The `[memory]` table of uaitools.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from uaitools.config import Address, ListenAddress, Model
from uaitools.cors import CorsSettings
from uaitools.memory.context.config import ContextConfig
from uaitools.memory.embed.config import EmbedSettings
from uaitools.memory.index.config import IndexConfig
from uaitools.postgres.pool import PoolSettings

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class PoolConfig(Model):
    """The `[memory.pool]` table: connections to PostgreSQL.

    size: at most. idle: that are kept while nobody uses them. lifetime: seconds after which one is
    replaced. wait: seconds that a request waits for one.
    """

    size: Annotated[int, Field(ge=2, le=1000)] = 25
    idle: Annotated[int, Field(ge=0, le=1000)] = 25
    lifetime: Seconds = 300
    wait: Seconds = 5

    @property
    def settings(self) -> PoolSettings:
        """As the pool uses it."""
        return PoolSettings(size=self.size, idle=self.idle, lifetime=self.lifetime, wait=self.wait)


class MemoryConfig(Model):
    """The `[memory]` table.

    pool: connections to PostgreSQL. embed: what makes vectors of texts. index: what finds them.
    context: what is made of conversations. deletion_wait: seconds that the deletion of a user is
    answered with its end rather than with its beginning. cors: for pages of other origins.
    """

    listen: ListenAddress = Address("127.0.0.1", 8017)
    pool: PoolConfig = PoolConfig()
    embed: EmbedSettings = EmbedSettings()
    index: IndexConfig = IndexConfig()
    context: ContextConfig = ContextConfig()
    deletion_wait: Annotated[float, Field(ge=0, le=60)] = 10
    cors: CorsSettings | None = None
