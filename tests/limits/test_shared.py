"""One table and several real processes."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from fcntl import LOCK_EX, flock

import pytest

from uaitools.limits.shared import Busy, Table
from uaitools.traffic.limits import NANO, Quota
from uaitools.traffic.slots import QuotaCharge, RateCharge, fingerprint

# The runner has threads, none of which hold what the children need (Python 3.12 warns of it).
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

WORKERS = 4
START = time.monotonic_ns()
HOUR = 3600 * NANO


def forked(table: Table, work: Callable[[Table], int]) -> tuple[int, int]:
    """A process that writes what `work` returns into a pipe: its id and the pipe's end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            os.close(reading)
            table.open()
            os.write(writing, b"%d" % work(table))
            status = 0
        os._exit(status)
    os.close(writing)
    return child, reading


def result(process: tuple[int, int]) -> int:
    child, reading = process
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return int(text)


def hammer(calls: int, count: int) -> Callable[[Table], int]:
    def work(table: Table) -> int:
        quota = QuotaCharge(count, START + HOUR)
        mark = fingerprint(1, b"key")
        return sum(table.take(quota, mark, START) >= 0 for _ in range(calls))

    return work


def test_four_processes_pass_exactly_the_quota() -> None:
    table = Table(64, WORKERS)
    processes = [forked(table, hammer(20_000, 30_000)) for _ in range(WORKERS)]

    assert sum(result(process) for process in processes) == 30_000


def test_four_processes_pass_exactly_a_rate_s_burst_of_each_of_several_keys() -> None:
    table = Table(64, WORKERS)
    rate = RateCharge(HOUR, 5000 * HOUR)
    marks = [fingerprint(1, b"%d" % number) for number in range(4)]

    def work(table: Table) -> int:
        return sum(table.take(rate, mark, START) >= 0 for _ in range(5000) for mark in marks)

    processes = [forked(table, work) for _ in range(WORKERS)]

    assert sum(result(process) for process in processes) == 4 * 5000


def test_two_limits_at_once_are_exact_over_processes() -> None:
    table = Table(64, WORKERS)
    wide, narrow = QuotaCharge(9000, START + HOUR), RateCharge(HOUR, 6000 * HOUR)
    marks = [fingerprint(number, b"key") for number in (1, 2)]

    def work(table: Table) -> int:
        return sum(min(table.take_all((wide, narrow), marks, START)) >= 0 for _ in range(4000))

    processes = [forked(table, work) for _ in range(WORKERS)]

    assert sum(result(process) for process in processes) == 6000
    table.open()
    assert table.take(wide, marks[0], START) == 9000 - 6000 - 1
    table.close()


def test_a_worker_killed_while_it_holds_the_lock_stops_nobody() -> None:
    table = Table(64, WORKERS)
    holding, held = os.pipe()

    def hold(table: Table) -> int:
        import fcntl  # noqa: PLC0415 - in the child

        fcntl.flock(table._lock, fcntl.LOCK_EX)  # noqa: SLF001 - what take does first
        os.write(held, b".")
        signal.pause()
        return 0

    victim, pipe = forked(table, hold)
    os.read(holding, 1)
    processes = [forked(table, hammer(10_000, 15_000)) for _ in range(WORKERS - 1)]
    assert os.waitpid(processes[0][0], os.WNOHANG) == (0, 0)  # all wait for the lock
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    for descriptor in (pipe, holding, held):
        os.close(descriptor)

    assert sum(result(process) for process in processes) == 15_000


def test_workers_killed_in_the_middle_of_their_calls_never_make_it_more() -> None:
    table = Table(64, WORKERS)
    passed, passing = os.pipe()

    def work(table: Table) -> int:
        quota, mark = QuotaCharge(3000, START + HOUR), fingerprint(1, b"key")
        while table.take(quota, mark, START) >= 0:
            os.write(passing, b".")
        return 0

    processes = [forked(table, work) for _ in range(WORKERS)]
    begun = len(os.read(passed, 200))
    for child, pipe in processes[:2]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(pipe)
    successors = [forked(table, work) for _ in range(2)]
    for process in (*processes[2:], *successors):
        assert result(process) == 0
    os.close(passing)
    with os.fdopen(passed, "rb") as pipe_of_all:
        total = begun + len(pipe_of_all.read())

    # A call may have been charged and its worker killed before it said so: one each.
    assert 3000 - 2 <= total <= 3000


def test_a_successor_goes_on_where_the_table_stands() -> None:
    table = Table(64, 2)
    assert result(forked(table, hammer(10, 30))) == 10
    assert result(forked(table, hammer(30, 30))) == 20


def test_a_table_that_was_not_opened_is_not_used_without_a_lock() -> None:
    table = Table(64, 2)

    with pytest.raises(ValueError, match="descriptor"):
        table.take(QuotaCharge(1, START + HOUR), 77, START)


def test_who_hashes_differently_does_not_share_the_table() -> None:
    table = Table(64, 2)
    table._clock[0] += 1  # noqa: SLF001 - as a process with another secret would see it

    with pytest.raises(RuntimeError, match="forked, not spawned"):
        table.open()


def test_all_workers_end_a_period_at_the_same_nanosecond() -> None:
    table = Table(64, WORKERS)

    def ends(table: Table) -> int:
        quota = QuotaCharge(1, 0)
        table.begin_period(Quota(1, "day"), quota, START)
        return quota.ends

    assert len({result(forked(table, ends)) for _ in range(WORKERS)}) == 1


def test_a_quota_s_period_ends_by_the_wall_clock() -> None:
    table, quota = Table(64), QuotaCharge(1, 0)
    now = time.monotonic_ns()

    table.begin_period(Quota(1, "hour"), quota, now)

    wall = time.time() + (quota.ends - now) / NANO
    assert wall % 3600 == pytest.approx(0, abs=1) or wall % 3600 == pytest.approx(3600, abs=1)
    assert 0 < quota.ends - now <= HOUR


def test_a_worker_that_is_stopped_with_the_lock_stops_no_other() -> None:
    table = Table(64, 2)
    holding, held = os.pipe()

    def hold(mine: Table) -> int:
        flock(mine._lock, LOCK_EX)  # noqa: SLF001 - as in the midst of a `take`
        os.write(held, b"1")
        os.kill(os.getpid(), signal.SIGSTOP)
        return 0

    stopped = forked(table, hold)
    assert os.read(holding, 1) == b"1"
    table.open()
    quota = QuotaCharge(5, START + HOUR)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(Busy):
            table.take(quota, 77, START)
        with pytest.raises(Busy):
            table.take_all([quota], [77], START)
    assert time.monotonic() - began < 2  # it is waited for once a second

    os.kill(stopped[0], signal.SIGCONT)
    result(stopped)
    assert table.take(quota, 77, START) == 4
    table.close()
    os.close(holding)
    os.close(held)
