"""Signals as a readable descriptor, for a loop around a selector that has no event loop."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections import deque
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """Notes the signals of `HANDLED` while it is entered, and becomes readable at each.

    Register it with a selector. Main thread only.
    """

    __slots__ = ("_reader", "_received", "_writer")

    def __init__(self) -> None:
        self._received: deque[signal.Signals] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __repr__(self) -> str:
        return f"<Signals waiting={len(self._received)}>"

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._reader.fileno()

    def take(self) -> Iterator[signal.Signals]:
        """The signals since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(1024):
                pass
        while self._received:
            yield self._received.popleft()

    def forget(self) -> None:
        """Be, in a forked child, a process that handles no signals; SIGHUP is ignored."""
        self._release(signal.SIG_DFL)

    def __enter__(self) -> None:
        # The bytes only wake the selector, so that one too many may be lost.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, self._note)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What is still to come must not disturb an end that is under way.
        self._release(signal.SIG_IGN)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._received.append(signal.Signals(number))

    def _release(self, ending: signal.Handlers) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, ending)
        signal.signal(signal.SIGINT, ending)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._reader.close()
        self._writer.close()
