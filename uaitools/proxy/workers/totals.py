"""What all workers together have counted: gathers their reports and keeps those of the dead.

A gathering pulls a report from every worker. One begins each second, so that little is lost with
a worker that is killed, and one whenever a worker asks for the sum. It ends when all reports are
there, or when the time for it is over: of a worker that is slow or stopped the last report counts.
No I/O and no clock here; workers are known by their index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Final

from uaitools.proxy.report import Report

INTERVAL: Final = 1.0  # seconds between gatherings that nobody asked for
PATIENCE: Final = 0.5  # seconds that a gathering may take
NEVER: Final = float("inf")  # the due time of what is not to be done


class Totals:
    """The reports of all workers.

    pull: sends a worker the order to report, under a number. answer: sends the sum to a worker
    that asked. own: the report of the parent itself, which counts for no worker.
    """

    __slots__ = (
        "_answer",
        "_askers",
        "_deadline",
        "_due",
        "_late",
        "_missing",
        "_number",
        "_own",
        "_pull",
        "_pulled",
        "_remains",
        "_reports",
        "_running",
    )

    def __init__(
        self,
        pull: Callable[[int, int], None],
        answer: Callable[[int, Report], None],
        own: Callable[[], Report],
    ) -> None:
        self._pull = pull
        self._answer = answer
        self._own = own
        self._running: set[int] = set()
        self._reports: dict[int, Report] = {}
        self._remains: Report | None = None
        self._pulled: set[int] = set()  # who owes a report; is never pulled a second time
        self._number = 0  # of the last gathering
        self._due = 0.0  # when the next one begins by itself
        self._deadline = NEVER  # of the one under way
        self._missing: set[int] = set()
        self._askers: list[int] = []
        self._late: list[int] = []  # who asked when the one under way had begun

    def __repr__(self) -> str:
        return f"<Totals workers={len(self._running)} missing={len(self._missing)}>"

    @property
    def due(self) -> float:
        """When `advance` has something to do, if nothing happens before."""
        return min(self._due, self._deadline)

    def joined(self, worker: int) -> None:
        """A process serves from now on."""
        self._running.add(worker)

    def left(self, worker: int) -> None:
        """A process has ended; what it had counted stays in the sums."""
        report = self._reports.pop(worker, None)
        if report is not None:
            remains = report.remains()
            self._remains = self._remains.merge(remains) if self._remains else remains
        self._running.discard(worker)
        self._pulled.discard(worker)
        self._missing.discard(worker)
        self._askers = [asker for asker in self._askers if asker != worker]
        self._late = [asker for asker in self._late if asker != worker]

    def ask(self, worker: int, now: float) -> None:
        """A worker wants the sum, of reports that are made after this."""
        self._late.append(worker)
        if not self._askers:  # nobody waits for the one of each second: it gives way
            self._begin(now)

    def reported(self, worker: int, number: int, report: Report) -> None:
        """A report has come, in answer to the pull of that number."""
        self._reports[worker] = report
        self._pulled.discard(worker)
        if number == self._number:
            self._missing.discard(worker)
        elif worker in self._missing:
            self._order(worker)  # it was made before somebody asked

    def advance(self, now: float) -> None:
        """Answer who asked, when everything is there or the time is over, and begin anew."""
        if self._deadline < NEVER and (not self._missing or now >= self._deadline):
            askers, self._askers = self._askers, []
            self._missing.clear()
            self._deadline = NEVER
            if askers:
                whole = self.whole()
                for asker in askers:
                    self._answer(asker, whole)
        if self._deadline == NEVER and (self._late or now >= self._due):
            self._begin(now)

    def whole(self) -> Report:
        """The last report of every worker, what the dead left, and the parent's own."""
        living = reduce(Report.merge, self._reports.values(), self._own())
        return living.merge(_of_known(self._remains, living)) if self._remains else living

    def _begin(self, now: float) -> None:
        self._number += 1
        self._due = now + INTERVAL
        self._deadline = now + PATIENCE
        self._askers, self._late = self._late, []
        self._missing = set(self._running)
        for worker in self._running - self._pulled:
            self._order(worker)

    def _order(self, worker: int) -> None:
        self._pulled.add(worker)
        self._pull(worker, self._number)


def _of_known(remains: Report, living: Report) -> Report:
    """What the dead left, without the endpoints that are no longer configured."""
    services = {}
    for name, service in remains.services.items():
        if name in living.services:
            known = living.services[name].endpoints
            left = {address: one for address, one in service.endpoints.items() if address in known}
            services[name] = replace(service, endpoints=left)
    return replace(remains, services=services)
