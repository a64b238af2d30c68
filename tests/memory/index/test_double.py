"""The double of Weaviate, asked by the client itself, says what a server would say."""

import math
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weaviate import WeaviateAsyncClient
from weaviate.classes.config import Configure, DataType, Property, Tokenization
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter, MetadataQuery
from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateQueryError

from tests.memory.index.vectors import crowd
from tests.peers.weaviate.server import WeaviateDouble
from tests.peers.weaviate.words import K1, B, bm25, tokens

TEXTS = (
    "The ticket ABC-123 is late",
    "A ticket, a late train and a late answer",
    "trains",
    "the answer",
)


def name(at: int) -> UUID:
    return UUID(int=at + 1)


@pytest.fixture
async def client(weaviate: WeaviateDouble) -> AsyncIterator[WeaviateAsyncClient]:
    client = WeaviateAsyncClient(connection_params=weaviate.params, skip_init_checks=True)
    await client.connect()
    yield client
    await client.close()


@pytest.fixture
async def texts(client: WeaviateAsyncClient) -> Any:
    collection = await client.collections.create(
        "Texts",
        properties=[
            Property(name="text", data_type=DataType.TEXT),
            Property(name="title", data_type=DataType.TEXT, tokenization=Tokenization.FIELD),
            Property(name="size", data_type=DataType.INT),
            Property(
                name="hidden",
                data_type=DataType.TEXT,
                index_filterable=False,
                index_searchable=False,
            ),
        ],
        vector_config=Configure.Vectors.self_provided(),
    )
    objects: list[Any] = [
        DataObject(
            uuid=name(at),
            properties={"text": text, "title": f" T{at} ", "size": at, "hidden": "x"},
            vector=vector.tolist(),
        )
        for at, (text, vector) in enumerate(zip(TEXTS, crowd(len(TEXTS)), strict=True))
    ]
    assert not (await collection.data.insert_many(objects)).has_errors
    return collection


def found(answer: Any) -> list[int]:
    return [one.uuid.int - 1 for one in answer.objects]


async def test_the_nearest_vectors_have_their_cosine_distances(texts: Any) -> None:
    vectors = np.stack(crowd(len(TEXTS)))
    wanted = crowd(1, seed=5)[0] * 3  # lengths do not matter
    answer = await texts.query.near_vector(
        wanted.tolist(), limit=3, return_metadata=MetadataQuery(distance=True)
    )
    distances = 1 - vectors @ wanted / np.linalg.norm(wanted)
    assert found(answer) == list(np.argsort(distances)[:3])
    told = [one.metadata.distance for one in answer.objects]
    assert told == pytest.approx(sorted(distances)[:3], abs=1e-5)


async def test_words_are_found_and_ranked(texts: Any) -> None:
    answer = await texts.query.bm25(
        "late", query_properties=["text"], return_metadata=MetadataQuery(score=True)
    )
    assert found(answer) == [1, 0]
    assert answer.objects[0].metadata.score > answer.objects[1].metadata.score > 0
    assert found(await texts.query.bm25("abc")) == [0]
    assert found(await texts.query.bm25("the")) == []
    assert found(await texts.query.bm25("late", filters=Filter.by_property("size").equal(0))) == [0]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter.by_property("size").equal(2), {2}),
        (Filter.by_property("size").contains_any([1, 3]), {1, 3}),
        (Filter.by_property("text").equal("late TICKET"), {0, 1}),
        (Filter.by_property("title").equal("T1"), {1}),
        (Filter.by_property("title").equal("t1"), set()),
        (Filter.by_id().equal(name(3)), {3}),
        (Filter.by_id().contains_any([name(0), name(2), name(9)]), {0, 2}),
        (Filter.by_property("size").equal(1) & Filter.by_property("text").equal("late"), {1}),
        (Filter.by_property("size").equal(1) & Filter.by_property("size").equal(2), set()),
        (Filter.by_property("size").equal(1) | Filter.by_id().equal(name(2)), {1, 2}),
    ],
)
async def test_filters_choose(texts: Any, where: Any, expected: set[int]) -> None:
    assert set(found(await texts.query.fetch_objects(filters=where))) == expected
    deleted = await texts.data.delete_many(where=where, dry_run=True)
    assert deleted.matches == len(expected)
    deleted = await texts.data.delete_many(where=where)
    assert deleted.successful == len(expected)
    assert set(found(await texts.query.fetch_objects())) == set(range(len(TEXTS))) - expected


async def test_what_a_server_refuses_is_refused(texts: Any, client: WeaviateAsyncClient) -> None:
    some = Filter.by_property("size").equal(1)
    for refused, reason in (
        (texts.query.fetch_objects(filters=some, after=name(0)), "cursor api"),
        (texts.query.fetch_objects(limit=10_001), "maximum results"),
        (
            texts.query.fetch_objects(filters=Filter.by_property("hidden").equal("x")),
            "indexFilterable",
        ),
        (texts.query.fetch_objects(filters=Filter.by_property("nothing").equal("x")), "nothing"),
        (
            texts.query.fetch_objects(filters=Filter.by_property("text").equal("the")),
            "only stopwords",
        ),
        (texts.query.near_vector([1.0, 2.0]), "vector lengths"),
        (client.collections.use("Nowhere").query.fetch_objects(), "could not find class"),
    ):
        with pytest.raises(WeaviateQueryError, match=reason):
            await refused
    with pytest.raises(UnexpectedStatusCodeError, match="already exists"):
        await client.collections.create("Texts")


async def test_objects_that_do_not_fit_are_refused_one_by_one(texts: Any) -> None:
    answer = await texts.data.insert_many(
        [
            DataObject(uuid=name(10), properties={"size": 1}, vector=[1.0, 2.0]),
            DataObject(uuid=name(11), properties={"size": 1}, vector=crowd(1)[0].tolist()),
            DataObject(uuid=name(12), properties={"unknown": 1}),
        ]
    )
    assert set(answer.errors) == {0, 2}
    assert "length 2" in answer.errors[0].message
    assert await texts.data.exists(name(11))
    assert not await texts.data.exists(name(10))


async def test_numbers_are_exact_to_53_bits_as_on_the_wire(texts: Any) -> None:
    for size in (2**53, 2**53 + 1):
        await texts.data.insert_many([DataObject(uuid=name(20), properties={"size": size})])
        one = await texts.query.fetch_objects(filters=Filter.by_id().equal(name(20)))
        assert one.objects[0].properties["size"] == 2**53


async def test_pages_come_in_the_order_of_names(texts: Any) -> None:
    seen: list[int] = []
    after = UUID(int=0)
    while page := (await texts.query.fetch_objects(limit=3, after=after)).objects:
        seen += [one.uuid.int - 1 for one in page]
        after = page[-1].uuid
    assert seen == [0, 1, 2, 3]
    between = UUID(int=name(1).int)
    await texts.data.delete_by_id(between)
    assert found(await texts.query.fetch_objects(limit=3, after=between)) == [2, 3]


async def test_it_knows_itself(client: WeaviateAsyncClient, texts: Any) -> None:
    assert await client.is_ready()
    assert (await client.get_meta())["version"]
    assert [node.status for node in await client.cluster.nodes(output="minimal")] == ["HEALTHY"]
    assert list(await client.collections.list_all()) == ["Texts"]
    assert await texts.exists()
    await client.collections.delete("Texts")
    assert not await client.collections.exists("Texts")


WORDS = st.lists(st.sampled_from(["red", "green", "blue", "the"]), max_size=6)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=5))
def test_scores_of_words_are_those_of_the_formula(
    query: Sequence[str], documents: Sequence[Sequence[str]]
) -> None:
    scores = bm25(query, dict(enumerate(documents)))
    mean = sum(len(d) for d in documents) / len(documents)
    for at, document in enumerate(documents):
        expected = 0.0
        for word in set(query) - {"the"}:
            having = sum(word in d for d in documents)
            rarity = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
            often = document.count(word)
            if often:
                length = 1 - B + B * len(document) / mean
                expected += rarity * often * (K1 + 1) / (often + K1 * length)
        assert scores.get(at, 0.0) == pytest.approx(expected)


def test_words_are_cut_as_the_tokenization_says() -> None:
    text = " Foo-Bar  b_z "
    assert tokens(text, "word") == ["foo", "bar", "b", "z"]
    assert tokens(text, "lowercase") == ["foo-bar", "b_z"]
    assert tokens(text, "whitespace") == ["Foo-Bar", "b_z"]
    assert tokens(text, "field") == ["Foo-Bar  b_z"]
