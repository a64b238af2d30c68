"""How entries are written in Weaviate.

One collection holds all users, and everything asked of it names the user by a filter. A tenant a
user would be a shard a user: some thirty files and a schema change each, for tens of thousands of
users who have a handful of memories, and a walk over all would be a walk over every tenant.

The name of an object is made of its user and its id, so that the objects of a user are neighbours
in the order of names, in which Weaviate lists: its cursor takes no filter, and needs none here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from weaviate.classes.config import Configure, DataType, Property, VectorDistances
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter
from weaviate.collections.classes.filters import FilterReturn

from uaitools.memory.index.port import Entry, Held

VECTOR: Final = "default"
# Below so many vectors that a filter lets pass, Weaviate scans all of them: no scope is larger, and
# none is searched by the graph, which is no good where a filter leaves little of it.
EXACT: Final = 1_000_000
_PREFIX: Final = ((1 << 64) - 1) << 64
_VERSION: Final = (8 << 76, ~(15 << 76))  # RFC 9562 5.8: a UUID of our own making
_VARIANT: Final = (2 << 62, ~(3 << 62))

SCHEMA: Final = (
    # A UUID compares exactly; text would be trimmed, and words like "the" could not be asked for.
    Property(name="scope", data_type=DataType.UUID, index_filterable=True),
    Property(name="memory", data_type=DataType.UUID, index_filterable=False),
    Property(name="user", data_type=DataType.TEXT, index_filterable=False, index_searchable=False),
    # As text, since numbers come through a double and are exact to 53 bits only.
    Property(
        name="generation", data_type=DataType.TEXT, index_filterable=False, index_searchable=False
    ),
)


def collection_name(prefix: str, model: str) -> str:
    """The collection of a model: vectors of two models are never in the same."""
    return f"{prefix}_{sha256(model.encode()).hexdigest()[:16]}"


def is_ours(collection: str, prefix: str) -> bool:
    """Whether a collection is one of those with a prefix, whatever its model."""
    return re.fullmatch(f"{re.escape(prefix)}_[0-9a-f]{{16}}", collection) is not None


def vectors_config() -> Any:
    """Vectors are ours, and compared by the cosine."""
    return Configure.Vectors.self_provided(
        name=VECTOR,
        vector_index_config=Configure.VectorIndex.hnsw(
            distance_metric=VectorDistances.COSINE, flat_search_cutoff=EXACT
        ),
    )


def scope_of(user: str) -> UUID:
    """What stands for a user in a filter."""
    return _ours(int.from_bytes(sha256(user.encode()).digest()[:16]))


def first_of(user: str) -> UUID:
    """A name before those of a user's objects, and after those of the users before."""
    return UUID(int=scope_of(user).int & _PREFIX)


def name_of(user: str, one: UUID) -> UUID:
    """The name of the object of a user's memory."""
    own = int.from_bytes(sha256(one.bytes).digest()[:8])
    return _ours(first_of(user).int | own)


def near(name: UUID, user: str) -> bool:
    """Whether an object is where those of a user are."""
    return name.int & _PREFIX == first_of(user).int


def object_of(entry: Entry) -> DataObject[dict[str, object], None]:
    """An entry as Weaviate takes it."""
    return DataObject(
        uuid=name_of(entry.user, entry.id),
        properties={
            "scope": str(scope_of(entry.user)),
            "memory": str(entry.id),
            "user": entry.user,
            "generation": str(entry.generation),
        },
        vector={VECTOR: entry.vector.tolist()},
    )


def held_of(properties: Any) -> Held:
    """What an object says of its memory. Raises ValueError or KeyError if it is none of ours."""
    return Held(
        UUID(str(properties["memory"])), str(properties["user"]), int(properties["generation"])
    )


def of_user(user: str) -> FilterReturn:
    """What a user has."""
    return Filter.by_property("scope").equal(scope_of(user))


def of_names(names: Iterable[UUID]) -> FilterReturn:
    """Objects by their names, of which there is at least one."""
    return Filter.by_id().contains_any([str(name) for name in names])


def _ours(number: int) -> UUID:
    for bits, others in (_VERSION, _VARIANT):
        number = number & others | bits
    return UUID(int=number)
