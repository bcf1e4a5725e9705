"""A run's directory: who holds it, what it was asked to do, and its metrics so far.

lock                     held while a process trains here; holds its number
config.yaml              the resolved config; ``--config`` reads it
checkpoint.safetensors   weights, optimiser and progress
metrics.jsonl            one line an epoch
report.html              written anew while the run goes on
evaluation.json curves.png reconstructions.png samples.png README.md    when it is done
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
from training.config.options import TrainConfig, differences
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
"""What is worth keeping of a run that is done, beside its bundle."""


class Run:
    """The record of a run, under ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"
        self.metrics = path / "metrics.jsonl"

    def results(self) -> list[Path]:
        """The files in which a run that is done can be read."""
        return [path for name in RESULTS if (path := self.path / name).exists()]

    @property
    def exists(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / CONFIG).exists()

    def config(self) -> TrainConfig:
        """The stored config. Raises RunError when there is none, ConfigError when it is damaged."""
        if not self.exists:
            raise RunError(f"run {self.path} does not exist: it has no {CONFIG}")
        return TrainConfig(**read_file(self.path / CONFIG, TrainConfig))

    def check(self, config: TrainConfig) -> None:
        """Hold the resolved config against the one that is stored, if any.

        Raises RunError, naming the options, when the stored run would have been another one.
        """
        if not self.exists:
            return
        stored = self.config()
        if changed := differences(stored, config, free=stored.free_to_change):
            raise RunError(
                f"run {self.path} was begun with other options and cannot be resumed with these: "
                + "; ".join(changed)
            )

    def begin(self, config: TrainConfig) -> None:
        """Store the resolved config, which may change what is free to change. Raises like check."""
        self.check(config)
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_atomically(self.path / CONFIG, text.encode())

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, allow_nan=False) + "\n")

    def rewind(self, epochs: int) -> None:
        """Forget the metrics of epochs after the checkpoint: they are about to be made again."""
        lines = [line for line in self.history() if line["epoch"] <= epochs]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_atomically(self.metrics, text.encode())

    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; one that a kill cut short is left out."""
        if not self.metrics.exists():
            return []
        return list(_whole_lines(self.metrics.read_text("utf-8")))


@contextmanager
def hold(path: Path, *, resume: bool) -> Iterator[Run]:
    """The run at ``path`` for this process alone, until the block ends.

    Raises RunError when another process holds it, or when a run has begun there and ``resume`` is
    not asked for.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("a+") as lock:
        _take(lock, path)
        run = Run(path)
        if run.exists and not resume:
            raise RunError(
                f"{path} already holds a run; go on with it by --resume, or name another --run"
            )
        yield run


def _take(lock: IO[str], path: Path) -> None:
    """The operating system lets go of the lock when the process ends, however it ends."""
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
