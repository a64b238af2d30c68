"""Memories one by one and page by page: read, changed, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from uaitools.memory.errors import Unknown
from uaitools.memory.model import Memory
from uaitools.memory.store.analysed import analysed
from uaitools.memory.store.changing import VERSIONS, changed
from uaitools.memory.store.conditions import LIVE, conditions
from uaitools.memory.store.pages import bounded
from uaitools.memory.store.rows import COLUMNS, memory_of
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.sql import Parameters
from uaitools.memory.store.statements import buried, removed
from uaitools.memory.wanted import Wanted

_MINE: Final = f"user_id = $1 AND id = $2 AND {LIVE}"
_GET: Final = f"SELECT {COLUMNS} FROM memories WHERE {_MINE}"
_BURY: Final = buried(_MINE)
_VERSION: Final = ("version", "changed", "at", "document")
_HISTORY: Final = bounded(
    f"SELECT {', '.join(_VERSION)}, bytes FROM versions WHERE user_id = $1 AND memory_id = $2"
    " AND ($3::bigint IS NULL OR version < $3)",
    "version DESC",
    "$4",
)
_EXPIRED: Final = removed(f"""
    (user_id, id) IN (
        SELECT user_id, id FROM memories WHERE NOT {LIVE} LIMIT $1 FOR UPDATE SKIP LOCKED
    )
""")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Page:
    """Some memories, newest first; `next` where there are more."""

    memories: Sequence[Memory]
    next: Place | None


@dataclass(frozen=True, slots=True)
class Sized:
    """When a memory was made, and how many bytes its texts have."""

    created_at: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class Version:
    """What a memory was until it was changed. document: its fields then."""

    version: int
    changed: str
    at: datetime
    document: Mapping[str, Any]


class Memories:
    """The memories of each user."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Memories {self._scopes!r}>"

    async def get(self, user: str, name: UUID) -> Memory:
        """One memory. Raises Unknown, whoever's it is."""
        async with self._scopes.of(user) as connection:
            return _found(await connection.fetchrow(_GET, user, name))

    async def chosen(
        self, user: str, wanted: Wanted, required: str | None, names: Sequence[UUID]
    ) -> dict[UUID, Memory]:
        """Those of some memories that there are, and are wanted. required: see `names`."""
        if not names:
            return {}
        parameters = Parameters()
        where = _where(user, wanted, required, parameters)
        where += f" AND id = ANY({parameters.add(names, 'uuid[]')})"
        async with self._scopes.of(user) as connection:
            rows = await connection.fetch(
                f"SELECT {COLUMNS} FROM memories WHERE {where}", *parameters.values
            )
        return {row["id"]: memory_of(row) for row in rows}

    async def sizes(
        self, user: str, wanted: Wanted, required: str | None, names: Sequence[UUID]
    ) -> dict[UUID, Sized]:
        """What is to be known of `chosen` before they are read."""
        parameters = Parameters()
        where = _where(user, wanted, required, parameters)
        where += f" AND id = ANY({parameters.add(names, 'uuid[]')})"
        async with self._scopes.of(user) as connection:
            rows = await connection.fetch(
                f"SELECT id, created_at, bytes FROM memories WHERE {where}",
                *parameters.values,
            )
        return {row["id"]: Sized(row["created_at"], row["bytes"]) for row in rows}

    async def names(self, user: str, wanted: Wanted, required: str | None, most: int) -> list[UUID]:
        """Which memories are wanted, in no order. required: a tsquery that has to fit them."""
        parameters = Parameters()
        where = _where(user, wanted, required, parameters)
        limit = parameters.add(most, "bigint")
        async with self._scopes.of(user) as connection:
            rows = await connection.fetch(
                f"SELECT id FROM memories WHERE {where} LIMIT {limit}", *parameters.values
            )
        return [row["id"] for row in rows]

    async def page(self, user: str, wanted: Wanted, after: Place | None, limit: int) -> Page:
        """The next memories that are wanted. Raises BadFilter."""
        parameters = Parameters()
        where = conditions(user, wanted, parameters)
        if after is not None:
            moment = parameters.add(after.created_at, "timestamptz")
            where += f" AND (created_at, id) < ({moment}, {parameters.add(after.id, 'uuid')})"
        most = parameters.add(limit + 1, "bigint")
        rows_of = f"SELECT {COLUMNS}, bytes FROM memories WHERE {where}"
        async with self._scopes.of(user) as connection:
            rows = await connection.fetch(
                bounded(rows_of, "created_at DESC, id DESC", most), *parameters.values
            )
        found = [memory_of(row) for row in rows[:limit]]
        more = len(rows) > limit or (len(rows) > 0 and rows[0]["more"])
        return Page(found, Place(found[-1].created_at, found[-1].id) if more else None)

    async def change(
        self, user: str, name: UUID, changes: Mapping[str, Any], expected: int | None = None
    ) -> Memory:
        """Change fields of a memory, by their names in Draft. expected: the version it has.

        Raises Unknown, Outdated when it has another version, and Changed when it says what another
        one says.
        """
        found = None
        if "content" in changes:
            [found] = await analysed(changes["content"])
        async with self._scopes.writing(user, name) as connection:
            return await changed(connection, user, name, changes, expected, found=found)

    async def delete(self, user: str, name: UUID) -> None:
        """Remove a memory for good. Raises Unknown."""
        async with self._scopes.of(user, name) as connection:
            if not await connection.fetchval(_BURY, user, name):
                raise Unknown

    async def remove_expired(self, most: int) -> int:
        """Remove expired memories of all users; how many there were."""
        async with self._scopes.everyone() as connection:
            count: int = await connection.fetchval(_EXPIRED, most)
        return count

    async def history(
        self, user: str, name: UUID, before: int | None = None, limit: int = VERSIONS
    ) -> tuple[Sequence[Version], int | None]:
        """What a memory was, newest first, and before which version it goes on. Raises Unknown."""
        async with self._scopes.of(user) as connection:
            _found(await connection.fetchrow(_GET, user, name))
            rows = await connection.fetch(_HISTORY, user, name, before, limit + 1)
        found = [Version(*(row[one] for one in _VERSION)) for row in rows[:limit]]
        more = len(rows) > limit or (len(rows) > 0 and rows[0]["more"])
        return found, found[-1].version if more else None


def _where(user: str, wanted: Wanted, required: str | None, parameters: Parameters) -> str:
    where = conditions(user, wanted, parameters)
    if required is not None:
        where += f" AND words @@ {parameters.add(required, 'text')}::tsquery"
    return where


def _found(row: Record | None) -> Memory:
    if row is None:
        raise Unknown
    return memory_of(row)
