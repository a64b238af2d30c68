import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.filters import DEPTH, PARTS, VALUES, BadFilter, compile_filter

plain = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.sampled_from(("", "a", "ab"))
)
fields = st.sampled_from(("a", "b", "a.b", "a.b.a"))
data = st.recursive(
    plain, lambda inner: st.dictionaries(st.sampled_from(("a", "b")), inner), max_leaves=6
)
ordered = st.integers(-3, 3) | st.sampled_from(("", "a", "ab"))
comparisons = st.one_of(
    st.builds(lambda op, f, v: {op: [f, v]}, st.sampled_from(("eq", "ne")), fields, plain),
    st.builds(lambda f, v: {"in": [f, v]}, fields, st.lists(plain, max_size=4)),
    st.builds(lambda f, v: {"prefix": [f, v]}, fields, st.sampled_from(("", "a", "b"))),
    st.builds(lambda op, f, v: {op: [f, v]}, st.sampled_from(("gt", "lt")), fields, ordered),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda f: {"not": f}, inner),
        st.builds(
            lambda op, fs: {op: fs},
            st.sampled_from(("and", "or")),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=8,
)
MISSING = object()


def lookup(document: Any, path: str) -> Any:
    for step in path.split("."):
        document = document.get(step, MISSING) if isinstance(document, dict) else MISSING
    return document


def kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def same(one: object, other: object) -> bool:
    return kind(one) == kind(other) and one == other


def expected(wanted: Any, document: Any) -> bool:  # noqa: PLR0911 - one for each operator
    """What a filter means, said slowly."""
    [(operator, operand)] = wanted.items()
    match operator:
        case "not":
            return not expected(operand, document)
        case "and":
            return all(expected(one, document) for one in operand)
        case "or":
            return any(expected(one, document) for one in operand)
    found = lookup(document, operand[0])
    value = operand[1]
    match operator:
        case "eq":
            return same(found, value)
        case "ne":
            return not same(found, value)
        case "in":
            return any(same(found, one) for one in value)
        case "prefix":
            return isinstance(found, str) and found[: len(value)] == value
    if kind(found) != kind(value):
        return False
    return bool(found > value) if operator == "gt" else bool(found < value)


@given(filters, data)
def test_a_filter_wants_what_it_says(wanted: Any, document: Any) -> None:
    assert compile_filter(wanted).wants(document) is expected(wanted, document)


@given(filters, filters)
def test_filters_have_one_key_exactly_when_they_are_the_same(one: Any, other: Any) -> None:
    assert (compile_filter(one).key == compile_filter(other).key) is (repr(one) == repr(other))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (None, "an object with one key"),
        ([], "an object with one key"),
        ({}, "an object with one key"),
        ({"eq": ["a", 1], "ne": ["a", 1]}, "an object with one key"),
        ({"like": ["a", 1]}, "one of eq, ne, in, prefix, gt, lt, and, or, not"),
        ({"eq": "a"}, "eq has a field and a value"),
        ({"eq": ["a"]}, "eq has a field and a value"),
        ({"eq": ["", 1]}, "a field is a text"),
        ({"eq": [1, 1]}, "a field is a text"),
        ({"eq": ["a", {}]}, "eq has a text, a number, true, false or null"),
        ({"eq": ["a", "x" * 257]}, "eq has a text"),
        ({"in": ["a", "b"]}, "in has a list"),
        ({"in": ["a", [1] * (VALUES + 1)]}, f"at most {VALUES} values"),
        ({"in": ["a", [[]]]}, "a value is a text"),
        ({"prefix": ["a", 1]}, "prefix has a text"),
        ({"gt": ["a", True]}, "gt has a number, or a text"),
        ({"lt": ["a", None]}, "lt has a number, or a text"),
        ({"and": []}, "and has a list of filters"),
        ({"or": {"eq": ["a", 1]}}, "or has a list of filters"),
        ({"and": [{"eq": ["a", 1]}] * PARTS}, f"at most {PARTS} parts"),
    ],
)
def test_what_is_no_filter_is_said_to_be_none(document: object, complaint: str) -> None:
    with pytest.raises(BadFilter) as caught:
        compile_filter(document)
    assert complaint in str(caught.value)


def test_filters_do_not_stand_in_each_other_for_ever() -> None:
    document: dict[str, Any] = {"eq": ["a", 1]}
    for _ in range(DEPTH - 1):
        document = {"not": document}
    compile_filter(document)
    with pytest.raises(BadFilter, match="deep"):
        compile_filter({"not": document})


def test_a_filter_is_kept_only_for_as_long_as_somebody_has_it() -> None:
    document = {"eq": ["nobody else has", "this"]}
    wanted = compile_filter(document)
    assert compile_filter(document) is wanted
    seen = weakref.ref(wanted)
    del wanted
    gc.collect()
    assert seen() is None
