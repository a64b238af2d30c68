"""IP addresses: a client's in the one form that lists, limits and logs compare, and what is one."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address


def client_ip(text: str) -> IPv4Address | IPv6Address:
    """Read an address: without its zone, and as IPv4 where it is one mapped into IPv6.

    The latter is how a listener for both sees IPv4 clients (RFC 4291 2.5.5.2). Raises ValueError.
    """
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


@lru_cache(4096)  # 4 us; asked for every instance of a service whenever one of them changes
def is_address(host: str) -> bool:
    """Whether `host` is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
