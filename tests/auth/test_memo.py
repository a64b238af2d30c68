from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from uaitools.auth.memo import Memo


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30))), st.integers(0, 8))
def test_it_is_bounded_and_never_wrong(steps: list[tuple[bool, int]], capacity: int) -> None:
    memo: Memo[int, int] = Memo(capacity)
    truth: dict[int, int] = {}

    for time, (put, key) in enumerate(steps):
        if put:
            memo.put(key, time)
            truth[key] = time
        else:
            assert memo.get(key) in (None, truth.get(key))
        assert len(memo) <= 2 * capacity


@given(st.integers(1, 50), st.integers(1, 50))
def test_what_is_asked_for_stays(capacity: int, others: int) -> None:
    memo: Memo[int, str] = Memo(capacity + 1)
    memo.put(-1, "kept")

    for other in range(others):
        memo.put(other, "other")
        assert memo.get(-1) == "kept"


def test_the_newest_value_counts_also_after_a_turn_of_generations() -> None:
    memo: Memo[str, int] = Memo(1)
    memo.put("a", 1)
    memo.put("b", 2)  # a is old now
    memo.put("a", 3)

    assert memo.get("a") == 3


def test_what_is_cleared_is_gone() -> None:
    memo: Memo[str, int] = Memo(1)
    memo.put("a", 1)
    memo.put("b", 2)
    memo.clear()

    assert (memo.get("a"), memo.get("b"), len(memo)) == (None, None, 0)
