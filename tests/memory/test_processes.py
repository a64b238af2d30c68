"""Several processes on one database: what one writes the others find, and never what was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.memory.api.served import Visitor
from tests.peers.gateways import settled
from tests.peers.memory_program import memory_program
from tests.peers.postgres import PostgresServer, folder_of_run, fresh_database, running
from uaitools.memory.config import MemoryConfig
from uaitools.memory.model import Draft
from uaitools.memory.searching import SearchRequest
from uaitools.memory.service import MIGRATIONS, MemoryService
from uaitools.postgres.embedded.server import PORT, told_by

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

CUT: Final = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name = 'uaitools memory notices' AND datname = current_database()
"""
USERS: Final = count()


@asynccontextmanager
async def superuser(directory: Path) -> AsyncIterator[Connection]:
    """A connection to the embedded PostgreSQL of a data directory."""
    server = told_by(directory / "postgres/data")
    assert server is not None
    connection: Connection = await asyncpg.connect(
        host=str(server.sockets), port=PORT, user="postgres", database="memory"
    )
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.asyncio(loop_factories=["uvloop"])  # other processes do the work
@pytest.mark.parametrize("cut", [False, True], ids=["in peace", "while it cannot hear"])
async def test_what_is_written_through_one_is_found_by_meaning_through_the_other(
    tmp_path: Path, cut: bool
) -> None:
    async with (
        memory_program(tmp_path / "data") as first,
        memory_program(tmp_path / "data") as second,
        superuser(tmp_path / "data") as admin,
        aiohttp.ClientSession() as session,
    ):
        one, other = Visitor(first.url, session), Visitor(second.url, session)

        async def found(query: str, *names: str) -> None:
            """Until the other one finds these, the best first."""
            if cut:
                await admin.fetch(CUT)

            async def finds() -> bool:
                results = await other.search(query, mode="vector", min_score=0.5)
                return [result["id"] for result in results] == list(names)

            await settled(finds)

        tea = (await one.remember("tea"))["id"]
        await found("tea", tea)
        bread = (await one.remember("bread"))["id"]
        await found("bread", bread)
        path = f"/memories/{tea}?user_id=ann"
        assert (await one.ask("PATCH", path, {"content": "coffee"})).status == 200
        await found("coffee", tea)
        await found("tea")
        assert (await one.ask("DELETE", path)).status == 204
        await found("coffee")
        assert (await one.ask("DELETE", "/users/ann")).status == 200
        await found("bread")
        again = (await other.remember("bread"))["id"]
        await found("bread", again)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running("embedded", folder_of_run(tmp_path_factory)) as server:
        yield server


@pytest.fixture
async def services(postgres: PostgresServer) -> AsyncIterator[list[MemoryService]]:
    """Two of them, in one process for speed."""
    async with (
        fresh_database(postgres, migrations=MIGRATIONS) as database,
        AsyncExitStack() as stack,
    ):
        started = []
        for _ in range(2):
            config = MemoryConfig.model_validate({"embed": {"use": "hash"}})
            service = MemoryService(config, Path("/nowhere"), database=database)
            await service.start()
            stack.push_async_callback(service.stop)
            started.append(service)
        yield started


WORDS: Final = ("tea", "bread", "salt", "milk", "rice", "fish")
STEPS: Final = st.tuples(
    st.sampled_from(["write", "write", "change", "delete", "look", "look", "cut"]),
    st.sampled_from([0, 1]),
    st.sampled_from(WORDS),
)


class Diary:
    """What one user has, by the words that it is, beside what the services find."""

    def __init__(self, services: Sequence[MemoryService]) -> None:
        self.user = f"user{next(USERS)}"
        self.names: dict[str, Any] = {}
        self._services = services

    async def happen(self, step: tuple[str, int, str]) -> None:
        act, number, word = step
        service = self._services[number]
        match act:
            case "write" if word not in self.names:
                self.names[word] = (await service.create(Draft(self.user, word))).memory.id
            case "change" if word in self.names:
                name = self.names.pop(word)
                await service.memories.change(self.user, name, {"content": f"no {name}"})
                service.following.notify()
            case "delete" if word in self.names:
                await service.memories.delete(self.user, self.names.pop(word))
                service.following.notify()
            case "look":
                await self.found(service, word)
            case "cut":
                async with service.pool.acquire() as connection:
                    await connection.fetch(CUT)

    async def found(self, service: MemoryService, word: str) -> set[Any]:
        asked = SearchRequest(word, mode="vector", min_score=0.9)
        return {one.id for one, _ in (await service.searching.search(self.user, asked)).results}

    async def agrees(self) -> bool:
        """Whether all find what there is."""
        for service in self._services:
            for word in WORDS:
                expected = {self.names[word]} if word in self.names else set()
                if await self.found(service, word) != expected:
                    return False
        return True


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=3, max_size=12))
async def test_whatever_happens_all_find_what_there_is(
    services: Sequence[MemoryService], history: Sequence[tuple[str, int, str]]
) -> None:
    diary = Diary(services)
    for step in history:
        await diary.happen(step)
    await settled(diary.agrees)
    assert await diary.agrees()  # and that remains
