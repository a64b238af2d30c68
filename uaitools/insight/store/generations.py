"""Which state of the data there is. Each import that changes something makes the next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from uaitools.insight.errors import SERVICE
from uaitools.postgres.notices import say
from uaitools.postgres.pool import Pool

if TYPE_CHECKING:
    import asyncpg

    from uaitools.postgres.access import Connection

CHANNEL: Final = "generation"
"""Where a new generation is told of, when all can read it: see `uaitools.postgres.notices`."""

STATE: Final = """
    SELECT number AS generation, generations.as_of, sources
    FROM generations ORDER BY number DESC LIMIT 1
"""
_LOCK: Final = "hashtextextended('uaitools insight import', 0)"
_MAKE: Final = """
    INSERT INTO generations (number, what, as_of, sources)
    SELECT $1, $2, max(day), coalesce(array_agg(DISTINCT source ORDER BY source), '{}') FROM files
"""


# Sorts and hashes of a million rows; what is still larger goes to disk. Words are indexed in heaps:
# one after another a million documents take eight minutes. Here all rows are read, not few.
_BULK: Final = """
    SET LOCAL work_mem = '64MB'; SET LOCAL maintenance_work_mem = '256MB';
    SET LOCAL gin_pending_list_limit = '64MB'; SET LOCAL enable_seqscan = on
"""


@dataclass(frozen=True, slots=True)
class State:
    """generation: the newest. as_of: the newest day of data, None before the first one.

    sources: whose ranking files the data is from.
    """

    generation: int
    as_of: date | None
    sources: Sequence[str]


def state_of(row: asyncpg.Record) -> State:
    """The columns of STATE."""
    return State(row["generation"], row["as_of"], row["sources"])


class Generations:
    """Generations of the data."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __repr__(self) -> str:
        return f"<Generations {self._pool!r}>"

    async def state(self) -> State:
        """What there is now. Raises DatabaseAway and PoolExhausted."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(STATE)
        assert row is not None
        return state_of(row)


@dataclass(slots=True)
class Making:
    """A generation that is being made. changed: whether there is a reason to make it."""

    number: int
    changed: bool = False


@asynccontextmanager
async def making(
    connection: Connection, what: str, tell: Callable[[str], object]
) -> AsyncIterator[Making]:
    """A transaction that makes the next generation, if it turns out to change something.

    One at a time; tell: is told if another one is under way. Readers wait for neither. Everybody is
    told of the generation when it is committed.
    """
    async with connection.transaction():
        if not await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({_LOCK})"):
            tell("another import is under way; waiting for its end")
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await connection.execute(_BULK)
        made = Making(await connection.fetchval("SELECT max(number) + 1 FROM generations"))
        yield made
        if made.changed:
            await connection.execute(_MAKE, made.number, what)
            await say(connection, SERVICE, CHANNEL, str(made.number))
