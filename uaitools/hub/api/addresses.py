"""Whose address a connection has when it comes through proxies. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from uaitools.ip import client_ip

Network = IPv4Network | IPv6Network


def client_address(remote: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The nearest address that is not a trusted proxy's; '' where there is none.

    forwarded: the lines of X-Forwarded-For. What stands left of an untrusted address is its own
    word, and says nothing.
    """
    hops = [part.strip() for line in forwarded for part in line.split(",")]
    address = remote or ""
    while _is_trusted(address, trusted) and hops:
        address = hops.pop()
    return address


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    try:
        ip = client_ip(address)
    except ValueError:
        return not address  # a unix socket: whoever may open it
    return any(ip in network for network in trusted)
