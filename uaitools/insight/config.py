"""The `[insight]` table of uaitools.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from uaitools.config import Address, ListenAddress, Model
from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.postgres.pool import PoolSettings

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class PoolConfig(Model):
    """The `[insight.pool]` table: connections to PostgreSQL.

    size: at most. idle: that are kept while nobody uses them. lifetime: seconds after which one is
    replaced. idle_time: seconds after which one that nobody uses is closed. health: seconds after
    which an idle one is asked whether it is well. wait: seconds that a request waits for one.
    """

    size: Annotated[int, Field(ge=2, le=1000)] = 30
    idle: Annotated[int, Field(ge=0, le=1000)] = 5
    lifetime: Seconds = 3600
    idle_time: Seconds = 1800
    health: Seconds = 60
    wait: Seconds = 5

    @property
    def settings(self) -> PoolSettings:
        """As the pool uses it."""
        return PoolSettings(
            size=self.size,
            idle=self.idle,
            lifetime=self.lifetime,
            idle_time=self.idle_time,
            health=self.health,
            wait=self.wait,
        )


class InsightConfig(Model):
    """The `[insight]` table.

    pool: connections to PostgreSQL. analysis: how much of a clone is looked at.
    """

    listen: ListenAddress = Address("127.0.0.1", 8084)
    pool: PoolConfig = PoolConfig()
    analysis: AnalysisConfig = AnalysisConfig()
