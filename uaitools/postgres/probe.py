"""Whether a database answers and takes writes, asked now and then on a connection of its own.

A server that stands still, or a network that drops everything, ends no connection: only who asks,
and stops waiting, finds out. A pool's connections tell nothing of it, since whoever has them all
may have good reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import asyncpg

from uaitools.fair_timeout import fair_timeout
from uaitools.log import get_logger
from uaitools.metrics import Family, Sample
from uaitools.postgres.access import Access
from uaitools.postgres.pool import Pool
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_EVERY: Final = 1.0  # seconds between two questions
_PATIENCE: Final = 2.0  # seconds for the answer
_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    ValueError,
    TimeoutError,
)
_UP: Final = Family("postgres_up", "gauge", "Whether the database answered last.", "min")
_log = get_logger(__name__)


class Probe:
    """Asks until it is stopped. failing: why the last question had no good answer, '' if it had.

    pool: with which the service does its work: while it has connections, a server that has no room
    for this one is well.
    """

    def __init__(
        self,
        access: Access,
        pool: Pool | None = None,
        *,
        name: str,
        every: float = _EVERY,
        patience: float = _PATIENCE,
    ) -> None:
        self.failing = ""
        self._access = access.told({"application_name": f"uaitools {name} probe"})
        self._pool = pool
        self._name = name
        self._every = every
        self._patience = patience
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Probe {self._name} failing={self.failing!r}>"

    async def start(self) -> None:
        """Ask from now on."""
        self._task = spawn(self._run(), name=f"{self._name} probe")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def samples(self) -> Iterator[Sample]:
        """Whether it answered."""
        yield Sample(_UP, (("pool", self._name),), float(not self.failing))

    async def _run(self) -> None:
        try:
            while True:
                await self._look()
                await asyncio.sleep(self._every)
        finally:
            self._drop()

    async def _look(self) -> None:
        try:
            async with fair_timeout(self._patience):
                if self._connection is None:
                    self._connection = await self._access.connect()
                # Also on for a standby, and failing over may make one of what was none.
                if await self._connection.fetchval("SHOW transaction_read_only") == "on":
                    raise asyncpg.ReadOnlySQLTransactionError("it takes no writes")
        except _FAILURES as error:
            self._drop()
            full = isinstance(error, asyncpg.TooManyConnectionsError)
            if full and self._pool is not None and self._pool.open:
                self.failing = ""
                return
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
            if not self.failing:
                _log.error("the database does not answer", name=self._name, reason=reason)
            self.failing = reason
        else:
            if self.failing:
                _log.info("the database answers again", name=self._name)
            self.failing = ""

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
