"""The insight service: its parts, put together, begun and ended in their order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from uaitools.cache.service import CacheService
from uaitools.errors import ServiceError
from uaitools.insight.config import InsightConfig
from uaitools.insight.copies import Copies
from uaitools.insight.errors import SERVICE
from uaitools.insight.following import Following
from uaitools.insight.python_api import PythonApi
from uaitools.insight.recent import Recent
from uaitools.insight.store.boards import Boards
from uaitools.insight.store.events import Events, Recorded, Report
from uaitools.insight.store.generations import Generations
from uaitools.insight.store.opening import Store, open_store, pool_of
from uaitools.insight.store.repositories import Repositories
from uaitools.insight.store.search import Search
from uaitools.log import get_logger
from uaitools.postgres.database import Database
from uaitools.postgres.notices import Notices
from uaitools.postgres.pool import Pool
from uaitools.postgres.probe import Probe
from uaitools.postgres.which import which

_log = get_logger(__name__)


class InsightService:
    """Everything but HTTP: what is read, what is kept of it, and what goes on beside that.

    Nobody asks whether a caller may: that is `api`'s. A start that fails ends what had begun.

    database: an open one, with its tables; without it one is opened, by `url` or below `data_dir`.
    redis_url: where copies are that all processes share; without it they are in this one.
    """

    pool: Pool
    repositories: Repositories
    search: Search
    boards: Boards
    events: Events
    cache: CacheService
    copies: Copies
    following: Following
    notices: Notices
    probe: Probe
    python_api: PythonApi

    def __init__(
        self,
        config: InsightConfig,
        data_dir: Path,
        url: str | None = None,
        *,
        database: Database | None = None,
        redis_url: str | None = None,
    ) -> None:
        self.config = config
        self.redis_url = redis_url
        self._data_dir = data_dir
        self._url = url
        self._database = database
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<InsightService {self._database!r}>"

    async def start(self) -> None:
        """Open the database and bring its tables up to date, then begin.

        Raises SetupError and DatabaseAway.
        """
        async with AsyncExitStack() as stack:
            store = await self._open(stack)
            pool = self.pool = store.pool
            self.repositories, self.search = Repositories(pool), Search(pool)
            self.boards, self.events = Boards(pool), Events(pool)
            self.cache = self.config.cache.cache(SERVICE, self.redis_url)
            stack.push_async_callback(self.cache.stop)
            await self.cache.exists("")  # so that it is known whether it is there
            place = "" if self.redis_url is None else await which(pool)
            self.copies = Copies(self.cache, place, Recent(self.config.recent))
            access = store.database.service
            self.notices = Notices(access, pool, name=SERVICE)
            self.probe = Probe(access, name=SERVICE)
            self.following = Following(Generations(pool), self.events, self.notices, [self.copies])
            self.python_api = PythonApi(self.config.python_api)
            for part in (self.probe, self.following, self.notices, self.python_api):
                await part.start()
                stack.push_async_callback(part.stop)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Release everything."""
        await self._stack.aclose()

    async def report(self, report: Report) -> Recorded:
        """Write a report, and have everybody know of it who is asked from now on, here at least.

        Raises UnknownRepository.
        """
        recorded = await self.events.record(report)
        if recorded.new:
            try:
                await self.following.look()
            except ServiceError as error:  # it is written, and will be followed
                _log.warning("a report is followed later", reason=str(error))
        return recorded

    async def _open(self, stack: AsyncExitStack) -> Store:
        """The database, its tables up to date, and connections to it."""
        settings = self.config.pool.settings
        if self._database is None:
            return await stack.enter_async_context(open_store(self._url, self._data_dir, settings))
        store = Store(self._database, pool_of(self._database.service, settings))
        await store.pool.start()
        stack.push_async_callback(store.pool.stop)
        return store
