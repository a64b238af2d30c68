"""The guards of all routes, as the configuration asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from uaitools.auth.authenticator import Authenticator
from uaitools.limits.front import Limits
from uaitools.limits.limit import Limit
from uaitools.proxy.config import ProxyConfig, RouteSettings
from uaitools.proxy.deadlines import Deadlines
from uaitools.proxy.guards.guard import Guard
from uaitools.proxy.guards.hooks import Hook, Hooks, load_hook
from uaitools.proxy.guards.identity import Access, Identities, Known, nobody_yet
from uaitools.proxy.guards.networks import Networks
from uaitools.proxy.peers import Peers
from uaitools.proxy.service import Service
from uaitools.traffic.concurrency import Concurrency


@dataclass(slots=True)
class Guards:
    """Makes guards, and keeps what has to outlast a reload: who is under way.

    limiter: counts for all of them. clock: of hooks that run. hooks: of every route, before its
    own. refusals: how often each limit has refused, by its name.
    """

    limiter: Limits
    clock: Deadlines
    refusals: dict[str, int] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    _concurrency: dict[str, Concurrency] = field(default_factory=dict)

    def of(
        self,
        config: ProxyConfig,
        peers: Peers,
        services: Mapping[str, Service],
        authenticator: Authenticator,
    ) -> list[Guard | None]:
        """The guard of each route, None for one that asks for nothing."""
        known = nobody_yet()
        guards = []
        for route in config.routes:
            identities = _identities(route, config, authenticator, known)
            guards.append(self._guard(route, config, peers, services, identities))
        self._keep(config.routes)
        return guards

    def _guard(
        self,
        route: RouteSettings,
        config: ProxyConfig,
        peers: Peers,
        services: Mapping[str, Service],
        identities: Identities | None,
    ) -> Guard | None:
        networks = Networks(route.allow, route.deny) if route.allow or route.deny else None
        concurrency = self._under_way(route)
        hooks = self._hooks(route, services)
        limits = _limits(route, config)
        asked = (networks, identities, limits or None, concurrency, hooks)
        busy = any(services[name].concurrency is not None for name in route.service_names)
        if not busy and all(part is None for part in asked):
            return None
        return Guard(
            route.label,
            peers,
            networks=networks,
            identities=identities,
            limiter=self.limiter,
            limits=limits,
            refusals=self.refusals,
            concurrency=concurrency,
            hooks=hooks,
        )

    def _keep(self, routes: Iterable[RouteSettings]) -> None:
        """Forget who is under way on routes that there are no more."""
        kept = {_key(route) for route in routes if route.concurrency is not None}
        for gone in self._concurrency.keys() - kept:
            del self._concurrency[gone]

    def _under_way(self, route: RouteSettings) -> Concurrency | None:
        if route.concurrency is None:
            return None
        key = _key(route)
        known = self._concurrency.setdefault(key, Concurrency(route.concurrency))
        known.limit = route.concurrency
        return known

    def _hooks(self, route: RouteSettings, services: Mapping[str, Service]) -> Hooks | None:
        functions = (*self.hooks, *(load_hook(name) for name in route.hooks))
        if not functions:
            return None
        return Hooks(functions, route.hook_timeout, route.hook_body, services, self.clock)


def _key(route: RouteSettings) -> str:
    """What requests a route takes: the same over a reload that changes only what it does."""
    return route.model_dump_json(include={"host", "path", "exact", "methods", "headers", "query"})


def _identities(
    route: RouteSettings, config: ProxyConfig, authenticator: Authenticator, known: Known
) -> Identities | None:
    asked = authenticator.enabled if config.auth_enabled is None else config.auth_enabled
    mode = route.auth or ("required" if asked or route.scopes or route.roles else "none")
    if mode == "none":
        return None
    access = Access(
        required=mode == "required",
        scopes=route.scopes,
        roles=route.roles,
        forward=route.forward_credentials,
    )
    return Identities(authenticator, access, known)


def _limits(route: RouteSettings, config: ProxyConfig) -> tuple[Limit, ...]:
    if route.limits is not None:
        return tuple(limit.limit(f"route {route.label}") for limit in route.limits)
    return (config.rate_limit.limit(),) if config.rate_limit is not None else ()
