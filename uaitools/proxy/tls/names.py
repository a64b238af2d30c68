"""Which certificate answers for a name: an exact one, then a wildcard, then the first of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


def normal(name: str) -> str:
    """A host name as it is compared: lower-case, without the root's dot."""
    return name.lower().removesuffix(".")


class Names(Generic[T]):
    """What stands for which names. The first that claims a name has it.

    entries: each with its names, `*.example.com` for any single label (RFC 6125 6.4.3). The first
    entry also answers for every name that none claims, and for clients that send none.
    """

    __slots__ = ("_default", "_exact", "_wildcards")

    def __init__(self, entries: Iterable[tuple[T, Iterable[str]]]) -> None:
        self._exact: dict[str, T] = {}
        self._wildcards: dict[str, T] = {}  # by what follows the asterisk, with its dot
        self._default: T | None = None
        for entry, names in entries:
            if self._default is None:
                self._default = entry
            for name in map(normal, names):
                if name.startswith("*."):
                    self._wildcards.setdefault(name[1:], entry)
                else:
                    self._exact.setdefault(name, entry)

    def __repr__(self) -> str:
        return f"<Names exact={len(self._exact)} wildcards={len(self._wildcards)}>"

    @property
    def all(self) -> Mapping[str, T]:
        """Every claimed name."""
        return {**self._exact, **{f"*{suffix}": entry for suffix, entry in self._wildcards.items()}}

    def find(self, name: str) -> T:
        """What answers for `name`; '' for none. Raises LookupError when there is no entry."""
        name = normal(name)
        found = self._exact.get(name)
        if found is None:
            label, dot, rest = name.partition(".")
            found = self._wildcards.get(dot + rest) if label else None
        if found is None:
            found = self._default
        if found is None:
            raise LookupError("there is no certificate at all")
        return found
