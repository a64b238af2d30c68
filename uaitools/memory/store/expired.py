"""What has expired and is in the way of others, though its row has not been removed yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from uaitools.memory.model import Memory
from uaitools.memory.store.conditions import LIVE
from uaitools.memory.store.statements import removed

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_CLEAR: Final = removed(f"""
    (user_id, id) IN (
        SELECT user_id, id FROM memories
        WHERE NOT {LIVE} AND user_id = ANY($1::text[]) AND (
            (user_id, id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
            OR (user_id, external_id) IN (SELECT * FROM unnest($1::text[], $3::text[]))
            OR (user_id, twin) IN (SELECT * FROM unnest($1::text[], $4::bytea[]))
        )
        ORDER BY user_id, id FOR UPDATE
    )
""")


async def cleared(connection: Connection, memories: Sequence[Memory]) -> None:
    """Remove what has expired and has the id, external_id or content of one of some memories."""
    await connection.fetchval(
        _CLEAR,
        [one.user_id for one in memories],
        [one.id for one in memories],
        [one.external_id for one in memories],
        [one.twin for one in memories],
    )
