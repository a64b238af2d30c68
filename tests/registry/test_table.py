"""Any interleaving of messages and time, driven by a clock of our own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from uaitools.registry.entry import Entry
from uaitools.registry.errors import Stale, Unknown
from uaitools.registry.evidence import State
from uaitools.registry.model import Check, Instance, Load
from uaitools.registry.service import Cause
from uaitools.registry.table import Table
from uaitools.registry.watchers import LIVE, MOST, Progress, Watchers

TTL = 30.0
START = 1_000_000.0


def instance(name: str = "a", service: str = "api", **fields: object) -> Instance:
    return Instance(name, service, "10.0.0.1", 80, 0, ttl=TTL, **fields)  # type: ignore[arg-type]


def table() -> Table:
    return Table("epoch")


def state_of(entry: Entry) -> State:
    """Read anew: mypy takes an attribute for unchanged over calls of other objects."""
    return entry.state


def beating(entries: list[Entry], rows: Table, start: float, until: float, step: float) -> None:
    """Heartbeats of all of `entries`, every `step` seconds."""
    now = start
    while now < until:
        rows.advance(now)
        for entry in entries:
            rows.heartbeat(entry.instance.id, entry.instance.generation, None, now)
        now += step


# -- one instance ---------------------------------------------------------------------------


def test_an_instance_passes_once_somebody_has_spoken_for_it() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    assert state_of(entry) is State.STARTING

    rows.heartbeat("a", entry.instance.generation, None, START + 1)
    assert state_of(entry) is State.PASSING


def test_an_instance_that_falls_silent_is_critical_after_its_ttl_and_removed_later() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    rows.heartbeat("a", 1, None, START)

    rows.advance(START + TTL - 0.001)
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
        lambda: rows.checked("a", first, 0, "refused", START + 1, weak=False),
    ]
    for call in calls:
        with pytest.raises(Stale):
            call()
    assert rows.get("a") is before
    assert before.seen is None


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
    entry = rows.register(instance(checks=(Check(rise=1, fall=1),)), START)
    rows.heartbeat("a", 1, None, START)
    rows.checked("a", 1, 0, "refused", START, weak=False)
    assert state_of(entry) is State.SUSPECT
    assert "refused" in entry.cause
    assert "heartbeats come" in entry.cause

    rows.advance(START + TTL)  # and now they agree
    assert state_of(entry) is State.CRITICAL


def test_what_proxies_see_counts_for_a_while() -> None:
    rows = table()
    entry = rows.register(instance(), START)
    rows.heartbeat("a", 1, None, START)
    rows.observed("a", "connection errors", START)
    assert state_of(entry) is State.SUSPECT

    rows.heartbeat("a", 1, None, START + 29)
    rows.advance(START + 30)
    assert state_of(entry) is State.PASSING


def test_an_instance_that_asks_for_less_is_degraded() -> None:
    rows = table()
    entry = rows.register(instance(checks=(Check(),)), START)
    rows.checked("a", 1, 0, "", START, weak=True)
    assert state_of(entry) is State.DEGRADED


def test_an_instance_that_goes_to_and_fro_is_suspect_until_it_has_been_quiet() -> None:
    rows = table()
    entry = rows.register(instance(checks=(Check(rise=1, fall=1),)), START)
    now = START
    for _ in range(3):
        rows.heartbeat("a", 1, None, now)
        rows.checked("a", 1, 0, "refused", now, weak=False)
        now += 1
        rows.checked("a", 1, 0, "", now, weak=False)
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
    rows.drain("a", START + 30, START)
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
        assert all("silent together" in entry.cause for entry in gone)
        # At no time was one of them not served.
        assert not [m for e in gone for m in e.history if m.state is State.CRITICAL]
    else:
        assert len(rows) == size - silent


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
    rows = Table("epoch", fresh_until=START + TTL)

    def empty(now: float) -> tuple[bool, Cause | None]:
        listing = rows.listing("api", now)
        assert listing.entries == ()
        return listing.authoritative, listing.cause

    assert empty(START) == (False, Cause.RESET)
    assert empty(START + TTL) == (True, Cause.UNKNOWN)

    now = START + 100
    for name in "ab":
        rows.register(instance(name), now)
    rows.deregister("a", None)
    rows.deregister("b", None)
    assert empty(now) == (True, Cause.DEREGISTERED)

    for name in "ab":
        rows.register(instance(name), now)
    rows.advance(now + TTL)
    rows.advance(now + TTL + 60)
    assert empty(now + 100) == (False, Cause.EXPIRED)

    # One that expired among those that left is doubt enough.
    rows.register(instance("a"), now + 200)
    rows.advance(now + 200 + TTL)
    rows.register(instance("b"), now + 200 + TTL)
    rows.advance(now + 200 + TTL + 60)
    if rows.services["api"]:
        rows.deregister("b", None)
    assert empty(now + 300) == (False, Cause.EXPIRED)


def test_a_list_begins_with_those_to_prefer() -> None:
    rows = table()
    for name in "cbadef":
        rows.register(instance(name), START)
    for name in "abcde":
        rows.heartbeat(name, rows.get(name).instance.generation, None, START)
    rows.observed("a", "5xx", START)
    rows.drain("b", START + 30, START)
    rows.maintain("c", "by hand", START)

    listing = rows.listing("api", START)
    assert [entry.instance.id for entry in listing.entries] == list("deafbc")
    assert (listing.authoritative, listing.cause) == (True, None)


def test_a_drain_is_safe_when_every_live_watcher_knows_and_nothing_is_under_way() -> None:
    rows = table()
    rows.register(instance(), START)
    rows.heartbeat("a", 1, Load(in_flight=2), START)
    for watcher in ("one", "two", "dead"):
        rows.acknowledge("api", watcher, rows.services["api"].revision, START)
    rows.drain("a", START + 60, START + 40)
    revision = rows.services["api"].revision
    rows.acknowledge("api", "one", revision - 1, START + 44)
    rows.acknowledge("api", "two", revision, START + 44)

    assert rows.progress("a", START + 44) == Progress(("dead", "one"), 2, overdue=False)
    rows.acknowledge("api", "one", revision, START + 45)
    rows.acknowledge("api", "one", revision - 1, START + 46)  # an old message that comes late
    assert rows.progress("a", START + 46) == Progress((), 2, overdue=False)
    assert not rows.progress("a", START + 46).safe

    rows.heartbeat("a", 1, Load(in_flight=0), START + 50)
    assert rows.progress("a", START + 50).safe
    assert rows.progress("a", START + 60).overdue


def test_watchers_of_other_changes_do_not_have_to_know_more() -> None:
    rows = table()
    rows.register(instance("a"), START)
    rows.register(instance("b"), START)
    rows.drain("a", START + 60, START)
    rows.acknowledge("api", "one", rows.services["api"].revision, START)
    rows.change("b", weight=5)

    assert rows.progress("a", START).behind == ()


def test_the_watchers_that_are_remembered_are_bounded() -> None:
    watchers = Watchers()
    for number in range(MOST + 10):
        watchers.acknowledge(f"w{number}", 1, START)
    assert len(watchers.live(START)) == MOST
    watchers.leave(f"w{MOST}")
    assert len(watchers.live(START)) == MOST - 1
    assert watchers.live(START + LIVE) == []


class Interleaving(RuleBasedStateMachine):
    """Messages of a few instances over generations, checks, operators and time."""

    IDS = st.sampled_from(("a", "b", "c", "d", "e", "f"))

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.rows = table()
        self.generations: dict[str, list[int]] = {}
        self.left: dict[str, str] = {}
        self.watched: dict[str, Entry] = {}
        self.revision = 0
        self.highest = 0

    @rule(name=IDS, version=st.sampled_from(("", "2")), zone=st.sampled_from(("x", "y")))
    def register(self, name: str, version: str, zone: str) -> None:
        wanted = instance(name, version=version, zone=zone, checks=(Check(rise=1, fall=2),))
        entry = self.rows.register(wanted, self.now)
        known = self.generations.setdefault(name, [])
        if entry.instance.generation not in known:
            assert entry.instance.generation > self.highest
            self.highest = entry.instance.generation
            known.append(self.highest)

    @rule(name=IDS, back=st.integers(0, 2))
    def heartbeat(self, name: str, back: int) -> None:
        known = self.generations.get(name, [1])
        generation = known[max(0, len(known) - 1 - back)]
        try:
            entry = self.rows.heartbeat(name, generation, None, self.now)
        except Unknown:
            assert name not in self.present()
        except Stale:
            assert self.rows.get(name).instance.generation > generation
        else:
            assert entry.instance.generation == generation
            assert entry.seen == self.now

    @rule(name=IDS, failure=st.sampled_from(("", "", "refused")), weak=st.booleans())
    def check(self, name: str, failure: str, weak: bool) -> None:
        if name in self.present():
            generation = self.rows.get(name).instance.generation
            self.rows.checked(name, generation, 0, failure, self.now, weak=weak)

    @rule(name=IDS, reason=st.sampled_from(("", "5xx")))
    def observe(self, name: str, reason: str) -> None:
        if name in self.present():
            self.rows.observed(name, reason, self.now)

    @rule(name=IDS, reason=st.sampled_from((None, "by hand")))
    def maintain(self, name: str, reason: str | None) -> None:
        if name in self.present():
            self.rows.maintain(name, reason, self.now)

    @rule(name=IDS)
    def drain(self, name: str) -> None:
        if name in self.present():
            self.rows.drain(name, self.now + 30, self.now)

    @rule(name=IDS)
    def deregister(self, name: str) -> None:
        if name in self.present():
            self.rows.deregister(name, None)

    @rule(seconds=st.sampled_from((0.1, 1.0, 5.0, 9.0, 15.0, 31.0, 61.0)))
    def wait(self, seconds: float) -> None:
        before = {entry.instance.id: (entry.state, entry.since) for entry in self.rows}
        self.now += seconds
        self.rows.advance(self.now)
        for name in before.keys() - self.present():
            # Only who has been silent for its ttl and critical for a minute is removed; a single
            # look may come late for both.
            state, since = before[name]
            assert state is not State.MAINTENANCE
            assert state is not State.DRAINING
            assert self.now - since >= 60 or state is not State.CRITICAL

    def present(self) -> set[str]:
        return {entry.instance.id for entry in self.rows}

    @invariant()
    @precondition(lambda self: hasattr(self, "rows"))
    def every_state_is_what_follows_from_what_is_known_now(self) -> None:
        for entry in self.rows:
            assert entry.state is entry.judgement(self.now).state, entry.history

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
                del self.watched[delta.id]
            else:
                self.watched[delta.id] = delta.entry
        assert self.watched == {entry.instance.id: entry for entry in service}
        assert list(self.watched.values()) == [self.rows.get(name) for name in self.watched]


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
