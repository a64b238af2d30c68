"""What somebody who calls instances has seen of one of them. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Observation:
    """Counts since the last report. generation: of the registration that was called.

    failures: requests that ended badly, with 500 and above or not at all. connect_errors: those of
    them for which no connection came about. latency_ms: the mean time to the head of an answer
    that was no failure, 0 when there was none.
    """

    id: str
    generation: int
    requests: int = 0
    failures: int = 0
    connect_errors: int = 0
    latency_ms: float = 0.0

    @property
    def successes(self) -> int:
        """Requests that ended well."""
        return max(0, self.requests - self.failures)

    def plus(self, other: Observation) -> Observation:
        """Both in one; of the same registration."""
        successes = self.successes + other.successes
        weighted = self.latency_ms * self.successes + other.latency_ms * other.successes
        return Observation(
            self.id,
            self.generation,
            self.requests + other.requests,
            self.failures + other.failures,
            self.connect_errors + other.connect_errors,
            weighted / successes if successes else 0.0,
        )

    def document(self) -> dict[str, object]:
        """Its JSON."""
        return asdict(self)
