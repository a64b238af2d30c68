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
WORDS: Final = 20_000  # the most frequent ones; 4 MB
ANONYMOUS: Final = 3  # users who have a word, at least
ENOUGH: Final = 200  # memories without which nothing is known
_LENGTH: Final = 20.0  # words, until something is known

# One row with two lists: as rows, so many words would hold the loop for 50 ms. Grouped twice, since
# counting different users sorts everything.
_COUNT: Final = """
    WITH sample AS MATERIALIZED (
        SELECT user_id, words, length FROM memories TABLESAMPLE SYSTEM ($1) LIMIT $2
    ),
    total AS (SELECT count(*)::float8 AS rows, avg(length)::float8 AS length FROM sample),
    of_users AS (
        SELECT lexeme COLLATE "C" AS lexeme, count(*) AS have
        FROM sample, unnest(tsvector_to_array(words)) AS kept (lexeme)
        WHERE lexeme NOT LIKE '=%'
        GROUP BY 1, user_id
    ),
    usual AS (
        SELECT lexeme, sum(have)::float8 AS have FROM of_users
        GROUP BY lexeme HAVING count(*) >= $3
        ORDER BY have DESC LIMIT $4
    )
    SELECT rows, length,
        ARRAY(SELECT lexeme FROM usual ORDER BY lexeme) AS lexemes,
        ARRAY(SELECT have / rows FROM usual ORDER BY lexeme) AS probabilities
    FROM total
"""


class Statistics:
    """What was counted last. length: words of a memory, on average. known: there were enough."""

    __slots__ = ("_probabilities", "_scopes", "known", "length")

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._probabilities: Mapping[str, float] = {}
        self.length = _LENGTH
        self.known = False

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
            found = await connection.fetchrow(_COUNT, percent, SAMPLE, ANONYMOUS, WORDS)
        assert found is not None
        self.known = found["rows"] >= ENOUGH
        pairs = zip(found["lexemes"], found["probabilities"], strict=True)
        self._probabilities = dict(pairs) if self.known else {}
        self.length = found["length"] if self.known else _LENGTH


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
