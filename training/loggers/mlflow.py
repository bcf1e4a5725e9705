"""A run for MLflow, at MLFLOW_TRACKING_URI or in MLflow's own local database, ``mlflow.db``.

A run that is resumed goes on as the same MLflow run: its id lies in the run's directory. A server
that stops answering does not end hours of training; it is said once, and ``metrics.jsonl`` has all.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from training.config.options import TrainConfig
from training.errors import RunError
from training.evaluation.evaluate import Evaluation
from training.loggers.numbers import numbers
from training.loop.metrics import EpochMetrics
from training.loop.reporter import Reporter
from training.loop.run_directory import Run
from training.system.files import write_atomically

# MLflow reports its use to its makers unless it is told not to before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import get_tracking_uri
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

ID_FILE = "mlflow_run_id"

BATCH = 800
"""Metrics in one message; MLflow takes 1,000."""

SECONDS = 2.0
"""Least time between messages: an epoch may take milliseconds, and a message as long."""


class MlflowLogger(Reporter):
    """Metrics by epoch, options as parameters, the final figures and the run's files as artifacts.

    The experiment has the model's name. Metrics go out every few seconds, in batches.
    Raises RunError when MLflow does not answer at the start.
    """

    def __init__(self, run: Run, config: TrainConfig, *, reached: int, console: Console) -> None:
        self._console = console
        self._pending: list[Metric] = []
        self._sent = time.monotonic()
        self._epoch = reached
        self._working = True
        uri = get_tracking_uri()
        try:
            self._client = MlflowClient()
            self._id = self._open(run, config)
        except MlflowException as error:
            raise RunError(f"MLflow at {uri} cannot be used: {error}") from None
        console.print(f"MLflow: run {self._id} at {uri}", soft_wrap=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._flush()
        interrupted = kind is not None and not issubclass(kind, Exception)
        status = "FINISHED" if kind is None else "KILLED" if interrupted else "FAILED"
        self._send(self._client.set_terminated, self._id, status)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Keep the numbers for the next message."""
        self._epoch = metrics.epoch
        self._keep(numbers(metrics))
        if time.monotonic() - self._sent >= SECONDS:
            self._flush()

    def published(self, evaluation: Evaluation, files: Sequence[Path]) -> None:
        """The final figures, as ``final/elbo`` and so on, and every file of the run."""
        self._keep({f"final/{name}": value for name, value in evaluation.figures().items()})
        self._flush()
        for path in files:
            self._send(self._client.log_artifact, self._id, str(path))

    def _open(self, run: Run, config: TrainConfig) -> str:
        """The id of the run that is gone on with, or of a new one."""
        place = run.path / ID_FILE
        if place.exists():
            identity = place.read_text("utf-8").strip()
            self._client.update_run(identity, status="RUNNING")
        else:
            identity = self._create(run, config)
            write_atomically(place, f"{identity}\n".encode())
        return identity

    def _create(self, run: Run, config: TrainConfig) -> str:
        found = self._client.get_experiment_by_name(config.name)
        experiment = found.experiment_id if found else self._client.create_experiment(config.name)
        identity: str = self._client.create_run(experiment, run_name=run.path.name).info.run_id
        options = config.model_dump(mode="json").items()
        self._client.log_batch(
            identity, params=[Param(name, str(value)) for name, value in options]
        )
        return identity

    def _keep(self, values: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self._pending += [Metric(name, value, now, self._epoch) for name, value in values.items()]

    def _flush(self) -> None:
        while self._pending:
            batch, self._pending = self._pending[:BATCH], self._pending[BATCH:]
            self._send(self._client.log_batch, self._id, batch)
        self._sent = time.monotonic()

    def _send(self, call: Callable[..., Any], *values: object) -> None:
        if not self._working:
            return
        try:
            call(*values)
        except MlflowException as error:
            self._working = False
            self._console.print(
                f"MLflow is not told of anything after epoch {self._epoch}, which metrics.jsonl "
                f"has: {error}",
                soft_wrap=True,
            )
