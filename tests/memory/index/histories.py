"""Any sequence of calls, beside a dictionary that is changed in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import strategies as st

from tests.memory.index.conformance import Ground, held
from tests.memory.index.vectors import assert_nearest, number, oracle, unit
from uaitools.memory.index.port import Entry, Held, Vector, VectorIndex

USERS = st.sampled_from(["ann", "bob", "Ann"])
NUMBERS = st.integers(0, 11)
VECTORS = st.lists(st.integers(-3, 3), max_size=8).map(lambda components: unit(*components))


@dataclass
class Model:
    """What an index should have."""

    entries: dict[tuple[str, UUID], Entry] = field(default_factory=dict)

    def of(self, user: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.user == user]

    def upsert(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            there = self.entries.get((entry.user, entry.id))
            if there is None or there.generation <= entry.generation:
                self.entries[entry.user, entry.id] = entry


@dataclass(frozen=True)
class Upsert:
    entries: list[Entry]

    async def happen(self, index: VectorIndex, model: Model) -> None:
        await index.upsert(self.entries)
        model.upsert(self.entries)


@dataclass(frozen=True)
class Delete:
    user: str
    ids: list[UUID]

    async def happen(self, index: VectorIndex, model: Model) -> None:
        await index.delete(self.user, self.ids)
        for one in self.ids:
            model.entries.pop((self.user, one), None)


@dataclass(frozen=True)
class DeleteScope:
    user: str

    async def happen(self, index: VectorIndex, model: Model) -> None:
        there = model.of(self.user)
        assert await index.delete_scope(self.user) == len(there)
        for entry in there:
            del model.entries[entry.user, entry.id]


@dataclass(frozen=True)
class Search:
    user: str
    vector: Vector
    limit: int
    among: list[UUID] | None

    async def happen(self, index: VectorIndex, model: Model) -> None:
        hits = await index.search(self.user, self.vector, self.limit, self.among)
        there = [e for e in model.of(self.user) if self.among is None or e.id in self.among]
        assert_nearest(hits, oracle(there, self.vector) if self.vector.any() else {}, self.limit)


@dataclass(frozen=True)
class List:
    user: str | None

    async def happen(self, index: VectorIndex, model: Model) -> None:
        there = list(model.entries.values()) if self.user is None else model.of(self.user)
        expected = {Held(e.id, e.user, e.generation) for e in there}
        found = await held(index, self.user)
        assert set(found) == expected
        assert len(found) == len(expected)


Step = Upsert | Delete | DeleteScope | Search | List
IDS = st.lists(NUMBERS.map(number), max_size=5)
ENTRIES = st.builds(Entry, NUMBERS.map(number), USERS, st.integers(0, 5), VECTORS)
HISTORIES = st.lists(
    st.one_of(
        st.builds(Upsert, st.lists(ENTRIES, max_size=6)),
        st.builds(Upsert, st.lists(ENTRIES, max_size=6)),
        st.builds(Delete, USERS, IDS),
        st.builds(DeleteScope, USERS),
        st.builds(Search, USERS, VECTORS, st.integers(0, 8), st.none() | IDS),
        st.builds(Search, USERS, VECTORS, st.integers(1, 8), st.none()),
        st.builds(List, st.none() | USERS),
    ),
    max_size=25,
)


async def follow(ground: Ground, history: Sequence[Step]) -> None:
    """Have a history happen to an index, and compare at each step and at the end."""
    index = await ground.open()
    model = Model()
    for step in (*history, List(None)):
        await step.happen(index, model)
