"""What a registry needs of the place where registrations are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from uaitools.registry.entry import Entry
from uaitools.registry.events import Event
from uaitools.registry.leases import Lease
from uaitools.registry.table import Table


class Store(Protocol):
    """Brings events into one order and keeps them.

    The table is replaced when history was lost; it is changed by nothing but `append`, here or in
    another registry. changed: called after each change of the table, in the loop; set by who wants
    to know.
    """

    changed: Callable[[], None]

    @property
    def table(self) -> Table:
        """What follows from all events so far."""

    @property
    def current(self) -> bool:
        """Whether the table has all that was stored, as far as is known."""

    @property
    def adrift(self) -> bool:
        """Whether it was cut off for so long that others may think nobody watches here.

        Watchers are to go elsewhere then: no drain waits for them any more.
        """

    @property
    def failing(self) -> str:
        """Why nothing can be stored now, or ''."""

    @property
    def sharing(self) -> object:
        """Another value whenever `share` may answer otherwise."""

    def share(self, name: str) -> bool:
        """Whether something that one registry is to do for all, such as a check, is for this one.

        All that live agree on that, but for moments in which one comes or goes.
        """

    async def start(self) -> None:
        """Take up where the last one stopped. Raises StoreError when that cannot be."""

    async def stop(self) -> None:
        """Release everything; what was appended is kept."""

    def now(self) -> float:
        """The table's time: it passes only while it is watched, see WatchedClock."""

    async def append(self, event: Event) -> Entry | None:
        """Have an event happen, and keep it; what Table.apply returns.

        A Register gets its generation here. A Silence and a Pass may be left out, when it shows
        that they are not so, or known. Raises what Table.apply raises, and Unavailable when the
        event could not be kept; shared with others, it may have been kept all the same.
        """

    def renew(self, entry: Entry) -> Lease:
        """A heartbeat of an instance: its lease begins anew."""

    def lease(self, name: str) -> Lease | None:
        """What is known here of an instance's lease: when it was last heard of."""

    async def beat(self) -> list[tuple[str, int]]:
        """Called every second: id and generation of instances whose lease is over."""

    async def left(self, names: Collection[str]) -> dict[str, float]:
        """Seconds that are left of instances' leases."""

    def acknowledge(self, service: str, watcher: str, revision: int) -> None:
        """A watcher has applied a revision of a service, or shows that it lives.

        Of watchers beyond a bound none is forgotten for another one: they are behind together.
        Raises Crowded when too many services are watched.
        """

    async def introduce(self) -> None:
        """Wait until all registries know of the watchers that have come here.

        Before a watcher gets its first list: a drain elsewhere must not be safe without it. Where
        the store is away nothing is safe, and this returns.
        """

    def leave(self, service: str, watcher: str) -> None:
        """A watcher watches a service no more."""

    async def behind(self, service: str, revision: int, revised: float) -> tuple[str, ...]:
        """The live watchers of a service that have not applied a revision, which came `revised`.

        Registries that have not said since that they know of it, and of their watchers, count.
        """


class StoreError(Exception):
    """A store cannot be used; the message says why, and what to do."""
