"""What proxies saw of the instances that they send requests to, and what to make of it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from uaitools.registry.entry import OBSERVED
from uaitools.registry.evidence import Testimony, Word
from uaitools.registry.observation import Observation

REQUESTS: Final = 10  # fewer say nothing of a ratio
RATIO: Final = 0.5  # of failures
CONNECT: Final = 3  # connections that could not be made, with no request that went well
SLOW: Final = 5.0  # times as long as the others take
NOTICED: Final = 100.0  # milliseconds under which nobody is slow
KNOWN: Final = 3  # instances of a service with a latency: fewer are nothing to compare with
WITNESSES: Final = 64  # proxies that are remembered for each instance

_ORDER: Final = (Word.NOTHING, Word.GOOD, Word.WEAK, Word.DOUBTFUL, Word.BAD)
_NOTHING: Final = Testimony(Word.NOTHING, "too little")


def verdict(seen: Observation, usual: float | None = None) -> Testimony:
    """What one observation says. usual: milliseconds to an answer of its service, if known."""
    if seen.connect_errors >= CONNECT and seen.failures >= seen.requests:
        return Testimony(Word.BAD, f"{seen.connect_errors} connections refused or lost")
    if seen.requests >= REQUESTS and seen.failures > RATIO * seen.requests:
        return Testimony(Word.BAD, f"{seen.failures} of {seen.requests} requests fail")
    if seen.requests <= seen.failures:
        return _NOTHING
    compared = usual is not None and seen.requests >= REQUESTS
    if compared and seen.latency_ms > max(SLOW * (usual or 0.0), NOTICED):
        reason = f"{seen.latency_ms:.0f} ms an answer, usual are {usual:.0f} ms"
        return Testimony(Word.WEAK, reason)
    return Testimony(Word.GOOD, "requests answered")


@dataclass(frozen=True, slots=True)
class _Sighting:
    said: Testimony
    at: float


class Sightings:
    """The last observation of each proxy, of each instance, for as long as it counts."""

    __slots__ = ("_latency", "_seen")

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, _Sighting]] = {}
        self._latency: dict[str, tuple[float, float]] = {}  # the last one told, and when

    def __repr__(self) -> str:
        return f"<Sightings instances={len(self._seen)}>"

    def note(self, seen: Observation, witness: str, usual: float | None, now: float) -> Testimony:
        """A proxy has seen something; what all of them together say of the instance."""
        said = verdict(seen, usual)
        if seen.latency_ms:
            self._latency[seen.id] = (seen.latency_ms, now)
        known = self._seen.setdefault(seen.id, {})
        if seen.requests:
            known.pop(witness, None)  # what it saw before is no longer so
        if said.word is not Word.NOTHING:
            known[witness] = _Sighting(said, now)
            if len(known) > WITNESSES:
                del known[next(iter(known))]
        return _together([one.said for one in known.values() if now - one.at < OBSERVED])

    def usual(self, names: Iterable[str], now: float) -> float | None:
        """Milliseconds that an answer of these instances takes; None when too few have told."""
        latencies = [
            known[0]
            for name in names
            if (known := self._latency.get(name)) is not None and now - known[1] < OBSERVED
        ]
        return median(latencies) if len(latencies) >= KNOWN else None

    def keep(self, names: Container[str]) -> None:
        """Forget all instances but those of `names`."""
        for known in (self._seen, self._latency):
            for name in [name for name in known if name not in names]:
                del known[name]


def _together(said: list[Testimony]) -> Testimony:
    """The worst, but doubted where others see it work."""
    if not said:
        return _NOTHING
    worst = max(said, key=lambda one: _ORDER.index(one.word))
    if worst.word is not Word.BAD or all(one.word is Word.BAD for one in said):
        return worst
    bad = sum(one.word is Word.BAD for one in said)
    return Testimony(Word.DOUBTFUL, f"{worst.reason}, say {bad} of {len(said)} proxies")
