"""Several processes that do the same work: a parent that forks them and replaces those that die.

The parent does nothing else: it has no event loop and no thread, hence can fork at any time. When
it is killed its workers end as by SIGTERM.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Thread
from time import monotonic
from typing import Final, NoReturn

from uaitools import log
from uaitools.restarts import Restarts

_ENDING: Final = frozenset((signal.SIGTERM, signal.SIGINT))
_HEARD: Final = _ENDING | {signal.SIGCHLD}
_BEFORE_KILL: Final = 3  # signals: to drain, to stop at once, and then no process is asked

_log = log.get_logger(__name__)


class Forks:
    """`count` processes. work: what each does, given its index; returns its exit status.

    A process that dies is replaced, see Restarts; when none is left to be, `run` returns. over: is
    called with the index of one that will not be replaced, in the parent.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[int], int],
        restarts: Restarts | None = None,
        *,
        over: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._work = work
        self._over = over
        self._restarts = restarts or Restarts()
        self._due: dict[int, float] = dict.fromkeys(range(count), 0.0)  # when each starts
        self._running: dict[int, tuple[int, float]] = {}  # by pid: index, and since when
        self._deaths = [0] * count  # quick ones in a row
        self._signals = 0
        self._lifeline = os.pipe()  # nobody writes: it ends with the parent

    def __repr__(self) -> str:
        return f"<Forks running={len(self._running)} waiting={len(self._due)}>"

    def run(self) -> int:
        """Fork, and wait until a signal has ended all; 0 then, 1 when they died by themselves."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            while self._running or (self._due and not self._signals):
                self._start(before)
                self._wait()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for end in self._lifeline:
                os.close(end)
        return 0 if self._signals else 1

    def _start(self, mask: set[int | signal.Signals]) -> None:
        now = monotonic()
        if self._signals:
            return
        for index in [index for index, due in self._due.items() if due <= now]:
            try:
                pid = os.fork()
            except OSError as error:
                _log.warning("a worker cannot be started", worker=index, reason=error.strerror)
                self._due[index] = now + self._restarts.longest
                continue
            del self._due[index]
            if not pid:
                self._become(index, mask)
            self._running[pid] = (index, now)

    def _become(self, index: int, mask: set[int | signal.Signals]) -> NoReturn:
        status = 70  # EX_SOFTWARE, where it could not even say why
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            reading, writing = self._lifeline
            os.close(writing)
            Thread(target=_end_with, args=(reading,), name="lifeline", daemon=True).start()
            status = self._work(index)
        except BaseException as error:
            _log.error("a worker failed", worker=index, exc_info=error)
        finally:
            os._exit(status)

    def _wait(self) -> None:
        due = min(self._due.values(), default=None)
        pause = 3600.0 if due is None or self._signals else max(0.0, due - monotonic())
        heard = signal.sigtimedwait(_HEARD, pause)
        if heard is not None and heard.si_signo in _ENDING:
            self._end()
        self._reap()

    def _end(self) -> None:
        self._signals += 1
        number = signal.SIGTERM if self._signals < _BEFORE_KILL else signal.SIGKILL
        for pid in self._running:
            os.kill(pid, number)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            index, since = self._running.pop(pid)
            if self._signals:
                self._over(index)
            else:
                self._replace(index, monotonic() - since, os.waitstatus_to_exitcode(status))

    def _replace(self, index: int, lived: float, status: int) -> None:
        quick = lived < self._restarts.lived
        self._deaths[index] = self._deaths[index] + 1 if quick else 1
        pause = self._restarts.pause(self._deaths[index])
        _log.error("a worker has died", worker=index, status=status, replaced_in=pause)
        if pause is None:
            self._over(index)
        else:
            self._due[index] = monotonic() + pause


def _end_with(lifeline: int) -> None:
    """End this process when the parent has gone."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
