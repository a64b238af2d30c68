"""Memories out and in again, page by page: as they are, with their ids, times and counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson

from uaitools.memory.analysis.document import Document
from uaitools.memory.model import Memory, Named
from uaitools.memory.store.analysed import analysed
from uaitools.memory.store.conditions import LIVE
from uaitools.memory.store.expired import cleared
from uaitools.memory.store.pages import bounded
from uaitools.memory.store.rows import COLUMNS, memory_of, written
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import BURIED, NAMED, after, marked, pairs, removed
from uaitools.memory.turns import Turn

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

PAGE: Final = 200  # memories
_PAGE: Final = bounded(
    f"SELECT {COLUMNS}, bytes FROM memories WHERE {{after}} AND {LIVE}", "user_id, id", str(PAGE)
)
# As the rows are written; what JSON has no type for comes as text.
_FIELDS: Final = {
    "id": "uuid",
    "user_id": "text",
    "type": "text",
    "content": "text",
    "metadata": "jsonb",
    "agent_id": "text",
    "session_id": "text",
    "external_id": "text",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "expires_at": "timestamptz",
    "pinned": "boolean",
    "supersedes": "uuid",
    "superseded": "boolean",
    "access_count": "bigint",
    "accessed_at": "timestamptz",
    "version": "bigint",
    "length": "integer",
    "analysis": "smallint",
}
_TAKE: Final = f"""
    WITH lines AS (
        SELECT {", ".join(_FIELDS)}, words::tsvector AS words, decode(twin, 'hex') AS twin,
            ARRAY(SELECT jsonb_array_elements_text(tags)) AS tags
        FROM jsonb_to_recordset($1::text::jsonb)
            AS lines ({", ".join(f"{name} {kind}" for name, kind in _FIELDS.items())},
                words text, twin text, tags jsonb)
    ),
    made AS (
        INSERT INTO memories ({", ".join(_FIELDS)}, words, twin, tags)
        SELECT {", ".join(_FIELDS)}, words, CASE WHEN NOT superseded THEN twin END, tags FROM lines
        WHERE NOT {BURIED}
        ORDER BY user_id, id
        ON CONFLICT DO NOTHING
        RETURNING user_id, id
    ),
    marks AS ({marked("made")})
    SELECT user_id, id FROM made
"""
# Of those that were made the ones that somebody deleted at the same time: an id comes free only
# when its tombstone is there, but for a statement that began before it is not.
_REBURY: Final = removed(f"(user_id, id) IN (SELECT * FROM {NAMED}) AND {BURIED}")
_KNOWN: Final = f"SELECT user_id, id FROM memories JOIN {NAMED} USING (user_id, id)"
_GONE: Final = f"SELECT user_id, id FROM {NAMED} WHERE {BURIED}"


@dataclass(slots=True)
class Taken:
    """What became of the lines of an import.

    present: the id was there. deleted: it is one of a memory that was deleted for good. duplicates:
    another memory has the content, or the external_id.
    """

    imported: int = 0
    present: int = 0
    deleted: int = 0
    duplicates: int = 0


class Transfer:
    """Exports and imports. user: whose memories; None for those of all."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Transfer {self._scopes!r}>"

    async def pages(self, user: str | None) -> AsyncIterator[Sequence[Memory]]:
        """All live memories, by user and id; those that come meanwhile may be among them."""
        statement = _PAGE.format(after=after("id", user))
        last: Named = (user or "", UUID(int=0))
        while True:
            async with self._scope(user) as connection:
                rows = await connection.fetch(statement, *last)
            if not rows:
                return
            yield [memory_of(row) for row in rows]
            last = (rows[-1]["user_id"], rows[-1]["id"])

    async def take(self, user: str | None, memories: Sequence[Memory], taken: Taken) -> None:
        """Add memories as they are; `taken` counts what became of them."""
        names = [(one.user_id, one.id) for one in memories]
        lines = orjson.dumps(await _lines(memories)).decode()
        async with self._scope(user) as connection, connection.transaction():
            await cleared(connection, memories)
            before = await _named(connection, _KNOWN, names)
            new = [tuple(row) for row in await connection.fetch(_TAKE, lines)]
            made = len(new) - await connection.fetchval(_REBURY, *pairs(new))
            graves = len(await _named(connection, _GONE, names))
        present = sum(name in before for name in names)
        taken.imported += made
        taken.present += present
        taken.deleted += graves
        taken.duplicates += len(names) - made - present - graves

    def _scope(self, user: str | None) -> AbstractAsyncContextManager[Connection]:
        return self._scopes.everyone() if user is None else self._scopes.of(user)


async def _named(connection: Connection, statement: str, names: Sequence[Named]) -> set[Named]:
    return {tuple(row) for row in await connection.fetch(statement, *pairs(names))}


async def _lines(memories: Sequence[Memory]) -> list[Mapping[str, Any]]:
    lines, turn = [], Turn()
    found = await analysed(*(one.content for one in memories))
    for memory, document in zip(memories, found, strict=True):
        lines.append(_line(memory, document))
        await turn.step()
    return lines


def _line(memory: Memory, found: Document) -> Mapping[str, Any]:
    derived = written(memory, found)
    line = {name: getattr(memory, name) for name in _FIELDS if name not in derived}
    derived |= {"twin": memory.twin.hex(), "metadata": dict(memory.metadata)}
    return {**line, **derived}
