"""The table of what limits remember: a fixed number of slots over shared or private memory.

A slot is three 64-bit integers: the fingerprint of a limit and a key, a time, and a count. For a
rate the time is when the key's bucket is full again and the count is 0; for a quota the time is
the end of the period and the count, at least 1, is what was used. A slot whose time has passed
says nothing any more and is free. All times are nanoseconds of one monotonic clock.

A fingerprint may stand in one of the eight slots around its home. When all eight are live, room
is made without forgetting anything: a slot becomes the *shared* one of its limit, which is at least
as far used as everything it stands for, and whoever finds no slot of its own is charged to it until
it is dead. So a flood of keys admits at most what the table has slots for, and no key is ever
admitted more than its limit; what suffers is who shares, and that are keys of the limit that is
flooded: those of others get their slots from it. Only where eight limits meet in one place do two
of them share, in the *common* slot of their kind (rate or quota).

    shared rate   its time is at or after the time of each key charged to it
    shared quota  its time is at or after each period's end, its count at or above each count

Not safe by itself between processes: hold a lock around each call. Every step leaves the table
right if the process is killed after it: what is known is written before what replaces it goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SLOT: Final = 24  # bytes
PROBES: Final = 8
_WORDS: Final = 3
_TIME: Final = 1
_COUNT: Final = 2
# A fingerprint's lower bits are a key's, those above the limit's. The shared slots of a limit have
# one of these as their lower bits, the common ones nothing above; no key has them (`fingerprint`).
_RATE: Final = 1
_QUOTA: Final = 2
_KEY: Final = (1 << 48) - 1
_LIMIT: Final = ~_KEY
_MOVED: Final = 1 << 32


def fingerprint(identity: int, key: bytes) -> int:
    """What stands for a limit and a key, in all processes forked from one.

    Python's own hash of bytes: SipHash under a random secret, so that nobody can choose keys that
    meet in one place. 48 bits of a limit's own: two of its 100,000 keys collide once in 50,000
    tables, and then share.
    """
    mark = hash((identity, key)) & _KEY
    if mark <= _QUOTA:
        mark += _MOVED
    return mark | (identity & 0x7FFF or 1) << 48


def _stands_for(held: int, mark: int) -> bool:
    """Whether a slot is that of `mark`, or a shared one to which it may be charged."""
    return held == mark or (held & _KEY <= _QUOTA and held & _LIMIT in (mark & _LIMIT, 0))


class RateCharge:
    """What one call costs at a rate. interval, capacity: nanoseconds, see `limits.Rate`."""

    __slots__ = ("capacity", "interval")

    def __init__(self, interval: int, capacity: int) -> None:
        self.interval = interval
        self.capacity = capacity

    def __repr__(self) -> str:
        return f"<RateCharge interval={self.interval} capacity={self.capacity}>"


class QuotaCharge:
    """One call of `count` until `ends`, nanoseconds, which whoever knows the calendar moves on."""

    __slots__ = ("count", "ends")

    def __init__(self, count: int, ends: int) -> None:
        self.count = count
        self.ends = ends

    def __repr__(self) -> str:
        return f"<QuotaCharge count={self.count} ends={self.ends}>"


Charge = RateCharge | QuotaCharge


class SlotTable:
    """Slots over `view`, 64-bit integers, zero where unused. Their number is a power of two."""

    __slots__ = ("_mask", "_view")

    def __init__(self, view: memoryview) -> None:
        slots = len(view) // _WORDS
        if view.format != "q" or slots < PROBES or slots & (slots - 1) or len(view) % _WORDS:
            raise ValueError("a table is 2**n slots, at least 8, of three 64-bit integers each")
        self._view = view
        self._mask = slots - 1

    def __repr__(self) -> str:
        return f"<SlotTable slots={self._mask + 1}>"

    def live(self, now: int) -> int:
        """How many slots are in use; looks at all of them."""
        return sum(time >= now for time in self._view[_TIME::_WORDS] if time)

    def take(self, charge: Charge, mark: int, now: int) -> int:
        """Charge one call to the fingerprint `mark`, if it may pass.

        What is left, in the charge's unit and 0 at least: nanoseconds of a rate's bucket
        (`interval` buys one call), calls of a quota. Below 0 the call is refused, and the same
        call would pass after as many nanoseconds.
        """
        at = (mark & self._mask) * _WORDS
        view = self._view
        if isinstance(charge, RateCharge):
            if view[at] != mark:
                at = self._find(mark, now, _RATE)
            full = view[at + _TIME]
            # max() costs 0.05 us more, a tenth of the whole.
            full = (full if full > now else now) + charge.interval  # noqa: FURB136
            left = now + charge.capacity - full
            if left >= 0:
                view[at + _TIME] = full
            return left
        if view[at] != mark:
            at = self._find(mark, now, _QUOTA)
        ends = view[at + _TIME]
        if ends <= now:  # nothing is used yet
            self._charge(charge, at, now)
            return charge.count - 1
        left = charge.count - 1 - view[at + _COUNT]
        if left < 0:
            return now - max(ends, charge.ends)
        self._charge(charge, at, now)
        return left

    def take_all(self, charges: Sequence[Charge], marks: Sequence[int], now: int) -> list[int]:
        """Charge one call to each of several, if it may pass by all of them, otherwise to none.

        What `take` would have returned for each; of those that would admit, beside one that
        refuses, as if they had.
        """
        places = self._find_all(charges, marks, now)
        left: list[int] = []
        refused = False
        for number, charge in enumerate(charges):
            place = places[number]
            # Two of them may be charged to one slot, which then must have room for both.
            before = self._before(charges, places, number) if place in places[:number] else 0
            rest = self._left(charge, place, now, before)
            refused = refused or rest < 0
            left.append(rest)
        if not refused:
            for charge, place in zip(charges, places, strict=True):
                self._charge(charge, place, now)
        return left

    @staticmethod
    def _before(charges: Sequence[Charge], places: Sequence[int], number: int) -> int:
        """What the charges before one of that number add to the slot that it shares with them."""
        return sum(
            charge.interval if isinstance(charge, RateCharge) else 1
            for charge, place in zip(charges[:number], places, strict=False)
            if place == places[number]
        )

    def _left(self, charge: Charge, at: int, now: int, before: int) -> int:
        """See `take`. before: what is yet to be charged to the slot. Nothing is charged here."""
        time = self._view[at + _TIME]
        if isinstance(charge, RateCharge):
            return now + charge.capacity - charge.interval - before - max(time, now)
        used = 0 if time <= now else self._view[at + _COUNT]
        left = charge.count - 1 - before - used
        return left if left >= 0 else now - max(time, charge.ends)

    def _charge(self, charge: Charge, at: int, now: int) -> None:
        view = self._view
        time = view[at + _TIME]
        if isinstance(charge, RateCharge):
            view[at + _TIME] = max(time, now) + charge.interval
        elif time <= now:
            view[at + _COUNT] = 1
            view[at + _TIME] = charge.ends
        else:
            view[at + _COUNT] += 1
            if charge.ends > time:
                view[at + _TIME] = charge.ends

    # -- places -----------------------------------------------------------------------------

    def _find_all(self, charges: Sequence[Charge], marks: Sequence[int], now: int) -> list[int]:
        """The slots of several; anew when making room for one has moved another."""
        view, mask = self._view, self._mask
        places: list[int] = []
        searched = False
        for number, mark in enumerate(marks):
            at = (mark & mask) * _WORDS
            if view[at] != mark or view[at + _TIME] < now:
                kind = _RATE if isinstance(charges[number], RateCharge) else _QUOTA
                at = self._find(mark, now, kind)
                searched = True
            places.append(at)
        # A slot found may since have become the shared one of its kind, which is right; but two
        # may also have become one, and then somebody else has the place of one of them.
        if searched:
            for at, mark in zip(places, marks, strict=True):
                if not _stands_for(view[at], mark):
                    return self._find_all(charges, marks, now)
        return places

    def _find(self, mark: int, now: int, kind: int) -> int:  # noqa: C901 - one look at each slot
        """The slot to charge for `mark`: its own, its limit's shared one, the common, a new one."""
        view = self._view
        home = mark & self._mask
        shared = mark & _LIMIT | kind
        free = ours = common = -1
        for step in range(PROBES):
            at = (home ^ step) * _WORDS
            held = view[at]
            if held == mark:
                view[at + _TIME] = max(view[at + _TIME], now)
                return at
            # One that ends just now counts as live: it may have been found in this very call.
            if view[at + _TIME] < now:
                if free < 0:
                    free = at
            elif held == shared:
                ours = at
            elif held == kind:
                common = at
        if ours >= 0:
            return ours
        if common >= 0:
            return common
        if free < 0:
            free = self._make_room(home, shared)
            if view[free] == shared:
                return free
        view[free + _COUNT] = kind == _QUOTA  # its kind; nothing is used before its time
        view[free + _TIME] = now
        view[free] = mark
        return free

    def _make_room(self, home: int, shared: int) -> int:
        """The new shared slot of a limit, or a free slot when another limit has more of them."""
        view = self._view
        # Who dies first is shared least long.
        slots = sorted(
            ((home ^ step) * _WORDS for step in range(PROBES)), key=lambda at: view[at + _TIME]
        )
        alike: dict[int, list[int]] = {}
        for at in slots:
            kind = _QUOTA if view[at + _COUNT] > 0 else _RATE
            alike.setdefault(view[at] & _LIMIT | kind, []).append(at)
        ours = alike.get(shared, [])
        most = max(alike, key=lambda one: len(alike[one]))
        if len(alike[most]) > max(len(ours), 1):
            return self._merge(alike[most], most)  # who has most of them gives one
        if ours:
            view[ours[0]] = shared
            return ours[0]
        # Eight limits, and four of them at least are of one kind: two of those have it in common.
        rates = [at for at in slots if view[at + _COUNT] == 0]
        if len(rates) > 1:
            return self._merge(rates, _RATE)
        return self._merge([at for at in slots if view[at + _COUNT] > 0], _QUOTA)

    def _merge(self, slots: list[int], shared: int) -> int:
        """Make one slot of two, which `shared` stands for from now on; the other one is free."""
        view = self._view
        into = next((at for at in slots if view[at] == shared), slots[1])
        gone = slots[0] if into != slots[0] else slots[1]
        view[into + _COUNT] = max(view[into + _COUNT], view[gone + _COUNT])
        view[into + _TIME] = max(view[into + _TIME], view[gone + _TIME])
        view[into] = shared
        view[gone] = 0
        return gone
