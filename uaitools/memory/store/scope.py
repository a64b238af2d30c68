"""Whose rows a statement reaches: said before it, and kept by row-level security.

Every statement names the user it is for as well; the database makes sure that one which forgets to
reaches nothing of anybody else's. What changes or removes memories names them as well: copies of
them are forgotten when it is done, see uaitools.memory.copies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from uaitools.memory.errors import BadRequest, Crowded
from uaitools.memory.shares import Shares
from uaitools.postgres.pool import Pool

if TYPE_CHECKING:
    from uuid import UUID

    from uaitools.memory.copies import Copies
    from uaitools.postgres.access import Connection

SHARE: Final = 5
"""Connections of one user, of the 25 that a pool has unless it is told otherwise."""
LIMIT: Final = 10.0  # seconds
_SCOPE: Final = (
    "SELECT set_config('uaitools.user_id', $1, false), set_config('uaitools.everyone', $2, false)"
)


class Scopes:
    """The only way of the memory service to its database. copies: of memories, where there are.

    shares: how many connections a user has at once. limit: seconds for which a user's request has
    one; what is done for everyone may take what the pool allows.

    Two that wait for each other are told apart by the database, which ends one: that is Crowded.
    """

    __slots__ = ("_copies", "_limit", "_pool", "_shares")

    def __init__(
        self,
        pool: Pool,
        copies: Copies | None = None,
        *,
        shares: Shares | None = None,
        limit: float = LIMIT,
    ) -> None:
        self._pool = pool
        self._copies = copies
        self._shares = shares if shares is not None else Shares(SHARE)
        self._limit = limit

    def __repr__(self) -> str:
        return f"<Scopes {self._pool!r}>"

    @asynccontextmanager
    async def of(
        self, user: str, *changed: UUID, limit: float | None = None
    ) -> AsyncIterator[Connection]:
        """A connection whose statements reach the rows of one user. Raises Busy.

        changed: memories that they change or remove. Copies are forgotten whatever came of it: a
        commit whose answer was lost, or not waited for, may have happened. limit: seconds, for what
        may take longer than a request.
        """
        try:
            async with (
                self._shares.of(user),
                self._lent(user, "off", limit or self._limit) as connection,
            ):
                yield connection
        finally:
            if changed and self._copies is not None:
                await self._copies.forget(user, *changed)

    @asynccontextmanager
    async def writing(
        self, user: str, *changed: UUID, limit: float | None = None
    ) -> AsyncIterator[Connection]:
        """The same, in a transaction."""
        async with self.of(user, *changed, limit=limit) as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def sweeping(self, user: str, *, limit: float | None = None) -> AsyncIterator[Connection]:
        """The same for what may remove any of a user's memories: all copies are forgotten."""
        try:
            async with self.writing(user, limit=limit) as connection:
                yield connection
        finally:
            if self._copies is not None:
                await self._copies.forget_all(user)

    @asynccontextmanager
    async def everyone(self) -> AsyncIterator[Connection]:
        """A connection for work on the rows of all users: no request of a user's does such."""
        async with self._lent("", "on") as connection:
            yield connection

    @asynccontextmanager
    async def _lent(
        self, user: str, everyone: str, limit: float | None = None
    ) -> AsyncIterator[Connection]:
        async with self._pool.acquire(limit) as connection:
            await connection.execute(_SCOPE, user, everyone)
            try:
                yield connection
            except asyncpg.DeadlockDetectedError as error:
                raise Crowded from error
            except asyncpg.ProgramLimitExceededError as error:  # of a tsvector: 1 MB
                raise BadRequest("content", "has too many different words; divide it") from error
