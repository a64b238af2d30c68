"""The IP address of a client, in the one form that lists, limits and logs compare."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def client_ip(text: str) -> IPv4Address | IPv6Address:
    """Read an address: without its zone, and as IPv4 where it is one mapped into IPv6.

    The latter is how a listener for both sees IPv4 clients (RFC 4291 2.5.5.2). Raises ValueError.
    """
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
