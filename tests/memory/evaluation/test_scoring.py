"""Scores of modes, as figures and as text."""

from __future__ import annotations

import json as decoding

import pytest

from uaitools.memory.evaluation.labelled import Labelled, LabelledMemory, LabelledQuestion
from uaitools.memory.evaluation.report import Report, json, text
from uaitools.memory.evaluation.scoring import MODES, Answered, Scores, misses, scored

MEMORIES = tuple(
    LabelledMemory(kind="memory", id=name, user_id="ann", content=f"what {name} says " * 20)
    for name in "abcdef"
)


def answered(number: int, relevant: str, *found: str, about: str = "x") -> Answered:
    question = LabelledQuestion(
        kind="question",
        id=f"q{number}",
        user_id="ann",
        query=f"question {number}?",
        relevant=tuple(relevant),
        about=about,
    )
    return Answered(question, frozenset(relevant), dict(zip(MODES, found, strict=True)))


ANSWERS = [
    answered(1, "a", "abc", "bac", "abc"),
    answered(2, "ab", "c", "bca", "cba"),
    answered(3, "d", "", "abc", "abc", about="y"),
]


def of(k: int = 3) -> Scores:
    return scored(ANSWERS, k)


def test_each_mode_has_its_recall_and_its_reciprocal_rank() -> None:
    modes = of().modes
    means = {mode: {name: one.mean for name, one in by.items()} for mode, by in modes.items()}
    assert means == {
        "lexical": pytest.approx({"recall@1": 1 / 3, "recall@3": 1 / 3, "MRR": 1 / 3}),
        "vector": pytest.approx({"recall@1": 0.5 / 3, "recall@3": 2 / 3, "MRR": 1.5 / 3}),
        "hybrid": pytest.approx({"recall@1": 1 / 3, "recall@3": 2 / 3, "MRR": 1.5 / 3}),
    }
    assert all(one.low <= one.mean <= one.high for by in modes.values() for one in by.values())


def test_gains_are_differences_question_by_question() -> None:
    gains = of().gains
    assert set(gains) == {"lexical", "vector"}
    assert gains["lexical"]["MRR"].mean == pytest.approx(0.5 / 3)
    ranks = gains["vector"]["MRR"]
    assert ranks.mean == pytest.approx(0.0)
    assert (ranks.low, ranks.high) == (-0.5, 0.5)  # of the differences 1/2, -1/2 and 0


@pytest.mark.parametrize(
    ("k", "names"),
    [
        (1, ["recall@1", "MRR"]),
        (4, ["recall@1", "recall@4", "MRR"]),
        (5, ["recall@1", "recall@5", "MRR"]),
        (20, ["recall@1", "recall@5", "recall@20", "MRR"]),
    ],
)
def test_recall_is_that_of_as_many_as_were_asked_for(k: int, names: list[str]) -> None:
    assert list(of(k).modes["hybrid"]) == names


def test_kinds_of_questions_are_told_apart() -> None:
    kinds = of().kinds
    assert [(about, kind.questions) for about, kind in kinds.items()] == [("x", 2), ("y", 1)]
    assert kinds["x"].mrr == pytest.approx({"lexical": 0.5, "vector": 0.75, "hybrid": 0.75})


def test_misses_are_what_hybrid_did_not_put_first_the_worst_first() -> None:
    assert [one.question.id for one in misses(ANSWERS)] == ["q3", "q2"]


def test_a_report_says_the_same_as_text_and_as_json() -> None:
    questions = tuple(one.question for one in ANSWERS)
    report = Report(Labelled(MEMORIES, questions), "e/1/8", "local", 3, of(), misses(ANSWERS))
    table = text(report)
    assert table.startswith("6 memories of 1 users, 3 questions; e/1/8, local index; 3 memories")
    lines = table.splitlines()
    [row] = [line for line in lines if line.startswith("hybrid")]
    ranks = of().modes["hybrid"]["MRR"]
    assert row.endswith(f"{ranks.mean:.3f} [{ranks.low:.3f}, {ranks.high:.3f}]")
    assert "  its place: lexical -, vector 1, hybrid 2" in lines
    assert max(map(len, lines)) <= 160
    assert "q1" not in table
    document = decoding.loads(json(report))
    assert document["modes"]["hybrid"]["MRR"]["mean"] == ranks.mean
    assert document["gains"]["vector"]["recall@1"]["mean"] == pytest.approx(1 / 6)
    assert [one["id"] for one in document["misses"]] == ["q3", "q2"]
    assert document["misses"][0]["ranks"] == {"lexical": None, "vector": None, "hybrid": None}
