"""Memories are forgotten by policies: when somebody asks for it, and by those that stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Final
from uuid import UUID

from uaitools import log
from uaitools.memory.following import Following
from uaitools.memory.policy import Policy
from uaitools.memory.store.differences import Differences
from uaitools.memory.store.policies import Judged, Policies
from uaitools.memory.touches import Touches
from uaitools.memory.wanted import Wanted
from uaitools.rounds import Rounds

EVERY: Final = 3600.0  # seconds between two rounds of the policies that stand
PATIENCE: Final = 20.0  # seconds of a request: 200,000 memories go in that time

_log = log.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went, or would go: how many, and the first of them, the worst first.

    at: when it was judged. left: those that go the next time it is asked for.
    """

    at: datetime
    count: int
    shown: Sequence[Judged]
    left: int


class Forgetting(Rounds):
    """Forgets. forgotten: memories so far. standing: what is done for every user by itself."""

    def __init__(
        self,
        policies: Policies,
        differences: Differences,
        touches: Touches,
        following: Following,
        standing: Sequence[tuple[Policy, Wanted]] = (),
    ) -> None:
        super().__init__(self.keep_up, EVERY, "forget memories")
        self.forgotten = 0
        self._policies = policies
        self._differences = differences
        self._touches = touches
        self._following = following
        self._standing = standing

    def __repr__(self) -> str:
        return f"<Forgetting standing={len(self._standing)} forgotten={self.forgotten}>"

    async def start(self) -> None:
        """Follow the policies that stand from now on."""
        if self._standing:
            await super().start()

    async def forget(
        self,
        user: str,
        policy: Policy,
        wanted: Wanted,
        *,
        dry_run: bool = False,
        patience: float = PATIENCE,
    ) -> Forgotten:
        """Have go what a policy says of what is wanted, for so many seconds. Raises BadFilter."""
        await self._touches.flush()  # what was read a moment ago is not unused
        judgement = await self._policies.judge(user, policy, wanted)
        if dry_run or not judgement.count:
            return Forgotten(judgement.at, judgement.count, judgement.shown, 0)
        known, shown, gone = {one.id for one in judgement.shown}, set[UUID](), 0
        ends = monotonic() + patience
        async with aclosing(self._policies.remove(user, wanted, judgement)) as slices:
            async for names in slices:
                gone += len(names)
                self.forgotten += len(names)
                shown |= known.intersection(names)
                self._following.notify()
                if monotonic() > ends:
                    break
            else:
                judgement = replace(judgement, count=gone)
        told = [one for one in judgement.shown if one.id in shown]
        return Forgotten(judgement.at, gone, told, judgement.count - gone)

    async def keep_up(self) -> None:
        """Follow the policies that stand, for every user."""
        before = self.forgotten
        async for user in self._differences.users():
            for policy, wanted in self._standing:
                await self.forget(user, policy, wanted, patience=math.inf)
        if self.forgotten > before:
            _log.info("memories were forgotten", count=self.forgotten - before)
