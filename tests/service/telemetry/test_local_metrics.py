"""Values that are counted locally reach Prometheus whole."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.telemetry.local_metrics import LocalCounter, LocalHistogram, LocalMetric

BOUNDS = (0.5, 1.0, 2.0)


def flush(changed: list[LocalMetric]) -> None:
    for metric in changed:
        metric.flush()
    changed.clear()


@given(st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 64.0]))))
def test_a_local_histogram_gives_what_the_histogram_itself_would(
    batches: list[list[float]],
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    changed: list[LocalMetric] = []
    local = LocalHistogram(changed, Histogram("h", "", ("a",), registry=ours, buckets=BOUNDS), "x")
    histogram = Histogram("h", "", ("a",), registry=theirs, buckets=BOUNDS)
    for batch in batches:
        for value in batch:
            local.observe(value)
            histogram.labels("x").observe(value)
        flush(changed)
    shown = [
        [line for line in generate_latest(registry).splitlines() if b"_created" not in line]
        for registry in (ours, theirs)
    ]
    assert shown[0] == shown[1]


def test_a_count_is_added_once_and_only_if_there_is_one() -> None:
    registry = CollectorRegistry()
    changed: list[LocalMetric] = []
    local = LocalCounter(changed, Counter("c", "", ("a",), registry=registry), "x")
    assert b"c_total{" not in generate_latest(registry)
    for count in (3, 0, 4):
        for _ in range(count):
            local.increment()
        assert len(changed) == bool(count)
        flush(changed)
    assert registry.get_sample_value("c_total", {"a": "x"}) == 7
