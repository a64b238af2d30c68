"""What a policy says of a user's memories, and their removal by it.

A look finds where the limits of the rules are at that moment. What goes is removed in slices, and
each statement that removes has the rules in itself: a memory that was read, changed or pinned
since the look is judged as it is now. One that somebody works on is left to the end, and then
waited for alone, so that nobody waits for us who holds what we wait for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from uaitools.memory.policy import DOUBLING, Policy
from uaitools.memory.store.conditions import conditions
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.sql import Parameters
from uaitools.memory.store.statements import buried
from uaitools.memory.wanted import Wanted

SHOWN: Final = 100
SLICE: Final = 1000  # memories that one statement removes

_USED: Final = "greatest(created_at, updated_at, accessed_at)"  # of those that are not NULL
_SCORE: Final = (
    "(ln((1 + access_count)::float8) / ln(2::float8)"
    f" + extract(epoch FROM {_USED})::float8 / {DOUBLING.total_seconds()})"
)
# The better one is the greater one.
_STANDING: Final = {
    "NOT superseded": "boolean",
    _SCORE: "float8",
    "created_at": "timestamptz",
    "id": "uuid",
}
_PARTS: Final = ", ".join(_STANDING)
_BEST_FIRST: Final = ", ".join(f"{part} DESC" for part in _STANDING)
_JUDGE: Final = f"""
    SELECT *, count(*) OVER () AS count FROM (
        SELECT id, created_at, {_USED} AS used_at, access_count, left(content, 200) AS excerpt,
            row_number() OVER (ORDER BY {_BEST_FIRST}) AS rank
        FROM memories WHERE {{where}}
    ) AS ranked
    WHERE created_at < {{created}} OR used_at < {{used}} OR rank > {{best}}
    ORDER BY rank DESC LIMIT {SHOWN}
"""
_FIRST_TO_GO: Final = f"""
    SELECT {_PARTS} FROM memories WHERE {{where}} ORDER BY {_BEST_FIRST} OFFSET {{best}} LIMIT 1
"""
_REMOVE: Final = f"""
    (user_id, id) IN (
        SELECT user_id, id FROM memories
        WHERE {{where}} AND (
            created_at < {{created}} OR {_USED} < {{used}}
            OR ({_PARTS}) <= ({{standing}})
        )
        ORDER BY created_at, id LIMIT {{most}} FOR UPDATE {{lock}}
    )
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """A memory that goes, and why. rank: among those that are not pinned, the best being 1.

    excerpt: the beginning of its content.
    """

    id: UUID
    created_at: datetime
    used_at: datetime
    access_count: int
    excerpt: str
    rank: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What goes at a moment, the worst first: how many, and the first `SHOWN` of them.

    created, used: what goes is from before that. standing: the best that goes by its rank. None:
    nothing goes by that rule.
    """

    at: datetime
    count: int
    shown: Sequence[Judged]
    created: datetime | None
    used: datetime | None
    standing: Sequence[Any] | None


class Policies:
    """Judges and removes."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"<Policies {self._scopes!r}>"

    async def judge(self, user: str, policy: Policy, wanted: Wanted) -> Judgement:
        """What a policy says of those memories of a user that are wanted. Raises BadFilter."""
        async with (
            self._scopes.of(user) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            at = await connection.fetchval("SELECT now()")
            created = None if policy.older_than is None else at - policy.older_than
            used = None if policy.unused_for is None else at - policy.unused_for
            look, cut = Parameters(), Parameters()
            judged = await connection.fetch(
                _JUDGE.format(
                    where=_where(user, wanted, look),
                    created=look.add(created, "timestamptz"),
                    used=look.add(used, "timestamptz"),
                    best=look.add(policy.keep_best, "bigint"),
                ),
                *look.values,
            )
            standing = None
            if policy.keep_best is not None:
                statement = _FIRST_TO_GO.format(
                    where=_where(user, wanted, cut), best=cut.add(policy.keep_best, "bigint")
                )
                row = await connection.fetchrow(statement, *cut.values)
                standing = None if row is None else tuple(row)
        count = judged[0]["count"] if judged else 0
        names = Judged.__slots__
        shown = [Judged(**{name: row[name] for name in names}) for row in judged]
        return Judgement(at, count, shown, created, used, standing)

    async def remove(
        self, user: str, wanted: Wanted, judgement: Judgement
    ) -> AsyncGenerator[Sequence[UUID], None]:
        """Remove what goes, for good; the ids of each slice."""
        for most, lock in ((SLICE, "SKIP LOCKED"), (1, "")):
            after: tuple[datetime, UUID] | None = None
            while True:
                parameters = Parameters()
                where = _where(user, wanted, parameters) + _beyond(after, parameters)
                statement = _removal(where, judgement, parameters, most, lock)
                async with self._scopes.sweeping(user) as connection:
                    gone = await connection.fetch(statement, *parameters.values)
                if gone:
                    yield [row["id"] for row in gone]
                    after = max((row["created_at"], row["id"]) for row in gone)
                if len(gone) < most:
                    break


def _where(user: str, wanted: Wanted, parameters: Parameters) -> str:
    return f"{conditions(user, wanted, parameters)} AND NOT pinned"


def _beyond(after: tuple[datetime, UUID] | None, parameters: Parameters) -> str:
    if after is None:
        return ""
    moment, name = parameters.add(after[0], "timestamptz"), parameters.add(after[1], "uuid")
    return f" AND (created_at, id) > ({moment}, {name})"


def _removal(where: str, judgement: Judgement, parameters: Parameters, most: int, lock: str) -> str:
    """A statement that removes the next ones of what goes."""
    standing = judgement.standing or [None] * len(_STANDING)
    limits = zip(standing, _STANDING.values(), strict=True)
    which = _REMOVE.format(
        where=where,
        created=parameters.add(judgement.created, "timestamptz"),
        used=parameters.add(judgement.used, "timestamptz"),
        standing=", ".join(parameters.add(value, kind) for value, kind in limits),
        most=parameters.add(most, "bigint"),
        lock=lock,
    )
    return buried(which, "id, created_at")
