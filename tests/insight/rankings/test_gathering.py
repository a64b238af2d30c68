from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from uaitools.insight.rankings.gathering import Listed, Place, gathered
from uaitools.insight.rankings.reading import Row

COUNTS = st.none() | st.integers(0, 9)
ROWS = st.builds(
    Row, st.sampled_from(["a/b", "A/B", "a/c"]), st.sampled_from([None, "Go", "top-100-stars"]),
    st.none() | st.integers(1, 3), COUNTS, COUNTS, COUNTS, st.sampled_from([None, "Go", "C"]),
    st.sampled_from([None, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]),
    st.sampled_from([None, "one", "two"]),
)  # fmt: skip


def test_the_maximum_of_each_count_is_taken_and_every_place_is_kept() -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    several = [
        Row("Vuejs/Vue", "top-100-stars", 3, 100, 20, None, "JavaScript", None, "old"),
        Row("vuejs/vue", "JavaScript", 1, 103, None, 7, None, moment, "new"),
        Row("vuejs/vue", None, None, None, 21, None, None, None, None),
        Row("vuejs/vue", "JavaScript", 1, 101, 19, 9, "TypeScript", None, None),
        Row("vuejs/vue", "JavaScript", 1, 101, 18, 9, "Vue", None, None),
    ]

    places = (Place("JavaScript", 1), Place("top-100-stars", 3))
    assert gathered(several) == {
        "vuejs/vue": Listed("vuejs/vue", 103, 21, 9, "TypeScript", moment, "new", places)
    }


@given(st.lists(ROWS, max_size=8), st.randoms())
def test_a_day_is_the_same_in_whatever_order_its_rows_come(
    several: list[Row], dice: object
) -> None:
    shuffled = sorted(several, key=lambda _: dice.random())  # type: ignore[attr-defined]

    found = gathered(several)

    assert gathered(shuffled) == found
    assert list(gathered(shuffled)) == list(found) == sorted(found)


@given(st.lists(ROWS, max_size=8))
def test_counts_are_those_of_an_oracle(several: list[Row]) -> None:
    found = gathered(several)

    assert set(found) == {row.full_name.lower() for row in several}
    for key, listed in found.items():
        own = [row for row in several if row.full_name.lower() == key]
        for count in ("stars", "forks", "issues"):
            known = [value for row in own if (value := getattr(row, count)) is not None]
            assert getattr(listed, count) == (max(known) if known else None)
        assert set(listed.places) == {Place(row.item, row.rank) for row in own if row.item}
        assert listed.key == key
        assert listed.description in {row.description for row in own}
