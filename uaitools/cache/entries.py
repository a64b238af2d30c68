"""The entries of a cache in this process. Pure: times are seconds on the caller's clock.

A key has a value, and a lease while somebody loads one. A delete takes both away, and what was
loaded under a lease that is gone is not stored. A lease lives as long as somebody holds it, and so
takes no room from values, and none at all once its load has failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count
from typing import Final
from weakref import WeakValueDictionary

from uaitools.cache.port import Lease, scope_of

OVERHEAD: Final = 300  # bytes that an entry takes beside its key and value: measured, rounded up


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    ends: float
    size: int


class Entries:
    """At most `entries` of them, and `size` bytes; what was not used for longest goes first."""

    __slots__ = ("_entries", "_held", "_leases", "_size", "_tokens", "evicted", "used")

    def __init__(self, size: int, entries: int) -> None:
        self.used = 0  # bytes
        self.evicted = 0  # values that had to go while they were good
        self._size = size
        self._entries = entries
        self._held: dict[str, _Entry] = {}  # the one used last is last
        self._leases: WeakValueDictionary[str, Lease] = WeakValueDictionary()
        self._tokens = count(1)

    def __repr__(self) -> str:
        return f"<Entries {len(self)}/{self._entries} bytes={self.used}/{self._size}>"

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: str, now: float) -> bytes | None:
        """The value, if there is one."""
        entry = self._held.pop(key, None)
        if entry is None:
            return None
        if entry.ends <= now:
            self.used -= entry.size
            return None
        self._held[key] = entry
        return entry.value

    def ask(self, key: str, now: float) -> bytes | Lease:
        """The value, or a lease; who asks for what is being loaded shares the lease."""
        value = self.get(key, now)
        return self.lease(key) if value is None else value

    def lease(self, key: str) -> Lease:
        """A lease, whatever value there is."""
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = Lease(b"%d" % next(self._tokens))
        return lease

    def release(self, key: str, lease: Lease) -> None:
        """Give a lease back that has not been used."""
        if self._leases.get(key) is lease:
            del self._leases[key]

    def store(self, key: str, lease: Lease, value: bytes, ends: float, now: float) -> bool:
        """Keep a value until `ends` if the lease is held. Whether it was kept."""
        return self._leases.get(key) is lease and self.set(key, value, ends, now)

    def set(self, key: str, value: bytes, ends: float, now: float) -> bool:
        """Keep a value until `ends`, unless it is too large. Whether it was kept."""
        self._delete(key)
        # A character is four bytes at most; which it is depends on the others.
        size = OVERHEAD + 4 * len(key) + len(value)
        if size > self._size or not self._entries:
            return False
        while len(self._held) >= self._entries or self.used + size > self._size:
            oldest = next(iter(self._held))
            entry = self._held.pop(oldest)
            self.used -= entry.size
            self.evicted += entry.ends > now
        self._held[key] = _Entry(value, ends, size)
        self.used += size
        return True

    def delete(self, key: str) -> None:
        """Forget a value, and void a lease; of a scope, all of them."""
        if key and key == scope_of(key):
            # All keys are looked at, 0.06 us each: scopes go seldom, and cost nothing before
            held = [one for one in chain(self._held, self._leases) if one.startswith(key)]
            for one in held:
                self._delete(one)
        else:
            self._delete(key)

    def _delete(self, key: str) -> None:
        self._leases.pop(key, None)
        entry = self._held.pop(key, None)
        if entry is not None:
            self.used -= entry.size
