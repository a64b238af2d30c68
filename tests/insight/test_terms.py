"""What repositories are found by, as PostgreSQL is told; its searches are in store/test_search."""

from __future__ import annotations

import pytest

from uaitools.insight.terms import LONGEST, MOST, document, name_words, query, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Fast Web-server, 3.11!", ["fast", "web", "server", "3", "11"]),
        ("Größe GROSSE ﬁne", ["grösse", "grosse", "fine"]),
        ("全文検索x", ["全文", "文検", "検索", "x"]),
        ("字", ["字"]),
        ("snake_case", ["snake", "case"]),
        ("", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert list(words(text)) == found


def test_names_are_taken_apart_at_their_humps() -> None:
    assert set(name_words("ann/fastAPI2HTTPServer_x")) == {
        *("ann", "fastapi2httpserver", "x", "fast", "api", "2", "http", "server"),
    }


def test_a_document_has_words_parts_a_language_and_magnitudes() -> None:
    told = document("a/Lib", "It's", "C++", 1234)
    assert told.split() == [
        *("'a'", "'lib'", "'it'", "'s'", "'~a/l'", "'~/li'", "'~lib'", "'~a/li'", "'~/lib'"),
        *("'#C++'", "'*1'", "'*2'", "'*3'"),
    ]
    assert "*" not in document("a/b", "", None, 9)
    assert "*" not in document("a/b", "", None, None)


def test_a_query_is_all_terms_each_in_words_or_in_a_name() -> None:
    assert query("Lib") == "(('lib') | ('~lib'))"
    assert query("a/lib") == "(('a' & 'lib') | ('~a/li' & '~/lib'))"
    assert query("go", "C++", 1000) == "(('go')) & '#C++' & '*3'"
    assert query("go", min_stars=9) == "(('go'))"
    assert query("it's") == "(('it' & 's') | ('~it''s'))"


@pytest.mark.parametrize("text", ["", "  ", "- +", "\0"])
def test_a_query_without_terms_is_none(text: str) -> None:
    assert query(text, "Go", 10) == ""


def test_queries_and_lexemes_are_bounded() -> None:
    assert query("a " * 1000).count("'a'") == MOST
    assert len(query("x" * 10_000)) < 4 * LONGEST
    assert max(map(len, document("a/b", "y" * 5000).split())) == LONGEST + 2
