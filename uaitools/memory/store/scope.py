"""Whose rows a statement reaches: said before it, and kept by row-level security.

Every statement names the user it is for as well; the database makes sure that one which forgets to
reaches nothing of anybody else's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from uaitools.memory.errors import Crowded
from uaitools.postgres.pool import Pool

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_SCOPE: Final = (
    "SELECT set_config('uaitools.user_id', $1, false), set_config('uaitools.everyone', $2, false)"
)


class Scopes:
    """The only way of the memory service to its database.

    Two that wait for each other are told apart by the database, which ends one: that is Crowded.
    """

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __repr__(self) -> str:
        return f"<Scopes {self._pool!r}>"

    @asynccontextmanager
    async def of(self, user: str) -> AsyncIterator[Connection]:
        """A connection whose statements reach the rows of one user."""
        async with self._lent(user, "off") as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, user: str) -> AsyncIterator[Connection]:
        """The same, in a transaction."""
        async with self.of(user) as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def everyone(self) -> AsyncIterator[Connection]:
        """A connection for work on the rows of all users: no request of a user's does such."""
        async with self._lent("", "on") as connection:
            yield connection

    @asynccontextmanager
    async def _lent(self, user: str, everyone: str) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection:
            await connection.execute(_SCOPE, user, everyone)
            try:
                yield connection
            except asyncpg.DeadlockDetectedError as error:
                raise Crowded from error
