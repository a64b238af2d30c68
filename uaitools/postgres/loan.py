"""A connection of a pool, with what the pool knows of it."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from uaitools.fair_timeout import FairTimer
from uaitools.postgres.errors import TooSlow

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

# What a query fails with when its connection does, or ends with the next moment.
LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # asyncpg's for a query behind the server's farewell
)
_GRACE: Final = 2.0  # seconds for the server to end a query that was cancelled
# What it fails with when the server is there and cannot do it: a standby, or one that was told to
# take no writes, and one without room. Another connection may lead to one that can.
UNABLE: Final = (asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientResourcesError)
# These may be of something else, unless the connection has ended.
_PERHAPS: Final = (asyncpg.InterfaceError, OSError)


class Loan:
    """One connection. ends: when it is to be replaced; used: when it came back; both monotonic."""

    __slots__ = ("_poll", "connection", "ends", "used")

    def __init__(self, connection: Connection, ends: float) -> None:
        self.connection = connection
        self.ends = ends
        self.used = 0.0
        # Private, for want of another way: asyncpg hears of an end only when the loop turns, and
        # whoever is given a connection in between has a query fail.
        transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Loan {state} ends={self.ends:.1f} used={self.used:.1f}>"

    @property
    def closed(self) -> bool:
        """Whether it is known to have ended."""
        return self.connection.is_closed()

    @property
    def silent(self) -> bool:
        """Whether the server has said nothing since. An idle one speaks to say that it ends."""
        return not self._poll.poll(0)

    @property
    def settled(self) -> bool:
        """Whether it was left as it was found: outside of a transaction, and no query running."""
        # Of a transaction whose BEGIN was cancelled asyncpg still thinks that it is in it, whatever
        # the server says, and would begin the next one as a part of it.
        began = self.connection._top_xact is not None  # type: ignore[attr-defined]  # noqa: SLF001
        if began or self.connection.is_in_transaction():
            return False
        # A query that was cancelled ends later; asyncpg's own pool asks the same.
        protocol = self.connection._protocol  # type: ignore[attr-defined]  # noqa: SLF001
        return not protocol._is_cancelling()  # noqa: SLF001

    def lost(self, error: BaseException) -> bool:
        """Whether this is the error of a connection that has ended."""
        return isinstance(error, LOST) or (self.closed and isinstance(error, _PERHAPS))

    @asynccontextmanager
    async def limited(self, seconds: float, service: str) -> AsyncIterator[None]:
        """Break off what the block does after so many seconds. Raises TooSlow then.

        The query is cancelled, as for a caller who goes away, and the transaction rolled back. A
        server that does not even answer that has the connection ended.
        """
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        timer: FairTimer

        def end() -> None:
            nonlocal timer
            limit.reschedule(loop.time())
            timer = FairTimer(_GRACE, self.connection.terminate)

        timer = FairTimer(seconds, end)
        try:
            async with limit:
                yield
        except Exception as error:
            if limit.expired() and (isinstance(error, TimeoutError) or self.lost(error)):
                raise TooSlow(service, seconds) from error
            raise
        finally:
            timer.cancel()

    async def tidy(self) -> None:
        """Wait for the end of what was cancelled, and leave its transaction."""
        self.connection._top_xact = None  # type: ignore[attr-defined]  # noqa: SLF001
        await self.connection.execute("SELECT 1")  # after which it is known whether there is one
        if self.connection.is_in_transaction():
            await self.connection.execute("ROLLBACK")
