"""Metrics of several processes, each of which ends as a worker that is killed does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.telemetry.metric_files import remove_gauges
from tests.fakes import write_fake_bundle
from tests.servers import ROOT

WORKER = """
import os, sys
from pathlib import Path
from service.telemetry.metric_files import share_values
from service.telemetry.metrics import Metrics
from vae.bundle import open_bundle

shared, slot, bundle, requests, queued = Path(sys.argv[1]), *sys.argv[2:]
share_values(shared, int(slot))
metrics = Metrics(shared)
metrics.add_model(open_bundle(Path(bundle)).manifest, lambda: int(queued))
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
    assert workers.run(1, requests=0, queued=2)["vae_queue_rows"] == 9
    remove_gauges(workers.shared, 0)
    seen = workers.run(1, requests=0, queued=2)
    assert seen["vae_queue_rows"] == 2
    assert seen["vae_model_info"] == 1
    assert seen["vae_requests_total"] == 1
