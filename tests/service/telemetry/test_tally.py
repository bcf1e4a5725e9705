"""What was counted in plain numbers reaches Prometheus whole."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.telemetry.tally import CounterTally, HistogramTally

BOUNDS = (0.5, 1.0, 2.0)


@given(st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 64.0]))))
def test_a_tally_shows_what_the_histogram_itself_would(batches: list[list[float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = HistogramTally(Histogram("h", "", registry=ours, buckets=BOUNDS))
    histogram = Histogram("h", "", registry=theirs, buckets=BOUNDS)
    for batch in batches:
        for value in batch:
            tally.observe(value)
            histogram.observe(value)
        tally.flush()
    shown = [
        [line for line in generate_latest(registry).splitlines() if b"_created" not in line]
        for registry in (ours, theirs)
    ]
    assert shown[0] == shown[1]


def test_a_counter_is_passed_on_once() -> None:
    registry = CollectorRegistry()
    tally = CounterTally(Counter("c", "", registry=registry))
    for count in (3, 0, 4):
        tally.count += count
        tally.flush()
    assert registry.get_sample_value("c_total") == 7
