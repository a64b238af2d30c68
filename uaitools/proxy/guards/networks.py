"""Which clients may come at all: lists of addresses and networks."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from uaitools.ip import client_ip

ADDRESSES: Final = 4096  # whose verdict is remembered

Network = IPv4Network | IPv6Network


class Networks:
    """Admits addresses: none of `deny`, and only those of `allow` unless it is empty.

    A client without an address, behind a unix socket, is in no network.
    """

    __slots__ = ("_allow", "_deny", "_known")

    def __init__(self, allow: Sequence[Network], deny: Sequence[Network]) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._known: dict[bytes, bool] = {}

    def __repr__(self) -> str:
        return f"<Networks allow={len(self._allow)} deny={len(self._deny)}>"

    def admits(self, address: bytes) -> bool:
        """Whether the client at `address` may come."""
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= ADDRESSES:
                self._known.clear()
            known = self._known[address] = self._judge(address)
        return known

    def _judge(self, text: bytes) -> bool:
        if not text:
            return not self._allow
        address = client_ip(text.decode())
        if any(address in network for network in self._deny):
            return False
        return not self._allow or any(address in network for network in self._allow)
