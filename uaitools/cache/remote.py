"""The round trips to Redis: what is asked meanwhile goes together with the next.

The first failure tells all who wait, and from then on nobody waits: what is asked while Redis is
away is a miss at once. A task finds out when it is back. Deletes that were not confirmed lead every
round trip, so that nothing is believed before they are done. Both changes are logged, once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from uaitools.cache.owed import Owed
from uaitools.cache.script import CLEAR, EPOCH, FORGET
from uaitools.log import get_logger
from uaitools.redis_link import Answer, Argument, Away, Link
from uaitools.tasks import spawn

OWED: Final = 4096  # deletes that are remembered while Redis is away; with more, all is forgotten
_TOGETHER: Final = 32  # calls in one round trip: their answers are all to come in its time

_log = get_logger(__name__)
_Call = tuple[str, Sequence[Argument]]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    call: _Call | None  # None: to have what is owed done
    answer: asyncio.Future[Answer | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def tell(self, answer: Answer | Away | None) -> None:
        if not self.answer.done():
            self.answer.set_result(None if isinstance(answer, Away) else answer)


class Remote:
    """The Redis at `url`. prefix: of all keys.

    timeout: seconds for a round trip, connecting included. pause: seconds between attempts while
    Redis is away. errors: round trips and calls that have failed.
    """

    __slots__ = (
        "_closed",
        "_link",
        "_owed",
        "_pause",
        "_recovering",
        "_timeout",
        "_waiting",
        "_working",
        "errors",
        "failing",
    )

    def __init__(self, url: str, prefix: str, *, timeout: float, pause: float) -> None:
        self.errors = 0
        self.failing = ""
        self._link = Link(url, prefix, identified=True)
        self._owed = Owed(OWED)
        self._timeout = timeout
        self._pause = pause
        self._waiting: deque[_Asked] = deque()
        self._working: asyncio.Task[None] | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Remote {self._link!r} owed={self.owed} failing={self.failing!r}>"

    @property
    def owed(self) -> int:
        """Deletes that Redis has not confirmed."""
        return len(self._owed)

    @property
    def round_trips(self) -> int:
        """How often Redis was asked."""
        return self._link.round_trips

    async def call(self, script: str, *arguments: Argument) -> Answer | None:
        """What a script answers, ARGV[2] a fresh epoch; None when that cannot be had."""
        return await self._ask(_Asked((script, (_epoch(), *arguments))))

    def owe(self, key: bytes) -> None:
        """Have a key deleted before anything else."""
        self._owed.add(key)

    async def settle(self) -> bool:
        """Have done what is owed; False when that has to wait."""
        return await self._ask(_Asked(None)) is not None

    async def stop(self) -> None:
        """Try once more to have done what is owed, and let go of Redis."""
        self._closed = True
        tasks = [task for task in (self._working, self._recovering) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._owed:
            await self._exchange([])
        if self._owed:
            _log.warning("redis was not told of deletes", purpose="cache", deletes=self.owed)
        await self._link.close()

    async def _ask(self, asked: _Asked) -> Answer | None:
        if self.failing or self._closed:
            return None
        self._waiting.append(asked)
        if self._working is None:
            self._working = spawn(self._work(), name="cache asks redis")
        return await asked.answer

    async def _work(self) -> None:
        """Make round trips for as long as somebody waits."""
        waiting, batch = self._waiting, list[_Asked]()
        try:
            while waiting and not self.failing:
                batch = [waiting.popleft() for _ in range(min(_TOGETHER, len(waiting)))]
                answers = await self._exchange([one.call for one in batch if one.call])
                if answers is None:
                    break
                following = iter(answers)
                for one in batch:
                    one.tell(next(following) if one.call else [])
        finally:
            self._working = None
            for one in (*batch, *waiting):
                one.tell(None)
            waiting.clear()

    async def _exchange(self, calls: Sequence[_Call]) -> list[Answer | Away] | None:
        """One round trip; None if it has failed, or what is owed was not done."""
        due = self._owed.due()
        first: _Call = (CLEAR, (_epoch(),)) if due.everything else (FORGET, (_epoch(), *due.keys))
        leading = [first] if due or not calls else []
        try:
            answers = await self._link.each([*leading, *calls], self._timeout)
            for answer in answers[: len(leading)]:
                if isinstance(answer, Away):
                    raise answer
        except Away as error:
            self._lost(error)
            return None
        self._owed.done(due)
        self._found()
        answers = answers[len(leading) :]
        failures = [answer for answer in answers if isinstance(answer, Away)]
        self.errors += len(failures)
        for unable in (one for one in failures if not one.refused):
            self._lost(unable)  # it would say the same to whatever it is asked
        return answers

    def _lost(self, error: Away) -> None:
        self.errors += 1
        if not self.failing:
            address = self._link.address
            _log.warning("redis is away", purpose="cache", address=address, reason=str(error))
        self.failing = str(error)
        if self._recovering is None and not self._closed:
            self._recovering = spawn(self._recover(), name="cache waits for redis")

    def _found(self) -> None:
        if self.failing:
            self.failing = ""
            _log.info("redis is back", purpose="cache", address=self._link.address)

    async def _recover(self) -> None:
        """Try again until Redis is back."""
        try:
            while self.failing:
                await asyncio.sleep(self._pause)
                await self._exchange([])
        finally:
            self._recovering = None


def _epoch() -> str:
    return secrets.token_hex(EPOCH // 2)
