"""What Redis has granted this process in advance, so that most calls need no round trip.

Why leases never admit more than the limit. Let the bucket in Redis hold B, and each process a
lease of F, all in calls. A lease *decays* as fast as the bucket refills: of N calls asked for at
the local time t0, F = N - (t - t0) / interval is left while none is spent, and there must be a
whole one of it to let a call pass. Compare S = B + the sum of all F with V, a single token bucket
of the same rate which is charged when a call passes. A grant moves calls from B to F: S stays, or
falls a little, since t0 is before the server's time. Passing takes one from S and one from V. In
between B grows by one an interval at most, and as long as any lease is left some F shrinks as
fast: S grows only when no lease is left, and then S = B, which is never above the burst. V grows
by one an interval until it is at the burst. Hence S <= V at all times: who has a whole call in a
lease has one in V, and what passes would have passed V. The one assumption is that the clocks run
at the same speed.

As one number: F reaches 0 at `until`; a grant moves it N intervals on, a call one interval back,
and a call may pass while `until` is at least one interval ahead. Who waited for the grant passes
as of t0, when its call was charged, and is not part of the lease.

A quota's lease is a count that ends with the period: what is granted has been counted, so that
all leases and the count together never exceed the quota. What is not spent is lost, which is at
most one lease a process.
"""

from __future__ import annotations

from typing import Final

from uaitools.traffic.slots import Charge, RateCharge

_LIMIT: Final = 65_536  # leases held
_PART: Final = 8  # of a burst or quota, at most that part is leased at once


class Lease:
    """What one key has in advance. All times are nanoseconds.

    until: of a rate, when the lease has decayed; of a quota, the end of the period. units: of a
    quota, calls. refused: until when nothing is to be had. left: what Redis had left, in calls.
    """

    __slots__ = ("_asked", "_spent", "left", "refused", "units", "until")

    def __init__(self) -> None:
        self.until = 0
        self.units = 0
        self.refused = 0
        self.left = 0
        self._asked = 0
        self._spent = 0

    def __repr__(self) -> str:
        return f"<Lease until={self.until} units={self.units} refused={self.refused}>"

    def has_one(self, charge: Charge, now: int) -> bool:
        """Whether a call may pass on it."""
        if isinstance(charge, RateCharge):
            return self.until - charge.interval >= now
        return self.units > 0 and self.until > now

    def spend(self, charge: Charge) -> None:
        """Let a call pass. Ask `has_one` before."""
        self._spent += 1
        if isinstance(charge, RateCharge):
            self.until -= charge.interval
        else:
            self.units -= 1

    def grant(self, charge: Charge, calls: int, at: int, ends: int) -> None:
        """Add what was asked for at `at`. ends: of a quota's period; another one begins anew."""
        if isinstance(charge, RateCharge):
            self.until = max(self.until, at) + calls * charge.interval
            return
        if self.until <= at:
            self.units = 0
        # Computed anew for each grant, the end differs by what a round trip takes.
        self.until = min(self.until, ends) if self.units else ends
        self.units += calls

    def calls(self, charge: Charge, now: int) -> int:
        """Calls that may pass, by what is known: those leased and those that Redis had left."""
        if isinstance(charge, RateCharge):
            return self.left + max(0, self.until - now) // charge.interval
        return self.left + (self.units if self.until > now else 0)

    def idle(self, now: int) -> bool:
        """Whether it says nothing."""
        return self.until <= now and self.refused <= now

    def next_batch(self, charge: Charge, batch: int) -> int:
        """How many calls to ask for in advance: twice as many when the last ones were all used.

        batch: at most. A key's first call asks for none: most keys come once.
        """
        if isinstance(charge, RateCharge):
            most = min(batch, charge.capacity // charge.interval // _PART)
        else:
            most = min(batch, charge.count // _PART)
        if self._spent >= self._asked:
            self._asked = min(max(1, 2 * self._asked), most)
        else:
            self._asked //= 2
        self._spent = 0
        return self._asked


class Leases:
    """The leases of a process by fingerprint, of bounded number: idle ones go first."""

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int = _LIMIT) -> None:
        self._held: dict[int, Lease] = {}
        self._limit = limit

    def __repr__(self) -> str:
        return f"<Leases {len(self._held)}/{self._limit}>"

    def __len__(self) -> int:
        return len(self._held)

    def get(self, mark: int) -> Lease | None:
        """The lease of a key, if there is one."""
        return self._held.get(mark)

    def obtain(self, mark: int, now: int) -> Lease:
        """The lease of a key, made if there is none."""
        lease = self._held.get(mark)
        if lease is None:
            self._make_room(now)
            lease = self._held[mark] = Lease()
        return lease

    def _make_room(self, now: int) -> None:
        held = self._held
        # Two looked at for one that comes: what is idle goes sooner than the bound is reached.
        for _ in range(min(2, len(held))):
            mark = next(iter(held))
            lease = held.pop(mark)
            if not lease.idle(now):
                held[mark] = lease
        if len(held) >= self._limit:
            del held[next(iter(held))]
