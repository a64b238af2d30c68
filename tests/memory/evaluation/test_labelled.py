"""Labelled sets, and the one that comes with the package."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from uaitools.memory.evaluation.labelled import parse, sample

MEMORY = {"kind": "memory", "id": "m1", "user_id": "ana", "content": "a greyhound"}
QUESTION = {"kind": "question", "id": "q1", "user_id": "ana", "query": "dog?", "relevant": ["m1"]}


def lines(*objects: object) -> list[str]:
    return [json.dumps(one) for one in objects]


def test_a_set_is_read_whatever_its_order() -> None:
    read = parse(["", *lines(QUESTION, MEMORY), "\n"])

    assert [memory.content for memory in read.memories] == ["a greyhound"]
    assert [question.relevant for question in read.questions] == [("m1",)]
    assert repr(read) == "<Labelled memories=1 questions=1>"


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ([MEMORY, MEMORY], "line 2: there is a memory 'm1' already"),
        ([MEMORY, QUESTION, QUESTION], "line 3: there is a question 'q1' already"),
        ([QUESTION], "line 1: relevant: user 'ana' has no memory 'm1' in the file"),
        ([{**MEMORY, "user_id": "ben"}, QUESTION], "line 2: relevant: user 'ana' has no memory"),
        ([MEMORY], "there is no question"),
        ([], "there is no question"),
        ([MEMORY, {**QUESTION, "relevant": []}], "line 2: relevant: "),
        ([{**MEMORY, "content": ""}], "line 1: content: "),
        ([{**MEMORY, "content": "a\0"}], "line 1: content: "),
        ([{**MEMORY, "contents": "x"}], "line 1: contents: "),
        ([{"kind": "note"}], "line 1: "),
        (["memory"], "line 1: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(objects: list[object], problem: str) -> None:
    with pytest.raises(ValueError, match=r"line|no question") as error:
        parse(lines(*objects))

    assert str(error.value).startswith(problem)


def test_the_sample_has_three_users_and_every_kind_of_question() -> None:
    labelled = sample()

    assert len(labelled.memories) == 66
    assert len(labelled.questions) == 40
    assert {memory.user_id for memory in labelled.memories} == {"ana", "ben", "mira"}
    kinds = Counter(question.about for question in labelled.questions)
    assert min(kinds[kind] for kind in ("fact", "preference", "identifier", "paraphrase")) >= 4
    assert kinds["update"] >= 3


def test_no_question_of_the_sample_is_answered_by_two_equal_memories() -> None:
    contents = [memory.content for memory in sample().memories]

    assert len(set(contents)) == len(contents)
