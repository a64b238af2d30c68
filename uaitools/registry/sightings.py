"""What proxies saw of the instances that they send requests to, and what to make of it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from uaitools.registry.entry import OBSERVED
from uaitools.registry.evidence import Testimony, Word

REQUESTS: Final = 10  # fewer say nothing of a ratio
RATIO: Final = 0.5  # of failures
CONNECT: Final = 3  # connections that could not be made, with no request that went well
SLOW: Final = 5.0  # times as long as the others take
NOTICED: Final = 100.0  # milliseconds under which nobody is slow
OTHERS: Final = 2  # of a service, whose latency is known: fewer are nothing to compare with
WITNESSES: Final = 64  # proxies that are remembered for each instance

_ORDER: Final = (Word.NOTHING, Word.GOOD, Word.WEAK, Word.DOUBTFUL, Word.BAD)
_NOTHING: Final = Testimony(Word.NOTHING, "too little")


@dataclass(frozen=True, slots=True)
class Observation:
    """Counts since the last one. latency_ms: the mean over requests that were answered.

    failures: requests that ended badly, with 5xx or not at all; connect_errors are among them.
    """

    id: str
    generation: int
    requests: int = 0
    failures: int = 0
    connect_errors: int = 0
    latency_ms: float = 0.0


def verdict(seen: Observation, others: Iterable[float] = ()) -> Testimony:
    """What one observation says. others: the latency of the others of its service, in ms."""
    if seen.connect_errors >= CONNECT and seen.failures >= seen.requests:
        return Testimony(Word.BAD, f"{seen.connect_errors} connections refused or lost")
    if seen.requests >= REQUESTS and seen.failures > RATIO * seen.requests:
        return Testimony(Word.BAD, f"{seen.failures} of {seen.requests} requests fail")
    if seen.requests <= seen.failures:
        return _NOTHING
    known = list(others)
    usual = median(known) if len(known) >= OTHERS and seen.requests >= REQUESTS else None
    if usual is not None and seen.latency_ms > max(SLOW * usual, NOTICED):
        return Testimony(Word.WEAK, f"{seen.latency_ms:.0f} ms an answer, others {usual:.0f} ms")
    return Testimony(Word.GOOD, "requests answered")


@dataclass(frozen=True, slots=True)
class _Sighting:
    said: Testimony
    latency_ms: float
    at: float


class Sightings:
    """The last observation of each proxy, of each instance, for as long as it counts."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, _Sighting]] = {}

    def __repr__(self) -> str:
        return f"<Sightings instances={len(self._seen)}>"

    def note(self, seen: Observation, witness: str, others: Iterable[str], now: float) -> Testimony:
        """A proxy has seen something; what all of them together say of the instance.

        others: the ids of the rest of its service.
        """
        latencies = [
            one.latency_ms
            for name in others
            for one in self._seen.get(name, {}).values()
            if one.latency_ms and now - one.at < OBSERVED
        ]
        said = verdict(seen, latencies)
        known = self._seen.setdefault(seen.id, {})
        if said.word is not Word.NOTHING:
            known.pop(witness, None)
            known[witness] = _Sighting(said, seen.latency_ms, now)
            if len(known) > WITNESSES:
                del known[next(iter(known))]
        return _together([one.said for one in known.values() if now - one.at < OBSERVED])

    def keep(self, names: Container[str]) -> None:
        """Forget all instances but those of `names`."""
        for name in [name for name in self._seen if name not in names]:
            del self._seen[name]


def _together(said: list[Testimony]) -> Testimony:
    """The worst, but doubted where others see it work."""
    if not said:
        return _NOTHING
    worst = max(said, key=lambda one: _ORDER.index(one.word))
    if worst.word is not Word.BAD or all(one.word is Word.BAD for one in said):
        return worst
    bad = sum(one.word is Word.BAD for one in said)
    return Testimony(Word.DOUBTFUL, f"{worst.reason}, say {bad} of {len(said)} proxies")
