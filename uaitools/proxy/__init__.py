"""An HTTP/1.1 reverse proxy and API gateway: routing, balancing, circuit breakers, streaming.

A request's path, file by file:

    downstream   the client's connection: where a request ends, how its answer is framed
    site         the plan for a head: parsed (http1), routed (routing), rewritten (headers)
    exchange     one request and its answer: endpoint, connection, retries, outcome
    service      an upstream service: its endpoints, balancer and retry budget (traffic)
    pool         the connections to one endpoint
    upstream     one of them: the request goes out, the response comes in
    tunnel       after a 101: bytes both ways
    connection   what downstream and upstream have in common
    outbox       what all of them write in one turn of the loop, sent at its end

Beside it: `gateway` listens and swaps configurations (`config`, whose routes `table` translates);
`hosts`, `paths` with their `pattern`s and `conditions` say which route it is, `split`, `reply`,
`cors` and `edits` what else a route does; `guard` asks who may pass (`networks`, `identity`,
`hooks` with their `interception`; `guards` makes them); `affinity` ties a request to an endpoint
(`cookies`). `clients` and `peers` are whom it serves; `directory` keeps services and follows DNS,
`checks` ask endpoints how they are (`healthcheck`), `native` connects our own application, and
`handler` is the proxy in another's. `tls` stands between transports and protocols, `redirect` sends
plain requests on to it. `sweep` is the one clock of all timeouts (`deadlines`, `patience`), `memo`
remembers heads, `failure`, `ends` and `ejection` name what goes wrong, `series`, `status`, `report`
and `access` (by `access_writer`) tell, `orders` come through `admin`, `program` runs it all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uaitools.proxy.config import ProxyConfig
    from uaitools.proxy.gateway import Gateway
    from uaitools.proxy.handler import ReverseProxy
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
    "BreakerPolicy",
    "CircuitBreaker",
    "ConsistentHash",
    "Endpoint",
    "Ewma",
    "Gateway",
    "LeastRequests",
    "ProxyConfig",
    "Random",
    "RetryBudget",
    "ReverseProxy",
    "RoundRobin",
]

_HOMES = {
    "BreakerPolicy": "uaitools.traffic.breaker",
    "CircuitBreaker": "uaitools.traffic.breaker",
    "Endpoint": "uaitools.traffic.endpoint",
    "Gateway": "uaitools.proxy.gateway",
    "ProxyConfig": "uaitools.proxy.config",
    "RetryBudget": "uaitools.traffic.retry",
    "ReverseProxy": "uaitools.proxy.handler",
    "RoundRobin": "uaitools.traffic.balancing",
    "ConsistentHash": "uaitools.traffic.balancing",
    "Ewma": "uaitools.traffic.balancing",
    "LeastRequests": "uaitools.traffic.balancing",
    "Random": "uaitools.traffic.balancing",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: a breaker alone needs no aiohttp."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only now

    return getattr(import_module(_HOMES[name]), name)
