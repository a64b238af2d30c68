"""Where an instance is: scheme, address and port, and what of them makes a URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from uaitools.ip import is_address

# By scheme, whether it is spoken over TLS; others, such as tcp, are not HTTP.
SECURE: Final[Mapping[str, bool]] = {"http": False, "ws": False, "https": True, "wss": True}
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_ZONE: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")


def web_scheme(scheme: str) -> str:
    """The scheme of its URLs: https for what is spoken over TLS, else http."""
    return "https" if SECURE.get(scheme, False) else "http"


def valid_address(text: str) -> str:
    """The address of an instance, as it is: IPv4, IPv6 or a host name. Raises ValueError."""
    ip, _, zone = text.partition("%")
    if zone and ":" in ip:
        valid = _ZONE.fullmatch(zone) is not None and is_address(ip)
    else:
        valid = is_address(text) or _HOST.fullmatch(text) is not None
    if not valid:
        raise ValueError("an address is an IPv4 or IPv6 address or a host name, without a port")
    return text


def valid_port(port: int) -> int:
    """The port of an instance, as it is. Raises ValueError."""
    if not 0 < port <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    return port
