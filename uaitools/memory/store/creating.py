"""How a memory comes to be: once, however often it is sent.

Three things make two requests the same: a key of the client's, an `external_id`, and the same
content. The database's unique indexes decide, so that requests which come at the same time leave
one row as well.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import orjson
from asyncpg import Record

from uaitools.memory.analysis.document import Document
from uaitools.memory.errors import Changed, Crowded
from uaitools.memory.model import Draft, Memory
from uaitools.memory.store.analysed import analysed
from uaitools.memory.store.changing import changed, supersede
from uaitools.memory.store.conditions import LIVE
from uaitools.memory.store.rows import COLUMNS, memory_of, written
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import marked, removed

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_ATTEMPTS: Final = 5  # each fails only when somebody removes what stood in the way meanwhile
_FIELDS: Final = tuple(written(Draft("", ""), None))
_KINDS: Final = {
    "words": "text::tsvector",
    "metadata": "text::jsonb",
    "expires_at": "timestamptz",
    "supersedes": "uuid",
}
_VALUES: Final = ", ".join(
    f"${at}::{_KINDS[name]}" if name in _KINDS else f"${at}" for at, name in enumerate(_FIELDS, 2)
)
_INSERT: Final = f"""
    WITH made AS (
        INSERT INTO memories (id, created_at, updated_at, {", ".join(_FIELDS)})
        VALUES ($1, now(), now(), {_VALUES})
        ON CONFLICT DO NOTHING
        RETURNING {COLUMNS}
    ),
    marks AS ({marked("made")})
    SELECT {COLUMNS} FROM made
"""
_STANDING: Final = f"""
    SELECT {COLUMNS}, {LIVE} AS live, twin FROM memories
    WHERE user_id = $1 AND (external_id = $2 OR twin = $3)
    ORDER BY (external_id = $2) IS TRUE DESC
    LIMIT 1
"""
_BURIED_KEY: Final = "SELECT EXISTS (SELECT FROM buried_keys WHERE grave = grave($1, $2))"
_GONE: Final = "the memory that this request has made was deleted; take a new Idempotency-Key"
_REMOVE: Final = removed(f"user_id = $1 AND id = $2 AND NOT {LIVE}")


class Outcome(enum.Enum):
    """Whether a memory was made, and if not, by what it was known."""

    CREATED = "created"
    REPLAYED = "replayed"  # the key
    DUPLICATE = "duplicate"  # external_id, or the content


@dataclass(frozen=True, slots=True)
class Created:
    """A memory that is there now, and whether it was before."""

    memory: Memory
    outcome: Outcome


class Creating:
    """Makes memories."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Creating {self._scopes!r}>"

    async def create(self, draft: Draft, key: str | None = None) -> Created:
        """Make a memory, unless it is there. key: equal for one request that is sent again.

        Raises BadRequest, Changed, Unknown, and ServiceError where the database is away.
        """
        [found] = await analysed(draft.content)
        named: tuple[UUID, ...] = ()
        for _ in range(_ATTEMPTS):
            try:
                return await self._create(draft, found, key, named)
            except _Lacking as twin:  # now in a transaction that says what it changes
                named = (twin.id,)
        raise Crowded

    async def _create(
        self, draft: Draft, found: Document, key: str | None, named: tuple[UUID, ...]
    ) -> Created:
        if key is None and draft.supersedes is None and not named:  # then one statement does it
            async with self._scopes.of(draft.user_id) as connection:
                return await _made(connection, uuid4(), draft, found)
        supersedes = () if draft.supersedes is None else (draft.supersedes,)
        async with self._scopes.writing(draft.user_id, *supersedes, *named) as connection:
            name = uuid4()
            if key is not None:
                known = await _claim(connection, draft, key, name)
                if known is not None:
                    return known
            if draft.supersedes is not None:
                await supersede(connection, draft.user_id, draft.supersedes, draft.twin)
            created = await _made(connection, name, draft, found, named)
            if key is not None and created.memory.id != name:
                await connection.execute(
                    "UPDATE idempotency_keys SET memory_id = $3 WHERE user_id = $1 AND key = $2",
                    draft.user_id,
                    key,
                    created.memory.id,
                )
            return created

    async def forget_keys(self, age: timedelta) -> None:
        """Forget the keys of requests that are older, and their graves."""
        async with self._scopes.everyone() as connection:
            for table in ("idempotency_keys", "buried_keys"):
                await connection.execute(
                    f"DELETE FROM {table} WHERE at < now() - $1::interval", age
                )


class _Lacking(Exception):
    """A memory that says the same is to have what only the draft has."""

    def __init__(self, name: UUID) -> None:
        super().__init__(str(name))
        self.id = name


async def _made(
    connection: Connection,
    name: UUID,
    draft: Draft,
    found: Document,
    named: tuple[UUID, ...] = (),
) -> Created:
    """Make a memory, unless it is there. named: which ones may be given what they lack.

    Raises Changed, Crowded, and _Lacking for one that lacks something and may not be given it.
    """
    values = written(draft, found)
    for _ in range(_ATTEMPTS):
        row = await connection.fetchrow(_INSERT, name, *(values[one] for one in _FIELDS))
        if row is not None:
            return Created(memory_of(row), Outcome.CREATED)
        # What may be changed stays as it is seen.
        statement = f"{_STANDING} FOR UPDATE" if named else _STANDING
        standing = await connection.fetchrow(
            statement, draft.user_id, draft.external_id, draft.twin
        )
        if standing is None:
            continue
        if not standing["live"]:
            await connection.fetchval(_REMOVE, draft.user_id, standing["id"])
            continue
        memory = _same(standing, draft)
        changes = _lacking(memory, draft)
        if changes and memory.id not in named:
            raise _Lacking(memory.id)
        if changes:
            memory = await changed(connection, draft.user_id, memory.id, changes)
        return Created(memory, Outcome.DUPLICATE)
    raise Crowded


def _same(standing: Record, draft: Draft) -> Memory:
    """What was sent before. Raises Changed when it says something else."""
    memory = memory_of(standing)
    if memory.twin != draft.twin:
        raise Changed(
            f"external_id {draft.external_id!r} is that of memory {memory.id}, which says"
            " something else; change that one with PATCH, or take another external_id"
        )
    if draft.external_id is not None and memory.external_id not in (None, draft.external_id):
        raise Changed(
            f"content: memory {memory.id} says the same, and has the external_id"
            f" {memory.external_id!r}; change that one with PATCH, or send that external_id"
        )
    if draft.supersedes is not None and memory.supersedes not in (None, draft.supersedes):
        raise Changed(
            f"supersedes: memory {memory.id} says the same, and supersedes {memory.supersedes};"
            " delete what it is to supersede as well, or say it otherwise"
        )
    return memory


def _lacking(memory: Memory, draft: Draft) -> dict[str, Any]:
    """What a memory is given that says the same."""
    sent = {"external_id": draft.external_id, "supersedes": draft.supersedes}
    return {
        name: value
        for name, value in sent.items()
        if value is not None and getattr(memory, name) is None
    }


async def _claim(connection: Connection, draft: Draft, key: str, name: UUID) -> Created | None:
    """Take a key for a new memory, or find what it has made. Raises Changed."""
    digest = _digest(draft)
    taken = await connection.fetchval(
        "INSERT INTO idempotency_keys (user_id, key, digest, memory_id) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING RETURNING true",
        draft.user_id,
        key,
        digest,
        name,
    )
    if taken:
        # After the key was waited for, since it may have been deleted at that moment.
        if await connection.fetchval(_BURIED_KEY, draft.user_id, key):
            raise Changed(_GONE)
        return None
    earlier = await connection.fetchrow(
        "SELECT digest, memory_id FROM idempotency_keys WHERE user_id = $1 AND key = $2",
        draft.user_id,
        key,
    )
    if earlier is None or earlier["digest"] != digest:
        raise Changed("Idempotency-Key: another request had this key; take a new one")
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM memories WHERE user_id = $1 AND id = $2 AND {LIVE}",
        draft.user_id,
        earlier["memory_id"],
    )
    if row is None:
        raise Changed(_GONE)
    return Created(memory_of(row), Outcome.REPLAYED)


def _digest(draft: Draft) -> bytes:
    """Equal for what asks for the same."""
    return sha256(orjson.dumps(draft, default=str, option=orjson.OPT_SORT_KEYS)).digest()
