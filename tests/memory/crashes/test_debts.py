"""A process dies before it could tell Redis what it has changed: nobody reads what was before."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from itertools import product
from pathlib import Path

import aiohttp
import pytest

from tests.memory.api.served import Visitor
from tests.memory.copies.sharing import get
from tests.memory.crashes.writers import Writer, answered, becomes_consistent, writing
from tests.peers.component_program import ComponentProgram
from tests.peers.gateways import settled
from tests.peers.memory_program import memory_program
from tests.peers.redis import RedisServer
from tests.peers.relay import Relay, relay
from uaitools.tasks import spawn

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # other processes do the work
KILLS = 3
WRITERS = 6
PATIENCE = 10.0  # seconds of one that is killed meanwhile
CHANGES = {
    "changed": ("PATCH", "/memories/{}?user_id=ann", {"metadata": {"n": 1}}),
    "deleted": ("DELETE", "/memories/{}?user_id=ann", None),
    "user deleted": ("DELETE", "/users/ann", None),
}


def program(
    directory: Path, way: RedisServer | Relay, timeout: float = 0.25
) -> AbstractAsyncContextManager[ComponentProgram]:
    """One that finds Redis by some way. timeout: seconds that it waits for an answer."""
    environ = {
        "REDIS_URL": f"redis://127.0.0.1:{way.port}/0",
        "UAITOOLS_MEMORY__CACHE__TIMEOUT": str(timeout),
    }
    return memory_program(directory, {}, **environ)


async def shown(visitor: Visitor, name: str) -> int | None:
    """The version that a page has, which is made of no copies; None when it is gone."""
    page = (await visitor.ask("GET", "/memories?user_id=ann")).body["memories"]
    return next((one["version"] for one in page if one["id"] == name), None)


async def killed_before_it_tells(
    writer: ComponentProgram, change: str, name: str, changed: Callable[[], Awaitable[bool]]
) -> None:
    """Have a program that cannot reach Redis change a memory, and kill it after the commit."""
    method, path, body = CHANGES[change]

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            with suppress(aiohttp.ClientError):
                await Visitor(writer.url, session).ask(method, path.format(name), body)

    asking = spawn(ask(), name="changes")
    await settled(changed)
    assert not asking.done()
    await writer.kill()
    await asking


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("frozen", [True, False], ids=["redis frozen", "cut off from redis"])
async def test_others_read_what_was_written_by_one_that_died_before_it_told_redis(
    tmp_path: Path, redis: RedisServer, frozen: bool, change: str
) -> None:
    async with (
        relay(redis.port) as way,
        program(tmp_path / "data", way, PATIENCE) as writer,
        program(tmp_path / "data", redis) as reader,
        aiohttp.ClientSession() as session,
    ):
        visitor = Visitor(reader.url, session)
        made = await visitor.remember("I like tea")
        assert (await get(visitor, made["id"])).body == made

        async def changed() -> bool:
            return await shown(visitor, made["id"]) != 1

        if frozen:
            redis.freeze()
        way.mute = True
        await killed_before_it_tells(writer, change, made["id"], changed)
        if frozen:
            redis.thaw()
        after = await get(visitor, made["id"])
        assert after.body.get("version") == await shown(visitor, made["id"])


async def test_one_that_starts_alone_reads_what_was_written_by_the_one_that_died(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with (
        relay(redis.port) as way,
        program(tmp_path / "data", way, PATIENCE) as one,
        aiohttp.ClientSession() as session,
    ):
        visitor = Visitor(one.url, session)
        made = await visitor.remember("I like tea")
        assert (await get(visitor, made["id"])).body == made

        async def changed() -> bool:
            return await shown(visitor, made["id"]) == 2

        way.mute = True
        await killed_before_it_tells(one, "changed", made["id"], changed)
        way.mute = False
        await one.start()
        assert (await get(visitor, made["id"])).body["version"] == 2


async def test_whatever_dies_when_redis_cannot_be_told_copies_are_as_the_rows(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with (
        relay(redis.port) as way,
        program(tmp_path / "data", way) as mortal,
        program(tmp_path / "data", redis) as other,
        aiohttp.ClientSession() as session,
    ):
        visitors = [Visitor(one.url, session) for one in (mortal, other)]
        writers = [Writer(f"user{number}", visitors) for number in range(WRITERS)]
        async with writing(writers):
            for _ in range(KILLS):
                await answered(writers, random.randint(20, 80))
                way.mute = True
                await answered(writers, random.randint(30, 80))
                await mortal.kill()
                way.mute = False
                await mortal.start()
        await becomes_consistent(visitors[0])
        for visitor, one in product(visitors, writers):
            await one.check(visitor)
        assert sum(len(one.there) for one in writers) > WRITERS
