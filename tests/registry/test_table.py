"""Any interleaving of messages and time, driven by a clock of our own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.registry.rows import Rows
from uaitools.registry.entry import Entry
from uaitools.registry.errors import Full, Stale, Unknown
from uaitools.registry.events import (
    Change,
    Deregister,
    Drain,
    Event,
    Maintain,
    Pass,
    decode,
    encode,
)
from uaitools.registry.evidence import Damper, State, Word
from uaitools.registry.model import Check, Instance, Load
from uaitools.registry.protection import Fleet
from uaitools.registry.service import Cause
from uaitools.registry.snapshot import dump, load
from uaitools.registry.table import EMPTY, Table, TablePolicy
from uaitools.registry.watchers import CROWD, LIVE, MOST, Audience, Watchers

TTL = 30.0
START = 1_000_000.0


def instance(name: str = "a", service: str = "api", **fields: Any) -> Instance:
    return Instance(name, service, "10.0.0.1", 80, 0, **{"ttl": TTL, **fields})


def table() -> Rows:
    return Rows(now=START)


def state_of(entry: Entry) -> State:
    """Read anew: mypy takes an attribute for unchanged over calls of other objects."""
    return entry.state


def beating(entries: list[Entry], rows: Rows, start: float, until: float, step: float) -> None:
    """Heartbeats of all of `entries`, every `step` seconds."""
    now = start
    while now < until:
        rows.advance(now)
        for entry in entries:
            rows.heartbeat(entry.instance.id, entry.instance.generation, None, now)
        now += step


# -- one instance ---------------------------------------------------------------------------


def test_who_registers_lives_and_where_there_are_checks_they_have_the_first_word() -> None:
    rows = table()
    assert rows.register(instance(), START).state is State.PASSING
    checked = rows.register(instance("b", checks=(Check(),)), START)
    assert state_of(checked) is State.STARTING
    rows.checked("b", checked.instance.generation, Word.GOOD, START + 1)
    assert state_of(checked) is State.PASSING


def test_what_an_operator_has_changed_stays_when_the_instance_says_again_what_it_is() -> None:
    rows = table()
    entry = rows.register(instance(weight=1), START)
    rows.change("a", 7)
    rows.drain("a", 30, START + 1)
    assert rows.register(instance(weight=1), START + 60) is entry
    assert (entry.instance.weight, state_of(entry)) == (7, State.DRAINING)
    other = rows.register(instance(weight=2), START + 61)  # it is really another one
    assert (other.instance.weight, other.instance.generation) == (2, rows.table.generation)


def test_an_instance_that_falls_silent_is_critical_after_its_ttl_and_removed_later() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    rows.heartbeat("a", 1, None, START)

    rows.advance(START + TTL - 0.5)
    assert state_of(entry) is State.PASSING
    rows.advance(START + TTL)
    assert state_of(entry) is State.CRITICAL
    rows.advance(START + TTL + 59.9)
    assert len(rows) == 1
    rows.advance(START + TTL + 60)
    assert len(rows) == 0
    assert rows.services["api"].gone is Cause.EXPIRED


def test_a_heartbeat_of_an_instance_that_is_not_there_is_unknown_and_of_an_old_one_stale() -> None:
    rows = table()
    with pytest.raises(Unknown):
        rows.heartbeat("a", 1, None, START)
    first = rows.register(instance(), START).instance.generation
    second = rows.register(instance(version="2"), START).instance.generation

    assert second > first
    before = rows.get("a")
    calls: list[Callable[[], object]] = [
        lambda: rows.heartbeat("a", first, None, START + 1),
        lambda: rows.deregister("a", first),
        lambda: rows.checked("a", first, Word.BAD, START + 1),
    ]
    for call in calls:
        with pytest.raises(Stale):
            call()
    assert rows.get("a") is before
    assert before.instance.version == "2"


def test_the_same_registration_again_is_a_heartbeat() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    rows.heartbeat("a", 1, None, START)
    revision = rows.services["api"].revision

    assert rows.register(instance(), START + 20) is entry
    rows.advance(START + 40)
    assert state_of(entry) is State.PASSING
    assert rows.services["api"].revision == revision


def test_witnesses_that_disagree_make_an_instance_suspect() -> None:
    rows = table()
    entry = rows.register(instance(checks=(Check(),)), START)
    rows.heartbeat("a", 1, None, START)
    rows.checked("a", 1, Word.BAD, START)
    assert state_of(entry) is State.SUSPECT
    assert "refused" in entry.cause
    assert "heartbeats come" in entry.cause

    rows.advance(START + TTL)  # and now they agree
    assert state_of(entry) is State.CRITICAL


def test_what_proxies_see_counts_for_a_while() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    rows.heartbeat("a", 1, None, START)
    rows.observed("a", Word.BAD, START)
    assert state_of(entry) is State.SUSPECT

    rows.heartbeat("a", 1, None, START + 29)
    rows.advance(START + 30)
    assert state_of(entry) is State.PASSING


def test_an_instance_that_asks_for_less_is_degraded() -> None:
    rows = table()
    entry = rows.register(instance(checks=(Check(),)), START)
    rows.checked("a", 1, Word.WEAK, START)
    assert state_of(entry) is State.DEGRADED


def test_an_instance_that_goes_to_and_fro_is_suspect_until_it_has_been_quiet() -> None:
    rows = table()
    entry = rows.register(instance(checks=(Check(),)), START)
    now = START
    for _ in range(3):
        rows.heartbeat("a", 1, None, now)
        rows.checked("a", 1, Word.BAD, now)
        now += 1
        rows.checked("a", 1, Word.GOOD, now)
        now += 1
    assert state_of(entry) is State.SUSPECT
    assert "to and fro" in entry.cause

    beating([entry], rows, now, now + 120, 10)
    assert state_of(entry) is State.PASSING


def test_maintenance_and_drain_stand_whatever_witnesses_say() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    rows.maintain("a", "new disks", START)
    rows.heartbeat("a", 1, None, START)
    assert (entry.state, entry.cause) == (State.MAINTENANCE, "new disks")
    rows.maintain("a", None, START)
    assert state_of(entry) is State.PASSING
    rows.drain("a", 30, START)
    rows.register(instance(), START + 1)  # what clients send now and then
    assert state_of(entry) is State.DRAINING


# -- many -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "silent", "state"),
    [
        (10, 1, State.CRITICAL),
        (10, 2, State.CRITICAL),
        (10, 3, State.SUSPECT),
        (10, 10, State.SUSPECT),
        (20, 3, State.CRITICAL),  # 15 %, not more
        (20, 4, State.SUSPECT),
        (4, 4, State.CRITICAL),  # a small fleet has no such protection
    ],
)
def test_too_many_that_go_silent_together_are_suspect_and_stay(
    size: int, silent: int, state: State
) -> None:
    rows = table()
    entries = [rows.register(instance(f"i{n}"), START) for n in range(size)]
    # Not in step: each at its own moment within ten seconds.
    for number, entry in enumerate(entries):
        moment = START + 10 * number / size
        rows.heartbeat(entry.instance.id, entry.instance.generation, None, moment)
    beating(entries[silent:], rows, START + 10, START + 200, 10)

    gone = entries[:silent]
    if state is State.SUSPECT:
        assert {entry.state for entry in gone} == {State.SUSPECT}
        assert all("gone together" in entry.cause for entry in gone)
        # At no time was one of them not served.
        assert not [m for e in gone for m in e.history if m.state is State.CRITICAL]
    else:
        assert len(rows) == size - silent


@pytest.mark.parametrize("ttl", [TTL, 0.0])
def test_too_many_whose_checks_fail_are_suspect_and_stay_as_well(ttl: float) -> None:
    rows = table()
    entries = [
        rows.register(instance(f"i{n}", ttl=ttl, checks=(Check(),)), START) for n in range(6)
    ]
    for entry in entries:
        rows.checked(entry.instance.id, entry.instance.generation, Word.GOOD, START)
    for number, entry in enumerate(entries):
        rows.checked(entry.instance.id, entry.instance.generation, Word.BAD, START + 40 + number)
    assert {entry.state for entry in entries} == {State.SUSPECT}
    rows.advance(START + 500)
    assert len(rows) == 6
    for entry in entries[:5]:
        rows.checked(entry.instance.id, entry.instance.generation, Word.GOOD, START + 500)
    rows.advance(START + 600)
    assert len(rows) == 5


def test_who_is_drained_and_then_fails_its_checks_is_removed() -> None:
    rows = table()
    rows.register(instance(ttl=0.0, checks=(Check(),)), START)
    rows.checked("a", 1, Word.GOOD, START)
    rows.drain("a", 10, START + 1)
    rows.checked("a", 1, Word.BAD, START + 20)
    rows.advance(START + 79)
    assert len(rows) == 1
    rows.advance(START + 81)
    assert len(rows) == 0


def test_a_zone_that_goes_silent_is_protected_as_well() -> None:
    rows = table()
    here = [rows.register(instance(f"h{n}", zone="here"), START) for n in range(6)]
    there = [rows.register(instance(f"t{n}", zone="there"), START) for n in range(60)]
    for entry in (*here, *there):
        rows.heartbeat(entry.instance.id, entry.instance.generation, None, START)
    beating(there, rows, START + 10, START + 100, 10)

    assert {entry.state for entry in here} == {State.SUSPECT}
    assert {entry.state for entry in there} == {State.PASSING}


def test_protection_ends_when_they_speak_again_or_after_ten_minutes() -> None:
    rows = table()
    entries = [rows.register(instance(f"i{n}"), START) for n in range(10)]
    for entry in entries:
        rows.heartbeat(entry.instance.id, entry.instance.generation, None, START)
    rows.advance(START + 100)
    assert {entry.state for entry in entries} == {State.SUSPECT}
    beating(entries[:5], rows, START + 100, START + 800, 10)

    assert len(rows) == 5
    assert {entry.state for entry in rows} == {State.PASSING}


# -- what watchers are told -----------------------------------------------------------------


def test_a_change_raises_the_revision_of_its_service_alone() -> None:
    rows = table()
    rows.register(instance("a", "api"), START)
    rows.register(instance("b", "web"), START)
    before = rows.services["web"].revision
    rows.heartbeat("a", 1, None, START)
    assert rows.services["web"].revision == before


def test_who_is_too_far_behind_lists_again() -> None:
    rows = table()
    for number in range(300):
        rows.register(instance(f"i{number}"), START)
    service = rows.services["api"]

    assert service.since(0) is None
    assert service.since(301) is None
    assert service.since(300) == []
    assert [delta.revision for delta in service.since(298) or []] == [299, 300]


def test_an_empty_list_says_whether_to_believe_it() -> None:
    rows = Rows(Table("epoch", now=START, fresh_until=START + TTL), START)
    assert rows.empty("api", START) == (False, Cause.RESET)
    assert rows.empty("api", START + TTL) == (True, Cause.UNKNOWN)

    now = START + 100
    for name in "ab":
        rows.register(instance(name), now)
    rows.deregister("a", None)
    rows.deregister("b", None)
    assert rows.empty("api", now) == (True, Cause.DEREGISTERED)

    for name in "ab":
        rows.register(instance(name), now)
    assert rows.empty("api", now + 100) == (False, Cause.EXPIRED)

    # One that expired among those that left is doubt enough.
    rows.register(instance("a"), now + 200)
    rows.advance(now + 200 + TTL)
    rows.register(instance("b"), now + 200 + TTL)
    rows.advance(now + 200 + TTL + 60)
    if rows.services["api"]:
        rows.deregister("b", None)
    assert rows.empty("api", now + 300) == (False, Cause.EXPIRED)


def test_a_list_begins_with_those_to_prefer() -> None:
    rows = table()
    for name in "cbadef":
        rows.register(instance(name), START)
    for name in "abcde":
        rows.heartbeat(name, rows.get(name).instance.generation, None, START)
    rows.observed("a", Word.BAD, START)
    rows.drain("b", 30, START)
    rows.maintain("c", "by hand", START)

    listing = rows.table.listing("api")
    assert [entry.instance.id for entry in listing.entries] == list("defabc")
    assert (listing.authoritative, listing.cause) == (True, None)


def test_a_drain_waits_for_what_the_instance_says_after_it_has_begun() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    assert entry.in_flight(START, START) == 0
    rows.heartbeat("a", 1, Load(in_flight=2), START)
    assert entry.in_flight(START, START) == 2

    rows.drain("a", 60, START + 1)
    assert entry.in_flight(START, START) is None
    rows.heartbeat("a", 1, None, START + 2)
    assert entry.in_flight(START, START) is None
    rows.heartbeat("a", 1, Load(in_flight=0), START + 3)
    assert (
        entry.in_flight(START, START) is None
    )  # it may have been made before, and been long under way
    rows.heartbeat("a", 1, Load(in_flight=0), START + 4)
    assert entry.in_flight(START, START) == 0
    rows.drain("a", 90, START + 4)  # the same with another deadline
    assert entry.in_flight(START, START) == 0
    # What was sent just before the last watcher applied it is not in what was said before that.
    assert entry.in_flight(START + 5, START) is None
    rows.heartbeat("a", 1, Load(in_flight=1), START + 6)
    assert entry.in_flight(START + 5, START) is None
    rows.heartbeat("a", 1, Load(in_flight=1), START + 7)
    assert entry.in_flight(START + 5, START) == 1


def test_a_drain_waits_for_the_first_word_of_an_instance_that_heartbeats() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    rows.drain("a", 60, START + 1)
    assert entry.in_flight(START, START) is None  # it may be about to tell its load
    rows.heartbeat("a", 1, None, START + 2)
    assert entry.in_flight(START, START) == 0  # it never tells any

    silent = rows.register(instance("b", ttl=0.0), START)
    rows.drain("b", 60, START + 1)
    assert silent.in_flight(START, START) == 0


def test_who_stops_while_it_drains_is_removed() -> None:
    rows = table()
    rows.register(instance(), START)
    rows.heartbeat("a", 1, None, START)
    rows.drain("a", 10, START + 1)
    rows.advance(START + TTL + 59)
    assert len(rows) == 1
    rows.advance(START + TTL + 61)
    assert len(rows) == 0


def test_a_restart_keeps_what_an_operator_said_and_what_has_happened() -> None:
    rows = table()
    rows.register(instance(), START)
    rows.heartbeat("a", 1, None, START)
    rows.maintain("a", "new disks", START + 1)
    entry = rows.register(instance(version="2"), START + 2)

    assert (entry.state, entry.cause) == (State.MAINTENANCE, "new disks")
    assert len(entry.history) > 3
    rows.drain("a", 10, START + 3)
    rows.maintain("a", None, START + 4)
    assert rows.register(instance(version="3"), START + 5).state is State.PASSING


def test_services_without_instances_are_forgotten_but_no_revision_is_used_twice() -> None:
    rows = table()
    for number in range(EMPTY + 1):
        rows.register(instance("a", f"s{number}"), START)
        rows.deregister("a", None)
    assert len(rows.services) == EMPTY
    assert "s0" not in rows.services
    rows.register(instance("a", "s0"), START)
    assert rows.services["s0"].revision == 3


def test_there_are_as_many_instances_as_there_may_be() -> None:
    policy = TablePolicy(instances=2)
    rows = Rows(Table("epoch", now=START, policy=policy), START)
    for name in "ab":
        rows.register(instance(name), START)
    with pytest.raises(Full):
        rows.register(instance("c"), START)
    rows.register(instance("a", version="2"), START)


def test_the_watchers_that_are_remembered_are_bounded() -> None:
    watchers = Watchers()
    for number in range(MOST + 10):
        watchers.acknowledge(f"w{number}", 1, START)
    assert len(watchers) == MOST
    # Nobody is forgotten for another one, and no drain is safe with somebody unknown.
    assert watchers.behind(1, START) == (CROWD,)
    watchers.leave("w0")
    assert len(watchers) == MOST - 1
    assert watchers.behind(1, START + LIVE) == ()
    watchers.expire(START + LIVE)
    assert len(watchers) == 0


def test_a_drain_waits_for_live_watchers_that_have_not_applied_it() -> None:
    watchers = Watchers()
    for watcher in ("one", "two", "dead"):
        watchers.acknowledge(watcher, 5, START)
    watchers.acknowledge("one", 6, START + 44)
    watchers.acknowledge("two", 7, START + 44)
    assert watchers.behind(7, START + 44) == ("dead", "one")
    watchers.acknowledge("one", 7, START + 45)
    watchers.acknowledge("one", 6, START + 46)  # an old message that comes late
    assert watchers.behind(7, START + 46) == ()


class Interleaving(RuleBasedStateMachine):
    """Messages of a few instances over generations, checks, operators, watchers and time."""

    IDS = st.sampled_from(("a", "b", "c", "d", "e", "f"))
    WATCHERS = st.sampled_from(("gateway", "client"))

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.rows = table()
        self.replica = table().table  # to which the same events come at other times
        self.events: list[tuple[Event, float]] = []
        self.rows.table.apply = self.noting  # type: ignore[method-assign]
        self.generations: dict[str, list[int]] = {}
        self.watched: dict[str, Entry] = {}
        self.revision = 0
        self.highest = 0
        self.audience = Audience()
        self.beaten: dict[str, float] = {}  # when each instance was last heard
        self.views: dict[str, dict[str, State]] = {}  # what each watcher goes by
        self.spoke: dict[str, float] = {}  # when each was last heard

    def noting(self, event: Event, now: float) -> Entry | None:
        if not isinstance(event, Pass):
            self.events.append((event, now))
        return Table.apply(self.rows.table, event, now)

    @rule(name=IDS, version=st.sampled_from(("", "2")), zone=st.sampled_from(("x", "y")))
    def register(self, name: str, version: str, zone: str) -> None:
        wanted = instance(name, version=version, zone=zone, checks=(Check(),))
        entry = self.rows.register(wanted, self.now)
        if entry.heard:  # the same again is a heartbeat; a new one with checks has yet to speak
            self.beaten[name] = self.now
        else:
            self.beaten.pop(name, None)
        known = self.generations.setdefault(name, [])
        if entry.instance.generation not in known:
            assert entry.instance.generation > self.highest
            self.highest = entry.instance.generation
            known.append(self.highest)

    @rule(name=IDS, back=st.integers(0, 2), load=st.none() | st.builds(Load))
    def heartbeat(self, name: str, back: int, load: Load | None) -> None:
        known = self.generations.get(name, [1])
        generation = known[max(0, len(known) - 1 - back)]
        try:
            entry = self.rows.heartbeat(name, generation, load, self.now)
        except Unknown:
            assert name not in self.present()
        except Stale:
            assert self.rows.get(name).instance.generation > generation
        else:
            assert entry.instance.generation == generation
            assert entry.heard
            self.beaten[name] = self.now

    @rule(name=IDS, word=st.sampled_from((Word.GOOD, Word.WEAK, Word.BAD)))
    def check(self, name: str, word: Word) -> None:
        if name in self.present():
            self.rows.checked(name, self.rows.get(name).instance.generation, word, self.now)

    @rule(name=IDS, word=st.sampled_from((Word.GOOD, Word.WEAK, Word.DOUBTFUL, Word.BAD)))
    def observe(self, name: str, word: Word) -> None:
        if name in self.present():
            self.rows.observed(name, word, self.now)

    @rule(
        name=IDS,
        back=st.none() | st.integers(0, 2),
        say=st.sampled_from(
            (
                lambda name, generation: Maintain(name, "by hand", generation),
                lambda name, generation: Maintain(name, None, generation),
                lambda name, generation: Drain(name, 30.0, generation),
                lambda name, generation: Drain(name, None, generation),
                lambda name, generation: Change(name, weight=7, generation=generation),
                lambda name, generation: Change(name, tags=("new",), generation=generation),
                Deregister,
            )
        ),
    )
    def operate(self, name: str, back: int | None, say: Callable[[str, int | None], Event]) -> None:
        """A message about whichever registration there is, or only about a certain one."""
        known = self.generations.get(name, [1])
        generation = None if back is None else known[max(0, len(known) - 1 - back)]
        self.rows.advance(self.now)
        before, there = dump(self.rows.table), self.rows.table.entries.get(name)
        try:
            self.rows.table.apply(say(name, generation), self.now)
        except Unknown:
            assert there is None
        except Stale:
            assert there is not None
            assert there.instance.generation != generation
        else:
            assert there is not None
            assert generation in (None, there.instance.generation)
            return
        assert dump(self.rows.table) == before

    @rule(watcher=WATCHERS)
    def watch(self, watcher: str) -> None:
        """A watcher applies the list, and says so."""
        service = self.rows.services.get("api")
        self.views[watcher] = {e.instance.id: e.state for e in service or ()}
        self._acknowledge(watcher, service.revision if service is not None else 0)

    @rule(watcher=WATCHERS)
    def fall_behind(self, watcher: str) -> None:
        """A watcher says that it lives, and that it goes by what it had."""
        if watcher in self.views:
            self._acknowledge(watcher, 0)

    def _acknowledge(self, watcher: str, revision: int) -> None:
        self.audience.acknowledge("api", watcher, revision, self.now)
        self.spoke[watcher] = self.now

    @rule(seconds=st.sampled_from((0.1, 1.0, 5.0, 9.0, 15.0, 31.0, 61.0)))
    def wait(self, seconds: float) -> None:
        before = self.present()
        self.now += seconds
        self.rows.advance(self.now)
        self.audience.expire(self.now)
        for name in before - self.present():
            # Nobody is removed before its ttl is over and it was critical for as long as it may.
            assert self.now - self.beaten.get(name, -1e9) >= TTL + TablePolicy().removal
            self.beaten.pop(name, None)

    @rule()
    def apply_elsewhere(self) -> None:
        """The same events make the same table, however often anybody looked meanwhile."""
        for event, at in self.events:
            with suppress(Unknown, Stale):
                self.replica.apply(decode(orjson.loads(orjson.dumps(encode(event)))), at)
        self.events.clear()
        self.replica.apply(Pass(), self.now)
        assert dump(self.replica) == dump(self.rows.table)

    @rule()
    def restart(self) -> None:
        """A table that was written down and read goes on as the same one."""
        self.apply_elsewhere()
        self.replica = load(orjson.loads(orjson.dumps(dump(self.replica))))
        assert dump(self.replica) == dump(self.rows.table)

    def present(self) -> set[str]:
        return set(self.rows.table.entries)

    @invariant()
    @precondition(lambda self: hasattr(self, "rows"))
    def every_state_is_what_follows_from_what_is_known_now(self) -> None:
        for entry in self.rows.table:
            assert entry.state is entry.judgement(self.rows.table.now).state, entry.history

    @invariant()
    @precondition(lambda self: hasattr(self, "rows"))
    def who_applies_the_deltas_has_the_list(self) -> None:
        service = self.rows.services.get("api")
        if service is None:
            return
        deltas = service.since(self.revision)
        assert deltas is not None
        for delta in deltas:
            assert delta.revision == self.revision + 1
            self.revision = delta.revision
            if delta.entry is None:
                self.watched.pop(delta.id, None)
            else:
                self.watched[delta.id] = delta.entry
        assert self.watched == {entry.instance.id: entry for entry in service}
        assert list(self.watched.values()) == [self.rows.get(name) for name in self.watched]

    @invariant()
    @precondition(lambda self: hasattr(self, "rows"))
    def nobody_is_critical_who_was_heard_within_its_ttl(self) -> None:
        for entry in self.rows.table:
            if self.now - self.beaten.get(entry.instance.id, -1e9) < TTL:
                assert entry.heard
                assert entry.state is not State.CRITICAL

    @invariant()
    @precondition(lambda self: hasattr(self, "rows"))
    def no_live_watcher_sends_to_whose_drain_is_safe(self) -> None:
        for entry in self.rows.table:
            if entry.state is not State.DRAINING:
                continue
            behind = self.audience.behind("api", entry.revision, self.now)
            for watcher, at in self.spoke.items():
                seen = self.views[watcher].get(entry.instance.id)
                sends = seen not in (None, State.DRAINING)
                assert watcher in behind or not sends or self.now - at >= 45.0

    @invariant()
    @precondition(lambda self: hasattr(self, "rows"))
    def a_fleet_is_counted_as_it_is(self) -> None:
        for service in self.rows.services.values():
            counted = Fleet((entry.instance.zone, entry.bad) for entry in service)
            assert repr(service.fleet) == repr(counted)
            assert all(
                service.fleet.protection(zone) == counted.protection(zone) for zone in ("x", "y")
            )
            assert service.critical() == sorted(
                (entry for entry in service if entry.state is State.CRITICAL),
                key=lambda entry: entry.instance.id,
            )

    @invariant()
    @precondition(lambda self: hasattr(self, "rows"))
    def nobody_stays_for_ever_who_is_critical(self) -> None:
        for entry in self.rows.table:
            if entry.state is State.CRITICAL:
                assert self.rows.table.now - entry.since < self.rows.table.policy.removal


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_time_has_something_to_do_when_beginning_anew_ends() -> None:
    fresh = Table("epoch", now=START, fresh_until=START + 75)
    assert fresh.next_due() == START + 75
    assert not fresh.listing("api").authoritative

    fresh.apply(Pass(), START + 75)
    assert fresh.next_due() is None
    assert fresh.listing("api").authoritative


def test_a_table_from_a_snapshot_forgets_the_same_services_as_the_one_that_wrote_it() -> None:
    rows = table()
    for number in range(EMPTY):
        rows.register(instance("a", f"s-{number}"), START)
    for number in (7, 3):  # these are empty last
        rows.register(instance(f"b-{number}", f"s-{number}"), START)
    for number in (7, 3):
        rows.deregister(f"b-{number}", None)
    again = Rows(load(dump(rows.table)), START)
    for one in (rows, again):
        for number in range(5):
            one.register(instance("a", f"t-{number}"), START)
    assert list(again.services) == list(rows.services)
    assert again.table.floor == rows.table.floor


def test_a_change_is_told_as_the_instance_is_now_or_why_it_is_gone() -> None:
    rows = table()
    for version in ("1", "2"):
        rows.register(instance("a", version=version), START)
        rows.register(instance("b", version=version), START)
    rows.deregister("b", None, START)
    deltas = rows.services["api"].since(0)
    assert deltas is not None
    told = [
        (one.id, one.entry.instance.version if one.entry is not None else one.cause)
        for one in deltas
    ]
    gone = ("b", "deregistered")
    assert told == [("a", "2"), gone, ("a", "2"), gone, gone]


def test_an_instance_is_believed_again_only_when_most_of_its_falls_are_forgotten() -> None:
    damper = Damper()
    for _ in range(3):
        damper.fall(START)
    assert damper.damped(START)
    assert damper.damped(START + 90)  # 3 falls, halved each minute: 1.06 of them are left
    assert not damper.damped(START + 100)  # 0.94
