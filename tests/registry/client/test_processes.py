"""Watchers and registrations against the real registry, killed, paused and started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.peers.gateways import eventually
from tests.peers.registry import QUICK
from tests.peers.registry_program import RegistryProgram, registry_program
from tests.peers.stopwatch import stopwatch
from uaitools.auth.keys import new_key, render
from uaitools.registry.client import Check, Load, Observation, Registration, State, View, Watcher
from uaitools.registry.client import register as registered
from uaitools.tasks import spawn

# A machine that is busy for a moment is not a registry that is away.
TIMING = replace(QUICK, connect=2.0, call=2.0, heartbeat=1.0, repeat=0.3)


class Views(list[View]):
    def __call__(self, view: View) -> None:
        self.append(view)

    @property
    def states(self) -> dict[str, State]:
        return {one.id: one.health for one in self[-1].members} if self else {}

    @property
    def fresh(self) -> bool:
        return bool(self) and not self[-1].stale


@pytest.fixture
async def registry(_leaves_nothing: None, tmp_path: Path) -> AsyncIterator[RegistryProgram]:
    async with registry_program(tmp_path) as program:
        yield program


def instance(registry: RegistryProgram, name: str = "a-1", **settings: object) -> Registration:
    usual = {"ttl": 3.0, "drain": 10.0, "timing": TIMING, "urls": [registry.url], "id": name}
    return registered(
        name="api",
        address="127.0.0.1",
        port=9000 + int(name.rpartition("-")[2]),
        **{**usual, **settings},  # type: ignore[arg-type]
    )


def watcher(registry: RegistryProgram, name: str = "w-1", **settings: object) -> Watcher:
    return Watcher([registry.url], name=name, **{"timing": TIMING, **settings})  # type: ignore[arg-type]


async def test_who_registers_is_seen_passes_drains_and_goes(registry: RegistryProgram) -> None:
    async with watcher(registry) as watching:
        watching.watch("api", views := Views())
        async with instance(
            registry,
            version="1.2",
            tags=["gpu"],
            meta={"k": "v"},
            zone="eu-1",
            weight=3,
            checks=[Check(kind="tcp", interval=60.0)],
            load=lambda: Load(1, 0, 9),
        ) as running:
            await running.registered()
            await eventually(lambda: views.states == {"a-1": State.PASSING})
            member = views[-1].members[0]
            found = (member.version, member.tags, dict(member.meta), member.zone, member.weight)
            assert found == ("1.2", frozenset(["gpu"]), {"k": "v"}, "eu-1", 3)
            assert views.fresh
            watching.observe([Observation("a-1", member.generation, 10, 1, 0, 3.5)])
        await eventually(lambda: views.states == {})

    states = [str(view.members[0].health) for view in views if view.members]
    assert list(dict.fromkeys(states)) == ["starting", "passing", "draining"]
    indices = [view.index for view in views]
    assert indices == list(range(indices[0], indices[0] + len(views)))


async def test_a_drain_waits_for_who_has_not_applied_it(registry: RegistryProgram) -> None:
    async with watcher(registry, "slow") as slow, watcher(registry, "quick") as quick:
        stuck = True

        def apply(view: View) -> None:
            if stuck and any(one.health is State.DRAINING for one in view.members):
                raise RuntimeError("not yet")

        quick.watch("api", views := Views())
        slow.watch("api", apply)
        async with instance(registry) as running:
            await running.registered()
            await eventually(lambda: views.states == {"a-1": State.PASSING})
            with capture_logs():
                loop = asyncio.get_running_loop()
                draining = spawn(running.drain(loop.time() + 10.0), name="drain")
                await eventually(lambda: views.states == {"a-1": State.DRAINING})
                done, _ = await asyncio.wait({draining}, timeout=3 * TIMING.look)
                assert not done
                stuck = False
                await draining


async def test_a_drain_waits_for_what_is_in_flight(registry: RegistryProgram) -> None:
    flying = 2
    async with instance(registry, load=lambda: Load(in_flight=flying)) as running:
        await running.registered()
        loop = asyncio.get_running_loop()
        draining = spawn(running.drain(loop.time() + 10.0), name="drain")
        done, _ = await asyncio.wait({draining}, timeout=5 * TIMING.look)
        assert not done
        flying = 0
        await draining


async def test_a_registry_that_is_killed_and_comes_back_loses_nobody(
    registry: RegistryProgram,
) -> None:
    async with watcher(registry) as watching, instance(registry) as running:
        watching.watch("api", views := Views())
        await eventually(lambda: views.states == {"a-1": State.PASSING})
        generation = running.generation
        await registry.kill()
        await eventually(lambda: not views.fresh)
        assert views.states == {"a-1": State.PASSING}
        await registry.start()
        await eventually(lambda: views.fresh)

        assert running.generation == generation
        assert all(view.members for view in views[-2:])


async def test_a_registry_that_has_forgotten_all_is_told_again(registry: RegistryProgram) -> None:
    names = ["a-1", "a-2", "a-3"]
    async with watcher(registry) as watching, AsyncExitStack() as stack:
        watching.watch("api", views := Views())
        for name in names:
            await stack.enter_async_context(instance(registry, name))
        await eventually(lambda: views.states == dict.fromkeys(names, State.PASSING))
        known, epoch = len(views), views[-1].epoch
        await registry.kill()
        registry.forget()
        await registry.start()
        await eventually(lambda: views.fresh and views[-1].epoch != epoch)
        await eventually(lambda: views.states == dict.fromkeys(names, State.PASSING))

        assert all(len(view.members) == 3 for view in views[known:])


async def test_a_registry_that_is_paused_is_noticed(registry: RegistryProgram) -> None:
    async with watcher(registry) as watching, instance(registry) as running:
        watching.watch("api", views := Views())
        await eventually(lambda: views.states == {"a-1": State.PASSING})
        registry.freeze()
        await eventually(lambda: not views.fresh)
        assert not watching.connected
        assert views.states == {"a-1": State.PASSING}
        registry.thaw()
        await eventually(lambda: views.fresh)
        await eventually(lambda: views.states == {"a-1": State.PASSING})
        assert not running.lost


async def test_leaving_a_paused_registry_takes_little_time(registry: RegistryProgram) -> None:
    with capture_logs(), contextlib.ExitStack() as leaving:
        async with instance(registry, drain=30.0) as running:
            await running.registered()
            registry.freeze()
            watch = leaving.enter_context(stopwatch())
        assert watch.seconds < TIMING.call * 2 + TIMING.leave * 2
    registry.thaw()


async def test_who_comes_with_the_same_id_takes_its_place(registry: RegistryProgram) -> None:
    with capture_logs():
        async with instance(registry) as first:
            await first.registered()
            async with instance(registry, weight=2) as second:
                await second.registered()
                await eventually(lambda: first.lost)

                assert (first.generation or 0) + 1 == second.generation
                await eventually(lambda: second.health == "passing")


async def test_an_orderly_stop_of_the_registry_sends_watchers_elsewhere(
    registry: RegistryProgram, tmp_path: Path
) -> None:
    async with registry_program(tmp_path / "other") as other:
        urls = [registry.url, other.url]
        async with (
            Watcher(urls, timing=TIMING) as watching,
            instance(registry, urls=urls) as running,
        ):
            await running.registered()
            watching.watch("api", views := Views())
            await eventually(lambda: views.states == {"a-1": State.PASSING})
            await registry.stop()
            await eventually(lambda: watching.connected and views.fresh)
            await eventually(lambda: views.states == {"a-1": State.PASSING})


async def test_a_registry_with_authentication_takes_tokens_with_its_scopes(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    both, record = new_key("both", scopes=["registry:read", "registry:write"], created=now)
    none, other = new_key("none", created=now)
    keys = tmp_path / "keys.json"
    keys.write_bytes(render([record, other]))
    tokens = [none, "nonsense", both]

    def token() -> str:
        return tokens[0] if len(tokens) == 1 else tokens.pop(0)

    environ = {"UAITOOLS_AUTH__KEYS_FILE": str(keys)}
    async with registry_program(tmp_path, environ) as registry:
        with capture_logs() as logs:
            async with watcher(registry, token=token) as watching:
                watching.watch("api", views := Views())
                async with instance(registry, token=both) as running:
                    await running.registered()
                    await eventually(lambda: views.states == {"a-1": State.PASSING})

    refused = [line["reason"] for line in logs if line["log_level"] == "error"]
    assert refused == [
        "it refuses our credential: status 403",
        "it refuses our credential: status 401",
    ]
    assert both not in repr(logs)


async def test_who_registers_what_cannot_be_is_told_which_field(registry: RegistryProgram) -> None:
    with capture_logs() as logs:
        async with instance(registry, ttl=0.5, drain=0.0):
            await eventually(lambda: any("reason" in line for line in logs))
    reason = next(line["reason"] for line in logs if "reason" in line)
    assert reason.startswith("422: the request has invalid fields: ttl is 0, ")
