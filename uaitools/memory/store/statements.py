"""Pieces of statements that several of the store's parts need: marking and removing. Pure."""

from __future__ import annotations

from typing import Final

AGAIN: Final = """
    marks = outbox.marks + 1, attempts = 0,
    due = CASE WHEN outbox.owner IS NULL THEN clock_timestamp() ELSE outbox.due END
"""
"""What an UPDATE of the outbox sets to have memories looked at, once more if somebody does now."""

ORPHANED: Final = "owner <> ALL (ARRAY(SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL))"
"""Whose claim it was, his session has ended: the condition on rows with an `owner`."""

# Rows are locked in one order by all who lock several, or they would wait for each other: those of
# memories by their ids, then what hangs on them, then marks by the ids.
_MARK: Final = f"""
    INSERT INTO outbox (memory_id, user_id, generation)
    SELECT id, user_id, generation FROM {{0}} ORDER BY id
    ON CONFLICT (memory_id) DO UPDATE SET
        generation = greatest(outbox.generation, excluded.generation), {AGAIN}
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
