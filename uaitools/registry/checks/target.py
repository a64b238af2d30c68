"""Where a check goes: to the instance's own address and port, and nowhere else.

What a registration says becomes part of a URL here. A path like `//other/` or an address like
`a@other` would make it a URL of another host, so both are valid in full or not used at all.
"""

from __future__ import annotations

import re
from typing import Final

from uaitools.registry.address import valid_address, valid_port

PATH_LIMIT: Final = 1024  # characters

# RFC 3986 3.3 and 3.4: the characters of a path and its query; others are written %XX.
_CHARACTER: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@?]|%[0-9A-Fa-f]{2})"
PATH: Final = rf"/(?:{_CHARACTER}(?:{_CHARACTER}|/)*)?"
_PATH: Final = re.compile(PATH)


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


def url(scheme: str, address: str, port: int, path: str) -> str:
    """The URL of a check. Raises ValueError for an address, port or path that is not valid."""
    host, port = valid_address(address), valid_port(port)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{scheme}://{authority}{valid_path(path)}"
