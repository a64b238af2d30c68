"""Whom a call is counted for, as bytes of a bounded length.

The first byte tells the kinds apart, so that a principal named like an address has a bucket of its
own. What a call does not have falls back on the client's address: nobody gets around a limit by
leaving a header or a credential out.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address
from typing import Final

from uaitools.ip import client_ip

HEADER: Final = "header:"
_LONGEST: Final = 64  # bytes of a value that are kept as they are
# The values of these fields mean the same in any case (RFC 9110, 4.2.3, 8.3.1, 8.4.1, 12.5.4;
# RFC 6454, 4). Others, keys and tokens among them, are compared as they stand.
_CASELESS: Final = frozenset(
    {
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "content-encoding",
        "content-type",
        "host",
        "origin",
        "x-forwarded-host",
    }
)


def call_key(
    source: str, *, address: str, principal: str | None, route: str, header: bytes | None
) -> bytes:
    """The key of a call. source: a limit's `key`; header: the value of the field it names.

    Of a field that came several times, all values joined by commas.
    """
    if source == "principal":
        return principal_key(principal) if principal is not None else address_key(address)
    if source == "address":
        return address_key(address)
    if source == "route":
        return b"r" + _bounded(route.encode())
    name = source.removeprefix(HEADER).lower()
    value = field_value(name, header) if header is not None else b""
    return b"h" + _bounded(value) if value else address_key(address)


def principal_key(principal: str) -> bytes:
    """The key of an authenticated caller, compared as it stands."""
    return b"p" + _bounded(principal.encode("utf-8", "surrogatepass"))


@lru_cache(4096)
def address_key(address: str) -> bytes:
    """The key of a client's address: IPv4 exactly, IPv6 by its /64, which one client owns.

    An IPv4 address mapped into IPv6 is that IPv4 address. A peer without an address (a unix
    socket) is one client.
    """
    try:
        ip = client_ip(address)
    except ValueError:
        return b"u" + _bounded(address.encode("utf-8", "surrogatepass"))
    return b"4" + ip.packed if isinstance(ip, IPv4Address) else b"6" + ip.packed[:8]


def field_value(name: str, value: bytes) -> bytes:
    """A field's value in the one form of all that mean the same. name: in lower case.

    White space around it does not count; nor does case where the field's meaning has none, the
    scheme of `Authorization` included, nor a host's final dot.
    """
    value = value.strip(b" \t")
    if name in ("authorization", "proxy-authorization"):
        scheme, _, credentials = value.partition(b" ")
        return scheme.lower() + b" " + credentials.strip(b" \t") if credentials else value
    if name in _CASELESS:
        value = value.lower()
    if name in ("host", "x-forwarded-host"):
        host, colon, port = value.partition(b":")
        value = host.removesuffix(b".") + colon + port
    return value


def _bounded(value: bytes) -> bytes:
    """A long value by its digest; its first byte keeps it apart from short ones."""
    if len(value) <= _LONGEST:
        return b"=" + value
    return b"#" + blake2b(value, digest_size=16).digest()
