"""Where indexes are tried: a dictionary, a database, a Weaviate."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from weaviate.connect import ConnectionParams

from tests.memory.index.sources import DictSource, WrittenThrough
from tests.memory.index.vectors import DIMENSION
from uaitools.memory.index.catalogue import weaviate_params
from uaitools.memory.index.config import ROOM, IndexConfig
from uaitools.memory.index.local import LocalIndex
from uaitools.memory.index.pgvector import PgvectorIndex, provide
from uaitools.memory.index.port import VectorIndex
from uaitools.memory.index.weaviate import WeaviateIndex
from uaitools.memory.store.scope import Scopes

if TYPE_CHECKING:
    from uaitools.postgres.database import Database
    from uaitools.postgres.pool import Pool

MODEL = "test/model-1/8"


class InProcess:
    """Indexes with so much room, over a dictionary each."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._index: LocalIndex | None = None

    async def open(self) -> VectorIndex:
        await self.close()
        source = DictSource()
        self._index = LocalIndex(source, DIMENSION, self._room)
        await self._index.start()
        return WrittenThrough(source, self._index)

    async def close(self) -> None:
        if self._index is not None:
            await self._index.stop()


class InDatabase:
    """Indexes in one database, of which each finds its table empty. pool: its service's."""

    def __init__(self, database: Database, pool: Pool) -> None:
        self._database = database
        self._pool = pool

    async def open(self) -> VectorIndex:
        async with self._database.owned() as connection:
            await provide(connection)
            await connection.execute("TRUNCATE memory_vectors")
        index = PgvectorIndex(Scopes(self._pool), MODEL, DIMENSION)
        await index.start()
        return index


class InWeaviate:
    """Indexes in one server, each with a collection of its own, which goes with it."""

    def __init__(self, params: ConnectionParams, key: str | None = None) -> None:
        self._params = params
        self._key = key
        self._index: WeaviateIndex | None = None

    @classmethod
    def at(cls, config: IndexConfig) -> InWeaviate:
        """In the server that settings lead to."""
        key = config.weaviate_key
        return cls(weaviate_params(config), None if key is None else key.get_secret_value())

    async def open(self) -> VectorIndex:
        await self.close()
        self._index = WeaviateIndex(
            self._params,
            MODEL,
            DIMENSION,
            prefix=f"UaitoolsTest{uuid4().hex}",
            key=self._key,
            search=10,
            write=30,
        )
        await self._index.start()
        return self._index

    async def close(self) -> None:
        if self._index is not None:
            await self._index.remove()
            await self._index.stop()
            self._index = None
