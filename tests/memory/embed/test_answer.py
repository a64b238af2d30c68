"""What an embeddings server may answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.memory.embed.answer import BadAnswer, largest, vectors
from uaitools.memory.embed.port import Matrix

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False) | st.integers(-(10**9), 10**9)


def read(body: bytes, count: int, dimension: int) -> Matrix:
    rows = np.zeros((count, dimension), dtype=np.float32)
    for _ in vectors(body, rows):
        pass
    return rows


def entries(*embeddings: Any) -> list[dict[str, Any]]:
    return [{"index": index, "embedding": one} for index, one in enumerate(embeddings)]


def body(data: object, **others: object) -> bytes:
    return json.dumps({"data": data, **others}).encode()


@given(data=st.data(), count=st.integers(1, 6), dimension=st.integers(1, 5))
def test_vectors_are_put_where_their_index_says_with_length_one(
    data: st.DataObject, count: int, dimension: int
) -> None:
    embeddings = data.draw(
        st.lists(
            st.lists(NUMBERS, min_size=dimension, max_size=dimension),
            min_size=count,
            max_size=count,
        )
    )
    shuffled = data.draw(st.permutations(entries(*embeddings)))

    rows = read(body(shuffled, model="any", usage={}), count, dimension)

    for row, embedding in zip(rows, embeddings, strict=True):
        length = sum(float(number) ** 2 for number in embedding) ** 0.5
        if length > 1e-15:
            assert row == pytest.approx([number / length for number in embedding], abs=1e-5)


BAD = {
    "not JSON": b"<html>",
    "nothing": b"",
    "no object": b"[]",
    "no data": b"{}",
    "data no list": body({}),
    "entries no objects": body([[1.0, 2.0], [3.0, 4.0]]),
    "one too few": body(entries([1.0, 2.0])),
    "one too many": body(entries([1, 2], [3, 4], [5, 6])),
    "an index twice": body([{"index": 0, "embedding": [1, 2]}] * 2),
    "an index too high": body([*entries([1, 2]), {"index": 2, "embedding": [1, 2]}]),
    "an index below zero": body([*entries([1, 2]), {"index": -1, "embedding": [1, 2]}]),
    "an index that is true": body([*entries([1, 2]), {"index": True, "embedding": [1, 2]}]),
    "no index": body([*entries([1, 2]), {"embedding": [1, 2]}]),
    "no embedding": body([*entries([1, 2]), {"index": 1}]),
    "another dimension": body(entries([1, 2], [1, 2, 3])),
    "text": body(entries([1, 2], "AACAPwAAAEA=")),
    "text for a number": body(entries([1, 2], [1, "2"])),
    "null for a number": body(entries([1, 2], [1, None])),
    "true for a number": body(entries([1, 2], [1.0, True])),
    "a list for a number": body(entries([1, 2], [1, [2]])),
    "not a number": body(entries([1, 2], [1, float("nan")])),
    "infinity": body(entries([1, 2], [1, float("inf")])),
    "a number beyond all": body(entries([1, 2], [1, 0.5])).replace(b"0.5", b"1e999"),
    "a number whose square is": body(entries([1, 2], [1, 1e200])),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_what_is_not_whole_and_sound_is_refused(answer: bytes) -> None:
    with pytest.raises(BadAnswer) as refused:
        read(answer, 2, 2)

    assert "AACAPw" not in str(refused.value)


@given(st.integers(1, 256), st.integers(1, 4_096))
def test_an_answer_at_full_length_is_within_the_bound(count: int, dimension: int) -> None:
    number = len("-1.2345678901234567e-308,\n     ")

    assert count * (dimension * number + 100) <= largest(count, dimension)
