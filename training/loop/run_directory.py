"""The directory of a run: its lock, options, checkpoint and metrics.

lock                     locked by the process that trains here; contains its process id
config.yaml              the resolved options, which ``--config`` can read
checkpoint.safetensors   weights, optimiser state and progress
metrics.jsonl            one line per epoch
report.html              updated during the run
evaluation.json curves.png reconstructions.png samples.png README.md    written at the end
tensorboard/ mlflow_run_id    with --log
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from training.config.file import read_file
from training.config.train_config import TrainConfig, changed_options
from training.errors import RunError
from training.system.files import write_atomically

CONFIG = "config.yaml"

RESULTS = (
    "README.md",
    "report.html",
    "samples.png",
    "reconstructions.png",
    "curves.png",
    "evaluation.json",
    "metrics.jsonl",
    CONFIG,
)
"""The files that describe a finished run, besides its bundle."""


class RunDirectory:
    """The files of a run under ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"
        self.metrics = path / "metrics.jsonl"

    def result_files(self) -> list[Path]:
        """Those of RESULTS that exist."""
        return [path for name in RESULTS if (path := self.path / name).exists()]

    def store_evaluation(self, figures: Mapping[str, Any]) -> None:
        """Write ``evaluation.json``."""
        write_atomically(self.path / "evaluation.json", json.dumps(figures, indent=2).encode())

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return (self.path / CONFIG).exists()

    def config(self) -> TrainConfig:
        """The stored options. Raises RunError if there are none, ConfigError if damaged."""
        if not self.exists:
            raise RunError(f"run {self.path} does not exist: it has no {CONFIG}")
        return TrainConfig(**read_file(self.path / CONFIG, TrainConfig))

    def check_config(self, config: TrainConfig) -> None:
        """Raise RunError if a run with other options is stored here. The message names them."""
        if not self.exists:
            return
        stored = self.config()
        if changed := changed_options(stored, config, free=stored.changeable_on_resume):
            raise RunError(
                f"run {self.path} was started with other options and cannot be resumed with these: "
                + "; ".join(changed)
            )

    def store_config(self, config: TrainConfig) -> None:
        """Store the resolved options. Raises RunError like ``check_config``."""
        self.check_config(config)
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_atomically(self.path / CONFIG, text.encode())

    def append_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Append a line to ``metrics.jsonl``."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, allow_nan=False) + "\n")

    def truncate_metrics(self, epochs: int) -> None:
        """Remove the metrics of all epochs after ``epochs``: training repeats those epochs."""
        lines = [line for line in self.history() if line["epoch"] <= epochs]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_atomically(self.metrics, text.encode())

    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, without one that is incomplete because of a kill."""
        if not self.metrics.exists():
            return []
        return list(_whole_lines(self.metrics.read_text("utf-8")))


@contextmanager
def lock_run_directory(path: Path, *, resume: bool) -> Iterator[RunDirectory]:
    """Lock the run at ``path`` for this process until the block ends.

    Raises RunError if another process has locked it, or if a run exists there and ``resume`` is
    false.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("a+") as lock:
        _acquire(lock, path)
        run = RunDirectory(path)
        if run.exists and not resume:
            raise RunError(
                f"{path} already contains a run; continue it with --resume, or choose another --run"
            )
        yield run


def _acquire(lock: IO[str], path: Path) -> None:
    """The operating system releases the lock when the process ends, however it ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise RunError(f"run {path} is in use by process {lock.read().strip()}") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()


def _whole_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
