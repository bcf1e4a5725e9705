"""What many models cost: ``python -m tests.fake_models 1000`` writes, loads and scrapes so many.

The bundles are fakes without graphs, so this is what the service itself needs, without an engine.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from service.models.store import BundleStore
from tests.fakes import fake_manager, load_initial, write_fake_bundle


def main(count: int) -> None:
    """Print seconds and megabytes for ``count`` models."""
    with TemporaryDirectory() as directory:
        models = Path(directory)
        for number in range(count):
            write_fake_bundle(models, f"model-{number}")
        before = _resident_bytes()
        manager, loader, metrics = fake_manager(models)
        seconds = _seconds(lambda: load_initial(manager, loader))
        memory = (_resident_bytes() - before) / 2**20
        print(f"{count} models: start {seconds:.1f} s, {memory:.0f} MiB")
        scan = _seconds(BundleStore(models).scan)
        render = _seconds(metrics.render)
        print(f"scan {scan:.3f} s, metrics {render:.2f} s, {len(metrics.render())} bytes")
        refresh = _seconds(metrics.refresh)
        print(f"refresh {1000 * refresh:.2f} ms, threads {threading.active_count()}")


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(int(sys.argv[1]))
