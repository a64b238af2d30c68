"""Events on their way into the log: what was sent, what was stored, who waits for what it came to.

Each has a number, and they are sent in the order of these. What may or may not have arrived when a
connection breaks is sent again with the same number, and happens once.
"""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from uaitools.errors import ServiceError
from uaitools.redis_link import Argument
from uaitools.registry.entry import Entry
from uaitools.registry.events import (
    Beat,
    Deregister,
    Event,
    Pass,
    Register,
    Silence,
    Wall,
    encode,
    subject,
)
from uaitools.registry.store.replica import Outcome
from uaitools.registry.store.script import BATCH, SECOND
from uaitools.registry.store.shared_leases import LAG, member_of
from uaitools.registry.table import Table

WAITING: Final = 10_000  # that wait at most


class Ask:
    """One event. generation: of a registration that is told again, None to get one.

    seq: its entry in the log, 0 before it is known to be stored, -1 when it is not known where.
    """

    __slots__ = ("event", "generation", "number", "outcome", "seq")

    def __init__(self, number: int, event: Event, generation: int | None) -> None:
        self.number = number
        self.event = event
        self.generation = generation
        self.seq = 0
        self.outcome: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Ask {self.number} {type(self.event).__name__} seq={self.seq}>"

    def settle(self, outcome: Outcome) -> None:
        """Tell who waits what it came to."""
        if self.outcome.done():
            return
        if isinstance(outcome, Exception):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


class Appends:
    """All that one registry has under way. writer: its name."""

    __slots__ = ("_asks", "_number", "_writer")

    def __init__(self, writer: str) -> None:
        self._writer = writer
        self._number = 0
        self._asks: dict[str, Ask] = {}

    def __repr__(self) -> str:
        return f"<Appends waiting={len(self)}>"

    def __len__(self) -> int:
        return len(self._asks)

    def add(self, event: Event, generation: int | None) -> Ask:
        """One more."""
        self._number += 1
        ask = self._asks[f"{self._writer}:{self._number}"] = Ask(self._number, event, generation)
        return ask

    def drop(self, ask: Ask) -> None:
        """Nobody waits for it any more."""
        self._asks.pop(f"{self._writer}:{ask.number}", None)
        ask.outcome.cancel()  # of one that is done this does nothing

    def unsent(self) -> list[Ask]:
        """What is to be sent now, in its order."""
        found = []
        for ask in self._asks.values():
            if ask.seq == 0:
                found.append(ask)
                if len(found) == BATCH:
                    break
        return found

    def arguments(self, ask: Ask, table: Table) -> tuple[Argument, ...]:
        """What APPEND is told of one of these, beside where the table stands."""
        event = ask.event
        kind = type(event).__name__.lower()
        name = subject(event)
        known = table.entries.get(name)
        had = b"" if known is None else member_of(known.instance)
        life, due, generation = 0.0, 0.0, ""
        match event:
            case Register(instance):
                life = instance.ttl and instance.ttl + LAG
                generation = "" if ask.generation is None else str(ask.generation)
                if table.same(instance) is not None:
                    had = b""  # it comes to a heartbeat, and the lease goes on
            case Beat() if known is not None and known.instance.generation == event.generation:
                life = known.instance.ttl and known.instance.ttl + LAG
            case Silence():
                had = b"%d\0%b" % (event.generation, name.encode())
            case Pass():
                due = table.next_due() or 0.0
        return (
            self._writer, ask.number, kind, orjson.dumps(encode(event)), name, had,
            int(life * SECOND), int(due * SECOND), generation,
        )  # fmt: skip

    def applied(self, by: str, outcome: Outcome) -> None:
        """An entry was applied here: perhaps one of these."""
        ask = self._asks.pop(by, None)
        if ask is not None:
            ask.settle(outcome)

    def lost(self) -> None:
        """History is another one: what was stored and not yet applied has to be sent again."""
        for ask in self._asks.values():
            ask.seq = 0

    def skipped(self, upto: int, table: Table) -> None:
        """Entries up to one were not read; what came of them is what the table shows."""
        for by, ask in list(self._asks.items()):
            if 0 < ask.seq <= upto:
                self.applied(by, _shown(ask.event, table))

    def reject(self, error: Exception) -> None:
        """None of these will be stored from here."""
        asks, self._asks = self._asks, {}
        for ask in asks.values():
            ask.settle(error)


def _shown(event: Event, table: Table) -> Outcome:
    """What came of an event that was stored, as far as the table tells."""
    if isinstance(event, Deregister | Pass | Wall):
        return None
    generation = None if isinstance(event, Register) else event.generation
    try:
        return table.get(subject(event), generation)
    except ServiceError as error:  # it has gone, or was replaced
        return error
