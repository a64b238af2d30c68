"""Search by words: BM25 over the live memories of one user, in the database.

A user's rows are read one by one (see the migrations for why). How many of them have a word is
therefore counted as it is, for exactly the rows that are wanted; what is kept of the whole store
(see `statistics`) stands behind it as rows that everybody has, so that a user with few memories
does not take a common word for a rare one.

The score is the part of what one memory could have, times how much that tells: who asks for a
living finds "live" in many a memory, which is all that was asked and says next to nothing. Who
asks for identifiers wants what has them, in however long a text: the score is at least the share of
them that a memory has.

Source of the formula: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and
Beyond", 2009, with the idf that is never negative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from uaitools.memory.analysis.query import Query, distinguishes, identifies
from uaitools.memory.store.conditions import conditions
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.sql import Parameters
from uaitools.memory.store.statistics import Statistics
from uaitools.memory.wanted import Wanted

K1: Final = 1.2  # how soon more of the same word counts for less
B: Final = 0.75  # how much long texts count for less
PRIOR: Final = 50  # rows of the whole store that stand behind a user's own
EXACT: Final = 2.0  # an identifier tells more than a word that is as rare
TELLING: Final = 10.0  # of a sum of weights: two rare words, whose score counts for half

_RANK: Final = """
    WITH asked AS (
        SELECT * FROM unnest({lexemes}, {boosts}, {usual}, {exact})
            AS asked (lexeme, boost, usual, exact)
    ),
    scope AS MATERIALIZED (
        SELECT id, created_at, length, words FROM memories WHERE {where}
    ),
    total AS (SELECT count(*) + {prior} AS rows FROM scope),
    found AS MATERIALIZED (
        SELECT id, created_at, length, lexeme, cardinality(positions) AS times
        FROM scope, unnest(words) AS kept (lexeme, positions, weights)
        WHERE words @@ {query} AND lexeme = ANY({lexemes})
    ),
    weighed AS (
        SELECT lexeme, exact, boost * ln(1 + (rows - have + 0.5) / (have + 0.5)) AS weight
        FROM asked, total, LATERAL (
            SELECT (SELECT count(*) FROM found WHERE found.lexeme = asked.lexeme)
                + usual * {prior} AS have
        ) AS counted
    ),
    ranked AS (
        SELECT id, created_at,
            sum(weight * times * (1 + {k1}) / (times + {k1} * (1 - {b} + {b} * length / {mean})))
                AS sum,
            sum(exact) / greatest((SELECT sum(exact) FROM asked), 1) AS share,
            array_agg(lexeme ORDER BY weight DESC, lexeme COLLATE "C") AS matched
        FROM found JOIN weighed USING (lexeme)
        GROUP BY id, created_at
    )
    SELECT id, matched,
        greatest(share, sum / greatest((SELECT sum(weight) FROM weighed) * (1 + {k1}), 1e-9)
            * sum / (sum + {telling})) AS score
    FROM ranked
    ORDER BY score DESC, sum DESC, created_at DESC, id DESC
    LIMIT {limit}
"""


@dataclass(frozen=True, slots=True)
class Match:
    """A memory that has some of the words. score: 0 to 1, see above."""

    id: UUID
    score: float
    matched: Sequence[str]


class Lexical:
    """Finds memories by their words."""

    __slots__ = ("_scopes", "_statistics")

    def __init__(self, scopes: Scopes, statistics: Statistics) -> None:
        self._scopes = scopes
        self._statistics = statistics

    def __repr__(self) -> str:
        return f"<Lexical {self._scopes!r}>"

    async def search(self, user: str, query: Query, wanted: Wanted, limit: int) -> list[Match]:
        """The best matches among what is wanted, best first.

        Of equal ones that which has more of the other words, then the newest.
        """
        parameters = Parameters()
        statement = _RANK.format(**self._parts(user, query, wanted, limit, parameters))
        async with self._scopes.of(user) as connection:
            rows = await connection.fetch(statement, *parameters.values)
        return [Match(row["id"], float(row["score"]), row["matched"]) for row in rows]

    def _parts(
        self, user: str, query: Query, wanted: Wanted, limit: int, parameters: Parameters
    ) -> Mapping[str, str]:
        lexemes = list(query.lexemes)
        boosts = [EXACT if identifies(one) else 1.0 for one in lexemes]
        usual = [self._statistics.probability(one) or 0.0 for one in lexemes]
        return {
            "where": conditions(user, wanted, parameters),
            "lexemes": parameters.add(lexemes, "text[]"),
            "boosts": parameters.add(boosts, "float8[]"),
            "usual": parameters.add(usual, "float8[]"),
            "exact": parameters.add([float(distinguishes(one)) for one in lexemes], "float8[]"),
            "query": parameters.add(query.any, "text") + "::tsquery",
            "prior": parameters.add(float(PRIOR), "float8"),
            "mean": parameters.add(self._statistics.length, "float8"),
            "limit": parameters.add(limit, "bigint"),
            "k1": str(K1),
            "b": str(B),
            "telling": str(TELLING),
        }
