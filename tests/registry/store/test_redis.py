"""Registries that share a Redis, which is slow, frozen, killed, and empty when it is back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from tests.peers.gateways import eventually
from tests.peers.redis import RedisServer
from tests.registry.store.conformance import TTL, instance
from tests.registry.store.grounds import advance, judge
from uaitools.errors import ServiceError
from uaitools.redis_link import Away, Link
from uaitools.registry.entry import Entry
from uaitools.registry.errors import Unavailable
from uaitools.registry.events import Register
from uaitools.registry.evidence import State
from uaitools.registry.registry import Registry
from uaitools.registry.snapshot import dump
from uaitools.registry.store.acknowledgements import ELSEWHERE
from uaitools.registry.store.amends import Amends
from uaitools.registry.store.follower import Follower
from uaitools.registry.store.port import StoreError
from uaitools.registry.store.redis import FILL, RedisStore
from uaitools.registry.store.replica import Outcome, Replica
from uaitools.registry.store.script import APPEND, KEEP, LONGEST, PREFIX, SECOND
from uaitools.registry.table import DEFAULTS, Table, TablePolicy
from uaitools.tasks import spawn


@asynccontextmanager
async def registries(redis: RedisServer, count: int) -> AsyncIterator[list[Registry]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Registry(RedisStore(redis.url))) for _ in range(count)
        ]


async def same(*stores: Registry) -> None:
    """They come to the same table."""
    await eventually(lambda: len({repr(dump(one.table)) for one in stores}) == 1)


async def passing(registry: Registry, name: str, ttl: float = TTL) -> Entry:
    entry = await registry.register(instance(name, ttl=ttl))
    return await registry.heartbeat(name, entry.instance.generation, None)


async def number(redis: RedisServer, *words: str) -> int:
    return int((await redis.command(*words)).strip(b":\r\n"))


class Listener:
    """What a follower tells, when nobody wants to know."""

    def applied(self, by: str, outcome: Outcome) -> None:
        pass

    async def replaced(self, old: Replica, told: Amends, unread: int, *, claimed: bool) -> None:
        pass

    def met(self, now: float) -> None:
        pass

    def missed(self, error: Away) -> None:
        pass

    def now(self) -> float:
        return 0.0


# -- several registries ---------------------------------------------------------------------


async def test_any_interleaving_makes_the_same_table_on_all_registries(redis: RedisServer) -> None:
    dice = random.Random(7)
    async with registries(redis, 3) as several:

        async def live() -> None:
            for _ in range(60):
                registry, name = dice.choice(several), dice.choice("abcdefgh")
                known = registry.table.entries.get(name)
                generation = 0 if known is None else known.instance.generation
                with suppress(ServiceError):
                    match dice.randrange(7):
                        case 0 | 1:
                            service = dice.choice(("api", "web"))
                            await registry.register(
                                instance(name, service, version=dice.choice("12"))
                            )
                        case 2 | 3:
                            await registry.heartbeat(name, generation, None)
                        case 4:
                            await registry.drain(name, dice.choice((None, 5.0)))
                        case 5:
                            await registry.maintain(name, dice.choice((None, "disk")))
                        case 6:
                            await registry.deregister(name, dice.choice((None, generation)))

        await asyncio.gather(*(live() for _ in range(8)))
        await same(*several)
        assert len({one.table.epoch for one in several}) == 1
        assert sum(service.revision for service in several[0].table.services.values()) > 50


async def test_a_change_on_one_registry_wakes_who_watches_on_another(redis: RedisServer) -> None:
    async with registries(redis, 2) as (one, other):
        changed, quiet = asyncio.Event(), asyncio.Event()
        other.bells.hang("api", changed.set)
        other.bells.hang("web", quiet.set)
        changed.clear()
        await one.register(instance())
        async with asyncio.timeout(1):
            await changed.wait()
        assert not quiet.is_set()


async def test_each_thing_is_shared_out_to_exactly_one(redis: RedisServer) -> None:
    async with registries(redis, 3) as several:
        for registry in several:
            await registry.tick()
        names = [f"i-{n}" for n in range(300)]
        owners = [[r.store.share(name) for r in several] for name in names]
        assert all(sum(one) == 1 for one in owners)
        assert all(sum(column) > 50 for column in zip(*owners, strict=True))


async def test_a_watcher_of_one_registry_is_waited_for_by_a_drain_on_another(
    redis: RedisServer,
) -> None:
    async with registries(redis, 2) as (one, other):
        entry = await passing(one, "a")
        other.store.acknowledge("api", "gateway", entry.revision)
        await other.store.introduce()
        entry = await one.drain("a", 30.0)
        assert (await one.progress("a")).behind == ("gateway",)
        other.store.acknowledge("api", "gateway", entry.revision)
        await other.store.introduce()
        assert (await one.progress("a")).safe


async def test_a_watcher_is_known_elsewhere_once_it_was_introduced(redis: RedisServer) -> None:
    async with registries(redis, 2) as (one, other):
        entry = await passing(one, "a")
        await same(one, other)

        async def come(name: str) -> None:
            other.store.acknowledge("api", name, entry.revision)
            await other.store.introduce()

        await asyncio.gather(*(come(f"gateway-{n}") for n in range(20)))

        await one.drain("a", 30.0)
        assert len((await one.progress("a")).behind) == 20


async def test_no_drain_is_safe_while_a_registry_is_cut_off(redis: RedisServer) -> None:
    async with registries(redis, 2) as (one, other):
        await passing(one, "a")
        await same(one, other)
        await one.drain("a", 30.0)
        await same(one, other)
        await other.store.beat()
        assert (await one.progress("a")).safe
        await one.drain("a", None)
        await same(one, other)

        tasks = other.store._tasks  # type: ignore[attr-defined]  # noqa: SLF001
        for task in (other._task, *tasks.values()):  # noqa: SLF001 - it hears and says nothing more
            assert task is not None
            task.cancel()
        await one.drain("a", 30.0)
        assert ELSEWHERE in str((await one.progress("a")).behind)
        for _ in range(16):
            await advance(redis, one.store, seconds=4.0)
        await one.store.beat()
        assert (await one.progress("a")).safe


async def test_instances_of_a_killed_registry_get_time_to_turn_to_another(
    redis: RedisServer,
) -> None:
    async with registries(redis, 1) as (one,):
        killed = RedisStore(redis.url)
        await killed.start()
        victim = Registry(killed)
        entry = await passing(victim, "a", ttl=5.0)
        await killed.beat()
        for task in killed._tasks.values():  # noqa: SLF001 - ended without a word
            task.cancel()
        await killed._close()  # noqa: SLF001
        await judge(redis)
        await advance(redis, one.store, seconds=8.0)
        assert await one.store.beat() == []  # its lease is over, but nobody could renew it
        await one.heartbeat("a", entry.instance.generation, None)
        await advance(redis, one.store, seconds=4.0)
        await advance(redis, one.store, seconds=8.0)
        assert await one.store.beat() == [("a", entry.instance.generation)]


async def test_generations_of_a_history_that_nobody_knows_any_more_are_not_given_again(
    redis: RedisServer,
) -> None:
    async with registries(redis, 1) as (one,):
        before = [await one.register(instance(weight=number)) for number in range(3)]
    await redis.command("FLUSHALL")
    async with registries(redis, 1) as (other,):
        after = [await other.register(instance(weight=number)) for number in range(3)]

    given = [entry.instance.generation for entry in (*before, *after)]
    assert len(set(given)) == 6


async def test_silence_is_stored_once_however_many_see_it(redis: RedisServer) -> None:
    async with registries(redis, 3) as several:
        await passing(several[0], "a")
        await judge(redis)
        await several[0].store.beat()
        await advance(redis, seconds=40.0)
        await asyncio.gather(*(one.tick() for one in several))
        await same(*several)
        assert several[0].table.get("a").state is State.CRITICAL
        assert several[0].table.services["api"].revision == 2


async def test_a_lease_that_was_lost_is_put_back(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    await store.start()
    await store.append(Register(instance()))
    await store.append(Register(instance("b", ttl=0.0)))
    await store.beat()
    await redis.command("DEL", f"{PREFIX}leases")
    for _ in range(FILL):
        await store.beat()
    assert await number(redis, "ZCARD", f"{PREFIX}leases") == 1
    await store.stop()


# -- Redis is away --------------------------------------------------------------------------


async def test_a_jump_of_the_clock_evicts_nobody(redis: RedisServer) -> None:
    async with registries(redis, 1) as (one,):
        await passing(one, "a", ttl=2.0)
        await judge(redis)
        before = one.store.now()
        await redis.command("HINCRBY", f"{PREFIX}head", "raw", str(-3600 * SECOND))
        assert await one.store.beat() == []
        assert one.store.now() < before + 10.0
        await redis.command("HINCRBY", f"{PREFIX}head", "raw", str(7200 * SECOND))
        assert await one.store.beat() == []
        assert one.store.now() < before + 10.0


async def test_a_frozen_redis_evicts_nobody_and_changes_arrive_afterwards(
    redis: RedisServer,
) -> None:
    async with registries(redis, 2) as (one, other):
        entry = await passing(one, "a", ttl=3.0)
        await same(one, other)
        redis.freeze()
        await eventually(lambda: one.store.failing and other.store.failing)
        assert not one.store.current
        assert one.table.get("a").state is State.PASSING
        with pytest.raises(Unavailable):
            await one.register(instance("b"))
        assert one.store.failing in str(await one.store.behind("api", 1, 0.0))
        await one.heartbeat("a", entry.instance.generation, None)
        await asyncio.sleep(1.0)  # longer than its ttl in all
        redis.thaw()
        await eventually(lambda: one.store.current and other.store.current)
        await one.register(instance("b"))
        await same(one, other)
        assert other.table.get("a").state is State.PASSING
        assert other.table.services["api"].revision == 2


async def test_an_emptied_redis_is_filled_again_and_no_instance_disappears(
    redis: RedisServer,
) -> None:
    async with registries(redis, 3) as several:
        one, other, third = several
        entries = [await passing(one, name) for name in "abcdef"]
        await same(*several)
        epoch, index = one.table.epoch, one.table.services["api"].revision
        least: list[int] = []
        for registry in several:
            registry.bells.hang("api", lambda r=registry: least.append(len(r.table)))  # type: ignore[misc]
        await redis.kill()
        waiting = spawn(other.register(instance("late")), name="late")
        await redis.start()
        await waiting
        await same(*several)
        assert one.table.epoch != epoch
        assert one.table.services["api"].revision > index
        assert min(least) >= 6
        assert [one.table.get(e.instance.id).instance for e in entries] == [
            e.instance for e in entries
        ]
        await third.heartbeat("a", entries[0].instance.generation, None)
        assert await number(redis, "ZCARD", f"{PREFIX}leases") == 7
        assert (await third.store.left(["a"]))["a"] > 25


async def test_who_begins_with_nothing_is_told_everything(redis: RedisServer) -> None:
    async with registries(redis, 1) as (one,):
        kept = await passing(one, "a")
        await one.maintain("a", "disk")
        await redis.command("FLUSHALL")
        async with registries(redis, 1) as (fresh,):  # before the other has noticed
            await eventually(lambda: "a" in fresh.table.entries and "a" in one.table.entries)
            await eventually(lambda: fresh.table.get("a").maintenance == "disk")
            await same(one, fresh)
            assert fresh.table.get("a").instance == kept.instance


async def test_a_redis_that_has_forgotten_the_last_entries_begins_another_history(
    redis: RedisServer,
) -> None:
    async with registries(redis, 2) as (one, other):
        await passing(one, "a")
        await same(one, other)
        epoch = one.table.epoch
        seq = await number(redis, "HINCRBY", f"{PREFIX}head", "seq", "-1")
        await redis.command("XDEL", f"{PREFIX}log", f"{seq + 1}-0")
        await eventually(lambda: epoch not in (one.table.epoch, other.table.epoch))
        await same(one, other)
        assert one.table.get("a").state is State.PASSING


async def test_without_redis_a_registry_starts_and_knows_that_it_knows_nothing(
    redis: RedisServer,
) -> None:
    await redis.kill()
    async with Registry(RedisStore(redis.url)) as one:
        assert one.store.failing
        assert not one.store.current
        assert not one.table.listing("api").authoritative
        with pytest.raises(Unavailable):
            await one.register(instance())
        await redis.start()
        await eventually(lambda: not one.store.failing)
        await one.register(instance())


async def test_another_version_keeps_away(redis: RedisServer) -> None:
    await redis.command("HSET", f"{PREFIX}head", "epoch", "e", "format", "99", "raw", "0")
    store = RedisStore(redis.url)
    with pytest.raises(StoreError, match="another version"):
        await store.start()


async def test_all_go_by_the_limits_of_who_was_first(redis: RedisServer) -> None:
    async with registries(redis, 1) as (one,):
        other = RedisStore(redis.url, policy=TablePolicy(removal=1.0))
        await other.start()
        assert other.table.policy == one.table.policy
        await other.stop()
    alone = RedisStore(redis.url, policy=TablePolicy(removal=1.0))
    await alone.start()
    assert alone.table.policy.removal == 1.0
    await alone.stop()


# -- the log --------------------------------------------------------------------------------


async def test_connections_that_break_lose_no_change_and_double_none(redis: RedisServer) -> None:
    async with registries(redis, 2) as (one, other):
        names = [f"i-{n}" for n in range(400)]

        async def cut() -> None:
            for _ in range(5):
                await asyncio.sleep(0.02)
                await redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        await asyncio.gather(*(one.register(instance(name)) for name in names), cut())
        await same(one, other)
        assert one.table.services["api"].revision == len(names)
        assert sorted(one.table.entries) == sorted(names)


async def test_the_same_append_again_is_not_stored_twice(redis: RedisServer) -> None:
    async with registries(redis, 1) as (one,):
        link = Link(redis.url, PREFIX)
        words: tuple[Any, ...] = (one.table.epoch, 0, "me", 4, "deregister", b'{"kind":"pass"}')
        first = await link.call(APPEND, *words, "x", "", 0, 0, "")
        again = await link.call(APPEND, *words, "x", "", 0, 0, "")
        assert (first[0], again) == (b"stored", [b"repeated"])
        await link.close()


async def test_a_reader_that_is_too_slow_goes_on_at_the_snapshot(redis: RedisServer) -> None:
    async with registries(redis, 1) as (one,):
        slow, writer = (Follower(Link(redis.url, PREFIX), DEFAULTS, Listener()) for _ in range(2))
        link = Link(redis.url, PREFIX)
        await slow.look()
        for name in "abcd":
            await passing(one, name)
            writer.synced = False
            writer.replica = Replica(Table(""), 0)
            await writer.look()
            seq = writer.replica.seq
            await link.call(KEEP, one.table.epoch, seq, seq, writer.replica.write())
        assert await number(redis, "XLEN", f"{PREFIX}log") < 5
        slow.synced = False
        await slow.look()
        assert dump(slow.replica.table) == dump(one.table)
        for each in (slow, writer, link):
            await each.close()


async def test_a_log_without_snapshots_takes_no_more_until_there_is_one(
    redis: RedisServer,
) -> None:
    store = RedisStore(redis.url)
    await store.start()
    await store.append(Register(instance("a")))
    await redis.command("HINCRBY", f"{PREFIX}head", "kept", str(-LONGEST))
    with pytest.raises(Unavailable, match="full"):
        await store.append(Register(instance("b")))
    await store.beat()
    await store.append(Register(instance("b")))
    await store.stop()


@pytest.mark.parametrize("name", ["*", "{after}-0", "{last}-7"])
async def test_what_others_write_into_the_log_is_thrown_out(redis: RedisServer, name: str) -> None:
    async with registries(redis, 2) as (one, other):
        entry = await passing(one, "a")
        await same(one, other)
        epoch = one.table.epoch
        last = one.store._follower.replica.seq  # type: ignore[attr-defined]  # noqa: SLF001
        foreign = name.format(last=last, after=last + 1)
        await redis.command("XADD", f"{PREFIX}log", foreign, "their", "entry")
        await one.register(instance("b"))
        await same(one, other)

        assert sorted(other.table.entries) == ["a", "b"]
        assert other.table.get("a").instance == entry.instance
        assert one.table.epoch != epoch
        assert not one.store.failing
        await other.drain("b", 1.0)
        await same(one, other)


async def test_an_entry_that_nobody_can_read_stops_nobody(redis: RedisServer) -> None:
    async with registries(redis, 2) as (one, other):
        link = Link(redis.url, PREFIX)
        await link.call(APPEND, one.table.epoch, 0, "me", 1, "odd", b"\xff{", "x", "", 0, 0, "")
        await link.close()
        await one.register(instance())
        await same(one, other)
        assert not one.store.failing


async def test_while_history_is_new_a_drain_waits_for_other_registries(
    redis: RedisServer,
) -> None:
    async with registries(redis, 2) as (one, other):
        entry = await passing(one, "a")
        other.store.acknowledge("api", "gateway", entry.revision)
        await same(one, other)
        await redis.command("FLUSHALL")
        epoch = one.table.epoch
        await eventually(lambda: one.table.epoch not in (epoch, ""))
        entry = await one.drain("a", 30.0)
        assert ELSEWHERE in str((await one.progress("a")).behind)
        await same(one, other)
        await other.store.introduce()
        assert "gateway" in (await one.progress("a")).behind
