"""Sums over workers: gathered, in time, and never falling. Time is an argument."""

from uaitools.metrics import Family, Labels, Sample, Snapshot
from uaitools.proxy.report import Report
from uaitools.proxy.workers.totals import INTERVAL, PATIENCE, Totals

COUNTER = Family("requests_total", "counter", "Requests.")
GAUGE = Family("open", "gauge", "Open.")
NONE: Labels = ()


def report(count: int, gauge: int = 0, workers: int = 1) -> Report:
    samples = [Sample(COUNTER, NONE, count), Sample(GAUGE, NONE, gauge)]
    return Report(Snapshot.of(samples), {}, workers)


class Parent:
    """Totals with the channels recorded: pulls as (worker, number), answers as (worker, sum)."""

    def __init__(self, workers: int = 2) -> None:
        self.pulls: list[tuple[int, int]] = []
        self.answers: list[tuple[int, float]] = []
        self.totals = Totals(
            lambda worker, number: self.pulls.append((worker, number)),
            lambda worker, whole: self.answers.append((worker, count(whole))),
            lambda: report(0, workers=0),
        )
        for worker in range(workers):
            self.totals.joined(worker)

    def taken(self) -> list[tuple[int, int]]:
        taken, self.pulls = sorted(self.pulls), []
        return taken


def count(whole: Report) -> float:
    value = whole.metrics.families[COUNTER][NONE]
    assert isinstance(value, int | float)
    return value


def test_every_worker_is_pulled_once_a_second() -> None:
    parent = Parent()
    parent.totals.advance(0.0)
    assert parent.taken() == [(0, 1), (1, 1)]

    parent.totals.reported(0, 1, report(1))
    parent.totals.reported(1, 1, report(2))
    parent.totals.advance(0.9)
    assert parent.taken() == []
    assert parent.totals.due == INTERVAL

    parent.totals.advance(INTERVAL)
    assert parent.taken() == [(0, 2), (1, 2)]
    assert count(parent.totals.whole()) == 3


def test_who_asks_is_answered_when_every_report_is_there() -> None:
    parent = Parent()
    parent.totals.ask(1, 0.0)
    parent.totals.reported(0, 1, report(1))
    parent.totals.advance(0.1)
    assert parent.answers == []

    parent.totals.reported(1, 1, report(2))
    parent.totals.advance(0.1)

    assert parent.answers == [(1, 3)]


def test_of_a_worker_that_is_slow_the_last_report_counts_and_it_is_not_pulled_again() -> None:
    parent = Parent()
    parent.totals.advance(0.0)
    parent.totals.reported(0, 1, report(1))
    parent.totals.reported(1, 1, report(2))
    parent.totals.advance(0.0)

    for second in (1.0, 2.0):
        parent.taken()
        parent.totals.ask(0, second)
        parent.totals.reported(0, int(second) + 1, report(10))
        parent.totals.advance(second + PATIENCE - 0.01)
        assert len(parent.answers) == second - 1
        parent.totals.advance(second + PATIENCE)

    assert parent.answers == [(0, 12), (0, 12)]
    assert parent.taken() == [(0, 3)]


def test_a_report_that_was_made_before_the_question_is_pulled_again() -> None:
    parent = Parent(workers=1)
    parent.totals.advance(0.0)
    parent.totals.ask(0, 0.1)
    assert parent.taken() == [(0, 1)]

    parent.totals.reported(0, 1, report(1))
    parent.totals.advance(0.1)
    assert (parent.answers, parent.taken()) == ([], [(0, 2)])

    parent.totals.reported(0, 2, report(2))
    parent.totals.advance(0.1)
    assert parent.answers == [(0, 2)]


def test_who_asks_during_a_gathering_gets_the_next_one() -> None:
    parent = Parent()
    parent.totals.ask(0, 0.0)
    parent.totals.ask(1, 0.1)
    for number, counted in ((1, 1), (2, 5)):
        for worker in (0, 1):
            parent.totals.reported(worker, number, report(counted))
        parent.totals.advance(0.2)

    assert parent.answers == [(0, 2), (1, 10)]


def test_what_the_dead_had_counted_stays_and_their_state_goes() -> None:
    parent = Parent()
    for _ in range(3):
        parent.totals.reported(0, 0, report(10, gauge=7))
        parent.totals.left(0)
        parent.totals.joined(0)
    parent.totals.reported(1, 0, report(1, gauge=2))

    whole = parent.totals.whole()
    assert count(whole) == 31
    assert whole.metrics.families[GAUGE][NONE] == 2
    assert whole.workers == 1


def test_the_dead_are_neither_waited_for_nor_answered() -> None:
    parent = Parent()
    parent.totals.ask(0, 0.0)
    parent.totals.ask(1, 0.0)
    parent.totals.left(0)
    parent.totals.reported(1, 1, report(1))
    parent.totals.advance(0.0)
    parent.totals.reported(1, 2, report(1))
    parent.totals.advance(0.0)

    assert parent.answers == [(1, 1)]
