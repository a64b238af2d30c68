# ruff: noqa: RUF001 - texts of many languages
from hypothesis import given
from hypothesis import strategies as st

from uaitools.memory.context.digest import CONSIDERED, digest, normal, sentences, words
from uaitools.memory.context.line import Line, Turn

TALK = (
    "I am planning a trip to Japan in April. My sister comes with me.",
    "How nice! April is a good month.",
    "We want to see the cherry trees in Kyoto. The trip to Japan is planned for April.",
    "Kyoto has many gardens.",
    "By the way, my cat is ill. The vet says it is the kidneys.",
    "I am sorry to hear that. Ok.",
)


def turns(*texts: str) -> list[Turn]:
    return [Turn(f"t{number}", "my", text) for number, text in enumerate(texts)]


def length(line: Line) -> int:
    return len(line.rendered) + 1


def told(*texts: str, budget: int, query: str = "") -> list[str]:
    return [line.text for line in digest(turns(*texts), budget, length, query=query).lines]


def test_sentences_end_where_one_would_say_so() -> None:
    text = 'Is it 3.5 km? Yes, e.g. by car... "No!" He left.\nA list:\n- one\n\n你好。再见！Ok.'
    assert list(sentences(text)) == [
        "Is it 3.5 km?",
        "Yes, e.g. by car...",
        '"No!"',
        "He left.",
        "A list:",
        "- one",
        "你好。",
        "再见！",
        "Ok.",
    ]


def test_words_are_without_case_and_characters_where_there_are_no_spaces() -> None:
    assert words("Straße, my_id=4 你好abc!") == [
        "strasse",
        "my",
        "id",
        "4",
        "你",
        "好",
        "abc",
    ]


@given(st.text(st.characters(codec=None), max_size=300))
def test_sentences_are_parts_of_the_text_in_order_and_leave_out_no_word(text: str) -> None:
    at = 0
    parts = list(sentences(text))
    for part in parts:
        at = text.index(part, at) + len(part)
    assert [word for part in parts for word in words(part)] == words(text)


def test_what_is_said_twice_is_told_once() -> None:
    lines = told("The bill is due on Monday.", "the BILL is due, on Monday", budget=500)
    assert lines == ["the BILL is due, on Monday"]


def test_a_repetition_comes_after_what_is_new() -> None:
    plan = "We plan a long trip to Japan in April."
    again = "A long trip to Japan in April is what we plan now."
    other = "The cat has to see a vet before."
    whole = told(plan, again, other, budget=500)
    assert sorted(whole) == sorted([plan, again, other])
    some = told(plan, again, other, budget=len(plan) + len(again) + 30)
    assert other in some
    assert len(some) == 2


def test_a_query_brings_up_what_it_asks_for() -> None:
    assert "vet" in " ".join(told(*TALK, budget=60, query="What did the vet say of the kidneys?"))
    assert "vet" not in " ".join(told(*TALK, budget=60))


def test_sentences_of_one_turn_are_one_line_in_their_order() -> None:
    lines = digest(turns(*TALK), 10_000, length).lines
    assert [line.source for line in lines] == [f"t{number}" for number in range(6)]
    assert lines[0].text == "I am planning a trip to Japan in April. … My sister comes with me."


def test_there_is_none_where_nothing_was_said() -> None:
    assert told("", "...", "!?\n\n", "🙂", budget=500) == []
    assert told(*TALK, budget=0) == []


def test_of_a_long_conversation_the_newest_is_considered() -> None:
    texts = [f"Sentence number{number} says item{number}." for number in range(CONSIDERED + 100)]
    lines = digest(turns(*texts), 1000, length).lines
    assert lines
    assert all(int(line.source[1:]) >= 100 for line in lines)


@given(st.lists(st.sampled_from(TALK), max_size=8), st.integers(-5, 400))
def test_it_costs_no_more_than_it_may(texts: list[str], budget: int) -> None:
    found = digest(turns(*texts), budget, length)
    assert sum(map(length, found.lines)) <= max(0, budget)
    assert found == digest(turns(*texts), budget, length)


@given(st.lists(st.sampled_from(TALK), max_size=8), st.sets(st.sampled_from(TALK)))
def test_it_knows_what_it_says_and_says_nothing_that_was_said(
    texts: list[str], before: set[str]
) -> None:
    said = {normal(part) for text in before for part in sentences(text)}
    found = digest(turns(*texts), 10_000, length, said=said)
    told = [normal(part) for line in found.lines for part in line.text.split(" … ")]
    assert sorted(told) == sorted(found.said)
    assert found.said == {normal(p) for text in texts for p in sentences(text)} - said
