"""Metrics of several processes, each of which ends as a killed worker does, and of many models."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.telemetry.metric_files import remove_gauges
from service.telemetry.metrics import Metrics
from tests.fakes import write_fake_bundle
from tests.servers import ROOT
from vae.bundle import open_bundle
from vae.graphs import ENCODER
from vae.manifest import Manifest

WORKER = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from service.telemetry.metric_files import share_values
from service.telemetry.metrics import Metrics
from vae.bundle import open_bundle

shared, slot, bundle, requests, queued = Path(sys.argv[1]), *sys.argv[2:]
share_values(shared, int(slot))
metrics = Metrics(shared)
manifest = open_bundle(Path(bundle)).manifest
limits = lambda: {"encoder": 8 + 8 * int(slot)}
metrics.add_model(SimpleNamespace(manifest=manifest, queued_rows=int(queued), batch_limits=limits))
for _ in range(int(requests)):
    metrics.observe_request("encode", "fake/1", 200, 0.25)
print(metrics.render().decode(), flush=True)
os._exit(9)
"""


class Workers:
    def __init__(self, directory: Path) -> None:
        self.shared = directory / "metrics"
        self.shared.mkdir()
        self._bundle = write_fake_bundle(directory / "models")

    def run(self, slot: int, *, requests: int, queued: int) -> dict[str, float]:
        """What a worker in this slot shows before it dies, by metric."""
        arguments = [str(self.shared), str(slot), str(self._bundle), str(requests), str(queued)]
        text = subprocess.run(
            [sys.executable, "-c", WORKER, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        lines = re.findall(r"^(\w+)\{.*\} (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in lines}


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    return Workers(tmp_path)


def test_counts_add_up_over_workers_and_over_those_that_died(workers: Workers) -> None:
    workers.run(0, requests=3, queued=0)
    workers.run(1, requests=4, queued=0)
    seen = workers.run(0, requests=5, queued=0)
    assert seen["vae_requests_total"] == 12
    assert seen["vae_request_duration_seconds_count"] == 12
    assert seen["vae_request_duration_seconds_sum"] == 3.0
    assert len(list(workers.shared.glob("counter_*"))) == 2  # of two slots, not of three processes


def test_gauges_are_those_of_the_living(workers: Workers) -> None:
    workers.run(0, requests=1, queued=7)
    seen = workers.run(1, requests=0, queued=2)
    assert seen["vae_queue_rows"] == 9
    assert seen["vae_batch_rows_limit"] == 8
    remove_gauges(workers.shared, 0)
    seen = workers.run(1, requests=0, queued=2)
    assert seen["vae_queue_rows"] == 2
    assert seen["vae_batch_rows_limit"] == 16
    assert seen["vae_model_info"] == 1
    assert seen["vae_requests_total"] == 1


class Model:
    """A model that has nothing but a name, a version and gauges."""

    def __init__(self, manifest: Manifest, name: str, version: int) -> None:
        self.manifest = manifest.model_copy(update={"name": name, "version": version})
        self.queued_rows = 0
        self.label = f"{name}/{version}"

    def batch_limits(self) -> dict[str, int]:
        return {"encoder": 8}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return open_bundle(write_fake_bundle(tmp_path)).manifest


def serve_once(metrics: Metrics, model: Model) -> None:
    metrics.add_model(model)
    observe = metrics.batch_observer(model.manifest)(ENCODER)
    observe(rows=1, queued=[0.1], compute=0.1)
    metrics.observe_request("encode", model.label, 200, 0.1)


@pytest.mark.parametrize("by", ["version", "name"])
def test_models_that_follow_each_other_leave_a_bounded_number_of_series(
    manifest: Manifest, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.telemetry.metrics.MAX_FORMER_LABELS", 50)
    metrics = Metrics()
    lines, requests = [], []
    for number in range(1, 601):
        model = Model(manifest, *(("a", number) if by == "version" else (f"m{number}", 1)))
        serve_once(metrics, model)
        text = metrics.render().decode()
        assert (
            f'model="{model.manifest.name}",network="mlp",version="{model.manifest.version}"'
            in text
        )
        lines.append(text.count("\n"))
        counts = re.findall(r"^vae_requests_total\{.*\} (\S+)$", text, re.MULTILINE)
        requests.append(sum(map(float, counts)))
        metrics.remove_model(model.manifest)
    assert requests == list(range(1, 601))
    assert lines[-1] == lines[-100]
    assert not metrics._changed
    assert not metrics._served


def test_a_refresh_costs_as_much_as_there_was_to_count(manifest: Manifest) -> None:
    """By what it touches, since times on a busy machine prove nothing."""
    metrics = Metrics()
    for number in range(1, 2001):
        serve_once(metrics, Model(manifest, f"m{number}", 1))
    metrics.refresh()
    metrics.observe_request("encode", "m7/1", 200, 0.1)
    assert len(metrics._changed) == 2
    metrics.refresh()
    assert not metrics._changed


def test_a_model_without_requests_has_no_histograms(manifest: Manifest) -> None:
    metrics = Metrics()
    model = Model(manifest, "a", 1)
    metrics.add_model(model)
    metrics.batch_observer(model.manifest)(ENCODER)
    text = metrics.render().decode()
    assert 'vae_batch_rows_limit{graph="encoder",model="a"} 8.0' in text
    assert 'vae_queue_rows{model="a",version="1"} 0.0' in text
    assert "_bucket{" not in text


def test_the_event_loop_runs_while_metrics_are_rendered(manifest: Manifest) -> None:
    metrics = Metrics()
    for number in range(1, 501):
        serve_once(metrics, Model(manifest, f"m{number}", 1))

    async def body() -> None:
        scrapes = asyncio.gather(*(metrics.render_in_thread() for _ in range(3)))
        turns = 0
        while not scrapes.done():
            await asyncio.sleep(0)
            turns += 1
        first, *others = await scrapes
        assert turns > 10
        assert all(other is first for other in others)  # rendered once
        assert b'vae_requests_total{code="200",model="m7",op="encode",version="1"} 1.0' in first
        metrics.observe_request("encode", "m7/1", 200, 0.1)
        again = await metrics.render_in_thread()
        assert b'vae_requests_total{code="200",model="m7",op="encode",version="1"} 2.0' in again

    asyncio.run(body())
