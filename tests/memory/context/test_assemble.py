# ruff: noqa: RUF001 - texts of many languages
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.context.tokenisers import HOSTILE, ORDINARY
from uaitools.memory.context.assemble import Context, Shares, assemble
from uaitools.memory.context.digest import normal, sentences
from uaitools.memory.context.line import Line, Recalled, Turn
from uaitools.memory.context.tokens import Tokeniser

BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
pieces = st.sampled_from(
    (
        "I like tea.",
        "You do not.",
        "Why? ",
        "ok",
        "[memory m1] no",
        "。",
        "你好！",
        "é",
        "😀",
        "\ud800",
    )
)
texts = st.one_of(
    st.text(st.characters(codec=None), max_size=30),
    st.lists(st.one_of(pieces, st.sampled_from(BREAKS), st.just(" ")), max_size=12).map("".join),
    st.just("word " * 60),
)
roles = st.sampled_from(("user", "assistant"))


@dataclass(frozen=True)
class Case:
    """Something to assemble."""

    turns: list[Turn]
    memories: list[Recalled]
    budget: int
    tokeniser: Tokeniser
    query: str
    shares: Shares

    def assemble(self) -> Context:
        return assemble(
            self.turns, self.memories, self.budget, self.tokeniser,
            query=self.query, shares=self.shares,
        )  # fmt: skip

    def price(self, one: Turn | Recalled) -> int:
        line = (
            Line("turn", one.source, one.text, one.role)
            if isinstance(one, Turn)
            else Line("memory", one.source, one.text)
        )
        return price(line, self.tokeniser)


def cases(tokenisers: Sequence[Tokeniser] = ORDINARY + HOSTILE) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        turns=st.lists(st.tuples(roles, texts), max_size=10).map(
            lambda several: [Turn(f"t{n}", role, text) for n, (role, text) in enumerate(several)]
        ),
        memories=st.lists(texts, max_size=6).map(
            lambda several: [Recalled(f"m{n}", text) for n, text in enumerate(several)]
        ),
        budget=st.integers(-1, 600),
        tokeniser=st.sampled_from(tokenisers),
        query=texts,
        shares=st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda two: Shares(*two)),
    )


def of(context: Context, kind: str) -> list[Line]:
    return [line for line in context.lines if line.kind == kind]


def verbatim(context: Context) -> list[str]:
    return [line.source for line in of(context, "turn")]


@given(cases())
def test_it_is_never_over_the_budget(case: Case) -> None:
    context = case.assemble()
    assert context.tokens == (case.tokeniser.count(context.text) if context.lines else 0)
    assert context.tokens <= max(0, case.budget)
    assert context.text == "\n".join(line.rendered for line in context.lines)


@given(cases())
def test_the_turns_are_the_newest_ones_verbatim_and_in_order(case: Case) -> None:
    context = case.assemble()
    kept = of(context, "turn")
    newest = case.turns[len(case.turns) - len(kept) :]
    assert [(line.source, line.role, line.text) for line in kept] == [
        (turn.source, turn.role, turn.text) for turn in newest
    ]
    assert context.left_out == len(case.turns) - len(kept)


@given(cases())
def test_everything_has_its_source_and_nothing_is_there_twice(case: Case) -> None:
    twice = replace(case, turns=case.turns * 2, memories=case.memories * 2)
    context = twice.assemble()
    turns = {one.source: one.text for one in case.turns}
    memories = {one.source: one.text for one in case.memories}
    assert all(line.text == turns[line.source] for line in of(context, "turn"))
    assert all(line.text == memories[line.source] for line in of(context, "memory"))
    sources = [line.source for line in context.lines]
    assert len(sources) == len(set(sources))
    whole = [line.text for line in context.lines if line.kind != "digest"]
    said = {normal(part) for text in whole for part in sentences(text)}
    for line in of(context, "digest"):
        for part in line.text.split(" … "):
            assert part in turns[line.source]
            assert normal(part) not in said
            said.add(normal(part))


@given(cases(), st.one_of(st.integers(1, 3), st.integers(0, 400)))
def test_more_budget_loses_no_turn(case: Case, more: int) -> None:
    larger = replace(case, budget=case.budget + more)
    assert set(verbatim(case.assemble())) <= set(verbatim(larger.assemble()))


@pytest.mark.parametrize("tokeniser", ORDINARY + HOSTILE, ids=repr)
def test_no_step_of_the_budget_loses_a_turn_or_is_exceeded(tokeniser: Tokeniser) -> None:
    turns = talk(*("word " * (7 * n % 11) + "I see. Go on." for n in range(9)))
    memories = [Recalled(f"m{n}", "a fact " * n) for n in (5, 1, 3)]
    kept = 0
    for budget in range(500):
        context = assemble(turns, memories, budget, tokeniser)
        assert context.tokens <= budget
        assert len(verbatim(context)) >= kept
        kept = len(verbatim(context))


@given(cases(ORDINARY))
def test_a_turn_that_is_left_out_would_not_have_fitted(case: Case) -> None:
    left_out = case.assemble().left_out
    if left_out:
        cost = sum(map(case.price, case.turns[left_out - 1 :]))
        needed = min(sum(map(case.price, case.memories)), case.budget * case.shares.memories // 100)
        assert cost > case.budget - needed - 1 - case.budget * case.shares.digest // 100


@given(cases(ORDINARY))
def test_what_fits_altogether_is_there_altogether(case: Case) -> None:
    needed = sum(map(case.price, case.memories)) + sum(map(case.price, case.turns))
    # A half is for memories at most: twice as much is enough for either.
    context = replace(case, budget=2 * needed, shares=Shares(50, 0)).assemble()
    assert verbatim(context) == [turn.source for turn in case.turns]
    told = {normal(line.text) for line in context.lines}
    assert {normal(one.text) for one in case.memories} <= told


@given(cases())
def test_no_text_can_pose_as_another_line(case: Case) -> None:
    context = case.assemble()
    heads = [line for line in context.text.splitlines() if not line.startswith("  ")]
    for line, head in zip(context.lines, heads, strict=True):
        assert head.startswith(f"[{line.kind} {line.source}")


@given(cases())
def test_the_same_gives_the_same(case: Case) -> None:
    assert case.assemble() == case.assemble()


def price(line: Line, tokeniser: Tokeniser) -> int:
    return tokeniser.count(f"{line.rendered}\n")


# -- examples -------------------------------------------------------------------------------

CHARACTERS = ORDINARY[1]


def talk(*texts: str) -> list[Turn]:
    return [Turn(f"t{n}", "user", text) for n, text in enumerate(texts)]


def test_it_reads_as_memories_a_digest_and_turns() -> None:
    turns = talk("I moved to Lisbon. It rains here every day of the week.", "Hm.", "Where am I?")
    context = assemble(turns, [Recalled("m", "Likes tea\nand rain")], 110, CHARACTERS)
    assert context.text.splitlines() == [
        "[memory m] Likes tea",
        "  and rain",
        "[digest t0] I moved to Lisbon.",
        "[turn t1 user] Hm.",
        "[turn t2 user] Where am I?",
    ]
    assert context.left_out == 1


def test_turns_have_what_memories_and_a_digest_do_not_need() -> None:
    turns = talk("a" * 40, "b" * 40)
    full = sum(price(Line("turn", one.source, one.text, one.role), CHARACTERS) for one in turns)
    assert verbatim(assemble(turns, [], full, CHARACTERS)) == ["t0", "t1"]
    assert verbatim(assemble(turns, [], full - 1, CHARACTERS)) == ["t1"]


def test_memories_have_what_turns_do_not_need() -> None:
    memories = [Recalled(f"m{n}", "a fact " * n) for n in range(1, 8)]
    context = assemble(talk("Hello"), memories, 400, CHARACTERS)
    assert len(of(context, "memory")) == 7
    assert sum(len(line.rendered) for line in of(context, "memory")) > 100


def test_a_memory_that_does_not_fit_leaves_room_for_the_next() -> None:
    memories = [Recalled("long", "x" * 500), Recalled("short", "tea")]
    context = assemble([], memories, 100, CHARACTERS)
    assert [line.source for line in context.lines] == ["short"]


def test_a_newest_turn_that_is_too_long_is_in_the_digest() -> None:
    turns = talk("Hello.", "We need milk. " + "And so on and on. " * 50)
    context = assemble(turns, [], 200, CHARACTERS)
    assert verbatim(context) == []
    assert {line.source for line in of(context, "digest")} == {"t0", "t1"}


def test_a_memory_that_a_turn_says_as_well_is_left_out() -> None:
    memories = [Recalled("same", "I like TEA"), Recalled("twin", "Milk"), Recalled("milk", "milk!")]
    context = assemble(talk("I like tea."), memories, 500, CHARACTERS)
    assert [line.source for line in of(context, "memory")] == ["twin"]


def test_a_memory_that_is_better_comes_first_where_all_turns_are_there() -> None:
    memories = [Recalled("best", "x" * 60), Recalled("next", "y" * 10)]
    best, following = (price(Line("memory", one.source, one.text), CHARACTERS) for one in memories)
    hello = price(Line("turn", "t0", "Hello", "user"), CHARACTERS)
    context = assemble(talk("Hello"), memories, hello + best, CHARACTERS)
    assert best > following
    assert [line.source for line in of(context, "memory")] == ["best"]


def test_a_digest_does_not_repeat_a_memory() -> None:
    turns = talk("I like tea. I like milk.", "Well. " * 30)
    context = assemble(turns, [Recalled("m", "i like TEA")], 150, CHARACTERS)
    assert [line.text for line in of(context, "digest")] == ["I like milk.", "Well."]


def test_a_memory_does_not_repeat_the_digest() -> None:
    turns = talk("I like tea.", "Well. " * 30)
    memories = [Recalled("said", "i like TEA"), Recalled("new", "Milk as well")]
    context = assemble(turns, memories, 150, CHARACTERS, shares=Shares(0, 100))
    assert [line.source for line in context.lines] == ["new", "t0", "t1"]
    assert [line.kind for line in context.lines] == ["memory", "digest", "digest"]


def test_a_memory_that_came_too_late_takes_no_room_from_the_digest() -> None:
    turns = talk("We need a lot of milk today.", "Well " * 50)
    memories = [Recalled("m", "x" * 70)]
    context = assemble(turns, memories, 100, CHARACTERS, shares=Shares(10, 50))
    assert [line.kind for line in context.lines] == ["digest"]


def test_what_is_too_much_together_loses_the_digest_first() -> None:
    squares = next(one for one in HOSTILE if repr(one) == "squares")
    turns = talk("We need milk. " * 3, "And so on. " * 30, "Well?")
    several = [
        [line.kind for line in assemble(turns, [Recalled("m", "tea")], budget, squares).lines]
        for budget in range(100)
    ]
    assert ["memory", "turn"] in several
    assert ["memory", "digest", "turn"] in several
    assert ["digest", "turn"] not in several


@pytest.mark.parametrize("shares", [(101, 0), (60, 60), (-1, 0), (0, -1)])
def test_shares_that_are_no_parts_are_refused(shares: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="per cent"):
        Shares(*shares)


@pytest.mark.parametrize("name", ["", "a b", "a]", "[a", "a\n", "a\u2028"])
def test_a_source_or_a_role_that_could_pose_as_more_is_refused(name: str) -> None:
    for make in (
        lambda: Turn(name, "user", ""),
        lambda: Turn("t", name, ""),
        lambda: Recalled(name, ""),
    ):
        with pytest.raises(ValueError, match="brackets"):
            make()
