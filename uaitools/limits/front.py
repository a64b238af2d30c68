"""Limits: checks calls, at once, or after a round trip to Redis for those that have no lease."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from uaitools.limits.config import LimitsConfig
from uaitools.limits.limit import Limit
from uaitools.limits.outcome import Away, Granted, Refused
from uaitools.limits.shared import Busy, Table
from uaitools.limits.verdict import Verdict
from uaitools.traffic.limits import NANO, Quota
from uaitools.traffic.slots import Charge, QuotaCharge, RateCharge, fingerprint

if TYPE_CHECKING:
    from uaitools.limits.remote import Remote

_PASS: Final = Verdict(b"")
_NOTHING: Final[Mapping[int, Granted]] = {}


class Limits:
    """The limits of this process, one with all other workers of its host and, by Redis, of others.

        limits = Limits(config, redis_url=None, workers=4)   # before the fork
        await limits.start()                                 # in each worker
        verdict = limits.check(route_limits, keys, now)
        if verdict is None:
            verdict = await limits.wait(route_limits, keys)

    Every call is charged to the host's table, also with Redis: so no host ever admits more than
    the limit, whatever becomes of Redis.
    """

    def __init__(
        self, config: LimitsConfig, *, redis_url: str | None = None, workers: int = 1
    ) -> None:
        self.config = config
        self._table = Table(config.slots, workers)
        self._take = self._table.take
        self._remote: Remote | None = None
        if redis_url is not None:
            from uaitools.limits.remote import Remote  # noqa: PLC0415 - slow, for who has a Redis

            self._remote = Remote(
                redis_url, timeout=config.timeout, probe=config.probe, batch=config.batch
            )

    def __repr__(self) -> str:
        return f"<Limits {self._table!r} remote={self._remote!r}>"

    @property
    def dependencies(self) -> dict[str, bool]:
        """Whether what it needs works, by name: Redis, where it counts there."""
        return {} if self._remote is None else {"redis": not self._remote.away}

    @property
    def round_trips(self) -> int:
        """How often Redis was asked."""
        return self._remote.round_trips if self._remote is not None else 0

    async def start(self) -> None:
        """Begin to check, in the process that does. Redis is asked when it is first needed."""
        self._table.open()
        if self._remote is not None:
            self._remote.start()

    def configure(self, config: LimitsConfig) -> None:
        """Go on with other settings, all but the number of slots."""
        self.config = config
        if self._remote is not None:
            self._remote.configure(timeout=config.timeout, probe=config.probe, batch=config.batch)

    async def stop(self) -> None:
        """End; calls that wait are decided as if Redis were away."""
        if self._remote is not None:
            await self._remote.stop()
        self._table.close()

    def check(self, limits: Sequence[Limit], keys: Sequence[bytes], now: float) -> Verdict | None:
        """Charge a call to every limit, or to none if one refuses; None when Redis must be asked.

        keys: for each limit, whom it counts the call for. now: monotonic seconds.
        """
        try:
            return self._check(limits, keys, int(now * NANO))
        except Busy:
            return self._unknown(limits)

    def _check(self, limits: Sequence[Limit], keys: Sequence[bytes], at: int) -> Verdict | None:
        remote = self._remote
        if remote is not None and (len(limits) != 1 or remote.away):
            return self._check_leases(remote, limits, keys, at)
        if len(limits) != 1:
            return self._check_here(limits, keys, at)
        limit = limits[0]
        charge = limit.charge
        if isinstance(charge, QuotaCharge) and charge.ends <= at:
            self._begin_period(limit, charge, at)
        mark = fingerprint(limit.identity, keys[0])
        if remote is not None:
            return self._check_lease(remote, limit, mark, at)
        left = self._take(charge, mark, at)
        return limit.admitted(left, at) if left >= 0 else limit.refused(-left)

    async def wait(self, limits: Sequence[Limit], keys: Sequence[bytes]) -> Verdict:
        """The verdict for a call for which `check` has none.

        Takes a round trip a limit, each no longer than the timeout.
        """
        try:
            return await self._wait(limits, keys)
        except Busy:
            return self._unknown(limits)

    async def _wait(self, limits: Sequence[Limit], keys: Sequence[bytes]) -> Verdict:
        remote = self._remote
        assert remote is not None
        marks = _marks(limits, keys)
        held: dict[int, Granted] = {}
        try:
            while True:
                now = time.monotonic_ns()
                number = _unleased(remote, marks, held, now)
                if number is None:
                    break
                refusal = _remembered(remote, limits, marks, held, now)
                if refusal is not None:
                    return refusal
                limit = limits[number]
                outcome = await remote.acquire(limit, keys[number], marks[number], now)
                if isinstance(outcome, Refused):
                    return limit.refused(outcome.wait)
                if isinstance(outcome, Away):
                    return self._without_redis(limits, keys, time.monotonic_ns())
                held[number] = outcome
            verdict = self._pass(remote, limits, marks, held, now)
            if verdict.refused is None:
                held = {}
            return verdict
        finally:
            for number, granted in held.items():
                remote.give_back(limits[number], marks[number], granted, time.monotonic_ns())

    # -- this host --------------------------------------------------------------------------

    def _check_here(self, limits: Sequence[Limit], keys: Sequence[bytes], at: int) -> Verdict:
        charges = self._charges(limits, at)
        return _strictest(limits, self._table.take_all(charges, _marks(limits, keys), at), at)

    def _charges(self, limits: Sequence[Limit], at: int) -> list[Charge]:
        charges = []
        for limit in limits:
            charge = limit.charge
            if isinstance(charge, QuotaCharge) and charge.ends <= at:
                self._begin_period(limit, charge, at)
            charges.append(charge)
        return charges

    def _begin_period(self, limit: Limit, charge: QuotaCharge, at: int) -> None:
        assert isinstance(limit.rule, Quota)
        self._table.begin_period(limit.rule, charge, at)

    # -- with Redis -------------------------------------------------------------------------

    def _check_lease(self, remote: Remote, limit: Limit, mark: int, at: int) -> Verdict | None:
        """As `_check_leases`, for one limit only: 2 us instead of 6."""
        lease = remote.leases.get(mark)
        if lease is None:
            return None
        if lease.calls < 1 or lease.until <= at:
            return limit.refused(lease.refused - at) if lease.refused > at else None
        left = self._take(limit.charge, mark, at)
        if left < 0:
            return limit.refused(-left)
        lease.spend()
        known = _known_left(limit.charge, lease.left + lease.calls)
        return limit.admitted(known if known < left else left, at)  # noqa: FURB136 - min() is slow

    def _check_leases(
        self, remote: Remote, limits: Sequence[Limit], keys: Sequence[bytes], at: int
    ) -> Verdict | None:
        if remote.away:
            remote.probe(at)
            return self._without_redis(limits, keys, at)
        marks = _marks(limits, keys)
        if _unleased(remote, marks, _NOTHING, at) is not None:
            return _remembered(remote, limits, marks, _NOTHING, at)
        return self._pass(remote, limits, marks, _NOTHING, at)

    def _pass(
        self,
        remote: Remote,
        limits: Sequence[Limit],
        marks: Sequence[int],
        held: Mapping[int, Granted],
        at: int,
    ) -> Verdict:
        """Charge the host's table, and the lease of each limit that was not granted just now.

        What was granted is charged as of then, here as in Redis: otherwise the table would be
        behind by the round trip, and refuse what Redis admits.
        """
        charged = min((granted.at for granted in held.values()), default=at)
        charges = self._charges(limits, charged)
        left = self._table.take_all(charges, marks, charged)
        if min(left, default=0) >= 0:
            for number, charge in enumerate(charges):
                lease = remote.leases.obtain(marks[number], at)
                if number not in held:
                    lease.spend()
                left[number] = min(left[number], _known_left(charge, lease.left + lease.calls))
        return _strictest(limits, left, charged)

    def _without_redis(self, limits: Sequence[Limit], keys: Sequence[bytes], at: int) -> Verdict:
        match self.config.on_error:
            case "open":
                return _PASS
            case "closed" if limits:
                return self._unknown(limits)
        return self._check_here(limits, keys, at)

    def _unknown(self, limits: Sequence[Limit]) -> Verdict:
        """Nothing can be said, so nothing may pass: 503."""
        return Verdict(b"", limits[0], self.config.probe, status=503)


def _marks(limits: Sequence[Limit], keys: Sequence[bytes]) -> list[int]:
    return [fingerprint(limit.identity, key) for limit, key in zip(limits, keys, strict=True)]


def _unleased(
    remote: Remote, marks: Sequence[int], held: Mapping[int, Granted], now: int
) -> int | None:
    """The number of a limit by which the call may not pass yet."""
    for number, mark in enumerate(marks):
        if number not in held:
            lease = remote.leases.get(mark)
            if lease is None or not lease.unspent(now):
                return number
    return None


def _remembered(
    remote: Remote,
    limits: Sequence[Limit],
    marks: Sequence[int],
    held: Mapping[int, Granted],
    now: int,
) -> Verdict | None:
    """The refusal of a limit of which it is known that Redis has nothing."""
    for number, mark in enumerate(marks):
        lease = remote.leases.get(mark)
        if (
            lease is not None
            and number not in held
            and lease.refused > now
            and not lease.unspent(now)
        ):
            return limits[number].refused(lease.refused - now)
    return None


def _known_left(charge: Charge, calls: int) -> int:
    """What a table would say when `calls` are left."""
    return calls * charge.interval if isinstance(charge, RateCharge) else calls


def _strictest(limits: Sequence[Limit], left: Sequence[int], at: int) -> Verdict:
    """The verdict of several limits: of those that refuse, the one that refuses longest."""
    if not limits:
        return _PASS
    if len(limits) == 1:
        return limits[0].admitted(left[0], at) if left[0] >= 0 else limits[0].refused(-left[0])
    lines = b""
    longest = 0
    for number, limit in enumerate(limits):
        rest = left[number]
        if rest < left[longest]:
            longest = number
        if rest >= 0:
            lines += limit.admitted(rest, at).lines
    # A wait is told in nanoseconds below zero by rates and quotas alike.
    rest = left[longest]
    return Verdict(lines) if rest >= 0 else limits[longest].refused(-rest)
