"""Texts in their words and identifiers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.memory.analysis.document import document
from uaitools.memory.analysis.query import MOST, distinguishes, query
from uaitools.memory.analysis.words import EXACT, words


def lexemes(text: str) -> list[str]:
    return [one.lexeme for one in words(text)]


def test_others_get_the_whole_package_of_the_stemmer() -> None:
    import snowballstemmer  # noqa: PLC0415 - after ours, which takes one module of it

    assert "german" in snowballstemmer.algorithms()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("running", "runs"),
        ("Connections", "CONNECTED"),
        ("café", "cafe"),
        ("cafe\u0301", "café"),
        ("don\u2019t", "don't"),
        ("ﬁle", "files"),
        ("STRASSE", "straße"),
    ],
)
def test_forms_of_a_word_are_one(one: str, other: str) -> None:
    assert lexemes(one) == lexemes(other)


@pytest.mark.parametrize(
    "identifier",
    [
        "ERR_CONN-4432",
        "v1.2.3",
        "/etc/hosts",
        "C++",
        "C#",
        "ann@example.org",
        "#4711",
        "getUserById",
        "XMLParser",
        "a1b2c3",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "https://example.org/a?b=c#d",
        "🎉",
        "--dry-run",
        "1.000,50",
    ],
)
def test_an_identifier_is_found_as_it_is_written_but_for_case(identifier: str) -> None:
    wanted = EXACT + identifier.casefold()
    for text in (identifier, f"see ({identifier}), now", f'"{identifier}".'):
        assert wanted in lexemes(text)
    asked = query(identifier).lexemes
    assert wanted in asked
    assert set(asked) & set(lexemes(f"see ({identifier.upper()}), now"))


def test_an_identifier_is_found_by_its_parts() -> None:
    assert {"err", "conn", "4432"} <= set(lexemes("ERR_CONN-4432"))
    assert {"get", "user", "id", "getuserbyid"} <= set(lexemes("getUserById"))
    assert {"pars", "html", "file"} <= set(lexemes("parseHTMLFile"))


def test_a_plain_word_is_no_identifier() -> None:
    assert not [one for one in lexemes("It's well, isn't it? (Yes.) NASA!") if one[0] == EXACT]


def test_an_endless_identifier_is_found_and_told_from_one_that_begins_like_it() -> None:
    one, other = "x" * 5000 + "1", "x" * 5000 + "2"
    assert lexemes(one)[0] == query(one).lexemes[0]
    assert lexemes(one)[0] != lexemes(other)[0]
    assert max(map(len, lexemes(one))) < 300


def test_texts_without_blanks_are_found_by_pairs_of_characters() -> None:
    found = lexemes("私は東京に住んでいます。OK")
    assert {"東京", "住ん", "ok"} <= set(found)
    assert set(query("東京").lexemes) <= set(found)


def test_words_stand_one_after_the_other() -> None:
    places = {one.lexeme: one.position for one in words("the quick ERR-1 brown fox")}
    assert places == {"the": 1, "quick": 2, "=err-1": 3, "err": 3, "1": 4, "brown": 5, "fox": 6}


def test_a_query_drops_words_that_say_nothing_unless_there_are_no_others() -> None:
    assert query("what is the name of my dog").lexemes == ("name", "dog")
    assert query("who are you").lexemes == ("who", "are", "you")


def test_phrases_have_to_be_there_word_by_word() -> None:
    found = query('deploy "the blue-green one" now')
    assert found.phrases == (("the", "blue", "green", "one"),)
    assert found.required == "('the' <-> 'blue' <-> 'green' <-> 'one')"
    assert query("no phrase").required is None
    assert query('an empty "" one').required is None


def test_a_query_is_bounded() -> None:
    found = query(" ".join(f"word{number}" for number in range(1000)))
    assert len(found.lexemes) == MOST
    assert not query("... !? ")


@given(st.text(max_size=200))
def test_no_text_breaks_anything_and_all_its_lexemes_are_found_again(text: str) -> None:
    found = list(words(text))
    assert all(one.lexeme and one.position >= 1 for one in found)
    assert [one.position for one in found] == sorted(one.position for one in found)
    assert document(text).length == max((one.position for one in found), default=0)


@pytest.mark.parametrize(
    "text",
    ["F-16", "4521", "C++", "getUserById", "ERR_CONN", "/etc/hosts", "e-mail-2", "example.org"],
)
def test_an_identifier_distinguishes(text: str) -> None:
    assert distinguishes(lexemes(text)[0])


@pytest.mark.parametrize(
    "text",
    ["e-mail", "don't", "mother-in-law's", "café\u2013bar", "12", "3", "-", "—", "🎉", "dog"],
)
def test_joined_words_small_numbers_and_marks_do_not(text: str) -> None:
    assert not any(map(distinguishes, lexemes(text)))


def test_what_a_normal_form_makes_of_a_text_is_bounded() -> None:
    assert document("\ufdfa tea").length == 5  # NFKC makes eighteen characters of one
    assert document("\ufdfa" * 65_536).length < 32 * 1024
