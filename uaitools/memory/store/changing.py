"""How a memory is changed: what it was is kept, and nobody is left with two that say the same.

All of it happens in the transaction of whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
from asyncpg import UniqueViolationError

from uaitools.memory.analysis.document import Document
from uaitools.memory.errors import BadRequest, Changed, Outdated, Unknown
from uaitools.memory.model import Memory
from uaitools.memory.store.conditions import LIVE
from uaitools.memory.store.expired import cleared
from uaitools.memory.store.rows import COLUMNS, memory_of, written
from uaitools.memory.store.statements import marked

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

VERSIONS: Final = 100  # that are kept of a memory; the oldest ones go
_MINE: Final = f"user_id = $1 AND id = $2 AND {LIVE}"
_LOCK: Final = f"SELECT {COLUMNS} FROM memories WHERE {_MINE} FOR UPDATE"
_KEEP: Final = f"""
    INSERT INTO versions (memory_id, user_id, version, changed, at, document)
    SELECT id, user_id, version, $3, updated_at, $4::text::jsonb FROM memories WHERE {_MINE}
"""
_FORGET: Final = "DELETE FROM versions WHERE user_id = $1 AND memory_id = $2 AND version <= $3"
_UPDATE: Final = f"""
    WITH now_so AS (
        UPDATE memories SET type = $3, content = $4, tags = $5, metadata = $6::text::jsonb,
            agent_id = $7, session_id = $8, external_id = $9, expires_at = $10, pinned = $11,
            twin = CASE WHEN superseded THEN NULL ELSE $12::bytea END,
            words = coalesce($13::text::tsvector, words), length = coalesce($14, length),
            analysis = coalesce($15, analysis), supersedes = $16,
            generation = generation + (content <> $4)::int,
            version = version + 1, updated_at = now()
        WHERE {_MINE}
        RETURNING {COLUMNS}
    ),
    changed AS (SELECT * FROM now_so WHERE $17),
    marks AS ({marked("changed")})
    SELECT {COLUMNS} FROM now_so
"""
_SUPERSEDE: Final = f"""
    UPDATE memories SET superseded = true, twin = NULL, version = version + 1, updated_at = now()
    WHERE {_MINE}
"""
_CHANGEABLE: Final = (
    "type",
    "content",
    "tags",
    "metadata",
    "agent_id",
    "session_id",
    "external_id",
    "expires_at",
    "pinned",
    "twin",
    "words",
    "length",
    "analysis",
    "supersedes",
)


async def changed(
    connection: Connection,
    user: str,
    name: UUID,
    changes: Mapping[str, Any],
    expected: int | None = None,
    *,
    found: Document | None = None,
) -> Memory:
    """Change fields of a memory, by their names in Draft. expected: the version it has.

    found: of its content, where that is among them.

    Raises Unknown, Outdated when it has another version, and Changed when it says what another one
    says.
    """
    row = await connection.fetchrow(_LOCK, user, name)
    if row is None:
        raise Unknown
    before = memory_of(row)
    if expected is not None and before.version != expected:
        raise Outdated(f"the memory has version {before.version} now; read it again")
    after = replace(before, **changes)
    if after == before:
        return before
    await _keep(connection, before, changes)
    if (after.twin, after.external_id) != (before.twin, before.external_id):
        await cleared(connection, [after])
    try:
        return await _update(connection, before, after, found)
    except UniqueViolationError as error:
        which = "external_id" if "external" in str(error) else "content"
        message = f"{which}: another memory has the same; change or delete that one"
        raise Changed(message) from error


async def supersede(connection: Connection, user: str, name: UUID, twin: bytes) -> None:
    """Have a memory superseded by one whose twin is given. Raises Unknown and BadRequest."""
    row = await connection.fetchrow(_LOCK, user, name)
    if row is None:
        raise Unknown("memory with the id of `supersedes`")
    before = memory_of(row)
    if before.superseded:
        return
    if before.twin == twin:
        raise BadRequest("supersedes", "that memory says the same: there is nothing to supersede")
    await _keep(connection, before, ("superseded",))
    await connection.execute(_SUPERSEDE, user, name)


async def _keep(connection: Connection, before: Memory, changes: Iterable[str]) -> None:
    """Keep what a memory is until its fields change."""
    names = ", ".join(sorted(changes))
    await connection.execute(_KEEP, before.user_id, before.id, names, _document(before))
    await connection.execute(_FORGET, before.user_id, before.id, before.version - VERSIONS)


async def _update(
    connection: Connection, before: Memory, after: Memory, found: Document | None
) -> Memory:
    values = written(after, found)
    row = await connection.fetchrow(
        _UPDATE,
        before.user_id,
        before.id,
        *(values[name] for name in _CHANGEABLE),
        after.content != before.content,
    )
    assert row is not None  # it is locked
    return memory_of(row)


_KEPT: Final = (
    *("type", "content", "tags", "metadata", "agent_id", "session_id", "external_id"),
    *("expires_at", "pinned", "supersedes", "superseded"),
)


def _document(memory: Memory) -> str:
    """The fields that change."""
    return orjson.dumps({name: getattr(memory, name) for name in _KEPT}, str).decode()
