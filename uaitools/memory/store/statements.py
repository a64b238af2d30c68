"""Pieces of statements that several of the store's parts need, and what comes back. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from uaitools.memory.model import Named

USER_LOCK: Final = 17
SESSION_LOCK: Final = 18
"""Kinds of advisory locks on texts, as `hashtextextended` takes them: users', and sessions'."""

NAMED: Final = "unnest($1::text[], $2::uuid[]) AS named (user_id, id)"
"""Memories by their users and ids, see `pairs`."""

BURIED: Final = "EXISTS (SELECT FROM tombstones WHERE grave = grave(user_id, id::text))"
"""Whether nothing brings back the id of a row with user_id and id."""

AGAIN: Final = """
    marks = outbox.marks + 1, attempts = 0,
    due = CASE WHEN outbox.owner IS NULL THEN clock_timestamp() ELSE outbox.due END
"""
"""What an UPDATE of the outbox sets to have memories looked at, once more if somebody does now."""

# The second condition: the session that has claimed a row has ended.
_CLAIM: Final = """
    UPDATE {queue} SET due = clock_timestamp() + make_interval(secs => $2),
        owner = pg_backend_pid(), attempts = attempts + 1
    WHERE ({key}) IN (
        SELECT {key} FROM {queue}
        WHERE due <= clock_timestamp()
            OR owner <> ALL (ARRAY(SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL))
        ORDER BY {order} LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING {told}
"""
# Rows are locked in one order by all who lock several, or they would wait for each other: those of
# memories by their users and ids, then what hangs on them, then marks by the same.
#
# A user's turns come after those that the user has, each a second after the other: who marks many,
# by an import or else, has others before most of them. A turn orders, and nobody waits for it.
_MARK: Final = f"""
    INSERT INTO outbox (user_id, memory_id, turn)
    SELECT user_id, id, interval '1 s' * (place - 1)
        + greatest(clock_timestamp(), interval '1 s' + max(
            CASE place WHEN 1 THEN (SELECT max(turn) FROM outbox WHERE user_id = marked.user_id) END
        ) OVER (PARTITION BY user_id))
    FROM (
        SELECT user_id, id, row_number() OVER (PARTITION BY user_id ORDER BY id) AS place
        FROM {{0}}
    ) AS marked ORDER BY user_id, id
    ON CONFLICT (user_id, memory_id) DO UPDATE SET {AGAIN}
"""
_GO: Final = """
    WITH gone AS (DELETE FROM {table} WHERE {which} RETURNING user_id, id, created_at), {also}
    SELECT {told} FROM gone
"""
_GRAVES: Final = """
    graves AS (
        INSERT INTO tombstones (grave) SELECT grave(user_id, id::text) FROM gone
        ON CONFLICT DO NOTHING
    )
"""
_COUNT: Final = "count(*)"


def claiming(queue: str, key: str, told: str, order: str = "due") -> str:
    """A statement that claims the $1 first rows of a queue for $2 seconds. told: of each.

    What is due is claimed, and at once what sessions have that are there no more.
    """
    return _CLAIM.format(queue=queue, key=key, told=told, order=order)


def marked(rows: str) -> str:
    """A statement that has the index follow `rows`, which have user_id and id: see FROM."""
    return _MARK.format(rows)


_MARKS: Final = f"marks AS ({marked('gone')})"


def removed(which: str) -> str:
    """A statement that removes the memories for which a condition holds; how many there were.

    Their ids come back by an import: see `buried`.
    """
    return _GO.format(table="memories", which=which, also=_MARKS, told=_COUNT)


def buried(which: str, told: str = _COUNT) -> str:
    """The same for good: nothing brings their ids back. told: of `id` and `created_at` of each."""
    return _GO.format(table="memories", which=which, also=f"{_GRAVES}, {_MARKS}", told=told)


def buried_unmarked(table: str, which: str) -> str:
    """The same for messages as well, of which no index has anything, and without marks."""
    return _GO.format(table=table, which=which, also=_GRAVES, told=_COUNT)


def count_of(tag: str) -> int:
    """How many rows a statement has changed, as its command tag says: "DELETE 3"."""
    return int(tag.rsplit(" ", 1)[1])


def pairs(names: Iterable[Named]) -> list[list[Any]]:
    """The parameters of NAMED."""
    return [list(column) for column in zip(*names, strict=True)] or [[], []]


def after(name: str, user: str | None) -> str:
    """What comes after the id $2 of the user $1; also of the users after that, if of all."""
    return f"(user_id, {name}) > ($1, $2)" if user is None else f"user_id = $1 AND {name} > $2"
