"""What a policy says of memories, beside the same in Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from asyncpg import Record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.memory.store.graves import grave
from uaitools.memory.policy import Policy
from uaitools.memory.store.policies import SHOWN, SLICE, Judgement, Policies
from uaitools.memory.store.scope import Scopes
from uaitools.memory.wanted import Wanted
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL = Wanted(superseded=True)


def oracle(rows: Sequence[Record], policy: Policy, wanted: Wanted, at: datetime) -> list[UUID]:
    """What goes, the worst first."""

    def used(row: Record) -> datetime:
        times: list[datetime | None] = [
            row[name] for name in ("created_at", "updated_at", "accessed_at")
        ]
        return max(one for one in times if one is not None)

    def standing(row: Record) -> tuple[Any, ...]:
        doublings = math.log(1 + row["access_count"]) / math.log(2)
        score = doublings + (used(row) - EPOCH).total_seconds() / (30 * 86_400)
        return not row["superseded"], score, row["created_at"], row["id"].bytes

    def goes(place: int, row: Record) -> bool:
        old, unused, best = policy.older_than, policy.unused_for, policy.keep_best
        return (
            (old is not None and at - row["created_at"] > old)
            or (unused is not None and at - used(row) > unused)
            or (best is not None and place >= best)
        )

    considered = [
        row
        for row in rows
        if row["user_id"] == "ann"
        and not row["pinned"]
        and (row["expires_at"] is None or row["expires_at"] > at)
        and (wanted.superseded or not row["superseded"])
        and (not wanted.types or row["type"] in wanted.types)
        and (not wanted.any_tags or set(row["tags"]) & set(wanted.any_tags))
        and wanted.agent_id in (None, row["agent_id"])
    ]
    ranked = sorted(considered, key=standing, reverse=True)
    return [row["id"] for place, row in enumerate(ranked) if goes(place, row)][::-1]


days = st.integers(0, 12).map(lambda number: number * 10)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.sampled_from(("ann", "ann", "ann", "bob")),
            "age": days,
            "changed": days,
            "read": st.none() | days,
            "count": st.sampled_from((0, 0, 1, 3, 7, 1000)),
            "pinned": st.sampled_from((False, False, False, True)),
            "superseded": st.sampled_from((False, False, True)),
            "expires": st.none() | st.sampled_from((-1, 1)),
            "type": st.sampled_from(("fact", "event")),
            "tags": st.sampled_from(((), ("a",), ("a", "b"))),
            "agent": st.sampled_from((None, "x")),
        }
    ),
    max_size=25,
)
wishes = st.builds(
    Wanted,
    types=st.sampled_from(((), (), ("event",))),
    any_tags=st.sampled_from(((), (), ("b",))),
    agent_id=st.sampled_from((None, None, "x")),
    superseded=st.booleans(),
)
limits = st.integers(1, 13).map(lambda number: timedelta(days=number * 10 - 5))
policies = st.builds(
    Policy,
    older_than=st.none() | limits,
    unused_for=st.none() | limits,
    keep_best=st.none() | st.integers(1, 12),
)
_MAKE = """
    INSERT INTO memories (id, user_id, type, content, tags, metadata, agent_id, created_at,
        updated_at, accessed_at, access_count, expires_at, pinned, superseded, words, length,
        analysis)
    SELECT $1, $2, $3, 'x', $4, '{}', $5, now() - $6::interval, now() - $7::interval,
        now() - $8::interval, $9, now() + $10::interval, $11, $12, '', 1, 1
"""


async def fill(scopes: Scopes, made: list[dict[str, Any]]) -> None:
    """Have exactly these rows; made at one moment, so that some are equally old."""

    def since(number: int | None) -> timedelta | None:
        return None if number is None else number * DAY

    async with scopes.everyone() as connection, connection.transaction():
        for table in ("memories", "tombstones", "outbox"):
            await connection.execute(f"DELETE FROM {table}")
        await connection.executemany(
            _MAKE,
            [
                (
                    uuid4(),
                    one["user"],
                    one["type"],
                    list(one["tags"]),
                    one["agent"],
                    since(one["age"]),
                    since(one["changed"]),
                    since(one["read"]),
                    one["count"],
                    since(one["expires"]),
                    one["pinned"],
                    one["superseded"],
                )
                for one in made
            ],
        )


async def kept(scopes: Scopes) -> list[Record]:
    async with scopes.everyone() as connection:
        return list(await connection.fetch("SELECT * FROM memories"))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(made=rows, policy=policies, wanted=wishes)
async def test_what_goes_is_what_was_said_and_what_the_rules_say(
    scopes: Scopes, made: list[dict[str, Any]], policy: Policy, wanted: Wanted
) -> None:
    await fill(scopes, made)
    before = await kept(scopes)
    store = Policies(scopes)
    judgement = await store.judge("ann", policy, wanted)
    assert await kept(scopes) == before
    going = oracle(before, policy, wanted, judgement.at)
    assert [one.id for one in judgement.shown] == going
    assert judgement.count == len(going)
    gone = [name async for names in store.remove("ann", wanted, judgement) for name in names]
    assert sorted(gone) == sorted(going)
    assert {row["id"] for row in await kept(scopes)} == {row["id"] for row in before} - set(going)
    async with scopes.everyone() as connection:
        graves = await connection.fetch("SELECT grave FROM tombstones")
        assert {row["grave"] for row in graves} == {grave("ann", one) for one in going}
        marks = await connection.fetch("SELECT memory_id FROM outbox")
        assert {row["memory_id"] for row in marks} == set(going)
    assert (await store.judge("ann", policy, wanted)).count == 0


NEVER = {"expires": None, "type": "fact", "tags": (), "agent": None, "superseded": False}
OLD = {"user": "ann", "age": 90, "changed": 90, "read": None, "count": 0, "pinned": False, **NEVER}


async def gone_of(scopes: Scopes, judgement: Judgement) -> list[UUID]:
    slices = Policies(scopes).remove("ann", ALL, judgement)
    return [name async for names in slices for name in names]


@pytest.mark.parametrize(
    ("policy", "change"),
    [
        (Policy(unused_for=60 * DAY), "accessed_at = now()"),
        (Policy(unused_for=60 * DAY), "updated_at = now()"),
        (Policy(older_than=60 * DAY), "pinned = true"),
        (Policy(keep_best=2), "access_count = 100, accessed_at = now()"),
    ],
)
async def test_what_was_read_changed_or_pinned_since_the_look_is_judged_again(
    scopes: Scopes, policy: Policy, change: str
) -> None:
    await fill(scopes, [OLD] * 5)
    judgement = await Policies(scopes).judge("ann", policy, ALL)
    saved = judgement.shown[0].id
    async with scopes.everyone() as connection:
        await connection.execute(f"UPDATE memories SET {change} WHERE id = $1", saved)
    gone = await gone_of(scopes, judgement)
    assert sorted(gone) == sorted(one.id for one in judgement.shown[1:])


@pytest.mark.parametrize("change", ["pinned = true", "metadata = '{}'"])
async def test_a_memory_that_is_being_changed_is_waited_for_and_then_judged(
    scopes: Scopes, change: str
) -> None:
    await fill(scopes, [OLD] * 5)
    judgement = await Policies(scopes).judge("ann", Policy(older_than=60 * DAY), ALL)
    held = judgement.shown[2].id
    async with scopes.everyone() as other:
        async with other.transaction():
            await other.execute(f"UPDATE memories SET {change} WHERE id = $1", held)
            removing = spawn(gone_of(scopes, judgement), name="remove")
            while not removing.done() and not await waiting(other):
                pass
            assert [row["id"] for row in await kept(scopes)] == [held]
        gone = await removing
    assert (held in gone) == (change != "pinned = true")
    assert len(gone) == 5 - (held not in gone)


async def waiting(connection: Connection) -> bool:
    """Whether somebody waits for a lock."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid"
            " FROM pg_stat_activity WHERE datname = current_database()))"
        )
    )


async def test_many_go_in_slices_and_the_first_of_them_are_shown(scopes: Scopes) -> None:
    await fill(scopes, [OLD] * (2 * SLICE + 7))
    judgement = await Policies(scopes).judge("ann", Policy(keep_best=3), ALL)
    assert (judgement.count, len(judgement.shown)) == (2 * SLICE + 4, SHOWN)
    assert [one.rank for one in judgement.shown[:2]] == [2 * SLICE + 7, 2 * SLICE + 6]
    slices = [len(one) async for one in Policies(scopes).remove("ann", ALL, judgement)]
    assert slices == [SLICE, SLICE, 4]
    assert len(await kept(scopes)) == 3


async def test_being_read_twice_as_often_makes_up_for_thirty_days(scopes: Scopes) -> None:
    await fill(
        scopes,
        [
            {**OLD, "read": 30, "count": 2, "type": "second"},
            {**OLD, "read": 59, "count": 5, "type": "first"},
            {**OLD, "read": 61, "count": 5, "type": "third"},
            {**OLD, "read": 0, "count": 1000, "superseded": True, "type": "last"},
        ],
    )
    judgement = await Policies(scopes).judge("ann", Policy(keep_best=1), ALL)
    kinds = {row["id"]: row["type"] for row in await kept(scopes)}
    assert [kinds[one.id] for one in judgement.shown] == ["last", "third", "second"]
