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

Beside it: `gateway` listens and swaps configurations (`config`), `clients` and `peers` are whom it
serves, `directory` keeps services and follows DNS, `native` connects our own aiohttp application
in process, `handler` is the proxy as an aiohttp handler, `client` is what an exchange asks of whom
it answers, `sweep` is the one clock of all timeouts, `memo` remembers heads, `failure` and
`ejection` name what goes wrong, `ids` are random, `series`, `status` and `report` tell. The
program: `__main__` parses `flags` and runs `program`, in several processes by `workers`, with the
upstreams of `demo`. `tls` stands between transports and protocols, `redirect` beside it sends plain
requests on to https. Pure are http1, routing, headers, memo, failure, report and peers; the others
touch sockets, tasks or time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uaitools.proxy.config import ProxyConfig
    from uaitools.proxy.gateway import Gateway
    from uaitools.proxy.handler import ReverseProxy
    from uaitools.traffic.balancing import RoundRobin
    from uaitools.traffic.breaker import BreakerPolicy, CircuitBreaker
    from uaitools.traffic.endpoint import Endpoint
    from uaitools.traffic.retry import RetryBudget

__all__ = [
    "BreakerPolicy",
    "CircuitBreaker",
    "Endpoint",
    "Gateway",
    "ProxyConfig",
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
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: a breaker alone needs no aiohttp."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only now

    return getattr(import_module(_HOMES[name]), name)
