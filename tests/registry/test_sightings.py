"""What proxies saw, one by one and all together."""

from __future__ import annotations

from typing import Any

import pytest

from uaitools.registry.entry import OBSERVED
from uaitools.registry.evidence import Word
from uaitools.registry.observation import Observation
from uaitools.registry.sightings import WITNESSES, Sightings, verdict


def seen(identity: str = "a", **counts: Any) -> Observation:
    return Observation(identity, 1, **counts)


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({}, Word.NOTHING),
        ({"requests": 5}, Word.GOOD),
        ({"requests": 9, "failures": 8}, Word.GOOD),  # too few for a ratio, and one went well
        ({"requests": 9, "failures": 9}, Word.NOTHING),
        ({"requests": 10, "failures": 5}, Word.GOOD),
        ({"requests": 10, "failures": 6}, Word.BAD),
        ({"requests": 3, "failures": 3, "connect_errors": 3}, Word.BAD),
        ({"requests": 4, "failures": 3, "connect_errors": 3}, Word.GOOD),
        ({"requests": 2, "failures": 2, "connect_errors": 2}, Word.NOTHING),
    ],
)
def test_what_one_observation_says(counts: dict[str, Any], word: Word) -> None:
    assert verdict(seen(**counts)).word is word


@pytest.mark.parametrize(
    ("latency", "usual", "word"),
    [
        (501.0, 100.0, Word.WEAK),
        (500.0, 100.0, Word.GOOD),
        (501.0, None, Word.GOOD),
        (99.0, 1.0, Word.GOOD),  # nobody is slow under 100 ms
    ],
)
def test_who_is_much_slower_than_is_usual_is_weak(
    latency: float, usual: float | None, word: Word
) -> None:
    assert verdict(seen(requests=10, latency_ms=latency), usual).word is word


def test_what_is_usual_is_what_most_have_told_lately() -> None:
    sightings = Sightings()
    for name, latency in (("a", 400.0), ("b", 10.0)):
        sightings.note(seen(name, requests=10, latency_ms=latency), "one", None, 0.0)
    assert sightings.usual("abc", 1.0) is None  # too few
    sightings.note(seen("c", requests=10, latency_ms=20.0), "one", None, 0.0)
    assert sightings.usual("abc", OBSERVED - 1) == 20.0
    assert sightings.usual("abc", OBSERVED) is None
    sightings.keep("ab")
    assert sightings.usual("abc", 1.0) is None


def test_what_some_see_fail_and_others_see_work_is_doubtful() -> None:
    sightings = Sightings()
    bad, good = seen(requests=10, failures=10), seen(requests=10)
    assert sightings.note(bad, "one", None, 0.0).word is Word.BAD
    said = sightings.note(good, "two", None, 1.0)
    assert said.word is Word.DOUBTFUL
    assert said.reason == "10 of 10 requests fail, say 1 of 2 proxies"
    assert sightings.note(bad, "two", None, 2.0).word is Word.BAD
    assert sightings.note(good, "one", None, 3.0).word is Word.DOUBTFUL
    # What was last seen long ago counts no more.
    assert sightings.note(good, "one", None, 2.0 + OBSERVED).word is Word.GOOD


def test_a_report_that_says_nothing_leaves_what_was_said() -> None:
    sightings = Sightings()
    sightings.note(seen(requests=10, failures=10), "one", None, 0.0)
    assert sightings.note(seen(), "one", None, 1.0).word is Word.BAD


def test_what_is_remembered_is_bounded_and_forgotten_with_the_instance() -> None:
    sightings = Sightings()
    for number in range(WITNESSES):
        sightings.note(seen(requests=10, failures=10), f"w{number}", None, 0.0)
    assert sightings.note(seen(requests=10), "last", None, 0.0).reason.endswith(
        f"say {WITNESSES - 1} of {WITNESSES} proxies"
    )
    sightings.keep(())
    assert sightings.note(seen(requests=10), "last", None, 0.0).word is Word.GOOD
