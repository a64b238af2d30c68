"""How filters are written, whoever applies them."""

from typing import Any

import pytest
from hypothesis import given

from tests.peers import filters as drawn
from uaitools.filters import (
    DEPTH,
    LENGTH,
    PARTS,
    VALUES,
    BadFilter,
    Comparison,
    Joint,
    Not,
    canonical,
    parse,
)


def test_a_filter_is_a_tree_of_comparisons() -> None:
    document = {
        "and": [
            {"in": ["a", [1, True, None]]},
            {"not": {"exists": "b.c"}},
            {"or": [{"prefix": ["a", "x"]}]},
        ]
    }
    assert parse(canonical(document)) == Joint(
        "and",
        (
            Comparison("in", ("a",), (1, True, None)),
            Not(Comparison("exists", ("b", "c"), None)),
            Joint("or", (Comparison("prefix", ("a",), "x"),)),
        ),
    )


@given(drawn.filters, drawn.filters)
def test_filters_have_one_text_exactly_when_they_are_the_same(one: Any, other: Any) -> None:
    assert (canonical(one) == canonical(other)) is (repr(one) == repr(other))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (None, "an object with one key"),
        ([], "an object with one key"),
        ({}, "an object with one key"),
        ({"eq": ["a", 1], "ne": ["a", 1]}, "an object with one key"),
        ({"like": ["a", 1]}, "one of eq, ne, gt, lt, in, prefix, contains, exists, and, or, not"),
        ({"eq": "a"}, "eq has a field and a value"),
        ({"eq": ["a"]}, "eq has a field and a value"),
        ({"eq": ["", 1]}, "a field is a text"),
        ({"eq": [1, 1]}, "a field is a text"),
        ({"eq": ["a" * 257, 1]}, "a text has at most 256 characters"),
        ({"eq": ["a\0", 1]}, "none of them U+0000"),
        ({"eq": ["a", "\0"]}, "none of them U+0000"),
        ({"eq": ["a", {}]}, "eq compares with texts, numbers, true, false and null"),
        ({"eq": ["a", "x" * 257]}, "a text has at most 256 characters"),
        ({"eq": ["a", 1 << 70]}, "64-bit"),
        ({"eq": ["a", "\ud800"]}, "surrogates"),
        ({"in": ["a", "b"]}, "in has a list"),
        ({"in": ["a", [0] * (VALUES + 1)]}, f"at most {VALUES} values"),
        ({"in": ["a", [[]]]}, "in compares with texts"),
        ({"in": ["a", ["x" * 100] * 200]}, f"at most {LENGTH} bytes"),
        ({"prefix": ["a", 1]}, "prefix has a text"),
        ({"gt": ["a", True]}, "gt has a number or a text"),
        ({"lt": ["a", None]}, "lt has a number or a text"),
        ({"contains": ["a", [1]]}, "contains compares with texts"),
        ({"exists": ["a"]}, "a field is a text"),
        ({"and": []}, "and has a list of filters"),
        ({"or": {"eq": ["a", 1]}}, "or has a list of filters"),
        ({"not": [{"eq": ["a", 1]}]}, "an object with one key"),
        ({"and": [{"eq": ["a", 1]}] * PARTS}, f"at most {PARTS} parts"),
    ],
)
def test_what_is_no_filter_is_said_to_be_none(document: object, complaint: str) -> None:
    with pytest.raises(BadFilter) as caught:
        parse(canonical(document))
    assert complaint in str(caught.value)


def test_filters_do_not_stand_in_each_other_for_ever() -> None:
    document: dict[str, Any] = {"eq": ["a", 1]}
    for _ in range(DEPTH - 1):
        document = {"not": document}
    parse(canonical(document))
    with pytest.raises(BadFilter, match="deep"):
        parse(canonical({"not": document}))
