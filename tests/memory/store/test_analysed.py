"""Texts are analysed beside whatever else the loop does."""

from __future__ import annotations

import asyncio

import pytest

from uaitools.memory.analysis.document import document
from uaitools.memory.store.analysed import analysed
from uaitools.tasks import spawn

PHRASE = "\ufdfa"  # NFKC makes eighteen characters of it, four words


async def turns_during(*texts: str) -> int:
    """How many turns others have while texts are analysed."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = spawn(others(), name="others")
    found = await analysed(*texts)
    task.cancel()
    assert found == [document(one) for one in texts]
    return turns


@pytest.mark.parametrize(
    "texts",
    [
        (" ".join(f"word{number}" for number in range(7000)),),
        ("-".join(f"word{number}" for number in range(7000)),),
        (PHRASE * 65_536,),
        tuple(f"a short text number {number}" for number in range(1000)),
    ],
    ids=["words", "one identifier", "phrases", "many"],
)
async def test_others_have_their_turns_while_texts_are_analysed(texts: tuple[str, ...]) -> None:
    assert await turns_during(*texts) > 5


async def test_a_short_text_is_analysed_at_once() -> None:
    assert await turns_during("I like tea") == 0
