"""What is collected until it can be said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.registry.client.outbox import OBSERVED, Outbox
from uaitools.registry.observation import Observation

SERVICES = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("watch"), SERVICES),
    st.tuples(st.just("unwatch"), SERVICES),
    st.tuples(st.just("applied"), SERVICES),
)


@given(st.lists(STEPS))
def test_the_registry_ends_up_with_the_last_word_on_each_service(
    steps: list[tuple[str, str]],
) -> None:
    outbox = Outbox()
    wanted: dict[str, bool] = {}
    for index, (kind, service) in enumerate(steps):
        if kind == "watch":
            outbox.watch(service)
            wanted[service] = True
        elif kind == "unwatch":
            outbox.unwatch(service)
            wanted[service] = False
        else:
            outbox.applied(service, index, "e")

    found: dict[str, bool] = {}
    said = [json.loads(text) for text in outbox.take()]
    for message in said:
        if message["type"] in ("watch", "unwatch"):
            found[message["service"]] = message["type"] == "watch"
    assert found == wanted
    assert len(said) <= 9
    assert outbox.take() == []


def test_only_the_last_revision_is_acknowledged() -> None:
    outbox = Outbox()
    outbox.applied("a", 1, "e")
    outbox.applied("a", 2, "e")

    assert outbox.take() == ['{"type":"applied","service":"a","index":2,"epoch":"e"}']


def test_nothing_is_acknowledged_after_an_unwatch() -> None:
    outbox = Outbox()
    outbox.applied("a", 1, "e")
    outbox.unwatch("a")

    assert outbox.take() == ['{"type":"unwatch","service":"a"}']


COUNTS = st.builds(
    Observation,
    id=st.sampled_from("ab"),
    generation=st.integers(1, 2),
    requests=st.integers(9, 18),
    failures=st.integers(0, 9),
    connect_errors=st.integers(0, 9),
    latency_ms=st.floats(0, 1000),
)


@given(st.lists(COUNTS))
def test_observations_of_one_registration_are_summed(seen: list[Observation]) -> None:
    outbox = Outbox()
    for one in seen:
        outbox.observed([one])
    found = [one for text in outbox.take() for one in json.loads(text)["observations"]]

    keys = [(one["id"], one["generation"]) for one in found]
    assert len(keys) == len(set(keys))
    for count in ("requests", "failures", "connect_errors"):
        assert sum(one[count] for one in found) == sum(getattr(one, count) for one in seen)
    together = [Observation(**one) for one in found]
    before, after = (
        sum(one.successes * one.latency_ms for one in some) for some in (seen, together)
    )
    assert after == pytest.approx(before)


def test_observations_that_nobody_takes_are_bounded() -> None:
    outbox = Outbox()
    outbox.observed(Observation(f"i{number}", 1, 1) for number in range(OBSERVED + 5))
    messages = [json.loads(text)["observations"] for text in outbox.take()]

    assert sum(map(len, messages)) == OBSERVED
    assert max(map(len, messages)) <= 500
