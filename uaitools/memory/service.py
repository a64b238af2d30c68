"""The memory service: its parts, put together, begun and ended in their order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from uaitools.cache.service import CacheService
from uaitools.memory.analysing import Analysing
from uaitools.memory.config import MemoryConfig
from uaitools.memory.consistency import Consistency
from uaitools.memory.contexts import Contexts
from uaitools.memory.copies import LOCAL, SHARED, Copies
from uaitools.memory.deleting import Deleting
from uaitools.memory.embed.catalogue import embedder
from uaitools.memory.embed.port import Embedder
from uaitools.memory.errors import SERVICE
from uaitools.memory.following import Following
from uaitools.memory.forgetting import Forgetting
from uaitools.memory.index.catalogue import index_for, provide
from uaitools.memory.index.port import VectorIndex
from uaitools.memory.model import Draft
from uaitools.memory.others import Others
from uaitools.memory.searching import Searching
from uaitools.memory.store.analyses import Analyses
from uaitools.memory.store.creating import Created, Creating
from uaitools.memory.store.deletions import Deletions
from uaitools.memory.store.differences import Differences
from uaitools.memory.store.embeddings import Embeddings
from uaitools.memory.store.lexical import Lexical
from uaitools.memory.store.memories import Memories
from uaitools.memory.store.outbox import Outbox
from uaitools.memory.store.policies import Policies
from uaitools.memory.store.scope import Scopes, which
from uaitools.memory.store.sessions import Sessions
from uaitools.memory.store.statistics import Statistics, Words
from uaitools.memory.store.transfer import Transfer
from uaitools.memory.touches import Touches
from uaitools.memory.upkeep import Upkeep
from uaitools.postgres.access import Access
from uaitools.postgres.database import Database, open_database
from uaitools.postgres.notices import Notices
from uaitools.postgres.pool import Pool

MIGRATIONS = "uaitools.memory.store.migrations"


class MemoryService:
    """Everything but HTTP. A start that fails ends what had begun.

    database: an open one, with its tables; without it one is opened, by `url` or below `data_dir`.
    redis_url: where copies are that all processes share; without it they are in this one.
    """

    pool: Pool
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
    touches: Touches
    forgetting: Forgetting
    analysing: Analysing
    upkeep: Upkeep
    embedder: Embedder
    index: VectorIndex
    notices: Notices

    def __init__(
        self,
        config: MemoryConfig,
        data_dir: Path,
        url: str | None = None,
        *,
        database: Database | None = None,
        redis_url: str | None = None,
    ) -> None:
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
            await self._assemble(stack, database.service)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Release everything."""
        await self._stack.aclose()

    async def create(self, draft: Draft, key: str | None = None) -> Created:
        """See Creating.create; the index hears of it."""
        created = await self.creating.create(draft, key)
        self.following.notify()
        return created

    async def _assemble(self, stack: AsyncExitStack, access: Access) -> None:
        scopes = Scopes(self.pool, await self._begin_cache(stack))
        statistics = self.statistics = Statistics(scopes)
        self.memories, self.creating = Memories(scopes), Creating(scopes)
        self.outbox = Outbox(scopes)
        self.embedder = embedder(self._config.embed, Words(statistics))
        await self.embedder.start()
        stack.push_async_callback(self.embedder.stop)
        model = self.embedder.model
        embeddings = Embeddings(scopes, str(model))
        self.index = index_for(
            self._config.index, str(model), model.dimension, source=embeddings, scopes=scopes
        )
        await self.index.start()
        stack.push_async_callback(self.index.stop)
        self.searching = Searching(
            self.memories, Lexical(scopes, statistics), self.embedder, self.index
        )
        self.sessions = Sessions(scopes)
        self.contexts = Contexts(self.sessions, self.searching, self._config.context)
        self.notices = Notices(access, self.pool, name=SERVICE)
        others = Others(self.notices, self.index)
        self.following = Following(self.outbox, embeddings, self.embedder, self.index, others)
        differences = Differences(scopes)
        self.consistency = Consistency(differences, self.outbox, self.index)
        self.transfer = Transfer(scopes)
        self.deletions = Deletions(scopes)
        wait = self._config.deletion_wait
        self.deleting = Deleting(self.deletions, self.index, self.copies, others, wait)
        self.touches = Touches(scopes)
        self.forgetting = Forgetting(
            Policies(scopes),
            differences,
            self.touches,
            self.following,
            [(one.policy, one.wanted) for one in self._config.forget],
        )
        self.analysing = Analysing(Analyses(scopes))
        self.upkeep = Upkeep(
            self.memories,
            self.creating,
            self.sessions,
            statistics,
            keep_days=self._config.context.keep_days,
        )
        for part in (
            *(self.notices, self.upkeep, self.analysing, self.touches),
            *(self.following, self.deleting, self.forgetting),
        ):
            await part.start()
            stack.push_async_callback(part.stop)

    async def _begin_cache(self, stack: AsyncExitStack) -> Copies:
        self.cache = self._config.cache.cache(SERVICE, self._redis_url)
        stack.push_async_callback(self.cache.stop)
        if self._redis_url is None:
            self.copies = Copies(self.cache, LOCAL)
        else:  # those of a copied database have the same ids
            self.copies = Copies(self.cache, SHARED, await which(self.pool))
        return self.copies
