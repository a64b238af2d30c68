"""The `[memory]` table of uaitools.toml."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from uaitools.cache.config import CacheConfig
from uaitools.config import Address, ListenAddress, Model
from uaitools.cors import CorsSettings
from uaitools.memory.context.config import ContextConfig
from uaitools.memory.embed.config import EmbedSettings
from uaitools.memory.index.config import IndexConfig
from uaitools.memory.policy import Policy
from uaitools.memory.wanted import Wanted
from uaitools.postgres.pool_settings import PoolSettings

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Days = Annotated[float, Field(ge=0.001, le=36_500)]


_STILL = 5.0  # seconds beyond `limit`: a loop that is late must not lose what it has begun


class PoolConfig(Model):
    """The `[memory.pool]` table: connections to PostgreSQL.

    size: at most. idle: that are kept while nobody uses them. lifetime: seconds after which one is
    replaced. wait: seconds that a request waits for one. limit: seconds that it may have one.
    """

    size: Annotated[int, Field(ge=2, le=1000)] = 25
    idle: Annotated[int, Field(ge=0, le=1000)] = 25
    lifetime: Seconds = 300
    wait: Seconds = 5
    limit: Seconds = 10

    @property
    def share(self) -> int:
        """Of one user at once: a fifth."""
        return max(1, self.size // 5)

    @property
    def settings(self) -> PoolSettings:
        """As the pool uses it."""
        return PoolSettings(
            size=self.size,
            idle=self.idle,
            lifetime=self.lifetime,
            wait=self.wait,
            still=self.limit + _STILL,
        )


class ForgetConfig(Model):
    """An element of `[[memory.forget]]`: a policy that is followed by itself, for every user.

    older_than_days, unused_for_days, keep_best: see uaitools.memory.policy, one of them at least.
    type, tags: only memories of one of these types, with one of these tags. agent_id: only those
    of this agent.
    """

    older_than_days: Days | None = None
    unused_for_days: Days | None = None
    keep_best: Annotated[int, Field(ge=1)] | None = None
    type: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    agent_id: str | None = None

    @model_validator(mode="after")
    def _says(self) -> Self:
        if self.policy == Policy():
            raise ValueError("needs older_than_days, unused_for_days or keep_best")
        return self

    @property
    def policy(self) -> Policy:
        """Its rules."""
        return Policy.of_days(self.older_than_days, self.unused_for_days, self.keep_best)

    @property
    def wanted(self) -> Wanted:
        """What they are for."""
        return Wanted(types=self.type, any_tags=self.tags, agent_id=self.agent_id, superseded=True)


class MemoryConfig(Model):
    """The `[memory]` table.

    pool: connections to PostgreSQL. embed: what makes vectors of texts. index: what finds them.
    context: what is made of conversations. cache: copies of what is read. deletion_wait: seconds
    that the deletion of a user is answered with its end rather than with its beginning. forget:
    what goes by itself; nothing unless it is said. cors: for pages of other origins.
    """

    listen: ListenAddress = Address("127.0.0.1", 8017)
    pool: PoolConfig = PoolConfig()
    embed: EmbedSettings = EmbedSettings()
    index: IndexConfig = IndexConfig()
    context: ContextConfig = ContextConfig()
    cache: CacheConfig = CacheConfig()
    deletion_wait: Annotated[float, Field(ge=0, le=60)] = 10
    forget: Annotated[tuple[ForgetConfig, ...], Field(max_length=16)] = ()
    cors: CorsSettings | None = None
