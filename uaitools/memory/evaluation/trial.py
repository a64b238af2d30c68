"""A labelled set is put to the question: in a service of its own, which is gone afterwards.

It has the embedder and the index that are configured, and a PostgreSQL of its own in a temporary
directory: whatever is tried, nothing that is kept is touched, no vectors are made anew, and no
words of other memories count.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID, uuid4

from uaitools.errors import ServiceError
from uaitools.memory.config import MemoryConfig
from uaitools.memory.errors import SERVICE
from uaitools.memory.evaluation.labelled import Labelled, LabelledMemory
from uaitools.memory.evaluation.scoring import MODES, Answered
from uaitools.memory.model import Memory, twin_of
from uaitools.memory.searching import SearchRequest
from uaitools.memory.service import MemoryService
from uaitools.memory.store.transfer import PAGE, Taken
from uaitools.tasks import to_its_end

_COLLECTION: Final = "UaitoolsEvaluation"  # in Weaviate; that of the service is left alone
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)  # of what has no time of its own


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found, and by which embedder and index."""

    embedder: str
    index: str
    answered: Sequence[Answered]


async def trial(config: MemoryConfig, labelled: Labelled, k: int) -> Trial:
    """Ask every question in every mode, for `k` memories each.

    Raises what MemoryService.start does, and ServiceError where embedder or index fail.
    """
    async with _service(config) as service:
        asking = _Asking(service, labelled, k)
        try:
            await asking.load()
            answered = await asking.answers()
        finally:
            await asking.clear()
        return Trial(str(service.embedder.model), config.index.chosen, answered)


@asynccontextmanager
async def _service(config: MemoryConfig) -> AsyncIterator[MemoryService]:
    index = config.index.model_copy(update={"weaviate_collection": _COLLECTION})
    config = config.model_copy(update={"index": index, "forget": ()})
    async with _directory() as directory:
        service = MemoryService(config, directory)
        await service.start()
        try:
            # By hand: what is embedded before all the words were counted would differ each time.
            await service.following.stop()
            service.statistics.chance = lambda: 0.0  # the same each time
            yield service
        finally:
            await service.stop()


@asynccontextmanager
async def _directory() -> AsyncIterator[Path]:
    made = _made()
    try:
        yield Path(made.name)
    finally:
        # In a thread, where a second Ctrl-C does not end it: it may take seconds.
        await to_its_end(asyncio.get_running_loop().run_in_executor(None, made.cleanup))


def _made() -> TemporaryDirectory[str]:
    made = TemporaryDirectory(prefix="uaitools-eval-")
    Path(made.name).chmod(0o755)  # the server's user has to pass where root runs this
    return made


class _Asking:
    """One set in a service. Users have names of their own there, and equal memories one id."""

    def __init__(self, service: MemoryService, labelled: Labelled, k: int) -> None:
        self._service = service
        self._labelled = labelled
        self._k = k
        prefix = uuid4().hex
        self._users = {one.user_id: f"{prefix} {one.user_id}" for one in labelled.memories}
        firsts: dict[tuple[str, bytes], LabelledMemory] = {}
        self._same: Mapping[str, str] = {
            one.id: firsts.setdefault((one.user_id, twin_of(None, one.content)), one).id
            for one in labelled.memories
        }
        # The same in each trial: of equally good memories the newest is first, then by id.
        self._names = {UUID(int=number): one for number, one in enumerate(firsts.values(), 1)}

    async def load(self) -> None:
        """Have the set, and an index that has followed. Raises ServiceError."""
        service, taken = self._service, Taken()
        memories = [self._memory(name, one) for name, one in self._names.items()]
        for start in range(0, len(memories), PAGE):
            await service.transfer.take(None, memories[start : start + PAGE], taken)
        await service.statistics.refresh()
        while await service.following.follow():
            if service.following.failing:
                message = "the memories cannot be embedded and indexed; the log says why"
                raise ServiceError(503, message, SERVICE)

    async def answers(self) -> list[Answered]:
        """What each mode finds for each question. Raises ServiceError."""
        answered = []
        for question in self._labelled.questions:
            user = self._users[question.user_id]
            found = {}
            for mode in MODES:
                asked = SearchRequest(question.query, limit=self._k, mode=mode)
                said = await self._service.searching.search(user, asked)
                if said.degraded:
                    message = "embedder or index do not answer; the log says why"
                    raise ServiceError(503, message, SERVICE)
                found[mode] = [self._names[memory.id].id for memory, _ in said.results]
            relevant = frozenset(self._same[one] for one in question.relevant)
            answered.append(Answered(question, relevant, found))
        return answered

    async def clear(self) -> None:
        """Take the set out of an index that stays."""
        for user in self._users.values():
            await self._service.index.delete_scope(user)

    def _memory(self, name: UUID, one: LabelledMemory) -> Memory:
        created = one.created_at or _LONG_AGO
        return Memory(
            self._users[one.user_id],
            one.content,
            one.type,
            session_id=one.session_id,
            id=name,
            created_at=created,
            updated_at=created,
            access_count=0,
            accessed_at=None,
            superseded=False,
            version=1,
        )
