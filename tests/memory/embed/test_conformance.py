"""What every embedder does, whatever makes its vectors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from tests.memory.embed.server import DIMENSION, EmbeddingServer
from uaitools.memory.embed.catalogue import embedder
from uaitools.memory.embed.config import EmbedSettings, HashEmbedderSettings, HttpEmbedderSettings
from uaitools.memory.embed.port import Embedder
from uaitools.tasks import spawn

TEXTS = [
    "We have adopted a greyhound.",
    "",
    "The ticket is PAY-2093, and it is open.",
    " \n\t ",
    "Ärger mit 猫 und собака",
    "word " * 700,
    "half a character: \ud83d",
]


@pytest.fixture(params=["static", "hash", "http"])
async def running(
    request: pytest.FixtureRequest, server: EmbeddingServer
) -> AsyncIterator[Embedder]:
    http = HttpEmbedderSettings(url=server.url, model="small", dimension=DIMENSION, batch=2)
    settings = EmbedSettings(use=request.param, http=http, hash=HashEmbedderSettings(dimension=64))
    made = embedder(settings)
    await made.start()
    yield made
    await made.stop()
    await made.stop()


async def test_each_row_is_of_length_one_or_zeros_where_there_is_no_word(running: Embedder) -> None:
    rows = await running.embed(TEXTS)

    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), running.model.dimension)
    lengths = np.linalg.norm(rows, axis=1)
    assert lengths == pytest.approx([1, 0, 1, 0, 1, 1, 1], abs=1e-5)


async def test_a_row_is_that_of_its_text_whatever_texts_are_beside_it(running: Embedder) -> None:
    rows = await running.embed(TEXTS)

    for text, row in zip(TEXTS, rows, strict=True):
        [alone] = await running.embed([text])
        assert alone == pytest.approx(row, abs=1e-6)
    assert not np.allclose(rows[0], rows[2])


async def test_there_are_no_rows_for_no_texts(running: Embedder) -> None:
    assert (await running.embed([])).shape == (0, running.model.dimension)


async def test_it_serves_several_at_a_time(running: Embedder) -> None:
    calls = [spawn(running.embed([f"memory {n}"] * 5), name="embed") for n in range(8)]
    several = await asyncio.gather(*calls)

    for number, rows in enumerate(several):
        [alone] = await running.embed([f"memory {number}"])
        assert np.allclose(rows, alone, atol=1e-6)


async def test_others_have_the_loop_while_many_texts_are_embedded(running: Embedder) -> None:
    many = spawn(running.embed([f"{n} is a number and no word " * 8 for n in range(600)]), name="e")
    turns = 0
    while not many.done():
        await asyncio.sleep(0)
        turns += 1

    assert (await many).shape[0] == 600
    assert turns > 5


async def test_its_model_is_known_and_says_all_that_vectors_depend_on(running: Embedder) -> None:
    model = running.model

    assert str(model) in {
        "static/l2_supercat_256-1/256",
        "hash/1/64",
        f"http/small-1/{DIMENSION}",
    }
    assert str(model) in repr(running)
