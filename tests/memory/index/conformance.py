"""What every index has to do. CHECKS: each is given a Ground, and raises where it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol
from uuid import UUID

import numpy as np
import pytest

from tests.memory.index.vectors import assert_nearest, crowd, entry, number, oracle, unit
from uaitools.memory.index.port import Entry, Held, VectorIndex

# Names that are easily taken for one another, or for something else.
USERS: Final = (
    *(
        "ann",
        "Ann",
        " ann",
        "ann ",
        "an",
        "ann*",
        "the",
        "",
        "*",
        "%",
        "änn",
        "an\u00f1",
        "ann\u0303",
    ),
    *('"', "'", "\\", "a\nn", "null", "日本", "x" * 500, "00000000-0000-0000-0000-000000000000"),
)


class Ground(Protocol):
    """Where indexes are tried."""

    async def open(self) -> VectorIndex:
        """A started index in which nothing is; the one before it has ended."""


async def held(index: VectorIndex, user: str | None = None) -> list[Held]:
    """What an index has, in an order of ours."""
    return sorted([one async for one in index.ids(user)], key=lambda one: (one.user, one.id))


async def the_nearest_is_found_first(ground: Ground) -> None:
    index = await ground.open()
    await index.upsert([entry(1, unit(1)), entry(2, unit(1, 1)), entry(3, unit(0, 1))])
    await index.upsert([entry(4, unit(-1))])
    hits = await index.search("ann", unit(1), 10)
    assert [hit.id for hit in hits] == [number(1), number(2), number(3), number(4)]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-5)
    assert [hit.id for hit in await index.search("ann", unit(0, 1), 1)] == [number(3)]


async def where_nothing_is_nothing_is_found(ground: Ground) -> None:
    index = await ground.open()
    assert await index.search("ann", unit(1), 10) == []
    assert await held(index) == []
    assert await held(index, "ann") == []
    assert await index.delete_scope("ann") == 0
    await index.delete("ann", [number(1)])
    await index.delete("ann", [])
    await index.upsert([])
    assert await index.health()


async def the_best_of_thousands_are_found(ground: Ground) -> None:
    index = await ground.open()
    entries = [entry(n, vector) for n, vector in enumerate(crowd(3000))]
    await index.upsert(entries)
    for vector in crowd(3, seed=2):
        assert_nearest(await index.search("ann", vector, 100), oracle(entries, vector), 100)


async def of_a_limit_no_more_are_found(ground: Ground) -> None:
    index = await ground.open()
    await index.upsert([entry(n, vector) for n, vector in enumerate(crowd(5))])
    for limit, found in ((0, 0), (1, 1), (4, 4), (5, 5), (6, 5), (1000, 5)):
        assert len(await index.search("ann", unit(1), limit)) == found


async def no_user_finds_what_is_anothers(ground: Ground) -> None:
    index = await ground.open()
    vectors = crowd(len(USERS))
    await index.upsert([entry(7, v, user) for user, v in zip(USERS, vectors, strict=True)])
    for user, vector in zip(USERS, vectors, strict=True):
        hits = await index.search(user, vector, 10)
        assert [hit.id for hit in hits] == [number(7)]
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert await held(index, user) == [Held(number(7), user, 1)]
    assert len(await held(index)) == len(USERS)
    assert await index.search("nobody", vectors[0], 10) == []
    assert await index.search("nobody", vectors[0], 10, among=[number(7)]) == []

    for gone, user in enumerate(USERS):
        await index.delete(user, [number(7)])
        assert await index.search(user, vectors[gone], 10) == []
        assert [one.user for one in await held(index)] == sorted(USERS[gone + 1 :])


async def an_older_generation_never_replaces_a_newer_one(ground: Ground) -> None:
    index = await ground.open()
    await index.upsert([entry(1, unit(1), generation=5)])
    await index.upsert([entry(1, unit(0, 1), generation=4), entry(2, unit(1), generation=1)])
    assert (await index.search("ann", unit(1), 1, among=[number(1)]))[0].score > 0.9
    await index.upsert([entry(1, unit(0, 1), generation=6)])
    assert (await index.search("ann", unit(0, 1), 1))[0].id == number(1)
    assert await held(index) == [Held(number(1), "ann", 6), Held(number(2), "ann", 1)]


async def the_same_generation_again_changes_only_the_vector(ground: Ground) -> None:
    index = await ground.open()
    for _ in range(3):
        await index.upsert([entry(1, unit(1), generation=5)])
    assert await held(index) == [Held(number(1), "ann", 5)]
    await index.upsert([entry(1, unit(0, 1), generation=5)])
    assert [hit.score for hit in await index.search("ann", unit(0, 1), 5)] == [pytest.approx(1)]


async def of_the_same_id_twice_the_newer_one_is_taken(ground: Ground) -> None:
    index = await ground.open()
    first, last = entry(1, unit(1), generation=3), entry(1, unit(0, 1), generation=4)
    for order in ([first, last], [last, first]):
        await index.delete("ann", [number(1)])
        await index.upsert(order)
        assert await held(index) == [Held(number(1), "ann", 4)]
        assert len(await index.search("ann", unit(1), 5)) == 1
        assert (await index.search("ann", unit(0, 1), 5))[0].score > 0.9


async def generations_are_exact(ground: Ground) -> None:
    index = await ground.open()
    largest = 2**63 - 1
    await index.upsert([entry(1, unit(1), generation=largest), entry(2, unit(1), generation=0)])
    await index.upsert([entry(1, unit(0, 1), generation=largest - 1)])
    assert [one.generation for one in await held(index)] == [largest, 0]
    assert (await index.search("ann", unit(1), 1, among=[number(1)]))[0].score > 0.9


async def what_is_deleted_is_found_no_more(ground: Ground) -> None:
    index = await ground.open()
    await index.upsert([entry(n, unit(1, n)) for n in range(1, 6)])
    await index.search("ann", unit(1), 10)
    await index.delete("ann", [number(1), number(3), number(99)])
    await index.delete("ann", [number(1)])
    await index.delete("bob", [number(2)])
    assert {hit.id for hit in await index.search("ann", unit(1), 10)} == {
        number(n) for n in (2, 4, 5)
    }
    assert await index.search("ann", unit(1), 10, among=[number(1), number(3)]) == []
    assert [one.id for one in await held(index, "ann")] == [number(n) for n in (2, 4, 5)]


async def what_was_deleted_can_come_again(ground: Ground) -> None:
    index = await ground.open()
    await index.upsert([entry(1, unit(1), generation=9)])
    await index.delete("ann", [number(1)])
    await index.upsert([entry(1, unit(0, 1), generation=2)])
    assert await held(index) == [Held(number(1), "ann", 2)]
    assert [hit.score for hit in await index.search("ann", unit(0, 1), 5)] == [pytest.approx(1)]


async def a_scope_is_deleted_whole_and_alone(ground: Ground) -> None:
    index = await ground.open()
    mine = [entry(n, vector) for n, vector in enumerate(crowd(700))]
    await index.upsert([*mine, *(entry(n, unit(1), "bob") for n in range(3))])
    assert await index.delete_scope("ann") == 700
    assert await index.delete_scope("ann") == 0
    assert await index.search("ann", unit(1), 10) == []
    assert await held(index, "ann") == []
    assert await held(index) == [Held(number(n), "bob", 1) for n in range(3)]


async def only_those_asked_for_are_looked_at(ground: Ground) -> None:
    index = await ground.open()
    entries = [entry(n, vector) for n, vector in enumerate(crowd(1500))]
    await index.upsert([*entries, entry(5000, unit(1), "bob")])
    vector = crowd(1, seed=3)[0]
    for chosen in (entries[7:8], entries[::100], entries[:1200]):
        among = [one.id for one in chosen]
        hits = await index.search("ann", vector, 10, among=[*among, *among, number(5000)])
        assert_nearest(hits, oracle(chosen, vector), 10)
    assert await index.search("ann", vector, 10, among=[]) == []
    assert await index.search("ann", vector, 10, among=[number(5000), number(6000)]) == []


async def everything_held_is_listed_once(ground: Ground) -> None:
    index = await ground.open()
    entries = [entry(n, unit(1, n), f"user {n % 3}", n) for n in range(2200)]
    await index.upsert(entries)
    assert await held(index) == sorted(
        (Held(e.id, e.user, e.generation) for e in entries), key=lambda one: (one.user, one.id)
    )
    assert len(await held(index, "user 1")) == 733
    assert {one.user for one in await held(index, "user 1")} == {"user 1"}


async def a_list_is_read_on_while_others_write(ground: Ground) -> None:
    index = await ground.open()
    await index.upsert([entry(n, unit(1, n)) for n in range(1200)])
    seen: list[UUID] = []
    async for one in index.ids("ann"):
        if not seen:
            await index.delete("ann", [number(n) for n in range(1200, 1210)])
            await index.upsert([entry(n, unit(1), "bob") for n in range(5)])
        seen.append(one.id)
    assert len(seen) == len(set(seen)) == 1200


async def zeros_are_near_to_nothing(ground: Ground) -> None:
    index = await ground.open()
    await index.upsert([entry(1, unit()), entry(2, unit(1)), entry(3, unit(-1))])
    assert await index.search("ann", unit(), 10) == []
    hits = await index.search("ann", unit(1), 10)
    assert [hit.id for hit in hits] == [number(2), number(1), number(3)]
    assert [hit.score for hit in hits] == pytest.approx([1, 0, -1], abs=1e-5)
    assert len(await held(index)) == 3


async def vectors_of_another_model_are_refused(ground: Ground) -> None:
    index = await ground.open()
    short, broken = np.ones(3, np.float32), unit(1) * np.float32("nan")
    for vector in (short, broken):
        with pytest.raises(ValueError, match="a vector has"):
            await index.upsert([Entry(number(1), "ann", 1, vector)])
        with pytest.raises(ValueError, match="a vector has"):
            await index.search("ann", vector, 1)
    assert await held(index) == []


CHECKS: Final[tuple[Callable[[Ground], Awaitable[None]], ...]] = (
    the_nearest_is_found_first,
    where_nothing_is_nothing_is_found,
    the_best_of_thousands_are_found,
    of_a_limit_no_more_are_found,
    no_user_finds_what_is_anothers,
    an_older_generation_never_replaces_a_newer_one,
    the_same_generation_again_changes_only_the_vector,
    of_the_same_id_twice_the_newer_one_is_taken,
    generations_are_exact,
    what_is_deleted_is_found_no_more,
    what_was_deleted_can_come_again,
    a_scope_is_deleted_whole_and_alone,
    only_those_asked_for_are_looked_at,
    everything_held_is_listed_once,
    a_list_is_read_on_while_others_write,
    zeros_are_near_to_nothing,
    vectors_of_another_model_are_refused,
)
