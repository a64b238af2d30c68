"""A periodic clock for event loops, finer than their timers.

Event loops sleep in whole milliseconds. A timerfd wakes them like a socket would, with the
kernel's high-resolution timers: an open-loop generator then sends within some 0.1 ms of its
schedule, without spinning on the core that it shares with the upstreams.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Final

_NONBLOCK: Final = os.O_NONBLOCK
_CLOEXEC: Final = os.O_CLOEXEC


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("first", _TimeSpec))


class Ticker:
    """Becomes readable every `interval` seconds; `read` says how often it was due since."""

    def __init__(self, interval: float) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        whole, part = divmod(round(interval * 1e9), 1_000_000_000)
        period = _TimeSpec(whole, part)
        if libc.timerfd_settime(self._fd, 0, ctypes.byref(_TimerSpec(period, period)), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def __repr__(self) -> str:
        return f"<Ticker fd={self._fd}>"

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._fd

    def read(self) -> int:
        """Periods that ended since the last call."""
        try:
            return int.from_bytes(os.read(self._fd, 8), "little")
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Stop."""
        os.close(self._fd)
