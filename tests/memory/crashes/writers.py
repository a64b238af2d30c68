"""Clients that write, change and delete, that try again what was not answered, and that remember.

Each is a user of its own and asks for one thing after the other, so that what it remembers is what
has to be there: nothing is in doubt once it has stopped.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import aiohttp
import orjson

from tests.memory.api.served import Answer, Visitor
from tests.peers.gateways import eventually, settled

PATIENCE: Final = 20.0  # seconds for one answer, over everything that is killed meanwhile
PAUSE: Final = 0.02


class Writer:
    """A user.

    there: contents by id, of what was answered as being there. gone: the ids of what was answered
    as deleted. answers: how many there were.
    """

    def __init__(self, user: str, visitors: Sequence[Visitor]) -> None:
        self.user = user
        self.there: dict[str, str] = {}
        self.gone: set[str] = set()
        self.answers = 0
        self._visitors = visitors
        self._stopping = False

    def stop(self) -> None:
        """Finish what is under way."""
        self._stopping = True

    async def run(self) -> None:
        """Ask for one thing after the other."""
        while not self._stopping:
            acts = (self.remember, self.read, self.change, self.forget)
            act = random.choices(acts, (5, 3, 3, 3))[0]
            await act()
            self.answers += 1

    async def remember(self) -> None:
        """Write a memory, with what makes it the same one when it is sent again."""
        word = _word()
        body = {"user_id": self.user, "content": f"{self.user} says {word}"}
        headers = {}
        match random.randrange(3):
            case 0:
                headers = {"Idempotency_Key": word}
            case 1:
                body["external_id"] = word
        answer = await self._insist("POST", "/memories", body, (200, 201), **headers)
        assert answer.body["id"] not in self.there
        self.there[answer.body["id"]] = body["content"]

    async def read(self) -> None:
        """Read one, of which there is a copy from then on."""
        if self.there:
            await self._insist("GET", self._path(random.choice(list(self.there))), None, (200,))

    async def change(self) -> None:
        """Change one to what it was not before."""
        if self.there:
            name = random.choice(list(self.there))
            content = f"{self.user} now says {_word()}"
            await self._insist("PATCH", self._path(name), {"content": content}, (200,))
            self.there[name] = content

    async def forget(self) -> None:
        """Delete one; it may have been deleted by a request whose answer was lost."""
        if self.there:
            name = random.choice(list(self.there))
            await self._insist("DELETE", self._path(name), None, (204, 404))
            del self.there[name]
            self.gone.add(name)

    async def check(self, visitor: Visitor) -> None:
        """What was answered is there exactly once, and what was deleted nowhere."""
        assert await self._listed(visitor) == self.there
        assert await self._exported(visitor) == self.there
        for name in self.gone:
            assert (await visitor.ask("GET", self._path(name))).status == 404
        for mode in ("lexical", "hybrid", "vector"):
            found = await visitor.search(f"{self.user} says", self.user, mode=mode, limit=100)
            assert not {one["id"] for one in found} & self.gone
        for name, content in self.there.items():
            assert (await visitor.ask("GET", self._path(name))).body["content"] == content
            # Not the best, always: how much a word counts has changed since its vector was made.
            found = await visitor.search(content, self.user, mode="vector", limit=10)
            assert content in {one["content"] for one in found if one["id"] == name}

    async def _insist(
        self, method: str, path: str, body: object, good: Sequence[int], **headers: str
    ) -> Answer:
        """Ask, whichever process it may be, until there is an answer."""
        async with asyncio.timeout(PATIENCE):
            while True:
                visitor = random.choice(self._visitors)
                try:
                    answer = await visitor.ask(method, path, body, **headers)
                except (aiohttp.ClientError, OSError):
                    answer = None
                if answer is not None and answer.status != 503:
                    assert answer.status in good, answer
                    return answer
                await asyncio.sleep(PAUSE)  # as a client does that is told to try again

    def _path(self, name: str) -> str:
        return f"/memories/{name}?user_id={self.user}"

    async def _listed(self, visitor: Visitor) -> Mapping[str, str]:
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            path = f"/memories?user_id={self.user}&limit=50{cursor}"
            page = (await visitor.ask("GET", path)).body
            found += page["memories"]
            if page["next"] is None:
                return _contents(found)
            cursor = f"&cursor={page['next']}"

    async def _exported(self, visitor: Visitor) -> Mapping[str, str]:
        lines = (await visitor.ask("GET", f"/memories/export?user_id={self.user}")).body
        return _contents([orjson.loads(line) for line in lines.splitlines()])


@asynccontextmanager
async def writing(writers: Sequence[Writer]) -> AsyncIterator[None]:
    """Have them write while the block lasts."""
    async with asyncio.TaskGroup() as group:
        for one in writers:
            group.create_task(one.run())
        yield
        for one in writers:
            one.stop()


async def answered(writers: Sequence[Writer], more: int) -> None:
    """Until they have had so many answers more."""

    def count() -> int:
        return sum(one.answers for one in writers)

    enough = count() + more
    await eventually(lambda: count() >= enough, patience=20, interval=0.0005)


async def becomes_consistent(visitor: Visitor) -> None:
    """Until the index has all rows and nothing else, without anybody's doing."""

    async def clean() -> bool:
        report = (await visitor.ask("GET", "/consistency")).body
        return report["held"] == report["rows"] and not report["shown"]

    await settled(clean, patience=20)


def _contents(memories: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    found = {one["id"]: one["content"] for one in memories}
    assert len(found) == len(memories)
    return found


def _word() -> str:
    return f"w{uuid4().hex[:12]}"
