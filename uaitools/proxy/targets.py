"""Where connections of a service may go: its endpoints and instances, as addresses to connect to.

An endpoint is one address. A name stands for all the addresses it resolves to, each an endpoint
of its own with its own health. Where the configuration and the registry both name an address, it
is the registry that knows better: an instance that drains gets nothing, written down or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from uaitools.ip import is_address
from uaitools.proxy.tls.upstream import TlsConnector

if TYPE_CHECKING:
    from uaitools.proxy.config import EndpointUrl, ServiceSettings, UpstreamTls
    from uaitools.proxy.pool import Connector
    from uaitools.proxy.resolver import Resolver
    from uaitools.proxy.tls.material import UpstreamContexts
    from uaitools.registry.client import Member, Placed, Placement


@dataclass(frozen=True, slots=True)
class Target:
    """One address to connect to. placed: the instance that is there, if a registry knows one."""

    address: str
    weight: int
    connect: Connector
    backup: bool = False
    placed: Placed | None = None

    @property
    def last(self) -> bool:
        """See traffic.endpoint."""
        return self.placed is not None and self.placed.last

    @property
    def _rank(self) -> int:
        return -1 if self.placed is None else self.placed.rank

    def better_than(self, other: Target) -> bool:
        """Whether this is the one to believe of two with one address."""
        return (self.placed is not None, -self._rank) > (other.placed is not None, -other._rank)


class Targets:
    """Makes targets. resolver: knows names. contexts: for TLS."""

    __slots__ = ("_contexts", "_resolver")

    def __init__(self, resolver: Resolver, contexts: UpstreamContexts) -> None:
        self._resolver = resolver
        self._contexts = contexts

    def __repr__(self) -> str:
        return f"<Targets {self._resolver!r}>"

    def of(self, settings: ServiceSettings, placement: Placement) -> list[Target]:
        """All of a service, each address once."""
        gone = self.gone(placement)
        found: dict[str, Target] = {}
        for endpoint in settings.endpoints:
            for target in self._of_endpoint(endpoint, settings.tls, placement.scale):
                if target.address not in gone:
                    found.setdefault(target.address, target)
        for placed in placement.placed:
            for target in self._of_instance(placed, settings.tls):
                before = found.get(target.address)
                if before is None or target.better_than(before):
                    found[target.address] = target
        return list(found.values())

    def gone(self, placement: Placement) -> set[str]:
        """The addresses of instances that get nothing now, as /api/status calls them."""
        return {
            label
            for member in placement.out
            for label, _ in self._places(member.address, member.port, secure=member.secure)
        }

    def _of_endpoint(self, endpoint: EndpointUrl, tls: UpstreamTls, scale: int) -> Iterator[Target]:
        weight = scale * endpoint.weight
        if endpoint.url.startswith("unix:"):
            path = endpoint.url.removeprefix("unix:")
            yield Target(endpoint.url, weight, partial(_connect_unix, path), endpoint.backup)
            return
        host, port = endpoint.host_port
        for label, address in self._places(host, port, secure=endpoint.secure):
            connect = self._connector(address, port, host, tls if endpoint.secure else None)
            yield Target(label, weight, connect, endpoint.backup)

    def _of_instance(self, placed: Placed, tls: UpstreamTls) -> Iterator[Target]:
        host, port = placed.member.address, placed.member.port
        secure = placed.member.secure
        for label, address in self._places(host, port, secure=secure):
            connect = self._connector(address, port, host, tls if secure else None)
            yield Target(label, placed.weight, connect, placed.rank > 0, placed)

    def _places(self, host: str, port: int, *, secure: bool) -> Iterator[tuple[str, str]]:
        """How each address of `host` is called in /api/status, and the address."""
        for address in self._resolver.addresses(host):
            label = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            yield f"https://{label}" if secure else label, address

    def _connector(self, address: str, port: int, host: str, tls: UpstreamTls | None) -> Connector:
        if tls is not None:
            return TlsConnector(address, port, host, tls, self._contexts)
        return partial(_connect_tcp, address, port)


def names_of(settings: ServiceSettings, members: Iterable[Member]) -> set[str]:
    """The host names, not addresses, that a service points at."""
    urls = [endpoint for endpoint in settings.endpoints if not endpoint.url.startswith("unix:")]
    hosts = {endpoint.host_port[0] for endpoint in urls}
    hosts |= {member.address for member in members if member.web}
    return {host for host in hosts if not is_address(host)}


def speaks_tls(settings: ServiceSettings, placement: Placement) -> bool:
    """Whether any connection of a service does."""
    return any(endpoint.secure for endpoint in settings.endpoints) or any(
        placed.member.secure for placed in placement.placed
    )


def _connect_tcp(
    host: str, port: int, factory: Callable[[], asyncio.Protocol]
) -> Awaitable[object]:
    return asyncio.get_running_loop().create_connection(factory, host, port)


def _connect_unix(path: str, factory: Callable[[], asyncio.Protocol]) -> Awaitable[object]:
    return asyncio.get_running_loop().create_unix_connection(factory, path)
