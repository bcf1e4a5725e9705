"""Prometheus metrics: base units, bounded labels, buckets that reach below a millisecond."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service.batching.batcher import Observer
from service.telemetry.tally import CounterTally, GrowthTally, HistogramTally
from vae.graphs import Graph
from vae.manifest import Manifest

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
SECONDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one service, in a registry of their own.

    With ``shared``, the directory of ``metric_files.share_values``, ``render`` shows the metrics of
    all workers.
    """

    def __init__(self, shared: Path | None = None) -> None:
        registry = self._rendered = CollectorRegistry()
        if shared:
            self._rendered = CollectorRegistry()
            multiprocess.MultiProcessCollector(self._rendered, str(shared))  # type: ignore[no-untyped-call]
        self._queues: dict[tuple[str, str], Callable[[], int]] = {}
        self._tallies: list[CounterTally | GrowthTally | HistogramTally] = []
        self._of_request = cache(self._make_of_request)
        self._tally = cache(self._make_tally)
        self._tally_of_rejected = cache(self._make_tally_of_rejected)
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        gauge = partial(Gauge, registry=registry)
        model = ("model", "version")
        # Times and sizes are of a model and not of its versions: those come and go for ever.
        graph = ("model", "graph")
        self._requests = counter("vae_requests", "Requests answered", ("op", *model, "code"))
        self._request_seconds = histogram(
            "vae_request_duration_seconds",
            "From the request's head to the reply's last byte",
            ("op", "model"),
            buckets=SECONDS,
        )
        self._queue_seconds = histogram(
            "vae_queue_duration_seconds",
            "From a call's entry into the queue to the start of a batch with it",
            graph,
            buckets=SECONDS,
        )
        self._compute_seconds = histogram(
            "vae_compute_duration_seconds",
            "One batch's run through a graph",
            graph,
            buckets=SECONDS,
        )
        self._batch_rows = histogram("vae_batch_rows", "Rows of one batch", graph, buckets=ROWS)
        self._queue_rows = gauge(
            "vae_queue_rows", "Rows that wait", model, multiprocess_mode="livesum"
        )
        self._info = gauge(
            "vae_model_info",
            "1 for each model that is served, 0 for one that was unloaded",
            (*model, "kind", "latent_dim", "likelihood", "network"),
            multiprocess_mode="livemax",
        )
        self._rejected = counter(
            "vae_rejected", "Requests that were answered with an error", ("reason",)
        )
        self._in_flight = gauge(
            "vae_inflight_requests",
            "Requests that are being answered",
            multiprocess_mode="livesum",
        )
        self.in_flight = 0
        self._dropped = counter("vae_log_dropped", "Log lines that could not be written in time")
        self._loads = counter("vae_model_load", "Bundles loaded, and bundles refused", ("result",))
        for result in ("loaded", "refused"):  # from 0 on, or the first would be no increase
            self._loads.labels(result)

    def observe_request(self, op: str, label: str, code: int, seconds: float) -> None:
        """Count one request of a route, answered by the model of this label, or by none.

        All labels come from routes and loaded models, never from the client.
        """
        requests, duration = self._of_request(op, label, code)
        requests.count += 1
        duration.observe(seconds)

    def count_rejected(self, reason: str) -> None:
        """Count a request that was answered with an error of this kind."""
        self._tally_of_rejected(reason).count += 1

    def _make_tally_of_rejected(self, reason: str) -> CounterTally:
        tally = CounterTally(self._rejected.labels(reason))
        self._tallies.append(tally)
        return tally

    def _make_of_request(
        self, op: str, label: str, code: int
    ) -> tuple[CounterTally, HistogramTally]:
        model, _, version = label.partition("/")
        requests = CounterTally(self._requests.labels(op, model, version, str(code)))
        self._tallies.append(requests)
        return requests, self._tally(self._request_seconds, op, model)

    def _make_tally(self, histogram: Histogram, *labels: str) -> HistogramTally:
        tally = HistogramTally(histogram.labels(*labels))
        self._tallies.append(tally)
        return tally

    def batch_observer(self, manifest: Manifest) -> Callable[[Graph], Observer]:
        """An observer for each graph of a model."""

        def for_graph(graph: Graph) -> Observer:
            labels = (manifest.name, graph.name)
            queue_seconds = self._tally(self._queue_seconds, *labels)
            compute_seconds = self._tally(self._compute_seconds, *labels)
            batch_rows = self._tally(self._batch_rows, *labels)

            def observe(*, rows: int, queued: Sequence[float], compute: float) -> None:
                batch_rows.observe(rows)
                compute_seconds.observe(compute)
                for seconds in queued:
                    queue_seconds.observe(seconds)

            return observe

        return for_graph

    def add_model(self, manifest: Manifest, queued_rows: Callable[[], int]) -> None:
        """Show a loaded model and how many rows wait for it."""
        self._info_of(manifest).set(1)
        self._queues[manifest.name, str(manifest.version)] = queued_rows

    def remove_model(self, manifest: Manifest) -> None:
        """Show a model as no longer served; what it counted stays."""
        labels = (manifest.name, str(manifest.version))
        self._info_of(manifest).set(0)
        self._queue_rows.labels(*labels).set(0)
        self._queues.pop(labels, None)

    def count_load(self, result: str) -> None:
        """Count a bundle that was "loaded" or "refused"."""
        self._loads.labels(result).inc()

    def count_dropped_lines(self, total: Callable[[], int]) -> None:
        """Show how many log lines were dropped; ``total`` gives their number so far."""
        self._tallies.append(GrowthTally(self._dropped, total))

    def _info_of(self, manifest: Manifest) -> Gauge:
        return self._info.labels(
            manifest.name,
            str(manifest.version),
            manifest.input.kind,
            str(manifest.latent_dim),
            manifest.likelihood.kind,
            manifest.network.kind,
        )

    def refresh(self) -> None:
        """Pass on what was counted, and measure what changes without an event.

        Each worker does so ten times a second for the others, of which one answers a scrape. Not
        a callback of the gauge: those cannot be shared between processes.
        """
        for tally in self._tallies:
            tally.flush()
        self._in_flight.set(self.in_flight)
        for labels, queued_rows in self._queues.items():
            self._queue_rows.labels(*labels).set(queued_rows())

    def render(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        self.refresh()
        return generate_latest(self._rendered)
