"""Which pages may open a connection: RFC 6455 10.2. Pure.

A browser sends cookies with every upgrade, whatever page asked for it, and CORS does not hold
there: the server has to look.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from uaitools.errors import ServiceError
from uaitools.hub.errors import SERVICE

ANY: Final = "*"


class Origins:
    """Origins that are allowed, beside those of the hub's own host."""

    __slots__ = ("_allowed",)

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(allowed)

    def __repr__(self) -> str:
        return f"<Origins {' '.join(sorted(self._allowed))}>"

    def check(self, origin: str | None, host: str) -> None:
        """Let pass a page that may connect, and who is no page. Raises ServiceError (403)."""
        if origin is None or ANY in self._allowed or origin in self._allowed:
            return
        with suppress(ValueError):  # it is no URL
            if origin != "null" and urlsplit(origin).netloc.lower() == host.lower():
                return
        raise ServiceError(403, "pages of this origin may not connect; see hub.origins", SERVICE)
