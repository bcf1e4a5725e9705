"""Training by one process and by two: ``python -m bench processes``.

It trains the MLP of ``bench training`` on random images by ``torchrun``, with one thread in each
process; the processes share every batch. The rates come from the run's own record, from the best
epoch.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bench.errors import BenchError
from bench.models import LATENT_DIM
from bench.paths import BUILD, ROOT
from bench.table import table
from bench.training import BATCHES, HIDDEN

ROWS: Final = 65_536
EPOCHS: Final = 4
PROCESSES: Final = (1, 2)


class Speed(NamedTuple):
    """Images a second of wall time of all ``processes`` together, with ``batch`` rows a step."""

    batch: int
    processes: int
    images: float


def measure(
    *, batches: Sequence[int] = BATCHES, rows: int = ROWS, epochs: int = EPOCHS
) -> list[Speed]:
    """Each batch size with each number of processes. Raises BenchError if a run fails."""
    folder = BUILD / "processes"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 28, 28), dtype=np.uint8)
    np.save(folder / "pixels.npy", pixels)
    return [
        Speed(batch, processes, _images_per_second(folder, batch, processes, epochs))
        for batch in batches
        for processes in PROCESSES
    ]


def markdown(found: Sequence[Speed]) -> str:
    """A line for each batch size and number of processes."""
    alone = {speed.batch: speed.images for speed in found if speed.processes == 1}
    head = ("rows a step", "processes", "images/s", "× one")
    rows = [
        (
            *(f"{speed.batch}", f"{speed.processes}", f"{speed.images:,.0f}"),
            f"{speed.images / alone[speed.batch]:.2f}",
        )
        for speed in found
    ]
    return table(head, rows, names=2)


def _images_per_second(folder: Path, batch: int, processes: int, epochs: int) -> float:
    run = folder / f"run-{batch}-{processes}"
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(processes), "-m", "--", "training", "train"),
        *("--data", str(folder / "pixels.npy"), "--run", str(run), "--name", "pixels"),
        *("--models", str(folder / "models"), "--hidden", str(HIDDEN), "--threads", "1"),
        *("--latent-dim", str(LATENT_DIM), "--batch-size", str(batch), "--epochs", str(epochs)),
        *("--importance-samples", "1"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise BenchError(f"training by {processes} processes failed: {done.stderr.strip()[-500:]}")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return float(max(json.loads(line)["images_per_second"] for line in lines))
