"""Filters in SQL."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.peers import filters as drawn
from uaitools.filters import LENGTH, PARTS, BadFilter
from uaitools.memory.store.filters import condition
from uaitools.memory.store.scope import Scopes
from uaitools.memory.store.sql import Parameters


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
@given(wanted=drawn.filters, found=st.lists(drawn.documents, min_size=1, max_size=8))
async def test_a_filter_wants_what_it_says(
    scopes: Scopes, wanted: dict[str, Any], found: list[dict[str, Any]]
) -> None:
    assert await fits(scopes, wanted, *found) == [drawn.wanted_by(wanted, one) for one in found]


async def test_each_comparison_holds_for_each_kind_of_value(scopes: Scopes) -> None:
    for wanted in drawn.each_filter:
        found = await fits(scopes, wanted, *drawn.each_document)
        assert found == [drawn.wanted_by(wanted, one) for one in drawn.each_document], wanted


async def test_digits_lead_into_no_list(scopes: Scopes) -> None:
    found: list[dict[str, Any]] = [{"a": [1]}, {"a": {"0": 1}}]
    assert await fits(scopes, {"eq": ["a.0", 1]}, *found) == [False, True]


async def test_the_longest_paths_can_be_asked(scopes: Scopes) -> None:
    longest = (LENGTH - 16) // (PARTS - 1) - len('{"prefix":["",""]},')
    wanted = {"or": [{"prefix": [".".join("a" * (longest // 2)), ""]}] * (PARTS - 1)}
    assert await fits(scopes, wanted, {"a": {"a": "x"}}) == [False]


def test_what_is_no_filter_is_refused() -> None:
    with pytest.raises(BadFilter, match="one of eq, ne"):
        condition({"like": ["a", 1]}, Parameters())
