"""Log a run to MLflow, at MLFLOW_TRACKING_URI or in MLflow's local database ``mlflow.db``.

A resumed run continues the same MLflow run, whose id is stored in the run directory. If the server
stops responding, training continues, one message is printed, and ``metrics.jsonl`` has all metrics.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from training.config.train_config import TrainConfig
from training.errors import RunError
from training.evaluation.evaluate import Evaluation
from training.loggers.numbers import numbers
from training.loop.metrics import EpochMetrics
from training.loop.reporter import Reporter
from training.loop.run_directory import RunDirectory
from training.system.files import write_atomically

# MLflow sends telemetry unless this is set before the import.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import get_tracking_uri
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

ID_FILE = "mlflow_run_id"

BATCH = 800
"""Metrics per request; MLflow accepts 1,000."""

MIN_SECONDS = 2.0
"""Minimum time between requests: an epoch may take milliseconds, as does a request."""


class MlflowLogger(Reporter):
    """Metrics by epoch, options as parameters, the run's files as artifacts.

    The experiment has the model's name. Metrics are sent every few seconds in batches. Raises
    RunError if MLflow does not respond at the start.
    """

    def __init__(
        self, run: RunDirectory, config: TrainConfig, *, epochs_done: int, console: Console
    ) -> None:
        self._console = console
        self._pending: list[Metric] = []
        self._sent = time.monotonic()
        self._epoch = epochs_done
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
        """Store the metrics for the next request."""
        self._epoch = metrics.epoch
        self._store(numbers(metrics))
        if time.monotonic() - self._sent >= MIN_SECONDS:
            self._flush()

    def published(self, evaluation: Evaluation, files: Sequence[Path]) -> None:
        """Send the final metrics, as ``final/elbo`` and so on, and every file of the run."""
        self._store({f"final/{name}": value for name, value in evaluation.metrics().items()})
        self._flush()
        for path in files:
            self._send(self._client.log_artifact, self._id, str(path))

    def _open(self, run: RunDirectory, config: TrainConfig) -> str:
        """The id of the MLflow run to continue, or of a new one."""
        id_file = run.path / ID_FILE
        if id_file.exists():
            identity = id_file.read_text("utf-8").strip()
            self._client.update_run(identity, status="RUNNING")
        else:
            identity = self._create(run, config)
            write_atomically(id_file, f"{identity}\n".encode())
        return identity

    def _create(self, run: RunDirectory, config: TrainConfig) -> str:
        found = self._client.get_experiment_by_name(config.name)
        experiment = found.experiment_id if found else self._client.create_experiment(config.name)
        identity: str = self._client.create_run(experiment, run_name=run.path.name).info.run_id
        options = config.model_dump(mode="json").items()
        self._client.log_batch(
            identity, params=[Param(name, str(value)) for name, value in options]
        )
        return identity

    def _store(self, values: dict[str, float]) -> None:
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
                f"MLflow receives nothing after epoch {self._epoch}, since it stopped responding; "
                f"metrics.jsonl has all metrics: {error}",
                soft_wrap=True,
            )
