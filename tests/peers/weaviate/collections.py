"""What the double keeps: collections of objects with properties and vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from tests.peers.weaviate.words import bm25, tokens

HNSW: dict[str, Any] = {
    "skip": False,
    "cleanupIntervalSeconds": 300,
    "maxConnections": 32,
    "efConstruction": 128,
    "ef": -1,
    "dynamicEfMin": 100,
    "dynamicEfMax": 500,
    "dynamicEfFactor": 8,
    "vectorCacheMaxObjects": 1_000_000_000_000,
    "flatSearchCutoff": 40_000,
    "distance": "cosine",
    "filterStrategy": "sweeping",
    "pq": {"enabled": False},
    "bq": {"enabled": False},
    "sq": {"enabled": False},
    "multivector": {"enabled": False},
}
INVERTED = {
    "bm25": {"b": 0.75, "k1": 1.2},
    "cleanupIntervalSeconds": 60,
    "stopwords": {"preset": "en", "additions": None, "removals": None},
}


class Refused(Exception):
    """What is asked for cannot be done; the text is the server's."""


@dataclass
class Object:
    name: UUID
    properties: dict[str, Any]
    vectors: dict[str, NDArray[np.float32]]


@dataclass
class Collection:
    schema: dict[str, Any]
    objects: dict[UUID, Object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.schema.setdefault("invertedIndexConfig", INVERTED)
        for config in self.schema.get("vectorConfig", {}).values():
            config.setdefault("vectorIndexType", "hnsw")
            config["vectorIndexConfig"] = HNSW | config.get("vectorIndexConfig", {})
        for one in self.schema.setdefault("properties", []):
            text = one["dataType"] == ["text"]
            one.setdefault("indexFilterable", True)
            one.setdefault("indexSearchable", text)
            if text:
                one.setdefault("tokenization", "word")

    @property
    def name(self) -> str:
        return str(self.schema["class"])

    def property(self, name: str) -> dict[str, Any]:
        for one in self.schema["properties"]:
            if one["name"] == name:
                found: dict[str, Any] = one
                return found
        raise Refused(f"no such prop with name '{name}' found in class '{self.name}'")

    def put(self, new: Object) -> None:
        """Keep an object in the place of the one with its name. Raises Refused."""
        for key, value in new.properties.items():
            if self.property(key)["dataType"] == ["uuid"]:
                try:
                    UUID(str(value))
                except ValueError as error:
                    raise Refused(f"invalid uuid property '{key}'") from error
        for target, vector in new.vectors.items():
            if target not in self.schema.get("vectorConfig", {}):
                raise Refused(f"vector {target!r} is not configured in class '{self.name}'")
            there = next(
                (o.vectors[target] for o in self.objects.values() if target in o.vectors), vector
            )
            if len(there) != len(vector):
                raise Refused(
                    f"new node has a vector with length {len(vector)}. "
                    f"Existing nodes have vectors with length {len(there)}"
                )
        self.objects.pop(new.name, None)  # it is the newest one now
        self.objects[new.name] = new

    def where(self, matches: Callable[[Object], bool]) -> Iterator[Object]:
        return (one for one in self.objects.values() if matches(one))

    def after(self, name: UUID, limit: int) -> list[Object]:
        """The first so many by name behind a name, which needs not be there."""
        return [self.objects[n] for n in sorted(self.objects) if n > name][:limit]

    def nearest(
        self, target: str, vector: NDArray[np.float32], matches: Callable[[Object], bool]
    ) -> list[tuple[Object, float]]:
        """Objects and their cosine distances, nearest first."""
        found = [one for one in self.where(matches) if target in one.vectors]
        if not found:
            return []
        block = np.stack([one.vectors[target] for one in found])
        if block.shape[1] != len(vector):
            raise Refused(f"vector lengths don't match: {block.shape[1]} vs {len(vector)}")
        distances = 1 - _normal(block) @ _normal(vector)
        order = np.argsort(distances, kind="stable")
        return [(found[at], float(distances[at])) for at in order]

    def ranked(
        self, query: str, names: list[str], matches: Callable[[Object], bool]
    ) -> list[tuple[Object, float]]:
        """Objects and their BM25 scores, best first; the texts of all properties are one."""
        searchable = [p for p in self.schema["properties"] if p["indexSearchable"]]
        chosen = [p for p in searchable if not names or p["name"] in names]
        documents = {
            one.name: [
                token
                for p in chosen
                for token in tokens(str(one.properties.get(p["name"], "")), p["tokenization"])
            ]
            for one in self.objects.values()
        }
        words = [token for p in chosen for token in tokens(query, p["tokenization"])]
        scores = bm25(words, documents)
        found = [(one, scores[one.name]) for one in self.where(matches) if one.name in scores]
        return sorted(found, key=lambda pair: -pair[1])


@dataclass
class Database:
    """All collections. results, deletions: how many objects one request returns or deletes."""

    collections: dict[str, Collection] = field(default_factory=dict)
    results: int = 10_000
    deletions: int = 10_000

    def collection(self, name: str) -> Collection:
        if name not in self.collections:
            raise Refused(f"could not find class {name} in schema")
        return self.collections[name]

    def create(self, schema: dict[str, Any]) -> Collection:
        name = str(schema["class"])
        if name in self.collections:
            raise Refused(f"class name {name} already exists")
        self.collections[name] = Collection(schema)
        return self.collections[name]


def _normal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    normal: NDArray[np.float32] = np.divide(
        vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0
    )
    return normal
