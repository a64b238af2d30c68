"""Work that goes on whatever happens to one round of it."""

from __future__ import annotations

import asyncio

from tests.peers.gateways import eventually
from uaitools.postgres.errors import DatabaseAway
from uaitools.rounds import Rounds


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


async def test_news_that_comes_while_it_rests_is_done_in_one_round() -> None:
    queue: list[int] = []
    done: list[list[int]] = []

    async def work() -> None:
        done.append(list(queue))
        queue.clear()

    rounds = Rounds(work, every=3600, name="test", rest=0.05)
    await rounds.start()
    await eventually(lambda: done == [[]])
    for number in range(3):
        queue.append(number)
        rounds.notify()
        for _ in range(5):  # turns in which a round would begin that does not rest
            await asyncio.sleep(0)
    await eventually(lambda: not queue)
    await rounds.stop()
    assert done == [[], [0, 1, 2]]
