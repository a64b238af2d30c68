"""What says the same, and what does not."""

from __future__ import annotations

import pytest

from uaitools.memory.model import twin_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I like tea", "  i LIKE\n Tea "),
        ('Tea, "Milk" (Rum)!', 'tea, "milk" (rum)!'),
        ("ÄRGER", "a\u0308rger"),
        ("ΣΟΦΟΣ", "σοφος"),
    ],
)
def test_blanks_and_the_case_of_words_do_not_matter(one: str, other: str) -> None:
    assert twin_of(None, one) == twin_of(None, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("102", "10²"),
        ("key aBc9X", "key AbC9x"),
        ("an iPhone", "an iphone"),
        ("/home/Ann", "/home/ann"),
        ("MAX_SIZE", "max_size"),
        ("Maße", "Masse"),
        ("tea", "tea!"),
        ("a b", "ab"),
    ],
)
def test_what_says_something_new_is_no_twin(one: str, other: str) -> None:
    assert twin_of(None, one) != twin_of(None, other)


def test_agents_have_twins_of_their_own() -> None:
    assert len({twin_of(agent, "tea") for agent in (None, "a", "a tea", "-")}) == 4
