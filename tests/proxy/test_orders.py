"""Orders travel as JSON, and those that stand are kept until they are taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.orders import LIMIT, NOTHING, Order, Standing, StandingOrders

NAMES = st.sampled_from(["a", "b"])
ORDERS = st.builds(
    Order,
    st.sampled_from(["drain", "restore", "weight", "eject"]),
    NAMES,
    NAMES,
    weight=st.none() | st.integers(1, 1000),
)


@given(ORDERS)
def test_an_order_is_read_as_it_was_written(order: Order) -> None:
    assert Order.from_json(order.to_json()) == order


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"action":"dance"}', b'{"action":[]}'])
def test_what_is_no_order_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not an order"):
        Order.from_json(text)


@given(st.lists(ORDERS))
def test_what_stands_is_the_last_word_on_each_endpoint(orders: list[Order]) -> None:
    kept = StandingOrders()
    drained: dict[tuple[str, str], bool] = {}
    weights: dict[tuple[str, str], int | None] = {}
    for order in orders:
        kept.note(order)
        key = order.service, order.address
        if order.action in ("drain", "restore"):
            drained[key] = order.action == "drain"
        elif order.action == "weight":
            weights[key] = order.weight

    for service in "ab":
        for address in "ab":
            key = service, address
            expected = Standing(drained.get(key, False), weights.get(key))
            assert kept.of(service, address) == expected
    again = StandingOrders()
    for order in kept:
        again.note(order)
    assert sorted(map(repr, again)) == sorted(map(repr, kept))


def test_there_are_never_more_than_the_limit() -> None:
    kept = StandingOrders()
    for number in range(LIMIT + 10):
        kept.note(Order("drain", "a", str(number)))

    assert len(list(kept)) == LIMIT
    assert kept.of("a", "0") == NOTHING


def test_endpoints_that_left_take_their_orders_with_them() -> None:
    kept = StandingOrders()
    for service in "ab":
        for address in "xy":
            kept.note(Order("drain", service, address))

    kept.keep("a", frozenset("x"))

    assert [kept.of(s, a).drained for s in "ab" for a in "xy"] == [True, False, True, True]
