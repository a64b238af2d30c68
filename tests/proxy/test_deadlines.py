from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.deadlines import Deadlines

NOW = 1000.0


class Request:
    """Notes when it was told that its time is up, and then ends others."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self.told: list[float] = []
        self.ends: list[Request] = []

    def overdue(self, now: float) -> None:
        self.told.append(now)
        for other in self.ends:
            self.deadlines.discard(other)


@given(
    st.lists(st.tuples(st.floats(0, 10), st.none() | st.floats(0, 10)), max_size=20),
    st.lists(st.floats(0, 1), max_size=20),
)
def test_each_is_told_once_at_the_first_look_after_its_deadline_unless_it_has_ended(
    requests: list[tuple[float, float | None]], steps: list[float]
) -> None:
    deadlines = Deadlines()
    made = [Request(deadlines) for _ in requests]
    for request, (due, _) in zip(made, requests, strict=True):
        deadlines.add(request, NOW + due)
    looks, now = [], NOW
    for step in steps:
        now += step
        for request, (_, ended) in zip(made, requests, strict=True):
            if ended is not None and NOW + ended <= now:
                deadlines.discard(request)
        deadlines.expire(now)
        looks.append(now)

    for request, (due, ended) in zip(made, requests, strict=True):
        first = next((look for look in looks if look >= NOW + due), None)
        over = ended is not None and first is not None and NOW + ended <= first
        assert request.told == ([] if first is None or over else [first])


def test_one_that_is_ended_by_another_s_deadline_is_not_told() -> None:
    deadlines = Deadlines()
    first, second = Request(deadlines), Request(deadlines)
    first.ends = [second]
    deadlines.add(first, NOW)
    deadlines.add(second, NOW)

    deadlines.expire(NOW)

    assert (len(first.told), second.told) == (1, [])
    assert len(deadlines) == 0


def test_what_is_left_turns_negative() -> None:
    deadlines = Deadlines()
    request = Request(deadlines)
    deadlines.add(request, NOW)

    assert deadlines.left(request, NOW - 2) == 2
    assert deadlines.left(request, NOW + 1) == -1
