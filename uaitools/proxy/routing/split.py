"""Which of several services takes a request, by weight: at random, or always the same for one key.

A key falls on a point between 0 and the sum of all weights, by a hash that is the same in every
worker and on every machine. Who moves when weights change are those whose points lie between the
old borders and the new ones. One key falls on the same point for every route.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Final

from uaitools.proxy.routing.conditions import cookie, header_values

COOKIE: Final = "cookie"
HEADER: Final = "header"
ADDRESS: Final = "address"


class Split:
    """Services with their weights. sticky: `cookie:NAME`, `header:NAME`, `address`, or empty.

    cookie: the name of the one to give to clients that have none, or empty. by_address: the
    client's address decides.
    """

    __slots__ = ("_bounds", "_header", "_total", "by_address", "cookie", "services")

    def __init__(self, targets: Sequence[tuple[str, int]], sticky: str = "") -> None:
        self.services = tuple([service for service, _ in targets])
        self._bounds = list(accumulate(weight for _, weight in targets))
        self._total = self._bounds[-1]
        kind, _, name = sticky.partition(":")
        self.cookie = name.encode() if kind == COOKIE else b""
        self._header = name.lower().encode() if kind == HEADER else b""
        self.by_address = kind == ADDRESS

    def __repr__(self) -> str:
        return f"<Split {' '.join(self.services)} bounds={self._bounds}>"

    def key(self, lines: bytes) -> bytes | None:
        """What decides in a request's lines, each after a CR LF; None if nothing does."""
        if self.cookie:
            return cookie(lines, self.cookie)
        if self._header:
            values = header_values(lines, self._header)
            return values[0] if values else None
        return None

    def place(self, key: bytes) -> int:
        """The index of the service that takes requests with `key`."""
        return self.at(int.from_bytes(blake2b(key, digest_size=8).digest(), "big") >> 32)

    def at(self, point: int) -> int:
        """The index of the service at a point of 0 to 2**32 - 1."""
        return bisect_right(self._bounds, point * self._total >> 32)
