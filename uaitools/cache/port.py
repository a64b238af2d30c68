"""What a backend of the cache promises. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from uaitools.metrics import Sample

YEAR: Final = 366 * 86_400.0  # seconds that anything is kept at most


def scope_of(key: str) -> str:
    """The scope of a key: what it begins with up to its first line break, that included, or ''."""
    return key[: key.find("\n") + 1]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Lease:
    """The right to store what is loaded from now on, until the key is deleted or set.

    token: never empty; the same for all who ask while somebody loads, and never used again.
    first: nobody had it before who asks now. Of a backend of one process it always is: who shares
    a load there is known already.
    """

    token: bytes
    first: bool = True


class Backend(Protocol):
    """Keys to bytes. Nothing raises: what cannot be had is a miss. ttl: seconds, at most a YEAR.

    A key may have a scope, see `scope_of`: to delete the scope is to delete all keys that have it.

    What was deleted or replaced before a call began is not found by it, in this process whatever
    happens, and in others as soon as the delete has arrived there.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, if there is one."""

    async def exists(self, key: str) -> bool:
        """Whether there is a value."""

    async def ask(self, key: str) -> bytes | Lease | None:
        """The value; or a lease by which to store it; or None, and then it is not to be stored."""

    async def renew(self, key: str) -> Lease | None:
        """A lease by which to replace the value that is there; None: it is not to be replaced."""

    async def release(self, key: str, lease: Lease) -> None:
        """Give a lease back: what was to be stored by it could not be loaded."""

    async def store(self, key: str, lease: Lease, value: bytes, ttl: float) -> bool:
        """Keep what was loaded after `ask` or `renew` if the lease is held; whether it was kept."""

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Replace the value. Where that is not possible it is deleted."""

    async def delete(self, *keys: str) -> bool:
        """Delete values, of scopes all, and the leases of who loads them now.

        False where the backend cannot be told yet: it is as soon as it can be.
        """

    async def stop(self) -> None:
        """Release everything."""

    @property
    def failing(self) -> str:
        """Why the backend cannot be reached, '' while it can."""

    def samples(self, name: str) -> Iterable[Sample]:
        """What a backend counts. name: of the cache."""
