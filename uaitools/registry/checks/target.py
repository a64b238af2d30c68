"""Where a check goes: to the instance's own address and port, and nowhere else.

What a registration says becomes part of a URL here. A path like `//other/` or an address like
`a@other` would make it a URL of another host, so both are valid in full or not used at all.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

PATH_LIMIT: Final = 1024  # characters

# RFC 3986 3.3 and 3.4: the characters of a path and its query; others are written %XX.
_CHARACTER: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@?]|%[0-9A-Fa-f]{2})"
PATH: Final = rf"/(?:{_CHARACTER}(?:{_CHARACTER}|/)*)?"
_PATH: Final = re.compile(PATH)
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_ZONE: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")


def valid_path(text: str) -> str:
    """The path of a check, as it is. Raises ValueError for one that cannot be asked for."""
    if len(text) > PATH_LIMIT:
        raise ValueError(f"a check's path has at most {PATH_LIMIT} characters")
    if _PATH.fullmatch(text) is None:
        raise ValueError(
            "a check's path begins with one '/'; spaces, control characters and others that a URL"
            " does not have are written %XX"
        )
    return text


def valid_address(text: str) -> str:
    """The address of an instance, as it is: IPv4, IPv6 or a host name. Raises ValueError."""
    ip, _, zone = text.partition("%")
    if zone and ":" in ip:
        valid = _ZONE.fullmatch(zone) is not None and _is_ip(ip)
    else:
        valid = _is_ip(text) or _HOST.fullmatch(text) is not None
    if not valid:
        raise ValueError("an address is an IPv4 or IPv6 address or a host name, without a port")
    return text


def valid_port(port: int) -> int:
    """The port of an instance, as it is. Raises ValueError."""
    if not 0 < port <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    return port


def url(scheme: str, address: str, port: int, path: str) -> str:
    """The URL of a check. Raises ValueError for an address, port or path that is not valid."""
    host, port = valid_address(address), valid_port(port)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{scheme}://{authority}{valid_path(path)}"


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
