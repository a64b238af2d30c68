"""The connections to one endpoint: idle ones last in first out, a limit, and a bounded queue.

Decisions are synchronous: an exchange pops `idle` itself or is enqueued for the next connection
that is opened or returned. Warm connections stay warm because the last one returned is the first
one used.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from uaitools.proxy.failure import CONNECT, CONNECT_TIMEOUT, QUEUE_TIMEOUT, Failure
from uaitools.proxy.http1.response import IDLE_SECONDS
from uaitools.proxy.upstream import Upstream
from uaitools.tasks import spawn
from uaitools.traffic.endpoint import Endpoint

if TYPE_CHECKING:
    from uaitools.proxy.outbox import Outbox
    from uaitools.proxy.plan import Plan
    from uaitools.proxy.service import Service
    from uaitools.proxy.sighting import Sighting
    from uaitools.proxy.sweep import Sweep

IDLE_LIMIT: Final = 128  # idle connections kept for one endpoint
REQUEST_LIMIT: Final = 1000  # requests on one connection

# Opens a connection for the protocol that its argument makes.
Connector = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]


class Waiter(Protocol):
    """An exchange as the pool sees it."""

    plan: Plan
    waiting_since: float

    def attach(self, upstream: Upstream, now: float) -> None:
        """Take the connection and send the request on it."""

    def upstream_failed(self, failure: Failure, message: str | None = None) -> None:
        """There will be no connection."""

    def reroute(self, now: float) -> None:
        """The endpoint leaves, and there are others."""


class Pool:
    """Connections to `endpoint`, opened by `connect`, within the limits of `service.policy`."""

    __slots__ = (
        "_connecting",
        "_replays",
        "_retired",
        "connect",
        "endpoint",
        "idle",
        "open",
        "opened",
        "outbox",
        "refused",
        "reused",
        "service",
        "sighting",
        "sweep",
        "unreached",
        "waiters",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        service: Service,
        connect: Connector,
        sweep: Sweep,
        outbox: Outbox,
    ) -> None:
        self.endpoint = endpoint
        self.service = service
        self.sweep = sweep
        self.outbox = outbox
        self.connect = connect
        self._connecting = 0
        self._retired = False
        self.idle: list[Upstream] = []
        self.waiters: deque[Waiter] = deque()
        self._replays: deque[Waiter] = deque()
        self.open = 0  # connections that exist or are being made
        self.opened = 0
        self.refused: str | None = None  # what the system said to the last attempt to connect
        self.reused = 0
        self.unreached = 0  # requests that found no connection could be made
        self.sighting: Sighting | None = None  # of an endpoint that a registry has named

    def __repr__(self) -> str:
        return (
            f"<Pool {self.endpoint.address} open={self.open} idle={len(self.idle)} "
            f"waiting={len(self.waiters)}>"
        )

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits for a connection."""
        return bool(self._replays or self.waiters)

    def enqueue(self, waiter: Waiter, now: float) -> bool:
        """Let `waiter` have the next connection; False when the queue is full."""
        policy = self.service.policy
        if self.open < policy.connections:
            self._open(waiter)
        elif len(self.waiters) - self._connecting >= policy.pending:
            return False
        waiter.waiting_since = now
        self.waiters.append(waiter)
        return True

    def enqueue_for_new(self, waiter: Waiter, now: float) -> None:
        """Let `waiter` have a connection that is made for it.

        A replay on another idle one could find that the upstream has closed this one, too.
        """
        waiter.waiting_since = now
        self._replays.append(waiter)
        if self._retired:
            self._reroute(now)
        if waiter not in self._replays:
            return
        if self.open < self.service.policy.connections:
            self._open(waiter)
        elif self.idle:
            self.idle[0].close()  # `lost` opens the new one in its place

    def forget(self, waiter: Waiter) -> None:
        """`waiter` no longer wants a connection."""
        for queue in (self.waiters, self._replays):
            if waiter in queue:
                queue.remove(waiter)

    def checkin(self, upstream: Upstream, now: float, idle: float) -> None:
        """Take a connection back whose exchange has ended cleanly, for `idle` seconds at most."""
        if upstream.served >= REQUEST_LIMIT or now > upstream.retires:
            upstream.close()
        elif self.waiters:
            self.waiters.popleft().attach(upstream, now)
        elif len(self.idle) < IDLE_LIMIT and not self._retired:
            upstream.deadline = now + idle
            self.idle.append(upstream)
        else:
            upstream.close()

    def withdraw(self, upstream: Upstream) -> None:
        """A connection is about to close: nobody gets it any more."""
        if upstream in self.idle:
            self.idle.remove(upstream)

    def lost(self, upstream: Upstream) -> None:
        """A connection has ended, for whatever reason."""
        self.open -= 1
        self.withdraw(upstream)
        self._open_for_waiters()

    def retire(self) -> None:
        """Take no request any more: who waits goes elsewhere, what is under way finishes here.

        So an endpoint that is told to stop may do so as soon as it has answered what it has: none
        of those who wait reaches it later. Idle connections close now, the others after use.
        """
        self._retired = True
        for upstream in self.idle.copy():
            upstream.close()
        self._reroute(monotonic())

    def _reroute(self, now: float) -> None:
        """Send those who wait elsewhere, as long as anybody can take them; the others wait on."""
        waiting = [*self._replays, *self.waiters]
        while waiting and any(e.share(now) > 0.0 for e in self.service.pools):
            waiter = waiting.pop(0)
            self.forget(waiter)
            waiter.reroute(now)

    def fail_waiters(self, failure: Failure) -> None:
        """Send everyone in the queue elsewhere: the endpoint was ejected."""
        waiting = [*self._replays, *self.waiters]
        self._replays.clear()
        self.waiters.clear()
        for waiter in waiting:
            waiter.upstream_failed(failure)

    def expire_waiters(self, now: float) -> None:
        """Fail those that have waited longer than their first_byte timeout."""
        for queue in (self._replays, self.waiters):
            for waiter in [
                waiter
                for waiter in queue
                if now - waiter.waiting_since > waiter.plan.patience.first_byte
            ]:
                self._fail(waiter, QUEUE_TIMEOUT)

    def _fail(self, waiter: Waiter, failure: Failure) -> bool:
        """Tell `waiter` that there will be no connection; False when it waits no more."""
        for queue in (self._replays, self.waiters):
            if waiter in queue:
                queue.remove(waiter)
                waiter.upstream_failed(failure)
                return True
        return False

    def _open(self, waiter: Waiter) -> None:
        """Open a connection, with the patience of one who waits for it."""
        self.open += 1
        self._connecting += 1
        spawn(self._make_connection(waiter), name=f"connect {self.endpoint.address}")

    def _open_for_waiters(self) -> None:
        limit = self.service.policy.connections
        while len(self._replays) + len(self.waiters) > self._connecting and self.open < limit:
            at = self._connecting - len(self._replays)  # those before have one on its way
            self._open(self.waiters[at] if at >= 0 else self._replays[at])

    async def _make_connection(self, waiter: Waiter) -> None:
        upstream = Upstream(self)
        failure: Failure | None = None
        self.refused = None
        began = monotonic()
        try:
            async with asyncio.timeout(waiter.plan.patience.connect):
                await self.connect(lambda: upstream)
        except TimeoutError:
            failure = CONNECT_TIMEOUT
        except OSError as error:
            failure = CONNECT
            self.refused = os.strerror(error.errno) if error.errno else str(error)
        else:
            if not upstream.usable:
                failure = CONNECT  # accepted, and closed before it could be used
        finally:
            self._connecting -= 1
            if not upstream.connected:
                self.open -= 1
        if failure is not None:
            queue = self._replays or self.waiters
            # Who waited for it may have got another one. That it was refused concerns the next
            # in turn as well, but not that it took longer than somebody else would wait.
            if not self._fail(waiter, failure) and queue and failure is not CONNECT_TIMEOUT:
                queue.popleft().upstream_failed(failure)
            self._open_for_waiters()
            return
        self.opened += 1
        upstream.took = monotonic() - began
        if self._replays:
            self._replays.popleft().attach(upstream, monotonic())
        else:
            self.checkin(upstream, monotonic(), IDLE_SECONDS)
