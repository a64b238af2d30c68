"""What who waits for an event is told, when nobody has seen what came of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.registry.store.conformance import instance
from uaitools.registry.errors import Stale, Unknown
from uaitools.registry.events import Beat, Deregister, Drain, Event, Pass, Register
from uaitools.registry.store.appends import Appends, Ask
from uaitools.registry.table import Table


@pytest.fixture
def table() -> Table:
    """With `a`, of generation 7."""
    found = Table("e")
    found.apply(Register(replace(instance("a"), generation=7)), 1.0)
    return found


def stored(appends: Appends, event: Event, seq: int) -> Ask:
    ask = appends.add(event, None)
    ask.seq = seq
    return ask


@pytest.mark.parametrize("event", [Register(instance("a")), Beat("a", 7), Drain("a", 1.0)])
async def test_who_is_there_is_what_came_of_it(table: Table, event: Event) -> None:
    appends = Appends("me")
    ask = stored(appends, event, 3)
    appends.skipped(3, table)
    assert await ask.outcome is table.get("a")


@pytest.mark.parametrize("event", [Deregister("a"), Deregister("b", 1), Pass()])
async def test_who_leaves_is_told_nothing(table: Table, event: Event) -> None:
    appends = Appends("me")
    ask = stored(appends, event, 3)
    appends.skipped(3, table)
    assert await ask.outcome is None


@pytest.mark.parametrize(
    ("event", "error"),
    [(Register(instance("b")), Unknown), (Beat("b", 1), Unknown), (Beat("a", 6), Stale)],
)
async def test_who_has_gone_since_or_was_replaced_is_told_so(
    table: Table, event: Event, error: type[Exception]
) -> None:
    appends = Appends("me")
    ask = stored(appends, event, 3)
    appends.skipped(3, table)
    with pytest.raises(error):
        await ask.outcome


async def test_what_is_read_next_tells_for_itself(table: Table) -> None:
    appends = Appends("me")
    later, unsent = stored(appends, Beat("a", 7), 4), stored(appends, Beat("a", 7), 0)
    appends.skipped(3, table)
    assert not later.outcome.done()
    assert appends.unsent() == [unsent]
    appends.applied("me:1", Stale("a", 8))
    with pytest.raises(Stale):
        await later.outcome
    appends.drop(unsent)
