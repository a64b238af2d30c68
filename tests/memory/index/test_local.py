"""The index in process: what is kept of the source, and what happens while it is read."""

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.index.sources import DictSource
from tests.memory.index.vectors import (
    DIMENSION,
    assert_nearest,
    crowd,
    entry,
    number,
    oracle,
    unit,
)
from tests.peers.gateways import eventually
from uaitools.memory.index.config import ROOM
from uaitools.memory.index.entries import FLOAT, parts
from uaitools.memory.index.local import LocalIndex
from uaitools.memory.index.port import Entry, Held, Hit, Slice
from uaitools.memory.index.scope import BLOCK, Scope, rows_of_block
from uaitools.memory.index.scopes import Scopes
from uaitools.tasks import spawn


def index_of(source: DictSource, room: int = ROOM) -> LocalIndex:
    return LocalIndex(source, DIMENSION, room)


def search(index: LocalIndex, user: str = "ann") -> asyncio.Task[list[Hit]]:
    return spawn(index.search(user, unit(1), 10), name="search")


def ids(hits: list[Hit]) -> set[UUID]:
    return {hit.id for hit in hits}


async def reading(source: DictSource) -> None:
    """Until a reading waits at the gate."""
    await eventually(lambda: source.open == 1)


async def test_a_user_is_read_once_for_all_who_ask() -> None:
    source = DictSource()
    source.put(*(entry(n, unit(1, n)) for n in range(3)))
    source.gate.clear()
    index = index_of(source)
    searches = [search(index) for _ in range(5)]
    await reading(source)
    source.gate.set()
    assert [len(hits) for hits in await asyncio.gather(*searches)] == [3] * 5
    assert len(await index.search("ann", unit(1), 10)) == 3
    assert source.loads == ["ann"]


async def test_who_gives_up_leaves_the_reading_to_the_others() -> None:
    source = DictSource()
    source.put(entry(1, unit(1)))
    source.gate.clear()
    index = index_of(source)
    impatient, patient = search(index), search(index)
    await reading(source)
    impatient.cancel()
    source.gate.set()
    assert len(await patient) == 1
    assert source.loads == ["ann"]


@pytest.mark.parametrize("room", [ROOM, 0], ids=["kept", "scanned"])
async def test_what_is_deleted_while_it_is_read_is_not_brought_back(room: int) -> None:
    source = DictSource()
    source.put(*(entry(n, unit(1, n)) for n in range(4)))
    index = index_of(source, room)
    await index.search("ann", unit(1), 1)  # now it is known whether there is room
    index.forget("ann")
    source.gate.clear()
    asked = search(index)
    await reading(source)
    source.drop("ann", number(1), number(2))
    await index.delete("ann", [number(1), number(2)])
    source.gate.set()
    assert ids(await asked) == {number(0), number(3)}
    assert ids(await search(index)) == {number(0), number(3)}


@pytest.mark.parametrize("room", [ROOM, 0], ids=["kept", "scanned"])
async def test_a_scope_that_is_deleted_while_it_is_read_is_empty(room: int) -> None:
    source = DictSource()
    source.put(*(entry(n, unit(1, n)) for n in range(4)))
    index = index_of(source, room)
    await index.search("ann", unit(1), 1)
    index.forget("ann")
    source.gate.clear()
    asked = search(index)
    await reading(source)
    source.entries.clear()
    await index.delete_scope("ann")
    source.put(entry(9, unit(1)))
    await index.upsert([entry(9, unit(1))])
    source.gate.set()
    assert ids(await asked) <= {number(9)}
    assert ids(await search(index)) == {number(9)}


async def test_what_comes_while_it_is_read_is_found() -> None:
    source = DictSource()
    source.put(entry(1, unit(0, 1), generation=3), entry(2, unit(0, 1), generation=3))
    source.gate.clear()
    index = index_of(source)
    asked = search(index)
    await reading(source)
    new = [entry(1, unit(1), generation=4), entry(3, unit(1), generation=1)]
    source.put(*new)
    await index.upsert([*new, entry(2, unit(1), generation=2), entry(3, unit(-1), generation=0)])
    source.gate.set()
    scores = {hit.id: hit.score for hit in await asked}
    assert scores == pytest.approx({number(1): 1, number(2): 0, number(3): 1})


async def test_what_comes_again_after_it_was_deleted_is_found() -> None:
    source = DictSource()
    source.put(entry(1, unit(1), generation=5), entry(2, unit(1)))
    source.gate.clear()
    index = index_of(source)
    asked = search(index)
    await reading(source)
    await index.delete("ann", [number(1)])
    await index.upsert([entry(1, unit(-1), generation=1)])
    source.gate.set()
    assert {hit.id: hit.score for hit in await asked} == pytest.approx(
        {number(1): -1, number(2): 1}
    )


async def test_a_reading_that_failed_is_tried_again() -> None:
    class Broken(DictSource):
        async def load(self, user: str, dimension: int, most: int) -> AsyncGenerator[Slice, None]:
            if not self.loads:
                self.loads.append(user)
                raise OSError("the database is away")
            async for some in super().load(user, dimension, most):
                yield some

    source = Broken()
    source.put(entry(1, unit(1)))
    index = index_of(source)
    failed = await asyncio.gather(search(index), search(index), return_exceptions=True)
    assert [type(error) for error in failed] == [OSError, OSError]
    assert len(await index.search("ann", unit(1), 10)) == 1


async def test_who_was_not_asked_for_longest_makes_room() -> None:
    source = DictSource()
    for user in ("ann", "bob", "eve"):
        source.put(*(entry(n, unit(1, n), user) for n in range(20)))
    one = Scope(DIMENSION)
    for n in range(20):
        one.put(entry(n, unit(1, n)))
    index = index_of(source, room=2 * one.size + 10)
    for user in ("ann", "bob", "ann", "eve", "ann"):
        await index.search(user, unit(1), 1)
    assert source.loads == ["ann", "bob", "eve"]
    await index.search("bob", unit(1), 1)
    assert source.loads == ["ann", "bob", "eve", "bob"]


async def test_a_user_who_grows_beyond_the_room_is_read_at_each_search_until_he_shrinks() -> None:
    source = DictSource()
    index = index_of(source, room=8_000)
    entries = [entry(n, v) for n, v in enumerate(crowd(60))]
    for one in entries:
        source.put(one)
        await index.upsert([one])
        hits = await index.search("ann", unit(1), 60)
        assert len(hits) == number_of(source)
    read = len(source.loads)
    assert_nearest(await index.search("ann", unit(1), 5), oracle(entries, unit(1)), 5)
    assert len(source.loads) == read + 1
    assert source.open == 0

    gone = [one.id for one in entries[5:]]
    source.drop("ann", *gone)
    await index.delete("ann", gone)
    for _ in range(3):  # finds that there is room, reads for the last time, and has it
        assert len(await index.search("ann", unit(1), 60)) == 5
    assert len(source.loads) == read + 3


def number_of(source: DictSource) -> int:
    return len(source.entries)


async def test_what_is_not_read_to_its_end_is_closed_at_once() -> None:
    class Remembered(DictSource):
        """It keeps its generators, so that nobody but their reader closes them."""

        def load(self, user: str, dimension: int, most: int) -> AsyncGenerator[Slice, None]:
            generators.append(super().load(user, dimension, most))
            return generators[-1]

    generators: list[AsyncGenerator[Slice, None]] = []
    source = Remembered()
    source.put(*(entry(n, unit(1, n)) for n in range(rows_of_block(DIMENSION) + 1)))
    assert len(await index_of(source, room=0).search("ann", unit(1), 5)) == 5
    assert len(generators) == 2
    assert source.open == 0


async def test_a_scope_that_is_mostly_deleted_is_read_anew() -> None:
    source = DictSource()
    source.put(*(entry(n, unit(1, n)) for n in range(100)))
    index = index_of(source)
    await index.search("ann", unit(1), 1)
    gone = [number(n) for n in range(90)]
    source.drop("ann", *gone)
    await index.delete("ann", gone)
    assert ids(await index.search("ann", unit(1), 100)) == {number(n) for n in range(90, 100)}
    assert source.loads == ["ann", "ann"]


async def test_what_is_forgotten_is_read_anew_even_if_it_is_being_read() -> None:
    source = DictSource()
    source.put(entry(1, unit(1)))
    source.gate.clear()
    index = index_of(source)
    asked = search(index)
    await reading(source)
    source.put(entry(2, unit(1)))  # by another process
    index.forget("ann")
    source.gate.set()
    await asked
    assert ids(await index.search("ann", unit(1), 10)) == {number(1), number(2)}


async def test_while_nobody_tells_of_changes_each_search_reads_anew() -> None:
    source = DictSource()
    source.put(entry(1, unit(1)))
    index = index_of(source)
    await index.search("ann", unit(1), 10)
    index.listen(hears=False)
    for more in (2, 3):
        source.put(entry(more, unit(1)))  # by another process
        assert len(await index.search("ann", unit(1), 10)) == more
    index.listen(hears=True)
    for _ in range(3):
        await index.search("ann", unit(1), 10)
    assert source.loads == ["ann"] * 4


async def test_what_was_being_read_before_changes_were_told_of_is_not_kept() -> None:
    source = DictSource()
    source.put(entry(1, unit(1)))
    source.gate.clear()
    index = index_of(source)
    index.listen(hears=False)
    asked = search(index)
    await reading(source)
    source.put(entry(2, unit(1)))  # by another process, of which nobody told
    index.listen(hears=True)
    source.gate.set()
    await asked
    assert ids(await index.search("ann", unit(1), 10)) == {number(1), number(2)}


async def test_others_have_their_turn_while_a_large_scope_is_searched() -> None:
    blocks = 3
    source = DictSource()
    rows = blocks * rows_of_block(DIMENSION)
    scope = [entry(n, unit(1)) for n in range(rows)]
    source.entries = {(one.user, one.id): one for one in scope}
    index = index_of(source, room=1 << 30)
    await index.search("ann", unit(1), 1)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = spawn(others(), name="others")
    await index.search("ann", unit(1), 1)
    task.cancel()
    assert turns >= blocks


class Endless:
    """A source with so many rows of its own making."""

    def __init__(self, rows: int, dimension: int) -> None:
        self._rows = rows
        self._dimension = dimension

    async def load(self, user: str, dimension: int, most: int) -> AsyncGenerator[Slice, None]:
        assert (user, dimension) == ("ann", self._dimension)
        for some in parts(range(self._rows), most):
            vectors = np.zeros((len(some), dimension), FLOAT)
            vectors[range(len(some)), [n % dimension for n in some]] = 1
            yield Slice([number(n) for n in some], [1] * len(some), vectors.tobytes())

    async def held(self, user: str | None) -> AsyncIterator[Held]:
        for n in range(self._rows if user == "ann" else 0):
            yield Held(number(n), "ann", 1)


async def test_a_scope_larger_than_all_room_is_searched_in_flat_memory() -> None:
    dimension, room = 256, 1 << 20
    index = LocalIndex(Endless(30_000, dimension), dimension, room)  # 30 MB
    vector = np.zeros(dimension, np.float32)
    vector[7] = 1
    tracemalloc.start()
    try:
        for _ in range(2):
            hits = await index.search("ann", vector, 10)
            assert [hit.score for hit in hits] == [1.0] * 10
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < room + 5 * BLOCK


def test_a_scope_takes_no_more_than_it_says() -> None:
    dimension = 256
    vector = np.ones(dimension, np.float32)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        scope = Scope(dimension)
        for n in range(5000):
            scope.put(Entry(number(n), "ann", 1, vector))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before <= scope.size <= 1.3 * (after - before)


@given(
    st.lists(
        st.tuples(st.sampled_from("pgf"), st.sampled_from("abcde"), st.integers(0, 40)),
        max_size=60,
    )
)
def test_kept_scopes_are_those_asked_for_last_and_never_too_large(
    steps: list[tuple[str, str, int]],
) -> None:
    scopes = Scopes(12_000)
    kept: dict[str, Scope] = {}  # in the order in which they were asked for
    for what, user, rows in steps:
        if what == "p":
            scope = Scope(DIMENSION)
            for n in range(rows):
                scope.put(entry(n, unit(1)))
            fits = scopes.put(user, scope)
            assert fits == (scope.size <= scopes.most)
            kept[user] = scope  # in its old place, if it had one
            if not fits:
                del kept[user]
            while sum(one.size for one in kept.values()) > scopes.most:
                del kept[next(one for one in kept if one != user)]
        elif what == "g":
            assert scopes.get(user) is kept.get(user)
            if user in kept:
                kept[user] = kept.pop(user)
        else:
            assert scopes.forget(user) is kept.pop(user, None)
        assert scopes.size == sum(one.size for one in kept.values()) <= scopes.most
        assert len(scopes) == len(kept)


async def test_who_is_read_at_each_search_leaves_others_their_readers() -> None:
    source = DictSource()
    source.put(entry(1, unit(1)), entry(2, unit(2), user="bob"))
    index = index_of(source, room=1)  # nobody fits
    assert len(await index.search("ann", unit(1), 10)) == 1
    source.gate.clear()
    theirs = [search(index) for _ in range(5)]
    await eventually(lambda: source.open > 0)
    other = search(index, "bob")
    await eventually(lambda: "bob" in source.loads)
    source.gate.set()
    assert [len(hits) for hits in await asyncio.gather(*theirs, other)] == [1] * 6
