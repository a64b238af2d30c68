"""Redis is killed, frozen, emptied and cut off: nothing fails, and nothing old is answered."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from itertools import product
from math import inf
from typing import Any, Final

import pytest

from tests.memory.api.served import Served
from tests.memory.copies.sharing import counted, get, sharing, unaware
from tests.peers.gateways import eventually, settled
from tests.peers.postgres import PostgresServer
from tests.peers.redis import RedisServer
from tests.peers.relay import Relay, relay
from uaitools.memory.store.deletions import Deletions
from uaitools.memory.store.scope import Scopes
from uaitools.tasks import spawn

USERS: Final = ("ann", "bob")
EACH: Final = 3  # memories of a user
READS: Final = 20  # for each write: readers without a limit leave the others no time


async def test_a_deletion_is_complete_when_redis_was_told(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, redis, redis, deletion_wait=0.3) as (one, other):
        made = await one.remember("I like tea")
        await get(other, made["id"])
        redis.freeze()
        answer = await one.ask("DELETE", "/users/ann")
        assert (answer.status, answer.body["status"]) == (202, "pending")
        assert (await get(one, made["id"])).status == 404
        redis.thaw()
        await eventually(lambda: one.service.deleting.completed + other.service.deleting.completed)
        receipt = await one.ask("GET", f"/deletions/{answer.body['id']}?user_id=ann")
        assert receipt.body["status"] == "complete"
        assert (await get(other, made["id"])).status == 404


async def test_who_drives_a_deletion_forgets_what_its_beginner_did_not(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, redis, redis) as (one, other):
        made = await one.remember("I like tea")
        assert (await get(other, made["id"])).status == 200
        for memory in (one, other):
            await memory.service.deleting.stop()
            await unaware(memory)
        await Deletions(Scopes(one.service.pool)).begin("ann")  # and then it dies
        assert (await get(other, made["id"])).status == 200
        assert await other.service.deleting.drive() == 1
        assert (await get(other, made["id"])).status == 404


async def test_a_delete_that_is_sent_again_forgets_what_the_first_did_not(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    async with sharing(postgres, redis, redis) as (one, other):
        made = await one.remember("I like tea")
        await get(other, made["id"])
        for memory in (one, other):
            await unaware(memory)
        async with one.service.pool.acquire() as connection:  # of one that dies after its commit
            await connection.execute("SELECT set_config('uaitools.user_id', 'ann', false)")
            await connection.execute("DELETE FROM memories")
        assert (await get(other, made["id"])).status == 200
        again = await one.ask("DELETE", f"/memories/{made['id']}?user_id=ann")
        assert again.status == 404
        assert (await get(other, made["id"])).status == 404


async def test_a_write_that_is_given_up_is_forgotten_all_the_same(memory: Served) -> None:
    made = await memory.remember("I like tea")
    await get(memory, made["id"])
    async with memory.service.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE memories IN SHARE MODE")
        path = f"/memories/{made['id']}?user_id=ann"
        writing = spawn(memory.ask("DELETE", path), name="deletes")

        async def waits() -> bool:
            query = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            return bool(await connection.fetchval(query))

        await settled(waits)
        writing.cancel()
        await asyncio.wait((writing,))
        await eventually(lambda: not counted(memory, "cache_entries"))


async def test_who_has_deleted_a_user_reads_nothing_of_him_whoever_drives_it(
    postgres: PostgresServer,
) -> None:
    async with sharing(postgres, None, deletion_wait=0) as (memory,):
        made = await memory.remember("I like tea")
        await get(memory, made["id"])
        await memory.service.deleting.stop()
        assert (await memory.ask("DELETE", "/users/ann")).status == 202
        assert (await get(memory, made["id"])).status == 404


Floors = defaultdict[str, float]


class Ledger:
    """Which versions of memories may be answered at least, and by whom. Gone is inf.

    own: by each service, whatever happens. shared: by all who can ask Redis.
    """

    def __init__(self, services: Sequence[Served], seed: int) -> None:
        self.services = services
        self.chance = random.Random(seed)
        self.own = [Floors(float) for _ in services]
        self.shared = Floors(float)
        self.there: dict[str, list[str]] = {user: [] for user in USERS}
        self.reads = self.writes = 0
        self.over = False

    def trouble(self, at: int) -> tuple[float, bool]:
        memory = self.services[at]
        return counted(memory, "cache_errors_total"), bool(memory.service.cache.failing)

    def known(self, at: int, version: float, *names: str) -> None:
        """It was answered. Redis knows, if nothing is owed to it."""
        told = not counted(self.services[at], "cache_owed")
        for floors in (self.own[at], *([self.shared] if told else [])):
            for name in names:
                floors[name] = max(floors[name], version)

    async def make(self, at: int, user: str) -> None:
        content = f"a fact of {user}'s, {self.chance.random()}"
        made = await self.services[at].remember(content, user=user)
        self.there[user].append(made["id"])

    async def read(self) -> None:
        """Read until it is over."""

        def wanted() -> bool:
            return self.over or self.reads < READS * (self.writes + 1)

        while not self.over:
            await eventually(wanted, patience=60)
            at, user = self.chance.randrange(len(self.services)), self.chance.choice(USERS)
            if not self.there[user]:
                await asyncio.sleep(0)
                continue
            await self.check(at, user, self.chance.choice(self.there[user]))
            self.reads += 1
            if self.reads % 10 == 0:  # in bursts: what waits for Redis takes no longer for it
                await asyncio.sleep(0.05)

    async def check(self, at: int, user: str, name: str) -> None:
        own, shared, before = self.own[at][name], self.shared[name], self.trouble(at)
        answer = await get(self.services[at], name, user)
        assert answer.status in (200, 404), answer
        version = answer.body["version"] if answer.status == 200 else inf
        well = not before[1] and self.trouble(at) == before
        assert version >= (max(own, shared) if well else own), (at, name)

    async def write(self) -> None:
        """Write until it is over."""
        while not self.over:
            at, user = self.chance.randrange(len(self.services)), self.chance.choice(USERS)
            await getattr(self, self.chance.choice(("patch", "patch", "patch", "remove", "leave")))(
                at, user
            )
            self.writes += 1
            while len(self.there[user]) < EACH:
                await self.make(at, user)

    async def patch(self, at: int, user: str) -> None:
        name = self.chance.choice(self.there[user])
        path = f"/memories/{name}?user_id={user}"
        answer = await self.services[at].ask("PATCH", path, {"metadata": {"n": self.writes}})
        assert answer.status == 200, answer
        self.known(at, answer.body["version"], name)

    async def remove(self, at: int, user: str) -> None:
        name = self.chance.choice(self.there[user])
        answer = await self.services[at].ask("DELETE", f"/memories/{name}?user_id={user}")
        assert answer.status == 204, answer
        self.known(at, inf, name)
        self.there[user].remove(name)

    async def leave(self, at: int, user: str) -> None:
        names = tuple(self.there[user])
        answer = await self.services[at].ask("DELETE", f"/users/{user}")
        assert answer.status in (200, 202), answer
        self.known(at, inf, *names)
        if answer.status == 200:
            self.shared.update(dict.fromkeys(names, inf))
        self.there[user].clear()


async def disturb(ledger: Ledger, redis: RedisServer, ways: Sequence[Relay], times: int) -> None:
    """One thing after another, each while some reads and writes are answered."""
    for _ in range(times):
        way = ledger.chance.choice(ways)
        match ledger.chance.choice(("freeze", "kill", "empty", "cut", "mute")):
            case "freeze":
                redis.freeze()
                await some(ledger)
                redis.thaw()
            case "kill":
                await redis.kill()
                await some(ledger)
                await redis.start()
            case "empty":
                await redis.command("FLUSHALL")
            case "cut":
                way.closed = True
                way.cut()
                await some(ledger)
                way.closed = False
            case "mute":
                way.mute = True
                await some(ledger)
                way.mute = False
                way.cut()
        await some(ledger)


async def some(ledger: Ledger, writes: int = 4) -> None:
    """Until so many writes are answered, and ten times as many reads."""
    reads, writes = ledger.reads + 10 * writes, ledger.writes + writes

    def enough() -> bool:
        return ledger.over or (ledger.reads >= reads and ledger.writes >= writes)

    await eventually(enough, patience=60)


async def during(ledger: Ledger, work: Coroutine[Any, Any, None]) -> None:
    """Read and write until some work is done."""
    for user, _ in product(USERS, range(EACH)):
        await ledger.make(0, user)

    async def until_over(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            ledger.over = True

    async with asyncio.TaskGroup() as group:
        for one in (work, ledger.write(), *(ledger.read() for _ in range(4))):
            group.create_task(until_over(one))


@pytest.mark.timeout(180)  # what comes back is waited for 24 times, and reads go on meanwhile
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
async def test_nothing_old_is_answered_whatever_becomes_of_redis(
    postgres: PostgresServer, redis: RedisServer, seed: int
) -> None:
    async with AsyncExitStack() as stack:
        ways = [await stack.enter_async_context(relay(redis.port)) for _ in range(2)]
        several = sharing(postgres, *ways, timeout=0.25, deletion_wait=0.2)
        services = await stack.enter_async_context(several)
        ledger = Ledger(services, seed)
        await during(ledger, disturb(ledger, redis, ways, 12))

        def well() -> bool:
            return not any(
                one.service.cache.failing or counted(one, "cache_owed") for one in services
            )

        await eventually(well, patience=30)
        assert any(counted(one, "cache_hits_total") for one in services)
        for own in ledger.own:
            for name, version in own.items():
                ledger.shared[name] = max(ledger.shared[name], version)
        for user, name in product(USERS, ledger.shared):
            for at in range(2):
                await ledger.check(at, user, name)


async def test_nothing_old_is_answered_by_one_process(postgres: PostgresServer) -> None:
    async with sharing(postgres, None) as services:
        ledger = Ledger(services, 0)
        await during(ledger, some(ledger, 20))
        assert counted(services[0], "cache_hits_total")
