"""What calls have seen of instances since it was last reported to the registry. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.registry.observation import Observation

if TYPE_CHECKING:
    from uaitools.registry.client.member import Member


class _Counts:
    __slots__ = ("connect_errors", "failures", "requests", "seconds")

    def __init__(self) -> None:
        self.requests = self.failures = self.connect_errors = 0
        self.seconds = 0.0  # that answers took which were no failures

    @property
    def latency_ms(self) -> float:
        successes = self.requests - self.failures
        return self.seconds / successes * 1000 if successes else 0.0


class Sightings:
    """Counts by registration: never more than were called since the last report."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], _Counts] = {}

    def __repr__(self) -> str:
        return f"<Sightings instances={len(self._seen)}>"

    def answered(self, member: Member, status: int, seconds: float) -> None:
        """An answer began `seconds` after the request was sent."""
        counts = self._counts(member)
        counts.requests += 1
        if status >= 500:
            counts.failures += 1
        else:
            counts.seconds += seconds

    def failed(self, member: Member, *, connecting: bool) -> None:
        """There was no answer, through the instance's fault."""
        counts = self._counts(member)
        counts.requests += 1
        counts.failures += 1
        counts.connect_errors += connecting

    def take(self) -> list[Observation]:
        """All of it, which is forgotten then."""
        seen, self._seen = self._seen, {}
        return [
            Observation(
                name,
                generation,
                counts.requests,
                counts.failures,
                counts.connect_errors,
                counts.latency_ms,
            )
            for (name, generation), counts in seen.items()
        ]

    def _counts(self, member: Member) -> _Counts:
        key = member.id, member.generation
        counts = self._seen.get(key)
        if counts is None:
            counts = self._seen[key] = _Counts()
        return counts
