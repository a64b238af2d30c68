"""How usual words are in the whole store, and how long its memories are: counted once a day.

Nobody is to learn from a rank, or from a score, what only another one says. So a user counts for
one, however much they have: what is summed up is the part of each user's memories that has a word.
Chance is added to the sum, and only what is usual with as many as ANONYMOUS users then is known.
Whether one user has a word makes nothing that is counted of it more than e^(1 / CHANCE) times as
probable, but once in 25,000 counts. It is counted seldom because chance that is drawn again and
again can be averaged away: each count, by each process, tells as much anew. Identifiers are not
counted at all.

Sources: Dwork, McSherry, Nissim, Smith, "Calibrating Noise to Sensitivity in Private Data
Analysis", TCC 2006; the threshold: Korolova, Kenthapadi, Mishra, Ntoulas, "Releasing Search Queries
and Clicks Privately", WWW 2009.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import SystemRandom
from typing import Final

from asyncpg import Record

from uaitools.memory.analysis.stems import stem
from uaitools.memory.store.scope import Scopes

SAMPLE: Final = 20_000  # memories
WORDS: Final = 20_000  # the most usual ones; 4 MB
ANONYMOUS: Final = 35.0  # users with whom a word is usual, at least
CHANCE: Final = 2.0  # the scale of what is added to users: of Laplace's distribution
ENOUGH: Final = 200  # memories without which nothing is known
_CONSIDERED: Final = 15.0  # users; with fewer a word is not looked at, whatever chance says
_LENGTH: Final = 20.0  # words, until something is known
_LONG: Final = 60.0  # words, beyond which a user's memories do not count as longer

# One row with two lists: as rows, so many words would hold the loop for 50 ms.
_COUNT: Final = """
    WITH sample AS MATERIALIZED (
        SELECT user_id, words, length FROM memories TABLESAMPLE SYSTEM ($1) LIMIT $2
    ),
    owners AS MATERIALIZED (
        SELECT user_id, count(*)::float8 AS rows, least(avg(length), $5)::float8 AS length
        FROM sample GROUP BY user_id
    ),
    of_users AS (
        SELECT lexeme COLLATE "C" AS lexeme, user_id, count(*) AS have
        FROM sample, unnest(tsvector_to_array(words)) AS kept (lexeme)
        WHERE lexeme NOT LIKE '=%'
        GROUP BY 1, user_id
    ),
    usual AS (
        SELECT lexeme, sum(have / rows) AS users FROM of_users JOIN owners USING (user_id)
        GROUP BY lexeme HAVING sum(have / rows) >= $3
        ORDER BY users DESC LIMIT $4
    )
    SELECT (SELECT count(*) FROM sample) AS rows, count(*) AS users,
        coalesce(sum(length), 0) AS length,
        ARRAY(SELECT lexeme FROM usual ORDER BY lexeme) AS lexemes,
        ARRAY(SELECT users FROM usual ORDER BY lexeme) AS sums
    FROM owners
"""
_random: Final = SystemRandom()


def laplace() -> float:
    """Chance, in users."""
    return CHANCE * (_random.expovariate(1.0) - _random.expovariate(1.0))


class Statistics:
    """What was counted last. length: words of a memory, on average. known: there were enough.

    chance: what is added to each sum of users.
    """

    __slots__ = ("_probabilities", "_scopes", "chance", "known", "length")

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._probabilities: Mapping[str, float] = {}
        self.chance = laplace
        self.length = _LENGTH
        self.known = False

    def __repr__(self) -> str:
        return f"<Statistics lexemes={len(self._probabilities)} length={self.length:.1f}>"

    def probability(self, lexeme: str) -> float | None:
        """The part of a user's memories that have a lexeme; None where that is not known."""
        return self._probabilities.get(lexeme)

    async def refresh(self) -> None:
        """Count anew."""
        async with self._scopes.everyone() as connection:
            # An estimate: what PostgreSQL counted when it last looked at the table.
            rows = await connection.fetchval(
                "SELECT greatest(reltuples, 1) FROM pg_class WHERE oid = 'memories'::regclass"
            )
            percent = min(100.0, 100.0 * 2 * SAMPLE / rows)
            found = await connection.fetchrow(_COUNT, percent, SAMPLE, _CONSIDERED, WORDS, _LONG)
        assert found is not None
        self.known = found["rows"] >= ENOUGH
        self._probabilities = self._usual(found) if self.known else {}
        self.length = self._long(found) if self.known else _LENGTH

    def _usual(self, found: Record) -> Mapping[str, float]:
        users, usual = found["users"], {}
        for lexeme, exact in zip(found["lexemes"], found["sums"], strict=True):
            with_them = exact + self.chance()
            if with_them >= ANONYMOUS:
                usual[lexeme] = min(1.0, with_them / users)
        return usual

    def _long(self, found: Record) -> float:
        """A mean of users' means, to each of whom it owes as little as a word's does."""
        if found["users"] < ANONYMOUS:
            return _LENGTH
        mean = (found["length"] + _LONG * self.chance()) / found["users"]
        return float(min(_LONG, max(1.0, mean)))


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
