"""What Redis has granted this process in advance, so that most calls need no round trip.

A call that waits for Redis is charged there, and passes. A *lease* is calls charged in advance,
which the process may let pass for LIFE from when it asked, and no longer.

Why leases never let more pass than the limit. Let the bucket in Redis hold B, and the processes
leases of F1, F2 ..., all in calls; Redis knows an upper bound of each, L1, L2 ...: what it granted,
until it has ended by the server's clock. It lets B refill up to the burst less the sum of all L,
and never beyond. Compare S = B + F1 + F2 + ... with V, a single token bucket of the same rate that
is charged for each call as it passes. A grant moves calls from B to F; a call that passes takes one
from S and one from V; a lease that ends lets S fall. In between only B grows, no faster than V, and
S <= B + L1 + L2 + ... <= burst. V grows at that pace unless it is at the burst. Hence S <= V at all
times, and who has a call leased has one in V: what passes would have passed V. LIFE begins here
before Redis begins to count it, hence ends here first; the one assumption is that the two clocks
do not run apart by more than a round trip within it.

A quota's leases have been counted and end with the period: nothing grows, so nothing can exceed it.
What a process does not spend is lost, at most one lease.
"""

from __future__ import annotations

from typing import Final

from uaitools.traffic.slots import Charge, RateCharge

LIFE: Final = 2_000_000_000  # nanoseconds that a rate's lease lasts
_LIMIT: Final = 65_536  # leases held
_PART: Final = 8  # of a burst or a quota at most that part is leased at once


class Lease:
    """What one key has in advance: calls, of a rate or a quota. Times are nanoseconds.

    calls, until: how many may pass until when. refused: until when there is nothing to be had.
    left: what Redis had left when it was last asked.
    """

    __slots__ = ("_asked", "_at", "_spent", "calls", "left", "refused", "until")

    def __init__(self) -> None:
        self.calls = 0
        self.until = 0
        self.refused = 0
        self.left = 0
        self._asked = 0
        self._spent = 0
        self._at = 0

    def __repr__(self) -> str:
        return f"<Lease calls={self.calls} until={self.until} refused={self.refused}>"

    def unspent(self, now: int) -> int:
        """Calls that may pass."""
        return self.calls if self.until > now else 0

    def spend(self) -> None:
        """Let one pass. Only where there is one."""
        self.calls -= 1
        self._spent += 1

    def grant(self, calls: int, at: int, until: int, now: int) -> None:
        """Add calls that were asked for at `at`, and let all that are left last until `until`.

        What has ended before the answer is here, `now`, is not revived: Redis may have given its
        room away before it heard of it.
        """
        self.calls = self.unspent(now) + calls
        self.until = until
        self._at = at

    def next_batch(self, charge: Charge, batch: int, now: int) -> int:
        """How many calls to lease: as many as were used of the last, or more if they went soon.

        A key's first call leases none: most keys come once. batch: at most.
        """
        if isinstance(charge, RateCharge):
            most = charge.capacity // charge.interval // _PART
        else:
            most = charge.count // _PART
        if self._spent >= self._asked and now - self._at < LIFE // 2:
            self._asked = min(max(1, 2 * self._asked), batch, most)
        else:
            self._asked = min(self._spent, batch, most)
        self._spent = 0
        return self._asked

    def idle(self, now: int) -> bool:
        """Whether it says nothing any more."""
        return self.until <= now and self.refused <= now


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
