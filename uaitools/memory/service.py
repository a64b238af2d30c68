"""The memory service: its parts, put together, begun and ended in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

from uaitools import log
from uaitools.cache.service import CacheService
from uaitools.config import ConfigError
from uaitools.errors import ServiceError
from uaitools.memory.analysing import Analysing
from uaitools.memory.config import MemoryConfig
from uaitools.memory.consistency import Consistency, Report
from uaitools.memory.contexts import Assembled, Contexts
from uaitools.memory.copies import LOCAL, SHARED, Copies
from uaitools.memory.deleting import Deleting
from uaitools.memory.embed.catalogue import embedder
from uaitools.memory.embed.port import Embedder
from uaitools.memory.errors import SERVICE
from uaitools.memory.following import Following
from uaitools.memory.forgetting import Forgetting
from uaitools.memory.index.catalogue import index_for, provide
from uaitools.memory.index.port import VectorIndex
from uaitools.memory.index_watch import IndexWatch
from uaitools.memory.model import Draft, Memory
from uaitools.memory.others import Others
from uaitools.memory.paying import Paying
from uaitools.memory.rendering import Rendered, rendered
from uaitools.memory.searching import Found, Searching, SearchRequest
from uaitools.memory.shares import Shares
from uaitools.memory.store.analyses import Analyses
from uaitools.memory.store.creating import Created, Creating
from uaitools.memory.store.debts import Debts
from uaitools.memory.store.deletions import Deletions
from uaitools.memory.store.differences import Differences
from uaitools.memory.store.embeddings import Embeddings
from uaitools.memory.store.indexing import IndexedBy, Indexing
from uaitools.memory.store.lexical import Lexical
from uaitools.memory.store.memories import Memories
from uaitools.memory.store.outbox import Outbox
from uaitools.memory.store.policies import Policies
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.sessions import Removed, Sessions
from uaitools.memory.store.statistics import Statistics, Words
from uaitools.memory.store.transfer import Taken, Transfer
from uaitools.memory.touches import Touches
from uaitools.memory.upkeep import Upkeep
from uaitools.postgres.access import Access
from uaitools.postgres.database import Database, open_database
from uaitools.postgres.notices import Notices
from uaitools.postgres.pool import Pool
from uaitools.postgres.probe import Probe
from uaitools.postgres.which import which
from uaitools.tasks import spawn

MIGRATIONS = "uaitools.memory.store.migrations"

_PAUSE = 5.0  # seconds between attempts to fill an index

_log = log.get_logger(__name__)


class MemoryService:
    """Everything but HTTP: what callers do with memories, and what goes on beside that.

    Whose memories is said with each call, and nobody asks whether the caller may: that is `api`'s
    and `mcp`'s. A start that fails ends what had begun.

    database: an open one, with its tables; without it one is opened, by `url` or below `data_dir`.
    redis_url: where copies are that all processes share; without it they are in this one. guest:
    it may not start where a service has vectors of another kind or model.
    """

    pool: Pool
    shares: Mapping[str, Shares]
    statistics: Statistics
    cache: CacheService
    copies: Copies
    memories: Memories
    creating: Creating
    searching: Searching
    sessions: Sessions
    contexts: Contexts
    outbox: Outbox
    following: Following
    consistency: Consistency
    transfer: Transfer
    deletions: Deletions
    deleting: Deleting
    paying: Paying
    touches: Touches
    forgetting: Forgetting
    analysing: Analysing
    upkeep: Upkeep
    embedder: Embedder
    embeddings: Embeddings
    index: VectorIndex
    index_watch: IndexWatch
    indexing: Indexing
    notices: Notices
    probe: Probe

    def __init__(
        self,
        config: MemoryConfig,
        data_dir: Path,
        url: str | None = None,
        *,
        database: Database | None = None,
        redis_url: str | None = None,
        guest: bool = False,
    ) -> None:
        self._guest = guest
        self._config = config
        self._data_dir = data_dir
        self._url = url
        self._database = database
        self._redis_url = redis_url
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<MemoryService {self._database!r}>"

    async def start(self) -> None:
        """Open the database and bring its tables up to date, then begin.

        Raises SetupError, DatabaseAway, ConfigError and IndexUnavailable.
        """
        async with AsyncExitStack() as stack:
            database = self._database
            if database is None:
                database = await open_database(self._url, self._data_dir, SERVICE)
                stack.push_async_callback(database.close)
                await database.migrate(MIGRATIONS)
            await provide(self._config.index, database)
            self.pool = Pool(database.service, self._config.pool.settings, name=SERVICE)
            await self.pool.start()
            stack.push_async_callback(self.pool.stop)
            self._give_shares()
            copies, shares = await self._begin_cache(stack), self.shares["connections"]
            scopes = Scopes(self.pool, copies, shares=shares, limit=self._config.pool.limit)
            await self._begin_search(stack, scopes)
            await self._begin_work(stack, scopes, database.service)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Release everything."""
        await self._stack.aclose()

    async def create(self, draft: Draft, key: str | None = None) -> Created:
        """See Creating.create."""
        created = await self.creating.create(draft, key)
        self.following.notify()
        return created

    async def get(self, user: str, name: UUID, *, touch: bool = True) -> Rendered:
        """A memory as it is shown, from a copy where there is one. Raises Unknown."""

        async def read() -> Rendered:
            return rendered(await self.memories.get(user, name))

        found = await self.copies.get(user, name, read)
        if touch:
            self.touches.add(user, (name,))
        return found

    async def change(
        self, user: str, name: UUID, changes: Mapping[str, Any], expected: int | None = None
    ) -> Memory:
        """See Memories.change."""
        memory = await self.memories.change(user, name, changes, expected)
        self.following.notify()
        return memory

    async def delete(self, user: str, name: UUID) -> None:
        """Remove a memory for good. Raises Unknown."""
        await self.memories.delete(user, name)
        self.following.notify()

    async def search(self, user: str, asked: SearchRequest, *, touch: bool = True) -> Found:
        """See Searching.search. touch: what is found counts as read, here and in `context`."""
        found = await self.searching.search(user, asked)
        if touch:
            self.touches.add(user, (memory.id for memory, _ in found.results))
        return found

    async def context(
        self, user: str, session: str, budget: int, query: str | None = None, *, touch: bool = True
    ) -> Assembled:
        """See Contexts.context."""
        made = await self.contexts.context(user, session, budget, query)
        if touch:
            self.touches.add(user, made.memories.values())
        return made

    async def end_session(self, user: str, session: str, *, memories: bool = False) -> Removed:
        """See Sessions.delete."""
        removed = await self.sessions.delete(user, session, memories=memories)
        self.following.notify()
        return removed

    async def take(self, user: str | None, memories: Sequence[Memory], taken: Taken) -> None:
        """See Transfer.take."""
        await self.transfer.take(user, memories, taken)
        self.following.notify()

    async def repair(self) -> Report:
        """See Consistency.check; what is wrong is made right, soon."""
        report = await self.consistency.check(repair=True)
        self.following.notify()
        return report

    def _give_shares(self) -> None:
        """How much of what there is one user has at once, so that others have the rest."""
        pool = self._config.pool
        self.shares = {
            "connections": Shares(pool.share, wait=pool.wait),
            "searches": Shares(pool.share, wait=pool.wait),  # also of the loop
            "contexts": Shares(1, wait=pool.wait),  # of the threads that make them
        }

    async def _begin_search(self, stack: AsyncExitStack, scopes: Scopes) -> None:
        """What requests read and write."""
        statistics = self.statistics = Statistics(scopes)
        self.memories, self.creating = Memories(scopes), Creating(scopes)
        self.sessions, self.transfer = Sessions(scopes), Transfer(scopes)
        self.deletions, self.outbox = Deletions(scopes), Outbox(scopes)
        self.embedder = embedder(self._config.embed, Words(statistics))
        await self.embedder.start()
        stack.push_async_callback(self.embedder.stop)
        model = self.embedder.model
        self.embeddings = Embeddings(scopes, str(model))
        self.index = index_for(
            self._config.index, str(model), model.dimension, source=self.embeddings, scopes=scopes
        )
        await self.index.start()
        stack.push_async_callback(self.index.stop)
        lexical = Lexical(scopes, statistics)
        self._own = IndexedBy(self._config.index.chosen, str(model))
        self.indexing = Indexing(scopes)
        self.index_watch = IndexWatch(self.index, self.outbox, self.indexing, self._own)
        self.searching = Searching(
            self.memories,
            lexical,
            self.embedder,
            self.index,
            self.index_watch,
            shares=self.shares["searches"],
        )
        self.contexts = Contexts(
            self.sessions, self.searching, self._config.context, self.shares["contexts"]
        )

    async def _begin_work(self, stack: AsyncExitStack, scopes: Scopes, access: Access) -> None:
        """What goes on beside requests."""
        config, index, differences = self._config, self.index, Differences(scopes)
        self.notices = Notices(access, self.pool, name=SERVICE)
        self.probe = Probe(access, self.pool, name=SERVICE)
        others = Others(self.notices, index)
        debts = Debts(scopes)
        self.paying = Paying(debts, self.copies, self.notices)
        self.touches = Touches(scopes)
        self.following = Following(
            self.outbox, self.embeddings, self.embedder, index, others, watch=self.index_watch
        )
        self.consistency = Consistency(differences, self.outbox, index)
        self.deleting = Deleting(
            self.deletions,
            index,
            self.copies,
            others,
            following=self.following,
            patience=config.deletion_wait,
        )
        standing = [(one.policy, one.wanted) for one in config.forget]
        policies = Policies(scopes)
        self.forgetting = Forgetting(policies, differences, self.touches, self.following, standing)
        self.analysing = Analysing(Analyses(scopes))
        self.upkeep = Upkeep(
            self.memories,
            self.creating,
            self.sessions,
            self.statistics,
            debts,
            keep_days=config.context.keep_days,
        )
        await self._record_index(stack)
        paying = () if self._redis_url is None else (self.paying,)
        if paying:  # before anybody reads a copy
            await self.paying.pay()
        for part in (
            *(self.probe, self.notices, *paying),
            *(self.upkeep, self.analysing, self.touches, self.index_watch),
            *(self.following, self.deleting, self.forgetting),
        ):
            await part.start()
            stack.push_async_callback(part.stop)

    async def _record_index(self, stack: AsyncExitStack) -> None:
        """Say what the index is; one that another kind stood in for has to be filled first."""
        before = await self.indexing.current()
        if self._guest and before not in (None, self._own):
            problem = (
                f"memory: the vectors of this database are {before}, and the configuration says"
                f" {self._own}; give this program the configuration of the service"
            )
            raise ConfigError([problem])
        if before is None or before.kind == self._own.kind:
            await self.indexing.record(self._own)
            return
        _log.warning("the index is another one, and filled now", before=before.kind)
        if before.kind == "weaviate":
            _log.warning("Weaviate keeps the vectors that it has; delete its collection")
        self.index_watch.filling = True
        filling = spawn(self._fill(), name="fill the index")
        stack.callback(filling.cancel)

    async def _fill(self) -> None:
        while True:
            try:
                await self.repair()
                await self.indexing.record(self._own)
                self.index_watch.filling = False
            except ServiceError as error:
                _log.warning("the index cannot be filled yet", reason=str(error))
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _begin_cache(self, stack: AsyncExitStack) -> Copies:
        self.cache = self._config.cache.cache(SERVICE, self._redis_url)
        stack.push_async_callback(self.cache.stop)
        await self.cache.exists("")  # so that it is known whether it is there
        if self._redis_url is None:
            self.copies = Copies(self.cache, LOCAL)
        else:  # those of a copied database have the same ids
            self.copies = Copies(self.cache, SHARED, await which(self.pool))
        return self.copies
