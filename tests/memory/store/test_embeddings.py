"""Vectors as they are kept."""

from __future__ import annotations

from uuid import UUID

import numpy as np

from uaitools.memory.model import Draft
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.embeddings import Embeddings
from uaitools.memory.store.scope import Scopes


async def test_vectors_of_a_user_are_read_in_slices(scopes: Scopes) -> None:
    embeddings = Embeddings(scopes, "test/1/4")
    creating = Creating(scopes)
    kept = {}
    for number in range(7):
        memory = (await creating.create(Draft("ann", f"memory {number}"))).memory
        vector = np.full(4 if number else 3, number, "<f4")  # the first is of another length
        await embeddings.keep([("ann", memory.id, 1, vector.tobytes())])
        kept[memory.id] = vector.tolist()
    other = (await creating.create(Draft("bob", "memory"))).memory
    await embeddings.keep([("bob", other.id, 1, np.ones(4, "<f4").tobytes())])

    slices = [some async for some in embeddings.load("ann", 4, 2)]
    assert [len(some.ids) for some in slices] == [2, 2, 2]
    found: dict[UUID, list[float]] = {}
    for some in slices:
        assert some.generations == [1, 1]
        vectors = np.frombuffer(some.vectors, "<f4").reshape(2, 4).tolist()
        found |= dict(zip(some.ids, vectors, strict=True))
    assert found == {one: vector for one, vector in kept.items() if len(vector) == 4}
    assert list(found) == sorted(found)
    assert [some async for some in Embeddings(scopes, "other/1/4").load("ann", 4, 2)] == []
