"""The leases of all instances in Redis, and the heartbeats that came here since they were told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from uaitools.redis_link import Answer, Argument
from uaitools.registry.entry import Entry
from uaitools.registry.leases import Lease, Leases
from uaitools.registry.model import Instance
from uaitools.registry.store.replica import Replica
from uaitools.registry.store.script import BEAT, PREFIX, SECOND
from uaitools.registry.table import Table

LAG: Final = 2.0  # seconds by which a heartbeat may reach Redis later than us
CHUNK: Final = 2000  # told in one call


@dataclass(frozen=True, slots=True)
class Heard:
    """What Redis answers to a sign of life.

    seq: of the last entry. now: its time. kept: the entry up to which the snapshot goes. over: the
    members whose lease is over. present: the registries that live.
    """

    seq: int
    now: float
    kept: int
    over: list[bytes]
    present: tuple[str, ...]


class SharedLeases:
    """A lease for each registration, as `member_of` calls it. registry: who tells of them.

    call: runs a script. command: runs a command.
    """

    __slots__ = ("_call", "_command", "_leases", "_registry", "_renewed", "_stray")

    def __init__(
        self,
        registry: str,
        call: Callable[..., Awaitable[Answer]],
        command: Callable[..., Awaitable[Answer]],
    ) -> None:
        self._registry = registry
        self._call = call
        self._command = command
        self._leases = Leases()
        self._renewed: dict[bytes, float] = {}  # members and their ttl, to be told
        self._stray: list[bytes] = []  # members of whom the table knows nothing

    def __repr__(self) -> str:
        return f"<SharedLeases {self._leases!r} renewed={len(self._renewed)}>"

    def renew(self, instance: Instance, now: float) -> Lease:
        """See Store.renew; to be told."""
        if instance.ttl:
            self._renewed[member_of(instance)] = instance.ttl
        return self._leases.renew(instance.id, instance.generation, instance.ttl, now)

    def get(self, name: str) -> Lease | None:
        """See Store.lease."""
        return self._leases.get(name)

    def keep(self, entries: Collection[str]) -> None:
        """See Leases.keep."""
        self._leases.keep(entries)

    def renew_all(self, table: Table) -> None:
        """Nobody is to lose its lease because history was."""
        self._renewed.update(_members(table))

    async def tell(self, upto: float) -> Heard:
        """Tell of heartbeats, and that we live. Raises Away, and then they are told later.

        upto: the time up to which the log was applied here, and all watchers were told of who had
        its list before.
        """
        renewed, self._renewed = self._renewed, {}
        try:
            return await self._tell("renew", renewed.items(), upto)
        except BaseException:
            self._renewed = renewed | self._renewed
            raise

    async def grant(self, table: Table, *, missing: bool = False) -> Heard:
        """Give everybody who is not silent a lease, or only who has none. Raises Away."""
        return await self._tell("fill" if missing else "grant", _members(table).items())

    async def _tell(
        self, mode: str, leases: Iterable[tuple[bytes, float]], upto: float = 0.0
    ) -> Heard:
        words: list[Argument] = []
        for member, ttl in leases:
            words += (member, int((ttl + LAG) * SECOND))
        answer: Answer = []
        for at in range(0, max(1, len(words)), 2 * CHUNK):
            stray, self._stray = self._stray, []
            chunk = words[at : at + 2 * CHUNK]
            answer = await self._call(
                BEAT, self._registry, mode, int(upto * SECOND), len(stray), *stray, *chunk
            )
        _, seq, now, kept, over, present = answer
        names = tuple(sorted(one.decode() for one in present))
        return Heard(seq, int(now) / SECOND, kept, over, names)

    def overdue(self, heard: Heard, replica: Replica) -> list[tuple[str, int]]:
        """Id and generation of those whose lease is over; strays are forgotten in Redis, too."""
        found = []
        for member in heard.over:
            generation, _, name = member.partition(b"\0")
            entry = replica.table.entries.get(name.decode())
            if entry is not None and entry.instance.generation == int(generation):
                found.append((entry.instance.id, entry.instance.generation))
            elif replica.seq >= heard.seq:  # a later history knows it no more
                self._stray.append(member)
        return found

    async def left(self, entries: Iterable[Entry], now: float) -> dict[str, float]:
        """See Store.left. Raises Away."""
        instances = [entry.instance for entry in entries]
        found = {one.id: float("inf") for one in instances if not one.ttl}
        asked = [one for one in instances if one.ttl]
        for at in range(0, len(asked), CHUNK):
            chunk = asked[at : at + CHUNK]
            scores = await self._command("ZMSCORE", f"{PREFIX}leases", *map(member_of, chunk))
            for instance, score in zip(chunk, scores, strict=True):
                if score is not None:
                    found[instance.id] = float(score) / SECOND - now - LAG
        return found


def member_of(instance: Instance) -> bytes:
    """A registration's name among the leases: an id may have any letter in it, a number has not."""
    return b"%d\0%b" % (instance.generation, instance.id.encode())


def _members(table: Table) -> dict[bytes, float]:
    """The leases that there should be, and their ttl."""
    return {
        member_of(entry.instance): entry.instance.ttl
        for entry in table
        if entry.instance.ttl and entry.heard is not False
    }
