"""Prometheus metrics: base units, bounded labels, buckets from 0.1 ms."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
    multiprocess,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily

from service.batching.batcher import Observer
from service.telemetry.local_metrics import LocalCounter, LocalHistogram, LocalMetric
from vae.graphs import Graph
from vae.manifest import Manifest

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
SECONDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
MODEL: Final = ("model", "version")
GRAPH: Final = ("model", "graph")  # not by version: versions come and go for ever
INFO: Final = (*MODEL, "kind", "latent_dim", "likelihood", "network")
MAX_FORMER_LABELS: Final = 1000
"""Names, and versions, that are no longer served and keep labels of their own."""
MAX_UNLOADED_INFOS: Final = 100
MAX_CACHED_LABELS: Final = 2**14
MODELS_PER_REFRESH: Final = 100
OTHER: Final = "other"


class ServedModel(Protocol):
    """A model, as far as its gauges need it."""

    @property
    def manifest(self) -> Manifest: ...
    @property
    def queued_rows(self) -> int: ...
    def batch_limits(self) -> Mapping[str, int]: ...


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
        self._is_shared = shared is not None
        self._rendering: asyncio.Task[bytes] | None = None
        self._changed: list[LocalMetric] = []
        self._served: OrderedDict[tuple[str, int], ServedModel] = OrderedDict()
        self._unloaded: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._names = LabelLimit(MAX_FORMER_LABELS)
        self._versions = LabelLimit(MAX_FORMER_LABELS)
        self._of_request = lru_cache(MAX_CACHED_LABELS)(self._make_of_request)
        self._of_rejected = lru_cache(MAX_CACHED_LABELS)(self._make_of_rejected)
        self._histogram = lru_cache(MAX_CACHED_LABELS)(partial(LocalHistogram, self._changed))
        self._dropped_lines: Callable[[], int] = lambda: 0
        self._counted_dropped_lines = 0
        self.in_flight = 0
        self.refused_versions = 0
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self._requests = counter("vae_requests", "Requests answered", ("op", *MODEL, "code"))
        self._request_seconds = histogram(
            "vae_request_duration_seconds",
            "From the request's head to the reply's last byte",
            ("op", "model"),
            buckets=SECONDS,
        )
        self._queue_seconds = histogram(
            "vae_queue_duration_seconds",
            "From a call's entry into the queue to the start of a batch with it",
            GRAPH,
            buckets=SECONDS,
        )
        self._compute_seconds = histogram(
            "vae_compute_duration_seconds",
            "One batch's run through a graph",
            GRAPH,
            buckets=SECONDS,
        )
        self._batch_rows = histogram("vae_batch_rows", "Rows of one batch", GRAPH, buckets=ROWS)
        self._batch_limits = gauge(
            "vae_batch_rows_limit",
            "Rows at which a batch is full, as measured for this graph",
            GRAPH,
            multiprocess_mode="livemin",
        )
        self._queue_rows = gauge(
            "vae_queue_rows", "Rows in the queue", MODEL, multiprocess_mode="livesum"
        )
        self._rejected = counter("vae_rejected", "Requests answered with an error", ("reason",))
        self._in_flight = gauge(
            "vae_inflight_requests",
            "Requests that are being answered",
            multiprocess_mode="livesum",
        )
        self._dropped = counter("vae_log_dropped", "Log lines that were dropped")
        self._loads = counter("vae_model_load", "Bundles loaded, and bundles refused", ("result",))
        for result in ("loaded", "refused"):  # from 0: an increase needs a value before it
            self._loads.labels(result)
        self._rendered.register(ModelCollector(self._infos, lambda: self.refused_versions))

    def observe_request(self, op: str, label: str, code: int, seconds: float) -> None:
        """Count a request of route ``op``. ``label`` is ``name/version`` of its model, or empty.

        All labels come from routes and loaded models, never from the client.
        """
        requests, duration = self._of_request(op, label, code)
        requests.increment()
        duration.observe(seconds)

    def count_rejected(self, reason: str) -> None:
        """Count a request that was answered with an error of this kind."""
        self._of_rejected(reason).increment()

    def batch_observer(self, manifest: Manifest) -> Callable[[Graph], Observer]:
        """An observer of the batches of each graph of a model."""
        model = self._names.label(manifest.name)

        def for_graph(graph: Graph) -> Observer:
            queue_seconds = self._histogram(self._queue_seconds, model, graph.name)
            compute_seconds = self._histogram(self._compute_seconds, model, graph.name)
            batch_rows = self._histogram(self._batch_rows, model, graph.name)

            def observe(*, rows: int, queued: Sequence[float], compute: float) -> None:
                batch_rows.observe(rows)
                compute_seconds.observe(compute)
                for seconds in queued:
                    queue_seconds.observe(seconds)

            return observe

        return for_graph

    def add_model(self, model: ServedModel) -> None:
        """Show a loaded model, its batch limits and its queue."""
        manifest = model.manifest
        self._served[manifest.name, manifest.version] = model
        self._names.live = self._versions.live = len(self._served)
        self._unloaded.pop(_info(manifest), None)

    def remove_model(self, manifest: Manifest) -> None:
        """Show a model as no longer served. Its counts stay."""
        self._served.pop((manifest.name, manifest.version), None)
        self._queue_rows.labels(*self._labels(manifest.name, str(manifest.version))).set(0)
        self._unloaded[_info(manifest)] = None
        if len(self._unloaded) > MAX_UNLOADED_INFOS:
            self._unloaded.popitem(last=False)

    def count_load(self, result: str) -> None:
        """Count a bundle that was "loaded" or "refused"."""
        self._loads.labels(result).inc()

    def count_dropped_lines(self, total: Callable[[], int]) -> None:
        """Show how many log lines were dropped, as ``total`` says."""
        self._dropped_lines = total

    def refresh(self) -> None:
        """Add what was counted to Prometheus, and set the gauges.

        Every process calls this ten times a second, so that a scrape of any worker sees it. The
        gauges of at most MODELS_PER_REFRESH models are set each time, or it would hold up requests.
        """
        self._flush()
        if self._is_shared:
            for model in list(islice(self._served.values(), MODELS_PER_REFRESH)):
                self._served.move_to_end((model.manifest.name, model.manifest.version))
                self._set_gauges(model)

    def render(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        self._flush()
        return self._render_flushed()

    async def render_in_thread(self) -> bytes:
        """As ``render``, without holding up the event loop. Simultaneous calls share a result."""
        if self._rendering is None:
            self._flush()
            self._rendering = asyncio.create_task(asyncio.to_thread(self._render_flushed))
            self._rendering.add_done_callback(self._on_rendered)
        return await asyncio.shield(self._rendering)

    def _on_rendered(self, _: "asyncio.Task[bytes]") -> None:
        self._rendering = None

    def _render_flushed(self) -> bytes:
        for model in list(self._served.values()):
            self._set_gauges(model)
        return generate_latest(self._rendered)

    def _flush(self) -> None:
        for metric in self._changed:
            metric.flush()
        self._changed.clear()
        self._in_flight.set(self.in_flight)
        dropped = self._dropped_lines()
        self._dropped.inc(dropped - self._counted_dropped_lines)
        self._counted_dropped_lines = dropped

    def _set_gauges(self, model: ServedModel) -> None:
        name, version = self._labels(model.manifest.name, str(model.manifest.version))
        self._queue_rows.labels(name, version).set(model.queued_rows)
        for graph, rows in model.batch_limits().items():
            self._batch_limits.labels(name, graph).set(rows)

    def _make_of_request(
        self, op: str, label: str, code: int
    ) -> tuple[LocalCounter, LocalHistogram]:
        name, version = self._labels(*label.split("/")) if label else ("", "")
        requests = LocalCounter(self._changed, self._requests, op, name, version, str(code))
        return requests, self._histogram(self._request_seconds, op, name)

    def _make_of_rejected(self, reason: str) -> LocalCounter:
        return LocalCounter(self._changed, self._rejected, reason)

    def _labels(self, name: str, version: str) -> tuple[str, str]:
        """The labels of a version. All versions without labels of their own share one."""
        is_own = self._versions.label(f"{name}/{version}") != OTHER
        return self._names.label(name), version if is_own else OTHER

    def _infos(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """The labels of vae_model_info: 1 for a served version, 0 for one that was unloaded."""
        for model in list(self._served.values()):
            yield _info(model.manifest), 1
        for info in list(self._unloaded):
            yield info, 0


class LabelLimit:
    """Bounds how many values get a label of their own.

    Prometheus keeps a series for ever, and files that workers share cannot forget one. So
    ``spare`` values besides the ``live`` ones have labels; later ones share the label OTHER, and
    no count ever decreases.
    """

    def __init__(self, spare: int) -> None:
        self.live = 0
        self._spare = spare
        self._own: set[str] = set()

    def label(self, value: str) -> str:
        """The label for a value: the value itself or OTHER."""
        if value not in self._own:
            if len(self._own) >= self._spare + self.live:
                return OTHER
            self._own.add(value)
        return value


class ModelCollector:
    """Metrics that every worker knows for all, made when they are rendered."""

    def __init__(
        self,
        infos: Callable[[], Iterator[tuple[tuple[str, ...], int]]],
        refused_versions: Callable[[], int],
    ) -> None:
        self._infos = infos
        self._refused_versions = refused_versions

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        info = GaugeMetricFamily(
            "vae_model_info", "1 for each model that is served, 0 for a former one", labels=INFO
        )
        for labels, value in self._infos():
            info.add_metric(labels, value)
        yield info
        refused = self._refused_versions()
        yield GaugeMetricFamily("vae_refused_versions", "Versions that are refused", value=refused)


def _info(manifest: Manifest) -> tuple[str, ...]:
    return (
        manifest.name,
        str(manifest.version),
        manifest.input.kind,
        str(manifest.latent_dim),
        manifest.likelihood.kind,
        manifest.network.kind,
    )
