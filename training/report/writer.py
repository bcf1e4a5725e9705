"""Write the HTML report of a run, during training and at the end."""

import time

from training.config.train_config import TrainConfig
from training.data.dataset import Dataset
from training.evaluation.evaluate import Evaluation
from training.evaluation.sharpness import Sharpness
from training.loop.reporter import Reporter
from training.loop.run_directory import RunDirectory
from training.report.environment import environment
from training.report.model_outputs import collect_outputs
from training.report.page import ReportData, page
from training.system.files import write_atomically
from vae.networks import VAE

NAME = "report.html"

INTERVAL_FACTOR = 30
"""After a report, training continues for this multiple of its duration before the next one."""


class ReportWriter(Reporter):
    """Writes the report after checkpoints, using at most 1/INTERVAL_FACTOR of the time."""

    def __init__(
        self, run: RunDirectory, config: TrainConfig, *, rows: int, held_out: Dataset
    ) -> None:
        self._run = run
        self._config = config
        self._rows = rows
        self._held_out = held_out
        self._environment = environment(config)
        self._due = 0.0

    def checkpoint(self, vae: VAE) -> None:
        """Write a report of the current weights if one is due."""
        if (began := time.monotonic()) < self._due:
            return
        history = self._run.history()
        self.write(vae, epoch=history[-1]["epoch"])
        ended = time.monotonic()
        self._due = ended + INTERVAL_FACTOR * (ended - began)

    def write(
        self,
        vae: VAE,
        *,
        epoch: int,
        evaluation: Evaluation | None = None,
        sharpness: Sharpness | None = None,
    ) -> None:
        """Replace the report. ``vae`` has the weights after ``epoch``.

        Does nothing if an output of the model is not finite or if no epoch has ended.
        """
        outputs = collect_outputs(vae, self._held_out, self._config.seed)
        history = self._run.history()
        if outputs is None or not history:
            return
        data = ReportData(
            config=self._config,
            outputs=outputs,
            history=history,
            epoch=epoch,
            rows=self._rows,
            environment=self._environment,
            evaluation=evaluation,
            sharpness=sharpness,
        )
        write_atomically(self._run.path / NAME, page(data).encode())
