"""Routes by host: an exact name, then wildcards from the longest to the shortest, then any host.

Names are compared in lower case, without port and without a final dot: `A.example.org.:80` is
`a.example.org`. `*.example.org` takes one label or more before `example.org`, which itself it
does not take.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

V = TypeVar("V")

ANY: Final = b""
_LONGEST: Final = 255  # RFC 1035 2.3.4; a longer one is no name, and would have many labels to try


def host_name(authority: bytes | None) -> bytes:
    """The host of a Host field's value as it is compared; empty for none."""
    if authority is None:
        return b""
    if authority.startswith(b"["):
        return authority[: authority.find(b"]") + 1].lower()
    return authority.partition(b":")[0].lower().removesuffix(b".")


class Hosts(Generic[V]):
    """Something for each host pattern that routes name."""

    __slots__ = ("_exact", "_wild")

    def __init__(self) -> None:
        self._exact: dict[bytes, V] = {}
        self._wild: dict[bytes, V] = {}  # by what follows the "*."

    def __repr__(self) -> str:
        return f"<Hosts exact={len(self._exact)} wildcards={len(self._wild)}>"

    def __len__(self) -> int:
        return len(self._exact) + len(self._wild)

    def put(self, pattern: bytes, value: V) -> None:
        """Keep `value` for a pattern: a name, `*.` and a name, or ANY."""
        if pattern.startswith(b"*."):
            self._wild[pattern[2:]] = value
        else:
            self._exact[pattern] = value

    def get(self, pattern: bytes) -> V | None:
        """What is kept for exactly this pattern."""
        if pattern.startswith(b"*."):
            return self._wild.get(pattern[2:])
        return self._exact.get(pattern)

    def best(self, authority: bytes | None) -> bytes:
        """The most specific pattern that takes a host; it decides which others do."""
        host = host_name(authority)
        if not host or len(host) > _LONGEST:
            return ANY
        if host in self._exact:
            return host
        rest = host.partition(b".")[2]
        while rest:
            if rest in self._wild:
                return b"*." + rest
            rest = rest.partition(b".")[2]
        return ANY

    def candidates(self, authority: bytes | None) -> list[V]:
        """What is kept for the patterns that take a host, the most specific first."""
        found: list[V] = []
        host = host_name(authority)
        if host and len(host) <= _LONGEST:
            exact = self._exact.get(host)
            if exact is not None:
                found.append(exact)
            rest = host.partition(b".")[2]
            while rest:
                wild = self._wild.get(rest)
                if wild is not None:
                    found.append(wild)
                rest = rest.partition(b".")[2]
        last = self._exact.get(ANY)
        if last is not None:
            found.append(last)
        return found
