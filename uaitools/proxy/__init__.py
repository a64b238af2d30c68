"""An HTTP/1.1 reverse proxy and API gateway: routing, balancing, circuit breakers, streaming.

A request's path, file by file:

    downstream   the client's connection: where a request ends, how its answer is framed
    site         the plan for a head: parsed (http1), routed (routing)
    plan         what to do with requests that have it: rewritten (headers), guarded
    exchange     one request and its answer: endpoint, connection, retries, outcome
    service      an upstream service: its endpoints, balancer and retry budget (traffic)
    pool         the connections to one endpoint
    upstream     one of them: the request goes out, the response comes in
    tunnel       after a 101: bytes both ways
    connection   what downstream and upstream have in common
    outbox       what all of them write in one turn of the loop, sent at its end

On the way: `http1`, `routing`, `guards`, `tls`, `access`; beside: `config`, `workers`, `admin`.

Beside it: `gateway` listens and swaps configurations; `clients` and `peers` are whom it serves;
`directory` keeps services, whose `targets` a `resolver` finds, and `discovery` in a registry,
which hears `sighting`s; `checks` ask endpoints how they
are, `affinity` ties requests to them, `attempts` report how they do. `native` connects our own
application, or a component that is `mounted`, `direct` a function of it; `handler` is the proxy in
another's. `sweep` is the one clock of all timeouts (`deadlines`, `patience`), `memo` remembers
heads, `failure`, `ends` and `ejection` name what goes wrong, `series`, `status` and `report` tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.lazy import lazily

if TYPE_CHECKING:
    from uaitools.proxy.config import ProxyConfig
    from uaitools.proxy.config.access import AccessLogSettings
    from uaitools.proxy.direct import DirectAnswer, DirectRequest
    from uaitools.proxy.gateway import Gateway
    from uaitools.proxy.guards.hooks import Forward, Hook, HookAnswer, HookRequest, HookResponse
    from uaitools.proxy.handler import ReverseProxy
    from uaitools.proxy.mounted import Mounted
    from uaitools.traffic.balancing import (
        ConsistentHash,
        Ewma,
        LeastRequests,
        Random,
        RoundRobin,
    )
    from uaitools.traffic.breaker import BreakerPolicy, CircuitBreaker
    from uaitools.traffic.endpoint import Endpoint
    from uaitools.traffic.retry import RetryBudget

__all__ = [
    "AccessLogSettings",
    "BreakerPolicy",
    "CircuitBreaker",
    "ConsistentHash",
    "DirectAnswer",
    "DirectRequest",
    "Endpoint",
    "Ewma",
    "Forward",
    "Gateway",
    "Hook",
    "HookAnswer",
    "HookRequest",
    "HookResponse",
    "LeastRequests",
    "Mounted",
    "ProxyConfig",
    "Random",
    "RetryBudget",
    "ReverseProxy",
    "RoundRobin",
]

_HOMES = {
    "AccessLogSettings": "uaitools.proxy.config.access",
    "BreakerPolicy": "uaitools.traffic.breaker",
    "CircuitBreaker": "uaitools.traffic.breaker",
    "ConsistentHash": "uaitools.traffic.balancing",
    "DirectAnswer": "uaitools.proxy.direct",
    "DirectRequest": "uaitools.proxy.direct",
    "Endpoint": "uaitools.traffic.endpoint",
    "Ewma": "uaitools.traffic.balancing",
    "Forward": "uaitools.proxy.guards.hooks",
    "Gateway": "uaitools.proxy.gateway",
    "Hook": "uaitools.proxy.guards.hooks",
    "HookAnswer": "uaitools.proxy.guards.hooks",
    "HookRequest": "uaitools.proxy.guards.hooks",
    "HookResponse": "uaitools.proxy.guards.hooks",
    "LeastRequests": "uaitools.traffic.balancing",
    "Mounted": "uaitools.proxy.mounted",
    "ProxyConfig": "uaitools.proxy.config",
    "Random": "uaitools.traffic.balancing",
    "RetryBudget": "uaitools.traffic.retry",
    "ReverseProxy": "uaitools.proxy.handler",
    "RoundRobin": "uaitools.traffic.balancing",
}

__getattr__ = lazily(__name__, _HOMES)
