"""Who is in a channel on all nodes: tells Redis who is here, and forgets nodes that have died.

What a node says, it says under a session, which lives while it is renewed. Whoever sees that the
time of one is over takes what it has said back. A node whose own time was over, because it stood
still or Redis has lost it, says everything again under another name.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from uaitools.hub.broker.health import Health
from uaitools.hub.broker.port import Attendance
from uaitools.hub.broker.retries import Retries
from uaitools.hub.broker.roster import Part, Roster
from uaitools.hub.broker.script import ATTEND, FORGET, LEAVE, LIST, NODES, REAP, RENEW, key_of
from uaitools.hub.broker.wire import user_text
from uaitools.log import get_logger
from uaitools.redis_link import TIMEOUT, Answer, Argument, Away, Link
from uaitools.tasks import spawn

EVERY: Final = 1.0  # seconds in which what has changed is collected
RENEWED: Final = 5.0  # seconds between two signs of life
TTL: Final = 15.0  # seconds for which each counts
STEPS: Final = 20  # of forgetting others, between two looks at what is ours
PAGE: Final = 5000  # users
_WAY: Final = "presence"
_log = get_logger(__name__)


class SharedPresence:
    """The users at one node, `node`, and those of all. ttl: of its session, seconds."""

    __slots__ = (
        "_count",
        "_dead",
        "_health",
        "_known",
        "_link",
        "_node",
        "_nodes",
        "_prefix",
        "_renewed",
        "_retries",
        "_roster",
        "_task",
        "ttl",
    )

    def __init__(self, link: Link, node: str, health: Health, prefix: str) -> None:
        self.ttl = TTL
        self._link = link
        self._node = node
        self._health = health
        self._prefix = prefix
        self._nodes = prefix + NODES
        self._roster = Roster()
        self._count = 0  # sessions of this node
        self._known = False  # this one, to Redis
        self._renewed = float("-inf")
        self._dead: list[bytes] = []
        self._retries = Retries()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<SharedPresence {self.session} {self._roster!r}>"

    @property
    def session(self) -> str:
        """The name under which who is here was told."""
        return f"{self._node}.{self._count}"

    def start(self) -> None:
        """Begin to tell."""
        self._task = spawn(self._run(), name="hub presence")

    async def stop(self) -> None:
        """Tell what is to be told still, and that nobody is here any more."""
        await self.pause()
        if self._known and not self._health.failing:
            with suppress(Away, TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    while self._roster:
                        await self._tell()
                    await self._link.call(LEAVE, self._nodes, self.session)

    async def pause(self) -> None:
        """Tell nothing, not even that this node is alive."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def attend(self, channel: str, user: str, connections: int) -> None:
        """See Broker.attend."""
        self._roster.attend(channel, user, connections)

    async def attendance(self, channel: str, after: str | None, limit: int) -> Attendance:
        """See Broker.attendance. Raises Away."""
        begin = ("begin", "") if after is None else ("after", user_text(after))
        answer = await self._link.call(
            LIST, key_of(channel, self._prefix), *begin, min(limit, PAGE)
        )
        users, connections, page, numbers = answer
        pairs = zip(page, numbers, strict=True)
        return Attendance(
            users, connections, {user.decode(): int(number or 0) for user, number in pairs}
        )

    # -- telling ----------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            pause = EVERY
            try:
                if self._roster or loop.time() - self._renewed >= RENEWED:
                    await self._tell()
                    while self._roster:
                        await self._tell()
                if self._dead:
                    await self._forget()
                self._health.met(_WAY)
                self._retries.succeeded()
            except Away as error:
                self._health.missed(_WAY, error)
                pause = self._retries.failed()
            except Exception:
                _log.exception("telling of presence failed")
            await asyncio.sleep(pause)

    async def _tell(self) -> None:
        part = self._roster.take()
        try:
            renewal, *answers = await self._link.each(self._calls(part))
        except BaseException:
            self._roster.untold(part)
            raise
        failed = next((one for one in (renewal, *answers) if isinstance(one, Away)), None)
        if failed is not None or isinstance(renewal, Away):
            self._roster.untold(part)
            raise failed or Away("redis answers with an error")
        self._roster.told(part)
        there, dead = renewal
        self._renewed = asyncio.get_running_loop().time()
        self._dead = [one for one in dead if one != self.session.encode()]
        self._known = True
        if not there:
            _log.warning("all presence is told again", session=self.session)
            self._count += 1
            self._known = False
            self._roster.renew()
            self._renewed = float("-inf")

    def _calls(self, part: Part) -> list[tuple[str, list[Argument]]]:
        state = "" if self._known else "new"
        renewal: list[Argument] = [
            self._nodes, self.session, int(self.ttl * 1000), state, len(part.entered),
            *part.entered, *part.emptied,
        ]  # fmt: skip
        calls = [(RENEW, renewal)]
        for channel, users in part.users.items():
            words: list[Argument] = [key_of(channel, self._prefix), self.session]
            for user, connections in users.items():
                words += (user_text(user), connections)
            calls.append((ATTEND, words))
        return calls

    # -- forgetting -------------------------------------------------------------------------

    async def _forget(self) -> None:
        """Take back a part of what dead sessions have said."""
        dead, self._dead = self._dead, []
        for session in dead:
            done: list[Argument] = []
            for _ in range(STEPS):
                channels: Answer = await self._link.call(REAP, self._nodes, session, *done)
                if not channels:
                    break
                answers = await self._link.calls(
                    FORGET, [(key_of(one.decode(), self._prefix), session) for one in channels]
                )
                done = [one for one, [gone] in zip(channels, answers, strict=True) if gone]
            else:
                self._dead.append(session)  # there is more
