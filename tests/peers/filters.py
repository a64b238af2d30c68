"""Filters to be drawn by hypothesis, what they are asked of, and what they mean, said slowly."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

from hypothesis import strategies as st

plain: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.sampled_from(("", "a", "ab", "é", "\U0001f600")),
)
_names: Final = st.sampled_from(("a", "b", "0"))
_fields: Final = st.sampled_from(("a", "b", "a.b", "a.b.a", "a.0", "a..b", "0.-1"))
data: Final = st.recursive(
    plain,
    lambda inner: st.dictionaries(_names, inner) | st.lists(inner, max_size=3),
    max_leaves=6,
)
documents: Final = st.dictionaries(_names, data)
_ordered: Final = st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from(("", "a", "ab", "é"))
_comparisons: Final = st.one_of(
    st.builds(
        lambda op, f, v: {op: [f, v]}, st.sampled_from(("eq", "ne", "contains")), _fields, plain
    ),
    st.builds(lambda op, f, v: {op: [f, v]}, st.sampled_from(("gt", "lt")), _fields, _ordered),
    st.builds(lambda f, v: {"in": [f, v]}, _fields, st.lists(plain, max_size=4)),
    st.builds(lambda f, v: {"prefix": [f, v]}, _fields, st.sampled_from(("", "a", "b", "é"))),
    st.builds(lambda f: {"exists": f}, _fields),
)
filters: Final = st.recursive(
    _comparisons,
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
_VALUES: Final = (None, False, True, 0, 1, 1.0, -0.5, "", "a", "ab", "b", "é")
_LISTS: Final = ([], [[]], [["a"]], {}, {"a": 1}, *([one] for one in _VALUES), [1, "a", True, None])
_OF_EACH: Final = {"eq": _VALUES, "ne": _VALUES, "contains": _VALUES, "prefix": ("", "a", "é")}
_LIMITS: Final = (0, 1, 1.0, -0.5, "", "a", "é")
each_filter: Final[list[Any]] = [
    {"exists": "a"},
    *({"in": ["a", list(several)]} for several in (*combinations(_VALUES, 2), ())),
    *({op: ["a", one]} for op, values in _OF_EACH.items() for one in values),
    *({op: ["a", one]} for op in ("gt", "lt") for one in _LIMITS),
]
"""Every comparison with every kind of value."""
each_document: Final[list[Any]] = [{}, {"b": 1}, *({"a": one} for one in (*_VALUES, *_LISTS))]
_MISSING: Final = object()


def wanted_by(document: Any, found: Any) -> bool:
    """Whether the filter that a document says wants what was found."""
    [(operator, operand)] = document.items()
    match operator:
        case "not":
            return not wanted_by(operand, found)
        case "and":
            return all(wanted_by(one, found) for one in operand)
        case "or":
            return any(wanted_by(one, found) for one in operand)
        case "exists":
            return _lookup(found, operand) is not _MISSING
    field, value = operand
    return _compares(operator, _lookup(found, field), value)


def _compares(operator: str, found: Any, value: Any) -> bool:  # noqa: PLR0911 - one for each
    match operator:
        case "eq":
            return _same(found, value)
        case "ne":
            return not _same(found, value)
        case "in":
            return any(_same(found, one) for one in value)
        case "contains":
            return isinstance(found, list) and any(_same(one, value) for one in found)
        case "prefix":
            return isinstance(found, str) and found[: len(value)] == value
    if _kind(found) != _kind(value):
        return False
    return bool(found > value) if operator == "gt" else bool(found < value)


def _lookup(found: Any, field: str) -> Any:
    for step in field.split("."):
        found = found.get(step, _MISSING) if isinstance(found, dict) else _MISSING
    return found


def _same(one: object, other: object) -> bool:
    return _kind(one) == _kind(other) and one == other


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__
