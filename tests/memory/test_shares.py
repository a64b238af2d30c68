"""Turns of users."""

from __future__ import annotations

import asyncio

import pytest

from uaitools.memory.errors import Busy
from uaitools.memory.shares import Shares
from uaitools.tasks import spawn


class Work:
    """What users have under way. done: by whom, in the order of their ends."""

    def __init__(self, shares: Shares) -> None:
        self.under_way: list[str] = []
        self._shares = shares
        self._go_on: dict[str, asyncio.Event] = {}

    def begin(self, user: str, name: str) -> asyncio.Task[None]:
        return spawn(self._do(user, name), name=name)

    def end(self, name: str) -> None:
        self._go_on[name].set()

    async def _do(self, user: str, name: str) -> None:
        event = self._go_on[name] = asyncio.Event()
        async with self._shares.of(user):
            self.under_way.append(name)
            await event.wait()
            self.under_way.remove(name)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_users_work_waits_for_that_users_own_and_for_nobody_elses() -> None:
    work = Work(Shares(2))
    tasks = [work.begin("eve", f"e{number}") for number in range(4)]
    tasks += [work.begin("bob", "b0")]
    await settled()
    assert work.under_way == ["e0", "e1", "b0"]
    work.end("e1")
    await settled()
    assert work.under_way == ["e0", "b0", "e2"]
    for name in ("e0", "b0", "e2", "e3"):
        work.end(name)
        await settled()
    await asyncio.gather(*tasks)


async def test_who_has_too_many_waiting_is_told_to_send_less() -> None:
    shares = Shares(1, waiting=1)
    work = Work(shares)
    first, second = work.begin("eve", "e0"), work.begin("eve", "e1")
    await settled()
    with pytest.raises(Busy) as raised:
        async with shares.of("eve"):
            pass
    assert (raised.value.code, raised.value.retry_after, shares.refused) == (429, 1, 1)
    async with shares.of("bob"):
        pass
    work.end("e0")
    await settled()
    work.end("e1")
    await asyncio.gather(first, second)


async def test_nobody_waits_for_longer_than_allowed() -> None:
    shares = Shares(1, wait=0.01)
    async with shares.of("eve"):
        with pytest.raises(Busy):
            async with shares.of("eve"):
                pass
    async with shares.of("eve"):
        pass


async def test_who_goes_away_while_waiting_takes_nobodys_turn() -> None:
    work = Work(Shares(1))
    first, second, third = (work.begin("eve", f"e{number}") for number in range(3))
    await settled()
    second.cancel()
    work.end("e0")
    await settled()
    assert work.under_way == ["e2"]
    work.end("e2")
    await asyncio.gather(first, third)
    assert second.cancelled()


async def test_users_of_whom_nothing_is_under_way_are_forgotten() -> None:
    shares = Shares(1)
    for number in range(100):
        async with shares.of(f"user {number}"):
            pass
    async with shares.of("eve"):
        assert "users=1 " in repr(shares)
    assert "users=0 " in repr(shares)
