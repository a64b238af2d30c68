"""What this process sees of the instances that a registry has named, to report it there.

Counts are those that breaker and pool keep anyway; only the time that answers take is added up
here, for endpoints that came from a registry and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.registry.client import Observation

if TYPE_CHECKING:
    from uaitools.proxy.pool import Pool
    from uaitools.registry.client import Member
    from uaitools.traffic.endpoint import Endpoint, Observer


class Sighting:
    """The observer of one such endpoint, before the one of its balancing policy, if any.

    member: the instance there.
    """

    __slots__ = ("_answers", "_seconds", "_told", "member", "policy")

    def __init__(self, member: Member, pool: Pool) -> None:
        self.member = member
        self.policy: Observer | None = None
        self._told = _counts(pool)
        self._answers = 0
        self._seconds = 0.0

    def __repr__(self) -> str:
        return f"<Sighting {self.member.id} answers={self._answers}>"

    @property
    def registration(self) -> tuple[str, int]:
        """Which one of which instance it is."""
        return self.member.id, self.member.generation

    def observe(self, endpoint: Endpoint, seconds: float, now: float, *, failed: bool) -> None:
        """See Observer."""
        if not failed:
            self._answers += 1
            self._seconds += seconds
        if self.policy is not None:
            self.policy.observe(endpoint, seconds, now, failed=failed)

    def report(self, pool: Pool) -> Observation | None:
        """What happened at the endpoint since the last report; None when nothing did."""
        before, self._told = self._told, _counts(pool)
        counts = [now - then for now, then in zip(self._told, before, strict=True)]
        successes, failures, unreached = counts
        if not successes and not failures:
            return None
        latency = 1000.0 * self._seconds / self._answers if self._answers else 0.0
        self._answers, self._seconds = 0, 0.0
        return Observation(
            self.member.id,
            self.member.generation,
            requests=successes + failures,
            failures=failures,  # with those that found no connection
            connect_errors=unreached,
            latency_ms=round(latency, 3),
        )


def sight(pool: Pool, member: Member | None) -> bool:
    """Have the endpoint of `pool` observed as `member`, None for none a registry knows of.

    Returns whether another one is there than before.
    """
    endpoint, sighting = pool.endpoint, pool.sighting
    if sighting is not None and endpoint.observer is sighting:
        endpoint.observer = sighting.policy
    if member is None:
        pool.sighting = None
        return False
    another = sighting is not None and sighting.registration != (member.id, member.generation)
    if sighting is None or another:
        sighting = pool.sighting = Sighting(member, pool)
    sighting.member = member
    sighting.policy, endpoint.observer = endpoint.observer, sighting
    return another


def _counts(pool: Pool) -> tuple[int, int, int]:
    breaker = pool.endpoint.breaker
    return breaker.successes, breaker.failures, pool.unreached
