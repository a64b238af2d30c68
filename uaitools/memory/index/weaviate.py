"""The index in a Weaviate server: one collection for all users, and a filter in every request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar
from uuid import UUID

from weaviate import WeaviateAsyncClient
from weaviate.classes.query import MetadataQuery
from weaviate.collections import CollectionAsync
from weaviate.collections.classes.filters import FilterReturn
from weaviate.connect import ConnectionParams
from weaviate.exceptions import UnexpectedStatusCodeError

from uaitools import log
from uaitools.memory.index.entries import checked, newest, parts
from uaitools.memory.index.errors import IndexAway
from uaitools.memory.index.link import POLICY, WeaviateLink
from uaitools.memory.index.objects import (
    SCHEMA,
    VECTOR,
    collection_name,
    first_of,
    held_of,
    is_ours,
    name_of,
    near,
    object_of,
    of_names,
    of_user,
    vectors_config,
)
from uaitools.memory.index.port import Entry, Held, Hit, Vector
from uaitools.traffic.breaker import BreakerPolicy

_log = log.get_logger(__name__)
SEARCH: Final = 2.0  # seconds for a search: the rest of the answer waits for it
WRITE: Final = 10.0  # seconds for a write, and for a page of ids
BATCH: Final = 200  # entries written at once
MOST: Final = 10_000  # what one search may return, unless the server is told otherwise
PAGE: Final = 500  # names in a filter, and what `ids` reads at once
T = TypeVar("T")
Collection = CollectionAsync[Any, Any]


class WeaviateIndex:
    """The collection of one model at a Weaviate server.

    params: where the server is, by REST and by gRPC. prefix: what its collections are called; of
    those with the same prefix and another model nothing is left once this has started. model: what
    made the vectors. search, write: seconds.

    Weaviate has no conditional write. Generations are compared before each, and writers of this
    process wait for each other: only another process, or a write that came late because nobody
    waited for it any more, can put an older vector in the place of a newer one.
    """

    name: Final = "weaviate"

    def __init__(
        self,
        params: ConnectionParams,
        model: str,
        dimension: int,
        *,
        prefix: str,
        key: str | None = None,
        search: float = SEARCH,
        write: float = WRITE,
        policy: BreakerPolicy = POLICY,
    ) -> None:
        self._prefix = prefix
        self._collection = collection_name(prefix, model)
        self._dimension = dimension
        self._search = search
        self._write = write
        self._alone = False  # no other model has a collection
        self._writing = asyncio.Lock()
        self._link = WeaviateLink(
            params, self._prepare, key=key, wait=search, longest=write, policy=policy
        )

    def __repr__(self) -> str:
        return f"<WeaviateIndex {self._collection} {self._link!r}>"

    async def start(self) -> None:
        """Make the collection, and remove those of other models, now or when the server comes."""
        with suppress(IndexAway):  # which has been logged
            await self._ask(_nothing, self._write)

    async def stop(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def remove(self) -> None:
        """Remove the collection; the next call makes an empty one. Raises IndexAway."""
        await self._link.call(self._remove, self._write)
        self._link.prepare_again()

    async def upsert(self, entries: Sequence[Entry]) -> None:
        """Write entries in parts, of which some may be written when this raises."""
        entries = newest(entries)
        for entry in entries:
            checked(entry.vector, self._dimension)
        for part in parts(entries, BATCH):
            async with self._writing:
                found = await self._generations(part)
                new = [e for e in part if found.get(name_of(e.user, e.id), 0) <= e.generation]
                if new:
                    await self._insert(new)

    async def delete(self, user: str, ids: Sequence[UUID]) -> None:
        """Forget entries of a user."""
        for part in parts(ids, PAGE):
            names = of_names(name_of(user, one) for one in part)
            async with self._writing:
                await self._delete(of_user(user) & names)

    async def delete_scope(self, user: str) -> int:
        """Forget everything of a user: Weaviate deletes some thousands in one request."""
        count = 0
        while True:
            async with self._writing:
                deleted = await self._delete(of_user(user))
            if not deleted:
                return count
            count += deleted

    async def search(
        self, user: str, vector: Vector, limit: int, among: Sequence[UUID] | None = None
    ) -> list[Hit]:
        """The nearest of a user."""
        vector = checked(vector, self._dimension)
        if limit < 1 or not vector.any():
            return []
        if among is None:
            return await self._nearest(of_user(user), vector, limit)
        found: dict[UUID, Hit] = {}
        for part in parts(list(dict.fromkeys(among)), PAGE):
            names = of_names(name_of(user, one) for one in part)
            for hit in await self._nearest(of_user(user) & names, vector, limit):
                found[hit.id] = hit
        return sorted(found.values(), key=lambda hit: -hit.score)[:limit]

    async def ids(self, user: str | None = None) -> AsyncIterator[Held]:
        """What the collection has, in the order of names."""
        after = UUID(int=0) if user is None else first_of(user)
        while True:
            page = await self._page(after)
            for name, held in page:
                if user is not None and not near(name, user):
                    return
                if user is None or held.user == user:
                    yield held
            if len(page) < PAGE:
                return
            after = page[-1][0]

    async def health(self) -> bool:
        """Whether the collection can be read."""

        async def read(collection: Collection) -> None:
            await collection.query.fetch_objects(limit=1, return_properties=False)

        try:
            await self._ask(read, self._search)
        except IndexAway:
            return False
        return True

    async def _nearest(self, where: FilterReturn, vector: Vector, limit: int) -> list[Hit]:
        async def search(collection: Collection) -> list[Hit]:
            answer = await collection.query.near_vector(
                near_vector=vector.tolist(),
                target_vector=VECTOR,
                limit=min(limit, MOST),
                filters=where,
                return_properties=["memory"],
                return_metadata=MetadataQuery(distance=True),
            )
            return [
                Hit(UUID(str(one.properties["memory"])), 1.0 - (one.metadata.distance or 0.0))
                for one in answer.objects
            ]

        return await self._ask(search, self._search)

    async def _generations(self, entries: Sequence[Entry]) -> dict[UUID, int]:
        """The generations of those entries that are there, by the names of their objects."""

        async def fetch(collection: Collection) -> dict[UUID, int]:
            answer = await collection.query.fetch_objects(
                filters=of_names(name_of(e.user, e.id) for e in entries),
                limit=len(entries),
                return_properties=["generation"],
            )
            return {one.uuid: int(one.properties["generation"]) for one in answer.objects}

        return await self._ask(fetch, self._write)

    async def _insert(self, entries: Sequence[Entry]) -> None:
        async def insert(collection: Collection) -> int:
            answer = await collection.data.insert_many([object_of(entry) for entry in entries])
            return len(answer.errors)

        refused = await self._ask(insert, self._write)
        if refused:
            raise IndexAway(f"Weaviate refuses {refused} of {len(entries)} vectors")

    async def _delete(self, where: FilterReturn) -> int:
        async def delete(collection: Collection) -> tuple[int, int]:
            answer = await collection.data.delete_many(where=where)
            return answer.successful, answer.failed

        deleted, failed = await self._ask(delete, self._write)
        if failed:
            raise IndexAway(f"Weaviate could not delete {failed} vectors")
        return deleted

    async def _page(self, after: UUID) -> list[tuple[UUID, Held]]:
        async def fetch(collection: Collection) -> list[tuple[UUID, Held]]:
            answer = await collection.query.fetch_objects(
                limit=PAGE, after=after, return_properties=["memory", "user", "generation"]
            )
            return [(one.uuid, held_of(one.properties)) for one in answer.objects]

        return await self._ask(fetch, self._write)

    async def _ask(self, action: Callable[[Collection], Awaitable[T]], seconds: float) -> T:
        return await self._link.call(
            lambda client: action(client.collections.use(self._collection)), seconds
        )

    async def _prepare(self, client: WeaviateAsyncClient) -> None:
        """Make the collection, if it is not there."""
        collections = client.collections
        if not self._alone:
            await self._remove_others(client)
            self._alone = True  # once: during an update, two versions would not let each other be
        if await collections.exists(self._collection):
            return
        try:
            await collections.create(
                self._collection, properties=SCHEMA, vector_config=vectors_config()
            )
        except UnexpectedStatusCodeError:
            if not await collections.exists(self._collection):  # somebody was faster
                raise

    async def _remove(self, client: WeaviateAsyncClient) -> None:
        await client.collections.delete(self._collection)

    async def _remove_others(self, client: WeaviateAsyncClient) -> None:
        """Remove collections of other models, where deletions would be missed from now on."""
        try:
            others = await client.collections.list_all()
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            # What somebody else has configured there, the client does not understand.
            _log.warning("weaviate's collections cannot be listed", reason=repr(error))
            return
        for other in others:
            if other != self._collection and is_ours(other, self._prefix):
                await client.collections.delete(other)
                _log.info("removed the vectors of another model", collection=other)


async def _nothing(_: Collection) -> None:
    """What is asked of the server just to have it prepared."""
