"""What is told to another history, when it has lost something."""

from __future__ import annotations

import pytest

from tests.registry.rows import Rows
from tests.registry.store.conformance import instance
from uaitools.registry.events import Register
from uaitools.registry.store.amends import amends
from uaitools.registry.store.replica import Gap, Logged, Replica
from uaitools.registry.table import Table


def replica(epoch: str, seq: int, **generations: int) -> Replica:
    """A table with instances of these ids and generations."""
    found = Replica(Table(epoch), seq)
    for name, generation in generations.items():
        found.table.apply(Register(instance(name, generation=generation)), 0.0)
    return found


def told(old: Replica, new: Replica, before: str, base: int) -> tuple[list[str], list[str]]:
    began = {e.instance.id: e.instance.generation for e in new.table}
    found = amends(old, new.table, began, before, base)
    return [e.instance.id for e in found.missing], [name for name, _ in found.left]


def test_who_knows_no_more_than_the_new_history_tells_it_nothing() -> None:
    assert told(replica("e", 5, a=1), replica("f", 9), "e", 5) == ([], [])
    assert told(replica("", 0), replica("f", 9, a=1), "", 0) == ([], [])
    assert told(replica("d", 50, a=1), replica("f", 9), "e", 5) == ([], [])


def test_who_had_gone_further_tells_who_came_and_who_left() -> None:
    old, new = replica("e", 8, a=1, c=4, d=5), replica("f", 9, a=1, b=2, d=3, new=1006)
    assert told(old, new, "e", 5) == (["c", "d"], ["b"])


def test_a_history_that_begins_with_nothing_is_told_everything_but_what_it_knows_better() -> None:
    old, new = replica("e", 8, a=1, b=2), replica("f", 9, a=1001)
    assert told(old, new, "", 0) == (["b"], [])


def test_an_entry_that_is_missing_or_of_another_history_is_a_gap() -> None:
    one = replica("e", 5)
    for seq, epoch in ((7, "e"), (5, "e"), (6, "f")):
        with pytest.raises(Gap):
            one.apply(Logged(seq, epoch, "me:1", 1.0, Register(instance("a"))))
    assert one.seq == 5
    one.apply(Logged(6, "e", "me:1", 1.0, Register(instance("a"))))
    assert (one.seq, one.by, len(one.table)) == (6, "me:1", 1)
    assert Rows(one.table).get("a").revision == 1
