"""Writes that are sent again and again, through several processes, leave each memory once."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.memory.api.served import Visitor
from tests.memory.crashes.writers import becomes_consistent
from tests.peers.memory_program import memory_program

pytestmark = [
    pytest.mark.asyncio(loop_factories=["uvloop"]),  # other processes do the work
    pytest.mark.timeout(180),
]
TIMES: Final = 10
USERS: Final = 20
CONNECTIONS: Final = 48
LOST: Final = 0.3  # of all answers


@dataclass(frozen=True, slots=True)
class Write:
    """One memory, and what makes it the same one when it is sent again."""

    number: int

    @property
    def user(self) -> str:
        return f"user{self.number % USERS}"

    @property
    def body(self) -> dict[str, str]:
        said = {"user_id": self.user, "content": f"memory number {self.number}"}
        return said | ({"external_id": f"e{self.number}"} if self.number % 3 == 1 else {})

    @property
    def headers(self) -> dict[str, str]:
        return {"Idempotency_Key": f"k{self.number}"} if self.number % 3 == 0 else {}


async def sent(visitors: Sequence[Visitor], write: Write) -> str:
    """The id that the memory has by the answer; some answers are not waited for."""
    while True:
        visitor = random.choice(visitors)
        patience = random.uniform(0, 0.02) if random.random() < LOST else None
        try:
            async with asyncio.timeout(patience):  # which closes the connection
                answer = await visitor.ask("POST", "/memories", write.body, **write.headers)
        except TimeoutError:
            continue
        assert answer.status in (200, 201), answer
        name: str = answer.body["id"]
        return name


@pytest.mark.parametrize("memories", [200, pytest.param(600, marks=pytest.mark.slow)])
async def test_ten_retried_writes_of_each_memory_through_two_processes_leave_it_once(
    tmp_path: Path, memories: int
) -> None:
    async with (
        memory_program(tmp_path / "data") as one,
        memory_program(tmp_path / "data") as other,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session,
    ):
        visitors = [Visitor(one.url, session), Visitor(other.url, session)]
        writes = [Write(number) for number in range(memories)] * TIMES
        random.shuffle(writes)
        names: defaultdict[Write, set[str]] = defaultdict(set)

        async def work() -> None:
            while writes:
                write = writes.pop()
                names[write].add(await sent(visitors, write))

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
        assert {len(some) for some in names.values()} == {1}
        found: set[str] = set()
        for number in range(USERS):
            path = f"/memories?user_id=user{number}&limit=100"
            page = (await random.choice(visitors).ask("GET", path)).body["memories"]
            assert len(page) == memories // USERS
            found |= {memory["id"] for memory in page}
        assert found == {name for some in names.values() for name in some}
        await becomes_consistent(visitors[0])
