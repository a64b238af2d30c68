from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from uaitools.traffic.concurrency import Concurrency, Slot


def test_admits_as_many_calls_of_a_key_as_the_limit_says() -> None:
    limit = Concurrency(2)

    assert [limit.enter(b"a") for _ in range(3)] == [True, True, False]
    assert limit.enter(b"b")


def test_a_call_that_ends_makes_room_for_another() -> None:
    limit = Concurrency(1)
    limit.enter(b"a")

    limit.leave(b"a")

    assert limit.enter(b"a")


def test_a_key_without_calls_is_forgotten() -> None:
    limit = Concurrency(5)
    for number in range(1000):
        limit.enter(b"%d" % number)
        limit.leave(b"%d" % number)

    assert len(limit) == 0


def test_a_slot_that_one_limit_refuses_holds_nothing_of_the_other() -> None:
    wide, narrow = Concurrency(5), Concurrency(1)
    narrow.enter(b"service")
    slot = Slot()

    assert slot.take(wide, b"user")
    assert not slot.take(narrow, b"service")
    assert len(wide) == 0


def test_a_slot_gives_back_once_however_often_it_is_released() -> None:
    limit = Concurrency(2)
    slot, other = Slot(), Slot()
    slot.take(limit, b"a")
    other.take(limit, b"a")

    slot.release()
    slot.release()

    assert [limit.enter(b"a") for _ in range(2)] == [True, False]


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), st.sampled_from([b"a", b"b", b"c"]))))
def test_never_more_are_under_way_than_the_limit(
    limit: int, steps: list[tuple[bool, bytes]]
) -> None:
    concurrency, running = Concurrency(limit), Counter[bytes]()
    for enters, key in steps:
        if enters:
            admitted = concurrency.enter(key)
            assert admitted == (running[key] < limit)
            running[key] += admitted
        elif running[key]:
            concurrency.leave(key)
            running[key] -= 1
    assert len(concurrency) == sum(count > 0 for count in running.values())
