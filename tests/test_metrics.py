import math
from bisect import bisect_left

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.metrics import (
    LATENCY_BOUNDS,
    Family,
    Histogram,
    HistogramValue,
    Registry,
    Sample,
    Snapshot,
    process,
    render,
)

REQUESTS = Family("http_requests_total", "counter", "Requests.")
OPEN = Family("open_connections", "gauge", "Connections.")
STARTED = Family("started_seconds", "gauge", "Start.", "min")
WORST = Family("worst_seconds", "gauge", "Worst.", "max")
LATENCY = Family("latency_seconds", "histogram", "Latency.")
GET = (("method", "GET"), ("status", "200"))


def observed(*values: float, bounds: tuple[float, ...] = (1.0, 2.0, 4.0)) -> Histogram:
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    return histogram


def snapshot(*samples: Sample) -> Snapshot:
    registry = Registry()
    registry.add(lambda: samples)
    return registry.snapshot()


def test_a_bound_belongs_to_its_bucket() -> None:
    assert observed(0, 1, 1.5, 2, 4, 9).value() == HistogramValue((1, 2, 4), (2, 2, 1, 1), 17.5)


def test_a_histogram_needs_ascending_bounds() -> None:
    for bounds in [(), (2.0, 1.0), (1.0, 1.0)]:
        with pytest.raises(ValueError, match="ascending"):
            Histogram(bounds)


def test_a_histogram_shows_its_count() -> None:
    assert repr(observed(1, 2.5)) == "<Histogram count=2 sum=3.5>"


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ((0.5, 0.5, 0.5, 0.5), 0.5, 0.5),  # half of the first bucket, which begins at 0
        ((0.5, 1.5), 0.5, 1.0),  # the end of the first bucket
        ((0.5, 1.5), 0.75, 1.5),
        ((3.0,), 0.0, 2.0),  # the least it can have been
        ((3.0,), 1.0, 4.0),
        ((9.0,), 0.5, 4.0),  # above the last bound nothing better is known
    ],
)
def test_a_quantile_is_linear_inside_its_bucket(
    values: tuple[float, ...], q: float, expected: float
) -> None:
    assert observed(*values).quantile(q) == pytest.approx(expected)


def test_a_quantile_of_nothing_is_nan() -> None:
    assert math.isnan(Histogram().quantile(0.5))


def test_a_quantile_outside_0_and_1_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        observed(1).quantile(50)


@given(
    st.lists(st.floats(min_value=0, max_value=60), min_size=1),
    st.floats(min_value=0, max_value=1),
)
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], q: float) -> None:
    true = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    index = bisect_left(LATENCY_BOUNDS, true)
    lower = LATENCY_BOUNDS[index - 1] if index else 0.0

    estimate = observed(*values, bounds=LATENCY_BOUNDS).quantile(q)

    assert lower <= estimate or estimate == pytest.approx(lower)
    assert estimate <= LATENCY_BOUNDS[index] or estimate == pytest.approx(LATENCY_BOUNDS[index])


def test_a_registry_reads_its_sources_at_each_snapshot() -> None:
    registry, counts = Registry(), [0]
    registry.add(lambda: [Sample(REQUESTS, GET, counts[0])])
    registry.snapshot()
    counts[0] += 3

    assert registry.snapshot() == snapshot(Sample(REQUESTS, GET, 3))
    assert repr(registry) == "<Registry sources=1>"


def test_merging_adds_counters_gauges_and_histograms_of_equal_labels() -> None:
    one = snapshot(
        Sample(REQUESTS, GET, 1), Sample(OPEN, (), 2), Sample(LATENCY, (), observed(1).value())
    )
    other = snapshot(
        Sample(REQUESTS, GET[::-1], 10),  # the order of labels means nothing
        Sample(REQUESTS, (), 5),
        Sample(OPEN, (), 20),
        Sample(LATENCY, (), observed(3, 9).value()),
    )

    assert one.merge(other) == snapshot(
        Sample(REQUESTS, GET, 11),
        Sample(REQUESTS, (), 5),
        Sample(OPEN, (), 22),
        Sample(LATENCY, (), observed(1, 3, 9).value()),
    )


def test_merging_takes_the_least_or_the_greatest_where_a_sum_means_nothing() -> None:
    one = snapshot(Sample(STARTED, (), 100), Sample(WORST, (), 7))
    other = snapshot(Sample(STARTED, (), 200), Sample(WORST, (), 3))

    assert one.merge(other) == snapshot(Sample(STARTED, (), 100), Sample(WORST, (), 7))


def test_a_dead_process_leaves_what_it_counted_and_not_its_state() -> None:
    counted = [Sample(REQUESTS, GET, 1), Sample(LATENCY, (), observed(1).value())]

    assert snapshot(*counted, Sample(OPEN, (), 2)).without_gauges() == snapshot(*counted)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Sample(REQUESTS, (), 1), Sample(Family(REQUESTS.name, "gauge", ""), (), 1)),
        (Sample(LATENCY, (), observed().value()), Sample(LATENCY, (), 1)),
        (
            Sample(LATENCY, (), observed().value()),
            Sample(LATENCY, (), observed(bounds=(1.0,)).value()),
        ),
    ],
)
def test_what_does_not_belong_together_is_not_merged(one: Sample, other: Sample) -> None:
    with pytest.raises(ValueError, match=r"declared twice|a number|different bounds"):
        snapshot(one).merge(snapshot(other))


def test_a_snapshot_travels_as_json() -> None:
    sent = snapshot(
        Sample(REQUESTS, GET, 1),
        Sample(OPEN, (), 1.5),
        Sample(STARTED, (), 1),
        Sample(LATENCY, GET, observed(1, 5).value()),
    )

    assert Snapshot.from_document(orjson.loads(orjson.dumps(sent.to_document()))) == sent


FAMILY = {"name": "x", "kind": "counter", "help": ""}


@pytest.mark.parametrize(
    "document", ["x", [1], [[{"name": "x"}, []]], 3, None, [[FAMILY, [[[], {"sum": 1}]]]]]
)
def test_what_is_no_snapshot_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="not a snapshot"):
        Snapshot.from_document(document)


def test_the_text_is_that_of_prometheus() -> None:
    text = render(
        snapshot(
            Sample(REQUESTS, GET, 3),
            Sample(OPEN, (), 2),
            Sample(LATENCY, (("route", "/a"),), observed(0.5, 1.5, 9).value()),
        )
    )

    assert text.decode().splitlines() == [
        "# HELP http_requests_total Requests.",
        "# TYPE http_requests_total counter",
        'http_requests_total{method="GET",status="200"} 3',
        "# HELP latency_seconds Latency.",
        "# TYPE latency_seconds histogram",
        'latency_seconds_bucket{le="1.0",route="/a"} 1.0',
        'latency_seconds_bucket{le="2.0",route="/a"} 2.0',
        'latency_seconds_bucket{le="4.0",route="/a"} 2.0',
        'latency_seconds_bucket{le="+Inf",route="/a"} 3.0',
        'latency_seconds_count{route="/a"} 3.0',
        'latency_seconds_sum{route="/a"} 11.0',
        "# HELP open_connections Connections.",
        "# TYPE open_connections gauge",
        "open_connections 2",
    ]


def test_a_label_cannot_forge_another_metric() -> None:
    hostile = 'x"} 1\nforged{a="\\'

    lines = render(snapshot(Sample(REQUESTS, (("method", hostile),), 1))).decode().splitlines()

    assert lines[2:] == [r'http_requests_total{method="x\"} 1\nforged{a=\"\\"} 1']


def test_rendering_twice_gives_the_same() -> None:
    one = snapshot(Sample(REQUESTS, GET, 3))

    assert render(one) == render(one)


def test_the_process_reports_itself_under_the_usual_names() -> None:
    values = {sample.family.name: sample.value for sample in process()}

    assert set(values) == {
        "process_start_time_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
    }
    assert all(isinstance(value, int | float) and value > 0 for value in values.values())
