from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.routing.split import Split

LINES = b"\r\nAccept: */*\r\nX-Tenant: acme\r\nCookie: a=b; side=7"


def side(split: Split, key: bytes) -> str:
    return split.services[split.place(key)]


def test_keys_fall_by_weight() -> None:
    split = Split([("a", 90), ("b", 10)])

    found = Counter(side(split, b"%d" % number) for number in range(10_000))

    # Binomial: 1000 with a standard deviation of 30.
    assert 850 < found["b"] < 1150


@given(st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(any), st.data())
def test_points_fall_as_a_plain_sum_says(weights: list[int], data: st.DataObject) -> None:
    split = Split([(f"s{index}", weight) for index, weight in enumerate(weights)])
    point = data.draw(st.one_of(st.sampled_from((0, 2**32 - 1)), st.integers(0, 2**32 - 1)))

    at = point * sum(weights) // 2**32
    expected = next(i for i in range(len(weights)) if at < sum(weights[: i + 1]))

    assert split.at(point) == expected
    assert weights[expected] > 0


def test_a_service_without_weight_gets_nothing() -> None:
    assert {side(Split([("a", 0), ("b", 1)]), b"%d" % n) for n in range(100)} == {"b"}


def test_only_those_between_the_borders_move_when_weights_change() -> None:
    before, after = Split([("a", 90), ("b", 10)]), Split([("a", 80), ("b", 20)])
    keys = [b"%d" % number for number in range(5_000)]

    moved = [key for key in keys if side(before, key) != side(after, key)]

    assert all(side(after, key) == "b" for key in moved)
    assert 380 < len(moved) < 620  # a tenth


def test_a_key_falls_on_the_same_side_on_every_machine() -> None:
    split = Split([("a", 1), ("b", 1)])

    assert [side(split, key) for key in (b"1", b"2", b"3", b"4", b"5")] == ["b", "a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("sticky", "key"),
    [
        ("", None),
        ("address", None),
        ("header:X-Tenant", b"acme"),
        ("header:x-tenant", b"acme"),
        ("header:X-Other", None),
        ("cookie:side", b"7"),
        ("cookie:Side", None),
    ],
)
def test_what_decides_is_read_from_the_request(sticky: str, key: bytes | None) -> None:
    assert Split([("a", 1)], sticky).key(LINES) == key
