"""Identifiers among many memories that are much alike: who asks for one gets what has it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.memory.api.served import Served, served
from tests.peers.postgres import PostgresServer

IDENTIFIERS = (
    *("#4521", "F-16", "1,234.56", "ERR_CONN-4432", "getUserById", "v1.2.3", "/etc/hosts", "C++"),
    *("C#", "ann@example.org", "XMLParser", "a1b2c3", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    *("https://example.org/a?b=c#d", "--dry-run", "1.000,50", "0x7fffe0", "2001:db8::1", "@anna"),
    *("10.0.0.17", "JIRA-1204", "sha256:9f86d081", "libssl.so.3", "snake_case_name", "$HOME"),
    *("user.profile.id", "C:\\Temp\\x.log", "+49-89-1234", "INV/2024/077", "k8s", "us-east-1b"),
    *("2024-05-17T10:00", "E1101", "4711"),
)
PHRASES = (
    "{}",
    "what happened with {} the other day?",
    "the service has worked on a request for the customer, was that {}?",
)
PADDING = "the service worked on a request for the customer the other day and nothing happened. "
LAST = "Q-77/b"


@pytest.fixture(params=["hash", "static"])
async def crowd(
    request: pytest.FixtureRequest, postgres: PostgresServer
) -> AsyncIterator[tuple[Served, dict[str, str]]]:
    """2,000 memories that say nearly the same, and one for each identifier; by its id."""
    texts = [
        f"the service worked on request {n} for customer {n % 70}" for n in range(10_000, 12_000)
    ]
    texts += [f"the archive of the warehouse mentions {one} in passing" for one in IDENTIFIERS]
    texts.append(PADDING * (60_000 // len(PADDING)) + LAST)
    ids = {}
    async with served(postgres, embed={"use": request.param}) as memory:
        for start in range(0, len(texts), 1_000):
            batch = [{"user_id": "ann", "content": one} for one in texts[start : start + 1_000]]
            answer = await memory.ask("POST", "/memories/batch", {"memories": batch})
            for one, result in zip(batch, answer.body["results"], strict=True):
                ids[one["content"]] = result["memory"]["id"]
        await memory.followed()
        named = dict(zip((*IDENTIFIERS, LAST), texts[2_000:], strict=True))
        yield memory, {one: ids[text] for one, text in named.items()}


async def test_what_has_the_identifier_is_first_however_it_is_asked_for(
    crowd: tuple[Served, dict[str, str]],
) -> None:
    memory, ids = crowd
    lost = []
    for identifier, name in ids.items():
        for mode in ("hybrid", "lexical"):
            for phrase in PHRASES:
                query = phrase.format(identifier)
                first = (await memory.search(query, mode=mode, limit=1, explain=True))[0]
                if first["id"] != name or first["explain"]["lexical"] != 1.0:
                    lost.append((mode, query, first["content"][:60], first["explain"]))
    assert lost == []


async def test_what_is_found_by_words_alone_has_the_meaning_that_it_has(
    crowd: tuple[Served, dict[str, str]],
) -> None:
    memory, ids = crowd
    query = PHRASES[2].format("F-16")
    [first] = await memory.search(query, limit=1, explain=True)
    assert first["id"] == ids["F-16"]
    near = await memory.search(query, mode="vector", limit=100)
    assert first["id"] not in {one["id"] for one in near[:50]}
    assert 0 < first["explain"]["vector"] <= near[49]["score"]
