from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.insight.rankings import cells


@given(st.integers(0, cells.MOST), st.sampled_from(["", ".", ".0", ".00"]))
def test_a_count_is_read_in_each_way_it_is_written(number: int, end: str) -> None:
    for written in (
        f"{number}",
        f"{number:,}",
        f"{number:_}",
        f"{number:,}".replace(",", "\u00a0"),
    ):
        assert cells.count(f" {written}{end} ") == number


@pytest.mark.parametrize("cell", ["", " ", "None", "nan", "NaN", "null", "-", "N/A"])
def test_a_missing_count_is_not_zero(cell: str) -> None:
    assert cells.count(cell) is None


@pytest.mark.parametrize(
    "cell",
    [
        "-1", "+1", "1.5", "1.234", "1e5", "12,34", "1,234_567", ",123", "12k", "0x10", "1 2",
        "\u0661\u0662", "\u00b2", "inf", "100000001", "9" * 400, "100000001.0", "-0",
    ],
)  # fmt: skip
def test_what_is_no_count_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match=r"no count|more than there can be"):
        cells.count(cell)


def test_ranks_begin_with_one() -> None:
    assert cells.rank("1") == 1
    assert cells.rank("") is None
    with pytest.raises(ValueError, match="begin with 1"):
        cells.rank("0")


@pytest.mark.parametrize(
    ("cell", "hour"),
    [
        ("2024-02-11T10:00:00Z", 10),
        ("2024-02-11 10:00:00", 10),
        ("2024-02-11T10:00:00+02:00", 8),
        ("2024-02-11", 0),
    ],
)
def test_a_moment_is_in_utc(cell: str, hour: int) -> None:
    assert cells.moment(cell) == datetime(2024, 2, 11, hour, tzinfo=UTC)


@pytest.mark.parametrize("cell", ["", "yesterday", "0001-01-01T00:00:00+14:00", "2024-02-30"])
def test_a_moment_that_cannot_be_read_is_not_known(cell: str) -> None:
    assert cells.moment(cell) is None


@pytest.mark.parametrize(
    ("url", "owner", "name"),
    [
        ("https://github.com/Vuejs/vue.js", "vuejs", "VUE.js"),
        ("http://www.github.com/Vuejs/vue.js/", "", ""),
        ("https://GitHub.com/Vuejs/vue.js.git", "Vuejs", ""),
        ("github.com/Vuejs/vue.js", "", "vue.js"),
        ("", "Vuejs", "vue.js"),
    ],
)
def test_a_name_is_that_of_the_address(url: str, owner: str, name: str) -> None:
    assert cells.full_name(url, owner, name) == "Vuejs/vue.js"


@pytest.mark.parametrize(
    ("url", "owner", "name"),
    [
        ("", "", "vue"),
        ("", "vuejs", ""),
        ("", "vue js", "vue"),
        ("", "vuejs", ".."),
        ("", "vuejs", "a/b"),
        ("", "vuejs", "\u202evue"),
        ("https://github.com/vuejs", "vuejs", "vue"),
        ("https://github.com/vuejs/vue/tree/main", "vuejs", "vue"),
        ("https://github.com.evil.org/vuejs/vue", "vuejs", "vue"),
        ("https://gitlab.com/vuejs/vue", "vuejs", "vue"),
        ("https://github.com/vuejs/vue", "facebook", "vue"),
        ("https://github.com/vuejs/vue", "vuejs", "react"),
        ("https://github.com/vuejs/..", "", ""),
    ],
)
def test_what_names_no_repository_or_two_is_refused(url: str, owner: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"repository|is not at"):
        cells.full_name(url, owner, name)
