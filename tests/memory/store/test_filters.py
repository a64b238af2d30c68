"""Filters in SQL, beside the hub's, which are the same in Python."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uaitools.hub import filters as hub
from uaitools.memory.filters import DEPTH, PARTS, VALUES, BadFilter, condition
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.sql import Parameters

plain = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.sampled_from(("", "a", "ab"))
)
fields = st.sampled_from(("a", "b", "a.b", "a.b.a"))
documents = st.dictionaries(
    st.sampled_from(("a", "b")),
    st.recursive(
        plain, lambda inner: st.dictionaries(st.sampled_from(("a", "b")), inner), max_leaves=6
    ),
)
ordered = st.integers(-3, 3) | st.sampled_from(("", "a", "ab"))
comparisons = st.one_of(
    st.builds(lambda op, f, v: {op: [f, v]}, st.sampled_from(("eq", "ne")), fields, plain),
    st.builds(lambda op, f, v: {op: [f, v]}, st.sampled_from(("gt", "lt")), fields, ordered),
    st.builds(lambda f, v: {"in": [f, v]}, fields, st.lists(plain, max_size=3)),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda one: {"not": one}, inner),
        st.builds(
            lambda op, several: {op: several},
            st.sampled_from(("and", "or")),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=5,
)


async def fits(scopes: Scopes, wanted: object, *found: dict[str, Any]) -> list[bool]:
    parameters = Parameters([orjson.dumps(one).decode() for one in found])
    where = condition(wanted, parameters)
    async with scopes.everyone() as connection:
        rows = await connection.fetch(
            f"SELECT {where} AS fits FROM unnest($1::text[]::jsonb[]) WITH ORDINALITY"
            " AS rows (metadata, n) ORDER BY n",
            *parameters.values,
        )
    return [row["fits"] for row in rows]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=filters, found=st.lists(documents, min_size=1, max_size=8))
async def test_a_filter_wants_what_the_hubs_wants(
    scopes: Scopes, wanted: dict[str, Any], found: list[dict[str, Any]]
) -> None:
    oracle = hub.compile_filter(wanted)
    assert await fits(scopes, wanted, *found) == [oracle.wants(one) for one in found]


async def test_lists_contain_and_fields_exist(scopes: Scopes) -> None:
    found: list[dict[str, Any]] = [
        {"a": [1, "x", None]},
        {"a": "x"},
        {"a": {"x": 1}},
        {"a": None},
        {},
    ]
    assert await fits(scopes, {"contains": ["a", "x"]}, *found) == [True] + [False] * 4
    assert await fits(scopes, {"contains": ["a", None]}, *found) == [True] + [False] * 4
    assert await fits(scopes, {"exists": "a"}, *found) == [True] * 4 + [False]
    assert await fits(scopes, {"exists": "a.x"}, *found) == [False, False, True, False, False]


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        [],
        {},
        {"eq": ["a", 1], "ne": ["a", 1]},
        {"like": ["a", "x"]},
        {"eq": "a"},
        {"eq": ["a"]},
        {"eq": ["", 1]},
        {"eq": [1, 1]},
        {"eq": ["a", {}]},
        {"eq": ["a\0", 1]},
        {"eq": ["a", "\0"]},
        {"eq": ["a", "x" * 257]},
        {"eq": ["a", 1 << 70]},
        {"in": ["a", 1]},
        {"in": ["a", [[]]]},
        {"in": ["a", [0] * (VALUES + 1)]},
        {"gt": ["a", True]},
        {"gt": ["a", None]},
        {"contains": ["a", [1]]},
        {"exists": ["a"]},
        {"and": []},
        {"or": {"eq": ["a", 1]}},
        {"not": [{"eq": ["a", 1]}]},
        {"and": [{"eq": ["a", 1]}] * PARTS},
    ],
)
def test_what_is_no_filter_is_refused_with_a_reason(wanted: object) -> None:
    with pytest.raises(BadFilter, match=r"[a-z]"):
        condition(wanted, Parameters())


def test_filters_stand_within_each_other_only_so_deep() -> None:
    wanted: object = {"eq": ["a", 1]}
    for _ in range(DEPTH - 1):
        wanted = {"not": wanted}
    assert condition(wanted, Parameters())
    with pytest.raises(BadFilter, match="deep"):
        condition({"not": wanted}, Parameters())
