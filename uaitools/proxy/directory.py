"""The services in force: built from the configuration, kept across reloads, followed through DNS.

Where their endpoints are is told by `targets`, and of instances that a registry names by `placing`
of the registry's client.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from uaitools.log import get_logger
from uaitools.proxy.affinity import Affinity, Sticky, finder
from uaitools.proxy.checks import Checks
from uaitools.proxy.config import Check, ServiceSettings, UpstreamTls
from uaitools.proxy.config.checks import REGEX
from uaitools.proxy.ejection import Ejection
from uaitools.proxy.failure import EJECTED
from uaitools.proxy.healthcheck import HealthCheck
from uaitools.proxy.orders import Order, StandingOrders
from uaitools.proxy.outbox import Outbox
from uaitools.proxy.pool import Pool
from uaitools.proxy.resolver import Resolver
from uaitools.proxy.service import Service, ServicePolicy
from uaitools.proxy.sighting import sight
from uaitools.proxy.sweep import Sweep
from uaitools.proxy.targets import Target, Targets, names_of, speaks_tls
from uaitools.proxy.tls.material import UpstreamContexts
from uaitools.registry.client import NOBODY, Placement, place
from uaitools.traffic.balancing.ewma import DECAY
from uaitools.traffic.breaker import BreakerPolicy, Cause, CircuitBreaker, State
from uaitools.traffic.checks import CheckPolicy
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.retry import RetryPolicy
from uaitools.traffic.sticky import Sessions

if TYPE_CHECKING:
    from uaitools.registry.client import Member

_log = get_logger(__name__)


class Directory:
    """All services by name.

    client_of: see Peers.client. on_ejection: told of each ejection that happened here. secret:
    signs the cookies of sticky sessions; set before `apply`. instances: the instances that a
    registry has under a name. zone: see registry.client.placing.
    """

    def __init__(
        self,
        sweep: Sweep,
        outbox: Outbox,
        client_of: Callable[[str], str],
        on_ejection: Callable[[Ejection], None] | None = None,
    ) -> None:
        self._sweep = sweep
        self._outbox = outbox
        self._client_of = client_of
        self._on_ejection = on_ejection
        self.secret = b""
        self._settings: dict[str, ServiceSettings] = {}
        self.instances: Callable[[str], Sequence[Member]] = lambda _name: ()
        self.known: Callable[[str], bool] = lambda _name: False
        self.zone = ""
        self._resolver = Resolver(self._names, self._renamed)
        self._accepting_remote = False
        self._orders = StandingOrders()
        self._contexts = UpstreamContexts()
        self._targets = Targets(self._resolver, self._contexts)
        self._leaving: list[Pool] = []  # retired, but somebody has nowhere else to wait
        self._unbalanced: set[str] = set()  # services whose zones are to be weighed again
        self._secured: dict[str, UpstreamTls] = {}  # by service: how its pools were made
        self.services: dict[str, Service] = {}
        sweep.hooks.append(self._expire_waiters)
        self._checks = Checks(self.services.values)
        sweep.hooks.append(self._checks.run_due)

    def __repr__(self) -> str:
        return f"<Directory services={len(self.services)} names={len(self._resolver)}>"

    async def start(self) -> None:
        """Follow names from now on."""
        self._resolver.start()

    async def stop(self) -> None:
        """Stop following names and checking endpoints, and close every idle connection."""
        await self._checks.stop()
        await self._resolver.stop()
        for service in self.services.values():
            service.replace({})

    async def resolve(self, settings: Mapping[str, ServiceSettings]) -> None:
        """Look up the names in `settings` that have not been looked up yet."""
        await self._resolver.learn(self._names(settings))

    def apply(self, settings: Mapping[str, ServiceSettings], mentioned: Iterable[str]) -> None:
        """Make `settings` the ones in force; what is unchanged keeps its state and connections.

        mentioned: services that routes name, which exist even without settings.
        """
        names = dict.fromkeys([*settings, *mentioned])
        secured = [s.tls for n, s in settings.items() if speaks_tls(s, self._placement(n, s))]
        for error in self._contexts.prepare(secured):
            _log.error("TLS to a service is not possible", reason=str(error))
        self._settings = {name: settings.get(name, ServiceSettings()) for name in names}
        for name in self.services.keys() - names.keys():
            self._leaving += self.services.pop(name).replace({})
            self._orders.keep(name, frozenset())
            self._secured.pop(name, None)
        for name, chosen in self._settings.items():
            policy = _policy(chosen)
            service = self.services.get(name)
            if service is None:
                service = self.services[name] = Service(name, policy, monotonic())
            service.adopt(policy)
            self._refresh(service, chosen)

    def rediscover(self, name: str) -> None:
        """The instances that a registry has under `name` are others now."""
        for own, settings in self._settings.items():
            if settings.registered(own) == name:
                self._refresh(self.services[own], settings)
        self._resolver.notice()

    def eject(self, ejection: Ejection) -> None:
        """Take an endpoint out because another worker found it bad."""
        service = self.services.get(ejection.service)
        for endpoint in service.pools if service is not None else ():
            if endpoint.address == ejection.address and endpoint.breaker.state is State.HEALTHY:
                self._accepting_remote = True
                try:
                    endpoint.breaker.eject(monotonic(), ejection.cause, ejection.until)
                finally:
                    self._accepting_remote = False

    def obey(self, order: Order) -> None:
        """Do with an endpoint as an operator says; of one that is not here it is only noted."""
        self._orders.note(order)
        service = self.services.get(order.service)
        if service is None:
            return
        for endpoint in service.pools:
            if endpoint.address == order.address:
                self._act(service, endpoint, order)

    def _act(self, service: Service, endpoint: Endpoint, order: Order) -> None:
        now = monotonic()
        breaker = endpoint.breaker
        match order.action:
            case "drain":
                breaker.drain(now)
            case "restore":
                breaker.restore(now)
            case "eject":
                self._accepting_remote = True  # all workers have this order
                try:
                    breaker.eject(now, Cause.OPERATOR, order.until)
                finally:
                    self._accepting_remote = False
            case "weight":
                self._refresh(service, self._settings[service.name])

    def pools(self) -> Iterable[Pool]:
        """Of all endpoints of all services."""
        return [pool for service in self.services.values() for pool in service.pools.values()]

    # -- endpoints --------------------------------------------------------------------------

    def _refresh(self, service: Service, settings: ServiceSettings) -> None:
        known = {endpoint.address: pool for endpoint, pool in service.pools.items()}
        if self._secured.get(service.name, settings.tls) != settings.tls:
            # Whom we believed before is no longer believed: nothing of it is used again.
            known = {a: pool for a, pool in known.items() if not a.startswith("https:")}
        self._secured[service.name] = settings.tls
        pools: dict[Endpoint, Pool] = {}
        placement = self._placement(service.name, settings)
        targets = self._targets.of(settings, placement)
        for target in targets:
            pool = known.get(target.address) or self._new_pool(service, target)
            endpoint = pool.endpoint
            endpoint.backup, endpoint.last = target.backup, target.last
            standing = self._orders.of(service.name, target.address)
            endpoint.weight = placement.scale * (standing.weight or 0) or target.weight
            if standing.drained and endpoint.breaker.state is not State.DRAINED:
                endpoint.breaker.drain(monotonic())
            endpoint.max_requests = service.policy.requests
            endpoint.breaker.policy = service.policy.breaker
            pools[endpoint] = pool
        service.hint = "" if pools else self._hint(service.name, settings, placement)
        present = {endpoint.address for endpoint in pools} | self._targets.gone(placement)
        self._orders.keep(service.name, frozenset(present))
        # Before the pools that go are retired: who waits there is sent on at once.
        service.affinity = self._affinity(service, settings, tuple(pools))
        self._leaving += service.replace(pools)
        for target, pool in zip(targets, pools.values(), strict=True):
            member = target.placed.member if target.placed is not None else None
            if sight(pool, member) and pool.endpoint.breaker.cause is not Cause.OPERATOR:
                pool.endpoint.breaker.restore(monotonic())  # it is another process

    def _placement(self, name: str, settings: ServiceSettings) -> Placement:
        """The instances of a service that a registry names, as they are to be called."""
        registered = settings.registered(name)
        if registered is None:
            return NOBODY
        service = self.services.get(name)
        failing = [
            pool.sighting.member.id
            for endpoint, pool in (service.pools.items() if service is not None else ())
            if pool.sighting is not None and not endpoint.healthy
        ]
        return place(self.instances(registered), self.zone, failing)

    def _names(self, settings: Mapping[str, ServiceSettings] | None = None) -> set[str]:
        """The names that services point at, those in force unless others are given."""
        wanted = self._settings if settings is None else settings
        found: set[str] = set()
        for name, one in wanted.items():
            registered = one.registered(name)
            found |= names_of(one, () if registered is None else self.instances(registered))
        return found

    def _renamed(self, names: Collection[str]) -> None:
        """Some names stand for other addresses now."""
        for name, settings in self._settings.items():
            if not self._names({name: settings}).isdisjoint(names):
                self._refresh(self.services[name], settings)

    def _hint(self, name: str, settings: ServiceSettings, placement: Placement) -> str:
        """What an operator has to do when there is no endpoint at all."""
        registered = settings.registered(name)
        for host in sorted(self._names({name: settings})):
            if not self._resolver.addresses(host):
                return f"the name {host} does not resolve"
        if registered is None:
            return (
                f"set proxy.services.{name}.endpoints in the configuration, or `registry = true` "
                f"there and register an instance named {name}"
            )
        if not self.known(registered):
            return "no registry has said who is there; the log says why"
        if placement.out:
            states = ", ".join(sorted({one.health.value for one in placement.out}))
            return f"the registry has no instance of {registered} to send to, only {states}"
        return f"register an instance named {registered}"

    def _affinity(
        self, service: Service, settings: ServiceSettings, endpoints: Sequence[Endpoint]
    ) -> Affinity | None:
        sticky: Sticky | None = None
        if settings.sticky is not None:
            sessions = Sessions(self.secret, service.name, settings.sticky.ttl, endpoints)
            sticky = Sticky(settings.sticky.cookie.encode(), sessions)
        elif settings.hash is None:
            return None
        find = finder(settings.hash, self._client_of) if settings.hash is not None else None
        return Affinity(find, sticky, hashing=settings.hash is not None)

    def _new_pool(self, service: Service, target: Target) -> Pool:
        breaker = CircuitBreaker(service.policy.breaker)
        endpoint = Endpoint(
            target.address, target.weight, breaker, service.policy.requests, backup=target.backup
        )
        breaker.on_transition = partial(self._changed, service, endpoint)
        return Pool(endpoint, service, target.connect, self._sweep, self._outbox)

    def _changed(
        self,
        service: Service,
        endpoint: Endpoint,
        breaker: CircuitBreaker,
        old: State,
        new: State,
    ) -> None:
        """An endpoint's breaker has changed its state."""
        service.balancer.refresh()
        if self.zone:
            self._unbalance(service.name)
        cause = breaker.cause
        tell = _log.warning if new is State.EJECTED else _log.info
        tell(
            "endpoint changed state",
            upstream=service.name,
            endpoint=endpoint.address,
            old=old.value,
            new=new.value,
            cause=cause.value if cause else None,
        )
        if new is not State.EJECTED or cause is None:
            return
        pool = service.pools.get(endpoint)
        if pool is not None:
            pool.fail_waiters(EJECTED)
        if (
            self._on_ejection is not None
            and not self._accepting_remote
            and old is not State.PROBING
            and cause is not Cause.CHECK  # every worker checks by itself
        ):
            self._on_ejection(Ejection(service.name, endpoint.address, cause, breaker.until))

    def _unbalance(self, name: str) -> None:
        """See soon whether the own zone still has enough; now may be in the middle of a refresh."""
        if not self._unbalanced:
            asyncio.get_running_loop().call_soon(self._rebalance)
        self._unbalanced.add(name)

    def _rebalance(self) -> None:
        names = self._unbalanced.copy()
        self._unbalanced.clear()
        for name in names & self.services.keys():
            if self._settings[name].registered(name) is not None:
                self._refresh(self.services[name], self._settings[name])

    def _expire_waiters(self, now: float) -> None:
        for service in self.services.values():
            for pool in service.pools.values():
                pool.expire_waiters(now)
        for pool in self._leaving:
            pool.expire_waiters(now)
        if self._leaving:
            self._leaving = [pool for pool in self._leaving if pool.waited_for]


def _policy(settings: ServiceSettings) -> ServicePolicy:
    return ServicePolicy(
        balance=settings.balance,
        decay=settings.decay or DECAY,
        connect=settings.timeouts.connect,
        first_byte=settings.timeouts.first_byte,
        between_bytes=settings.timeouts.between_bytes,
        connections=settings.limits.connections,
        pending=settings.limits.pending,
        requests=settings.limits.requests,
        concurrency=settings.limits.concurrency,
        breaker=BreakerPolicy(**settings.breaker.model_dump()),
        retry=RetryPolicy(**settings.retry.model_dump()),
        check=None if settings.check is None else _health_check(settings.check),
    )


def _health_check(settings: Check) -> HealthCheck:
    body = settings.body
    if body is not None:
        body = body.removeprefix(REGEX) if body.startswith(REGEX) else re.escape(body)
    return HealthCheck(
        path=settings.http,
        method=settings.method,
        host=settings.host,
        statuses=settings.status,
        body=None if body is None else re.compile(body.encode()),
        policy=CheckPolicy(
            settings.interval, settings.timeout, settings.jitter, settings.rise, settings.fall
        ),
    )
