"""The parent of the workers: forks them, replaces those that die and relays between them.

The parent opens one SO_REUSEPORT socket a worker before it forks, so that a successor serves the
same socket and a kill -9 resets no connection that waits to be accepted (docs/measurements.md).
It has no event loop and no thread, hence can fork at any time, and relays five things:

    reports      pulled once a second and whenever a worker is asked for /metrics or /api/status;
                 the last one of a dead worker keeps counting, so that no sum ever falls
    ejections    from the worker that found an endpoint bad to the others
    orders       of an operator, from the worker that has them to the others and to successors
    SIGHUP       a configuration, read and validated once, to all workers and their successors
    SIGTERM      an order to drain; a second signal kills
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final, NoReturn, Protocol

from uaitools.log import get_logger
from uaitools.metrics import Family, Registry, Sample, process
from uaitools.proxy.orders import Order, StandingOrders
from uaitools.proxy.report import Report
from uaitools.proxy.workers.channel import Kind, Message, Overflow, ParentEnd, read_ejection
from uaitools.proxy.workers.signals import HANDLED, Signals
from uaitools.proxy.workers.totals import NEVER, Totals
from uaitools.restarts import Restarts

_GRACE: Final = 32.0  # seconds to drain: the workers' own 30 and what it takes to end
_ASKER: Final = 16  # bits of a question's number; in those above stands who asks
_DEATHS: Final = Family("proxy_worker_deaths_total", "counter", "Workers that were replaced.")

_log = get_logger(__name__)


class Program(Protocol):
    """What workers run, and what the parent knows of it."""

    def work(self, listener: socket.socket, channel: socket.socket) -> int:
        """Be a worker until told to end, in a process of its own; its exit status."""

    def reload(self) -> bytes | None:
        """Read the configuration again, for successors; what to send to those that run.

        None, after having logged why, when it is wrong and the old one stays.
        """


class Worker:
    """One place among the workers: its socket, and the process that serves it at present."""

    __slots__ = ("born", "channel", "deaths", "due", "index", "listener", "pid")

    def __init__(self, index: int, listener: socket.socket) -> None:
        self.index = index
        self.listener = listener
        self.pid = 0
        self.channel: ParentEnd | None = None  # open as long as the process runs
        self.born = 0.0
        self.deaths = 0  # quick ones in a row
        self.due = 0.0  # when the next process is started, while there is none

    def __repr__(self) -> str:
        return f"<Worker {self.index} pid={self.pid} deaths={self.deaths}>"


class Supervisor:
    """The parent. listeners: one listening SO_REUSEPORT socket a worker, all of one address.

    shared: sockets that every worker serves.
    """

    def __init__(
        self,
        program: Program,
        listeners: Sequence[socket.socket],
        restarts: Restarts | None = None,
        shared: Sequence[socket.socket] = (),
    ) -> None:
        self._program = program
        self._shared = shared
        self._workers = [Worker(index, listener) for index, listener in enumerate(listeners)]
        self._restarts = restarts or Restarts()
        self._selector = selectors.DefaultSelector()
        self._signals = Signals()
        self._sources = Registry()
        self._sources.add(process)
        self._sources.add(lambda: [Sample(_DEATHS, (), self._deaths)])
        self._deaths = 0
        self._totals = Totals(self._pull, self._answer, self._own_report)
        self._orders = StandingOrders()
        self._kill_due = NEVER  # the end of draining

    def __repr__(self) -> str:
        running = sum(1 for _ in self._running())
        return f"<Supervisor workers={running}/{len(self._workers)} deaths={self._deaths}>"

    def run(self) -> int:
        """Keep the workers running until SIGTERM or SIGINT and drain; returns the exit status.

        1 when every worker was given up, otherwise 0. No process is left when it returns or
        raises. Call it in the main thread, before there is any other thread or an event loop.
        """
        with self._signals:
            self._selector.register(self._signals, selectors.EVENT_READ, None)
            try:
                while self._work_left():
                    self._turn()
            finally:
                self._kill()
                self._selector.close()
                for worker in self._workers:
                    worker.listener.close()
                for listener in self._shared:
                    listener.close()
        return 0 if self._draining else 1

    @property
    def _draining(self) -> bool:
        return self._kill_due < NEVER

    def _running(self) -> Iterator[Worker]:
        return (worker for worker in self._workers if worker.channel is not None)

    def _work_left(self) -> bool:
        return any(worker.pid or worker.due < NEVER for worker in self._workers)

    def _turn(self) -> None:
        """Wait for what comes first, and do it."""
        wait = max(0.0, self._next_due() - monotonic())
        for key, events in self._selector.select(wait):
            if isinstance(key.data, Worker):
                self._attend(key.data, events)
            else:
                self._obey()
        now = monotonic()
        self._reap(now)
        for worker in self._workers:
            if not worker.pid and now >= worker.due:
                self._start(worker, now)
        self._totals.advance(now)
        if now >= self._kill_due:
            _log.warning("the time to drain is over", workers=sum(1 for _ in self._running()))
            self._kill()

    def _next_due(self) -> float:
        starts = (worker.due for worker in self._workers if not worker.pid)
        return min(self._totals.due, self._kill_due, *starts)

    # -- signals ----------------------------------------------------------------------------

    def _obey(self) -> None:
        for number in self._signals.take():
            if number == signal.SIGHUP and not self._draining:
                self._reload()
            elif number in (signal.SIGTERM, signal.SIGINT):
                _log.info("signal received", signal=number.name)
                if self._draining:
                    self._kill()
                else:
                    self._drain()

    def _reload(self) -> None:
        configuration = self._program.reload()
        if configuration is not None:
            message = Message(Kind.RELOAD, body=configuration)
        else:
            # Whatever the configuration says: logrotate has moved the files away.
            message = Message(Kind.ORDER, body=Order("reopen").to_json())
        for worker in list(self._running()):
            self._send(worker, message)

    def _relay(self, source: Worker, order: Order) -> None:
        """Have all but the worker that had an order first obey it, and successors after them."""
        if order.action == "reload":
            self._reload()
            return
        self._orders.note(order)
        for other in list(self._running()):
            if other is not source:
                self._send(other, Message(Kind.ORDER, body=order.to_json()))

    def _drain(self) -> None:
        self._kill_due = monotonic() + _GRACE
        for worker in self._workers:
            worker.due = NEVER
            # Workers close theirs. One that is left open would take connections for nobody.
            worker.listener.close()
        for listener in self._shared:
            listener.close()
        for worker in self._running():
            self._send(worker, Message(Kind.DRAIN))

    def _kill(self) -> None:
        """End every worker now, also one that is stopped, and wait for the end."""
        for worker in self._workers:
            worker.due = NEVER
            if worker.pid:
                os.kill(worker.pid, signal.SIGKILL)
                os.waitpid(worker.pid, 0)
                self._bury(worker)

    # -- processes --------------------------------------------------------------------------

    def _start(self, worker: Worker, now: float) -> None:
        worker.born = now
        try:
            worker.pid, ours = self._fork(worker)
        except OSError as error:
            _log.error("a worker cannot be forked", worker=worker.index, reason=error.strerror)
            self._retry(worker, now)
            return
        worker.channel = ParentEnd(ours)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        self._totals.joined(worker.index)
        for order in self._orders:
            self._send(worker, Message(Kind.ORDER, body=order.to_json()))
        _log.info("worker started", worker=worker.index, pid=worker.pid)

    def _fork(self, worker: Worker) -> tuple[int, socket.socket]:
        """Start a process; its id, and the parent's end of the channel to it. Raises OSError."""
        ours, theirs = socket.socketpair()
        # A signal between the fork and the child's own handlers would be noted in a copy of
        # the parent's list, where nobody looks.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                self._become(worker, ours, theirs)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return pid, ours

    def _become(self, worker: Worker, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        """Be the worker, in the new process; never return into what the parent was doing."""
        status = 1
        try:
            self._signals.forget()
            # A copy of the parent's ends would hide its death from the others, and one of
            # another worker's socket would keep it open when that one is given up.
            ours.close()
            self._selector.close()
            for other in self._workers:
                if other.channel is not None:
                    other.channel.close()
                if other is not worker:
                    other.listener.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
            status = self._program.work(worker.listener, theirs)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException as error:
            _log.error("worker failed", worker=worker.index, exc_info=error)
        finally:
            os._exit(status)

    def _reap(self, now: float) -> None:
        for worker in self._workers:
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if not pid:
                continue
            self._bury(worker)
            say = _log.info if self._draining else _log.warning
            age = now - worker.born
            code = os.waitstatus_to_exitcode(status)
            say("worker ended", worker=worker.index, pid=pid, status=code, age=round(age, 3))
            if not self._draining:
                self._deaths += 1
                self._retry(worker, now)

    def _bury(self, worker: Worker) -> None:
        """Keep what a dead worker had counted, and forget its process."""
        if worker.channel is not None:
            with contextlib.suppress(BlockingIOError, EOFError, ValueError):
                while True:
                    for message in worker.channel.receive():
                        if message.kind is Kind.REPORT:
                            self._handle(worker, message)
            self._disconnect(worker)
        worker.pid = 0

    def _disconnect(self, worker: Worker) -> None:
        if worker.channel is None:
            return
        self._selector.unregister(worker.channel)
        worker.channel.close()
        worker.channel = None
        self._totals.left(worker.index)

    def _retry(self, worker: Worker, now: float) -> None:
        quick = now - worker.born < self._restarts.lived
        worker.deaths = worker.deaths + 1 if quick else 1
        pause = self._restarts.pause(worker.deaths)
        if pause is None:
            # Open but served by nobody, it would still be given its share of connections.
            worker.listener.close()
            worker.due = NEVER
            _log.error("worker given up", worker=worker.index, deaths=worker.deaths)
        else:
            worker.due = now + pause

    # -- channels ---------------------------------------------------------------------------

    def _attend(self, worker: Worker, events: int) -> None:
        """Read what a worker sent, write what waits for it."""
        if worker.channel is not None and events & selectors.EVENT_READ:
            self._receive(worker, worker.channel)
        self._flush(worker)

    def _receive(self, worker: Worker, channel: ParentEnd) -> None:
        try:
            for message in channel.receive():
                self._handle(worker, message)
        except BlockingIOError:
            return  # a socket that is reported as readable need not be (select(2), BUGS)
        except EOFError:
            self._disconnect(worker)
            os.kill(worker.pid, signal.SIGKILL)  # it has ended, or nobody could tell it to
        except ValueError as error:
            self._break(worker, str(error))

    def _handle(self, worker: Worker, message: Message) -> None:
        match message.kind:
            case Kind.REPORT:
                report = Report.from_json(message.body)
                self._totals.reported(worker.index, message.number, report)
            case Kind.ASK:
                self._totals.ask(worker.index, monotonic())
            case Kind.EJECT:
                read_ejection(message.body)
                for other in list(self._running()):
                    if other is not worker:
                        self._send(other, message)
            case Kind.QUERY:
                self._survey(worker, message)
            case Kind.PART:
                self._hand_back(message)
            case Kind.ORDER:
                if not self._draining:
                    self._relay(worker, Order.from_json(message.body))
            case _:
                raise ValueError(f"a worker sent {message.kind.name}")

    def _survey(self, worker: Worker, question: Message) -> None:
        """Ask the others what a worker wants to know of them."""
        number = worker.index << _ASKER | question.number
        for other in list(self._running()):
            if other is not worker:
                self._send(other, Message(Kind.QUERY, number, question.body))

    def _hand_back(self, part: Message) -> None:
        """Give an answer to the worker that asked, or to its successor, who drops it."""
        index, number = part.number >> _ASKER, part.number & (1 << _ASKER) - 1
        if index >= len(self._workers):
            raise ValueError(f"there is no worker {index}")
        self._send(self._workers[index], Message(Kind.PART, number, part.body))

    def _send(self, worker: Worker, message: Message) -> None:
        if worker.channel is None:
            return
        try:
            worker.channel.send(message)
        except Overflow as error:
            self._break(worker, str(error))
        else:
            self._flush(worker)

    def _flush(self, worker: Worker) -> None:
        if worker.channel is None:
            return
        worker.channel.flush()
        writing = selectors.EVENT_WRITE if worker.channel.pending else 0
        self._selector.modify(worker.channel, selectors.EVENT_READ | writing, worker)

    def _break(self, worker: Worker, reason: str) -> None:
        """Replace a worker that cannot be talked to."""
        _log.error("a worker does not keep to the channel", worker=worker.index, reason=reason)
        self._disconnect(worker)
        os.kill(worker.pid, signal.SIGKILL)

    # -- reports ----------------------------------------------------------------------------

    def _pull(self, worker: int, number: int) -> None:
        self._send(self._workers[worker], Message(Kind.PULL, number))

    def _answer(self, worker: int, whole: Report) -> None:
        self._send(self._workers[worker], Message(Kind.WHOLE, body=whole.to_json()))

    def _own_report(self) -> Report:
        return Report(self._sources.snapshot(), {}, workers=0)
