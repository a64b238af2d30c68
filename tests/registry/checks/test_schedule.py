from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from uaitools.registry.checks.schedule import Pace, Schedule

NOW = 1000.0
names = st.sampled_from("abcdef")


class ScheduleMachine(RuleBasedStateMachine):
    """Against a dictionary that is searched."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: Schedule[str] = Schedule()
        self.known: dict[str, tuple[float, int]] = {}
        self.count = 0

    @rule(name=names, due=st.integers(0, 5))
    def put(self, name: str, due: float) -> None:
        self.count += 1
        self.schedule.set(name, due)
        self.known[name] = (due, self.count)

    @rule(name=names)
    def drop(self, name: str) -> None:
        self.schedule.drop(name)
        self.known.pop(name, None)

    @invariant()
    def soonest(self) -> None:
        expected = min(self.known.items(), key=lambda one: one[1], default=None)
        assert self.schedule.soonest() == (expected and (expected[1][0], expected[0]))
        assert len(self.schedule) == len(self.known)


TestSchedule = ScheduleMachine.TestCase


def test_the_soonest_stays_until_it_is_dropped() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set("a", 1.0)

    assert schedule.soonest() == schedule.soonest() == (1.0, "a")
    schedule.drop("a")
    assert schedule.soonest() is None


def test_what_is_dropped_or_set_anew_does_not_pile_up() -> None:
    schedule: Schedule[int] = Schedule()
    for number in range(10):
        schedule.set(number, 1.0)
    for number in range(10_000):
        schedule.set(100 + number % 10, 2.0 + number)  # behind the others, never passed over
        if number % 7 == 0:
            schedule.drop(100 + number % 10)

    assert repr(schedule) < "<Schedule keys=20 entries=1"
    assert int(repr(schedule).partition("entries=")[2].rstrip(">")) <= 2 * 20 + 64 + 1


def test_one_new_instance_is_checked_at_once() -> None:
    assert Pace().first(10.0, NOW) == NOW


def test_ten_thousand_new_instances_are_checked_over_one_interval() -> None:
    interval, count = 10.0, 10_000
    pace = Pace()
    dues = sorted(pace.first(interval, NOW) for _ in range(count))

    assert dues[0] >= NOW
    assert dues[-1] <= NOW + interval
    tenths = [0] * 10
    for due in dues:
        tenths[min(int(due - NOW), 9)] += 1
    assert max(tenths) < 1.25 * count / 10  # even would be 1


def test_a_hundred_new_instances_do_not_wait_for_their_interval() -> None:
    pace = Pace(200.0)
    dues = [pace.first(300.0, NOW) for _ in range(100)]

    assert dues[0] == NOW
    assert all(late - early == pytest.approx(1 / 200) for early, late in pairwise(dues))


def test_who_comes_after_a_crowd_is_checked_at_once() -> None:
    pace = Pace()
    for _ in range(10_000):
        pace.first(10.0, NOW)

    assert pace.first(10.0, NOW + 10.1) == NOW + 10.1


@given(st.lists(st.tuples(st.floats(0.25, 3600), st.floats(0, 5)), max_size=50), st.floats(0, 1))
def test_a_first_check_is_due_within_one_interval(
    arrivals: list[tuple[float, float]], uniform: float
) -> None:
    pace = Pace(2.0)
    now = NOW
    for interval, pause in arrivals:
        now += pause
        assert now <= pace.first(interval, now, lambda: uniform) <= now + interval
