"""What rows are found by, made again where an older version of the analysis has made it."""

from __future__ import annotations

from typing import Final

from uaitools.memory.analysis import VERSION
from uaitools.memory.store.analysed import analysed
from uaitools.memory.store.scope import Scopes

LOCK: Final = 0x7561_6961_6E61_6C79  # of who does it: others would do the same rows

# Those of a newer version are left alone: during an update, two versions would not let each other
# be.
_OLDER: Final = "SELECT user_id, id, generation, content FROM memories WHERE analysis < $1 LIMIT $2"
# In the order of all who lock several rows. What has changed since was analysed by who changed it.
_KEEP: Final = """
    WITH older AS (
        SELECT user_id, id, made.words, made.length FROM memories
        JOIN unnest($2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::integer[])
            AS made (user_id, id, generation, words, length)
            USING (user_id, id, generation)
        WHERE memories.analysis < $1
        ORDER BY user_id, id FOR NO KEY UPDATE OF memories
    )
    UPDATE memories SET words = older.words::tsvector, length = older.length, analysis = $1
    FROM older WHERE memories.user_id = older.user_id AND memories.id = older.id
"""


class Analyses:
    """Analyses rows anew. version: the one that rows are to have."""

    __slots__ = ("_scopes", "_version")

    def __init__(self, scopes: Scopes, version: int = VERSION) -> None:
        self._scopes = scopes
        self._version = version

    def __repr__(self) -> str:
        return f"<Analyses version={self._version}>"

    async def renew(self, most: int) -> int:
        """Analyse some older rows again; how many, none where another process does it.

        Nothing else of them changes: neither versions, nor times, nor what the index has.
        """
        async with self._scopes.everyone() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                return 0
            rows = await connection.fetch(_OLDER, self._version, most)
            found = await analysed(*(row["content"] for row in rows))
            await connection.execute(
                _KEEP,
                self._version,
                [row["user_id"] for row in rows],
                [row["id"] for row in rows],
                [row["generation"] for row in rows],
                [one.lexemes for one in found],
                [one.length for one in found],
            )
        return len(rows)
