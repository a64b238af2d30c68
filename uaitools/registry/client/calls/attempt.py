"""One try of a call at one instance: counted in, told to its breaker once, counted out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.traffic.breaker import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from uaitools.registry.client.calls.roster import Roster
    from uaitools.traffic.endpoint import Endpoint


class Attempt:
    """A try. timed: how long its answer takes says something of the instance.

    connecting, reused, sent: see failure.Progress.
    """

    __slots__ = (
        "_open",
        "_reported",
        "_roster",
        "_ticket",
        "_timed",
        "connecting",
        "endpoint",
        "member",
        "reused",
        "sent",
        "status",
    )

    def __init__(self, roster: Roster, endpoint: Endpoint, now: float, *, timed: bool) -> None:
        self.endpoint = endpoint
        self.member = roster.member(endpoint)  # as it was: a view may come while the try is made
        self.status = 0  # of the answer, before it begins
        self.connecting = self.sent = 0.0
        self.reused = False
        self._roster = roster
        self._timed = timed
        self._reported = False
        self._open = True
        self._ticket = endpoint.breaker.admit(now)
        endpoint.in_flight += 1

    def __repr__(self) -> str:
        return f"<Attempt at {self.endpoint.address} status={self.status}>"

    @property
    def welcome(self) -> bool:
        """Whether its instance still takes something new."""
        return self._roster.serves(self.endpoint)

    def wait(self, move: Callable[[], None]) -> None:
        """It waits for a connection; `move` ends that when its instance takes nothing new."""
        self._roster.waiting[self] = move

    def found(self) -> None:
        """It waits no more: it has a connection, or one is made for it."""
        self._roster.waiting.pop(self, None)

    def waited(self, now: float) -> float:
        """Seconds that the instance has had, to accept a connection or to answer."""
        began = self.sent or self.connecting
        return now - began if began else 0.0

    def again(self) -> None:
        """The same try once more, on another connection."""
        self.connecting = self.sent = 0.0
        self.reused = False

    def answered(self, status: int, now: float) -> None:
        """The answer's head has come."""
        self.status = status
        self._observe(now, failed=status >= 500)
        self._roster.sightings.answered(self.member, status, self.waited(now))
        if self.endpoint.breaker.state is not State.HEALTHY:
            self.judge(now)  # a probe's verdict must not wait for the end of a long stream

    def completed(self, now: float) -> None:
        """All of the answer has come."""
        self.judge(now)
        self.release(now)

    def failed(self, now: float, *, connecting: bool = False) -> None:
        """It was the instance's fault that there was no answer, or none that is whole."""
        if not self.status:
            self._observe(now, failed=True)
            self._roster.sightings.failed(self.member, connecting=connecting)
        self._fail(now, connecting=connecting)
        self.release(now)

    def cancelled(self, now: float) -> None:
        """The caller has stopped waiting."""
        endpoint = self.endpoint
        if not self.status and 0.0 < endpoint.latency < self.waited(now):
            # Who hangs would never look slow if only answers counted.
            self._observe(now, failed=False)
        self.release(now)

    def release(self, now: float) -> None:
        """Let go of the instance; without an earlier word that says nothing about it."""
        if not self._open:
            return
        self._open = False
        self.endpoint.in_flight -= 1
        if not self._reported:
            self._reported = True
            self.endpoint.breaker.abandon(self._ticket, now)

    def judge(self, now: float) -> None:
        """Tell the breaker what the answer's status says."""
        if self.status >= 500:
            self._fail(now)
        elif not self._reported:
            self._reported = True
            self.endpoint.breaker.success(self._ticket, now)

    def _fail(self, now: float, *, connecting: bool = False) -> None:
        if self._reported:
            return
        self._reported = True
        endpoint = self.endpoint
        last = not self._roster.has_other((endpoint,), now)
        endpoint.breaker.failure(self._ticket, now, connect=connecting, last=last)

    def _observe(self, now: float, *, failed: bool) -> None:
        observer = self.endpoint.observer
        if observer is not None and self._timed:
            observer.observe(self.endpoint, self.waited(now), now, failed=failed)
