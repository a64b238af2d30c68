"""Who a client is by its address: how X-Forwarded-For names it, and whether it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from uaitools.ip import client_ip

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
            address = client_ip(host)
            trusted = any(address in network for network in self._trusted)
            known = (str(address).encode(), trusted)
            if len(self._known) >= ADDRESSES:
                self._known.clear()
            self._known[host] = known
        return known

    def client(self, chain: str) -> str:
        """Who speaks through the proxies of `chain`, an X-Forwarded-For whose end is trusted.

        It is read right to left, up to the first address that is no trusted proxy's; what stands
        further left, anybody may have written. Empty when there is no address at its end.
        """
        client = ""
        for part in reversed(chain.split(",")):
            try:
                address, trusted = self.find(_host(part.strip()))
            except ValueError:
                break  # no address: the proxy that wrote it is the last one known
            client = address.decode()
            if not trusted:
                break
        return client


def _host(text: str) -> str:
    """An address without the port that some proxies add: `1.2.3.4:80`, `[::1]:80`."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
