"""Which endpoints may take the next call, and with what weight; what all policies have in common.

The first of these groups that has a member which was not tried yet:

    1. primaries that their breakers give a share and that have room. More than half of the
       primaries out is a panic: then those ejected on weak evidence are let in beside them,
       because the few that are left would drown;
    2. backups, by the same rule among themselves, and those that are `last` after the others;
    3. primaries that only a panic lets in;
    4. backups that only a panic lets in.

When all were tried, the same again with those that were. So a backup helps before anything that
is known to be bad, and a retry goes to a backup rather than to where it just failed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from uaitools.traffic.breaker import NEVER, OUT, READMISSIBLE, State
from uaitools.traffic.endpoint import Endpoint


class Candidates:
    """Endpoints that may be called, and their weights, which are over 0.

    own: at least one of them needs no panic to be here.
    """

    __slots__ = ("endpoints", "own", "weights")

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []
        self.weights: list[float] = []
        self.own = False

    def __repr__(self) -> str:
        pairs = zip(self.endpoints, self.weights, strict=True)
        members = " ".join(f"{endpoint.address}={weight:g}" for endpoint, weight in pairs)
        return f"<Candidates {members}>"


class Availability:
    """The endpoints of one service, primaries and backups.

    settled: the healthy primaries with a weight, while all others are out, so that a policy may
    decide among them by what it has laid out, without asking for candidates; empty while one ramps
    up, in a panic, and when there is none. It holds before `until`, when a probe is due.
    """

    __slots__ = ("_endpoints", "_reserves", "backups", "primaries", "settled", "until")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self.primaries: tuple[Endpoint, ...] = ()
        self.backups: tuple[Endpoint, ...] = ()
        self._reserves: tuple[tuple[Endpoint, ...], ...] = ()  # the backups by their turn
        self.settled: tuple[Endpoint, ...] = ()
        self.until = NEVER
        self.refresh()

    def __repr__(self) -> str:
        return (
            f"<Availability primaries={len(self.primaries)} backups={len(self.backups)} "
            f"settled={len(self.settled)}>"
        )

    def refresh(self) -> None:
        """Look at states, weights and backups again."""
        self.primaries = tuple([e for e in self._endpoints if not e.backup])
        self.backups = tuple([e for e in self._endpoints if e.backup])
        last = tuple([e for e in self.backups if e.last])
        first = tuple([e for e in self.backups if not e.last])
        self._reserves = (first, last) if first and last else (self.backups,)
        self.settled = ()
        self.until = NEVER
        if not _panicking(self.primaries):
            states = [e.breaker.state for e in self.primaries]
            if State.RAMPING not in states:
                self.settled = tuple([e for e in self.primaries if e.healthy and e.weight > 0])
                ejected = [e for e in self.primaries if e.breaker.state is State.EJECTED]
                self.until = min([e.breaker.until for e in ejected], default=NEVER)

    def candidates(self, now: float, tried: Collection[Endpoint] = ()) -> Candidates:
        """Who may take the next call; none of `tried` unless all that may were tried."""
        if tried:
            fresh = self._search(now, tried)
            if fresh.endpoints:
                return fresh
        return self._search(now, ())

    def _search(self, now: float, tried: Collection[Endpoint]) -> Candidates:
        primaries = _group(self.primaries, now, tried)
        if primaries.own or not self.backups:
            return primaries
        found = primaries
        for reserve in self._reserves:
            backups = _group(reserve, now, tried)
            if backups.own:
                return backups
            if not found.endpoints:
                found = backups
        return found


def _group(members: Sequence[Endpoint], now: float, tried: Collection[Endpoint]) -> Candidates:
    panicking = _panicking(members)
    found = Candidates()
    for endpoint in members:
        if endpoint in tried:
            continue
        weight = endpoint.share(now)
        if weight > 0.0:
            found.own = True
        elif panicking:
            weight = _panic_weight(endpoint)
        if weight > 0.0:
            found.endpoints.append(endpoint)
            found.weights.append(weight)
    return found


def _panicking(members: Sequence[Endpoint]) -> bool:
    """Whether more than half are out."""
    return 2 * sum([1 for e in members if e.breaker.state in OUT]) > len(members)


def _panic_weight(endpoint: Endpoint) -> float:
    """The whole weight of an endpoint that was ejected on weak evidence and has room."""
    full = endpoint.in_flight >= endpoint.max_requests
    return 0.0 if full or endpoint.breaker.cause not in READMISSIBLE else float(endpoint.weight)
