"""The `[insight]` table of uaitools.toml."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from uaitools.cache.config import CacheConfig
from uaitools.cache.lifetime import Lifetime
from uaitools.config import Address, ListenAddress, Model
from uaitools.cors import CorsSettings
from uaitools.insight.analysis.config import AnalysisConfig
from uaitools.limits.config import LimitSettings
from uaitools.postgres.pool_settings import PoolSettings
from uaitools.proxy import AccessLogSettings

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Part = Annotated[float, Field(ge=0, le=0.9)]


def _http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("must be http://HOST[:PORT]/PATH or https://.., without a user")
    return url


Url = Annotated[str, AfterValidator(_http)]


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


class FreshnessConfig(Model):
    """The `[insight.freshness]` table: how long answers are good, in seconds.

    summary, search, leaderboard: each kind; what clients are told as max-age. jitter: the part of
    that by which it may be less, so that what came together does not go together. revalidate: that
    an answer is used afterwards, while it is made anew. if_error: that it is used afterwards where
    it cannot be made. patience: that what another process makes is waited for.
    """

    summary: Seconds = 300
    search: Seconds = 120
    leaderboard: Seconds = 300
    jitter: Part = 0.1
    revalidate: Annotated[float, Field(ge=0, le=86_400)] = 60
    if_error: Annotated[float, Field(ge=0, le=86_400)] = 3600
    patience: Annotated[float, Field(ge=0, le=10)] = 1

    def lifetime(self, seconds: float) -> Lifetime:
        """Of what is fresh for so long."""
        return Lifetime(seconds, self.jitter, self.revalidate, self.if_error, self.patience)


class InsightConfig(Model):
    """The `[insight]` table.

    pool: connections to PostgreSQL. analysis: how much of a clone is looked at. cache: copies of
    answers. recent: bytes of those that a process has served last. freshness: how long they are
    good. python_api: the URL that /health tells of, where the analysing service answers with 2xx.
    rate_limit: of the requests of one caller to fast paths. access_log: one line a request. cors:
    for pages of other origins.
    """

    listen: ListenAddress = Address("127.0.0.1", 8084)
    pool: PoolConfig = PoolConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    cache: CacheConfig = CacheConfig(size=32 << 20, entries=50_000)
    recent: Annotated[int, Field(ge=0, le=1 << 30)] = 8 << 20
    freshness: FreshnessConfig = FreshnessConfig()
    python_api: Url | None = None
    rate_limit: LimitSettings | None = None
    access_log: AccessLogSettings = AccessLogSettings()
    cors: CorsSettings | None = None
