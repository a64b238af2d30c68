"""Pages end when they have so many bytes, and go on."""

from __future__ import annotations

import gc
import io

import orjson

from tests.memory.api.served import Served
from uaitools.memory.store.pages import ROOM, bounded
from uaitools.memory.store.scope import Scopes
from uaitools.rest import Answer

COUNT = 40
LONG = "é" * 60_000  # 120 kB; forty of them are four pages and a half
MOST = 2 * ROOM  # of an answer: the last one of a page may go beyond, and JSON has names as well


async def pages(memory: Served, path: str, field: str, after: str) -> list[list[str]]:
    """What is said of each, page by page."""
    found, cursor = [], ""
    while True:
        answer = await memory.ask("GET", f"{path}{cursor}")
        assert answer.status == 200, answer
        assert len(orjson.dumps(answer.body)) < MOST
        found.append([orjson.dumps(one).decode()[:200_000] for one in answer.body[field]])
        assert found[-1]
        if answer.body["next"] is None:
            return found
        cursor = f"&{after}={answer.body['next']}"


async def test_a_page_of_long_memories_has_fewer_of_them(memory: Served) -> None:
    made = [await memory.remember(f"{LONG} {number}") for number in range(COUNT)]
    several = await pages(memory, "/memories?user_id=ann&limit=100", "memories", "cursor")
    assert len(several) > 3
    got = [orjson.loads(one)["id"] for page in several for one in page]
    assert got == [one["id"] for one in reversed(made)]


async def test_metadata_and_tags_count_as_well(memory: Served) -> None:
    tags = [f"{number}" + "é" * 120 for number in range(64)]
    for number in range(COUNT):
        await memory.remember(f"{number}", metadata={"a": "é" * 16_000}, tags=tags)
    several = await pages(memory, "/memories?user_id=ann&limit=100", "memories", "cursor")
    assert sum(map(len, several)) == COUNT
    assert len(several) > 1


async def test_pages_of_messages_and_of_versions_go_on(memory: Served) -> None:
    made = await memory.remember("first")
    path = f"/memories/{made['id']}"
    for number in range(COUNT):
        said = {"role": "user", "content": f"{LONG} {number}"}
        body = {"user_id": "ann", "messages": [said]}
        assert (await memory.ask("POST", "/sessions/s/messages", body)).status == 201
        change = {"content": f"{LONG} {number}"}
        assert (await memory.ask("PATCH", f"{path}?user_id=ann", change)).status == 200
    messages = await pages(
        memory, "/sessions/s/messages?user_id=ann&limit=100", "messages", "before"
    )
    numbers = [orjson.loads(one)["number"] for page in messages for one in page]
    assert numbers == list(range(COUNT, 0, -1))
    versions = await pages(memory, f"{path}/history?user_id=ann", "versions", "before")
    numbers = [orjson.loads(one)["version"] for page in versions for one in page]
    assert numbers == list(range(COUNT, 0, -1))
    assert min(len(messages), len(versions)) > 3
    few = await pages(memory, f"{path}/history?user_id=ann&limit=1", "versions", "before")
    assert [len(page) for page in few] == [1] * COUNT


async def test_a_search_that_finds_too_much_names_the_rest(memory: Served) -> None:
    made = [await memory.remember(f"tea {LONG} {number}") for number in range(COUNT)]
    asked = {"user_id": "ann", "query": "tea", "limit": 100, "mode": "lexical"}
    for aged in ({}, {"half_life_days": 30}):
        answer = await memory.ask("POST", "/memories/search", {**asked, **aged})
        assert len(orjson.dumps(answer.body)) < MOST
        found = [one["id"] for one in answer.body["results"]]
        assert 1 < len(found) < COUNT
        assert sorted(found + answer.body["more"]) == sorted(one["id"] for one in made)
    assert (await memory.ask("POST", "/memories/search", {**asked, "limit": 2})).body["more"] == []


async def test_what_was_exported_page_by_page_is_all_there_is(memory: Served) -> None:
    for number in range(COUNT):
        await memory.remember(f"{LONG} {number}")
    sizes = [len(page) async for page in memory.service.transfer.pages("ann")]
    assert sum(sizes) == COUNT
    assert max(sizes) < COUNT / 3
    exported = (await memory.ask("GET", "/memories/export?user_id=ann")).body
    await memory.ask("DELETE", "/users/ann")
    lines = [{**orjson.loads(line), "user_id": "bob"} for line in exported.splitlines()]
    for number, line in enumerate(lines):
        line["id"] = f"00000000-0000-4000-8000-{number:012}"
    data = b"\n".join(map(orjson.dumps, lines))
    answer = await memory.session.post(
        f"{memory.url}/memories/import?user_id=bob",
        data=io.BytesIO(data),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert (await answer.json())["imported"] == COUNT


async def test_an_answer_that_was_sent_is_held_by_nobody(memory: Served) -> None:
    await memory.remember(LONG)
    assert (await memory.ask("GET", "/memories?user_id=ann")).status == 200
    held = [one for one in gc.get_objects() if isinstance(one, Answer)]
    assert held  # by the connection to the application
    assert not any(one.body for one in held)


async def test_what_a_page_is_measured_by_is_what_its_texts_have(memory: Served) -> None:
    """It stands in a column: nobody reads the texts that a page has no room for."""
    metadata = {"a": [5e-324] * 40, "b": "é" * 100}
    made = await memory.remember("é" * 1000, tags=["é", "b c"], metadata=metadata)
    path = f"/memories/{made['id']}?user_id=ann"
    assert (await memory.ask("PATCH", path, {"tags": ["d"]})).status == 200
    said = {"role": "user", "content": "é" * 50, "metadata": metadata}
    body = {"user_id": "ann", "messages": [said]}
    assert (await memory.ask("POST", "/sessions/s/messages", body)).status == 201
    sent = {
        "memories": "octet_length(content || metadata::text || tags::text)",
        "versions": "octet_length(document::text)",
        "messages": "octet_length(content || metadata::text || '{}')",
    }
    async with Scopes(memory.service.pool).of("ann") as connection:
        for table, size in sent.items():
            [row] = await connection.fetch(f"SELECT bytes, {size} AS size FROM {table}")
            assert row["bytes"] == row["size"] > 13_000
    assert "octet_length" not in bounded("SELECT", "id", "1")
