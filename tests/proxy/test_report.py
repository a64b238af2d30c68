from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.metrics import Family, Histogram, HistogramValue, Sample, Snapshot
from uaitools.proxy.report import CheckReport, EndpointReport, Report, ServiceReport

GAUGES = ("in_flight", "waiting", "connections", "idle")
COUNTS = ("successes", "failures", "opened", "reused")
STATES = ("healthy", "ramping", "probing", "ejected")
REQUESTS = Family("requests_total", "counter", "Requests.")
OPEN = Family("connections", "gauge", "Open connections.")

small = st.integers(0, 9)
endpoints = st.builds(
    EndpointReport,
    st.integers(1, 3),
    st.sampled_from(STATES),
    st.none(),
    st.fixed_dictionaries(dict.fromkeys(GAUGES + COUNTS, small)),
    st.none() | st.builds(CheckReport, st.sampled_from(("", "refused")), st.floats(0, 2e9)),
)
latencies = st.builds(
    lambda counts: HistogramValue((1.0, 2.0), tuple(counts), float(sum(counts))),
    st.lists(small, min_size=3, max_size=3),
)
services = st.builds(
    ServiceReport,
    st.dictionaries(st.sampled_from("ab"), endpoints),
    small,
    small,
    st.dictionaries(st.sampled_from(("reset", "timeout")), small),
    st.sampled_from((None, "reset at a")),
    latencies,
)
reports = st.builds(
    Report,
    st.builds(
        lambda total, level: Snapshot.of([Sample(REQUESTS, (), total), Sample(OPEN, (), level)]),
        small,
        small,
    ),
    st.dictionaries(st.sampled_from(("chat", "memory")), services),
    st.just(1),
    st.sampled_from((None, "staging")),
)


def endpoint(state: str = "healthy", cause: str | None = None, **numbers: int) -> EndpointReport:
    return EndpointReport(1, state, cause, numbers)


def service(latency: HistogramValue, **at: EndpointReport) -> ServiceReport:
    return ServiceReport(at, 7, 2, {"reset": 1}, "reset at a", latency)


def counted(report: Report) -> dict[tuple[str, ...], float]:
    """Every count of a report, by where it stands."""
    found: dict[tuple[str, ...], float] = {}
    for name, one in report.services.items():
        found[name, "requests"] = one.requests
        found[name, "retries"] = one.retries
        found[name, "observations"] = sum(one.latency.counts)
        found |= {(name, "errors", label): count for label, count in one.errors.items()}
        for address, each in one.endpoints.items():
            found |= {(name, address, key): each.numbers.get(key, 0) for key in COUNTS}
    total = report.metrics.families[REQUESTS][()]
    assert isinstance(total, float | int)
    return found | {("requests_total",): total}


def test_counts_and_gauges_of_workers_add() -> None:
    merged = endpoint(successes=3, in_flight=1).merge(endpoint(successes=4, idle=2))

    assert {name: merged.numbers[name] for name in ("successes", "in_flight", "idle")} == {
        "successes": 7,
        "in_flight": 1,
        "idle": 2,
    }


def test_the_worst_state_counts_with_its_cause() -> None:
    for better, worse in pairwise(STATES):
        mine, theirs = endpoint(better), endpoint(worse, "connect errors")
        for merged in (mine.merge(theirs), theirs.merge(mine)):
            assert (merged.state, merged.cause) == (worse, "connect errors")


def test_of_two_workers_last_checks_the_failed_one_is_shown_else_the_latest() -> None:
    failed, passed, later = CheckReport("refused", 1), CheckReport("", 2), CheckReport("", 3)

    def merged(one: CheckReport | None, other: CheckReport | None) -> CheckReport | None:
        mine, theirs = (EndpointReport(1, "healthy", None, {}, each) for each in (one, other))
        assert mine.merge(theirs).check == theirs.merge(mine).check
        return mine.merge(theirs).check

    assert merged(failed, later) is failed
    assert merged(passed, later) is later
    assert merged(None, failed) is failed
    assert merged(None, None) is None


@given(reports, reports)
@settings(deadline=None, max_examples=50)
def test_every_count_of_two_workers_is_their_sum(one: Report, other: Report) -> None:
    a, b, merged = counted(one), counted(other), one.merge(other)

    assert counted(merged) == {key: a.get(key, 0) + b.get(key, 0) for key in {**a, **b}}
    assert merged.workers == 2


@given(reports)
@settings(deadline=None, max_examples=50)
def test_a_dead_worker_leaves_its_counts_and_nothing_else(report: Report) -> None:
    remains = report.remains()

    assert counted(remains) == counted(report)
    assert remains.workers == 0
    assert OPEN not in remains.metrics.families
    for one in remains.services.values():
        for each in one.endpoints.values():
            assert (each.state, each.check) == ("healthy", None)
            assert not set(GAUGES) & each.numbers.keys()


@given(reports)
@settings(deadline=None, max_examples=50)
def test_a_report_survives_the_way_to_another_process(report: Report) -> None:
    assert Report.from_json(report.to_json()) == report
    assert Report.from_json(report.merge(report).to_json()) == report.merge(report)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"metrics":[],"services":3}'])
def test_what_is_no_report_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json(text)


def test_the_document_shows_what_an_operator_asks() -> None:
    latency = Histogram((0.001, 0.002))
    latency.observe(0.001)

    document = service(
        latency.value(),
        b=endpoint(successes=3, failures=1, opened=1, reused=3, in_flight=2),
        a=endpoint("ejected", "connect errors", failures=2),
    ).document()

    assert document["requests"] == 7
    assert document["retries"] == 2
    assert document["successes"] == 3
    assert document["failures"] == 3
    assert document["in_flight"] == 2
    assert document["errors"] == {"reset": 1}
    assert document["last_error"] == "reset at a"
    assert document["pool_reuse_ratio"] == 0.75
    assert document["latency_ms"] == {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    listed = document["endpoints"]
    assert isinstance(listed, list)
    assert [(e["address"], e["state"], e["cause"]) for e in listed] == [
        ("a", "ejected", "connect errors"),
        ("b", "healthy", None),
    ]


def test_the_document_has_no_latency_and_no_ratio_before_the_first_request() -> None:
    document = service(Histogram().value(), a=endpoint()).document()

    assert document["latency_ms"] == {"p50": None, "p90": None, "p99": None}
    assert document["pool_reuse_ratio"] is None
