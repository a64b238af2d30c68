"""The instances of one service as endpoints of a balancer. Pure.

Who gets what follows from the members' states, as `client.placing` says.

An endpoint keeps its breaker, its counts and its latency while its instance stays the same: while
id and address do and, within one epoch, the generation. A new generation at an old address is a
new process, and deserves a fresh breaker. When the epoch changes the registry has lost its memory
and gives everybody a new generation, which says nothing of the processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from uaitools.errors import ServiceError
from uaitools.registry.client.calls.sightings import Sightings
from uaitools.registry.client.placing import place
from uaitools.registry.evidence import SERVED
from uaitools.traffic.balancing import Balancer, make_balancer
from uaitools.traffic.breaker import OUT, CircuitBreaker, State
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.retry import RetryBudget

if TYPE_CHECKING:
    from uaitools.registry.client.calls.attempt import Attempt
    from uaitools.registry.client.calls.policy import CallPolicy
    from uaitools.registry.client.member import Member
    from uaitools.registry.client.view import View

Tell = Callable[[Endpoint, State, State], None]


@dataclass(frozen=True, slots=True)
class _Seat:
    member: Member
    endpoint: Endpoint


class Roster:
    """Who may be called now, and whether again.

    zone: the caller's own, "" for none. tell: hears of each change of an endpoint's state.
    requests, retries: counted so far. sightings: for the registry.
    """

    __slots__ = (
        "_balancer",
        "_epoch",
        "_policy",
        "_seats",
        "_served",
        "_tell",
        "_zone",
        "budget",
        "name",
        "requests",
        "retries",
        "sightings",
        "view",
        "waiting",
    )

    def __init__(
        self, name: str, policy: CallPolicy, now: float, *, zone: str = "", tell: Tell | None = None
    ) -> None:
        self.name = name
        self.view: View | None = None
        self.budget = RetryBudget(policy.retry.budget, now)
        self.requests = 0
        self.retries = 0
        self.sightings = Sightings()
        self.waiting: dict[Attempt, Callable[[], None]] = {}  # for a connection: how to end that
        self._policy = policy
        self._zone = zone
        self._tell = tell
        self._epoch = ""
        self._seats: dict[str, _Seat] = {}
        self._served: dict[Endpoint, Member] = {}
        self._balancer: Balancer = make_balancer(policy.balance, policy.decay, ())

    def __repr__(self) -> str:
        return (
            f"<Roster {self.name} members={len(self._seats)} served={len(self._served)} "
            f"requests={self.requests}>"
        )

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Those that may get something new."""
        return tuple(self._served)

    def serves(self, endpoint: Endpoint) -> bool:
        """Whether it may still get something new."""
        return endpoint in self._served

    def apply(self, view: View) -> None:
        """Swap in what is known of the service now."""
        same_epoch = view.epoch == self._epoch
        seats: dict[str, _Seat] = {}
        for member in view.members:
            if member.web:
                known = self._seats.get(member.id)
                stays = known is not None and _same(known.member, member, same_epoch=same_epoch)
                endpoint = known.endpoint if known and stays else self._endpoint(member)
                seats[member.id] = _Seat(member, endpoint)
        # Nothing below can fail: half a view would be worse than an old one.
        before = self.endpoints
        self.view, self._epoch, self._seats = view, view.epoch, seats
        self._place()
        if self.endpoints != before:
            policy = self._policy
            self._balancer = make_balancer(policy.balance, policy.decay, self.endpoints)
        self._balancer.refresh()
        for attempt, move in tuple(self.waiting.items()):
            if not attempt.welcome:
                move()  # others may have a connection free, or make one

    def member(self, endpoint: Endpoint) -> Member:
        """Whose endpoint that is which was just picked."""
        return self._served[endpoint]

    def pick(self, now: float, tried: Collection[Endpoint] = ()) -> Endpoint:
        """Who takes the next try. Raises ServiceError (503) when nobody can."""
        endpoint = self._balancer.pick(now, tried)
        if endpoint is None:
            raise self.unavailable(now)
        return endpoint

    def has_other(self, tried: Collection[Endpoint], now: float) -> bool:
        """Whether an endpoint that is not one of `tried` may be sent to."""
        return any(e not in tried and e.breaker.share(now) > 0 for e in self._served)

    def unavailable(self, now: float) -> ServiceError:
        """Why nobody can take a call, and what helps."""
        if not self._served:
            return ServiceError(503, self._why_nobody(), self.name)
        out = [e.breaker.until - now for e in self._served if e.breaker.state in OUT]
        if len(out) < len(self._served):
            message = "every instance has its limit of calls under way; try again"
            return ServiceError(503, message, self.name, retry_after=1)
        wait = max(0.0, min(*out, self._policy.breaker.eject_max))
        message = "every instance is ejected after failures; see the log for which and why"
        return ServiceError(503, message, self.name, retry_after=wait)

    def _endpoint(self, member: Member) -> Endpoint:
        breaker = CircuitBreaker(self._policy.breaker)
        address = f"{member.host}:{member.port}"
        endpoint = Endpoint(address, member.weight, breaker, self._policy.requests)
        breaker.on_transition = partial(self._changed, endpoint)
        return endpoint

    def _changed(self, endpoint: Endpoint, _: CircuitBreaker, old: State, new: State) -> None:
        if self._zone:
            self._place()  # its zone may have enough no longer, or again
        self._balancer.refresh()
        if self._tell is not None and endpoint in self._served:
            self._tell(endpoint, old, new)

    def _place(self) -> None:
        """Tell who gets what."""
        seats = self._seats
        # Who ramps up does not count: with all others as backups it would get everything at once.
        failing = {name for name, seat in seats.items() if not seat.endpoint.healthy}
        served = {}
        for one in place([seat.member for seat in seats.values()], self._zone, failing).placed:
            endpoint = seats[one.member.id].endpoint
            endpoint.weight = one.weight
            endpoint.backup, endpoint.last = one.backup, one.last
            served[endpoint] = one.member
        self._served = served

    def _why_nobody(self) -> str:
        if self.view is None:
            return (
                "nothing is known of the service yet: no registry has given a list; "
                "the log says why"
            )
        members = self.view.members
        if not members and self.view.stale:
            return (
                "no instance of the service is known, but the registry is away or has lost its "
                "memory; try again in a minute"
            )
        if not members:
            return "no instance of the service is registered; start one, or check the name"
        states = Counter("of weight 0" if m.health in SERVED else m.health.value for m in members)
        if not self._seats:
            states = Counter(f"of the scheme {member.scheme}" for member in members)
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return (
            f"no instance of the service takes new calls ({told}); "
            f"/v1/explain/{self.name} of the registry says why"
        )


def _same(old: Member, new: Member, *, same_epoch: bool) -> bool:
    """Whether two members of one id are one process."""
    there = (old.scheme, old.address, old.port) == (new.scheme, new.address, new.port)
    return there and (old.generation == new.generation or not same_epoch)
