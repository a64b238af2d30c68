"""What calls report: nothing is counted twice, and nothing is lost."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.registry.client.calls.sightings import Sightings
from uaitools.registry.client.member import Member

registrations = st.tuples(st.sampled_from("ab"), st.integers(1, 2))
answers = st.tuples(registrations, st.integers(200, 599), st.integers(0, 1000))
failures = st.tuples(registrations, st.booleans())
steps = st.lists(st.one_of(answers, failures, st.none()))


@given(steps)
def test_reports_add_up_to_what_has_happened(script: list[tuple[object, ...] | None]) -> None:
    sightings = Sightings()
    reported: Counter[tuple[str, int, str]] = Counter()
    happened: Counter[tuple[str, int, str]] = Counter()
    times: dict[tuple[str, int], list[int]] = {}

    def report() -> None:
        for one in sightings.take():
            key = one.id, one.generation
            reported[(*key, "requests")] += one.requests
            reported[(*key, "failures")] += one.failures
            reported[(*key, "connect_errors")] += one.connect_errors
            took = times.pop(key, [])
            assert one.latency_ms == pytest.approx(sum(took) / len(took) if took else 0.0)

    for step in script:
        match step:
            case None:
                report()
            case ((str(name), int(generation)), bool(connecting)):
                one = Member(name, "x", "h", 1, generation=generation)
                sightings.failed(one, connecting=connecting)
                happened[(name, generation, "requests")] += 1
                happened[(name, generation, "failures")] += 1
                happened[(name, generation, "connect_errors")] += connecting
            case ((str(name), int(generation)), int(status), int(milliseconds)):
                one = Member(name, "x", "h", 1, generation=generation)
                sightings.answered(one, status, milliseconds / 1000)
                if status < 500:
                    times.setdefault((name, generation), []).append(milliseconds)
                happened[(name, generation, "requests")] += 1
                happened[(name, generation, "failures")] += status >= 500
    report()

    assert reported == happened
    assert sightings.take() == []
