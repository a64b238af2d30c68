"""A table that follows a log: its entries one after the other, from a snapshot on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from uaitools.errors import ServiceError
from uaitools.log import get_logger
from uaitools.registry.entry import Entry
from uaitools.registry.events import Event, Register, decode
from uaitools.registry.snapshot import dump, load
from uaitools.registry.store.script import SECOND
from uaitools.registry.table import DEFAULTS, Table, TablePolicy

Outcome = Entry | Exception | None
_log = get_logger(__name__)


class Gap(Exception):
    """The log does not go on where the table stands."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry of the log. by: who appended it, and as which of its own: REGISTRY:NUMBER.

    event: an error where it cannot be read, which comes to nothing everywhere.
    """

    seq: int
    epoch: str
    by: str
    at: float
    event: Event | ValueError


def logged(name: bytes, fields: Mapping[bytes, bytes]) -> Logged:
    """An entry as Redis has it. Raises ValueError when it is nothing that a registry wrote."""
    try:
        return Logged(
            int(name.partition(b"-")[0]),
            fields[b"epoch"].decode(),
            fields[b"by"].decode(),
            int(fields[b"at"]) / SECOND,
            _event(fields[b"event"], fields[b"generation"]),
        )
    except KeyError as error:
        raise ValueError(f"an entry of the log has no field {error}") from error


def _event(text: bytes, generation: bytes) -> Event | ValueError:
    try:
        event = decode(orjson.loads(text))
    except ValueError as error:
        return error
    if isinstance(event, Register) and generation:
        event = Register(replace(event.instance, generation=int(generation)))
    return event


class Replica:
    """A table, and the entry of its log up to which it goes. by: of that entry, '' if unknown."""

    __slots__ = ("by", "seq", "table")

    def __init__(self, table: Table, seq: int, by: str = "") -> None:
        self.table = table
        self.seq = seq
        self.by = by

    def __repr__(self) -> str:
        return f"<Replica seq={self.seq} {self.table!r}>"

    def apply(self, entry: Logged) -> Outcome:
        """The next entry; what it came to. Raises Gap when it is not the next."""
        if entry.seq != self.seq + 1 or entry.epoch != self.table.epoch:
            raise Gap(f"{entry.epoch}:{entry.seq} after {self.table.epoch}:{self.seq}")
        self.seq, self.by = entry.seq, entry.by
        if isinstance(entry.event, Exception):
            return entry.event
        try:
            return self.table.apply(entry.event, entry.at)
        except ServiceError as error:
            return error
        except Exception as error:  # whatever it is, it is the same everywhere
            _log.exception("an event could not be applied", seq=entry.seq)
            return error

    def write(self, epoch: str | None = None, fresh_until: float = 0.0) -> bytes:
        """The table written down, as of another epoch if one is given."""
        document = dump(self.table)
        if epoch is not None:
            document.update(epoch=epoch, fresh_until=fresh_until)
        return orjson.dumps(document)


def read(text: bytes, seq: int) -> Replica:
    """What `Replica.write` wrote. Raises ValueError for anything else."""
    return Replica(load(orjson.loads(text)), seq)


def empty(policy: TablePolicy = DEFAULTS) -> Replica:
    """What is known before anything was read: nothing, and nobody is to believe it."""
    return Replica(Table("", fresh_until=float("inf"), policy=policy), 0)
