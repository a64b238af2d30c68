"""Who a client is by its address: how X-Forwarded-For names it, and whether it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

ADDRESSES: Final = 4096  # remembered


class Peers:
    """Peers by address. trusted: the networks whose proxies are believed about their clients."""

    __slots__ = ("_known", "_trusted")

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = tuple(trusted)
        self._known: dict[str, tuple[bytes, bool]] = {}

    def __repr__(self) -> str:
        return f"<Peers known={len(self._known)} trusted={len(self._trusted)}>"

    def find(self, host: str) -> tuple[bytes, bool]:
        """The address in its usual spelling, and whether it is a trusted proxy's.

        Raises ValueError when `host` is no address.
        """
        known = self._known.get(host)
        if known is None:
            address = ip_address(host.partition("%")[0])
            trusted = any(address in network for network in self._trusted)
            known = (str(address).encode(), trusted)
            if len(self._known) >= ADDRESSES:
                self._known.clear()
            self._known[host] = known
        return known
