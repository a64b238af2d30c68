"""How usual words are in the whole store, and how long its memories are: kept, and made anew.

A sample is counted now and then, which costs the same however much there is. Nothing is added up
over time: what was deleted is no longer in it after the next count. Words that fewer users have
than ANONYMOUS, and identifiers, are not in it at all, so that nobody learns from a rank what only
another one says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from uaitools.memory.analysis.stems import stem
from uaitools.memory.store.scope import Scopes

SAMPLE: Final = 20_000  # memories
ANONYMOUS: Final = 3  # users who have a word, at least
ENOUGH: Final = 200  # memories without which nothing is known
_LENGTH: Final = 20.0  # words, until something is known

_COUNT: Final = """
    WITH sample AS MATERIALIZED (
        SELECT user_id, words, length FROM memories TABLESAMPLE SYSTEM ($1) LIMIT $2
    ),
    total AS (SELECT count(*) AS rows, avg(length) AS length FROM sample)
    SELECT lexeme, count(*) AS have, rows, total.length
    FROM total, sample, unnest(words) AS kept (lexeme, positions, weights)
    WHERE lexeme NOT LIKE '=%'
    GROUP BY lexeme, rows, total.length
    HAVING count(DISTINCT user_id) >= $3
"""


class Statistics:
    """What was counted last. length: words of a memory, on average."""

    __slots__ = ("_probabilities", "_scopes", "length")

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._probabilities: Mapping[str, float] = {}
        self.length = _LENGTH

    def __repr__(self) -> str:
        return f"<Statistics lexemes={len(self._probabilities)} length={self.length:.1f}>"

    def probability(self, lexeme: str) -> float | None:
        """The part of all memories that have a lexeme; None where that is not known."""
        return self._probabilities.get(lexeme)

    async def refresh(self) -> None:
        """Count anew."""
        async with self._scopes.everyone() as connection:
            # An estimate: what PostgreSQL counted when it last looked at the table.
            rows = await connection.fetchval(
                "SELECT greatest(reltuples, 1) FROM pg_class WHERE oid = 'memories'::regclass"
            )
            percent = min(100.0, 100.0 * 2 * SAMPLE / rows)
            found = await connection.fetch(_COUNT, percent, SAMPLE, ANONYMOUS)
        known = bool(found) and found[0]["rows"] >= ENOUGH
        self._probabilities = (
            {row["lexeme"]: row["have"] / row["rows"] for row in found} if known else {}
        )
        self.length = float(found[0]["length"]) if known else _LENGTH


class Words:
    """How frequent words are among all words: `embed.statistics.Frequencies`."""

    __slots__ = ("_statistics",)

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def __repr__(self) -> str:
        return f"<Words {self._statistics!r}>"

    def probability(self, term: str) -> float | None:
        """The part of all words that are this one: most memories that have it have it once."""
        have = self._statistics.probability(stem(term.casefold()))
        return None if have is None else have / self._statistics.length
