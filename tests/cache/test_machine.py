"""The rule, on whatever happens: nobody finds what is older than a delete that he could know of."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.cache.sources import counted
from tests.peers.gateways import eventually
from tests.peers.redis import RedisServer
from tests.peers.relay import Relay
from uaitools.cache.lifetime import Kept, Lifetime
from uaitools.cache.redis import RedisCache
from uaitools.cache.service import CacheService
from uaitools.tasks import spawn

T = TypeVar("T")
SERVICES: Final = 2
TTL: Final = 60.0
FETCHED: Final = ("a", "s\nb")
SERVED: Final = ("s\nc", "d")  # with a lifetime
KEYS: Final = FETCHED + SERVED
LIFETIME: Final = Lifetime(TTL, patience=0.0)
keys = st.sampled_from(KEYS)
services = st.integers(0, SERVICES - 1)
anything = st.integers(0, 1000)


def version_of(key: str, found: bytes) -> int:
    return int(found if key in FETCHED else Kept.read(found).value)


class Sharing(RuleBasedStateMachine):
    """Versions of what is cached. Two services, each with a way of its own to one Redis.

    floors: for each service the version of a key that it may find at least. own: the same, as far
    as it can know while it cannot ask Redis, and joins a load from before another's delete.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.truth = Counter[str]()
        self.floors = [Counter[str]() for _ in range(SERVICES)]
        self.own = [Counter[str]() for _ in range(SERVICES)]
        self.loads: list[asyncio.Event] = []
        self.fetches: list[asyncio.Task[None]] = []
        self.run(self.begin())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    async def begin(self) -> None:
        self.redis = RedisServer(Path(self.folder.name))
        await self.redis.start()
        self.ways = [Relay(self.redis.port) for _ in range(SERVICES)]
        self.caches = []
        for way in self.ways:
            await way.start()
            backend = RedisCache(f"redis://127.0.0.1:{way.port}/0", "c", timeout=0.05, pause=0.05)
            self.caches.append(CacheService(backend, "c"))

    # -- what services are asked -------------------------------------------------------------

    @rule(key=keys, at=services)
    def get(self, key: str, at: int) -> None:
        found = self.run(self.caches[at].get(key))
        assert found is None or version_of(key, found) >= self.floors[at][key]

    @rule(key=keys, at=services, oldest=st.sampled_from((0.0, inf)))
    def fetch(self, key: str, at: int, oldest: float) -> None:
        async def load() -> bytes:
            version, done = self.truth[key], asyncio.Event()
            self.loads.append(done)
            await done.wait()
            return b"%d" % version

        async def check() -> None:
            floor, own, before = self.floors[at][key], self.own[at][key], self.troubles(at)
            cache = self.caches[at]
            if key in FETCHED:
                version = int(await cache.fetch(key, load, TTL))
            else:
                version = int((await cache.serve(key, load, LIFETIME, oldest=oldest)).value)
            assert version >= (floor if self.troubles(at) == before and not before[1] else own)

        async def begin() -> None:
            self.fetches.append(spawn(check(), name="fetches"))
            await asyncio.wait(self.fetches[-1:], timeout=0.005)

        self.run(begin())

    def troubles(self, at: int) -> tuple[float, bool]:
        cache = self.caches[at]
        return counted(cache, "cache_errors_total"), bool(cache.failing)

    @rule(which=anything)
    def finish(self, which: int) -> None:
        async def go_on() -> None:
            if self.loads:
                self.loads.pop(which % len(self.loads)).set()
            await asyncio.sleep(0.005)

        self.run(go_on())

    @rule(key=keys, at=services)
    def write(self, key: str, at: int) -> None:
        self.truth[key] += 1
        self.known(key, at, everywhere=self.run(self.caches[at].delete(key)))

    @rule(at=services)
    def write_scope(self, at: int) -> None:
        within = [key for key in KEYS if key.startswith("s\n")]
        self.truth.update(within)
        everywhere = self.run(self.caches[at].delete("s\n"))
        for key in within:
            self.known(key, at, everywhere=everywhere)

    @rule(key=st.sampled_from(FETCHED), at=services)
    def replace(self, key: str, at: int) -> None:
        self.truth[key] += 1
        self.run(self.caches[at].set(key, b"%d" % self.truth[key], TTL))
        self.known(key, at, everywhere=not self.caches[at].failing)

    def known(self, key: str, at: int, *, everywhere: bool) -> None:
        self.own[at][key] = self.truth[key]
        for number, floors in enumerate(self.floors):
            if everywhere or number == at:
                floors[key] = self.truth[key]

    # -- what happens to them ----------------------------------------------------------------

    @rule(at=services)
    def cut(self, at: int) -> None:
        self.ways[at].closed = True
        self.ways[at].cut()

    @rule(at=services)
    def mute(self, at: int) -> None:
        self.ways[at].mute = True

    @rule()
    def freeze(self) -> None:
        self.redis.freeze()

    @rule(at=services)
    def recover(self, at: int) -> None:
        self.run(self.recovered(at))

    async def recovered(self, at: int) -> None:
        self.redis.thaw()
        way, cache = self.ways[at], self.caches[at]
        way.closed = False
        if way.mute:
            way.mute = False
            way.cut()
        await cache.exists("")  # finds out that a connection has ended
        await eventually(lambda: not cache.failing)
        self.floors = [floors | self.floors[at] for floors in self.floors]

    @rule()
    def empty(self) -> None:
        self.redis.thaw()
        self.run(self.redis.command("FLUSHALL"))

    @rule()
    def save(self) -> None:
        self.redis.thaw()
        self.run(self.redis.command("SAVE"))

    @rule()
    def restart(self) -> None:
        async def again() -> None:
            await self.redis.kill()
            await self.redis.start()

        self.run(again())

    def teardown(self) -> None:
        try:
            self.run(self.end())
        finally:
            self.run(self.leave())
            self.runner.close()
            self.folder.cleanup()

    async def end(self) -> None:
        for at in range(SERVICES):
            await self.recovered(at)
        for task in self.fetches:
            while not task.done():
                for load in self.loads:
                    load.set()
                await asyncio.sleep(0)
            task.result()
        for at, cache in enumerate(self.caches):
            for key in KEYS:
                found = await cache.get(key)
                assert found is None or version_of(key, found) >= self.floors[at][key]

    async def leave(self) -> None:
        for cache in self.caches:
            await cache.stop()
        for way in self.ways:
            await way.stop()
        await self.redis.kill()


def test_nobody_finds_what_is_older_than_a_delete_he_could_know_of() -> None:
    run_state_machine_as_test(
        Sharing,
        settings=settings(
            max_examples=60, stateful_step_count=30, suppress_health_check=list(HealthCheck)
        ),
    )
