"""Pages of rows, bounded in bytes as well as in rows: a text may have 64 Ki characters. Pure."""

from __future__ import annotations

from typing import Final

ROOM: Final = 1 << 20
"""Bytes of texts, as they are stored, after which a page ends. It has one row at least."""

_BOUNDED: Final = """
    SELECT *, there > count(*) OVER () AS more FROM (
        SELECT *, count(*) OVER () AS there,
            sum(bytes) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) - bytes AS before
        FROM ({rows} ORDER BY {order} LIMIT {limit}) AS page
    ) AS measured WHERE before < {room} ORDER BY {order}
"""


def bounded(rows: str, order: str, limit: str) -> str:
    """A statement that selects the first of `rows`, as many as a page has room for.

    rows: a SELECT, with the column `bytes` that each of the tables has. Each has `more`: whether
    there were more within `limit`.
    """
    return _BOUNDED.format(rows=rows, order=order, limit=limit, room=ROOM)
