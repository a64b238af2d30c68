"""The vectors of memories, in the database: what every index is made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from uaitools.memory.index.entries import FLOAT
from uaitools.memory.index.port import Held, Slice
from uaitools.memory.model import Named
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.statements import NAMED, after, pairs

PAGE: Final = 1000  # rows

_KEEP: Final = """
    INSERT INTO embeddings (user_id, memory_id, model, generation, vector)
    SELECT user_id, id, $1, generation, made.vector
    FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::bytea[])
        AS made (user_id, id, generation, vector)
    JOIN memories USING (user_id, id, generation)
    ORDER BY user_id, id FOR KEY SHARE OF memories
    ON CONFLICT (user_id, memory_id) DO UPDATE SET
        model = excluded.model, generation = excluded.generation, vector = excluded.vector
"""
# One row, since as rows of their own they take several times the CPU and the memory.
_LOAD: Final = """
    SELECT array_agg(memory_id) AS ids, array_agg(generation) AS generations,
        string_agg(vector, '') AS vectors
    FROM (
        SELECT memory_id, generation, vector FROM embeddings
        WHERE user_id = $1 AND model = $2 AND memory_id > $3 AND octet_length(vector) = $4
        ORDER BY memory_id LIMIT $5
    ) AS slice
"""
_HELD: Final = """
    SELECT memory_id, user_id, generation FROM embeddings
    WHERE {after} AND model = $3
    ORDER BY user_id, memory_id LIMIT $4
"""
_CONTENTS: Final = f"""
    SELECT id, memories.user_id, memories.generation, content, vector
    FROM memories JOIN {NAMED} USING (user_id, id)
    LEFT JOIN embeddings ON embeddings.user_id = memories.user_id AND memory_id = id
        AND model = $3 AND embeddings.generation = memories.generation
"""
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be embedded: a memory as its row is now."""

    id: UUID
    user_id: str
    generation: int
    content: str
    vector: bytes | None  # where it has been made already


class Embeddings:
    """Vectors of one model: `index.local.VectorSource`. model: see EmbeddingModel."""

    __slots__ = ("_model", "_scopes")

    def __init__(self, scopes: Scopes, model: str) -> None:
        self._scopes = scopes
        self._model = model

    def __repr__(self) -> str:
        return f"<Embeddings {self._model}>"

    async def contents(self, names: Sequence[Named]) -> list[Content]:
        """What is to be embedded of some memories; those that are gone are not in it."""
        async with self._scopes.everyone() as connection:
            rows = await connection.fetch(_CONTENTS, *pairs(names), self._model)
        return [Content(**dict(row)) for row in rows]

    async def keep(self, made: Sequence[tuple[str, UUID, int, bytes]]) -> None:
        """Keep vectors by user, id and generation, except of what has changed or gone meanwhile."""
        if not made:
            return
        columns = [list(column) for column in zip(*made, strict=True)]
        async with self._scopes.everyone() as connection:
            await connection.execute(_KEEP, self._model, *columns)

    async def load(self, user: str, dimension: int, most: int) -> AsyncGenerator[Slice, None]:
        """The vectors of a user that have this dimension; so many at once, and fewer at the end."""
        last = _FIRST
        length = dimension * FLOAT.itemsize
        while True:
            async with self._scopes.of(user) as connection:
                row = await connection.fetchrow(_LOAD, user, self._model, last, length, most)
            assert row is not None
            ids: Sequence[UUID] = row["ids"] or ()
            if ids:
                yield Slice(ids, row["generations"], row["vectors"])
            if len(ids) < most:
                return
            last = ids[-1]

    async def held(self, user: str | None) -> AsyncIterator[Held]:
        """Which vectors there are, of a user or of all, in pages."""
        statement = _HELD.format(after=after("memory_id", user))
        last: Named = (user or "", _FIRST)
        while True:
            async with self._scopes.everyone() as connection:
                rows = await connection.fetch(statement, *last, self._model, PAGE)
            for row in rows:
                yield Held(row["memory_id"], row["user_id"], row["generation"])
            if len(rows) < PAGE:
                return
            last = (rows[-1]["user_id"], rows[-1]["memory_id"])
