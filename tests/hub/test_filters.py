import gc
import weakref
from typing import Any

import pytest
from hypothesis import given

from tests.peers import filters as drawn
from uaitools.filters import BadFilter
from uaitools.hub.filters import compile_filter


@given(drawn.filters, drawn.data | drawn.documents)
def test_a_filter_wants_what_it_says(wanted: Any, data: Any) -> None:
    assert compile_filter(wanted).wants(data) is drawn.wanted_by(wanted, data)


@pytest.mark.parametrize("wanted", drawn.each_filter, ids=str)
def test_each_comparison_holds_for_each_kind_of_value(wanted: Any) -> None:
    found = [compile_filter(wanted).wants(one) for one in drawn.each_document]
    assert found == [drawn.wanted_by(wanted, one) for one in drawn.each_document]


@given(drawn.filters, drawn.filters)
def test_filters_have_one_key_exactly_when_they_are_the_same(one: Any, other: Any) -> None:
    first, second = compile_filter(one), compile_filter(other)
    assert (first.key == second.key) is (first is second) is (repr(one) == repr(other))


def test_what_is_no_filter_is_refused() -> None:
    with pytest.raises(BadFilter, match="one of eq, ne"):
        compile_filter({"like": ["a", 1]})


def test_a_filter_is_kept_only_for_as_long_as_somebody_has_it() -> None:
    document = {"eq": ["nobody else has", "this"]}
    wanted = compile_filter(document)
    assert compile_filter(document) is wanted
    seen = weakref.ref(wanted)
    del wanted
    gc.collect()
    assert seen() is None
