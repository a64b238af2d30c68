"""Work that goes on whatever happens to one round of it."""

from __future__ import annotations

import asyncio

from uaitools.memory.rounds import Rounds
from uaitools.postgres.errors import DatabaseAway


async def test_a_round_that_fails_is_followed_by_another() -> None:
    failures: list[Exception] = [DatabaseAway("memory", "is away"), ValueError("a defect")]
    done = asyncio.Event()

    async def work() -> None:
        if failures:
            rounds.notify()
            raise failures.pop()
        done.set()

    rounds = Rounds(work, 3600, "test")
    await rounds.start()
    await done.wait()
    await rounds.stop()
