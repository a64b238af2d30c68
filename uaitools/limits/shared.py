"""The table of limits: in this process alone, or shared by workers forked from it.

Shared, it lies in anonymous memory of the kernel (memfd) and is used under `flock`, the one lock
that is neither lost nor stuck when a worker is killed: the kernel frees it. Such a lock belongs to
an open file and not to a process, hence each worker has to open the file itself; an inherited
descriptor would exclude nobody. A worker that is stopped (SIGSTOP, a debugger) while it holds the
lock keeps it: the others wait for a bounded time, and then say that they cannot tell.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Sequence
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from typing import Final

from uaitools.log import get_logger
from uaitools.traffic.limits import NANO, Quota
from uaitools.traffic.periods import bounds
from uaitools.traffic.slots import SLOT, Charge, QuotaCharge, SlotTable

_HEADER: Final = 24  # bytes before the slots: a check value, the clock's offset, nothing
_STEP: Final = NANO  # a wall clock that is off by less was not set
_UNLOCKED: Final = -1
_PATIENCE: Final = 0.1  # seconds to wait for the lock; it is held for microseconds
_PAUSE: Final = 0.0001  # seconds between attempts
_STUCK: Final = 1.0  # seconds in which nobody waits again for a lock that was not to be had

_log = get_logger(__name__)


class Busy(Exception):
    """Another worker holds the table's lock and does not give it back."""


class Table:
    """Slots for the limits of this host. slots: at least; a power of two of them is made.

    With `workers` above 1, make it before they are forked; each calls `open` before its first
    `take` and `close` when it ends.
    """

    __slots__ = ("_clock", "_file", "_lock", "_memory", "_shared", "_slots", "_stuck", "take")

    take: Callable[[Charge, int, int], int]
    """See SlotTable.take; of processes that share, one at a time. Raises Busy."""

    def __init__(self, slots: int, workers: int = 1) -> None:
        size = _HEADER + SLOT * (1 << (slots - 1).bit_length())
        self._shared = workers > 1
        self._lock = _UNLOCKED
        self._stuck = 0.0  # until when nobody waits, monotonic
        self._file = os.memfd_create("uaitools-limits") if self._shared else -1
        if self._shared:
            os.truncate(self._file, size)
        self._memory = mmap.mmap(self._file, size)
        words = memoryview(self._memory).cast("q")
        self._clock = words[: _HEADER // 8]
        self._slots = SlotTable(words[_HEADER // 8 :])
        self._clock[0] = _check_value()
        self._clock[1] = _offset()
        self.take = self._take_locked if self._shared else self._slots.take

    def __repr__(self) -> str:
        return f"<Table {self._slots!r} shared={self._shared} open={self._lock != _UNLOCKED}>"

    def open(self) -> None:
        """Get a lock of this process's own. Raises RuntimeError in a process not forked."""
        if not self._shared or self._lock != _UNLOCKED:
            return
        if self._clock[0] != _check_value():
            raise RuntimeError("workers that share limits have to be forked, not spawned")
        self._lock = os.open(f"/proc/self/fd/{self._file}", os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Give this process's lock back; what the table holds stays."""
        lock, self._lock = self._lock, _UNLOCKED
        if lock != _UNLOCKED:
            os.close(lock)

    def live(self, now: int) -> int:
        """How many slots are in use."""
        return self._slots.live(now)

    def _take_locked(self, charge: Charge, mark: int, now: int) -> int:
        self._acquire()
        try:
            return self._slots.take(charge, mark, now)
        finally:
            flock(self._lock, LOCK_UN)

    def _acquire(self) -> None:
        """Take the lock, which is mostly free. Raises Busy."""
        try:
            flock(self._lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            self._contend()

    def _contend(self) -> None:
        now = time.monotonic()
        deadline = now + _PATIENCE
        while self._stuck <= now < deadline:
            time.sleep(_PAUSE)
            try:
                flock(self._lock, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                now = time.monotonic()
            else:
                return
        if self._stuck <= now:
            self._stuck = now + _STUCK
            _log.error("the table of limits is locked; is a worker stopped?")
        raise Busy

    def take_all(self, charges: Sequence[Charge], marks: Sequence[int], now: int) -> list[int]:
        """See SlotTable.take_all. Raises Busy."""
        if not self._shared:
            return self._slots.take_all(charges, marks, now)
        self._acquire()
        try:
            return self._slots.take_all(charges, marks, now)
        finally:
            flock(self._lock, LOCK_UN)

    def begin_period(self, quota: Quota, charge: QuotaCharge, now: int) -> None:
        """Move a quota's charge on to the period that holds `now`.

        The offset of the wall clock is the table's and so the same in all workers: if each took its
        own, they would disagree by microseconds about the end, and count one period as two.
        """
        offset = _offset()
        if abs(offset - self._clock[1]) > _STEP:
            self._clock[1] = offset
        offset = self._clock[1]
        charge.ends = bounds(quota.period, (now + offset) // NANO)[1] * NANO - offset


def _offset() -> int:
    """Nanoseconds from the monotonic clock's zero to Unix time."""
    return time.time_ns() - time.monotonic_ns()


def _check_value() -> int:
    """Differs between processes that hash differently."""
    return hash(b"uaitools.limits")
