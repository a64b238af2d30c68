"""Requests that are made to cost much, or to be no request at all."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any
from uuid import UUID, uuid4, uuid5

import orjson
import pytest

from tests.memory.api.served import Served

MADE = dict.fromkeys(("created_at", "updated_at"), "2024-01-01T00:00:00Z")
MARKS = "\u0315" * 30_000 + "\u0300" * 30_000


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x", "tags": [""] * 300_000},
        {"content": "x", **{f"k{number}": 1 for number in range(50_000)}},
        {"content": "x", "metadata": {"a": [[]] * 300_000}},
        {"content": "x", "metadata": {"a": [{}] * 20_000}},
    ],
    ids=["tags", "names", "lists", "objects"],
)
async def test_a_body_of_many_mistakes_gets_a_short_answer(
    memory: Served, body: dict[str, Any]
) -> None:
    answer = await memory.ask("POST", "/memories", {"user_id": "ann", **body})
    assert answer.status == 422
    assert len(orjson.dumps(answer.body)) < 20_000


async def test_many_messages_that_are_none_get_a_short_answer(memory: Served) -> None:
    body = {"user_id": "ann", "messages": [{}] * 300_000}
    answer = await memory.ask("POST", "/sessions/s/messages", body)
    assert answer.status == 422
    assert len(orjson.dumps(answer.body)) < 20_000


async def test_a_heap_of_combining_marks_is_kept_and_found_like_others(memory: Served) -> None:
    made = await memory.remember(f"tea e{MARKS}")
    assert made["content"] == f"tea e{MARKS}"
    assert [one["id"] for one in await memory.search("tea")] == [made["id"]]


async def test_words_that_the_database_cannot_keep_are_refused_one_by_one(memory: Served) -> None:
    # NFKC makes eighteen characters of one.
    content = " ".join(f"a{number:x}" + "\ufdfa" * 15 for number in range(3000))[:65_000]
    several = [
        {"user_id": "ann", "content": "I like tea"},
        {"user_id": "ann", "content": content},
        {"user_id": "ann", "content": "I like milk"},
    ]
    answer = await memory.ask("POST", "/memories/batch", {"memories": several})
    assert answer.status == 200
    made = answer.body["results"]
    assert [one["created"] for one in made] == [True, made[1]["created"], True]
    assert made[1]["created"] or made[1]["error"]["code"] == 422


async def test_a_body_that_is_not_what_it_says_costs_nobody_else_an_answer(memory: Served) -> None:
    async def broken() -> int:
        answer = memory.session.post(
            f"{memory.url}/memories",
            data=b"not gzip",
            headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
        )
        async with answer as got:
            return got.status

    async def whole(number: int) -> int:
        body = {"user_id": "bob", "content": f"fact {number}"}
        return (await memory.ask("POST", "/memories", body)).status

    statuses = await asyncio.gather(
        *(broken() if number % 2 else whole(number) for number in range(60))
    )
    assert sorted(set(statuses)) == [201, 400]
    for number in range(100, 120):
        assert await broken() == 400
        assert await whole(number) == 201


async def lines(memory: Served, *several: dict[str, Any]) -> dict[str, Any]:
    answer = await memory.session.post(
        f"{memory.url}/memories/import?user_id=bob",
        data=b"\n".join(map(orjson.dumps, several)),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status == 200
    said: dict[str, Any] = await answer.json()
    return said


async def test_ids_that_can_be_known_beforehand_are_not_imported(memory: Served) -> None:
    made = await memory.remember("I like tea", user="bob")
    for name in (UUID(int=0), uuid5(UUID(int=1), "what another will say")):
        said = await lines(memory, {**made, "id": str(name), "content": f"by {name}"})
        assert (said["refused"], said["problems"][0]["message"]) == (1, "id: is no random UUID")


@pytest.mark.parametrize("year", ["0003", "9999"])
async def test_pages_end_in_any_year(memory: Served, year: str) -> None:
    made = await memory.remember("I like tea", user="bob")
    moment = f"{year}-02-01T00:00:00Z"
    several = [
        {
            **made,
            "id": f"00000000-0000-4000-8000-00000000000{number}",
            "content": f"fact {number}",
            "created_at": moment,
        }
        for number in range(5)
    ]
    assert (await lines(memory, *several))["imported"] == 5
    seen, after = 0, ""
    for _ in range(5):
        page = (await memory.ask("GET", f"/memories?user_id=bob&limit=2{after}")).body
        seen += len(page["memories"])
        if page["next"] is None:
            break
        after = f"&cursor={page['next']}"
    assert seen == 6


@pytest.mark.parametrize("path", ["/memories", "/memories/import?user_id=ann"])
@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip"])
async def test_a_coding_that_is_not_taken_is_told_with_those_that_are(
    memory: Served, path: str, coding: str
) -> None:
    answer = await memory.ask("POST", path, {"content": "x"}, Content_Encoding=coding)
    assert answer.status == 415
    assert (answer.body["code"], answer.body["service"]) == (415, "memory")
    assert answer.headers["Accept-Encoding"] == "deflate, gzip"
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("coding", ["identity", "deflate", "gzip", "GZIP"])
async def test_codings_that_are_taken_are_taken(memory: Served, coding: str) -> None:
    said = orjson.dumps({"user_id": "ann", "content": f"I like {coding}"})
    wbits = {"identity": 0, "deflate": 15}.get(coding, 31)
    if wbits:
        packed = zlib.compressobj(wbits=wbits)
        said = packed.compress(said) + packed.flush()
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    async with memory.session.post(f"{memory.url}/memories", data=said, headers=headers) as got:
        assert got.status == 201


# Short lines that are no memories would only be more of them, at 5 us each.
@pytest.mark.parametrize("line", [b"\n", b"{%s}\n" % (b" " * 60)], ids=["blanks", "no memories"])
async def test_a_body_that_unfolds_beyond_reason_is_broken_off(memory: Served, line: bytes) -> None:
    packed = zlib.compressobj(9, wbits=31)
    block = line * (1_000_000 // len(line))
    bomb = b"".join(packed.compress(block) for _ in range(60)) + packed.flush()
    assert len(bomb) < 200_000
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    url = f"{memory.url}/memories/import?user_id=ann"
    async with memory.session.post(url, data=bomb, headers=headers) as got:
        assert (got.status, (await got.json())["code"]) == (413, 413)
    await memory.remember("I like tea")


async def test_an_export_that_was_compressed_comes_in_again(memory: Served) -> None:
    made = [await memory.remember(f"I like tea number {number}") for number in range(50)]
    exported = (await memory.ask("GET", "/memories/export?user_id=ann")).body
    for one in made:
        await memory.ask("DELETE", f"/memories/{one['id']}?user_id=ann")
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    url = f"{memory.url}/memories/import?user_id=ann"
    async with memory.session.post(url, data=gzip.compress(exported), headers=headers) as got:
        assert (await got.json())["deleted"] == 50


@pytest.mark.parametrize("cut", [1, 9, 200])
async def test_a_compressed_import_that_was_cut_short_is_not_taken_for_a_whole_one(
    memory: Served, cut: int
) -> None:
    lines = b"".join(
        orjson.dumps({"id": str(uuid4()), "content": f"I like {uuid4()}", **MADE}) + b"\n"
        for _ in range(300)
    )
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    url = f"{memory.url}/memories/import?user_id=ann"
    packed = gzip.compress(lines)
    async with memory.session.post(url, data=packed[:-cut], headers=headers) as got:
        told = await got.json()
        assert got.status == 400
        assert "ends before" in told["message"]
        assert "were imported until then" in told["message"]
    members = packed + gzip.compress(b"{}\n")  # which may follow one another
    async with memory.session.post(url, data=members, headers=headers) as got:
        told = await got.json()
        assert (got.status, told["imported"] + told["present"], told["lines"]) == (200, 300, 301)


async def test_a_body_that_cannot_be_read_is_no_defect_of_ours(
    memory: Served, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    whole = gzip.compress(orjson.dumps({"user_id": "ann", "content": "tea " * 20_000}))
    for data in (b"not gzip", whole[:-9], whole[:20] + b"x" * 100_000, whole + b"behind it"):
        async with memory.session.post(f"{memory.url}/memories", data=data, headers=headers) as got:
            assert (got.status, (await got.json())["code"]) == (400, 400)
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == []
