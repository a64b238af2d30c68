"""What every store has to do. CHECKS: each is given a Ground, and raises where it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import pytest

from uaitools.registry.errors import Full, Stale, Unknown
from uaitools.registry.events import (
    Beat,
    Change,
    Deregister,
    Drain,
    Maintain,
    Observed,
    Pass,
    Register,
    Silence,
)
from uaitools.registry.evidence import State, Word
from uaitools.registry.model import Instance, Load
from uaitools.registry.snapshot import dump
from uaitools.registry.store.port import Store
from uaitools.registry.table import TablePolicy
from uaitools.registry.watchers import CROWD, LIVE, MOST

TTL: Final = 30.0
LAG: Final = 3.0  # seconds by which a store may judge later than it might


class Ground(Protocol):
    """Where stores are tried."""

    async def open(self, policy: TablePolicy = ...) -> Store:
        """A started store; the one before it has ended."""

    async def advance(self, seconds: float) -> None:
        """Let time pass."""


def instance(name: str = "a", service: str = "api", **fields: object) -> Instance:
    return Instance(name, service, "10.0.0.1", 80, **{"ttl": TTL, "generation": 0, **fields})  # type: ignore[arg-type]


async def an_event_is_seen_by_who_reads_after_it(ground: Ground) -> None:
    store = await ground.open()
    entry = await store.append(Register(instance()))
    assert entry is not None
    assert store.table.get("a") is entry
    assert entry.revision == 1

    await store.append(Beat("a", entry.instance.generation, Load(1, 2, 3)))
    assert store.table.get("a").state is State.PASSING
    assert store.table.get("a").load == Load(1, 2, 3)
    await store.append(Change("a", weight=5, tags=("x",), meta={"k": "v"}))
    assert store.table.get("a").instance.weight == 5
    await store.append(Maintain("a", "disk"))
    assert store.table.get("a").maintenance == "disk"
    await store.append(Maintain("a", None))
    await store.append(Drain("a", 30.0))
    assert store.table.get("a").drained_by is not None
    await store.append(Deregister("a", entry.instance.generation))
    assert "a" not in store.table.entries


async def changed_is_called_after_each_change(ground: Ground) -> None:
    store = await ground.open()
    seen: list[int] = []
    store.changed = lambda: seen.append(len(store.table))
    await store.append(Register(instance("a")))
    await store.append(Register(instance("b")))
    assert seen[-1] == 2
    assert 1 in seen


async def generations_rise(ground: Ground) -> None:
    store = await ground.open()
    found = []
    for version in "1231":
        entry = await store.append(Register(instance(version=version)))
        assert entry is not None
        found.append(entry.instance.generation)
    assert found == sorted(set(found))


async def what_cannot_be_followed_is_raised(ground: Ground) -> None:
    store = await ground.open(TablePolicy(instances=2))
    entry = await store.append(Register(instance("a")))
    assert entry is not None
    with pytest.raises(Unknown):
        await store.append(Beat("nobody", 1))
    with pytest.raises(Stale):
        await store.append(Deregister("a", entry.instance.generation + 7))
    await store.append(Register(instance("b")))
    with pytest.raises(Full):
        await store.append(Register(instance("c")))
    await store.append(Observed("a", entry.instance.generation, Word.BAD, "5xx"))
    assert store.table.get("a").state is State.SUSPECT


async def a_lease_is_over_after_its_ttl_and_not_before(ground: Ground) -> None:
    store = await ground.open()
    entry = await store.append(Register(instance()))
    assert entry is not None
    await ground.advance(TTL - 1.0)
    assert await store.beat() == []
    await ground.advance(1.0 + LAG)
    assert await store.beat() == [("a", entry.instance.generation)]

    await store.append(Silence("a", entry.instance.generation))
    assert store.table.get("a").state is State.CRITICAL


async def a_heartbeat_begins_the_lease_anew(ground: Ground) -> None:
    store = await ground.open()
    entry = await store.append(Register(instance()))
    assert entry is not None
    for _ in range(3):
        await ground.advance(TTL - 5.0)
        store.renew(entry)
        assert await store.beat() == []
    lease = store.lease("a")
    assert lease is not None
    assert lease.seen == pytest.approx(store.now(), abs=LAG)
    left = await store.left(["a", "nobody"])
    assert left["a"] == pytest.approx(TTL, abs=LAG)
    assert "nobody" not in left


async def who_is_silent_and_speaks_again_has_a_lease_again(ground: Ground) -> None:
    store = await ground.open()
    entry = await store.append(Register(instance()))
    assert entry is not None
    generation = entry.instance.generation
    await ground.advance(TTL + LAG)
    assert await store.beat()
    await store.append(Silence("a", generation))
    store.renew(entry)
    await store.append(Beat("a", generation))
    assert await store.beat() == []
    assert (await store.left(["a"]))["a"] > TTL - LAG
    await ground.advance(TTL + LAG)
    assert await store.beat() == [("a", generation)]


async def without_a_ttl_no_heartbeat_is_missed(ground: Ground) -> None:
    store = await ground.open()
    entry = await store.append(Register(instance(ttl=0.0)))
    assert entry is not None
    store.renew(entry)
    await ground.advance(1000.0)
    assert await store.beat() == []
    assert (await store.left(["a"]))["a"] == float("inf")


async def a_late_heartbeat_of_an_old_generation_touches_nothing(ground: Ground) -> None:
    store = await ground.open()
    old = await store.append(Register(instance(version="1")))
    new = await store.append(Register(instance(version="2")))
    assert old is not None
    assert new is not None
    await ground.advance(TTL - 1.0)
    with pytest.raises(Stale):
        await store.append(Beat("a", old.instance.generation))
    await store.beat()
    await ground.advance(1.0 + LAG)
    over = await store.beat()
    assert ("a", new.instance.generation) in over


async def time_is_never_set_back_and_removes_the_critical(ground: Ground) -> None:
    store = await ground.open()
    entry = await store.append(Register(instance()))
    assert entry is not None
    before = store.now()
    await ground.advance(TTL + LAG)
    for name, generation in await store.beat():
        await store.append(Silence(name, generation))
    assert store.table.get("a").state is State.CRITICAL
    await ground.advance(200.0)
    assert store.now() >= before + 199.0 + TTL
    while (due := store.table.next_due()) is not None and due <= store.now():
        await store.append(Pass())
    assert store.table.now <= store.now()
    with pytest.raises(Unknown):
        store.table.get("a")


async def who_has_not_applied_a_revision_is_behind_while_it_lives(ground: Ground) -> None:
    store = await ground.open()
    await store.append(Register(instance()))
    store.acknowledge("api", "one", 3)
    store.acknowledge("api", "two", 4)
    store.acknowledge("nothing", "three", 0)
    assert (await store.behind("api", 4, 0.0)) == ("one",)
    store.acknowledge("api", "two", 1)  # late: it never goes back
    assert (await store.behind("api", 4, 0.0)) == ("one",)
    assert (await store.behind("nothing", 4, 0.0)) == ("three",)  # it waits for the service to come
    assert (await store.behind("nobody's", 4, 0.0)) == ()
    store.acknowledge("api", "one", 4)
    assert (await store.behind("api", 4, 0.0)) == ()
    assert (await store.behind("api", 5, 0.0)) == ("one", "two")
    store.leave("api", "one")
    assert (await store.behind("api", 5, 0.0)) == ("two",)
    await ground.advance(LIVE + 1.0)
    assert (await store.behind("api", 5, 0.0)) == ()


async def of_too_many_watchers_none_is_forgotten_for_another_one(ground: Ground) -> None:
    store = await ground.open()
    await store.append(Register(instance()))
    for number in range(MOST + 5):
        store.acknowledge("api", f"w{number}", 3)
    assert (await store.behind("api", 3, 0.0)) == (CROWD,)
    behind = await store.behind("api", 4, 0.0)
    assert len(behind) == MOST + 1
    assert {"w0", f"w{MOST - 1}", CROWD}.issubset(behind)
    await ground.advance(LIVE + 1.0)
    assert (await store.behind("api", 4, 0.0)) == ()


async def everything_is_there_again_after_a_restart(ground: Ground) -> None:
    store = await ground.open()
    for name in "abcde":
        entry = await store.append(Register(instance(name)))
        assert entry is not None
        await store.append(Beat(name, entry.instance.generation))
    await store.append(Maintain("b", "disk"))
    await store.append(Deregister("c"))
    had = dump(store.table)

    store = await ground.open()
    assert dump(store.table) == had
    given = max(e.instance.generation for e in store.table)
    entry = await store.append(Register(instance("f")))
    assert entry is not None
    assert entry.instance.generation > given


async def after_a_restart_everybody_gets_one_ttl(ground: Ground) -> None:
    store = await ground.open()
    await store.append(Register(instance()))
    await ground.advance(TTL - 2.0)
    await store.beat()

    store = await ground.open()
    await ground.advance(TTL - 2.0)
    assert await store.beat() == []
    await ground.advance(2.0 + LAG)
    assert [name for name, _ in await store.beat()] == ["a"]


async def after_a_restart_who_watched_before_is_waited_for(ground: Ground) -> None:
    store = await ground.open()
    await store.append(Register(instance()))
    store.acknowledge("api", "one", 1)
    await store.beat()

    store = await ground.open()
    assert len(await store.behind("api", 2, 0.0)) == 1
    await ground.advance(LIVE + 1.0)
    assert (await store.behind("api", 2, 0.0)) == ()


async def a_store_that_has_begun_anew_believes_its_emptiness_later(ground: Ground) -> None:
    store = await ground.open()
    assert not store.table.listing("api").authoritative
    await ground.advance(80.0)
    due = store.table.next_due()
    assert due is not None
    assert due <= store.now()
    await store.append(Pass())
    assert store.table.listing("api").authoritative
    assert store.table.next_due() is None


async def one_that_is_alone_does_everything(ground: Ground) -> None:
    store = await ground.open()
    await store.beat()
    assert store.current
    assert store.failing == ""
    assert all(store.share(name) for name in "abcdef")


CHECKS: Final[tuple[Callable[[Ground], Awaitable[None]], ...]] = (
    an_event_is_seen_by_who_reads_after_it,
    changed_is_called_after_each_change,
    generations_rise,
    what_cannot_be_followed_is_raised,
    a_lease_is_over_after_its_ttl_and_not_before,
    a_heartbeat_begins_the_lease_anew,
    who_is_silent_and_speaks_again_has_a_lease_again,
    without_a_ttl_no_heartbeat_is_missed,
    a_late_heartbeat_of_an_old_generation_touches_nothing,
    time_is_never_set_back_and_removes_the_critical,
    who_has_not_applied_a_revision_is_behind_while_it_lives,
    of_too_many_watchers_none_is_forgotten_for_another_one,
    everything_is_there_again_after_a_restart,
    after_a_restart_everybody_gets_one_ttl,
    after_a_restart_who_watched_before_is_waited_for,
    a_store_that_has_begun_anew_believes_its_emptiness_later,
    one_that_is_alone_does_everything,
)
