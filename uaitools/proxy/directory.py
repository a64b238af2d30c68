"""The services in force: built from the configuration, kept across reloads, followed through DNS.

An endpoint is one address. A name stands for all the addresses it resolves to, each an endpoint
of its own with its own health, looked up again every 30 s: the system's resolver does not tell a
record's TTL. Where a name has IPv4 addresses its IPv6 ones are left out, else `localhost` would
count twice for servers that listen on one family only.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from time import monotonic
from typing import Final

from uaitools.log import get_logger
from uaitools.proxy.affinity import Affinity, Sticky, finder
from uaitools.proxy.checks import Checks
from uaitools.proxy.config import Check, EndpointUrl, ServiceSettings, UpstreamTls
from uaitools.proxy.config.checks import REGEX
from uaitools.proxy.ejection import Ejection
from uaitools.proxy.failure import EJECTED
from uaitools.proxy.healthcheck import HealthCheck
from uaitools.proxy.orders import Order, StandingOrders
from uaitools.proxy.outbox import Outbox
from uaitools.proxy.pool import Connector, Pool
from uaitools.proxy.service import Service, ServicePolicy
from uaitools.proxy.sweep import Sweep
from uaitools.proxy.tls.material import UpstreamContexts
from uaitools.proxy.tls.upstream import TlsConnector
from uaitools.tasks import spawn
from uaitools.traffic.balancing.ewma import DECAY
from uaitools.traffic.breaker import BreakerPolicy, Cause, CircuitBreaker, State
from uaitools.traffic.checks import CheckPolicy
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.retry import RetryPolicy
from uaitools.traffic.sticky import Sessions

RESOLVE_INTERVAL: Final = 30.0
_RESOLVE_TIMEOUT: Final = 5.0
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """One address to connect to."""

    address: str
    weight: int
    connect: Connector
    backup: bool


class Directory:
    """All services by name.

    client_of: see Peers.client. on_ejection: told of each ejection that happened here. secret:
    signs the cookies of sticky sessions; set before `apply`.
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
        self._resolved: dict[str, tuple[str, ...]] = {}  # name -> its last good addresses
        self._task: asyncio.Task[None] | None = None
        self._accepting_remote = False
        self._orders = StandingOrders()
        self._contexts = UpstreamContexts()
        self._secured: dict[str, UpstreamTls] = {}  # by service: how its pools were made
        self.services: dict[str, Service] = {}
        sweep.hooks.append(self._expire_waiters)
        self._checks = Checks(self.services.values)
        sweep.hooks.append(self._checks.run_due)

    def __repr__(self) -> str:
        return f"<Directory services={len(self.services)} names={len(self._resolved)}>"

    async def start(self) -> None:
        """Follow names from now on."""
        self._task = spawn(self._follow(), name="resolve endpoints")

    async def stop(self) -> None:
        """Stop following names and checking endpoints, and close every idle connection."""
        await self._checks.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for service in self.services.values():
            service.replace({})

    async def resolve(self, settings: Mapping[str, ServiceSettings]) -> None:
        """Look up the names in `settings` that have not been looked up yet."""
        names = _names(settings.values())
        for known in self._resolved.keys() - names - _names(self._settings.values()):
            del self._resolved[known]
        await self._look_up(names - self._resolved.keys())

    def apply(self, settings: Mapping[str, ServiceSettings], mentioned: Iterable[str]) -> None:
        """Make `settings` the ones in force; what is unchanged keeps its state and connections.

        mentioned: services that routes name, which exist even without settings.
        """
        names = dict.fromkeys([*settings, *mentioned])
        secured = [s.tls for s in settings.values() if any(e.secure for e in s.endpoints)]
        for error in self._contexts.prepare(secured):
            _log.error("TLS to a service is not possible", reason=str(error))
        self._settings = {name: settings.get(name, ServiceSettings()) for name in names}
        for name in self.services.keys() - names.keys():
            self.services.pop(name).replace({})
            self._orders.keep(name, frozenset())
            self._secured.pop(name, None)
        for name, chosen in self._settings.items():
            policy = _policy(chosen)
            service = self.services.get(name)
            if service is None:
                service = self.services[name] = Service(name, policy, monotonic())
            service.adopt(policy)
            self._refresh(service, chosen)

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

    # -- endpoints --------------------------------------------------------------------------

    def _refresh(self, service: Service, settings: ServiceSettings) -> None:
        known = {endpoint.address: pool for endpoint, pool in service.pools.items()}
        if self._secured.get(service.name, settings.tls) != settings.tls:
            # Whom we believed before is no longer believed: nothing of it is used again.
            known = {a: pool for a, pool in known.items() if not a.startswith("https:")}
        self._secured[service.name] = settings.tls
        pools: dict[Endpoint, Pool] = {}
        for target in self._targets(settings):
            pool = known.get(target.address) or self._new_pool(service, target)
            endpoint = pool.endpoint
            endpoint.backup = target.backup
            standing = self._orders.of(service.name, target.address)
            endpoint.weight = standing.weight or target.weight
            if standing.drained and endpoint.breaker.state is not State.DRAINED:
                endpoint.breaker.drain(monotonic())
            endpoint.max_requests = service.policy.requests
            endpoint.breaker.policy = service.policy.breaker
            pools[endpoint] = pool
        unresolved = [n for n in _names([settings]) if not self._resolved.get(n)]
        service.hint = (
            f"the name {unresolved[0]} does not resolve"
            if unresolved
            else f"set proxy.services.{service.name}.endpoints in the configuration, "
            f"or register an instance named {service.name}"
        )
        self._orders.keep(service.name, frozenset(e.address for e in pools))
        service.replace(pools)
        service.affinity = self._affinity(service, settings)

    def _affinity(self, service: Service, settings: ServiceSettings) -> Affinity | None:
        sticky: Sticky | None = None
        if settings.sticky is not None:
            sessions = Sessions(self.secret, service.name, settings.sticky.ttl, service.endpoints)
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

    def _targets(self, settings: ServiceSettings) -> list[Target]:
        targets: dict[str, Target] = {}
        for endpoint in settings.endpoints:
            for target in self._targets_of(endpoint, settings.tls):
                targets.setdefault(target.address, target)
        return list(targets.values())

    def _targets_of(self, endpoint: EndpointUrl, tls: UpstreamTls) -> list[Target]:
        if endpoint.url.startswith("unix:"):
            path = endpoint.url.removeprefix("unix:")
            by_path = partial(_connect_unix, path)
            return [Target(endpoint.url, endpoint.weight, by_path, endpoint.backup)]
        host, port = endpoint.host_port
        addresses = (host,) if _is_address(host) else self._resolved.get(host, ())
        targets: list[Target] = []
        for address in addresses:
            label = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            connect: Connector = partial(_connect_tcp, address, port)
            if endpoint.secure:
                label = f"https://{label}"
                connect = TlsConnector(address, port, host, tls, self._contexts)
            targets.append(Target(label, endpoint.weight, connect, endpoint.backup))
        return targets

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

    def _expire_waiters(self, now: float) -> None:
        for service in self.services.values():
            for pool in service.pools.values():
                pool.expire_waiters(now)

    # -- names ------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(RESOLVE_INTERVAL)
            changed = await self._look_up(_names(self._settings.values()))
            for name, settings in self._settings.items():
                if changed & _names([settings]):
                    self._refresh(self.services[name], settings)

    async def _look_up(self, names: Iterable[str]) -> set[str]:
        """Resolve names at the same time; a failure keeps what was known. Returns the changed."""
        wanted = sorted(names)
        found = await asyncio.gather(*(_addresses(name) for name in wanted))
        changed: set[str] = set()
        for name, addresses in zip(wanted, found, strict=True):
            if addresses and set(addresses) != set(self._resolved.get(name, ())):
                self._resolved[name] = addresses
                changed.add(name)
        return changed


async def _addresses(name: str) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_TIMEOUT):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        _log.warning("a name does not resolve", name=name, reason=str(error) or "timed out")
        return ()
    first = [str(info[4][0]) for info in found if info[0] == socket.AF_INET]
    return tuple(dict.fromkeys(first or [str(info[4][0]) for info in found]))


def _names(settings: Iterable[ServiceSettings]) -> set[str]:
    """The host names, not addresses, that services point at."""
    return {
        endpoint.host_port[0]
        for service in settings
        for endpoint in service.endpoints
        if not endpoint.url.startswith("unix:") and not _is_address(endpoint.host_port[0])
    }


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _connect_tcp(
    host: str, port: int, factory: Callable[[], asyncio.Protocol]
) -> Awaitable[object]:
    return asyncio.get_running_loop().create_connection(factory, host, port)


def _connect_unix(path: str, factory: Callable[[], asyncio.Protocol]) -> Awaitable[object]:
    return asyncio.get_running_loop().create_unix_connection(factory, path)


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
