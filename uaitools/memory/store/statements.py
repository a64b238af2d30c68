"""Pieces of statements that several of the store's parts need: marking and removing. Pure."""

from __future__ import annotations

from typing import Final

_MARK: Final = """
    INSERT INTO outbox (memory_id, user_id, generation)
    SELECT id, user_id, generation FROM {0}
    ON CONFLICT (memory_id) DO UPDATE SET
        generation = greatest(outbox.generation, excluded.generation), due = now(), attempts = 0
"""


def marked(rows: str) -> str:
    """A statement that has the index follow `rows`: a CTE with id, user_id and generation."""
    return _MARK.format(rows)


def removed(which: str) -> str:
    """A statement that removes the memories for which a condition holds; how many there were.

    Their ids come back by an import: see `buried`.
    """
    return f"""
        WITH gone AS (DELETE FROM memories WHERE {which} RETURNING id, user_id, generation),
        marks AS ({marked("gone")})
        SELECT count(*) FROM gone
    """


def buried(which: str, told: str = "count(*)") -> str:
    """The same for good: nothing brings their ids back. told: of `id` and `created_at` of each."""
    return f"""
        WITH gone AS (
            DELETE FROM memories WHERE {which} RETURNING id, user_id, generation, created_at
        ),
        graves AS (
            INSERT INTO tombstones (memory_id) SELECT id FROM gone ON CONFLICT DO NOTHING
        ),
        marks AS ({marked("gone")})
        SELECT {told} FROM gone
    """
