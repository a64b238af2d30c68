"""Everything at once on the same memories: what was deleted stays so, and nothing gets stuck."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final
from uuid import UUID

import pytest

from tests.memory.api.served import Answer, Served, served
from tests.memory.crashes.indexes import KINDS, index_of
from tests.memory.crashes.writers import becomes_consistent
from tests.peers.gateways import settled
from tests.peers.postgres import PostgresServer, folder_of_run, running
from uaitools.memory.store.statements import BURIED

MEMORIES: Final = 40
ROUNDS: Final = 40


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running("embedded", folder_of_run(tmp_path_factory)) as server:
        yield server


@pytest.fixture(params=KINDS)
async def memory(postgres: PostgresServer, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    async with index_of(request.param) as index, served(postgres, index=index) as one:
        yield one


class Race:
    """Ann's memories, and those who do something to them.

    gone: ids that were answered as deleted. receipts: of her deletions.
    """

    def __init__(self, memory: Served) -> None:
        self.memory = memory
        self.names: list[str] = []
        self.gone: set[str] = set()
        self.receipts: list[str] = []
        self.lines: list[bytes] = []

    async def begin(self) -> None:
        for number in range(MEMORIES):
            self.names.append((await self.memory.remember(f"fact number {number}"))["id"])
        exported = (await self.memory.ask("GET", "/memories/export?user_id=ann")).body
        self.lines = exported.splitlines()

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        answer = await self.memory.ask(method, path, body, **headers)
        assert answer.status < 500 or answer.status == 503, answer
        return answer

    def path(self) -> str:
        return f"/memories/{random.choice(self.names)}?user_id=ann"

    async def create(self) -> None:
        body = {"user_id": "ann", "content": f"fact number {random.randrange(3 * MEMORIES)}"}
        key = {"Idempotency_Key": f"k{random.getrandbits(64)}"} if random.random() < 0.5 else {}
        answer = await self.ask("POST", "/memories", body, **key)
        if answer.status == 201:
            self.names[random.randrange(MEMORIES)] = answer.body["id"]

    async def change(self) -> None:
        await self.ask("PATCH", self.path(), {"content": f"changed to {random.random()}"})

    async def delete(self) -> None:
        path = self.path()
        if (await self.ask("DELETE", path)).status == 204:
            self.gone.add(path.split("/")[2].split("?")[0])

    async def search(self) -> None:
        asked = {"user_id": "ann", "query": "fact number", "limit": 50}
        before = set(self.gone)
        found = (await self.ask("POST", "/memories/search", asked)).body["results"]
        assert not {one["id"] for one in found} & before

    async def move_in(self) -> None:
        """Import what was exported, in any order."""
        lines = random.sample(self.lines, len(self.lines))
        path = self.memory.url + "/memories/import?user_id=ann"
        headers = {"Content-Type": "application/x-ndjson"}
        async with self.memory.session.post(path, data=b"\n".join(lines), headers=headers) as got:
            assert got.status in (200, 503)

    async def repair(self) -> None:
        await self.ask("POST", "/consistency/repair")

    async def embed_anew(self) -> None:
        await self.memory.service.outbox.mark_others("another/model/1", 2 * MEMORIES)

    async def leave(self) -> None:
        answer = await self.ask("DELETE", "/users/ann")
        if answer.status != 503:
            self.receipts.append(answer.body["id"])

    async def check(self) -> None:
        """Everybody has finished."""
        for name in self.gone:
            assert (await self.ask("GET", f"/memories/{name}?user_id=ann")).status == 404
        listed = (await self.ask("GET", "/memories?user_id=ann&limit=100")).body["memories"]
        there = {one["id"] for one in listed}
        assert not there & self.gone
        for mode in ("lexical", "vector"):
            found = await self.memory.search("fact number", mode=mode, limit=100)
            assert {one["id"] for one in found} <= there
        for name in self.receipts:
            await settled(lambda name=name: self.complete(name))  # type: ignore[misc]
        await becomes_consistent(self.memory)
        index = self.memory.service.index
        assert {str(one.id) async for one in index.ids("ann")} == there
        assert [one async for one in index.ids("bob")]
        assert not await _raised(self.memory)

    async def complete(self, receipt: str) -> bool:
        said = (await self.ask("GET", f"/deletions/{receipt}?user_id=ann")).body
        return bool(said["status"] == "complete") and not any(said["left_over"].values())


async def _raised(memory: Served) -> list[UUID]:
    """Memories that are there although they were deleted for good."""
    async with memory.service.pool.acquire() as connection:
        await connection.execute("SELECT set_config('uaitools.everyone', 'on', false)")
        rows: list[Any] = await connection.fetch(f"SELECT id FROM memories WHERE {BURIED}")
        await connection.execute("SELECT set_config('uaitools.everyone', 'off', false)")
    return [row["id"] for row in rows]


async def run(*actors: Callable[[], Awaitable[None]]) -> None:
    """Have each act many times, all at once."""

    async def again(act: Callable[[], Awaitable[None]]) -> None:
        for _ in range(ROUNDS):
            await act()

    await asyncio.gather(*(again(act) for act in actors))


async def test_memories_are_deleted_whatever_else_is_done_to_them(memory: Served) -> None:
    await memory.remember("a fact of bob's", user="bob")
    race = Race(memory)
    await race.begin()
    acts = (race.create, race.change, race.change, race.search, race.repair, race.embed_anew)
    await run(*acts, race.delete, race.delete, race.move_in, race.move_in)
    assert race.gone
    await race.check()


async def test_a_user_is_deleted_whatever_else_is_done(memory: Served) -> None:
    await memory.remember("a fact of bob's", user="bob")
    race = Race(memory)
    await race.begin()

    async def leave() -> None:
        if random.random() < 0.1:
            await race.leave()

    acts = (race.create, race.change, race.change, race.search, race.repair, race.embed_anew)
    await run(*acts, race.delete, race.move_in, race.move_in, leave, leave)
    await race.leave()
    await race.check()
